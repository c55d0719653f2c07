//! What an engine told of itself between the first and the last reading. Pure arithmetic on readings; judges nothing.

use std::collections::BTreeMap;

use prony_model::{Nanos, PhaseResult, Reading};

use super::dialect::{DIALECTS, Dialect, Histogram};

/// Monitor whose readings these are.
const MONITOR: &str = "metrics";

/// What was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Who tells.
    pub engine: &'static str,
    /// First and last reading, since the run's epoch.
    pub window: (Nanos, Nanos),
    /// Readings.
    pub readings: usize,
    /// Most requests that ran at once.
    pub running_max: Option<f64>,
    /// Most requests that waited at once.
    pub waiting_max: Option<f64>,
    /// Share of readings in which requests waited.
    pub waiting_share: f64,
    /// Largest share of the key-value cache in use.
    pub kv_share_max: Option<f64>,
    /// Prompt tokens found in the prefix cache, and looked for.
    pub prefix: Option<(f64, f64)>,
    /// Requests put back to make room.
    pub preemptions: Option<f64>,
    /// Speculative decoding.
    pub speculation: Option<Speculated>,
    /// Time to first token.
    pub ttft: Option<Times>,
    /// Time in the queue.
    pub queue: Option<Times>,
}

/// What speculative decoding brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speculated {
    /// Tokens that a step of a sequence gave, on average: one, and the guesses that were right.
    pub length: f64,
    /// Share of the guessed tokens that were right; `None` where only the length is told.
    pub accepted_share: Option<f64>,
    /// Steps that it is of; 0 where only the length is told.
    pub steps: f64,
}

/// What a histogram gained.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Times {
    /// How many.
    pub n: f64,
    /// Their mean in milliseconds.
    pub mean_ms: f64,
    /// Upper ends of the buckets in milliseconds, with the observations up to each.
    pub buckets: Vec<(f64, f64)>,
}

impl Times {
    /// Between which two ends of buckets a quantile lies, in milliseconds; without an upper end it is infinite.
    pub(super) fn bounds_ms(&self, p: f64) -> Option<(f64, f64)> {
        if self.n <= 0.0 || self.buckets.is_empty() {
            return None;
        }
        let rank = p * self.n;
        let at = self.buckets.iter().position(|(_, up_to)| *up_to >= rank);
        let low = |at: usize| if at == 0 { 0.0 } else { self.buckets[at - 1].0 };
        Some(match at {
            Some(at) => (low(at), self.buckets[at].0),
            None => (low(self.buckets.len()), f64::INFINITY),
        })
    }
}

/// What the engine told while these phases ran; `None` when no known engine told anything twice.
pub(super) fn told(phases: &[&PhaseResult]) -> Option<Told> {
    let mut readings: Vec<&Reading> = phases
        .iter()
        .flat_map(|p| &p.readings)
        .filter(|r| r.monitor == MONITOR)
        .collect();
    readings.sort_by_key(|r| r.at);
    readings.dedup_by_key(|r| r.at);
    DIALECTS.iter().find_map(|dialect| of(dialect, &readings))
}

fn of(dialect: &Dialect, all: &[&Reading]) -> Option<Told> {
    let signs: Vec<&str> = [dialect.running, dialect.waiting].concat();
    let readings: Vec<&Reading> = all
        .iter()
        .copied()
        .filter(|r| signs.iter().any(|name| r.values.contains_key(*name)))
        .collect();
    let (first, last) = (*readings.first()?, *readings.last()?);
    if first.at == last.at {
        return None;
    }
    let most = |names: &[&str]| readings.iter().filter_map(|r| value(r, names)).reduce(f64::max);
    let gained = |names: &[&str]| gain(value(first, names), value(last, names));
    let waited = readings
        .iter()
        .filter(|r| value(r, dialect.waiting).is_some_and(|n| n > 0.0))
        .count();
    Some(Told {
        engine: dialect.engine,
        window: (first.at, last.at),
        readings: readings.len(),
        running_max: most(dialect.running),
        waiting_max: most(dialect.waiting),
        waiting_share: waited as f64 / readings.len() as f64,
        kv_share_max: most(dialect.kv_share),
        prefix: gained(dialect.prefix_hits).zip(gained(dialect.prefix_queries)),
        preemptions: gained(dialect.preemptions),
        speculation: speculated(dialect, &readings),
        ttft: dialect.ttft.and_then(|h| times(h, first, last)),
        queue: dialect.queue.and_then(|h| times(h, first, last)),
    })
}

/// By counters between the first and the last reading; else by the last gauge that is not zero.
fn speculated(dialect: &Dialect, readings: &[&Reading]) -> Option<Speculated> {
    let names = dialect.speculation;
    let (first, last) = (*readings.first()?, *readings.last()?);
    let gained = |names: &[&str]| gain(value(first, names), value(last, names));
    if let Some((steps, right)) = gained(names.drafts).zip(gained(names.accepted)) {
        let drafted = gained(names.drafted).filter(|n| *n > 0.0);
        return (steps > 0.0).then(|| Speculated {
            length: 1.0 + right / steps,
            accepted_share: drafted.map(|n| right / n),
            steps,
        });
    }
    let told = readings.iter().rev().filter_map(|r| value(r, names.length));
    let length = told.into_iter().find(|length| *length > 0.0)?;
    Some(Speculated {
        length,
        accepted_share: None,
        steps: 0.0,
    })
}

fn value(reading: &Reading, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| reading.values.get(*name).copied())
}

/// What a counter gained; `None` when it fell, since the server began anew. A counter that was not told yet was zero.
fn gain(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let gained = after? - before.unwrap_or(0.0);
    (gained >= 0.0).then_some(gained)
}

fn times(of: Histogram, first: &Reading, last: &Reading) -> Option<Times> {
    let gained = |key: &str| gain(first.values.get(key).copied(), last.values.get(key).copied());
    let n = gained(&format!("{}_count", of.name))?;
    let sum = gained(&format!("{}_sum", of.name))?;
    if n <= 0.0 {
        return None;
    }
    let prefix = format!("{}_bucket{{le=", of.name);
    let edges: BTreeMap<u64, f64> = last
        .values
        .keys()
        .filter_map(|key| {
            let edge: f64 = key.strip_prefix(&prefix)?.strip_suffix('}')?.parse().ok()?;
            let positive = edge.is_finite() && edge >= 0.0;
            // The order of the bits of positive floats is their order.
            positive.then_some((edge.to_bits(), gained(key)?))
        })
        .collect();
    Some(Times {
        n,
        mean_ms: sum / n * of.unit_ms,
        buckets: edges
            .into_iter()
            .map(|(bits, up_to)| (f64::from_bits(bits) * of.unit_ms, up_to))
            .collect(),
    })
}
