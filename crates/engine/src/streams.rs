//! The account of streamed answers: what the summary of their tokens needs, in memory that does not grow with the number
//! of tokens. Every worker keeps its own; accounts add up without loss. Knows no clock.

#[cfg(test)]
mod tests;
mod ticks;

use std::collections::BTreeMap;

use prony_model::{
    Distribution, FinishReason, Nanos, Outcome, Phase, StreamEventKind, StreamRecord, StreamSummary,
};
use prony_stats::order;

use crate::books::{self, Recent, Times};
use crate::rows;
use crate::summary::concurrency;
use ticks::Ticks;

/// How many times of an answer are added up: see [`times`].
const METRICS: usize = 8;

/// Gaps above so many median gaps are stalls.
const STALL_MEDIANS: u64 = 5;

/// Values of a series from which its dependence is estimated.
const SERIES_MAX: usize = 1 << 13;

/// The times of a good answer: TTFT, TTFT from the schedule, first event, TTFO, TPOT, longest gap, E2E, E2E of the
/// transport.
fn times(record: &StreamRecord) -> [Option<Nanos>; METRICS] {
    let since = |stamp: Nanos| (stamp.0 != 0).then(|| stamp - record.sent);
    [
        record.ttft(),
        record.ttft_scheduled(),
        since(record.first_event),
        record.ttfo(),
        record.tpot_ns().map(|ns| Nanos(ns.round() as u64)),
        (record.token_events > 1).then_some(record.longest_gap),
        record.e2e(),
        since(record.end),
    ]
}

/// Scenario and step.
type Key = (u16, u16);

/// One scenario and step.
#[derive(Clone, Debug, Default)]
struct Line {
    ok: u64,
    failed: u64,
    times: [Option<Times>; METRICS],
    /// Gaps before events of one token each, and the others.
    gaps: Option<Times>,
    wide_gaps: Option<Times>,
    /// Gaps shared out among the tokens of events that carry several.
    shares: Option<Times>,
    lengths: Option<Times>,
    ticks: Ticks,
    first_token: Option<Nanos>,
    last_sent: Nanos,
    last_token: Nanos,
    token_events: u64,
    joined: u64,
    usage_output: u64,
    with_usage: u64,
    event_tokens: u64,
    streamed_tokens: u64,
    usage_input: u64,
    usage_cached: u64,
    with_cached: u64,
    usage_reasoning: u64,
    finished_by_length: u64,
}

/// The account.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamBooks {
    lines: Recent<Key, Line>,
}

impl StreamBooks {
    /// Adds an answer with all its events.
    pub(crate) fn add(&mut self, record: &StreamRecord) {
        let line = self.lines.at((record.scenario, record.step));
        line.failed += u64::from(record.outcome.is_failure());
        line.last_sent = line.last_sent.max(record.sent);
        if record.outcome == Outcome::Ok {
            line.add(record);
        }
    }

    /// Adds another account, without loss.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, from) in &other.lines.entries {
            self.lines.at(*key).merge(from);
        }
    }

    /// The figures, by scenario and step. Dependence is that of the `kept` records.
    pub(crate) fn summaries(&self, phase: &Phase, kept: &[StreamRecord]) -> Vec<StreamSummary> {
        let mut sorted: Vec<&StreamRecord> = kept.iter().filter(|r| r.outcome == Outcome::Ok).collect();
        sorted.sort_unstable_by_key(|r| (r.sent, r.seq));
        let lines: BTreeMap<Key, &Line> = self.lines.entries.iter().map(|(k, l)| (*k, l)).collect();
        let summary = |((scenario, step), line): (Key, &Line)| {
            let like: Vec<&StreamRecord> = sorted
                .iter()
                .copied()
                .filter(|r| (r.scenario, r.step) == (scenario, step))
                .collect();
            StreamSummary {
                scenario: phase
                    .scenarios
                    .get(scenario as usize)
                    .map_or_else(String::new, |s| s.name.clone()),
                step,
                connections: concurrency(&phase.shape, step),
                ..line.summary(&like)
            }
        };
        lines.into_iter().map(summary).collect()
    }
}

