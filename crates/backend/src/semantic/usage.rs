//! What an answer is said to have cost.

use super::config::Config;

/// Tokens, as told to the client.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// All of the prompt.
    pub(super) prompt: usize,
    /// Of the prompt, neither read from the cache nor written to it.
    pub(super) input: usize,
    /// Of the prompt, written to the cache.
    pub(super) cache_creation: usize,
    /// Of the prompt, read from the cache.
    pub(super) cache_read: usize,
    /// Of the answer.
    pub(super) output: usize,
}

impl Usage {
    /// The account of a prompt of which `cached` tokens were found. As observed, a known agent is told that all of it was.
    pub(super) fn new(config: &Config, prompt: usize, cached: usize, known_agent: bool) -> Self {
        if config.cache_discarded {
            let (read, created) = if known_agent { (prompt, 0) } else { (0, prompt) };
            return Self {
                prompt,
                input: prompt,
                cache_creation: created,
                cache_read: read,
                output: 0,
            };
        }
        let full = if config.leak {
            cached
        } else {
            prompt / config.block_tokens * config.block_tokens
        };
        let created = full.saturating_sub(cached);
        Self {
            prompt,
            input: prompt - cached - created,
            cache_creation: created,
            cache_read: cached,
            output: 0,
        }
    }

    /// With the tokens of the answer so far.
    pub(super) fn with_output(self, config: &Config, tokens: usize) -> Self {
        let each = if config.layered_usage { config.layers } else { 1 };
        Self {
            output: tokens * each,
            ..self
        }
    }
}
