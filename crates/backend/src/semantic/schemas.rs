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
    if config.serving_api {
        for (name, schema) in serving() {
            add(name, schema);
        }
    }
    if config.dev_api {
        add("Sleeping", full(&json!({ "is_sleeping": { "type": "boolean" } })));
    }
    for (name, schema) in answers().into_iter().chain(own_answers()).chain(errors()) {
        add(name, schema);
    }
    Value::Object(schemas)
}

/// What other engines serve beside conversations.
fn serving() -> Vec<(&'static str, Value)> {
    let bounds = bounds();
    let (model, tokens, flag) = (&bounds["model"], &bounds["max_tokens"], &bounds["flag"]);
    let ids = json!({ "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u64 } });
    let some = |properties: Value, required: &[&str]| object(&properties, required, false);
    vec![
        (
            "CompletionRequest",
            some(
                json!({
                    "model": model, "prompt": { "anyOf": [bounds["text"], ids] }, "max_tokens": tokens, "stream": flag,
                    "stop": { "anyOf": [bounds["text"], { "type": "array", "maxItems": 4, "items": bounds["text"] }] },
                }),
                &["model", "prompt"],
            ),
        ),
        (
            "ResponseRequest",
            some(
                json!({
                    "model": model, "input": { "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": {
                        "type": "object", "required": ["role", "content"],
                        "properties": { "role": { "enum": ["system", "developer", "user", "assistant"] }, "content": { "type": "string" } },
                    } }] },
                    "instructions": bounds["text"], "max_output_tokens": tokens, "stream": flag,
                }),
                &["model", "input"],
            ),
        ),
        (
            "EmbeddingRequest",
            some(
                json!({
                    "model": model,
                    "input": { "anyOf": [bounds["text"], ids, { "type": "array", "minItems": 1, "maxItems": 2048, "items": bounds["text"] }] },
                    "dimensions": { "type": "integer", "minimum": 1, "maximum": 4096 },
                    "encoding_format": { "enum": ["float", "base64"] },
                }),
                &["model", "input"],
            ),
        ),
        (
            "TokenizeRequest",
            some(json!({ "prompt": bounds["text"] }), &["prompt"]),
        ),
        ("DetokenizeRequest", some(json!({ "tokens": ids }), &["tokens"])),
        (
            "Completion",
            some(
                json!({ "object": { "const": "text_completion" } }),
                &["id", "object", "choices", "usage"],
            ),
        ),
        (
            "Response",
            some(
                json!({ "object": { "const": "response" } }),
                &["id", "object", "status", "output", "usage"],
            ),
        ),
        (
            "Embeddings",
            some(
                json!({ "object": { "const": "list" } }),
                &["object", "data", "model", "usage"],
            ),
        ),
        (
            "Tokens",
            some(
                json!({ "count": { "type": "integer" } }),
                &["count", "max_model_len", "tokens"],
            ),
        ),
        (
            "Detokenized",
            some(json!({ "prompt": { "type": "string" } }), &["prompt"]),
        ),
    ]
}

/// What several requests have in common.
fn bounds() -> Value {
    json!({
        "model": { "type": "string", "minLength": 1, "maxLength": 256 },
        "max_tokens": { "type": "integer", "minimum": 1, "maximum": 65_536 },
        "temperature": { "type": "number", "minimum": 0, "maximum": 2, "default": 1 },
        "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
        "text": { "type": "string", "minLength": 1 },
        "session": { "type": "string", "minLength": 1, "maxLength": 256 },
        "flag": { "type": "boolean", "default": false },
        "tools": { "type": "array", "items": { "type": "object" } },
        "content": { "anyOf": [
            { "type": "string" }, { "type": "array", "items": { "type": "object", "required": ["type"] } },
        ] },
    })
}

fn example() -> Value {
    json!({ "model": MODELS[0].0, "max_tokens": 16, "messages": [{ "role": "user", "content": "Name three rivers." }] })
}

