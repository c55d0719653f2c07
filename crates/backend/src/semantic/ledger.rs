//! The account of single requests: every instant of the last few of them, and how late tokens left over all of them. It is written when
//! an answer ends and read by the admin port only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::progress::{End, Progress};

/// The account.
#[derive(Debug)]
pub(super) struct Ledger {
    origin: Instant,
    requests_max: usize,
    entries: Mutex<VecDeque<Arc<Value>>>,
    lateness: Mutex<Lateness>,
}

/// How late the tokens of all streams left.
#[derive(Debug)]
struct Lateness {
    /// Due to handed over, of every token of every stream.
    late_ns: Histogram<u64>,
    /// Distance between two tokens as handed over, against the distance between their dues.
    gap_error_ns: Histogram<u64>,
}

impl Lateness {
    /// Kept to three digits, up to an hour.
    fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, 3_600_000_000_000, 3)
                .unwrap_or_else(|_| unreachable!("the bounds are constants that the histogram allows"))
        };
        Self {
            late_ns: histogram(),
            gap_error_ns: histogram(),
        }
    }
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
    /// Empty.
    pub(super) fn new(requests_max: usize) -> Self {
        Self {
            origin: Instant::now(),
            requests_max,
            entries: Mutex::default(),
            lateness: Mutex::new(Lateness::new()),
        }
    }

    /// Tokens that were due at `dues` are handed over together at `sent`; `before` is the same of the token before them, and becomes
    /// that of the last of them.
    pub(super) fn tokens(&self, dues: &[Instant], sent: Instant, before: &mut Option<(Instant, Instant)>) {
        let mut lateness = self.lateness();
        for due in dues {
            let late = sent.saturating_duration_since(*due);
            record(&mut lateness.late_ns, late);
            if let Some((due_before, sent_before)) = before.replace((*due, sent)) {
                let wanted = due.saturating_duration_since(due_before);
                let got = sent.saturating_duration_since(sent_before);
                record(&mut lateness.gap_error_ns, got.abs_diff(wanted));
            }
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
        let mut entries = self.entries();
        let oldest = if entries.len() >= self.requests_max {
            entries.pop_front()
        } else {
            None
        };
        entries.push_back(Arc::new(told));
        drop(entries);
        drop(oldest);
    }

    /// Forgets everything so far.
    pub(super) fn reset(&self) {
        let fresh = Lateness::new();
        *self.lateness() = fresh;
        let forgotten = std::mem::take(&mut *self.entries());
        drop(forgotten);
    }

    /// All of it, oldest first.
    pub(super) fn to_json(&self) -> Value {
        // Copies, so that no request waits for what is made of them.
        let entries = self.entries().clone();
        let (late_ns, gap_error_ns) = {
            let lateness = self.lateness();
            (lateness.late_ns.clone(), lateness.gap_error_ns.clone())
        };
        let requests: Vec<Value> = entries.iter().map(|entry| Value::clone(entry)).collect();
        json!({
            "requests": requests,
            "token_late_ns": summary(&late_ns),
            "token_gap_error_ns": summary(&gap_error_ns),
        })
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Arc<Value>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lateness(&self) -> MutexGuard<'_, Lateness> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record((time.as_nanos() as u64).max(1));
}

fn summary(histogram: &Histogram<u64>) -> Value {
    json!({
        "n": histogram.len(),
        "p50": histogram.value_at_quantile(0.5),
        "p90": histogram.value_at_quantile(0.9),
        "p99": histogram.value_at_quantile(0.99),
        "max": histogram.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_leave_together_are_late_each_by_its_own_due() {
        let ledger = Ledger::new(1);
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut before = None;
        ledger.tokens(&[ms(0), ms(10), ms(20)], ms(20), &mut before);
        ledger.tokens(&[ms(30)], ms(30), &mut before);
        let told = ledger.to_json();
        let near = |value: &Value, ms: f64| (value.as_f64().unwrap() / (ms * 1e6) - 1.0).abs() < 0.01;
        assert!(near(&told["token_late_ns"]["max"], 20.0), "{told}");
        assert_eq!(told["token_late_ns"]["n"], json!(4));
        assert!(near(&told["token_gap_error_ns"]["max"], 10.0), "{told}");
        ledger.reset();
        assert_eq!(ledger.to_json()["token_late_ns"]["n"], json!(0));
    }
}
