//! What is true of the streams: for each, when its events were meant to leave and when they left, and quantiles over all of them. It is
//! bounded, and knows no sockets.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Streams remembered at most, whatever the number of their events.
const STREAMS_MAX: usize = 200_000;
/// Longest time that is told apart in a distribution.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Unit of the instants kept for each event.
const TICK_NS: u64 = 100;

/// One stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// Its number.
    pub(super) seq: u64,
    /// The id that its client gave it, or its number.
    pub(super) id: String,
    /// Where it was asked for.
    pub(super) path: &'static str,
    /// When the whole request had arrived, by the wall clock.
    pub(super) arrived_unix_ms: f64,
    /// The same by the monotonic clock.
    pub(super) arrived_ns: u64,
    /// Tokens of the answer, and those that were sent.
    pub(super) tokens: u64,
    /// Sent so far.
    pub(super) tokens_sent: u64,
    /// Tokens in one event.
    pub(super) chunk: u64,
    /// When the opening events left, after the arrival.
    pub(super) opened_ns: Option<u64>,
    /// When it was over, after the arrival.
    pub(super) ended_ns: u64,
    /// How it ended.
    pub(super) outcome: &'static str,
    /// What was done to it on purpose.
    pub(super) faults: Vec<String>,
    /// Its events with tokens.
    pub(super) events: Vec<Instants>,
}

/// When an event with tokens was meant to leave after the arrival, and by how much later it left; both in tenths of a microsecond.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instants {
    intended: u32,
    late: u32,
}

/// An event that leaves now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    /// When it was meant to.
    pub(super) intended_ns: u64,
    /// When it does.
    pub(super) sent_ns: u64,
    /// The same of the one before it; none for the first.
    pub(super) before: Option<(u64, u64)>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Account {
    books: Mutex<Books>,
    events_max: usize,
}

#[derive(Debug)]
struct Books {
    running: u64,
    begun: u64,
    ended: std::collections::BTreeMap<&'static str, u64>,
    events: u64,
    tokens: u64,
    ttft: Histogram<u64>,
    itl: Histogram<u64>,
    itl_intended: Histogram<u64>,
    itl_error: Histogram<u64>,
    late: Histogram<u64>,
    read_late: Histogram<u64>,
    streams: VecDeque<Record>,
    events_kept: usize,
}

impl Books {
    fn new() -> Self {
        Self {
            running: 0,
            begun: 0,
            ended: std::collections::BTreeMap::new(),
            events: 0,
            tokens: 0,
            ttft: histogram(),
            itl: histogram(),
            itl_intended: histogram(),
            itl_error: histogram(),
            late: histogram(),
            read_late: histogram(),
            streams: VecDeque::new(),
            events_kept: 0,
        }
    }
}

fn histogram() -> Histogram<u64> {
    // Bounds that are constants cannot be wrong; an hour at three digits.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

impl Account {
    /// Remembering so many events of single streams.
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            books: Mutex::new(Books::new()),
            events_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream begins whose request had arrived so long before.
    pub(super) fn begin(&self, read_late_ns: u64) {
        let mut books = self.lock();
        books.running += 1;
        books.begun += 1;
        books.read_late.saturating_record(read_late_ns);
    }

    /// An event with so many tokens leaves.
    pub(super) fn leave(&self, record: &mut Record, event: Leaving, tokens: u64) {
        let late = event.sent_ns.saturating_sub(event.intended_ns);
        let tick = |ns: u64| u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX);
        if record.events.len() < self.events_max {
            record.events.push(Instants {
                intended: tick(event.intended_ns.saturating_sub(record.arrived_ns)),
                late: tick(late),
            });
        }
        record.tokens_sent += tokens;
        let mut books = self.lock();
        books.events += 1;
        books.tokens += tokens;
        books.late.saturating_record(late);
        match event.before {
            None => books.ttft.saturating_record(event.sent_ns - record.arrived_ns),
            Some((intended_ns, sent_ns)) => {
                let gap = event.sent_ns.saturating_sub(sent_ns);
                let meant = event.intended_ns.saturating_sub(intended_ns);
                books.itl.saturating_record(gap);
                books.itl_intended.saturating_record(meant);
                books.itl_error.saturating_record(gap.abs_diff(meant));
            }
        }
    }

    /// A stream is over.
    pub(super) fn end(&self, record: Record) {
        let mut books = self.lock();
        books.running -= 1;
        *books.ended.entry(record.outcome).or_default() += 1;
        books.events_kept += record.events.len();
        books.streams.push_back(record);
        while books.events_kept > self.events_max || books.streams.len() > STREAMS_MAX {
            let Some(oldest) = books.streams.pop_front() else {
                break;
            };
            books.events_kept -= oldest.events.len();
        }
    }

    /// Begins anew; what runs goes on.
    pub(super) fn reset(&self) {
        let mut books = self.lock();
        let running = books.running;
        *books = Books::new();
        books.running = running;
    }

    /// The summary.
    pub(super) fn to_json(&self) -> Value {
        let books = self.lock();
        let held = [
            &books.ttft,
            &books.itl,
            &books.itl_intended,
            &books.itl_error,
            &books.late,
            &books.read_late,
        ]
        .map(Histogram::clone);
        let mut told = json!({
            "running": books.running, "begun": books.begun, "ended": books.ended,
            "events": books.events, "tokens": books.tokens, "remembered": books.streams.len(),
        });
        drop(books);
        let names = [
            "ttft_ns",
            "itl_ns",
            "itl_intended_ns",
            "itl_error_ns",
            "late_ns",
            "read_late_ns",
        ];
        for (name, one) in names.into_iter().zip(&held) {
            told[name] = quantiles(one);
        }
        told
    }

    /// Single streams, oldest first: those of an id, or the last so many.
    pub(super) fn streams(&self, id: Option<&str>, recent: usize) -> Value {
        let found: Vec<Record> = {
            let books = self.lock();
            if let Some(id) = id {
                books
                    .streams
                    .iter()
                    .filter(|record| record.id == id)
                    .cloned()
                    .collect()
            } else {
                let skipped = books.streams.len().saturating_sub(recent);
                books.streams.iter().skip(skipped).cloned().collect()
            }
        };
        found.iter().map(Record::to_json).collect()
    }
}

