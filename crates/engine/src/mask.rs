//! Secrets that a target sends back are masked before a response is kept. Knows texts, not where they stand.

use std::borrow::Cow;
use std::fmt::Write as _;

use prony_model::Secret;

/// Shorter texts are left alone: they would mask half of an innocent answer.
const LENGTH_MIN: usize = 6;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Every spelling of the secrets of a target, the longest first.
#[derive(Clone, Default)]
pub(crate) struct Masks {
    spellings: Vec<String>,
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({})", self.spellings.len())
    }
}

impl Masks {
    /// Each secret as it is, without its scheme (`Bearer`), as a JSON string has it, and in hexadecimal digits.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let mut spellings = Vec::new();
        for secret in secrets {
            let whole = secret.reveal();
            let bare = whole.split_once(' ').map_or(whole, |(_, rest)| rest.trim());
            for text in [whole, bare].into_iter().filter(|t| t.len() >= LENGTH_MIN) {
                let quoted = serde_json::Value::from(text).to_string();
                spellings.push(quoted.trim_matches('"').to_owned());
                spellings.push(hexadecimal(text));
                spellings.push(text.to_owned());
            }
        }
        spellings.sort_by_key(|s| std::cmp::Reverse(s.len()));
        spellings.dedup();
        Self { spellings }
    }

    /// These and further secrets.
    pub(crate) fn with(&self, secrets: &[Secret]) -> Cow<'_, Self> {
        if secrets.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut all = Self::new(secrets);
        all.spellings.extend_from_slice(&self.spellings);
        all.spellings.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Cow::Owned(all)
    }

    /// The text without any secret. `cut` tells that it is the start of a longer one: then a secret that the cut went
    /// through is masked too.
    pub(crate) fn apply(&self, mut text: String, cut: bool) -> String {
        for spelling in &self.spellings {
            if text.contains(spelling.as_str()) {
                text = text.replace(spelling.as_str(), MASK);
            }
        }
        if cut {
            let begun = |s: &String| {
                (LENGTH_MIN / 2..s.len())
                    .rev()
                    .find(|&n| s.is_char_boundary(n) && text.ends_with(&s[..n]))
            };
            if let Some(n) = self.spellings.iter().filter_map(begun).max() {
                text.truncate(text.len() - n);
                text.push_str(MASK);
            }
        }
        text
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use prony_model::Secret;

    use super::Masks;

    #[test]
    fn every_spelling_is_masked_and_nothing_else() {
        let masks = Masks::new(&[Secret::new("Bearer hun\"ter-2222"), Secret::new("abc")]);
        for (text, kept) in [
            ("got Bearer hun\"ter-2222!", "got ***!"),
            ("token hun\"ter-2222", "token ***"),
            (r#"{"t": "hun\"ter-2222"}"#, r#"{"t": "***"}"#),
            ("abc stays", "abc stays"),
        ] {
            assert_eq!(masks.apply(text.to_owned(), false), kept);
        }
        assert!(!format!("{masks:?}").contains("hun"));
    }

    #[test]
    fn a_cut_secret_is_masked_at_the_cut_only() {
        let masks = Masks::new(&[Secret::new("s3cr3t-token")]);
        assert_eq!(masks.apply("x s3cr3t-t".to_owned(), true), "x ***");
        assert_eq!(masks.apply("x s3cr3t-t".to_owned(), false), "x s3cr3t-t");
        assert_eq!(masks.apply("x s3".to_owned(), true), "x s3");
    }
}
