//! Which piece of text a token stands for: known of those that were told, since a token is a digest. It is bounded, and knows no requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::app::Semantic;
use super::fault::Fault;
use super::serving::{Tokenise, read_tokens};
use super::tokens::pieces;

/// Most pieces remembered.
const PIECES_MAX: usize = 200_000;

/// The pieces.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(Mutex<HashMap<u32, String>>);

impl Vocabulary {
    /// The tokens of a text, whose pieces are known from now on.
    fn learn(&self, text: &str) -> Vec<u32> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let learn = |(token, piece): (u32, &str)| {
            if known.len() < PIECES_MAX {
                known.entry(token).or_insert_with(|| piece.to_owned());
            }
            token
        };
        pieces(text).into_iter().map(learn).collect()
    }

    /// The text of tokens; the error is one that is not known.
    fn text(&self, tokens: &[u32]) -> Result<String, u32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .iter()
            .map(|token| known.get(token).map(String::as_str).ok_or(*token))
            .collect()
    }
}

impl Semantic {
    /// POST /tokenize.
    pub(super) fn tokenize(&self, body: &Map<String, Value>) -> Result<Value, Fault> {
        let tokens = match Tokenise::read(body).map_err(Fault::invalid)? {
            Tokenise::Text(text) => self.vocabulary.learn(&text),
            Tokenise::Tokens(tokens) => tokens,
        };
        Ok(json!({
            "count": tokens.len(), "max_model_len": self.config.prompt_max(), "tokens": tokens, "token_strs": null,
        }))
    }

    /// POST /detokenize.
    pub(super) fn detokenize(&self, body: &Map<String, Value>) -> Result<Value, Fault> {
        let tokens = read_tokens(body).map_err(Fault::invalid)?;
        match self.vocabulary.text(&tokens) {
            Ok(text) => Ok(json!({ "prompt": text })),
            Err(token) => Err(Fault::bad_request(format!(
                "token {token} was never told by /tokenize"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_can_be_turned_back() {
        let vocabulary = Vocabulary::default();
        let text = "Two words, and more.";
        let tokens = vocabulary.learn(text);
        assert_eq!(vocabulary.text(&tokens).as_deref(), Ok(text));
        assert_eq!(vocabulary.text(&[7]), Err(7));
    }
}