fn requests(config: &Config) -> Vec<(&'static str, Value)> {
    let closed = !config.lenient_input;
    let bounds = bounds();
    let named = |roles: &[&str]| {
        let properties = json!({ "role": { "enum": roles }, "content": bounds["content"] });
        object(&properties, &["role", "content"], false)
    };
    let text_block = json!({ "type": { "const": "text" }, "text": { "type": "string" } });
    let agent =
        json!({ "agent_id": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^/]+$" } });
    let generate = json!({
        "prompt": bounds["text"],
        "max_tokens": { "type": "integer", "minimum": 1, "maximum": 65_536, "default": 256 },
        "temperature": { "type": "number", "minimum": 0, "maximum": 2, "default": 0.7 },
    });
    let swap = json!({ "model_id": { "enum": MODELS.map(|(id, _)| id) } });
    let shared = shared(&bounds, closed);
    let mut whole = shared.clone();
    whole["max_tokens"] = bounds["max_tokens"].clone();
    let mut counted = example();
    if let Some(counted) = counted.as_object_mut() {
        counted.remove("max_tokens");
    }
    vec![
        (
            "MessagesRequest",
            with(
                object(&whole, &["model", "max_tokens", "messages"], closed),
                &example(),
            ),
        ),
        (
            "CountTokensRequest",
            with(object(&shared, &["model", "messages"], closed), &counted),
        ),
        (
            "ChatRequest",
            with(
                nullable(object(&chat(&bounds), &["model", "messages"], closed)),
                &example(),
            ),
        ),
        ("InputMessage", named(&["user", "assistant"])),
        (
            "ChatMessage",
            named(&["system", "developer", "user", "assistant", "tool"]),
        ),
        ("TextBlock", object(&text_block, &["type", "text"], false)),
        (
            "AgentRequest",
            with(object(&agent, &[], closed), &json!({ "agent_id": "planner" })),
        ),
        (
            "GenerateRequest",
            with(
                object(&generate, &["prompt"], closed),
                &json!({ "prompt": "Name three rivers.", "max_tokens": 16 }),
            ),
        ),
        (
            "SwapRequest",
            with(
                object(&swap, &["model_id"], closed),
                &json!({ "model_id": MODELS[0].0 }),
            ),
        ),
    ]
}

/// What a message and the count of its tokens have in common.
fn shared(bounds: &Value, closed: bool) -> Value {
    let thinking = if closed {
        json!(["disabled"])
    } else {
        json!(["enabled", "disabled"])
    };
    json!({
        "model": bounds["model"],
        "messages": {
            "type": "array", "minItems": 1, "items": reference("InputMessage"),
            "description": "The first is the user's, then they alternate",
        },
        "system": { "anyOf": [{ "type": "string" }, { "type": "array", "items": reference("TextBlock") }] },
        "tools": bounds["tools"],
        "tool_choice": { "type": "object", "properties": { "type": { "enum": ["auto", "none"] } } },
        "thinking": { "type": "object", "required": ["type"], "properties": {
            "type": { "enum": thinking },
            "budget_tokens": { "type": "integer", "minimum": 0, "maximum": 32_000 },
        } },
        "temperature": bounds["temperature"], "top_p": bounds["top_p"],
        "top_k": { "type": "integer", "minimum": 0, "maximum": 1_000_000 },
        "stream": bounds["flag"],
        "stop_sequences": { "type": "array", "maxItems": 64, "items": bounds["text"] },
        "session_id": bounds["session"],
        "metadata": { "type": "object" }, "service_tier": { "type": "string" }, "cache_control": { "type": "object" },
    })
}

fn chat(bounds: &Value) -> Value {
    let penalty = json!({ "type": "number", "minimum": -2, "maximum": 2 });
    json!({
        "model": bounds["model"],
        "messages": { "type": "array", "minItems": 1, "items": reference("ChatMessage") },
        "max_tokens": bounds["max_tokens"], "max_completion_tokens": bounds["max_tokens"],
        "temperature": bounds["temperature"], "top_p": bounds["top_p"],
        "presence_penalty": penalty, "frequency_penalty": penalty,
        "n": { "type": "integer", "minimum": 1, "maximum": 1 },
        "seed": { "type": "integer" }, "stream": bounds["flag"],
        "stop": { "anyOf": [bounds["text"], { "type": "array", "maxItems": 4, "items": bounds["text"] }] },
        "stream_options": { "type": "object", "properties": { "include_usage": bounds["flag"] } },
        "tools": bounds["tools"], "tool_choice": { "enum": ["auto", "none"] },
        "response_format": { "type": "object", "properties": { "type": { "enum": ["text"] } } },
        "session_id": bounds["session"],
        "user": { "type": "string" }, "metadata": { "type": "object" }, "store": { "type": "boolean" },
        "service_tier": { "type": "string" }, "parallel_tool_calls": { "type": "boolean" },
        "safety_identifier": { "type": "string" }, "prompt_cache_key": { "type": "string" },
    })
}

/// The answers of the two dialects.
fn answers() -> Vec<(&'static str, Value)> {
    let (text, whole, maybe) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": ["string", "null"] }),
    );
    let usage = json!({
        "input_tokens": whole, "cache_creation_input_tokens": whole, "cache_read_input_tokens": whole, "output_tokens": whole,
    });
    let chat_usage = json!({
        "prompt_tokens": whole, "completion_tokens": whole, "total_tokens": whole,
        "prompt_tokens_details": { "type": "object", "properties": { "cached_tokens": whole } },
    });
    let message = json!({ "role": { "const": "assistant" }, "content": text });
    let choice = json!({
        "index": whole, "message": full(&message), "finish_reason": { "enum": ["stop", "length"] },
    });
    vec![
        ("Usage", full(&usage)),
        (
            "Message",
            full(&json!({
                "id": { "type": "string", "pattern": "^msg_" }, "type": { "const": "message" }, "role": { "const": "assistant" },
                "model": text, "content": list("TextBlock"),
                "stop_reason": { "enum": ["end_turn", "max_tokens", "stop_sequence"] },
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
    ]
}

/// The answers of the service's own endpoints.
fn own_answers() -> Vec<(&'static str, Value)> {
    let (text, whole, number, maybe) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": "number", "minimum": 0 }),
        json!({ "type": ["string", "null"] }),
    );
    vec![
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

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

/// An object whose optional properties may be null.
fn nullable(mut schema: Value) -> Value {
    let required = schema["required"].clone();
    let properties = schema["properties"].as_object_mut();
    for (name, property) in properties.into_iter().flatten() {
        if !required
            .as_array()
            .is_some_and(|required| required.contains(&json!(name)))
        {
            *property = json!({ "anyOf": [property.take(), { "type": "null" }] });
        }
    }
    schema
}

/// A schema with an example.
fn with(mut schema: Value, example: &Value) -> Value {
    schema["examples"] = json!([example]);
    schema
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
