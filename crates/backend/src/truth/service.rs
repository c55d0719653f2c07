//! Service time distributions with their exact moments.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::settings::Settings;

/// Longest service time drawn.
const LONGEST: Duration = Duration::from_secs(3600);

/// A seeded source of service times.
#[derive(Debug)]
pub(crate) struct ServiceTime {
    law: Law,
    mean_ms: f64,
    rng: Mutex<ChaCha8Rng>,
}

#[derive(Debug, Clone, Copy)]
enum Law {
    Constant,
    Exponential,
    Lognormal { sigma: f64 },
    Bimodal { slow_share: f64, fast: f64, slow: f64 },
    Tokens,
}

/// Tokens of an answer that takes the mean time, where the time depends on them.
pub(crate) const TOKENS_MEAN: f64 = 16.0;

impl ServiceTime {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let sigma = settings.number("sigma", 0.0, 3.0)?;
        let law = match settings.choice("service", &["det", "exp", "lognormal", "bimodal", "tokens"])? {
            "det" => Law::Constant,
            "exp" => Law::Exponential,
            "bimodal" => {
                let slow_share = settings.number("slow_share", 0.0, 1.0)?;
                let factor = settings.number("slow_factor", 1.0, 1000.0)?;
                let fast = 1.0 / (1.0 - slow_share + slow_share * factor);
                let slow = fast * factor;
                Law::Bimodal {
                    slow_share,
                    fast,
                    slow,
                }
            }
            "tokens" => Law::Tokens,
            _ => Law::Lognormal { sigma },
        };
        Ok(Self {
            law,
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
        matches!(self.law, Law::Constant).then_some(self.mean_ms * 1e6)
    }

    /// The next service time; `tokens` is the length of the answer where it has one.
    pub(crate) fn draw(&self, tokens: Option<u64>) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let factor: f64 = match self.law {
            Law::Constant => 1.0,
            Law::Exponential => Exp1.sample(&mut *rng),
            Law::Lognormal { sigma } => {
                let normal: f64 = StandardNormal.sample(&mut *rng);
                (sigma * normal - sigma * sigma / 2.0).exp()
            }
            Law::Bimodal {
                slow_share,
                fast,
                slow,
            } => {
                if rng.random_bool(slow_share) {
                    slow
                } else {
                    fast
                }
            }
            Law::Tokens => tokens.map_or(1.0, |tokens| tokens as f64 / TOKENS_MEAN),
        };
        Duration::from_secs_f64((self.mean_ms * factor / 1000.0).min(LONGEST.as_secs_f64()))
    }

    /// The law and its exact mean and quantiles, in nanoseconds. Lognormal: `exp(mu + sigma z_p)` with `mu = ln mean - sigma^2 / 2`;
    /// exponential: `-mean ln(1 - p)`; with tokens: of an answer of the mean length.
    pub(crate) fn to_json(&self) -> Value {
        const Z: [(&str, f64, f64); 3] = [
            ("p50", 0.5, 0.0),
            ("p90", 0.9, 1.281_551_565_544_600_4),
            ("p99", 0.99, 2.326_347_874_040_841),
        ];
        let mean_ns = self.mean_ms * 1e6;
        let mut out = json!({ "mean": mean_ns });
        for (name, p, z) in Z {
            out[name] = json!(match self.law {
                Law::Constant | Law::Tokens => mean_ns,
                Law::Bimodal {
                    slow_share,
                    fast,
                    slow,
                } => {
                    mean_ns * if p <= 1.0 - slow_share { fast } else { slow }
                }
                Law::Exponential => -mean_ns * (1.0 - p).ln(),
                Law::Lognormal { sigma } => mean_ns * (sigma * z - sigma * sigma / 2.0).exp(),
            });
        }
        out["law"] = json!(match self.law {
            Law::Constant => "det",
            Law::Exponential => "exp",
            Law::Lognormal { .. } => "lognormal",
            Law::Bimodal { .. } => "bimodal",
            Law::Tokens => "tokens",
        });
        out
    }
}

/// Splitmix64 of a seed and a position: the same always, different for neighbours.
pub(crate) fn mix(seed: u64, position: u64) -> u64 {
    let mut z = seed
        .wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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
