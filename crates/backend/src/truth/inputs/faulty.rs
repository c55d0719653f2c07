//! What the planted defects do to a request that reached its endpoint. Every one is a mistake that services really make; each
//! returns the wrong answer, or nothing when the request does not meet it.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::answers::{answer, page};
use super::declared::TEXT_MAX;
use super::defects::Defects;
use crate::fastapi::reply::Reply;

const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 88, in moderate\njson.decoder.JSONDecodeError: Expecting value";
const USERS: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n";
const SQL_ERROR: &str = "sqlite3.OperationalError: near \"OR\": syntax error";

/// Before the body is looked at.
pub(super) fn by_headers(
    defects: Defects,
    endpoint: &str,
    headers: &HeaderMap,
    acceptable: bool,
) -> Option<Reply> {
    let json_type = headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.as_bytes().starts_with(b"application/json"));
    match endpoint {
        "POST /v1/classify" if !acceptable && defects.has(18) => Some(Reply::unhandled()),
        "POST /v1/summarise" if !json_type && defects.has(17) => Some(Reply::unhandled()),
        _ => None,
    }
}

/// The bytes of the body.
pub(super) fn by_bytes(defects: Defects, endpoint: &str, body: &[u8]) -> Option<Reply> {
    match endpoint {
        "POST /v1/moderate" if defects.has(11) && serde_json::from_slice::<Value>(body).is_err() => {
            Some(Reply::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                TRACE,
            ))
        }
        "POST /v1/rerank" if defects.has(12) && depth(body) > 100 => Some(Reply::unhandled()),
        _ => None,
    }
}

/// The inputs, before they are checked.
pub(super) fn by_inputs(defects: Defects, endpoint: &str, inputs: &Map<String, Value>) -> Option<Reply> {
    let text = |name: &str| inputs.get(name).and_then(Value::as_str);
    let list = |name: &str| inputs.get(name).and_then(Value::as_array).map(Vec::len);
    let with = |name: &str, value: Value| {
        let mut changed = inputs.clone();
        changed.insert(name.to_owned(), value);
        answer(endpoint, &changed)
    };
    let broken = || Some(Reply::unhandled());
    match endpoint {
        "POST /v1/classify" if defects.has(1) && !inputs.contains_key("text") => broken(),
        "POST /v1/classify" if defects.has(7) && list("labels") == Some(0) => broken(),
        "POST /v1/classify" if defects.has(13) && text("text").is_some_and(|t| !t.is_ascii()) => {
            let mangled: String = text("text").unwrap_or_default().bytes().map(char::from).collect();
            with("text", json!(mangled))
        }
        "POST /v1/rerank" if defects.has(2) && inputs.get("query") == Some(&Value::Null) => {
            with("query", json!(""))
        }
        "POST /v1/rerank" if defects.has(26) && list("documents").is_some_and(|n| n > 5000) => broken(),
        "POST /v1/rerank"
            if defects.has(4)
                && inputs
                    .get("top_k")
                    .and_then(Value::as_i64)
                    .is_some_and(|k| !(1..=20).contains(&k)) =>
        {
            answer(endpoint, inputs)
        }
        "GET /v1/search" if defects.has(3) && !inputs.contains_key("query") => broken(),
        "GET /v1/search" if defects.has(22) && text("query").is_some_and(|q| q.contains('\'')) => {
            Some(Reply::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                SQL_ERROR,
            ))
        }
        "POST /v1/summarise"
            if defects.has(5) && text("style").is_some_and(|s| !["short", "long"].contains(&s)) =>
        {
            answer(endpoint, inputs)
        }
        "POST /v1/summarise"
            if defects.has(6)
                && inputs
                    .get("seed")
                    .and_then(Value::as_f64)
                    .is_some_and(|seed| seed >= 2_147_483_648.0) =>
        {
            broken()
        }
        "POST /v1/summarise" if defects.has(8) && text("text") == Some("") => answer(endpoint, inputs),
        "POST /v1/moderate" if defects.has(9) && text("text").is_some_and(too_long) => broken(),
        "POST /v1/moderate" if defects.has(23) => {
            let computed = text("text").and_then(compute)?;
            with("text", json!(computed))
        }
        "POST /v1/embed" if defects.has(10) && text("text").is_some_and(too_long) => {
            let cut: String = text("text").unwrap_or_default().chars().take(TEXT_MAX).collect();
            with("text", json!(cut))
        }
        "GET /v1/preview" if defects.has(21) => text("title")
            .filter(|title| (1..=200).contains(&title.chars().count()))
            .map(page),
        _ => None,
    }
}

/// What is answered where something is not there.
pub(super) fn missing(defects: Defects, endpoint: &str, name: &str) -> Option<Reply> {
    match endpoint {
        "GET /v1/documents/{document_id}" if defects.has(14) => Some(Reply::unhandled()),
        "GET /v1/documents/{document_id}/summary" if defects.has(15) => {
            Some(Reply::json(&json!({ "document_id": name, "summary": "" })))
        }
        "GET /v1/assets/{name}"
            if defects.has(24) && name.contains("../") && name.ends_with("etc/passwd") =>
        {
            Some(Reply::new(StatusCode::OK, "text/plain; charset=utf-8", USERS))
        }
        _ => None,
    }
}

fn too_long(text: &str) -> bool {
    text.chars().count() > TEXT_MAX
}

/// The first `{{a*b}}` of a text, worked out.
fn compute(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("{{")?;
    let (inside, after) = rest.split_once("}}")?;
    let (a, b) = inside.split_once('*')?;
    let product = a
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(b.trim().parse().ok()?)?;
    Some(format!("{before}{product}{after}"))
}

/// Deepest nesting of brackets, quotes not looked at.
fn depth(body: &[u8]) -> usize {
    let mut open = 0_usize;
    let mut most = 0;
    for byte in body {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}
