//! Draws from a seed: lengths, groups, models. Draw `k` of a stream is a function of the seed, the stream and `k`, so that
//! more prompts never change the first ones.

use prony_model::{Drawn, Length, ModelMix, ModelPick, ModelSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Normal};

use crate::PromptError;

/// What is drawn: each has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Where a prompt begins in the text.
    Passage = 1,
    /// Its length.
    Prompt = 2,
    /// The length of its answer.
    Output = 3,
    /// Its shared beginning.
    Group = 4,
    /// Its model.
    Model = 5,
    /// The text of a shared beginning or block.
    Shared = 6,
    /// The length of a scripted answer.
    Answer = 7,
    /// A picture.
    Picture = 8,
}

/// The generator of draw `k`.
pub(crate) fn rng(seed: u64, stream: Stream, k: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (stream as u64).rotate_left(56));
    rng.set_stream(k);
    rng
}

/// Attempts to draw a length within its bounds.
const DRAWS_MAX: u32 = 1_000;

/// The `k`-th length.
pub(crate) fn length(spec: &Length, seed: u64, stream: Stream, k: u64) -> u32 {
    let mut rng = rng(seed, stream, k);
    let drawn = match spec {
        Length::Constant(tokens) => return *tokens,
        Length::Drawn(drawn) => drawn,
    };
    let within = |draw: &mut dyn FnMut() -> f64, min: u32, max: u32| {
        let (low, high) = (f64::from(min), f64::from(max));
        let found = (0..DRAWS_MAX)
            .map(|_| draw().round())
            .find(|value| (low..=high).contains(value));
        found.unwrap_or_else(|| draw().round().clamp(low, high)) as u32
    };
    match drawn {
        Drawn::Uniform { from, to } => rng.random_range(*from..=*to),
        Drawn::Normal { mean, sd, min, max } => match Normal::new(*mean, *sd) {
            Ok(normal) => within(&mut || normal.sample(&mut rng), *min, *max),
            Err(_) => *min,
        },
        Drawn::Lognormal {
            median,
            sigma,
            min,
            max,
        } => match LogNormal::new(median.ln(), *sigma) {
            Ok(lognormal) => within(&mut || lognormal.sample(&mut rng), *min, *max),
            Err(_) => *min,
        },
        Drawn::List { of, weights } if weights.is_empty() => of[rng.random_range(0..of.len())],
        Drawn::List { of, weights } => of[weighted(weights, rng.random())],
    }
}

/// Which of some weights a number from 0 to 1 falls on.
fn weighted(weights: &[f64], at: f64) -> usize {
    let mut left = at * weights.iter().sum::<f64>();
    let hit = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    hit.unwrap_or(weights.len() - 1)
}

/// One of several, the k-th with a weight of `1 / k^exponent`.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// Sums of the weights up to each.
    sums: Vec<f64>,
}

impl Zipf {
    /// Over `n`, at least one.
    pub(crate) fn new(n: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=n.max(1)).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { sums: sums.collect() }
    }

    /// The `k`-th draw.
    pub(crate) fn pick(&self, seed: u64, stream: Stream, k: u64) -> usize {
        let last = self.sums.len() - 1;
        let at = rng(seed, stream, k).random::<f64>() * self.sums[last];
        self.sums.partition_point(|sum| *sum <= at).min(last)
    }
}

/// The model of prompt `k`.
pub(crate) fn model(spec: &ModelSpec, seed: u64, k: u64) -> &str {
    match spec {
        ModelSpec::One(name) => name,
        ModelSpec::Mix(ModelMix {
            of,
            pick,
            zipf: exponent,
        }) => {
            let index = match pick {
                ModelPick::InTurn => (k % of.len() as u64) as usize,
                ModelPick::Random => Zipf::new(of.len(), 0.0).pick(seed, Stream::Model, k),
                ModelPick::Zipf => Zipf::new(of.len(), *exponent).pick(seed, Stream::Model, k),
            };
            &of[index]
        }
    }
}

/// The shortest length that may be drawn.
pub(crate) fn shortest(spec: &Length) -> u32 {
    match spec {
        Length::Constant(tokens) => *tokens,
        Length::Drawn(Drawn::Uniform { from, .. }) => *from,
        Length::Drawn(Drawn::Normal { min, .. } | Drawn::Lognormal { min, .. }) => *min,
        Length::Drawn(Drawn::List { of, .. }) => of.iter().copied().min().unwrap_or(0),
    }
}

