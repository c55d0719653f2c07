//! From what a tool sees of each answer to what it prints of all.

use prony_model::Nanos;
use prony_stats::{mean, order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seen::{RecordedStream, Seen};
use super::{Definition, OURS};

/// How a percentile is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// The value of the nearest rank.
    NearestRank,
    /// Interpolated between two values, as numpy does.
    Linear,
    /// The nearest rank among all queries, those that failed being the slowest.
    FailuresLast,
}

/// The percentiles that are kept, in per cent.
pub(crate) const PERCENTILES: [f64; 11] = [0.1, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// A set of values as a tool sums them up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeStats {
    /// How many.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (of the values, not of a population behind them).
    pub sd: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Percentiles by per cent, ascending; `None` where the percentile is a request that failed.
    pub percentiles: Vec<(f64, Option<f64>)>,
}

impl TimeStats {
    /// Of values in any order; `None` of none. `failures` are the queries without a value.
    fn of(mut values: Vec<f64>, how: Percentile, failures: u64) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let mean = mean(&values);
        let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        Some(Self {
            n: values.len() as u64,
            mean,
            sd: spread.sqrt(),
            min: values[0],
            max: values[values.len() - 1],
            percentiles: PERCENTILES
                .iter()
                .map(|&p| (p, at(&values, p / 100.0, how, failures)))
                .collect(),
        })
    }

    /// A percentile.
    pub fn at(&self, per_cent: f64) -> Option<f64> {
        let found = self.percentiles.iter().find(|(p, _)| (p - per_cent).abs() < 1e-9);
        found.and_then(|(_, value)| *value)
    }

    /// The sum of the values.
    pub fn sum(&self) -> f64 {
        self.mean * self.n as f64
    }
}

fn at(sorted: &[f64], p: f64, how: Percentile, failures: u64) -> Option<f64> {
    let n = sorted.len() as u64;
    match how {
        Percentile::NearestRank => Some(sorted[order::nearest_rank(p, n) as usize - 1]),
        Percentile::FailuresLast => {
            let rank = order::nearest_rank(p, n + failures) as usize;
            sorted.get(rank - 1).copied()
        }
        Percentile::Linear => {
            let place = p * (n - 1) as f64;
            let low = place.floor() as usize;
            let high = (low + 1).min(sorted.len() - 1);
            Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
        }
    }
}

/// What a tool prints of a set of answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restated {
    /// Requests that it takes for successes.
    pub ok: u64,
    /// The others. What the generator cut off itself is in neither.
    pub failed: u64,
    /// Its duration in seconds.
    pub duration_s: f64,
    /// First start and last end, since the run's epoch.
    pub window: (Nanos, Nanos),
    /// Input tokens of its successes, where every one is known.
    pub input_tokens: Option<u64>,
    /// Output tokens of its successes.
    pub output_tokens: u64,
    /// Milliseconds to the first token.
    pub ttft: Option<TimeStats>,
    /// Milliseconds per output token.
    pub tpot: Option<TimeStats>,
    /// Inter-token latencies in milliseconds.
    pub itl: Option<TimeStats>,
    /// Gaps between chunks in milliseconds.
    pub gaps: Option<TimeStats>,
    /// End-to-end milliseconds.
    pub e2e: Option<TimeStats>,
    /// Output tokens per second of each user: 1,000 over the inter-token latencies.
    pub per_user: Option<TimeStats>,
    /// Input lengths in tokens.
    pub input_lengths: Option<TimeStats>,
    /// Output lengths in tokens.
    pub output_lengths: Option<TimeStats>,
    /// Most chunks in one second, counted from the first start.
    pub chunks_per_s_max: u64,
    /// Most requests at once.
    pub at_once_max: u64,
    /// Whether a recording lacks the events of some answer, so that gaps are missing.
    pub gaps_lacking: bool,
}

impl Restated {
    /// Successful requests per second.
    pub fn requests_per_s(&self) -> f64 {
        worth(self.ok as f64, self.duration_s)
    }

    /// Output tokens per second.
    pub fn output_per_s(&self) -> f64 {
        worth(self.output_tokens as f64, self.duration_s)
    }

