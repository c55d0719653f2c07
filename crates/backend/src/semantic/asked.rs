//! What is asked of the model, whatever the dialect: a prompt in tokens and the bounds of its answer.

use super::tokens::{Mark, encode};

/// Tokens that a picture counts as.
const PICTURE_TOKENS: usize = 256;

/// A request for an answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The model asked for.
    pub(super) model: String,
    /// The prompt.
    pub(super) prompt: Vec<u32>,
    /// Most tokens of the answer.
    pub(super) max_tokens: usize,
    /// Where the answer is to end.
    pub(super) stops: Vec<String>,
    /// Event by event.
    pub(super) stream: bool,
    /// The stream tells its usage.
    pub(super) include_usage: bool,
    /// The conversation it belongs to.
    pub(super) session: Option<String>,
}

/// A prompt in the making: every turn has five tokens around its text.
#[derive(Debug)]
pub(super) struct Prompt {
    tokens: Vec<u32>,
}

impl Prompt {
    /// Empty.
    pub(super) fn new() -> Self {
        Self {
            tokens: vec![Mark::Begin as u32],
        }
    }

    /// A turn of one text.
    pub(super) fn turn(&mut self, whose: Mark, text: &str) {
        self.open(whose);
        self.text(text);
        self.close();
    }

    /// Begins a turn.
    pub(super) fn open(&mut self, whose: Mark) {
        self.tokens.extend([Mark::Turn as u32, whose as u32]);
        self.text("\n");
    }

    /// Text within a turn.
    pub(super) fn text(&mut self, text: &str) {
        encode(text, &mut self.tokens);
    }

    /// A picture within a turn.
    pub(super) fn picture(&mut self) {
        self.tokens
            .extend(std::iter::repeat_n(Mark::Picture as u32, PICTURE_TOKENS));
    }

    /// Ends a turn.
    pub(super) fn close(&mut self) {
        self.tokens.push(Mark::End as u32);
        self.text("\n");
    }

    /// What ends the model's turn.
    pub(super) fn closing() -> Vec<u32> {
        let mut end = Self { tokens: Vec::new() };
        end.close();
        end.tokens
    }

    /// The model's turn has begun.
    pub(super) fn finish(mut self) -> Vec<u32> {
        self.open(Mark::Model);
        self.tokens
    }
}
