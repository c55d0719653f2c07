//! Answers often repeat their input. What is only an echo is no sign of work, so it is masked before comparing.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::leaf::{Leaf, scalar_text};

/// Longest value that is looked for inside texts, in bytes.
const VALUE_BYTES_MAX: usize = 1000;

/// Replaces a value, however it is cased or separated, by a mark.
pub(super) struct Echo {
    value: String,
    inside: Option<Regex>,
}

const MARK: &str = "\u{27e8}input\u{27e9}";

impl Echo {
    /// Masks that value.
    pub(super) fn of(value: &str) -> Self {
        let inside = (value.chars().count() >= 3 && value.len() <= VALUE_BYTES_MAX).then(|| {
            let parts: Vec<String> = value
                .split(|c: char| c == '_' || c == '-' || c.is_whitespace())
                .filter(|p| !p.is_empty())
                .map(regex::escape)
                .collect();
            RegexBuilder::new(&parts.join(r"[_\-\s]+"))
                .case_insensitive(true)
                .build()
                .ok()
        });
        Self {
            value: value.to_owned(),
            inside: inside.flatten().filter(|_| !value.trim().is_empty()),
        }
    }

    /// The value itself.
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// The text with the value masked.
    pub(super) fn mask(&self, text: &str) -> String {
        if text == self.value {
            return MARK.to_owned();
        }
        self.inside.as_ref().map_or_else(
            || text.to_owned(),
            |inside| inside.replace_all(text, MARK).into_owned(),
        )
    }
}

/// Whether two scalars say the same once each one's own input is masked.
pub(super) fn same(a: &Value, a_echo: &Echo, b: &Value, b_echo: &Echo) -> bool {
    a == b || a_echo.mask(&scalar_text(a)) == b_echo.mask(&scalar_text(b))
}

/// Whether two collections of texts are the same sets, as they are or once masked.
pub(super) fn same_texts(
    a: &[&Leaf],
    a_echo: &Echo,
    b: &[&Leaf],
    b_echo: &Echo,
    fold: fn(&str) -> String,
) -> bool {
    let set = |leaves: &[&Leaf], echo: Option<&Echo>| -> BTreeSet<String> {
        leaves
            .iter()
            .map(|leaf| {
                let text = leaf.text();
                fold(&echo.map_or_else(|| text.clone(), |e| e.mask(&text)))
            })
            .collect()
    };
    set(a, None) == set(b, None) || set(a, Some(a_echo)) == set(b, Some(b_echo))
}

/// The text with every number replaced by one mark.
pub(super) fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_number = false;
    for c in text.chars() {
        let part = c.is_ascii_digit() || (in_number && matches!(c, '.' | ',' | '%'));
        if part && !in_number {
            out.push('#');
        }
        if !part {
            out.push(c);
        }
        in_number = part;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Echo, same, without_numbers};

    #[test]
    fn echoes_are_masked_however_they_are_written() {
        let a = Echo::of("slide_000");
        let b = Echo::of("TCGA-04-1360");
        assert!(same(
            &json!("Report for slide_000."),
            &a,
            &json!("Report for TCGA-04-1360."),
            &b
        ));
        assert!(same(
            &json!("CASE-SLIDE-000"),
            &a,
            &json!("CASE-tcga_04_1360"),
            &b
        ));
        assert!(!same(
            &json!("slide_000 is dark"),
            &a,
            &json!("TCGA-04-1360 is pale"),
            &b
        ));
        assert!(same(&json!(7), &Echo::of("7"), &json!(8), &Echo::of("8")));
        assert!(same(&json!("x"), &Echo::of("x"), &json!("x"), &Echo::of("")));
    }

    #[test]
    fn a_word_of_the_template_that_happens_to_be_the_input_is_no_difference() {
        let text = json!("tumour regions are shown");
        assert!(same(&text, &Echo::of("tumour"), &text, &Echo::of("stroma")));
    }

    #[test]
    fn numbers_fold() {
        assert_eq!(without_numbers("0.87 of 1,200 cells (12%)"), "# of # cells (#)");
        assert_eq!(
            without_numbers("same as 0.12 of 3 cells (7%)"),
            "same as # of # cells (#)"
        );
    }
}
