//! The OpenAPI document of the generation service.

use serde_json::{Value, json};

use super::{PROMPT_MAX, SIZES};

/// The whole document.
pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Generation service",
            "description": "Videos and images by the paths of OpenAI's video and response endpoints.",
            "version": "1",
        },
        "paths": paths(),
        "components": { "schemas": schemas() },
    })
}

fn paths() -> Value {
    let prompt = json!({ "type": "string", "minLength": 1, "maxLength": PROMPT_MAX });
    let create = json!({
        "type": "object",
        "properties": {
            "prompt": prompt,
            "model": { "type": "string", "enum": ["sora-2", "sora-2-pro"], "default": "sora-2" },
            "seconds": { "type": "string", "enum": ["4", "8", "12"], "default": "4" },
            "size": { "type": "string", "enum": SIZES, "default": SIZES[0] },
        },
        "required": ["prompt"],
    });
    let mut form = create.clone();
    form["properties"]["input_reference"] = json!({ "type": "string", "format": "binary" });
    let example =
        json!({ "prompt": "A paper boat on a pond", "model": "sora-2", "seconds": "4", "size": "720x1280" });
    json!({
        "/v1/videos": {
            "get": {
                "summary": "List videos",
                "parameters": [
                    { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 } },
                    { "name": "after", "in": "query", "schema": { "type": "string" } },
                    { "name": "order", "in": "query", "schema": { "type": "string", "enum": ["asc", "desc"], "default": "desc" } },
                ],
                "responses": answers("VideoList", &["400", "404"]),
            },
            "post": {
                "summary": "Create a video",
                "requestBody": { "required": true, "content": {
                    "application/json": { "schema": create, "example": example },
                    "multipart/form-data": { "schema": form },
                } },
                "responses": answers("Video", &["400", "408", "413", "415"]),
            },
        },
        "/v1/videos/{video_id}": {
            "get": {
                "summary": "A video's status",
                "parameters": [id("video_id")],
                "responses": answers("Video", &["404"]),
            },
            "delete": {
                "summary": "Delete a video",
                "parameters": [id("video_id")],
                "responses": answers("DeletedVideo", &["404"]),
            },
        },
        "/v1/videos/{video_id}/content": { "get": content() },
        "/v1/videos/{video_id}/remix": { "post": {
            "summary": "Change a completed video into a new one",
            "parameters": [id("video_id")],
            "requestBody": { "required": true, "content": { "application/json": {
                "schema": { "type": "object", "properties": { "prompt": prompt }, "required": ["prompt"] },
                "example": { "prompt": "The same at night" },
            } } },
            "responses": answers("Video", &["400", "404", "408", "413", "415"]),
        } },
        "/v1/responses": { "post": {
            "summary": "Create an image in the background",
            "requestBody": { "required": true, "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/CreateResponse" },
                "example": {
                    "model": "gpt-5", "input": "A lighthouse", "tools": [{ "type": "image_generation" }], "background": true,
                },
            } } },
            "responses": answers("Response", &["400", "408", "413", "415"]),
        } },
        "/v1/responses/{response_id}": { "get": {
            "summary": "An image's status, and the image when it is completed",
            "parameters": [id("response_id")],
            "responses": answers("Response", &["404"]),
        } },
        "/health": { "get": { "summary": "Health", "responses": { "200": {
            "description": "Successful Response",
            "content": { "application/json": { "schema": {
                "type": "object", "properties": { "status": { "const": "ok" } }, "required": ["status"],
            } } },
        } } } },
        "/metrics": { "get": { "summary": "Metrics", "responses": { "200": {
            "description": "Successful Response", "content": { "text/plain": { "schema": { "type": "string" } } },
        } } } },
        "/docs": { "get": { "summary": "This document as a page", "responses": { "200": {
            "description": "Successful Response", "content": { "text/html": { "schema": { "type": "string" } } },
        } } } },
    })
}

