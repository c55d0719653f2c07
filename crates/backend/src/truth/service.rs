//! Service times by a law, drawn from a seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::law::Law;
use crate::settings::Settings;

/// Longest service time drawn.
const LONGEST: Duration = Duration::from_secs(3600);

/// A seeded source of service times.
#[derive(Debug)]
pub(crate) struct ServiceTime {
    law: Law,
    /// Whether the time depends on the length of the answer, which then has a constant time per token.
    per_token: bool,
    mean_ms: f64,
    rng: Mutex<ChaCha8Rng>,
}

/// Tokens of an answer that takes the mean time, where the time depends on them.
pub(crate) const TOKENS_MEAN: f64 = 16.0;

impl ServiceTime {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let sigma = settings.number("sigma", 0.0, 3.0)?;
        let law = match settings.choice("service", &["det", "exp", "lognormal", "bimodal", "tokens"])? {
            "det" | "tokens" => Law::Constant,
            "exp" => Law::Exponential,
            "bimodal" => Law::bimodal(
                settings.number("slow_share", 0.0, 1.0)?,
                settings.number("slow_factor", 1.0, 1000.0)?,
            ),
            _ => Law::Lognormal { sigma },
        };
        Ok(Self {
            law,
            per_token: settings.word("service") == "tokens",
            mean_ms: settings.number("mean_ms", 0.0, 600_000.0)?,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        })
    }

    /// The mean in seconds.
    pub(crate) fn mean_s(&self) -> f64 {
        self.mean_ms / 1000.0
    }

    /// Whether it is exponential, so that theory knows the queue.
    pub(crate) fn is_exponential(&self) -> bool {
        matches!(self.law, Law::Exponential)
    }

    /// The time, where every request takes the same, in nanoseconds.
    pub(crate) fn constant_ns(&self) -> Option<f64> {
        (matches!(self.law, Law::Constant) && !self.per_token).then_some(self.mean_ms * 1e6)
    }

    /// The next service time; `tokens` is the length of the answer where it has one.
    pub(crate) fn draw(&self, tokens: Option<u64>) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = match tokens.filter(|_| self.per_token) {
            Some(tokens) => tokens as f64 / TOKENS_MEAN,
            None => self.law.draw(&mut *rng),
        };
        Duration::from_secs_f64((self.mean_ms * factor / 1000.0).min(LONGEST.as_secs_f64()))
    }

    /// The law and its exact mean and quantiles, in nanoseconds; with tokens: of an answer of the mean length.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = self.law.to_json(self.mean_ms * 1e6);
        if self.per_token {
            out["law"] = json!("tokens");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn source(law: &str, seed: u64) -> ServiceTime {
        let pairs = [
            ("service".to_owned(), law.to_owned()),
            ("mean_ms".to_owned(), "10".to_owned()),
            ("slow_share".to_owned(), "0.2".to_owned()),
        ];
        ServiceTime::new(&Settings::new(preset("truth").unwrap(), &pairs).unwrap(), seed).unwrap()
    }

    /// 40,000 draws: the mean's standard error is under 0.6 % for the exponential, so 3 % is 5 of them.
    #[test]
    fn draws_follow_the_law_they_state() {
        for law in ["det", "exp", "lognormal", "bimodal", "tokens"] {
            let source = source(law, 7);
            let mut drawn: Vec<f64> = (0..40_000)
                .map(|_| source.draw(None).as_secs_f64() * 1e9)
                .collect();
            drawn.sort_by(f64::total_cmp);
            let stated = source.to_json();
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            assert!(
                (mean / stated["mean"].as_f64().unwrap() - 1.0).abs() < 0.03,
                "{law} mean {mean}"
            );
            for (name, rank) in [("p50", 20_000), ("p90", 36_000), ("p99", 39_600)] {
                let ratio = drawn[rank] / stated[name].as_f64().unwrap();
                assert!((ratio - 1.0).abs() < 0.05, "{law} {name} {ratio}");
            }
        }
    }

    #[test]
    fn the_seed_decides_the_times() {
        let draw = |seed| {
            let source = source("exp", seed);
            [source.draw(None), source.draw(None)]
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
