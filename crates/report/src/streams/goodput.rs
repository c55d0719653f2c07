//! Goodput: how many requests held every objective. A request that failed held none.

use std::fmt;
use std::str::FromStr;

use prony_stats::{binomial, order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counts::Source;
use crate::definitions::{OURS, RecordedStream, worth};

const CONFIDENCE: f64 = 0.95;

/// A time of a request that an objective may bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SloMetric {
    /// Time to first token; in an open loop from when the request was due.
    Ttft,
    /// Time per output token; an answer without one holds.
    Tpot,
    /// The 99th percentile of the answer's own inter-token latencies; an answer of one token holds.
    Itl,
    /// To the last token; in an open loop from when the request was due.
    E2el,
}

impl SloMetric {
    /// Every metric with its name.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("ttft", Self::Ttft),
        ("tpot", Self::Tpot),
        ("itl", Self::Itl),
        ("e2el", Self::E2el),
    ];

    /// Its name, as in `--goodput`.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, metric)| *metric == self);
        found.map_or("", |(name, _)| name)
    }
}

/// An objective for each request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slo {
    /// What is bounded.
    pub metric: SloMetric,
    /// Most milliseconds.
    pub limit_ms: f64,
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <= {} ms", self.metric.name(), self.limit_ms)
    }
}

/// Why a text is no objective.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no objective: write METRIC:MILLISECONDS with one of ttft, tpot, itl, e2el, as in ttft:300")]
pub struct SloError(String);

impl FromStr for Slo {
    type Err = SloError;

    /// `ttft:300`, as in `vllm bench serve --goodput`.
    fn from_str(text: &str) -> Result<Self, SloError> {
        let wrong = || SloError(text.to_owned());
        let (name, limit) = text.split_once(':').ok_or_else(wrong)?;
        let metric = SloMetric::NAMES.iter().find(|(known, _)| *known == name);
        let limit_ms: f64 = limit.parse().map_err(|_| wrong())?;
        match metric {
            Some((_, metric)) if limit_ms.is_finite() && limit_ms > 0.0 => Ok(Self {
                metric: *metric,
                limit_ms,
            }),
            _ => Err(wrong()),
        }
    }
}

/// How many requests held every objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goodput {
    /// The objectives, in words.
    pub objectives: Vec<String>,
    /// Requests that held all of them.
    pub good: u64,
    /// Requests that finished, well or not.
    pub of: u64,
    /// Share of good ones.
    pub share: f64,
    /// Its 95 % interval (Clopper-Pearson).
    pub ci: (f64, f64),
    /// Good requests per second.
    pub requests_per_s: f64,
    /// Output tokens of good requests per second.
    pub tokens_per_s: f64,
    /// For each objective alone, the requests that held it.
    pub each: Vec<u64>,
}

/// The goodput of a table; `None` without objectives or without records. `finished` are the records of requests that
/// ended well or badly.
pub(super) fn build(source: &Source<'_>, slos: &[Slo], finished: &[&RecordedStream]) -> Option<Goodput> {
    if slos.is_empty() || finished.is_empty() {
        return None;
    }
    let open = source.phase.open_loop;
    let held: Vec<Vec<bool>> = finished
        .iter()
        .map(|s| slos.iter().map(|slo| holds(s, slo, open)).collect())
        .collect();
    let all = held.iter().map(|each| each.iter().all(|held| *held));
    let good = all.clone().filter(|good| *good).count() as u64;
    let good_tokens: u64 = finished
        .iter()
        .zip(all)
        .filter(|(_, good)| *good)
        .map(|(s, _)| u64::from(s.record.output_tokens()))
        .sum();
    let requests = source.summary.ok + source.summary.failed;
    let of = if source.whole {
        requests.max(finished.len() as u64)
    } else {
        finished.len() as u64
    };
    let share = good as f64 / of as f64;
    let requests_per_s = worth(requests as f64, source.duration_s());
    Some(Goodput {
        objectives: slos.iter().map(ToString::to_string).collect(),
        good,
        of,
        share,
        ci: binomial::clopper_pearson(good, of, CONFIDENCE),
        requests_per_s: share * requests_per_s,
        tokens_per_s: requests_per_s * good_tokens as f64 / of as f64,
        each: (0..slos.len())
            .map(|i| held.iter().filter(|each| each[i]).count() as u64)
            .collect(),
    })
}

fn holds(stream: &RecordedStream, slo: &Slo, open_loop: bool) -> bool {
    let seen = (OURS.see)(stream);
    if !seen.ok {
        return false;
    }
    let record = &stream.record;
    let late_ms = if open_loop {
        (record.sent.0 as f64 - record.intended.0 as f64) / 1e6
    } else {
        0.0
    };
    let value = match slo.metric {
        SloMetric::Ttft => seen.ttft_ms().map(|ms| ms + late_ms),
        SloMetric::E2el => Some(seen.e2e_ms() + late_ms),
        SloMetric::Tpot => seen.tpot_ms,
        SloMetric::Itl => match seen.itl_ms {
            Some(gaps) => own_p99(gaps),
            // Its events are not kept: the longest gap bounds every percentile.
            None => Some(record.longest_gap.as_millis_f64()),
        },
    };
    value.is_none_or(|ms| ms <= slo.limit_ms)
}

fn own_p99(mut gaps: Vec<f64>) -> Option<f64> {
    gaps.sort_unstable_by(f64::total_cmp);
    let rank = order::nearest_rank(0.99, gaps.len() as u64) as usize;
    gaps.get(rank.checked_sub(1)?).copied()
}
