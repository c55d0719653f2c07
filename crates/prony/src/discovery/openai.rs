//! OpenAI-compatible servers: chat completions, completions, responses and embeddings, known by their list of models, by a document
//! that names them, or by the error to an empty request. It must not know any server by name.

use prony_model::{Request, Surface};
use serde_json::{Value, json};

use super::Fetch;
use super::llm::{self, Models, TOKENS_MAX};
use crate::text;

/// An endpoint of this API.
struct Known {
    path: &'static str,
    /// Where a good answer has something.
    check: &'static str,
    /// The field that takes the prompt.
    input: &'static str,
    /// The request for one prompt to one model.
    body: fn(&str, &str) -> Value,
}

/// Words in the names of models that make embeddings.
const EMBEDS: &[&str] = &["embed", "bge-", "e5-", "gte-", "minilm"];

const KNOWN: [Known; 4] = [
    Known {
        path: "/v1/chat/completions",
        check: "/choices/0",
        input: "messages",
        body: |model, prompt| json!({"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS_MAX, "temperature": 0}),
    },
    Known {
        path: "/v1/completions",
        check: "/choices/0",
        input: "prompt",
        body: |model, prompt| json!({"model": model, "prompt": prompt, "max_tokens": TOKENS_MAX, "temperature": 0}),
    },
    Known {
        path: "/v1/responses",
        check: "/output/0",
        input: "input",
        body: |model, prompt| json!({"model": model, "input": prompt, "max_output_tokens": TOKENS_MAX}),
    },
    Known {
        path: "/v1/embeddings",
        check: "/data/0/embedding",
        input: "input",
        body: |model, prompt| json!({"model": model, "input": prompt}),
    },
];

/// Adds what is there, asked with few tokens and not streamed. `has_other` says that the API's endpoints for sound or pictures
/// were found.
pub(super) fn find(
    fetch: &mut dyn Fetch,
    models: &Models,
    documented: bool,
    has_other: bool,
    surface: &mut Surface,
) {
    let there: Vec<&Known> = KNOWN
        .iter()
        .filter(|known| {
            let path = models.at(known.path);
            llm::is_documented(surface, &path) || (!documented && is_refused_in_kind(fetch, models, &path))
        })
        .collect();
    let Some(model) = &models.first else {
        if !there.is_empty() && models.asks_for_key {
            surface.found_by.push(
                "OpenAI-compatible, and asks for a key: give it with --bearer-env VARIABLE, or --api-key-env VARIABLE for the \
                 header x-api-key"
                    .to_owned(),
            );
            // They are asked all the same, so that the report says that they were not tested, and why.
            put(there, models, |_| "unknown", surface);
        }
        return;
    };
    // A list of models in this form is the API's mark; then its main endpoint is taken for granted, unless another was found.
    let granted = there.is_empty() && !documented && !has_other;
    let found: Vec<&Known> = if granted {
        KNOWN.iter().take(1).collect()
    } else {
        there
    };
    if found.is_empty() {
        return;
    }
    surface.found_by.push(format!(
        "OpenAI-compatible: model {} at {}",
        text::clean(model, 60),
        text::clean(&models.at("/v1/models"), 80)
    ));
    let model = |known: &Known| match known.path {
        "/v1/embeddings" => models.named(EMBEDS).unwrap_or(model),
        _ => model,
    };
    put(found, models, model, surface);
}

fn put<'a>(known: Vec<&Known>, models: &Models, model: impl Fn(&Known) -> &'a str, surface: &mut Surface) {
    for known in known {
        let path = models.at(known.path);
        llm::put(surface, &path, known.check, known.input, |prompt| {
            Request::json("POST", &path, &(known.body)(model(known), prompt))
        });
    }
}

/// Whether an empty request is refused in the form of this API: an `error` without the `type` that Anthropic puts beside it, or
/// the validation errors of a common framework.
fn is_refused_in_kind(fetch: &mut dyn Fetch, models: &Models, path: &str) -> bool {
    models.refusal(fetch, path).is_some_and(|(_, body)| {
        let of_api = body.get("error").is_some() && body.get("type").is_none();
        of_api || body.get("detail").is_some() || body.get("message").is_some()
    })
}