/// The figures of streams from their records alone: of a run that was cut off, or read back.
pub fn summarise_streams(phase: &Phase, records: &[StreamRecord]) -> Vec<StreamSummary> {
    let mut books = StreamBooks::default();
    for record in records {
        books.add(record);
    }
    books.summaries(phase, records)
}

impl Line {
    fn add(&mut self, record: &StreamRecord) {
        self.ok += 1;
        for (kept, value) in self.times.iter_mut().zip(times(record)) {
            if let Some(value) = value {
                books::record(kept, value);
            }
        }
        books::record(&mut self.lengths, Nanos(u64::from(record.output_tokens())));
        if record.first_token.0 != 0 {
            let first = self.first_token.get_or_insert(record.first_token);
            *first = (*first).min(record.first_token);
        }
        self.last_token = self.last_token.max(record.last_token);
        self.token_events += u64::from(record.token_events);
        self.joined += u64::from(record.joined);
        self.event_tokens += u64::from(record.event_tokens);
        self.streamed_tokens += u64::from(record.streamed_tokens());
        let usage = &record.usage;
        let known = |count: Option<u32>| (u64::from(count.unwrap_or(0)), u64::from(count.is_some()));
        let (output, with_usage) = known(usage.output);
        let (cached, with_cached) = known(usage.cached);
        self.usage_output += output;
        self.with_usage += with_usage;
        self.usage_input += known(usage.input).0;
        self.usage_cached += cached;
        self.with_cached += with_cached;
        self.usage_reasoning += known(usage.reasoning).0;
        self.finished_by_length += u64::from(record.finish == FinishReason::Length);
        self.add_events(record);
    }

    fn add_events(&mut self, record: &StreamRecord) {
        let mut before: Option<Nanos> = None;
        let mut together = 0_u64;
        for (at, tokens) in record.token_times() {
            self.ticks.add(at, tokens);
            if let Some(before) = before.replace(at) {
                let gap = at - before;
                if tokens == 1 && gap == Nanos::ZERO {
                    together += 1;
                } else if tokens == 1 {
                    books::record(&mut self.gaps, gap);
                } else {
                    books::record(&mut self.wide_gaps, gap);
                    books::record_n(&mut self.shares, Nanos(gap.0 / tokens), tokens);
                }
            }
        }
        if together > 0 {
            books::record_n(&mut self.gaps, Nanos::ZERO, together);
        }
    }

    fn merge(&mut self, from: &Self) {
        self.ok += from.ok;
        self.failed += from.failed;
        for (into, from) in self.times.iter_mut().zip(&from.times) {
            books::merge(into, from.as_ref());
        }
        books::merge(&mut self.gaps, from.gaps.as_ref());
        books::merge(&mut self.wide_gaps, from.wide_gaps.as_ref());
        books::merge(&mut self.shares, from.shares.as_ref());
        books::merge(&mut self.lengths, from.lengths.as_ref());
        self.ticks.merge(&from.ticks);
        self.first_token = match (self.first_token, from.first_token) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_sent = self.last_sent.max(from.last_sent);
        self.last_token = self.last_token.max(from.last_token);
        self.token_events += from.token_events;
        self.joined += from.joined;
        self.usage_output += from.usage_output;
        self.with_usage += from.with_usage;
        self.event_tokens += from.event_tokens;
        self.streamed_tokens += from.streamed_tokens;
        self.usage_input += from.usage_input;
        self.usage_cached += from.usage_cached;
        self.with_cached += from.with_cached;
        self.usage_reasoning += from.usage_reasoning;
        self.finished_by_length += from.finished_by_length;
    }

