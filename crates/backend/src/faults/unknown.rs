//! Fields that a preset's own OpenAPI document does not name, taken out of a JSON body before the preset sees it: a strict service then
//! looks like one that ignores them.

use std::collections::HashSet;

use axum::body::Bytes;
use serde_json::Value;

/// References followed in one schema.
const DEPTH_MAX: usize = 8;

/// The bodies that the document describes.
#[derive(Debug, Default)]
pub(crate) struct Known {
    bodies: Vec<Described>,
}

#[derive(Debug)]
struct Described {
    method: String,
    segments: Vec<String>,
    fields: HashSet<String>,
}

impl Known {
    /// From an OpenAPI document. Bodies that allow any field are left out.
    pub(crate) fn new(document: &Value) -> Self {
        let mut bodies = Vec::new();
        let paths = document["paths"].as_object().into_iter().flatten();
        for (path, item) in paths {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let mut fields = HashSet::new();
                if collect(document, schema, &mut fields, 0) && !fields.is_empty() {
                    bodies.push(Described {
                        method: method.to_uppercase(),
                        segments: path.split('/').map(str::to_owned).collect(),
                        fields,
                    });
                }
            }
        }
        Self { bodies }
    }

    /// The body without unknown fields; `None` when there were none, or when nothing is known of it.
    pub(crate) fn strip(&self, method: &str, path: &str, body: &[u8]) -> Option<Bytes> {
        let described = self
            .bodies
            .iter()
            .find(|described| described.method == method && described.is_at(path))?;
        let Value::Object(mut fields) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let before = fields.len();
        fields.retain(|name, _| described.fields.contains(name));
        (fields.len() < before).then(|| Value::Object(fields).to_string().into())
    }
}

impl Described {
    fn is_at(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        segments.len() == self.segments.len()
            && self
                .segments
                .iter()
                .zip(segments)
                .all(|(template, segment)| template.starts_with('{') || template == segment)
    }
}

/// Adds the fields of an object's schema; whether they are all that it allows.
fn collect(document: &Value, schema: &Value, fields: &mut HashSet<String>, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer));
        return target.is_some_and(|target| collect(document, target, fields, depth + 1));
    }
    let open = schema["additionalProperties"] == true || schema["additionalProperties"].is_object();
    let named = schema["properties"].as_object();
    fields.extend(named.into_iter().flatten().map(|(name, _)| name.clone()));
    let parts: Vec<&Value> = ["allOf", "anyOf", "oneOf"]
        .iter()
        .flat_map(|of| schema[*of].as_array().into_iter().flatten())
        .collect();
    let closed = parts
        .iter()
        .all(|part| part["type"] == "null" || collect(document, part, fields, depth + 1));
    !open && closed && (named.is_some() || !parts.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_where_the_document_is_closed() {
        let known = Known::new(&json!({
            "paths": {
                "/a/{id}": { "post": { "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } } },
                "/open": { "post": { "requestBody": { "content": { "application/json": { "schema":
                    { "properties": { "x": {} }, "additionalProperties": true } } } } } },
            },
            "components": { "schemas": { "A": { "allOf": [{ "properties": { "x": {} } }, { "properties": { "y": {} } }] } } },
        }));
        let strip = |path: &str, body: &str| known.strip("POST", path, body.as_bytes());
        assert_eq!(
            strip("/a/7", r#"{"x":1,"z":2,"y":3}"#).unwrap(),
            r#"{"x":1,"y":3}"#
        );
        assert_eq!(strip("/a/7", r#"{"x":1}"#), None);
        assert_eq!(strip("/a/7/b", r#"{"z":1}"#), None);
        assert_eq!(strip("/open", r#"{"z":1}"#), None);
        assert_eq!(strip("/a/7", "[1]"), None);
    }
}
