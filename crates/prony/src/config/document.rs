//! The text of a suite file and where things stand in it. It must not know what the keys mean.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Place};

/// A TOML file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Name as the person gave it.
    pub file: String,
    /// The text.
    pub source: Arc<str>,
}

impl Document {
    /// A diagnostic at the value of a path such as `phase.2.shape`; at its nearest parent when the file does not
    /// spell the value out.
    pub(crate) fn error(&self, path: &str, what: impl Into<String>) -> Diagnostic {
        self.error_at(self.locate(path), what)
    }

    /// A diagnostic at a byte range.
    pub(crate) fn error_at(&self, span: Range<usize>, what: impl Into<String>) -> Diagnostic {
        let source = Arc::clone(&self.source);
        let span = first_line(&source, span);
        Diagnostic::usage(what).at(Place {
            file: self.file.clone(),
            source,
            span,
            label: String::new(),
        })
    }

    /// The byte range of the value of a path; of the key for a table, since a table can be long.
    pub(crate) fn locate(&self, path: &str) -> Range<usize> {
        self.walk(path, |key, value| {
            if value.get_ref().is_table() {
                key
            } else {
                value.span()
            }
        })
    }

    /// The byte range of the key of a path.
    pub(crate) fn locate_key(&self, path: &str) -> Range<usize> {
        self.walk(path, |key, _| key)
    }

    /// Follows a path as far as the file spells it out; `pick` takes the span of each step from its key and value.
    fn walk(
        &self,
        path: &str,
        pick: impl Fn(Range<usize>, &Spanned<DeValue<'_>>) -> Range<usize>,
    ) -> Range<usize> {
        let (root, _) = DeTable::parse_recoverable(&self.source);
        let mut span = 0..0;
        let mut steps = path.split('.');
        let Some((key, mut value)) = steps.next().and_then(|first| root.get_ref().get_key_value(first))
        else {
            return span;
        };
        if !value.get_ref().is_array() {
            span = pick(key.span(), value);
        }
        for step in steps {
            let next = match value.get_ref() {
                DeValue::Table(table) => table.get_key_value(step).map(|(key, value)| (key.span(), value)),
                DeValue::Array(array) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| array.get(i))
                    .map(|value| (value.span(), value)),
                _ => None,
            };
            let Some((key, inner)) = next else { break };
            value = inner;
            span = pick(key, value);
        }
        span
    }
}

/// The part of the range on its first line: a caret under ten lines shows nothing.
fn first_line(source: &str, span: Range<usize>) -> Range<usize> {
    let Some(text) = source.get(span.clone()) else {
        return span;
    };
    let length = text.find('\n').unwrap_or(text.len());
    span.start..span.start + text[..length].trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn values_keys_and_parents() {
        let source = "a = 1\n[b]\nc = [1, 22]\n[[d]]\nx = 'y'\n[[d]]\nx.z = { w = 3 }\n";
        let document = Document {
            file: "f".into(),
            source: source.into(),
        };
        let at = |path: &str| &source[document.locate(path)];
        assert_eq!(at("a"), "1");
        assert_eq!(at("b"), "b");
        assert_eq!(at("b.c.1"), "22");
        assert_eq!(at("d.0.x"), "'y'");
        assert_eq!(at("d.1.x.z"), "z");
        assert_eq!(at("d.1.x.z.w"), "3");
        assert_eq!(at("d.0.missing"), "[[d]]");
        assert_eq!(at("nothing.at.all"), "");
    }
}
