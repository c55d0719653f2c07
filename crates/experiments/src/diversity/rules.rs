//! What names say: which inputs ought to matter, which leaves are results, noise or boilerplate.
//!
//! Only naming habits that are common to HTTP services; nothing about any one of them.

use prony_model::{Endpoint, Place};
use serde_json::Value;

use crate::leaf::{Leaf, has_word, is_prose, leaves};

/// The JSON Schema of an input, whether parameter or body field.
fn schema<'a>(endpoint: &'a Endpoint, field: &str) -> Option<&'a Value> {
    endpoint
        .parameters
        .iter()
        .find(|p| p.name == field)
        .map(|p| &p.schema.0)
        .or_else(|| {
            let body = endpoint.body_schema.as_ref()?;
            body.0.get("properties")?.get(field)
        })
}

fn is_required(endpoint: &Endpoint, field: &str) -> bool {
    if let Some(parameter) = endpoint.parameters.iter().find(|p| p.name == field) {
        return parameter.required || parameter.place == Place::Path;
    }
    let listed = endpoint
        .body_schema
        .as_ref()
        .and_then(|s| s.0.get("required"))
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|name| name == field));
    listed || endpoint.path.contains(&format!("{{{field}}}")) || schema(endpoint, field).is_none()
}

fn schema_type(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Names of inputs that steer an answer or only label it: they may change nothing.
const STEERING: &[&str] = &[
    "top",
    "limit",
    "offset",
    "page",
    "size",
    "max",
    "min",
    "count",
    "num",
    "temperature",
    "seed",
    "format",
    "mode",
    "language",
    "lang",
    "locale",
    "model",
    "user",
    "session",
    "request",
    "trace",
    "idempotency",
    "callback",
    "webhook",
    "url",
    "token",
    "key",
    "password",
    "email",
    "tag",
    "version",
    "priority",
    "timeout",
    "stream",
    "conversation",
    "tenant",
    "client",
    "agent",
    "namespace",
    "collection",
    "timezone",
];

/// Whether an answer that does not depend on this input is a defect: a required text, list or object that is not
/// an option.
pub(super) fn must_matter(endpoint: &Endpoint, field: &str) -> bool {
    let kind_matters = schema(endpoint, field).is_none_or(|s| {
        s.get("enum").is_none() && matches!(schema_type(s), "string" | "array" | "object" | "")
    });
    is_required(endpoint, field) && kind_matters && !has_word(field, STEERING)
}

/// Whether an answer that does not depend on this input deserves a warning: a required choice from a list.
pub(super) fn ought_to_matter(endpoint: &Endpoint, field: &str) -> bool {
    is_required(endpoint, field) && !choices(endpoint, field).is_empty()
}

/// The values that the document lists for an input.
pub(super) fn choices<'a>(endpoint: &'a Endpoint, field: &str) -> &'a [Value] {
    schema(endpoint, field)
        .and_then(|s| s.get("enum"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Whether its schema says which values or which form of text the input takes.
pub(super) fn is_narrowed(endpoint: &Endpoint, field: &str) -> bool {
    schema(endpoint, field).is_some_and(|s| {
        ["enum", "const", "pattern", "format"]
            .iter()
            .any(|k| s.get(*k).is_some())
    })
}

/// Most characters that the input takes.
pub(super) fn chars_max(endpoint: &Endpoint, field: &str) -> usize {
    schema(endpoint, field)
        .and_then(|s| s.get("maxLength"))
        .and_then(Value::as_u64)
        .map_or(usize::MAX, |max| max as usize)
}

/// Longest name of a thing, in bytes: what is longer is a text or encoded bytes.
const NAME_BYTES_MAX: usize = 200;

/// Whether the value of an input can only be a name of something that the target holds, or several: what Prony makes up holds words,
/// numbers with a fraction, addresses or encoded bytes.
pub(super) fn names_things(value: &str) -> bool {
    let is_name = |text: &str| {
        text.len() <= NAME_BYTES_MAX && !text.contains(char::is_whitespace) && !text.contains("://")
    };
    match serde_json::from_str::<Value>(value) {
        Ok(document @ (Value::Array(_) | Value::Object(_))) => {
            leaves(&document).iter().all(|leaf| match &leaf.value {
                Value::String(text) => is_name(text),
                Value::Number(number) => !number.is_f64(),
                _ => true,
            })
        }
        Ok(Value::Number(number)) => !number.is_f64(),
        _ => is_name(value),
    }
}

/// Whether the input takes any text.
pub(super) fn is_free_text(endpoint: &Endpoint, field: &str) -> bool {
    let plain = schema(endpoint, field).is_none_or(|s| matches!(schema_type(s), "string" | ""))
        && !is_narrowed(endpoint, field)
        && chars_max(endpoint, field) >= 64;
    let last = prony_model::name_words(field).pop().unwrap_or_default();
    plain
        && [
            "query",
            "q",
            "prompt",
            "text",
            "question",
            "search",
            "sentence",
            "utterance",
            "instruction",
            "phrase",
        ]
        .contains(&last.as_str())
}

/// Words of names that tell when something was, or how long it took.
pub(crate) const TIME_WORDS: &[&str] = &[
    "timestamp",
    "time",
    "elapsed",
    "duration",
    "latency",
    "took",
    "created",
    "updated",
    "date",
    "uptime",
];

/// Ends of such names.
pub(crate) const TIME_ENDS: &[&str] = &["_ms", "_at", "_us", "_ns"];

/// Leaves that may differ between two answers to the same request without meaning anything.
pub(crate) fn is_noise_by_name(leaf: &Leaf) -> bool {
    let key = leaf.key();
    has_word(key, TIME_WORDS)
        || TIME_ENDS.iter().any(|end| key.ends_with(end))
        || has_word(key, &["uuid", "trace", "nonce", "request"])
}

/// Names of leaves that carry what the endpoint is for.
const RESULTS: &[&str] = &[
    "score",
    "prediction",
    "predicted",
    "label",
    "class",
    "category",
    "result",
    "answer",
    "output",
    "embedding",
    "vector",
    "similarity",
    "similar",
    "distance",
    "probability",
    "prob",
    "confidence",
    "text",
    "completion",
    "choice",
    "content",
    "summary",
    "translation",
    "sentiment",
    "match",
    "hit",
    "box",
    "bbox",
    "detection",
    "object",
    "relevance",
    "rank",
    "caption",
    "transcript",
    "entity",
    "logit",
    "feature",
    "hypothesis",
    "topic",
    "intent",
    "emotion",
    "estimate",
    "forecast",
    "risk",
    "diagnosis",
    "finding",
    "report",
    "response",
    "generated",
    "segment",
    "mask",
    "polygon",
    "keypoint",
    "document",
    "doc",
    "passage",
    "chunk",
    "neighbor",
    "neighbour",
    "candidate",
    "evidence",
    "attention",
];

/// Whether a key names what the endpoint is for.
pub(super) fn is_result(key: &str) -> bool {
    has_word(key, RESULTS)
}

/// How much a set of leaves could tell inputs apart, were they computed: a text 4, a number with a fraction 2, any
/// other number or name 1, a truth value 0. Zero when none of them looks like a result.
pub(super) fn substance<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> u32 {
    let mut sum = 0;
    let mut results = 0;
    let mut listed = 0;
    for leaf in leaves {
        results += u32::from(has_word(&leaf.pattern, RESULTS));
        listed += u32::from(leaf.pattern.contains("[]") && leaf.value.is_number());
        sum += match &leaf.value {
            Value::String(text) if is_prose(text) => 4,
            Value::Number(n) if n.is_f64() => 2,
            Value::Number(_) | Value::String(_) => 1,
            _ => 0,
        };
    }
    if results > 0 || listed >= 3 { sum } else { 0 }
}

/// Whether the answer only says that work was accepted.
pub(super) fn is_acceptance<'a>(status: u16, leaves: impl Iterator<Item = &'a Leaf>) -> bool {
    const WAITING: &[&str] = &[
        "pending",
        "queued",
        "accepted",
        "processing",
        "submitted",
        "scheduled",
        "running",
        "started",
    ];
    status == 202
        || leaves
            .filter(|leaf| has_word(leaf.key(), &["status", "state"]))
            .any(|leaf| leaf.value.as_str().is_some_and(|text| has_word(text, WAITING)))
}

/// What kind of text a leaf of prose is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prose {
    /// Named like something that was written for this input.
    Generated,
    /// Could be either.
    Neutral,
    /// Named like something that is the same for everyone.
    Boilerplate,
}