/// Whether the numbers of a length make sense.
pub(crate) fn check_length(spec: &Length, key: &str) -> Result<(), PromptError> {
    let at = |part: &str| {
        if part.is_empty() {
            key.to_owned()
        } else {
            format!("{key}.{part}")
        }
    };
    let wrong = |part: &str, what: &str, next: &str| Err(PromptError::new(at(part), what, next));
    let positive = |value: f64| value > 0.0 && value.is_finite();
    let bounds = |min: u32, max: u32, part: &str| {
        if min == 0 {
            wrong(&format!("{part}.min"), "`min` is 0", "write 1 or more")
        } else if min > max {
            wrong(
                &format!("{part}.max"),
                "the range ends before it begins",
                "write `max` of at least `min`",
            )
        } else if max > Length::MAX {
            wrong(
                &format!("{part}.max"),
                "so many tokens are not made",
                "write at most 2000000",
            )
        } else {
            Ok(())
        }
    };
    match spec {
        Length::Constant(0) => wrong("", "a length of 0 tokens", "write 1 or more"),
        Length::Constant(tokens) if *tokens > Length::MAX => {
            wrong("", "so many tokens are not made", "write at most 2000000")
        }
        Length::Constant(_) => Ok(()),
        Length::Drawn(Drawn::Uniform { from, to }) => {
            if *from == 0 {
                return wrong("uniform.from", "a length of 0 tokens", "write 1 or more");
            }
            if from > to || *to > Length::MAX {
                return wrong(
                    "uniform.to",
                    "the range ends before it begins, or beyond 2000000",
                    "write `to` of at least `from`",
                );
            }
            Ok(())
        }
        Length::Drawn(Drawn::Normal { mean, sd, min, max }) => {
            if !positive(*mean) {
                return wrong("normal.mean", "the mean must be above 0", "write it in tokens");
            }
            if !(*sd >= 0.0 && sd.is_finite()) {
                return wrong(
                    "normal.sd",
                    "a standard deviation is 0 or more",
                    "write it in tokens",
                );
            }
            bounds(*min, *max, "normal")
        }
        Length::Drawn(Drawn::Lognormal {
            median,
            sigma,
            min,
            max,
        }) => {
            if !positive(*median) {
                return wrong(
                    "lognormal.median",
                    "the median must be above 0",
                    "write it in tokens",
                );
            }
            if !(*sigma >= 0.0 && sigma.is_finite()) {
                return wrong(
                    "lognormal.sigma",
                    "a standard deviation is 0 or more",
                    "it is that of the logarithm: 0.5 to 1 is common",
                );
            }
            bounds(*min, *max, "lognormal")
        }
        Length::Drawn(Drawn::List { of, weights }) => {
            if of.is_empty() || of.iter().any(|tokens| *tokens == 0 || *tokens > Length::MAX) {
                return wrong("list.of", "lengths are from 1 to 2000000", "write at least one");
            }
            let sound =
                weights.iter().all(|w| *w >= 0.0 && w.is_finite()) && weights.iter().sum::<f64>() > 0.0;
            if !weights.is_empty() && (weights.len() != of.len() || !sound) {
                return wrong(
                    "list.weights",
                    "there must be one weight of 0 or more for each length, and one above 0",
                    "leave `weights` out to draw all alike",
                );
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Drawn, Length, ModelMix, ModelPick, ModelSpec};

    use super::{Stream, Zipf, check_length, length, model, shortest};

    fn drawn(spec: &Length) -> Vec<u32> {
        (0..4_000).map(|k| length(spec, 7, Stream::Prompt, k)).collect()
    }

    fn mean(values: &[u32]) -> f64 {
        values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn lengths_follow_their_distribution() {
        assert!(drawn(&Length::Constant(5)).iter().all(|v| *v == 5));
        let uniform = drawn(&Length::Drawn(Drawn::Uniform { from: 10, to: 20 }));
        // Mean 15, standard deviation 3.2: its error over 4,000 is 0.05.
        assert!((mean(&uniform) - 15.0).abs() < 0.25, "{}", mean(&uniform));
        assert_eq!(
            (uniform.iter().min(), uniform.iter().max()),
            (Some(&10), Some(&20))
        );
        let normal = drawn(&Length::Drawn(Drawn::Normal {
            mean: 200.0,
            sd: 50.0,
            min: 50,
            max: 350,
        }));
        assert!((mean(&normal) - 200.0).abs() < 4.0, "{}", mean(&normal));
        assert!(normal.iter().all(|v| (50..=350).contains(v)));
        let mut lognormal = drawn(&Length::Drawn(Drawn::Lognormal {
            median: 300.0,
            sigma: 0.8,
            min: 1,
            max: 100_000,
        }));
        lognormal.sort_unstable();
        // The error of the median is 1.25 * 0.8 / sqrt(4000) of it: 1.6 %.
        assert!((285..315).contains(&lognormal[2_000]), "{}", lognormal[2_000]);
        let list = drawn(&Length::Drawn(Drawn::List {
            of: vec![8, 64],
            weights: vec![3.0, 1.0],
        }));
        let share = list.iter().filter(|v| **v == 8).count();
        assert!((2_860..3_140).contains(&share), "{share}");
    }

    #[test]
    fn draws_are_repeatable_and_independent_of_how_many() {
        let spec = Length::Drawn(Drawn::Uniform { from: 1, to: 1_000 });
        assert_eq!(drawn(&spec), drawn(&spec));
        assert_eq!(length(&spec, 7, Stream::Prompt, 3), drawn(&spec)[3]);
        assert_ne!(length(&spec, 8, Stream::Prompt, 3), drawn(&spec)[3]);
        assert_ne!(length(&spec, 7, Stream::Output, 3), drawn(&spec)[3]);
    }

    #[test]
    fn zipf_shares() {
        let shares = |exponent| {
            let (zipf, mut counts) = (Zipf::new(4, exponent), [0_u32; 4]);
            (0..10_000).for_each(|k| counts[zipf.pick(3, Stream::Group, k)] += 1);
            counts
        };
        let counts = shares(1.0);
        let total: f64 = 1.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0;
        for (rank, count) in counts.iter().enumerate() {
            let expected = 10_000.0 / (rank + 1) as f64 / total;
            // Four standard errors are below 200.
            assert!((f64::from(*count) - expected).abs() < 200.0, "{counts:?}");
        }
        let alike = shares(0.0);
        assert!(alike.iter().all(|n| (2_300..2_700).contains(n)), "{alike:?}");
    }

    #[test]
    fn models_are_mixed_as_told() {
        let mix = |pick| {
            ModelSpec::Mix(ModelMix {
                of: vec!["base".into(), "lora".into()],
                pick,
                zipf: 1.0,
            })
        };
        let turns = mix(ModelPick::InTurn);
        assert_eq!([model(&turns, 1, 0), model(&turns, 1, 3)], ["base", "lora"]);
        let share = |pick| {
            let spec = mix(pick);
            (0..3_000).filter(|k| model(&spec, 1, *k) == "base").count()
        };
        assert!((1_400..1_600).contains(&share(ModelPick::Random)));
        // 2/3 of them; four standard errors are 103.
        assert!((1_890..2_110).contains(&share(ModelPick::Zipf)));
    }

    #[test]
    fn wrong_lengths_are_told_with_their_key() {
        let key = |spec: &Length| check_length(spec, "tokens").unwrap_err().key;
        assert_eq!(key(&Length::Constant(0)), "tokens");
        assert_eq!(
            key(&Length::Drawn(Drawn::Uniform { from: 3, to: 2 })),
            "tokens.uniform.to"
        );
        let normal = |mean, sd, min, max| Length::Drawn(Drawn::Normal { mean, sd, min, max });
        assert_eq!(key(&normal(0.0, 1.0, 1, 2)), "tokens.normal.mean");
        assert_eq!(key(&normal(1.0, -1.0, 1, 2)), "tokens.normal.sd");
        assert_eq!(key(&normal(1.0, 1.0, 3, 2)), "tokens.normal.max");
        let list = |of, weights| Length::Drawn(Drawn::List { of, weights });
        assert_eq!(key(&list(vec![], vec![])), "tokens.list.of");
        assert_eq!(key(&list(vec![1], vec![1.0, 2.0])), "tokens.list.weights");
        assert_eq!(shortest(&list(vec![9, 4], vec![])), 4);
    }
}
