//! The built-in text: the beginning of Shakespeare's plays in the order of the common `tinyshakespeare` excerpt (Coriolanus,
//! Richard III, ...), of about 1592 to 1608 and in the public domain. 160,037 bytes of ASCII.

use std::sync::LazyLock;

/// The text.
const TEXT: &str = include_str!("shakespeare.txt");
/// Where words begin in it.
static WORDS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let bytes = TEXT.as_bytes();
    let starts =
        |at: &usize| !bytes[*at].is_ascii_whitespace() && (*at == 0 || bytes[*at - 1].is_ascii_whitespace());
    (0..bytes.len()).filter(starts).collect()
});

/// At least so many characters of the text from a word on; it begins again at its end.
pub(crate) fn passage(word: u64, chars: usize) -> String {
    let start = WORDS[(word % WORDS.len() as u64) as usize];
    let mut text = TEXT[start..TEXT.len().min(start.saturating_add(chars))].to_owned();
    while text.len() < chars {
        text.push_str(&TEXT[..TEXT.len().min(chars - text.len())]);
    }
    text
}

/// Short words of the text, each once, for a prompt to begin with.
pub(crate) fn short_words() -> Vec<&'static str> {
    let mut words: Vec<&str> = TEXT
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|word| (2..=5).contains(&word.len()))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::{TEXT, WORDS, passage, short_words};

    #[test]
    fn passages_begin_with_a_word_and_go_round() {
        assert!(TEXT.is_ascii() && WORDS.len() > 20_000, "{}", WORDS.len());
        assert_eq!(passage(0, 13), "First Citizen");
        let last = passage(WORDS.len() as u64 - 1, 40);
        assert!(last.starts_with("imprisonment?\nFirst Citizen"), "{last}");
        assert_eq!(passage(7, TEXT.len() * 2 + 5).len(), TEXT.len() * 2 + 5);
    }

    #[test]
    fn short_words_are_many() {
        assert!(short_words().len() > 1_000);
    }
}