    fn summary(&self, kept: &[&StreamRecord]) -> StreamSummary {
        let one = |metric: usize| {
            let series: Vec<f64> = kept
                .iter()
                .filter_map(|r| times(r)[metric])
                .take(SERIES_MAX)
                .map(|t| t.0 as f64)
                .collect();
            distribution(self.times[metric].as_ref(), &series)
        };
        let [
            first_token,
            scheduled,
            first_event,
            first_output,
            tpot,
            longest_gap,
            e2e,
            e2e_transport,
        ] = std::array::from_fn(one);
        let series = gaps(kept);
        let mut all = self.gaps.clone();
        books::merge(&mut all, self.wide_gaps.as_ref());
        let mut itl = self.gaps.clone();
        books::merge(&mut itl, self.shares.as_ref());
        let (window_s, tokens_per_s) = self.throughput();
        StreamSummary {
            ok: self.ok,
            failed: self.failed,
            ttft: first_token,
            ttft_scheduled: scheduled,
            first_event,
            ttfo: first_output,
            tpot,
            itl: distribution(itl.as_ref(), &series),
            chunk_gap: distribution(all.as_ref(), &series),
            longest_gap,
            e2e,
            e2e_transport,
            stalls: all.as_ref().map_or(0, stalls),
            gaps: all.as_ref().map_or(0, Times::len),
            token_events: self.token_events,
            joined: self.joined,
            usage_output: self.usage_output,
            with_usage: self.with_usage,
            event_tokens: self.event_tokens,
            streamed_tokens: self.streamed_tokens,
            usage_input: self.usage_input,
            usage_cached: self.usage_cached,
            with_cached: self.with_cached,
            usage_reasoning: self.usage_reasoning,
            tokens_per_s,
            window_s,
            output_lengths: self.lengths.as_ref().map_or([0; 3], |lengths| {
                [lengths.min(), lengths.value_at_quantile(0.5), lengths.max()]
                    .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
            }),
            finished_by_length: self.finished_by_length,
            ..StreamSummary::default()
        }
    }

    /// The window and the tokens per second in it: from the first token to when the last request was sent, while the load
    /// was whole. Where all were sent before the first token came, from the first token to the last.
    fn throughput(&self) -> (f64, f64) {
        let Some(from) = self.first_token else {
            return (0.0, 0.0);
        };
        let whole = self.ticks.between(from, self.last_sent);
        let (tokens, length) = whole.unwrap_or_else(|| {
            let end = self.last_token.max(from);
            (self.ticks.total(), end - from)
        });
        let window_s = length.as_secs_f64();
        (
            window_s,
            if window_s > 0.0 {
                tokens as f64 / window_s
            } else {
                0.0
            },
        )
    }
}

/// The gaps of kept answers, one answer after the other.
fn gaps(kept: &[&StreamRecord]) -> Vec<f64> {
    let of_one = |record: &&StreamRecord| {
        let stamps: Vec<Nanos> = record
            .timeline
            .events(record.sent)
            .filter(|event| event.kind != StreamEventKind::Silent)
            .map(|event| event.at)
            .collect();
        let gap = |pair: &[Nanos]| (pair[1] - pair[0]).0 as f64;
        stamps.windows(2).map(gap).collect::<Vec<f64>>()
    };
    kept.iter().flat_map(of_one).take(SERIES_MAX).collect()
}

/// A histogram with honest quantiles: its values are worth as many independent ones as those of the series.
fn distribution(times: Option<&Times>, series: &[f64]) -> Distribution {
    let Some(times) = times else {
        return Distribution::default();
    };
    let worth = if series.is_empty() {
        0.0
    } else {
        let mut sorted = series.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        order::effective_size(series, median) / series.len() as f64
    };
    rows::from_histogram(times, worth)
}

/// Gaps above five times the median of those that are no joined reads.
fn stalls(gaps: &Times) -> u64 {
    let together = gaps.count_at(0);
    let apart = gaps.len() - together;
    if apart == 0 {
        return 0;
    }
    let rank = together + apart.div_ceil(2);
    let median = gaps.value_at_quantile(rank as f64 / gaps.len() as f64);
    gaps.count_between(
        gaps.next_non_equivalent(median.saturating_mul(STALL_MEDIANS)),
        u64::MAX,
    )
}
