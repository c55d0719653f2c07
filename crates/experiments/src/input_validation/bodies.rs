//! Bad bodies: broken JSON, the wrong kind of value, rare encodings, great depth and size.

use prony_model::{Body, Header, Request};
use serde_json::{Value, json};

use super::case::{Class, Wanted};
use super::generate::{List, thousands};
use crate::mutation::json_body;

/// Levels of the deep nesting.
const NESTING: u32 = 100_000;
/// Bytes of the huge body.
const HUGE_BYTES: u32 = 1 << 20;

/// Adds every bad body for an endpoint whose good request carries JSON.
pub(super) fn add(list: &mut List<'_>) {
    let Some(schema) = list.endpoint.body_schema.as_ref().map(|s| &s.0) else {
        return;
    };
    let needs_fields = schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|required| !required.is_empty());
    let strict = if needs_fields {
        Wanted::Refused
    } else {
        Wanted::Harmless
    };
    let sent = String::from_utf8_lossy(&list.base.request.body.to_bytes().unwrap_or_default()).into_owned();
    let cut: String = sent
        .chars()
        .take(sent.chars().count().saturating_sub(1))
        .collect();
    text(
        list,
        Class::InvalidJson,
        "invalid JSON (cut off)",
        Wanted::Refused,
        &cut,
    );
    text(list, Class::EmptyBody, "an empty body", strict, "");
    if schema.get("type").is_some_and(|t| t == "object") || schema.get("properties").is_some() {
        text(list, Class::EmptyObject, "an empty object", strict, "{}");
        text(
            list,
            Class::NotAnObject,
            "a list instead of an object",
            strict,
            "[]",
        );
        text(
            list,
            Class::NotAnObject,
            "a word instead of an object",
            strict,
            "\"prony\"",
        );
        text(
            list,
            Class::NotAnObject,
            "null instead of an object",
            strict,
            "null",
        );
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        unknown_field(list, if closed { Wanted::Refused } else { Wanted::Harmless });
    }
    encodings(list, &sent);
    odd_json(list, &sent);
    sizes(list);
}

/// JSON that parsers disagree on.
fn odd_json(list: &mut List<'_>, sent: &str) {
    text(
        list,
        Class::InvalidJson,
        "JSON with something after its end",
        Wanted::Refused,
        &format!("{sent} prony"),
    );
    text(
        list,
        Class::OddJson,
        "a byte order mark before the JSON",
        Wanted::Harmless,
        &format!("\u{feff}{sent}"),
    );
    if let Some(inside) = sent
        .trim()
        .strip_prefix('{')
        .filter(|inside| !inside.starts_with('}'))
    {
        let twice = format!("{{{},{inside}", inside.trim_end().trim_end_matches('}'));
        text(list, Class::OddJson, "every key twice", Wanted::Harmless, &twice);
    }
    if let Some(quote) = sent.find(": \"").or_else(|| sent.find(":\"")) {
        let at = quote + sent[quote..].find('"').unwrap_or_default() + 1;
        let lone = format!("{}\\ud800{}", &sent[..at], &sent[at..]);
        text(
            list,
            Class::OddJson,
            "half a surrogate pair",
            Wanted::Harmless,
            &lone,
        );
    }
}

fn whole(list: &mut List<'_>, class: Class, name: &str, wanted: Wanted, body: Body) {
    let request = Request {
        body,
        ..list.base.request.clone()
    };
    list.add(class, "", name, wanted, Some(request));
}

fn text(list: &mut List<'_>, class: Class, name: &str, wanted: Wanted, body: &str) {
    whole(list, class, name, wanted, Body::text(body));
}

fn unknown_field(list: &mut List<'_>, wanted: Wanted) {
    let Some(Value::Object(mut body)) = json_body(&list.base.request) else {
        return;
    };
    body.insert("prony_unknown_field".to_owned(), json!(true));
    text(
        list,
        Class::UnknownField,
        "an unknown field",
        wanted,
        &Value::Object(body).to_string(),
    );
}

fn encodings(list: &mut List<'_>, sent: &str) {
    let plain = Request {
        headers: vec![Header::new("content-type", "text/plain")],
        ..list.base.request.clone()
    };
    list.add(
        Class::WrongContentType,
        "",
        "the content type text/plain",
        Wanted::Harmless,
        Some(plain),
    );
    let mut bytes = sent.as_bytes().to_vec();
    if let Some(quote) = bytes.iter().position(|&b| b == b'"') {
        bytes.insert(quote + 1, 0xff);
        whole(
            list,
            Class::InvalidUtf8,
            "invalid UTF-8",
            Wanted::Harmless,
            Body::Bytes(bytes),
        );
    }
}

fn sizes(list: &mut List<'_>) {
    let nested = Body::Repeat {
        unit: "[".to_owned(),
        count: NESTING,
    };
    let name = format!("{} levels of nesting", thousands(NESTING as usize));
    whole(list, Class::DeepNesting, &name, Wanted::HarmlessOrClosed, nested);
    let huge = Body::Repeat {
        unit: " ".to_owned(),
        count: HUGE_BYTES,
    };
    whole(
        list,
        Class::HugeBody,
        "a body of 1 MiB",
        Wanted::HarmlessOrClosed,
        huge,
    );
}
