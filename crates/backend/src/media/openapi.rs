//! The OpenAPI document of the service port: the MCP endpoint as HTTP sees it, with one JSON-RPC message for each thing that can be
//! asked.

use serde_json::{Map, Value, json};

use super::config::Config;
use super::tools::TOOLS;

/// Versions of the protocol that may stand in a header.
const VERSIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// The whole document.
pub(super) fn document(config: &Config) -> Value {
    let text = |description: &str| {
        json!({
            "description": description,
            "content": { "text/plain": { "schema": { "type": "string" } } },
        })
    };
    let page = |summary: &str, content: Value| {
        json!({ "get": {
            "summary": summary,
            "responses": { "200": { "description": "Successful Response", "content": content } },
        } })
    };
    let mut paths = json!({
        "/mcp": { "post": post(config) },
        "/health": page("Health", json!({ "application/json": { "schema": {
            "type": "object", "properties": { "status": { "const": "ok" } }, "required": ["status"],
        } } })),
        "/": page("What there is", json!({ "application/json": { "schema": { "type": "object" } } })),
        "/docs": page("This document as a page", json!({ "text/html": { "schema": { "type": "string" } } })),
    });
    if config.sessions {
        paths["/mcp"]["get"] = json!({
            "summary": "Messages from the server to a session",
            "parameters": [session(true), version()],
            "responses": {
                "200": { "description": "An event stream", "content": { "text/event-stream": { "schema": { "type": "string" } } } },
                "400": text("No session, or an unknown protocol version"),
                "404": text("No such session"),
                "406": text("The client does not accept text/event-stream"),
            },
        });
        paths["/mcp"]["delete"] = json!({
            "summary": "End a session",
            "parameters": [session(true), version()],
            "responses": {
                "202": { "description": "The session is ended" },
                "400": text("No session, or an unknown protocol version"),
            },
        });
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sanzaru MCP server",
            "description": "Video and image generation as tools of the Model Context Protocol (streamable HTTP).",
            "version": "0.2.0",
        },
        "paths": paths,
        "components": { "schemas": schemas(config) },
    })
}

fn post(config: &Config) -> Value {
    let text = |description: &str| json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } });
    let answer = json!({ "$ref": "#/components/schemas/Answer" });
    let stream = json!({ "text/event-stream": { "schema": { "type": "string", "description": "Events whose data is an Answer" } } });
    let content = if config.event_streams || config.sessions {
        stream
    } else {
        json!({ "application/json": { "schema": answer } })
    };
    let mut parameters = vec![version()];
    if config.sessions {
        parameters.push(session(false));
    }
    let mut responses = json!({
        "200": { "description": "The answer to a request; a tool's own failure is one too", "content": content },
        "202": { "description": "A notification was taken" },
        "400": text("An unknown protocol version, or a message that may not stand here"),
        "403": text("The Host header names no loopback host, though the server listens on one"),
        "405": text("Another method"),
        "406": text("The client does not accept both application/json and text/event-stream"),
        "413": text("The body is too large"),
        "415": text("The body is not JSON, or no JSON-RPC message"),
    });
    if config.sessions {
        responses["404"] = text("No such session");
    }
    json!({
        "summary": "One JSON-RPC message",
        "description": "Accept must name application/json and text/event-stream.",
        "parameters": parameters,
        "requestBody": { "required": true, "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/Message" },
            "examples": examples(),
        } } },
        "responses": responses,
    })
}

fn examples() -> Value {
    let message = |method: &str, params: Value| json!({ "summary": method, "value": { "jsonrpc": "2.0", "id": 1, "method": method, "params": params } });
    json!({
        "list_tools": message("tools/list", json!({})),
        "list_videos": message("tools/call", json!({ "name": "list_videos", "arguments": { "limit": 5 } })),
        "prepare_reference_image": message("tools/call", json!({
            "name": "prepare_reference_image",
            "arguments": { "input_filename": "square.webp", "target_size": "720x1280", "resize_mode": "crop" },
        })),
        "initialize": message("initialize", json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "client", "version": "1" },
        })),
    })
}

fn version() -> Value {
    json!({
        "name": "MCP-Protocol-Version", "in": "header", "required": false,
        "schema": { "type": "string", "enum": VERSIONS },
    })
}

fn session(required: bool) -> Value {
    json!({
        "name": "Mcp-Session-Id", "in": "header", "required": required,
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn schemas(config: &Config) -> Value {
    let mut schemas = json!({
        "Message": {
            "type": "object",
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "id": { "type": ["string", "integer"] },
                "method": { "type": "string", "minLength": 1 },
                "params": { "type": "object" },
            },
            "required": ["jsonrpc", "method"],
        },
        "Answer": {
            "type": "object",
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "id": { "type": ["string", "integer"] },
                "result": { "type": "object" },
                "error": {
                    "type": "object",
                    "properties": { "code": { "type": "integer" }, "message": { "type": "string" } },
                    "required": ["code", "message"],
                },
            },
            "required": ["jsonrpc"],
        },
    });
    for tool in TOOLS {
        let both: [(&str, Map<String, Value>); 2] = [
            ("Arguments", tool.input_schema(config.lenient_input)),
            ("Result", tool.output_schema(config.silent_retries)),
        ];
        for (part, schema) in both {
            schemas[format!("{}{part}", tool.name)] = Value::Object(schema);
        }
    }
    schemas
}
