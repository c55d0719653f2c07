//! Distributions of times, with their exact moments, and numbers that a seed and a position decide. It knows no clock and waits for
//! nothing.

use std::sync::Arc;

use rand::Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde_json::{Value, json};

/// Quantiles that are stated: name, probability, and the normal distribution's.
const STATED: [(&str, f64, f64); 3] = [
    ("p50", 0.5, 0.0),
    ("p90", 0.9, 1.281_551_565_544_600_4),
    ("p99", 0.99, 2.326_347_874_040_841),
];

/// A distribution around a mean of 1; the empirical one has values of its own.
#[derive(Debug, Clone)]
pub(crate) enum Law {
    /// Always the same.
    Constant,
    /// Memoryless.
    Exponential,
    /// The logarithm is normal.
    Lognormal {
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// Two values.
    Bimodal {
        /// Share of the slow one.
        slow_share: f64,
        /// The fast value.
        fast: f64,
        /// The slow value.
        slow: f64,
    },
    /// One of these values, each as likely; sorted, not empty.
    Empirical(Arc<[f64]>),
}

impl Law {
    /// Two values of which the slow one is `factor` times the fast one; their mean is 1.
    pub(crate) fn bimodal(slow_share: f64, factor: f64) -> Self {
        let fast = 1.0 / (1.0 - slow_share + slow_share * factor);
        Self::Bimodal {
            slow_share,
            fast,
            slow: fast * factor,
        }
    }

    /// From values that were observed; `None` without any.
    pub(crate) fn empirical(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| Self::Empirical(values.into()))
    }

    /// The next one.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Exponential => Exp1.sample(rng),
            Self::Lognormal { sigma } => {
                let normal: f64 = StandardNormal.sample(rng);
                (sigma * normal - sigma * sigma / 2.0).exp()
            }
            Self::Bimodal {
                slow_share,
                fast,
                slow,
            } => {
                if rng.random_bool(*slow_share) {
                    *slow
                } else {
                    *fast
                }
            }
            Self::Empirical(values) => values[rng.random_range(0..values.len())],
        }
    }

    /// Its name, exact mean and quantiles, times `scale`. Lognormal: `exp(mu + sigma z_p)` with `mu = ln mean - sigma^2 / 2`;
    /// exponential: `-mean ln(1 - p)`; empirical: nearest rank.
    pub(crate) fn to_json(&self, scale: f64) -> Value {
        let mean = match self {
            Self::Empirical(values) => values.iter().sum::<f64>() / values.len() as f64,
            _ => 1.0,
        };
        let mut out = json!({ "mean": mean * scale });
        for (name, p, z) in STATED {
            out[name] = json!(scale * self.quantile(p, z));
        }
        out["law"] = json!(self.name());
        out
    }

    fn quantile(&self, p: f64, z: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Exponential => -(1.0 - p).ln(),
            Self::Lognormal { sigma } => (sigma * z - sigma * sigma / 2.0).exp(),
            Self::Bimodal {
                slow_share,
                fast,
                slow,
            } => {
                if p <= 1.0 - slow_share {
                    *fast
                } else {
                    *slow
                }
            }
            Self::Empirical(values) => {
                let rank = (p * values.len() as f64).ceil() as usize;
                values[rank.clamp(1, values.len()) - 1]
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Constant => "det",
            Self::Exponential => "exp",
            Self::Lognormal { .. } => "lognormal",
            Self::Bimodal { .. } => "bimodal",
            Self::Empirical(_) => "empirical",
        }
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

/// Whether the event at a position is one of the one in `n` that are chosen; 0 chooses none.
pub(crate) fn one_in(n: u64, seed: u64, position: u64) -> bool {
    n > 0 && mix(seed, position).is_multiple_of(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    /// 40,000 draws of ten values of equal weight: each rank's share has a standard error of 0.0015.
    #[test]
    fn an_empirical_law_draws_what_was_observed() {
        let law = Law::empirical((1..=10).rev().map(f64::from).collect()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0_u32; 11];
        for _ in 0..40_000 {
            counts[law.draw(&mut rng) as usize] += 1;
        }
        assert!(
            counts[1..].iter().all(|count| count.abs_diff(4000) < 350),
            "{counts:?}"
        );
        let stated = law.to_json(2.0);
        assert_eq!(
            (&stated["mean"], &stated["p50"], &stated["p99"]),
            (&json!(11.0), &json!(10.0), &json!(20.0))
        );
        assert!(Law::empirical(Vec::new()).is_none());
    }

    #[test]
    fn one_in_so_many_is_about_that() {
        let chosen = (0..10_000).filter(|k| one_in(10, 5, *k)).count();
        assert!((850..1150).contains(&chosen), "{chosen}");
        assert!((0..1000).all(|k| !one_in(0, 5, k)) && (0..10).all(|k| one_in(1, 5, k)));
    }
}
