//! `{{name}}` placeholders in a request: found, checked and filled in. It must not know where requests go.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prony_model::{Body, HttpSpec, Request};

/// What a placeholder's value may keep unencoded in a path or query (RFC 3986, unreserved).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One value for each name.
pub(super) type Bindings<'a> = BTreeMap<&'a str, &'a str>;

/// How many requests a template makes: as many as its longest list, at least one.
pub(super) fn item_count(spec: &HttpSpec) -> usize {
    spec.values.values().map(Vec::len).max().unwrap_or(1).max(1)
}

/// The values of item `k`: the `k`-th of each list; a shorter list starts again.
pub(super) fn bindings(spec: &HttpSpec, k: usize) -> Bindings<'_> {
    let value_of = |list: &'_ Vec<String>| (!list.is_empty()).then(|| k % list.len());
    spec.values
        .iter()
        .filter_map(|(name, list)| Some((name.as_str(), list[value_of(list)?].as_str())))
        .collect()
}

/// Fills in the placeholders as they are.
pub(super) fn fill(text: &str, bindings: &Bindings<'_>) -> String {
    replace(text, |name| bindings.get(name).map(|value| (*value).to_owned()))
}

/// Fills in the placeholders percent-encoded.
pub(super) fn fill_path(text: &str, bindings: &Bindings<'_>) -> String {
    replace(text, |name| {
        bindings
            .get(name)
            .map(|value| utf8_percent_encode(value, IN_PATH).to_string())
    })
}

/// Fills in the placeholders inside every string of a JSON value, keys included.
pub(super) fn fill_json(value: &serde_json::Value, bindings: &Bindings<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(fill(text, bindings)),
        Value::Array(items) => items.iter().map(|item| fill_json(item, bindings)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (fill(key, bindings), fill_json(item, bindings)))
            .collect(),
        other => other.clone(),
    }
}

/// The texts of a request in which placeholders may stand.
pub(super) fn texts(request: &Request) -> Vec<&str> {
    let body = match &request.body {
        Body::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let headers = request.headers.iter().map(|h| h.value.as_str());
    std::iter::once(request.path.as_str())
        .chain(headers)
        .chain(body)
        .collect()
}

/// JSON in which a string that is nothing but `{{name | raw}}` has lost its quotes: its value is JSON itself, such as a
/// number.
pub(super) fn bare(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find("\"{{") {
        let inner = &rest[start + 3..];
        let Some(length) = inner.find("}}\"") else { break };
        let name = &inner[..length];
        let is_raw = !name.contains(['"', '{', '}', '\\'])
            && name
                .split_once('|')
                .is_some_and(|(_, filter)| filter.trim() == "raw");
        if is_raw {
            out.push_str(&rest[..start]);
            out.push_str(&rest[start + 1..start + length + 5]);
            rest = &inner[length + 3..];
        } else {
            out.push_str(&rest[..start + 3]);
            rest = inner;
        }
    }
    out + rest
}

/// Every placeholder of a template.
pub(super) fn placeholders(spec: &HttpSpec) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut see = |text: &str| {
        replace(text, |name| {
            found.insert(name.to_owned());
            None
        });
    };
    see(&spec.path);
    spec.headers.iter().for_each(|h| see(&h.value));
    spec.body.iter().for_each(|body| see(body));
    spec.multipart
        .iter()
        .filter_map(|part| part.value.as_ref())
        .for_each(|value| see(value));
    for json in spec.json.iter().chain(spec.json_text.iter().map(|json| &json.0)) {
        see(&json.to_string());
    }
    found
}

/// Replaces `{{name}}` by what `value` gives; what it does not know stays as it is.
fn replace(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else {
            break;
        };
        let name = rest[start + 2..start + length].trim();
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let (keep, skip) = if is_name {
            (start, start + length + 2)
        } else {
            (start + 2, start + 2)
        };
        out.push_str(&rest[..keep]);
        if is_name {
            match value(name) {
                Some(filled) => out.push_str(&filled),
                None => out.push_str(&rest[start..skip]),
            }
        }
        rest = &rest[skip..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Bindings, bare, fill, fill_json, fill_path};

    #[test]
    fn filled_in_everywhere() {
        let bindings = Bindings::from([("q", "tumor cells/é"), ("n", "3")]);
        assert_eq!(
            fill_path("/a/{{q}}?n={{ n }}", &bindings),
            "/a/tumor%20cells%2F%C3%A9?n=3"
        );
        assert_eq!(fill("{{q}}{{n}}", &bindings), "tumor cells/é3");
        assert_eq!(
            fill_json(&json!({"k{{n}}": ["{{q}}", 1, {"a": "\"{{n}}\""}]}), &bindings),
            json!({"k3": ["tumor cells/é", 1, {"a": "\"3\""}]})
        );
    }

    #[test]
    fn a_raw_value_stands_without_quotes() {
        assert_eq!(
            bare(r#"{"a":"{{n | raw}}","b":"{{n}}","c":"x {{n|raw}}","d":"{{n|raw}}"}"#),
            r#"{"a":{{n | raw}},"b":"{{n}}","c":"x {{n|raw}}","d":{{n|raw}}}"#
        );
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        let bindings = Bindings::from([("a", "1")]);
        for text in ["{{b}}", "{{}}", "{{", "}} {{ x y }}", "{a}", "{\"j\":{\"k\":{}}}"] {
            assert_eq!(fill(text, &bindings), text);
        }
        assert_eq!(fill("{{ {{a}} }}", &bindings), "{{ 1 }}");
    }
}
