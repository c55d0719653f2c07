//! Service time distributions with their exact moments.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
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
}

impl ServiceTime {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let sigma = settings.number("sigma", 0.0, 3.0)?;
        let law = match settings.choice("service", &["det", "exp", "lognormal"])? {
            "det" => Law::Constant,
            "exp" => Law::Exponential,
            _ => Law::Lognormal { sigma },
        };
        Ok(Self {
            law,
            mean_ms: settings.number("mean_ms", 0.0, 600_000.0)?,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        })
    }

    /// The next service time.
    pub(crate) fn draw(&self) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let factor: f64 = match self.law {
            Law::Constant => 1.0,
            Law::Exponential => Exp1.sample(&mut *rng),
            Law::Lognormal { sigma } => {
                let normal: f64 = StandardNormal.sample(&mut *rng);
                (sigma * normal - sigma * sigma / 2.0).exp()
            }
        };
        Duration::from_secs_f64((self.mean_ms * factor / 1000.0).min(LONGEST.as_secs_f64()))
    }

    /// The law and its exact mean and quantiles, in nanoseconds. Lognormal: `exp(mu + sigma z_p)` with `mu = ln mean - sigma^2 / 2`;
    /// exponential: `-mean ln(1 - p)`.
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
                Law::Constant => mean_ns,
                Law::Exponential => -mean_ns * (1.0 - p).ln(),
                Law::Lognormal { sigma } => mean_ns * (sigma * z - sigma * sigma / 2.0).exp(),
            });
        }
        out["law"] = json!(match self.law {
            Law::Constant => "det",
            Law::Exponential => "exp",
            Law::Lognormal { .. } => "lognormal",
        });
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
        ];
        ServiceTime::new(&Settings::new(preset("truth").unwrap(), &pairs).unwrap(), seed).unwrap()
    }

    /// 40,000 draws: the mean's standard error is under 0.6 % for the exponential, so 3 % is 5 of them.
    #[test]
    fn draws_follow_the_law_they_state() {
        for law in ["det", "exp", "lognormal"] {
            let source = source(law, 7);
            let mut drawn: Vec<f64> = (0..40_000).map(|_| source.draw().as_secs_f64() * 1e9).collect();
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
            [source.draw(), source.draw()]
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
