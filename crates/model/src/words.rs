//! The words that names are made of, however they are written.

/// The lower-case words of a name or text: `modelLoaded`, `model_loaded` and `model loaded` are `model`, `loaded`; `HTTPServer` is
/// `http`, `server`, and `userIDs` is `user`, `ids`. Only letters count.
pub fn name_words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let is_lower = |at: usize| chars.get(at).is_some_and(|c| c.is_lowercase());
        // The last of several capitals begins a word, but for a plural: the `D` of `IDs`.
        let is_plural = chars.get(i + 1) == Some(&'s') && !is_lower(i + 2);
        let ends_capitals = before.is_uppercase() && is_lower(i + 1) && !is_plural;
        let begins = c.is_uppercase() && (before.is_lowercase() || ends_capitals);
        if (begins || !c.is_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::name_words;

    #[test]
    fn names_fall_into_words_however_they_are_written() {
        for name in [
            "deleteFile",
            "delete_file",
            "delete-file",
            "DeleteFile",
            "DELETE_FILE",
            "delete file",
        ] {
            assert_eq!(name_words(name), ["delete", "file"], "{name}");
        }
        assert_eq!(name_words("model_loaded-2x"), ["model", "loaded", "x"]);
        assert_eq!(name_words("parseHTTPAnswer2"), ["parse", "http", "answer"]);
        assert_eq!(name_words("userIDs"), ["user", "ids"]);
        assert_eq!(name_words("URLScheme"), ["url", "scheme"]);
        assert!(name_words("__7").is_empty());
    }
}
