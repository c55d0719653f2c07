//! What the APIs of language models have in common: a list of models, prompts for short answers, and errors by which an API is
//! known though it was asked nothing. It sends no request that generates anything.

use std::collections::BTreeMap;

use prony_model::{BodyCheck, Captured, Endpoint, Request, SampleRequest, Surface};
use serde_json::{Value, json};

use super::protocols::{PROMPTS, work};
use super::{Fetch, Hints};

/// Requests of each endpoint: generations are dear.
const SAMPLES: usize = 4;
/// Most models of a list that are looked at.
const MODELS_MAX: usize = 200;
/// Tokens of an answer, at most.
pub(super) const TOKENS_MAX: u32 = 16;

/// Words in the names of models that do not write text.
const NO_TEXT: &[&str] = &[
    "whisper",
    "transcri",
    "parakeet",
    "tts",
    "kokoro",
    "speech",
    "embed",
    "bge-",
    "rerank",
    "diffusion",
    "dall-e",
    "flux",
    "image",
];

/// The list of models.
#[derive(Debug)]
pub(super) struct Models {
    /// The first model served that may write text, else the first of all.
    pub(super) first: Option<String>,
    /// Every model listed, up to a bound.
    all: Vec<String>,
    /// Whether the list asks for a key.
    pub(super) asks_for_key: bool,
    /// The answer itself.
    pub(super) listing: Captured,
    /// What stands before `/v1` in every path of the API.
    base: String,
    /// The answer to a path that cannot exist.
    elsewhere: Captured,
}

impl Models {
    /// Asks for it. Both dialects keep it at the same place, and in the same form as far as needed here: at the root, or where the
    /// URL given ends in `/v1`.
    pub(super) fn ask(fetch: &mut dyn Fetch, hints: &Hints<'_>) -> Self {
        let mut base = before(hints.path, "/v1").to_owned();
        let mut listing = fetch.fetch(&Request::get(format!("{base}/v1/models")));
        if !base.is_empty() && !matches!(listing.status, 200 | 401 | 403) {
            base.clear();
            listing = fetch.fetch(&Request::get("/v1/models"));
        }
        let json = listing
            .json()
            .filter(|_| listing.status == 200)
            .unwrap_or_default();
        let entries = json.get("data").and_then(Value::as_array);
        let ids = entries.into_iter().flatten().take(MODELS_MAX);
        let all: Vec<String> = ids
            .filter_map(|entry| entry.get("id").and_then(Value::as_str))
            .map(str::to_owned)
            .collect();
        let writes = |name: &&String| !has_word(name, NO_TEXT);
        let first = all.iter().find(writes).or(all.first()).cloned();
        Self {
            first,
            all,
            asks_for_key: matches!(listing.status, 401 | 403),
            listing,
            base,
            elsewhere: hints.elsewhere.clone(),
        }
    }

    /// Where a path of the API is on this target.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The error to an empty request at a path that no document names: its status and body. `None` where nothing is there, and
    /// where the target asks for credentials in the same words wherever it is asked.
    pub(super) fn refusal(&self, fetch: &mut dyn Fetch, path: &str) -> Option<(u16, Value)> {
        let answer = fetch.fetch(&Request::json("POST", path, &json!({})));
        let there = (400..500).contains(&answer.status) && !matches!(answer.status, 404 | 405);
        let json = answer.json().filter(|_| there)?;
        let says_nothing = is_guard(&answer)
            && is_guard(&self.elsewhere)
            && self
                .elsewhere
                .json()
                .is_some_and(|own| shape(&own) == shape(&json));
        (!says_nothing).then_some((answer.status, json))
    }

    /// The first model whose name has one of these words, else the first of all.
    pub(super) fn named(&self, words: &[&str]) -> Option<&str> {
        let named = self.all.iter().find(|name| has_word(name, words));
        named.or(self.all.first()).map(String::as_str)
    }
}

/// Whether a name has one of these words, in any case.
fn has_word(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// Whether a document names a POST at that path.
pub(super) fn is_documented(surface: &Surface, path: &str) -> bool {
    surface
        .endpoints
        .iter()
        .any(|e| e.path == path && e.method == "POST")
}

/// Whether any document was found.
pub(super) fn has_document(surface: &Surface) -> bool {
    surface.endpoints.iter().any(Endpoint::is_work)
}

/// Whether an answer asks for credentials.
pub(super) fn is_guard(answer: &Captured) -> bool {
    matches!(answer.status, 401 | 403)
}

/// A value without what it holds: its keys and kinds.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, own)| (key.clone(), shape(own)))
            .collect(),
        Value::Array(_) => json!([]),
        _ => Value::Null,
    }
}

/// What stands before the last segment of a path where that is this one; else nothing.
pub(super) fn before<'a>(path: &'a str, last: &str) -> &'a str {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    path.strip_suffix(last).unwrap_or_default()
}

/// Puts an endpoint whose requests are known to be right in the place of the document's, whose requests are made up. What the
/// document declares of it is kept.
pub(super) fn put(
    surface: &mut Surface,
    path: &str,
    check: &str,
    inputs: &str,
    request: impl Fn(&str) -> Request,
) {
    let samples: Vec<SampleRequest> = PROMPTS
        .iter()
        .take(SAMPLES)
        .map(|prompt| SampleRequest {
            request: request(prompt),
            inputs: BTreeMap::from([(inputs.to_owned(), (*prompt).to_owned())]),
        })
        .collect();
    put_made(
        surface,
        work(path, samples, vec![BodyCheck::Json(check.to_owned())]),
    );
}

/// The same for an endpoint with its requests.
pub(super) fn put_made(surface: &mut Surface, made: Endpoint) {
    let path = made.path.clone();
    let declared = surface
        .endpoints
        .iter()
        .position(|e| e.path == path && e.method == "POST");
    match declared {
        Some(at) => {
            let known = &mut surface.endpoints[at];
            *known = Endpoint {
                declared_statuses: std::mem::take(&mut known.declared_statuses),
                parameters: std::mem::take(&mut known.parameters),
                body_schema: known.body_schema.take(),
                ..made
            };
        }
        None => surface.endpoints.push(made),
    }
}
