//! The account of single requests: every instant of the last few of them, and how late tokens left over all of them. It is written when
//! an answer ends and read by the admin port only.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::progress::{End, Progress};

/// The account.
#[derive(Debug)]
pub(super) struct Ledger {
    origin: Instant,
    requests_max: usize,
    entries: Mutex<VecDeque<Value>>,
    /// Due to handed over, of every token of every stream.
    late_ns: Mutex<Histogram<u64>>,
    /// Distance between two tokens as handed over, against the distance between their dues.
    gap_error_ns: Mutex<Histogram<u64>>,
}

/// What the handler knows of a request at its end.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// As the client knows it.
    pub(super) request_id: &'a str,
    /// The route.
    pub(super) endpoint: &'static str,
    /// When its head was read.
    pub(super) arrived: Instant,
    /// Tokens of the prompt.
    pub(super) prompt_tokens: usize,
    /// What the scheduler told.
    pub(super) progress: &'a Progress,
    /// When each of the first stream events was handed over.
    pub(super) sent: &'a [Instant],
}

impl Ledger {
    /// Empty. Lateness is kept to three digits, up to an hour.
    pub(super) fn new(requests_max: usize) -> Self {
        let histogram = || {
            Mutex::new(
                Histogram::new_with_bounds(1, 3_600_000_000_000, 3)
                    .unwrap_or_else(|_| unreachable!("the bounds are constants that the histogram allows")),
            )
        };
        Self {
            origin: Instant::now(),
            requests_max,
            entries: Mutex::default(),
            late_ns: histogram(),
            gap_error_ns: histogram(),
        }
    }

    /// A token that was due at `due` is handed over at `sent`; `before` is the same of the token before it.
    pub(super) fn token(&self, due: Instant, sent: Instant, before: Option<(Instant, Instant)>) {
        record(
            &self.late_ns,
            sent.saturating_duration_since(due).as_nanos() as u64,
        );
        if let Some((due_before, sent_before)) = before {
            let wanted = due.saturating_duration_since(due_before);
            let got = sent.saturating_duration_since(sent_before);
            record(&self.gap_error_ns, got.abs_diff(wanted).as_nanos() as u64);
        }
    }

    /// A request is over.
    pub(super) fn write(&self, entry: &Entry<'_>) {
        if self.requests_max == 0 {
            return;
        }
        let at = |instant: Option<Instant>| {
            instant.map(|instant| instant.saturating_duration_since(self.origin).as_nanos() as u64)
        };
        let told = entry.progress.look(|seen| {
            let events: Vec<Value> = seen
                .due
                .iter()
                .zip(entry.sent)
                .map(|(due, sent)| json!([at(Some(*due)), at(Some(*sent))]))
                .collect();
            json!({
                "request_id": entry.request_id,
                "endpoint": entry.endpoint,
                "outcome": match seen.end {
                    Some(End::Done) => "done",
                    Some(End::Exhausted(_)) => "exhausted",
                    Some(End::Cancelled) => "cancelled",
                    Some(End::Stopped) => "stopped",
                    None => "left",
                },
                "arrived_ns": at(Some(entry.arrived)),
                "admitted_ns": at(seen.admitted.map(|(when, _)| when)),
                "first_token_ns": at(seen.first),
                "last_token_ns": at(seen.last),
                "prompt_tokens": entry.prompt_tokens,
                "cached_tokens": seen.admitted.map(|(_, found)| found.tokens),
                "reloaded_tokens": seen.admitted.map(|(_, found)| found.reloaded),
                "output_tokens": seen.tokens,
                "preempted": seen.preempted,
                "events_ns": events,
            })
        });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.requests_max {
            entries.pop_front();
        }
        entries.push_back(told);
    }

    /// All of it, oldest first.
    pub(super) fn to_json(&self) -> Value {
        let entries = self
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        json!({
            "requests": entries,
            "token_late_ns": summary(&self.late_ns),
            "token_gap_error_ns": summary(&self.gap_error_ns),
        })
    }
}

fn record(histogram: &Mutex<Histogram<u64>>, value: u64) {
    histogram
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .saturating_record(value.max(1));
}

fn summary(histogram: &Mutex<Histogram<u64>>) -> Value {
    let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
    json!({
        "n": histogram.len(),
        "p50": histogram.value_at_quantile(0.5),
        "p90": histogram.value_at_quantile(0.9),
        "p99": histogram.value_at_quantile(0.99),
        "max": histogram.max(),
    })
}