    /// Input and output tokens per second.
    pub fn total_per_s(&self) -> Option<f64> {
        let total = self.input_tokens? + self.output_tokens;
        Some(worth(total as f64, self.duration_s))
    }
}

/// A quotient; zero over nothing.
pub(crate) fn worth(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// The answers under a tool's definitions.
pub fn restate(definition: &Definition, streams: &[RecordedStream]) -> Restated {
    let seen: Vec<Seen> = streams
        .iter()
        .filter(|s| !s.record.outcome.is_own())
        .map(definition.see)
        .collect();
    let good: Vec<&Seen> = seen.iter().filter(|s| s.ok).collect();
    let failed = (seen.len() - good.len()) as u64;
    let how = definition.percentile;
    let times = |of: &dyn Fn(&Seen) -> Option<f64>| {
        TimeStats::of(good.iter().filter_map(|s| of(s)).collect(), how, failed)
    };
    // Of pooled gaps, a request that failed is no value.
    let pooled = |of: &dyn Fn(&Seen) -> Option<&Vec<f64>>| {
        let all = good.iter().filter_map(|s| of(s)).flatten().copied().collect();
        TimeStats::of(all, how, 0)
    };
    let itl = pooled(&|s| s.itl_ms.as_ref());
    let first = seen.iter().map(|s| s.start).min().unwrap_or_default();
    let ends = streams.iter().filter(|s| !s.record.outcome.is_own());
    let last_end = ends.map(|s| s.record.end).max().unwrap_or_default();
    let last = seen.iter().map(|s| s.end).max().unwrap_or_default().max(last_end);
    let inputs: Option<Vec<u32>> = good.iter().map(|s| s.input).collect();
    let lengths = |values: Vec<f64>| TimeStats::of(values, Percentile::Linear, 0);
    let users = good.iter().filter_map(|s| s.itl_ms.as_ref());
    let users = users.filter(|itl| !itl.is_empty()).map(|itl| 1000.0 / mean(itl));
    Restated {
        ok: good.len() as u64,
        failed,
        duration_s: (last - first).as_secs_f64(),
        window: (first, last),
        input_tokens: inputs.as_ref().map(|all| all.iter().map(|n| u64::from(*n)).sum()),
        output_tokens: good.iter().map(|s| u64::from(s.output)).sum(),
        ttft: times(&Seen::ttft_ms),
        tpot: times(&|s| s.tpot_ms),
        gaps: pooled(&|s| s.gaps_ms.as_ref()),
        e2e: times(&|s| Some(s.e2e_ms())),
        per_user: lengths(users.filter(|speed| speed.is_finite()).collect()),
        input_lengths: inputs.and_then(|all| lengths(all.iter().map(|n| f64::from(*n)).collect())),
        output_lengths: lengths(good.iter().map(|s| f64::from(s.output)).collect()),
        chunks_per_s_max: chunks_per_s_max(&good, first),
        at_once_max: at_once_max(&good),
        gaps_lacking: good.iter().any(|s| s.itl_ms.is_none()),
        itl,
    }
}

/// Whether these definitions are our own.
pub(super) fn is_ours(definition: &Definition) -> bool {
    definition.name == OURS.name
}

/// Most chunks in one second of the clock that starts with the first request.
fn chunks_per_s_max(good: &[&Seen], start: Nanos) -> u64 {
    let mut buckets: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
    for seen in good {
        let mut at_ms = super::seen::between_ms(start, seen.first);
        let gaps = seen.gaps_ms.iter().flatten();
        for gap in std::iter::once(&0.0).chain(gaps) {
            at_ms += gap;
            *buckets.entry((at_ms / 1000.0).max(0.0) as u64).or_default() += 1;
        }
    }
    buckets.values().copied().max().unwrap_or(0)
}

/// Most requests at once; one that ends as another begins is not beside it.
fn at_once_max(good: &[&Seen]) -> u64 {
    let mut edges: Vec<(Nanos, i64)> = good.iter().flat_map(|s| [(s.start, 1), (s.end, -1)]).collect();
    edges.sort_unstable();
    let mut now = 0;
    let mut most = 0;
    for (_, change) in edges {
        now += change;
        most = most.max(now);
    }
    u64::try_from(most).unwrap_or(0)
}
