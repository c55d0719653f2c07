//! The admin port's OpenAPI document.

use serde_json::{Map, Value, json};

/// The document; `names` are the presets before the paths, none where one preset has the port to itself.
pub(crate) fn document(names: &[&'static str]) -> Value {
    let prefix = if names.is_empty() { "" } else { "/{preset}" };
    let mut paths = Map::new();
    paths.insert(
        "/".to_owned(),
        json!({ "get": get("The presets whose truth is told here.", &object()) }),
    );
    paths.insert(
        "/metrics".to_owned(),
        json!({ "get": {
            "summary": "Counts and sums of every preset, in Prometheus' text format.",
            "responses": { "200": { "description": "The page.", "content": { "text/plain": { "schema": { "type": "string" } } } } },
        } }),
    );
    paths.insert(
        "/openapi.json".to_owned(),
        json!({ "get": get("This document.", &object()) }),
    );
    for (path, mut item) in of_preset() {
        if !names.is_empty() {
            item["parameters"] = json!([{
                "name": "preset", "in": "path", "required": true, "schema": { "type": "string", "enum": names },
            }]);
        }
        paths.insert(format!("{prefix}{path}"), item);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Truth of the reference backend", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn of_preset() -> Vec<(&'static str, Value)> {
    let refused =
        json!({ "description": "Refused, with the reason.", "content": content(&reference("Refusal")) });
    let mut times = get(
        "Raw times of one endpoint, in order of completion.",
        &reference("Times"),
    );
    times["parameters"] = json!([{
        "name": "endpoint", "in": "query", "required": true, "schema": { "type": "string" },
        "description": "A name under 'endpoints' of /truth.", "example": "GET /work",
    }]);
    times["responses"]["404"] =
        json!({ "description": "No such endpoint so far.", "content": content(&reference("Refusal")) });
    let mut requests = get(
        "Single requests, oldest first; the last 10,000 are remembered.",
        &json!({ "type": "object", "required": ["requests"],
            "properties": { "requests": { "type": "array", "items": reference("Request") } } }),
    );
    requests["parameters"] = json!([
        { "name": "id", "in": "query", "schema": { "type": "string" }, "description": "The request's x-request-id." },
        { "name": "recent", "in": "query", "schema": { "type": "integer", "minimum": 0, "maximum": 10000, "default": 100 },
          "description": "Without an id: the last so many." },
    ]);
    requests["responses"]["422"] = refused.clone();
    let mut streams = get(
        "Single streams of a preset that paces them (truth), oldest first.",
        &json!({ "type": "object", "required": ["streams"],
            "properties": { "streams": { "type": "array", "items": reference("Stream") } } }),
    );
    streams["parameters"] = json!([
        { "name": "id", "in": "query", "schema": { "type": "string" }, "description": "The request's x-request-id." },
        { "name": "recent", "in": "query", "schema": { "type": "integer", "minimum": 0, "maximum": 10000, "default": 100 },
          "description": "Without an id: the last so many." },
    ]);
    streams["responses"]["404"] =
        json!({ "description": "The preset has none.", "content": content(&reference("Refusal")) });
    streams["responses"]["422"] = refused.clone();
    let mut turn = get("Turns knobs at once: all of them, or none.", &reference("Knobs"));
    turn["requestBody"] = json!({
        "required": true,
        "content": { "application/json": {
            "schema": { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } },
            "example": { "fault_delay": "constant", "fault_delay_ms": 20 },
        } },
    });
    turn["responses"]["422"] = refused;
    let yes = |name: &str| json!({ "type": "object", "required": [name], "properties": { name: { "const": true } } });
    vec![
        (
            "/truth",
            json!({ "get": get("Everything that is true now.", &reference("Truth")) }),
        ),
        ("/truth/times", json!({ "get": times })),
        ("/truth/requests", json!({ "get": requests })),
        ("/truth/streams", json!({ "get": streams })),
        (
            "/truth/knobs",
            json!({ "get": get("The knobs as they stand.", &reference("Knobs")), "put": turn }),
        ),
        (
            "/truth/reset",
            json!({ "post": get("The account and the numbering of requests begin anew. What leaked stays.", &yes("reset")) }),
        ),
        (
            "/truth/leak/free",
            json!({ "post": get("Memory and descriptors leaked by the common faults are given back.", &yes("freed")) }),
        ),
    ]
}

fn get(summary: &str, schema: &Value) -> Value {
    json!({ "summary": summary, "responses": { "200": { "description": "The answer.", "content": content(schema) } } })
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn object() -> Value {
    json!({ "type": "object" })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let ns = json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } });
    let ns_or_null = json!({ "type": ["integer", "null"], "minimum": 0 });
    json!({
        "Refusal": { "type": "object", "required": ["detail"], "properties": { "detail": { "type": "string" } } },
        "Knobs": { "type": "object", "required": ["knobs", "common_knobs"], "properties": { "knobs": texts, "common_knobs": texts } },
        "Times": {
            "type": "object",
            "required": ["endpoint", "complete", "service_ns", "sojourn_ns"],
            "properties": {
                "endpoint": { "type": "string" },
                "complete": { "type": "boolean", "description": "False when there were more than are kept (500,000)." },
                "service_ns": ns, "sojourn_ns": ns,
            },
        },
        "Request": {
            "type": "object",
            "required": ["time_unix_ms", "preset", "id", "method", "path", "endpoint", "status", "bytes", "whole", "wait_ns",
                "service_ns", "sojourn_ns", "faults"],
            "properties": {
                "time_unix_ms": { "type": "number", "description": "When its head was read." },
                "preset": { "type": "string" },
                "id": { "type": ["string", "null"] },
                "method": { "type": "string" },
                "path": { "type": "string", "maxLength": 512, "description": "Without the query." },
                "endpoint": { "type": ["string", "null"] },
                "status": { "type": "integer", "description": "0 when it ended without an answer." },
                "bytes": { "type": "integer", "minimum": 0, "description": "Of the body, as handed to the connection." },
                "whole": { "type": "boolean", "description": "Whether that was the whole body." },
                "wait_ns": ns_or_null, "service_ns": ns_or_null, "sojourn_ns": { "type": "integer", "minimum": 0 },
                "faults": { "type": "array", "items": { "type": "string" }, "description": "Ids of the common faults that it met." },
            },
        },
        "Stream": {
            "type": "object",
            "required": ["seq", "id", "path", "arrived_unix_ms", "arrived_monotonic_ns", "tokens", "tokens_sent", "tokens_per_event",
                "opened_us", "ended_us", "outcome", "faults", "intended_us", "sent_us"],
            "properties": {
                "seq": { "type": "integer", "minimum": 1 },
                "id": { "type": "string", "description": "The request's x-request-id, or its number." },
                "arrived_monotonic_ns": { "type": "integer", "description": "CLOCK_MONOTONIC, when the whole request had been read." },
                "tokens_sent": { "type": "integer", "minimum": 0 },
                "opened_us": { "type": ["number", "null"], "description": "When the opening events left, after the arrival." },
                "ended_us": { "type": "number" },
                "outcome": { "enum": ["whole", "left", "faulted"] },
                "faults": { "type": "array", "items": { "type": "string" } },
                "intended_us": { "type": "array", "items": { "type": "number" },
                    "description": "For each event with tokens, when it was meant to leave after the arrival." },
                "sent_us": { "type": "array", "items": { "type": "number" }, "description": "When its write began." },
            },
        },
        "Truth": {
            "type": "object",
            "description": "A preset adds what else it knows of itself.",
            "required": ["preset", "seed", "faults", "knobs", "common_knobs", "common_faults", "service_model_ns", "endpoints"],
            "properties": {
                "preset": { "type": "string" },
                "seed": { "type": "integer", "minimum": 0 },
                "faults": {
                    "type": "array",
                    "description": "Faults in force: those of the preset, then the common ones.",
                    "items": { "type": "object", "required": ["id", "knob", "description"] },
                },
                "knobs": texts, "common_knobs": texts,
                "common_faults": {
                    "type": "object",
                    "required": ["on", "path", "requests", "applied", "delay_model_ns", "delay_ns", "waiting", "leaked"],
                },
                "service_model_ns": { "type": ["object", "null"] },
                "endpoints": { "type": "object", "additionalProperties": { "type": "object" } },
            },
        },
    })
}