impl Record {
    fn to_json(&self) -> Value {
        let us = |ticks: u64| ticks as f64 / 10.0;
        let intended: Vec<f64> = self
            .events
            .iter()
            .map(|event| us(event.intended.into()))
            .collect();
        let sent: Vec<f64> = self
            .events
            .iter()
            .map(|event| us(u64::from(event.intended) + u64::from(event.late)))
            .collect();
        json!({
            "seq": self.seq, "id": self.id, "path": self.path,
            "arrived_unix_ms": self.arrived_unix_ms, "arrived_monotonic_ns": self.arrived_ns,
            "tokens": self.tokens, "tokens_sent": self.tokens_sent, "tokens_per_event": self.chunk,
            "opened_us": self.opened_ns.map(|ns| us(ns / TICK_NS)), "ended_us": us(self.ended_ns / TICK_NS),
            "outcome": self.outcome, "faults": self.faults, "intended_us": intended, "sent_us": sent,
        })
    }
}

fn quantiles(of: &Histogram<u64>) -> Value {
    if of.is_empty() {
        return json!({ "count": 0 });
    }
    json!({
        "count": of.len(), "mean": of.mean(), "min": of.min(), "p50": of.value_at_quantile(0.5),
        "p90": of.value_at_quantile(0.9), "p99": of.value_at_quantile(0.99), "p999": of.value_at_quantile(0.999),
        "max": of.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(account: &Account, events: u64) {
        account.begin(700);
        let mut record = Record {
            arrived_ns: 1000,
            outcome: "whole",
            ..Record::default()
        };
        let mut before = None;
        for place in 0..events {
            let intended_ns = 1000 + 5000 * (place + 1);
            let sent_ns = intended_ns + 300 * (place % 2);
            let event = Leaving {
                intended_ns,
                sent_ns,
                before,
            };
            account.leave(&mut record, event, 2);
            before = Some((intended_ns, sent_ns));
        }
        account.end(record);
    }

    #[test]
    fn gaps_are_told_as_meant_and_as_they_were() {
        let account = Account::new(100);
        stream(&account, 4);
        let told = account.to_json();
        assert_eq!((&told["events"], &told["tokens"]), (&json!(4), &json!(8)));
        assert_eq!(
            (&told["ttft_ns"]["count"], &told["itl_ns"]["count"]),
            (&json!(1), &json!(3))
        );
        assert_eq!(told["itl_error_ns"]["max"], json!(300));
        assert_eq!(told["read_late_ns"]["max"], json!(700));
        let streams = account.streams(None, 10);
        assert_eq!(streams[0]["intended_us"], json!([5.0, 10.0, 15.0, 20.0]));
        assert_eq!(streams[0]["sent_us"], json!([5.0, 10.3, 15.0, 20.3]));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let account = Account::new(100);
        for _ in 0..50 {
            stream(&account, 10);
        }
        let told = account.to_json();
        assert_eq!((&told["remembered"], &told["events"]), (&json!(10), &json!(500)));
        stream(&account, 1000);
        assert_eq!(account.to_json()["remembered"], json!(1));
        account.reset();
        assert_eq!(account.to_json()["events"], json!(0));
    }
}
