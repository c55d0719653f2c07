//! Everything on the listener that is no stream: the list of models, health, the document, and refusals. It knows no time.

use serde_json::{Value, json};

use super::asked::{Dialect, MODEL};
use super::request::Request;

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Value,
    /// More header lines, each with its end.
    pub(super) headers: String,
}

impl Answer {
    /// With this status.
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body,
            headers: String::new(),
        }
    }

    /// A refusal in the dialect of the path.
    pub(super) fn refused(dialect: Option<Dialect>, status: u16, why: &str) -> Self {
        let kind = match status {
            404 => "not_found_error",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        Self::new(
            status,
            match dialect {
                Some(Dialect::Messages) => {
                    json!({ "type": "error", "error": { "type": kind, "message": why } })
                }
                _ => json!({ "error": { "message": why, "type": kind, "param": null, "code": null } }),
            },
        )
    }

    /// What is no stream.
    pub(super) fn to(request: &Request) -> Self {
        let get = |body| match request.method.as_str() {
            "GET" => Self::new(200, body),
            _ => Self::not_allowed("GET"),
        };
        match request.path.as_str() {
            "/v1/models" => get(json!({ "object": "list", "data": [
                { "id": MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "prony" },
            ] })),
            "/health" => get(json!({ "status": "ok" })),
            "/openapi.json" => get(document()),
            "/" => get(json!({ "name": "Paced streams", "openapi": "/openapi.json" })),
            path => match Dialect::of(path) {
                Some(_) => Self::not_allowed("POST"),
                None => Self::refused(None, 404, "there is nothing of that name"),
            },
        }
    }

    fn not_allowed(method: &str) -> Self {
        let mut answer = Self::refused(None, 405, "another method is needed");
        answer.headers = format!("allow: {method}\r\n");
        answer
    }

    /// As bytes.
    pub(super) fn write(&self, id: &str, close: bool, out: &mut Vec<u8>) {
        let body = self.body.to_string();
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n{}{}content-length: {}\r\n\r\n",
            self.status,
            reason(self.status),
            self.headers,
            if close { "connection: close\r\n" } else { "" },
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

fn reason(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

/// The OpenAPI document.
fn document() -> Value {
    let text = json!({ "type": "string" });
    let messages = json!({ "type": "array", "minItems": 1, "items": {
        "type": "object", "required": ["role", "content"],
        "properties": { "role": text, "content": { "type": ["string", "array"] } },
    } });
    let tokens = json!({ "type": "integer", "minimum": 1, "maximum": super::asked::TOKENS_MAX });
    let stream = json!({ "type": "boolean", "default": false });
    let post = |summary: &str, properties: Value, required: &[&str]| {
        json!({ "post": {
            "summary": summary,
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object", "properties": properties, "required": required,
            } } } },
            "responses": {
                "200": { "description": "The answer, in events with 'stream'", "content": {
                    "application/json": { "schema": { "type": "object" } },
                    "text/event-stream": { "schema": { "type": "string" } },
                } },
                "400": { "description": "The body does not do" },
                "405": { "description": "Another method" },
                "413": { "description": "The body is too large" },
            },
        } })
    };
    let get = |summary: &str| {
        json!({ "get": { "summary": summary, "responses": {
            "200": { "description": "The answer", "content": { "application/json": { "schema": { "type": "object" } } } },
        } } })
    };
    let options = json!({ "type": "object", "properties": { "include_usage": { "type": "boolean" } } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Paced streams", "version": env!("CARGO_PKG_VERSION") },
        "paths": {
            "/v1/chat/completions": post("Answer a conversation", json!({
                "model": text, "messages": messages, "stream": stream, "max_tokens": tokens,
                "max_completion_tokens": tokens, "stream_options": options,
            }), &["messages"]),
            "/v1/completions": post("Continue a prompt", json!({
                "model": text, "prompt": { "type": ["string", "array"] }, "stream": stream, "max_tokens": tokens,
                "stream_options": options,
            }), &["prompt"]),
            "/v1/messages": post("Answer a conversation", json!({
                "model": text, "messages": messages, "system": { "type": ["string", "array"] }, "stream": stream,
                "max_tokens": tokens,
            }), &["messages", "max_tokens"]),
            "/v1/models": get("The models"),
            "/health": get("Health"),
            "/openapi.json": get("This document"),
            "/": get("What this is"),
        },
    })
}
