//! What the endpoints answer to good input: short, fixed by the input, different for different inputs.

use serde_json::{Map, Value, json};

use super::declared::whole;
use crate::fastapi::reply::Reply;
use crate::law::mix;
use axum::http::StatusCode;

/// Documents by id and title.
pub(super) const DOCUMENTS: [(&str, &str); 6] = [
    ("doc-harbour", "Ships in the old harbour"),
    ("doc-bridge", "Stone bridges of the north"),
    ("doc-railway", "Night trains and their stations"),
    ("doc-garden", "A garden through the year"),
    ("doc-bakery", "Bread before sunrise"),
    ("doc-lantern", "Lanterns along the river"),
];
/// Assets by name and content.
pub(super) const ASSETS: [(&str, &str); 3] = [
    ("readme.txt", "Assets of the reading room.\n"),
    ("notice.txt", "The room closes at nine.\n"),
    ("rules.txt", "Please return what you borrow.\n"),
];

/// The answer of an endpoint; `None` when it names something that is not there.
pub(super) fn answer(endpoint: &str, inputs: &Map<String, Value>) -> Option<Reply> {
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default();
    let body = text("text");
    let mark = hash(body);
    let document = || DOCUMENTS.iter().find(|(id, _)| *id == text("document_id"));
    Some(Reply::json(&match endpoint {
        "POST /v1/classify" => {
            let labels = inputs.get("labels").and_then(Value::as_array);
            let label = labels.and_then(|list| list.get(mark as usize % list.len().max(1)));
            json!({ "text": body, "label": label, "score": score(mark) })
        }
        "POST /v1/embed" => {
            let count = inputs.get("dimensions").and_then(Value::as_u64).unwrap_or(16);
            json!({ "embedding": (0..count).map(|k| score(mix(mark, k))).collect::<Vec<f64>>() })
        }
        "POST /v1/rerank" => {
            let documents = inputs
                .get("documents")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            let kept = inputs.get("top_k").and_then(whole).unwrap_or(3).max(0) as usize;
            let query = hash(text("query"));
            let mut order: Vec<usize> = (0..documents).collect();
            order.sort_by_key(|k| mix(query, *k as u64));
            order.truncate(kept);
            json!({ "query": text("query"), "order": order, "score": score(query) })
        }
        "POST /v1/summarise" => {
            let words: Vec<&str> = body.split_whitespace().collect();
            let shown = words.len().div_ceil(2);
            json!({ "summary": words[..shown].join(" "), "words": words.len(), "seed": inputs.get("seed") })
        }
        "POST /v1/moderate" => {
            json!({ "text": body, "flagged": mark.is_multiple_of(5), "score": score(mark) })
        }
        "POST /v1/translate" => json!({ "translation": body.chars().rev().collect::<String>() }),
        "POST /v1/caption" => {
            json!({ "caption": body.split_whitespace().rev().collect::<Vec<_>>().join(" ") })
        }
        "POST /v1/complete" => json!({ "completion": format!("{body} And so on, {:04x}.", mark & 0xffff) }),
        "GET /v1/documents" => {
            let list = DOCUMENTS
                .iter()
                .map(|(id, title)| json!({ "document_id": id, "title": title }));
            json!({ "documents": list.collect::<Vec<_>>() })
        }
        "GET /v1/documents/{document_id}" => {
            let (id, title) = document()?;
            json!({ "document_id": id, "title": title, "pages": hash(title) % 300 })
        }
        "GET /v1/documents/{document_id}/summary" => {
            let (id, title) = document()?;
            json!({ "document_id": id, "summary": format!("About: {}.", title.to_lowercase()) })
        }
        "GET /v1/search" => {
            let mark = hash(text("query"));
            let hits: Vec<&str> = DOCUMENTS
                .iter()
                .enumerate()
                .filter(|(k, _)| mark >> k & 1 == 1)
                .map(|(_, (id, _))| *id)
                .collect();
            json!({ "query": text("query"), "hits": hits })
        }
        "GET /v1/assets" => {
            json!({ "assets": ASSETS.map(|(name, content)| json!({ "name": name, "bytes": content.len() })) })
        }
        "GET /v1/assets/{name}" => {
            let (_, content) = ASSETS.iter().find(|(name, _)| *name == text("name"))?;
            return Some(Reply::new(StatusCode::OK, "text/plain; charset=utf-8", *content));
        }
        "GET /v1/preview" => {
            return Some(page(
                &text("title")
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;"),
            ));
        }
        "GET /v1/account" => json!({ "plan": "reader", "since": "2024-03-01" }),
        _ => json!({ "requests": 12, "limit": 1000 }),
    }))
}

/// The preview page with that title, as it stands.
pub(super) fn page(title: &str) -> Reply {
    let html = format!("<!doctype html><html><body><h1>{title}</h1></body></html>");
    Reply::new(StatusCode::OK, "text/html; charset=utf-8", html)
}

/// FNV-1a.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Between 0 and 1, with three decimals.
fn score(mark: u64) -> f64 {
    (mix(mark, 1) % 1000) as f64 / 1000.0
}
