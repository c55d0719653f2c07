//! What is true of the streams: for each, when its events were meant to leave and when they left, and quantiles over all of them. It is
//! bounded, and knows no sockets.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Streams remembered at most, whatever the number of their events.
const STREAMS_MAX: usize = 200_000;
/// Streams looked at before whoever sends may go on.
const LOOKED_AT: usize = 256;
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

/// All of them. Who sends holds the books for a moment per event; who reads takes what is new out of them and works on that alone.
#[derive(Debug)]
pub(super) struct Account {
    books: Mutex<Books>,
    /// What was read before. It is locked before the books, never while they are held.
    read: Mutex<Reading>,
    events_max: usize,
}

#[derive(Debug)]
struct Books {
    running: u64,
    begun: u64,
    ended: std::collections::BTreeMap<&'static str, u64>,
    events: u64,
    tokens: u64,
    /// Times since they were read last.
    times: Box<Times>,
    streams: VecDeque<Kept>,
    /// Streams forgotten so far: the place of the first that is kept.
    forgotten: u64,
    /// Events of the streams that are kept, and of those that run.
    events_kept: usize,
    events_live: usize,
}

/// A stream that is over.
#[derive(Debug)]
struct Kept {
    /// Of its id.
    digest: u64,
    record: Arc<Record>,
}

/// What readers have between them.
#[derive(Debug)]
struct Reading {
    /// Times until they were read last.
    times: Times,
    /// Empty ones, to be exchanged for those in the books.
    spare: Box<Times>,
}

/// The distributions.
#[derive(Debug)]
struct Times {
    ttft: Histogram<u64>,
    itl: Histogram<u64>,
    itl_intended: Histogram<u64>,
    itl_error: Histogram<u64>,
    late: Histogram<u64>,
    read_late: Histogram<u64>,
}

impl Times {
    fn new() -> Self {
        Self {
            ttft: histogram(),
            itl: histogram(),
            itl_intended: histogram(),
            itl_error: histogram(),
            late: histogram(),
            read_late: histogram(),
        }
    }

    fn named(&self) -> [(&'static str, &Histogram<u64>); 6] {
        [
            ("ttft_ns", &self.ttft),
            ("itl_ns", &self.itl),
            ("itl_intended_ns", &self.itl_intended),
            ("itl_error_ns", &self.itl_error),
            ("late_ns", &self.late),
            ("read_late_ns", &self.read_late),
        ]
    }

    /// Takes over what `other` holds, which is empty afterwards.
    fn absorb(&mut self, other: &mut Self) {
        let pairs = [
            (&mut self.ttft, &mut other.ttft),
            (&mut self.itl, &mut other.itl),
            (&mut self.itl_intended, &mut other.itl_intended),
            (&mut self.itl_error, &mut other.itl_error),
            (&mut self.late, &mut other.late),
            (&mut self.read_late, &mut other.read_late),
        ];
        for (to, from) in pairs {
            // Bounds that are the same cannot be refused.
            *to += &*from;
            from.reset();
        }
    }
}

impl Books {
    fn new() -> Self {
        Self {
            running: 0,
            begun: 0,
            ended: std::collections::BTreeMap::new(),
            events: 0,
            tokens: 0,
            times: Box::new(Times::new()),
            streams: VecDeque::new(),
            forgotten: 0,
            events_kept: 0,
            events_live: 0,
        }
    }

    /// Forgets the oldest streams until there is room for one event more, if there can be.
    fn make_room(&mut self, events_max: usize) -> bool {
        while self.events_kept + self.events_live >= events_max {
            if self.events_kept == 0 {
                return false;
            }
            self.forget();
        }
        true
    }

    fn forget(&mut self) {
        if let Some(oldest) = self.streams.pop_front() {
            self.events_kept -= oldest.record.events.len();
            self.forgotten += 1;
        }
    }
}

fn histogram() -> Histogram<u64> {
    // Bounds that are constants cannot be wrong; an hour at three digits.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Account {
    /// Remembering so many events of single streams, those that run included.
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            books: Mutex::new(Books::new()),
            read: Mutex::new(Reading {
                times: Times::new(),
                spare: Box::new(Times::new()),
            }),
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
        books.times.read_late.saturating_record(read_late_ns);
    }

