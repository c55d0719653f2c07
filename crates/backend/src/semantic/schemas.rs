//! The schemas of the OpenAPI document: what is asked and what is answered. They follow what `anthropic`, `openai` and `native` read
//! and write.

use serde_json::{Map, Value, json};

use super::config::Config;
use super::models::MODELS;

/// Every schema by name.
pub(super) fn all(config: &Config) -> Value {
    let mut schemas = Map::new();
    let mut add = |name: &str, schema: Value| schemas.insert(name.to_owned(), schema);
    for (name, schema) in requests(config) {
        add(name, schema);
    }
    for (name, schema) in answers() {
        add(name, schema);
    }
    for (name, schema) in errors() {
        add(name, schema);
    }
    Value::Object(schemas)
}

fn requests(config: &Config) -> Vec<(&'static str, Value)> {
    let closed = !config.lenient_input;
    let model = json!({ "type": "string", "minLength": 1, "maxLength": 256 });
    let max_tokens = json!({ "type": "integer", "minimum": 1, "maximum": 65_536 });
    let temperature = json!({ "type": "number", "minimum": 0, "maximum": 2, "default": 1 });
    let top_p = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let text = json!({ "type": "string", "minLength": 1 });
    let session = json!({ "type": "string", "minLength": 1, "maxLength": 256 });
    let flag = json!({ "type": "boolean", "default": false });
    let tools = json!({ "type": "array", "items": { "type": "object" } });
    let example = [json!({ "role": "user", "content": "Name three rivers." })];
    let messages = json!({
        "type": "array", "minItems": 1, "items": reference("InputMessage"),
        "description": "The first is the user's, then they alternate",
    });
    let shared = json!({
        "model": model, "messages": messages,
        "system": { "anyOf": [{ "type": "string" }, { "type": "array", "items": reference("TextBlock") }] },
        "tools": tools,
        "tool_choice": { "type": "object", "properties": { "type": { "enum": ["auto", "none"] } } },
        "thinking": { "type": "object", "required": ["type"], "properties": {
            "type": { "enum": if closed { json!(["disabled"]) } else { json!(["enabled", "disabled"]) } },
            "budget_tokens": { "type": "integer", "minimum": 0, "maximum": 32_000 },
        } },
        "temperature": temperature, "top_p": top_p,
        "top_k": { "type": "integer", "minimum": 0, "maximum": 1_000_000 },
        "stream": flag,
        "stop_sequences": { "type": "array", "maxItems": 64, "items": text },
        "session_id": session, "metadata": { "type": "object" }, "service_tier": { "type": "string" }, "cache_control": { "type": "object" },
    });
    let mut whole = shared.clone();
    whole["max_tokens"] = max_tokens.clone();
    let chat = json!({
        "model": model,
        "messages": { "type": "array", "minItems": 1, "items": reference("ChatMessage") },
        "max_tokens": max_tokens, "max_completion_tokens": max_tokens,
        "temperature": temperature, "top_p": top_p,
        "presence_penalty": { "type": "number", "minimum": -2, "maximum": 2 },
        "frequency_penalty": { "type": "number", "minimum": -2, "maximum": 2 },
        "n": { "type": "integer", "minimum": 1, "maximum": 1 },
        "seed": {}, "stream": flag,
        "stop": { "anyOf": [text, { "type": "array", "maxItems": 4, "items": text }] },
        "stream_options": { "type": "object", "properties": { "include_usage": flag } },
        "tools": tools, "tool_choice": { "enum": ["auto", "none"] },
        "response_format": { "type": "object", "properties": { "type": { "enum": ["text"] } } },
        "session_id": session, "user": { "type": "string" }, "metadata": { "type": "object" }, "store": { "type": "boolean" },
        "service_tier": { "type": "string" }, "parallel_tool_calls": { "type": "boolean" },
        "safety_identifier": { "type": "string" }, "prompt_cache_key": { "type": "string" },
    });
    let with = |value: &Value, example: Value| {
        let mut value = value.clone();
        value["examples"] = json!([example]);
        value
    };
    let name = MODELS[0].0;
    let content = json!({ "anyOf": [
        { "type": "string" }, { "type": "array", "items": { "type": "object", "required": ["type"] } },
    ] });
    vec![
        (
            "MessagesRequest",
            with(
                &object(&whole, &["model", "max_tokens", "messages"], closed),
                json!({ "model": name, "max_tokens": 16, "messages": example }),
            ),
        ),
        (
            "CountTokensRequest",
            with(
                &object(&shared, &["model", "messages"], closed),
                json!({ "model": name, "messages": example }),
            ),
        ),
        (
            "ChatRequest",
            with(
                &object(&chat, &["model", "messages"], closed),
                json!({ "model": name, "max_tokens": 16, "messages": example }),
            ),
        ),
        (
            "InputMessage",
            object(
                &json!({ "role": { "enum": ["user", "assistant"] }, "content": content }),
                &["role", "content"],
                false,
            ),
        ),
        (
            "ChatMessage",
            object(
                &json!({ "role": { "enum": ["system", "developer", "user", "assistant", "tool"] }, "content": content }),
                &["role", "content"],
                false,
            ),
        ),
        (
            "TextBlock",
            object(
                &json!({ "type": { "const": "text" }, "text": { "type": "string" } }),
                &["type", "text"],
                false,
            ),
        ),
        (
            "AgentRequest",
            with(
                &object(
                    &json!({ "agent_id": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^/]+$" } }),
                    &[],
                    closed,
                ),
                json!({ "agent_id": "planner" }),
            ),
        ),
        (
            "GenerateRequest",
            with(
                &object(
                    &json!({
                        "prompt": text,
                        "max_tokens": { "type": "integer", "minimum": 1, "maximum": 65_536, "default": 256 },
                        "temperature": { "type": "number", "minimum": 0, "maximum": 2, "default": 0.7 },
                    }),
                    &["prompt"],
                    closed,
                ),
                json!({ "prompt": "Name three rivers.", "max_tokens": 16 }),
            ),
        ),
        (
            "SwapRequest",
            with(
                &object(
                    &json!({ "model_id": { "enum": MODELS.map(|(id, _)| id) } }),
                    &["model_id"],
                    closed,
                ),
                json!({ "model_id": name }),
            ),
        ),
    ]
}

fn answers() -> Vec<(&'static str, Value)> {
    let (text, whole, number, maybe) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": "number", "minimum": 0 }),
        json!({ "type": ["string", "null"] }),
    );
    let usage = json!({
        "input_tokens": whole, "cache_creation_input_tokens": whole, "cache_read_input_tokens": whole, "output_tokens": whole,
    });
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    let chat_usage = json!({
        "prompt_tokens": whole, "completion_tokens": whole, "total_tokens": whole,
        "prompt_tokens_details": { "type": "object", "properties": { "cached_tokens": whole } },
    });
    let choice = json!({
        "index": whole,
        "message": { "type": "object", "required": ["role", "content"], "properties": { "role": { "const": "assistant" }, "content": text } },
        "finish_reason": { "enum": ["stop", "length"] },
    });
    vec![
        ("Usage", full(&usage)),
        (
            "Message",
            full(&json!({
                "id": { "type": "string", "pattern": "^msg_" }, "type": { "const": "message" }, "role": { "const": "assistant" }, "model": text,
                "content": list("TextBlock"),
                "stop_reason": { "enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"] },
                "stop_sequence": maybe, "usage": reference("Usage"),
            })),
        ),
        ("TokenCount", full(&json!({ "input_tokens": whole }))),
        ("ChatUsage", full(&chat_usage)),
        ("Choice", full(&choice)),
        (
            "ChatCompletion",
            full(&json!({
                "id": text, "object": { "const": "chat.completion" }, "created": whole, "model": text,
                "choices": list("Choice"), "usage": reference("ChatUsage"),
            })),
        ),
        (
            "Model",
            full(&json!({ "id": text, "object": { "const": "model" }, "created": whole, "owned_by": text })),
        ),
        (
            "ModelList",
            full(&json!({ "object": { "const": "list" }, "data": list("Model") })),
        ),
        (
            "Agent",
            full(&json!({ "agent_id": text, "created": whole, "requests": whole, "context_tokens": whole })),
        ),
        (
            "AgentList",
            full(&json!({ "total": whole, "agents": list("Agent") })),
        ),
        (
            "AgentStats",
            full(&json!({
                "hot_count": whole, "warm_count": whole, "total_count": whole, "dirty_count": whole,
                "pool_utilization_pct": number, "total_cache_size_mb": number,
            })),
        ),
        (
            "Generated",
            full(&json!({
                "agent_id": text, "text": text, "tokens_generated": whole, "prompt_tokens": whole, "cached_tokens": whole,
                "finish_reason": { "enum": ["stop", "length"] }, "cache_size_tokens": whole,
            })),
        ),
        ("Status", full(&json!({ "status": text }))),
        (
            "Readiness",
            full(&json!({ "status": { "const": "ready" }, "pool_utilization": number })),
        ),
        (
            "CurrentModel",
            full(&json!({ "model_id": maybe, "status": text, "layers": whole, "block_tokens": whole })),
        ),
        (
            "AvailableModels",
            full(&json!({ "models": { "type": "array", "items": text } })),
        ),
        (
            "Swapped",
            full(&json!({ "status": text, "previous_model_id": maybe, "model_id": text, "took_ms": whole })),
        ),
        ("Offloaded", full(&json!({ "status": text, "model_id": maybe }))),
        ("Cleared", full(&json!({ "status": text, "blocks_freed": whole }))),
        (
            "Memory",
            full(&json!({
                "active_mb": number, "cache_mb": number, "budget_mb": number,
                "pool": { "type": "object" }, "requests": { "type": "object" },
            })),
        ),
        (
            "Document",
            json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
        ),
        (
            "Root",
            full(&json!({ "name": text, "version": text, "docs": text, "openapi": text })),
        ),
    ]
}

fn errors() -> Vec<(&'static str, Value)> {
    let (text, maybe) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    let named = full(&json!({ "type": text, "message": text }));
    vec![
        (
            "Error",
            full(&json!({ "type": { "const": "error" }, "error": named })),
        ),
        ("PlainError", full(&json!({ "error": named }))),
        (
            "OpenAiError",
            full(
                &json!({ "error": full(&json!({ "message": text, "type": text, "param": maybe, "code": maybe })) }),
            ),
        ),
        ("DetailError", full(&json!({ "detail": text }))),
        (
            "ValidationError",
            full(
                &json!({ "detail": { "type": "array", "items": { "type": "object", "required": ["type", "loc", "msg"] } } }),
            ),
        ),
        (
            "NotReady",
            object(
                &json!({ "status": text, "reason": text }),
                &["status", "reason"],
                false,
            ),
        ),
    ]
}

fn object(properties: &Value, required: &[&str], closed: bool) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    if closed {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

/// An object that has all of these.
fn full(properties: &Value) -> Value {
    let names: Vec<&str> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    object(properties, &names, false)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
