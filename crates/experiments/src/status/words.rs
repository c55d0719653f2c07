//! What the fields of a status say about readiness, and of what, judged by their words.
//!
//! It knows naming habits, no endpoint and no verdict.

use serde_json::Value;

use super::Claim;
use crate::leaf::{Leaf, has_word, leaves};

/// What a status says about readiness, up to a bound.
pub(super) fn claims(document: &Value) -> Vec<Claim> {
    let all = leaves(document);
    let claims = all.iter().filter_map(|leaf| {
        let claim = claim(leaf)?;
        let of = leaf.path.contains('[').then(|| called(&leaf.path, &all));
        Some(Claim { of, ..claim })
    });
    claims.take(50).collect()
}

/// What the elements of lists are called that a path leads through: their names and ids.
fn called(path: &str, all: &[Leaf]) -> Vec<String> {
    let names = all.iter().filter(|leaf| {
        let element = leaf
            .path
            .strip_suffix(leaf.key())
            .filter(|start| start.ends_with("]."));
        element.is_some_and(|start| path.starts_with(start))
            && prony_model::name_words(leaf.key())
                .last()
                .is_some_and(|word| ["name", "id", "model"].contains(&word.as_str()))
    });
    names.map(Leaf::text).collect()
}

/// What a leaf says about readiness, if it does.
fn claim(leaf: &Leaf) -> Option<Claim> {
    const STATES: &[&str] = &[
        "loaded",
        "ready",
        "initialized",
        "initialised",
        "available",
        "healthy",
        "operational",
        "online",
    ];
    const NOT_READY: &[&str] = &[
        "loading",
        "not_loaded",
        "not loaded",
        "unloaded",
        "unavailable",
        "initializing",
        "initialising",
        "starting",
        "down",
        "offline",
        "not_ready",
        "not ready",
        "unhealthy",
        "uninitialized",
    ];
    const READY: &[&str] = &[
        "loaded",
        "ready",
        "ok",
        "up",
        "healthy",
        "available",
        "online",
        "running",
        "serving",
        "healthy.",
    ];
    let key = leaf.key();
    let about_hardware = has_word(
        key,
        &[
            "cuda", "gpu", "mps", "tpu", "cache", "disk", "redis", "db", "database",
        ],
    );
    if about_hardware {
        return None;
    }
    let state = |ready: bool| Claim {
        field: leaf.pattern.clone(),
        text: leaf.text(),
        ready,
        of: None,
    };
    match &leaf.value {
        Value::Bool(value)
            if prony_model::name_words(key)
                .last()
                .is_some_and(|w| STATES.contains(&w.as_str())) =>
        {
            Some(state(*value))
        }
        Value::String(text) if has_word(key, &["status", "state"]) => {
            let said = text.trim().to_lowercase().replace('-', "_");
            if NOT_READY.contains(&said.as_str()) {
                Some(state(false))
            } else {
                READY.contains(&said.as_str()).then(|| state(true))
            }
        }
        _ => None,
    }
}

/// Words of fields that say nothing but that something is ready.
const GENERAL: &[&str] = &[
    "is",
    "model",
    "models",
    "loaded",
    "ready",
    "healthy",
    "initialized",
    "initialised",
    "available",
    "status",
    "state",
    "service",
];

/// Further such words where the status stands beside the work: what it belongs to as a whole, and how that is.
const OF_THE_WHOLE: &[&str] = &[
    "api",
    "backend",
    "endpoint",
    "engine",
    "inference",
    "online",
    "operational",
    "pipeline",
    "server",
    "weights",
];

/// Whether a field of a global status speaks for the target's work and not for one of its parts.
pub(super) fn is_general(field: &str) -> bool {
    let parts = prony_model::name_words(field.trim_end_matches("[]"));
    !field.contains('.') && parts.iter().all(|w| GENERAL.contains(&w.as_str()))
}

/// What a field of the status of a part speaks of, in words; none for the part as a whole.
pub(super) fn subject(field: &str) -> Vec<String> {
    let mut words = prony_model::name_words(field);
    words.retain(|w| !GENERAL.contains(&w.as_str()) && !OF_THE_WHOLE.contains(&w.as_str()));
    words
}

/// Whether a field says that something could be had: what is not on offer need not be wanted.
pub(super) fn is_offer(field: &str) -> bool {
    prony_model::name_words(field)
        .last()
        .is_some_and(|w| w == "available" || w == "online")
}