fn content() -> Value {
    let head = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "schema": { "type": "string" } })))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let bytes = |description: &str, names: &[&str]| {
        let binary = json!({ "schema": { "type": "string", "format": "binary" } });
        json!({
            "description": description,
            "headers": head(names),
            "content": { "video/mp4": binary, "image/webp": binary, "image/jpeg": binary },
        })
    };
    let mut responses = answers("Video", &["400", "404", "416"]);
    responses["200"] = bytes("The whole content", &["ETag", "Accept-Ranges", "Content-Length"]);
    responses["206"] = bytes("The range", &["ETag", "Content-Range", "Content-Length"]);
    responses["304"] =
        json!({ "description": "It is still what the client has", "headers": head(&["ETag"]) });
    let header = |name: &str| json!({ "name": name, "in": "header", "schema": { "type": "string" } });
    json!({
        "summary": "A completed video's content",
        "parameters": [
            id("video_id"),
            { "name": "variant", "in": "query", "schema": {
                "type": "string", "enum": ["video", "thumbnail", "spritesheet"], "default": "video",
            } },
            header("Range"), header("If-Range"), header("If-None-Match"),
        ],
        "responses": responses,
    })
}

fn id(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

/// The good answer, the given errors, and those that any call may have.
fn answers(schema: &str, errors: &[&str]) -> Value {
    let error = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ErrorAnswer" } } });
    let mut responses = json!({ "200": {
        "description": "Successful Response",
        "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    } });
    for status in errors.iter().chain(&["405", "429", "500", "503"]) {
        let description = match *status {
            "400" => "A field is wrong",
            "404" => "There is none, or not yet, or no longer",
            "405" => "Another method",
            "408" => "The body did not arrive in time",
            "413" => "The body is too large",
            "415" => "Neither JSON nor a form",
            "416" => "There is no such range",
            "429" => "Too many requests; see retry-after-ms",
            _ => "The service failed",
        };
        responses[*status] = json!({ "description": description, "content": error });
    }
    responses
}

fn schemas() -> Value {
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let text = json!({ "type": "string" });
    let whole = json!({ "type": "integer", "minimum": 0 });
    let status = json!({ "type": "string", "enum": ["queued", "in_progress", "completed", "failed"] });
    let failure = json!({
        "type": "object",
        "properties": { "code": text, "message": text },
        "required": ["code", "message"],
    });
    json!({
        "Video": {
            "type": "object",
            "properties": {
                "id": text,
                "object": { "const": "video" },
                "created_at": whole,
                "status": status,
                "progress": { "type": "integer", "minimum": 0, "maximum": 100 },
                "model": text,
                "seconds": text,
                "size": text,
                "prompt": text,
                "completed_at": or_null(whole.clone()),
                "expires_at": or_null(whole.clone()),
                "error": or_null(failure.clone()),
                "remixed_from_video_id": or_null(text.clone()),
            },
            "required": ["id", "object", "created_at", "status", "progress", "model", "seconds", "size"],
        },
        "VideoList": {
            "type": "object",
            "properties": {
                "object": { "const": "list" },
                "data": { "type": "array", "items": { "$ref": "#/components/schemas/Video" } },
                "first_id": or_null(text.clone()),
                "last_id": or_null(text.clone()),
                "has_more": { "type": "boolean" },
            },
            "required": ["object", "data", "has_more"],
        },
        "DeletedVideo": {
            "type": "object",
            "properties": { "id": text, "object": { "const": "video.deleted" }, "deleted": { "const": true } },
            "required": ["id", "object", "deleted"],
        },
        "CreateResponse": {
            "type": "object",
            "properties": {
                "model": { "type": "string", "minLength": 1 },
                "input": { "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "array", "minItems": 1, "items": { "type": "object" } }] },
                "tools": { "type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "properties": {
                        "type": { "const": "image_generation" },
                        "size": { "type": "string", "enum": ["auto", "1024x1024", "1024x1536", "1536x1024"] },
                    },
                    "required": ["type"],
                } },
                "previous_response_id": or_null(text.clone()),
                "background": { "const": true },
            },
            "required": ["model", "input", "tools", "background"],
        },
        "Response": {
            "type": "object",
            "properties": {
                "id": text,
                "object": { "const": "response" },
                "created_at": whole,
                "status": status,
                "output": { "type": "array", "items": {
                    "type": "object",
                    "properties": { "id": text, "type": { "const": "image_generation_call" }, "status": text, "result": or_null(text.clone()) },
                    "required": ["id", "type", "status"],
                } },
                "error": or_null(failure),
            },
            "required": ["id", "object", "created_at", "status", "output"],
        },
        "ErrorAnswer": {
            "type": "object",
            "properties": { "error": {
                "type": "object",
                "properties": { "message": text, "type": text, "param": or_null(text.clone()), "code": or_null(text) },
                "required": ["message", "type"],
            } },
            "required": ["error"],
        },
    })
}
