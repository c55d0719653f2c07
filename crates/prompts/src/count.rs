//! Tokens of a text: by the model's own tokenizer, or estimated from its characters. It reads one file and fetches nothing.

use std::path::Path;

use prony_model::PromptSpec;
use tokenizers::Tokenizer;

use crate::PromptError;
use crate::vocabulary::Vocabulary;

/// Characters of English for one token, roughly, over the common vocabularies.
const CHARS_PER_TOKEN: f64 = 4.0;
/// Largest tokenizer file, in bytes.
const TOKENIZER_BYTES_MAX: u64 = 256 << 20;

/// Counts tokens.
pub(crate) enum Counter {
    /// By a `tokenizer.json`.
    File(Box<Tokenizer>),
    /// By a built-in vocabulary.
    Vocabulary(Vocabulary),
    /// By the characters: an estimate.
    Ratio(f64),
}

impl Counter {
    /// The counter that a specification asks for.
    pub(crate) fn of(spec: &PromptSpec, folder: &Path) -> Result<Self, PromptError> {
        let given = [
            ("tokenizer", spec.tokenizer.is_some()),
            ("vocabulary", spec.vocabulary.is_some()),
            ("chars_per_token", spec.chars_per_token.is_some()),
        ];
        let mut given = given.iter().filter(|(_, given)| *given);
        if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
            return Err(PromptError::new(
                format!("prompt.{second}"),
                format!("`{first}` and `{second}` both say how tokens are counted"),
                "keep one of them",
            ));
        }
        if let Some(file) = &spec.tokenizer {
            return Self::read(&folder.join(file));
        }
        if let Some(name) = &spec.vocabulary {
            let wrong = |next| {
                PromptError::new(
                    "prompt.vocabulary",
                    format!("there is no vocabulary `{name}`"),
                    next,
                )
            };
            return Vocabulary::named(name).map(Self::Vocabulary).map_err(wrong);
        }
        let ratio = spec.chars_per_token.unwrap_or(CHARS_PER_TOKEN);
        if !(0.25..=64.0).contains(&ratio) {
            return Err(PromptError::new(
                "prompt.chars_per_token",
                "this is no number of characters for one token",
                "for English about 4",
            ));
        }
        Ok(Self::Ratio(ratio))
    }

    fn read(path: &Path) -> Result<Self, PromptError> {
        let failed = |why: String| {
            PromptError::new(
                "prompt.tokenizer",
                format!("{} is no tokenizer: {why}", path.display()),
                "give the file `tokenizer.json` of the model, by a path from the suite's folder",
            )
        };
        let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
        if size > TOKENIZER_BYTES_MAX {
            return Err(failed(format!("it has {size} bytes")));
        }
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| failed(e.to_string()))?;
        // A file may say to cut or to fill up what it encodes; counts are of the whole text.
        tokenizer
            .with_truncation(None)
            .map_err(|e| failed(e.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self::File(Box::new(tokenizer)))
    }

    /// Whether counts are those of the model.
    pub(crate) fn is_exact(&self) -> bool {
        !matches!(self, Self::Ratio(_))
    }

    /// How tokens are counted, in words.
    pub(crate) fn says(&self) -> String {
        match self {
            Self::File(_) => "counted by the tokenizer".to_owned(),
            Self::Vocabulary(_) => "counted by the built-in vocabulary".to_owned(),
            Self::Ratio(ratio) => format!("estimated at {ratio} characters each"),
        }
    }

    /// Tokens of a text, without those that a chat template adds.
    pub(crate) fn count(&self, text: &str) -> u32 {
        match self {
            Self::File(_) | Self::Vocabulary(_) => self.ids(text).len() as u32,
            Self::Ratio(ratio) => (text.chars().count() as f64 / ratio).ceil() as u32,
        }
    }

    /// The tokens; none where they are estimated.
    pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
        match self {
            // An error means a model that cannot say the text at all: it then has no tokens.
            Self::File(tokenizer) => tokenizer
                .encode_fast(text, false)
                .map(|encoding| encoding.get_ids().to_vec())
                .unwrap_or_default(),
            Self::Vocabulary(vocabulary) => vocabulary.ids(text),
            Self::Ratio(_) => Vec::new(),
        }
    }

    /// Where each token of a text ends, in bytes.
    pub(crate) fn ends(&self, text: &str) -> Vec<usize> {
        match self {
            Self::File(tokenizer) => tokenizer
                .encode(text, false)
                .map(|encoding| encoding.get_offsets().iter().map(|(_, end)| *end).collect())
                .unwrap_or_default(),
            Self::Vocabulary(vocabulary) => vocabulary.ends(text),
            Self::Ratio(ratio) => {
                let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).collect();
                let tokens = self.count(text);
                let end = |k: u32| {
                    let chars = (f64::from(k) * ratio).floor().max(1.0) as usize;
                    starts.get(chars - 1).copied().unwrap_or(text.len())
                };
                (1..=tokens).map(end).collect()
            }
        }
    }
}
