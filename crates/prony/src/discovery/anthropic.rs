//! Anthropic Messages and its token count, known by a document that names them or by the error to an empty request. It must not
//! know any server by name.

use prony_model::{Header, Request, Surface};
use serde_json::{Value, json};

use super::Fetch;
use super::llm::{self, Models, TOKENS_MAX};
use crate::text;

const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";
/// The version of the API that clients name.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Adds what is there, asked with few tokens and not streamed.
pub(super) fn find(fetch: &mut dyn Fetch, models: &Models, surface: &mut Surface) {
    let (messages_at, count_at) = (models.at(MESSAGES), models.at(COUNT));
    let documented = llm::is_documented(surface, &messages_at);
    if !documented {
        let kind =
            if llm::has_document(surface) && !surface.endpoints.iter().any(|e| e.path.starts_with("/v1/")) {
                None
            } else {
                models
                    .refusal(fetch, &messages_at)
                    .filter(|(_, body)| is_in_kind(body))
            };
        let Some((status, _)) = kind else { return };
        if matches!(status, 401 | 403) && models.first.is_none() {
            surface.found_by.push(key_hint());
            return;
        }
    }
    let counts = llm::is_documented(surface, &count_at)
        || (!documented
            && models
                .refusal(fetch, &count_at)
                .is_some_and(|(_, body)| is_in_kind(&body)));
    let Some(model) = models
        .first
        .clone()
        .or_else(|| documented_model(surface, &messages_at))
    else {
        surface.found_by.push(if models.asks_for_key {
            key_hint()
        } else {
            format!(
                "Anthropic Messages at {}, but no list of models: name one in a suite",
                text::clean(&messages_at, 80)
            )
        });
        return;
    };
    surface.found_by.push(format!(
        "Anthropic Messages: model {} at {}",
        text::clean(&model, 60),
        text::clean(&messages_at, 80)
    ));
    let request = |path: &str, body: &Value| {
        let mut request = Request::json("POST", path, body);
        request.headers.push(Header::new(VERSION.0, VERSION.1));
        request
    };
    llm::put(surface, &messages_at, "/content/0", "messages", |prompt| {
        let messages = json!([{"role": "user", "content": prompt}]);
        request(
            &messages_at,
            &json!({"model": model, "max_tokens": TOKENS_MAX, "messages": messages}),
        )
    });
    if counts {
        llm::put(surface, &count_at, "/input_tokens", "messages", |prompt| {
            let messages = json!([{"role": "user", "content": prompt}]);
            request(&count_at, &json!({"model": model, "messages": messages}))
        });
    }
}

fn key_hint() -> String {
    "Anthropic Messages, and asks for a key: give it with --api-key-env VARIABLE, which is sent as x-api-key"
        .to_owned()
}

/// The form of this API's errors.
fn is_in_kind(body: &Value) -> bool {
    body.get("type").is_some_and(|kind| kind == "error") && body.pointer("/error/type").is_some()
}

/// The model that the document's own example names.
fn documented_model(surface: &Surface, path: &str) -> Option<String> {
    let endpoint = surface.endpoints.iter().find(|e| e.path == path)?;
    let sample = endpoint.samples.first()?;
    let prony_model::Body::Text(body) = &sample.request.body else {
        return None;
    };
    let json: Value = serde_json::from_str(body).ok()?;
    Some(json.get("model")?.as_str()?.to_owned())
}
