//! The JSON Schemas of what tools give back.

use serde_json::{Value, json};

fn object(properties: impl Into<Value>, required: &[&str]) -> Value {
    let properties: Value = properties.into();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn text_or_null() -> Value {
    json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn pair() -> Value {
    json!({ "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 2, "maxItems": 2 })
}

fn status() -> Value {
    json!({ "type": "string", "enum": ["queued", "in_progress", "completed", "failed"] })
}

/// The calls behind a result.
pub(super) fn upstream() -> Value {
    let failure = object(
        json!({ "cause": text(), "retried": { "type": "boolean" }, "wait_ms": { "type": "number", "minimum": 0 } }),
        &["cause", "retried"],
    );
    let mut schema = object(
        json!({ "attempts": count(), "failures": { "type": "array", "items": failure } }),
        &["attempts", "failures"],
    );
    schema["description"] = json!("Calls to the generation service that this took, and those that failed");
    schema
}

/// A video job.
pub(super) fn video() -> Value {
    let number_or_null = json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] });
    object(
        json!({
            "id": text(),
            "object": { "const": "video" },
            "created_at": count(),
            "status": status(),
            "progress": { "type": "integer", "minimum": 0, "maximum": 100 },
            "model": text(),
            "seconds": text(),
            "size": text(),
            "prompt": text_or_null(),
            "completed_at": number_or_null,
            "expires_at": number_or_null,
            "error": { "anyOf": [{ "type": "object" }, { "type": "null" }] },
            "remixed_from_video_id": text_or_null(),
        }),
        &[
            "id",
            "object",
            "created_at",
            "status",
            "progress",
            "model",
            "seconds",
            "size",
        ],
    )
}

/// A file from a video.
pub(super) fn download() -> Value {
    object(
        json!({ "filename": text(), "path": text(), "variant": text(), "bytes": count(), "sha256": text() }),
        &["filename", "path", "variant"],
    )
}

/// A page of videos.
pub(super) fn list() -> Value {
    let summary = object(
        json!({
            "id": text(), "status": status(), "created_at": count(), "seconds": text(), "size": text(),
            "model": text(), "progress": count(),
        }),
        &[
            "id",
            "status",
            "created_at",
            "seconds",
            "size",
            "model",
            "progress",
        ],
    );
    object(
        json!({ "data": { "type": "array", "items": summary }, "has_more": { "type": "boolean" }, "last": text_or_null() }),
        &["data", "has_more", "last"],
    )
}

/// A deletion.
pub(super) fn deleted() -> Value {
    object(
        json!({ "id": text(), "object": { "const": "video.deleted" }, "deleted": { "type": "boolean" } }),
        &["id", "object", "deleted"],
    )
}

/// Images in the folder.
pub(super) fn references() -> Value {
    let image = object(
        json!({
            "filename": text(), "size_bytes": count(), "modified_timestamp": count(),
            "file_type": { "type": "string", "enum": ["jpeg", "png", "webp"] },
        }),
        &["filename", "size_bytes", "modified_timestamp", "file_type"],
    );
    object(json!({ "data": { "type": "array", "items": image } }), &["data"])
}

/// A resized image.
pub(super) fn prepared() -> Value {
    object(
        json!({
            "output_filename": text(), "original_size": pair(), "target_size": pair(),
            "resize_mode": text(), "path": text(),
        }),
        &[
            "output_filename",
            "original_size",
            "target_size",
            "resize_mode",
            "path",
        ],
    )
}

/// An image job.
pub(super) fn image() -> Value {
    object(
        json!({ "id": text(), "status": status(), "created_at": { "type": "number" } }),
        &["id", "status", "created_at"],
    )
}

/// A file from an image job.
pub(super) fn image_file() -> Value {
    object(
        json!({ "filename": text(), "path": text(), "size": pair(), "format": text() }),
        &["filename", "path", "size", "format"],
    )
}
