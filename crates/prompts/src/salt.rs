//! The words that a prompt begins with where no cache shall hold it: every arrival has its own, all of one length.

use crate::count::Counter;
use crate::{PromptError, corpus};

/// Stands for the words that a prompt begins with where no cache shall hold it; taken out of every text that is read.
pub(crate) const SALT: char = '\u{e001}';
/// Words of a salt, and how many there are to choose from for each.
pub(crate) const SALT_WORDS: usize = 4;
const SALT_CHOICE: usize = 64;

/// The text without the character that stands for a salt.
pub(crate) fn clean(text: &str) -> String {
    text.replace([SALT, '\u{e002}'], "")
}

/// A salt from its words.
pub(crate) fn salted<'w>(word: impl Fn(usize) -> &'w str) -> String {
    let words: Vec<&str> = (0..SALT_WORDS).map(word).collect();
    format!("[ {} ] ", words.join(" "))
}

/// Words of one length in tokens, so that every salt is as long as every other.
pub(crate) fn salt_words(counter: &Counter) -> Result<Vec<String>, PromptError> {
    let words: Vec<&str> = corpus::short_words()
        .into_iter()
        .filter(|word| counter.count(&format!(" {word}")) == 1)
        .take(SALT_CHOICE)
        .collect();
    let expected = words.first().map(|word| counter.count(&salted(|_| word)));
    let words: Vec<String> = words
        .into_iter()
        .filter(|word| Some(counter.count(&salted(|_| word))) == expected)
        .map(str::to_owned)
        .collect();
    if words.len() < 8 {
        return Err(PromptError::new(
            "prompt.cache_bust",
            "this tokenizer has no short words of one token to begin prompts with",
            "leave `cache_bust` out and raise `prompts`, so that no prompt is sent twice",
        ));
    }
    Ok(words)
}