    /// An event with so many tokens leaves.
    pub(super) fn leave(&self, record: &mut Record, event: Leaving, tokens: u64) {
        let late = event.sent_ns.saturating_sub(event.intended_ns);
        let tick = |ns: u64| u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX);
        record.tokens_sent += tokens;
        let mut books = self.lock();
        books.events += 1;
        books.tokens += tokens;
        let times = &mut books.times;
        times.late.saturating_record(late);
        match event.before {
            None => times.ttft.saturating_record(event.sent_ns - record.arrived_ns),
            Some((intended_ns, sent_ns)) => {
                let gap = event.sent_ns.saturating_sub(sent_ns);
                let meant = event.intended_ns.saturating_sub(intended_ns);
                times.itl.saturating_record(gap);
                times.itl_intended.saturating_record(meant);
                times.itl_error.saturating_record(gap.abs_diff(meant));
            }
        }
        let is_kept = books.make_room(self.events_max);
        books.events_live += usize::from(is_kept);
        drop(books);
        if is_kept {
            record.events.push(Instants {
                intended: tick(event.intended_ns.saturating_sub(record.arrived_ns)),
                late: tick(late),
            });
        }
    }

    /// A stream is over.
    pub(super) fn end(&self, record: Record) {
        let digest = digest(&record.id);
        let record = Arc::new(record);
        let mut books = self.lock();
        books.running -= 1;
        *books.ended.entry(record.outcome).or_default() += 1;
        books.events_live -= record.events.len();
        books.events_kept += record.events.len();
        books.streams.push_back(Kept { digest, record });
        if books.streams.len() > STREAMS_MAX {
            books.forget();
        }
    }

    /// Begins anew; what runs goes on, and counts as begun.
    pub(super) fn reset(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Books::new();
        let mut books = self.lock();
        fresh.running = books.running;
        fresh.begun = books.running;
        fresh.events_live = books.events_live;
        fresh.forgotten = books.forgotten + books.streams.len() as u64;
        let old = std::mem::replace(&mut *books, fresh);
        drop(books);
        read.times = Times::new();
        drop(read);
        drop(old);
    }

    /// The summary.
    pub(super) fn to_json(&self) -> Value {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Reading { times, spare } = &mut *read;
        let mut books = self.lock();
        std::mem::swap(&mut books.times, spare);
        let counts = (books.running, books.begun, books.ended.clone());
        let (events, tokens, remembered) = (books.events, books.tokens, books.streams.len());
        drop(books);
        times.absorb(spare);
        let (running, begun, ended) = counts;
        let mut told = json!({
            "running": running, "begun": begun, "ended": ended,
            "events": events, "tokens": tokens, "remembered": remembered,
        });
        for (name, one) in times.named() {
            told[name] = quantiles(one);
        }
        told
    }

    /// Single streams, oldest first: those of an id, or the last so many.
    pub(super) fn streams(&self, id: Option<&str>, recent: usize) -> Value {
        let wanted = id.map(digest);
        let (mut place, end) = {
            let books = self.lock();
            let end = books.forgotten + books.streams.len() as u64;
            let skipped = books.streams.len().saturating_sub(recent) as u64;
            let first = wanted.map_or(skipped, |_| 0);
            (books.forgotten + first, end)
        };
        let mut found: Vec<Arc<Record>> = Vec::new();
        while place < end {
            let books = self.lock();
            // What was forgotten meanwhile is passed over.
            place = place.max(books.forgotten);
            let first = (place - books.forgotten) as usize;
            let count = (end.saturating_sub(place) as usize).min(LOOKED_AT);
            let part = books.streams.iter().skip(first).take(count);
            let part = part.filter(|kept| wanted.is_none_or(|digest| digest == kept.digest));
            found.extend(part.map(|kept| Arc::clone(&kept.record)));
            place += LOOKED_AT as u64;
        }
        found
            .iter()
            .filter(|record| id.is_none_or(|id| record.id == id))
            .map(|record| record.to_json())
            .collect()
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
        assert_eq!(account.streams(None, 10), json!([]));
    }

    #[test]
    fn streams_that_run_share_one_bound() {
        let account = Account::new(100);
        let mut records = [Record::default(), Record::default(), Record::default()];
        for place in 1..=1000 {
            for record in &mut records {
                let event = Leaving {
                    intended_ns: place,
                    sent_ns: place,
                    before: None,
                };
                account.leave(record, event, 1);
            }
        }
        let kept: usize = records.iter().map(|record| record.events.len()).sum();
        assert_eq!((kept, records[0].tokens_sent), (100, 1000));
    }

    #[test]
    fn each_look_adds_what_is_new_and_finds_every_stream() {
        let account = Account::new(10_000);
        for round in 1..=3_u64 {
            stream(&account, 4);
            let told = account.to_json();
            assert_eq!(told["itl_ns"]["count"], json!(3 * round));
        }
        for _ in 0..2 * LOOKED_AT {
            stream(&account, 1);
        }
        let all = account.streams(Some(""), 1);
        assert_eq!(all.as_array().unwrap().len(), 2 * LOOKED_AT + 3);
        assert_eq!(account.streams(Some("x"), 1), json!([]));
        let last = account.streams(None, LOOKED_AT + 5);
        assert_eq!(last.as_array().unwrap().len(), LOOKED_AT + 5);
    }

    #[test]
    fn no_more_streams_end_than_began_after_a_reset() {
        let account = Account::new(100);
        account.begin(0);
        account.reset();
        account.end(Record {
            outcome: "whole",
            ..Record::default()
        });
        let told = account.to_json();
        assert_eq!(
            (&told["begun"], &told["ended"]["whole"], &told["running"]),
            (&json!(1), &json!(1), &json!(0))
        );
    }
}
