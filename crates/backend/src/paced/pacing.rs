//! How streams are paced: the knobs as values. It draws times and waits for none.

use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::law::Law;
use crate::settings::Settings;
use crate::stream_fault::Shares;

/// When the events before the first token come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// In the same write as the first token.
    With,
    /// At once.
    First,
    /// Never, where the dialect allows it.
    Never,
}

/// When the usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// When the request asks for it.
    Asked,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(super) struct Pacing {
    /// From the request to the first token.
    pub(super) ttft_ns: u64,
    /// Mean between two chunks.
    pub(super) itl_ns: u64,
    /// Its distribution.
    pub(super) law: Law,
    /// Tokens of an answer whose request says nothing.
    pub(super) tokens: u64,
    /// Tokens in one event.
    pub(super) chunk: u64,
    /// When the opening events come.
    pub(super) opening: Opening,
    /// When the usage is told.
    pub(super) usage: Telling,
    /// Between two comments; 0 is none.
    pub(super) keepalive_ns: u64,
    /// Faults of a share of the answers.
    pub(super) faults: Shares,
    /// How long before an event the thread waits actively.
    pub(super) spin_ns: u64,
}

impl Pacing {
    /// Reads and bounds the knobs.
    pub(super) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let ms = |name| {
            settings
                .number(name, 0.0, 3_600_000.0)
                .map(|ms| (ms * 1e6).round() as u64)
        };
        let law = match settings.choice("stream_itl", &["det", "exp", "lognormal", "bimodal"])? {
            "exp" => Law::Exponential,
            "lognormal" => Law::Lognormal {
                sigma: settings.number("stream_sigma", 0.0, 3.0)?,
            },
            "bimodal" => Law::bimodal(
                settings.number("stream_slow_share", 0.0, 1.0)?,
                settings.number("stream_slow_factor", 1.0, 1000.0)?,
            ),
            _ => Law::Constant,
        };
        Ok(Self {
            ttft_ns: ms("stream_ttft_ms")?,
            itl_ns: ms("stream_itl_ms")?,
            law,
            tokens: settings.count("stream_tokens", 1, super::asked::TOKENS_MAX)?,
            chunk: settings.count("stream_chunk", 1, 1024)?,
            opening: match settings.choice("stream_role", &["with", "first", "none"])? {
                "first" => Opening::First,
                "none" => Opening::Never,
                _ => Opening::With,
            },
            usage: match settings.choice("stream_usage", &["asked", "always", "never"])? {
                "always" => Telling::Always,
                "never" => Telling::Never,
                _ => Telling::Asked,
            },
            keepalive_ns: ms("stream_keepalive_ms")?,
            faults: Shares::read(settings.word("stream_fault"))
                .map_err(|reason| settings.refuse("stream_fault", &reason))?,
            spin_ns: settings.count("stream_spin_us", 0, 1_000_000)? * 1000,
        })
    }

    /// The time to the next chunk.
    pub(super) fn gap_ns(&self, rng: &mut ChaCha8Rng) -> u64 {
        match self.law {
            Law::Constant => self.itl_ns,
            _ => (self.itl_ns as f64 * self.law.draw(rng)) as u64,
        }
    }

    /// The stated law of the gaps, in nanoseconds.
    pub(super) fn to_json(&self) -> Value {
        json!({ "ttft_ns": self.ttft_ns, "itl_ns": self.law.to_json(self.itl_ns as f64), "tokens_per_chunk": self.chunk })
    }
}
