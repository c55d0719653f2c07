//! Turns what the TOML reader says into what a person can act on. It must not know the keys of a suite.

use crate::cli::duration;
use crate::config::document::Document;
use crate::diagnostic::{Diagnostic, nearest};

/// The reader's error as a diagnostic with its place.
pub(super) fn explain(document: &Document, error: &toml::de::Error) -> Diagnostic {
    let message = error.message();
    let span = error.span().unwrap_or(0..0);
    if let Some(key) = between(message, "unknown field `") {
        return unknown(
            document.error_at(span, format!("unknown key `{key}`")),
            key,
            message,
        );
    }
    if let Some((first, known)) = message
        .strip_prefix("unexpected keys in table: ")
        .and_then(|rest| rest.split_once(", available keys: "))
    {
        let key = first.split(',').next().unwrap_or(first);
        let known: Vec<&str> = known.split(", ").collect();
        return suggest(
            document.error_at(span, format!("unknown key `{key}`")),
            key,
            &known,
        );
    }
    if let Some(value) = between(message, "unknown variant `") {
        return unknown(
            document.error_at(span, format!("unknown value `{value}`")),
            value,
            message,
        );
    }
    if let Some(key) = between(message, "missing field `") {
        return document
            .error_at(span, format!("missing key `{key}`"))
            .next(format!(
                "add `{key} = ...` to this table; `prony schema suite` describes every key"
            ));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return wrong_type(document, span, found, expected);
    }
    if let Some(rest) = message.strip_prefix("invalid value: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return document.error_at(
            span,
            format!("wrong value: expected {}, found {found}", plain_type(expected)),
        );
    }
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or("not valid TOML").to_owned();
    lines.fold(document.error_at(span, what), |diagnostic, line| {
        diagnostic.next(line.to_owned())
    })
}

/// What an experiment says of its parameters, which it reads without places.
pub(super) fn explain_params(document: &Document, path: &str, message: &str) -> Diagnostic {
    if let Some(key) = between(message, "unknown field `") {
        let span = document.locate_key(&format!("{path}.{key}"));
        return unknown(
            document.error_at(span, format!("unknown key `{key}`")),
            key,
            message,
        );
    }
    document.error(path, message)
}

/// Suggests the nearest known name, else lists them.
fn unknown(diagnostic: Diagnostic, word: &str, message: &str) -> Diagnostic {
    let known: Vec<&str> = message
        .split_once(", ")
        .map_or("", |(_, rest)| rest)
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    suggest(diagnostic, word, &known)
}

fn suggest(diagnostic: Diagnostic, word: &str, known: &[&str]) -> Diagnostic {
    match nearest(word, known.iter().copied()) {
        Some(name) => diagnostic.next(format!("did you mean `{name}`?")),
        None if known.is_empty() => diagnostic.next("remove it: nothing is known here"),
        None => diagnostic.next(format!("known here: {}", known.join(", "))),
    }
}

fn wrong_type(document: &Document, span: std::ops::Range<usize>, found: &str, expected: &str) -> Diagnostic {
    let wanted = plain_type(expected);
    let diagnostic = document.error_at(span, format!("wrong type: expected {wanted}, found {found}"));
    let text = found
        .strip_prefix("string \"")
        .and_then(|rest| rest.strip_suffix('"'));
    let is_number = matches!(expected, "f64" | "u64" | "u32" | "u16");
    match text {
        Some(text) if is_number && text.parse::<f64>().is_ok() => {
            diagnostic.next(format!("write it without quotes: {text}"))
        }
        Some(text) if is_number => match duration(text) {
            Ok(time) => diagnostic.next(format!(
                "times in a suite are plain numbers, in the unit that ends the key's name: {} for a key in `_s`, {} \
                 for one in `_ms`",
                time.as_secs_f64(),
                time.as_secs_f64() * 1e3
            )),
            Err(_) => diagnostic,
        },
        _ => diagnostic,
    }
}

/// Rust's and serde's names of types in plain words.
fn plain_type(expected: &str) -> String {
    match expected {
        "f64" | "f32" => "a number".to_owned(),
        "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number, 0 or more".to_owned(),
        "a string" => "text in quotes".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// The text after `start` up to the next backtick.
fn between<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = &message[message.find(start)? + start.len()..];
    rest.split('`').next()
}
