//! Requests with one thing changed: a path segment, a query value, a body.
//!
//! Pure text work; it does not know why a request is changed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prony_model::{Body, Request};
use serde_json::Value;

/// The request's body as JSON.
pub(crate) fn json_body(request: &Request) -> Option<Value> {
    match &request.body {
        Body::Text(text) => serde_json::from_str(text).ok(),
        Body::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
        Body::Empty | Body::Repeat { .. } => None,
    }
}

/// What must be escaped inside a path segment or a query value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Text made fit for a path segment or a query value.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The path with the segment of one template parameter replaced.
pub(crate) fn with_segment(template: &str, path: &str, field: &str, value: &str) -> Option<String> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let wanted = format!("{{{field}}}");
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    let templates: Vec<&str> = template.split('/').collect();
    if templates.len() != segments.len() {
        return None;
    }
    let at = templates.iter().position(|t| t.contains(&wanted))?;
    if templates[at].matches('{').count() != 1 {
        return None;
    }
    segments[at] = templates[at].replace(&wanted, &escaped(value));
    let path = segments.join("/");
    Some(query.map_or(path.clone(), |q| format!("{path}?{q}")))
}

/// The path with the value of one query parameter replaced, or the parameter added.
pub(crate) fn with_query(path: &str, field: &str, value: &str) -> String {
    let pair = format!("{}={}", escaped(field), escaped(value));
    let Some((path, query)) = path.split_once('?') else {
        return format!("{path}?{pair}");
    };
    let mut pairs: Vec<&str> = query.split('&').filter(|p| !p.is_empty()).collect();
    match pairs
        .iter()
        .position(|p| p.split('=').next() == Some(escaped(field).as_str()))
    {
        Some(at) => pairs[at] = &pair,
        None => pairs.push(&pair),
    }
    format!("{path}?{}", pairs.join("&"))
}

/// The path without a query parameter.
pub(crate) fn without_query(path: &str, field: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let wanted = escaped(field);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|p| !p.is_empty() && p.split('=').next() != Some(wanted.as_str()))
        .collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::{with_query, with_segment, without_query};

    #[test]
    fn segments_and_queries_are_replaced_escaped() {
        assert_eq!(
            with_segment("/a/{id}/b", "/a/1/b?x=1", "id", "../é").unwrap(),
            "/a/..%2F%C3%A9/b?x=1"
        );
        assert_eq!(
            with_segment("/a/{id}.png", "/a/1.png", "id", "2").unwrap(),
            "/a/2.png"
        );
        assert_eq!(with_segment("/a/{c}_{r}", "/a/1_2", "c", "2"), None);
        assert_eq!(with_segment("/a/{id}", "/a/b/c", "id", "2"), None);
        assert_eq!(with_query("/a?k=1&l=2", "k", "x y"), "/a?k=x%20y&l=2");
        assert_eq!(with_query("/a", "k", ""), "/a?k=");
        assert_eq!(without_query("/a?k=1&l=2", "k"), "/a?l=2");
        assert_eq!(without_query("/a?k=1", "k"), "/a");
    }
}
