//! The OpenAPI document and the page made from it. Requests are described in `schemas`, answers and errors here.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::config::Config;
use super::routes::{Does, ROUTES, Route};
use super::schemas;

/// The version told.
pub(super) const VERSION: &str = "1.0.0";

/// The whole document.
pub(super) fn document(config: &Config) -> Value {
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| route.is_served(config)) {
        let (method, path) = route.endpoint.split_once(' ').unwrap_or_default();
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method.to_lowercase()] = operation(route, config);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Agent memory server", "version": VERSION,
            "description": "A language model behind the Messages and Chat Completions APIs, with a prefix cache. The text it returns is \
                            drawn from a digest of the prompt and means nothing.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(config),
            "securitySchemes": {
                "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" },
                "bearer": { "type": "http", "scheme": "bearer" },
                "adminKey": { "type": "apiKey", "in": "header", "name": "X-Admin-Key" },
            },
        },
    })
}

fn operation(route: &Route, config: &Config) -> Value {
    let (summary, request, answer) = described(route.does);
    let openai = matches!(
        route.does,
        Does::Chat
            | Does::Models
            | Does::Completions
            | Does::Responses
            | Does::Embeddings
            | Does::Tokenize
            | Does::Detokenize
    );
    let mut responses = Map::new();
    responses.insert(answer.0.to_owned(), success(route.does, answer.1));
    for (status, description) in errors(route, config) {
        responses.insert((*status).to_owned(), error(status, description, openai, config));
    }
    let mut operation =
        json!({ "summary": summary, "operationId": operation_id(route), "responses": responses });
    if let Some(schema) = request {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    let mut parameters = Vec::new();
    if route.endpoint.contains('{') {
        parameters.push(json!({
            "name": "agent_id", "in": "path", "required": true, "example": "planner",
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    if !route.is_public() {
        parameters.push(json!({
            "name": "X-Agent-ID", "in": "header", "required": false,
            "description": "Whose limit the request counts against", "schema": { "type": "string" },
        }));
        operation["security"] = match (route.is_admin(), config.api_keys.is_empty()) {
            (true, _) => json!([{ "adminKey": [] }]),
            (false, true) => json!([]),
            (false, false) => json!([{ "apiKey": [] }, { "bearer": [] }]),
        };
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    operation
}

/// Summary, schema of the request, and status and schema of the answer.
fn described(does: Does) -> (&'static str, Option<&'static str>, (&'static str, &'static str)) {
    match does {
        Does::Messages => ("Create a message", Some("MessagesRequest"), ("200", "Message")),
        Does::CountTokens => (
            "Count the tokens of a message",
            Some("CountTokensRequest"),
            ("200", "TokenCount"),
        ),
        Does::Chat => (
            "Create a chat completion",
            Some("ChatRequest"),
            ("200", "ChatCompletion"),
        ),
        Does::Completions => (
            "Continue a prompt",
            Some("CompletionRequest"),
            ("200", "Completion"),
        ),
        Does::Responses => ("Create a response", Some("ResponseRequest"), ("200", "Response")),
        Does::Embeddings => (
            "Vectors of texts",
            Some("EmbeddingRequest"),
            ("200", "Embeddings"),
        ),
        Does::Tokenize => ("A text in tokens", Some("TokenizeRequest"), ("200", "Tokens")),
        Does::Detokenize => (
            "Tokens as a text",
            Some("DetokenizeRequest"),
            ("200", "Detokenized"),
        ),
        Does::Sleep => ("Stand still, and forget what is cached", None, ("200", "")),
        Does::WakeUp => ("Go on", None, ("200", "")),
        Does::IsSleeping => ("Whether it stands still", None, ("200", "Sleeping")),
        Does::ResetCache => ("Forget what is cached", None, ("200", "")),
        Does::Models => ("List the loaded model", None, ("200", "ModelList")),
        Does::AgentCreate => ("Create an agent", Some("AgentRequest"), ("201", "Agent")),
        Does::AgentList => ("List the agents", None, ("200", "AgentList")),
        Does::AgentStats => ("Figures over all agents", None, ("200", "AgentStats")),
        Does::AgentGet => ("One agent", None, ("200", "Agent")),
        Does::AgentDelete => ("Forget an agent", None, ("204", "")),
        Does::AgentGenerate => (
            "Continue an agent's conversation",
            Some("GenerateRequest"),
            ("200", "Generated"),
        ),
        Does::Health => ("Health", None, ("200", "Status")),
        Does::Live => ("Liveness", None, ("200", "Status")),
        Does::Ready => ("Readiness", None, ("200", "Readiness")),
        Does::Startup => ("Startup", None, ("200", "Status")),
        Does::Metrics => ("Prometheus metrics", None, ("200", "")),
        Does::AdminCurrent => ("The loaded model", None, ("200", "CurrentModel")),
        Does::AdminAvailable => ("Models that can be loaded", None, ("200", "AvailableModels")),
        Does::AdminSwap => ("Load another model", Some("SwapRequest"), ("200", "Swapped")),
        Does::AdminOffload => ("Unload the model", None, ("200", "Offloaded")),
        Does::AdminCaches => ("Empty the cache", None, ("200", "Cleared")),
        Does::DebugMemory => ("Memory of the block pool", None, ("200", "Memory")),
        Does::OpenApi => ("This document", None, ("200", "Document")),
        Does::Docs => ("The page of documentation", None, ("200", "")),
        Does::Root => ("What this is", None, ("200", "Root")),
    }
}

fn success(does: Does, schema: &str) -> Value {
    let mut content = Map::new();
    let text = || json!({ "schema": { "type": "string" } });
    match does {
        Does::AgentDelete => return json!({ "description": "Forgotten" }),
        Does::Sleep | Does::WakeUp | Does::ResetCache => return json!({ "description": "Done" }),
        Does::Metrics => content.insert("text/plain".to_owned(), text()),
        Does::Docs => content.insert("text/html".to_owned(), text()),
        _ => content.insert(
            "application/json".to_owned(),
            json!({ "schema": reference(schema) }),
        ),
    };
    if matches!(
        does,
        Does::Messages | Does::Chat | Does::Completions | Does::Responses
    ) {
        content.insert("text/event-stream".to_owned(), text());
    }
    json!({ "description": "Successful Response", "content": content })
}

fn errors(route: &Route, config: &Config) -> Vec<(&'static str, &'static str)> {
    let mut errors = Vec::new();
    let limited = !route.is_public();
    if limited && (route.is_admin() || !config.api_keys.is_empty()) {
        errors.push(("401", "No key, or a wrong one"));
    }
    if limited {
        errors.push((
            "429",
            "Too many requests in the window; Retry-After tells when to come again",
        ));
    }
    if route.is_admin() {
        errors.push(("500", "No admin key is configured"));
    }
    if route.reads_body() {
        errors.push(if config.mixed_errors {
            ("422", "Invalid input")
        } else {
            ("400", "Invalid input")
        });
        errors.push(("408", "The body did not arrive in time"));
        errors.push(("413", "The body is too large"));
        if !config.lenient_input {
            errors.push(("415", "The body is not JSON"));
        }
    }
    match route.does {
        Does::Messages | Does::Chat | Does::Completions | Does::Responses | Does::Embeddings => {
            if !config.lenient_input {
                errors.push(("404", "No such model"));
            }
            errors.push(("503", "No room for more, no model, or shutting down"));
        }
        Does::AgentGenerate => errors.extend([
            ("404", "No such agent"),
            ("503", "No room for more, no model, or shutting down"),
            ("504", "The generation took too long"),
        ]),
        Does::AgentCreate => errors.push(("409", "There is one of that name")),
        Does::AgentGet | Does::AgentDelete => errors.push(("404", "No such agent")),
        Does::AdminSwap => errors.push(("404", "No such model")),
        Does::Ready | Does::Startup => errors.push(("503", "Not now; the reason is told")),
        _ => {}
    }
    errors
}

fn error(status: &str, description: &str, openai: bool, config: &Config) -> Value {
    let schema = match (
        status,
        description.starts_with("Not now"),
        config.mixed_errors,
        openai,
    ) {
        (_, true, _, _) => "NotReady",
        ("401" | "429", _, true, _) => "PlainError",
        ("413", _, true, _) | (_, _, false, false) => "Error",
        ("422", ..) => "ValidationError",
        (_, _, true, _) => "DetailError",
        (_, _, false, true) => "OpenAiError",
    };
    let mut told = json!({
        "description": description,
        "content": { "application/json": { "schema": reference(schema) } },
    });
    if status == "429" || (status == "503" && !config.mixed_errors && schema != "NotReady") {
        told["headers"] = json!({ "Retry-After": { "schema": { "type": "integer", "minimum": 1 } } });
    }
    told
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn operation_id(route: &Route) -> String {
    let words = route.endpoint.to_lowercase().replace(['{', '}'], "");
    words
        .split(['/', ' ', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// The page at /docs, with nothing loaded from elsewhere.
pub(super) fn page(document: &Value) -> String {
    let mut rows = String::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                rows,
                "<tr><td>{}</td><td><code>{path}</code></td><td>{summary}</td></tr>",
                method.to_uppercase()
            );
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>Agent memory server</title>\n</head>\n<body>\n\
         <h1>Agent memory server</h1>\n<p>A language model behind the Messages and Chat Completions APIs, with a prefix cache. The text it \
         returns is drawn from a digest of the prompt and means nothing.</p>\n\
         <p>Machine-readable description: <a href=\"/openapi.json\">/openapi.json</a></p>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    )
}
