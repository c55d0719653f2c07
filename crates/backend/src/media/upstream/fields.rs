//! The fields of a POST: a JSON object or a multipart form, as the service's SDKs send them.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyDataStream, Full};
use serde_json::{Map, Value, json};

use super::refusal::{bad_field, refusal};
use crate::fastapi::reply::Reply;

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: Map<String, Value>,
    /// The one file.
    pub(super) file: Option<File>,
}

/// A file in a form.
#[derive(Debug)]
pub(super) struct File {
    /// Its bytes.
    pub(super) bytes: Bytes,
}

impl Fields {
    /// Reads a body.
    pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Reply> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if let Ok(boundary) = multer::parse_boundary(content_type) {
            return Self::form(boundary, body).await;
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported content type. Send application/json or multipart/form-data.",
                None,
                Some("unsupported_content_type"),
            ));
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(values)) => Ok(Self { values, file: None }),
            Ok(_) => Err(unreadable("The body must be a JSON object.")),
            Err(_) => Err(unreadable("We could not parse the JSON body of your request.")),
        }
    }

    async fn form(boundary: String, body: Bytes) -> Result<Self, Reply> {
        let broken = |_| unreadable("We could not parse the form of your request.");
        let mut form = multer::Multipart::new(BodyDataStream::new(Full::new(body)), boundary);
        let mut fields = Self::default();
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            if field.file_name().is_some() {
                if name != "input_reference" {
                    return Err(bad_field(&name, "Unknown file field."));
                }
                let bytes = field.bytes().await.map_err(broken)?;
                fields.file = Some(File { bytes });
            } else {
                let text = field.text().await.map_err(broken)?;
                fields.values.insert(name, json!(text));
            }
        }
        Ok(fields)
    }

    /// Any value.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A required text of bounded length.
    pub(super) fn prompt(&self, chars_max: usize) -> Result<String, Reply> {
        match self.get("prompt") {
            None => Err(refusal(
                StatusCode::BAD_REQUEST,
                "Missing required parameter: 'prompt'.",
                Some("prompt"),
                Some("missing_required_parameter"),
            )),
            Some(Value::String(text)) if (1..=chars_max).contains(&text.chars().count()) => Ok(text.clone()),
            Some(_) => Err(bad_field(
                "prompt",
                &format!("'prompt' must be a string of 1 to {chars_max} characters."),
            )),
        }
    }

    /// One of a few words.
    pub(super) fn choice(&self, name: &str, words: &[&'static str]) -> Result<&'static str, Reply> {
        let Some(value) = self.get(name) else {
            return Ok(words[0]);
        };
        let text = value.as_str().unwrap_or_default();
        words.iter().find(|word| **word == text).copied().ok_or_else(|| {
            let listed: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            let message = format!(
                "Invalid value: {value}. Supported values are: {}.",
                listed.join(", ")
            );
            bad_field(name, &message)
        })
    }
}

fn unreadable(message: &str) -> Reply {
    refusal(StatusCode::BAD_REQUEST, message, None, None)
}
