//! JSON answers leaf by leaf, and what their names tell.
//!
//! Knows JSON and naming habits, no endpoint and no verdict.

use std::collections::BTreeMap;

use serde_json::Value;

/// Leaves beyond this are not looked at: an answer of the target must not decide how much memory we use.
const LEAVES_MAX: usize = 20_000;

/// One scalar of a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    /// Where exactly: `results[2].score`.
    pub path: String,
    /// Where, whatever the index: `results[].score`.
    pub pattern: String,
    /// The scalar.
    pub value: Value,
}

impl Leaf {
    /// The last name on the way to it: `score`; empty for a bare scalar.
    pub(crate) fn key(&self) -> &str {
        let end = self.pattern.trim_end_matches("[]");
        end.rsplit('.').next().unwrap_or_default()
    }

    /// The value as text without quotes.
    pub(crate) fn text(&self) -> String {
        scalar_text(&self.value)
    }
}

/// A scalar as text without quotes.
pub(crate) fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Every scalar of a document, in its order, up to a bound.
pub(crate) fn leaves(document: &Value) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(document, &mut String::new(), &mut String::new(), &mut found);
    found
}

/// The leaves by exact path.
pub(crate) fn by_path(document: &Value) -> BTreeMap<String, Leaf> {
    leaves(document)
        .into_iter()
        .map(|leaf| (leaf.path.clone(), leaf))
        .collect()
}

fn walk(value: &Value, path: &mut String, pattern: &mut String, found: &mut Vec<Leaf>) {
    if found.len() >= LEAVES_MAX {
        return;
    }
    let (path_len, pattern_len) = (path.len(), pattern.len());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                for text in [&mut *path, &mut *pattern] {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                walk(inner, path, pattern, found);
                path.truncate(path_len);
                pattern.truncate(pattern_len);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                path.push('[');
                path.push_str(&index.to_string());
                path.push(']');
                pattern.push_str("[]");
                walk(inner, path, pattern, found);
                path.truncate(path_len);
                pattern.truncate(pattern_len);
            }
        }
        scalar => found.push(Leaf {
            path: path.clone(),
            pattern: pattern.clone(),
            value: scalar.clone(),
        }),
    }
}

/// Whether a name has one of these words, in the singular or with a plural `s`.
pub(crate) fn has_word(name: &str, wanted: &[&str]) -> bool {
    prony_model::name_words(name).iter().any(|word| {
        wanted
            .iter()
            .any(|w| word == w || word.strip_suffix('s').is_some_and(|stem| stem == *w))
    })
}

/// Whether a text reads like sentences and not like a name, a number, an address or encoded bytes: at least
/// 40 characters and 6 words.
pub(crate) fn is_prose(text: &str) -> bool {
    text.chars().count() >= 40 && text.split_whitespace().count() >= 6
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{by_path, has_word, is_prose, leaves};

    #[test]
    fn words_of_names_are_found_in_either_number() {
        assert!(has_word("limitations", &["limitation"]));
        assert!(!has_word("unloaded", &["loaded"]));
    }

    #[test]
    fn leaves_have_paths_and_patterns() {
        let found = leaves(&json!({"a": {"b": [1, {"c": "x"}]}, "d": null}));
        let seen: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|l| (l.path.as_str(), l.pattern.as_str(), l.key()))
            .collect();
        assert_eq!(
            seen,
            [
                ("a.b[0]", "a.b[]", "b"),
                ("a.b[1].c", "a.b[].c", "c"),
                ("d", "d", "d")
            ]
        );
        assert_eq!(by_path(&json!(7))[""].text(), "7");
    }

    #[test]
    fn prose_is_sentences() {
        assert!(is_prose(
            "The tissue shows many cells with dark and large nuclei."
        ));
        assert!(!is_prose("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ="));
        assert!(!is_prose("a b c d e f"));
    }
}