/// Judges a leaf of prose by its name.
pub(super) fn prose_kind(leaf: &Leaf) -> Prose {
    const SAME_FOR_ALL: &[&str] = &[
        "disclaimer",
        "limitation",
        "safety",
        "note",
        "notice",
        "warning",
        "license",
        "licence",
        "copyright",
        "term",
        "legal",
        "caution",
        "help",
        "usage",
        "task",
        "instruction",
        "title",
        "model",
        "source",
        "method",
    ];
    const WRITTEN: &[&str] = &[
        "summary",
        "text",
        "report",
        "answer",
        "content",
        "explanation",
        "finding",
        "narrative",
        "impression",
        "caption",
        "conclusion",
        "reasoning",
        "response",
        "output",
        "generated",
        "completion",
        "translation",
        "story",
        "reply",
        "result",
        "analysis",
        "transcript",
        "rationale",
    ];
    if has_word(leaf.key(), SAME_FOR_ALL) {
        Prose::Boilerplate
    } else if has_word(leaf.key(), WRITTEN) {
        Prose::Generated
    } else {
        Prose::Neutral
    }
}

/// Words of names under which classes stand.
const CLASSES: &[&str] = &[
    "prediction",
    "predicted",
    "label",
    "class",
    "category",
    "sentiment",
    "decision",
    "diagnosis",
    "intent",
    "verdict",
    "outcome",
    "result",
    "classification",
    "emotion",
    "topic",
    "grade",
];

