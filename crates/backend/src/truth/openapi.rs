//! The OpenAPI document.

use serde_json::{Value, json};

use super::inputs::Inputs;

/// The whole document.
pub(super) fn document() -> Value {
    let ok = json!({ "200": { "description": "Successful Response" } });
    let json_answer = |required: &[&str]| json!({ "application/json": { "schema": { "type": "object", "required": required } } });
    let refused = |more: &[(&str, &str)], good: Value| {
        let mut responses = json!({ "200": { "description": "Successful Response", "content": good } });
        for (status, description) in more {
            responses[*status] = json!({ "description": description });
        }
        responses
    };
    let nonce_schema = json!({ "type": "string", "maxLength": 128 });
    let body = |properties: Value, required: &[&str]| {
        json!({ "required": true, "content": { "application/json": { "schema": {
        "type": "object", "properties": properties, "required": required,
    } } } })
    };
    let post_errors = [
        ("400", "The body is no JSON, or no worker came in time"),
        ("405", "Another method"),
        ("408", "The body stood still"),
        ("413", "The body is too large"),
        ("415", "The body is not JSON"),
        ("422", "Invalid input"),
        ("429", "Too many requests"),
        ("503", "Too many requests"),
    ];
    let mut paths = json!({
        "/work": { "get": { "summary": "Wait for a server, then work", "responses": ok } },
        "/null": { "get": { "summary": "Do nothing", "responses": ok } },
        "/health": { "get": { "summary": "Health", "responses": ok } },
        "/metrics": { "get": { "summary": "Metrics", "responses": { "200": {
            "description": "Successful Response", "content": { "text/plain": { "schema": { "type": "string" } } }
        } } } },
        "/echo": { "post": {
            "summary": "Return the nonce",
            "requestBody": body(json!({ "nonce": { "type": "string" } }), &["nonce"]),
            "responses": refused(&post_errors, json_answer(&["nonce"])),
        } },
        "/v1/infer": { "post": {
            "summary": "Work on an input",
            "requestBody": body(json!({
                "input": { "type": "string", "minLength": 1, "maxLength": 200_000 }, "nonce": nonce_schema,
            }), &["input"]),
            "responses": refused(&post_errors, json_answer(&["id", "digest", "length"])),
        } },
        "/v1/generate": { "post": {
            "summary": "Continue a prompt",
            "requestBody": body(json!({
                "prompt": { "type": "string", "minLength": 1, "maxLength": 200_000 },
                "max_tokens": { "type": "integer", "minimum": 1, "maximum": 4096, "default": 16 },
                "nonce": nonce_schema,
            }), &["prompt"]),
            "responses": refused(&post_errors, json_answer(&["id", "text", "usage"])),
        } },
        "/v1/files": { "get": { "summary": "List the files", "responses": refused(&[], json_answer(&["files"])) } },
        "/v1/files/{file_id}": { "get": {
            "summary": "One file",
            "parameters": [{ "name": "file_id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1, "maxLength": 64 } }],
            "responses": refused(
                &[("206", "Part of the file"), ("404", "There is none of that name"), ("416", "No such range")],
                json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } }),
            ),
        } },
    });
    if let Some(paths) = paths.as_object_mut() {
        paths.extend(Inputs::paths());
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Truth server", "version": "0.2.0" },
        "paths": paths,
        "components": { "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } } },
    })
}