/// Largest number that may be the code of a class.
const CLASS_CODE_MAX: u64 = 999;

/// Whether a leaf may be a class or the code of one: a short word, a truth value or a small whole number under a name like
/// `prediction`.
pub(super) fn is_class_like(leaf: &Leaf) -> bool {
    let short = match &leaf.value {
        Value::String(text) => {
            !text.is_empty() && text.chars().count() <= 40 && text.split_whitespace().count() <= 4
        }
        Value::Bool(_) => true,
        Value::Number(number) => number.as_u64().is_some_and(|code| code <= CLASS_CODE_MAX),
        _ => false,
    };
    short && has_word(leaf.key(), CLASSES)
}

/// Whether a leaf names the class of the answer: a short word or a truth value, and no word of success.
pub(super) fn is_class(leaf: &Leaf) -> bool {
    let says_success = leaf.value.as_str().is_some_and(|text| {
        has_word(
            text,
            &[
                "ok",
                "success",
                "succeeded",
                "done",
                "completed",
                "complete",
                "error",
                "none",
                "unknown",
            ],
        )
    });
    !leaf.value.is_number() && is_class_like(leaf) && !says_success && is_single(leaf)
}

/// Whether classes are all that these leaves say: many inputs may rightly share them, as they may not share a text, a number with a
/// fraction, or a list of numbers.
pub(super) fn are_only_classes<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> bool {
    let mut classes = 0;
    for leaf in leaves {
        let is_limit = has_word(leaf.key(), LIMITS);
        let says_more = match &leaf.value {
            Value::String(text) => is_prose(text) || is_result(leaf.key()),
            Value::Number(number) => {
                !is_limit && (number.is_f64() || is_result(leaf.key()) || leaf.pattern.contains("[]"))
            }
            _ => false,
        };
        // Of a list only the first: several are a list of results.
        let is_first = leaf.path.split('[').skip(1).all(|index| index.starts_with("0]"));
        if is_first && is_class_like(leaf) {
            classes += 1;
        } else if says_more {
            return false;
        }
    }
    classes > 0
}

/// Most numbers that may be the certainties of classes: more are a vector.
const CERTAINTIES_MAX: u32 = 32;

/// Whether all that these leaves say is that something is quite sure: classes, with certainties of exactly 0 or 1. A classifier that is
/// sure gives every input of a kind the same.
pub(super) fn is_sure<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> bool {
    let mut certainties = 0;
    for leaf in leaves {
        let may_be_class = is_class_like(leaf);
        let says_more = match &leaf.value {
            Value::String(text) => is_prose(text) || (is_result(leaf.key()) && !may_be_class),
            Value::Number(_) if is_full(leaf) => {
                certainties += 1;
                false
            }
            Value::Number(number) => {
                let is_set = may_be_class || has_word(leaf.key(), LIMITS);
                !is_set && (number.is_f64() || is_result(leaf.key()) || leaf.pattern.contains("[]"))
            }
            _ => false,
        };
        if says_more {
            return false;
        }
    }
    (1..=CERTAINTIES_MAX).contains(&certainties)
}

/// Whether a leaf is a certainty of exactly 0 or 1: a number with a fraction, or a whole one whose name says so.
pub(super) fn is_full(leaf: &Leaf) -> bool {
    let is_share = leaf.value.is_f64() || is_certainty(leaf);
    let is_end = |v: f64| (0.0..=1.0).contains(&v) && v.fract() == 0.0;
    is_share && leaf.value.as_f64().is_some_and(is_end) && !has_word(leaf.key(), LIMITS)
}

/// Whether a leaf is a share of certainty: a number in [0, 1] under a name like `confidence`.
pub(super) fn is_certainty(leaf: &Leaf) -> bool {
    leaf.value.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v))
        && is_single(leaf)
        && has_word(
            leaf.key(),
            &[
                "confidence",
                "score",
                "probability",
                "prob",
                "certainty",
                "likelihood",
            ],
        )
        && !has_word(leaf.key(), LIMITS)
}

/// Words of names of numbers that were set, not computed.
const LIMITS: &[&str] = &["threshold", "min", "max", "cutoff"];

/// Whether a leaf speaks for the whole answer: outside lists, or in the first entry of a list of predictions.
fn is_single(leaf: &Leaf) -> bool {
    let inner = ["[0].", "predictions[0].", "classifications[0].", "outputs[0]."]
        .iter()
        .find_map(|start| leaf.path.strip_prefix(start))
        .unwrap_or(&leaf.path);
    !inner.contains('[')
}
