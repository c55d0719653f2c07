//! The running account of a stretch of load: what the summary and its validity need, in memory that does not grow with
//! the number of requests. Every worker keeps its own; accounts add up without loss. Knows no phase and no clock.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use prony_model::{Nanos, Outcome, Sample, SampleFlags};

use crate::rows::{self, Key};

/// How many times a sample is looked at: see [`times`].
pub(crate) const METRICS: usize = 7;

/// What a sample adds to its row: response, service, own lag, time to first byte, transfer, connect, TLS. The last two
/// exist where a connection was opened for it.
pub(crate) fn times(sample: &Sample) -> [Option<Nanos>; METRICS] {
    let fresh = sample.connect_us > 0;
    [
        Some(sample.response()),
        Some(sample.service()),
        Some(sample.own_lag()),
        sample.ttfb(),
        sample.transfer(),
        fresh.then(|| Nanos(u64::from(sample.connect_us) * 1000)),
        (fresh && sample.tls_us > 0).then(|| Nanos(u64::from(sample.tls_us) * 1000)),
    ]
}

/// Index of the response time in [`times`].
pub(crate) const RESPONSE: usize = 0;
/// Index of the service time.
pub(crate) const SERVICE: usize = 1;
/// Index of our own lag.
pub(crate) const OWN_LAG: usize = 2;

/// Length of a window of the rate check.
const RATE_WINDOW: Nanos = Nanos(10_000_000_000);

/// Times in three digits, from a nanosecond on: its size depends on the range of the times, not on their number.
pub(crate) type Times = Histogram<u64>;

/// Times up to a second; it grows for longer ones.
pub(crate) fn new_times() -> Times {
    let mut new = Histogram::new_with_bounds(1, 1_000_000_000, 3).expect("fixed, valid bounds");
    new.auto(true);
    new
}

pub(crate) fn record(times: &mut Option<Times>, value: Nanos) {
    record_n(times, value, 1);
}

/// Counts a time `n` times.
pub(crate) fn record_n(times: &mut Option<Times>, value: Nanos, n: u64) {
    times
        .get_or_insert_with(new_times)
        .record_n(value.0, n)
        .expect("a histogram that grows holds any time");
}

/// The sum of two histograms of the same digits.
pub(crate) fn merge(into: &mut Option<Times>, from: Option<&Times>) {
    if let Some(from) = from {
        into.get_or_insert_with(new_times)
            .add(from)
            .expect("a histogram that grows holds any other of the same digits");
    }
}

/// What is counted over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) own: u64,
    /// Those of `own` that were never sent: shed, or this machine ran out of something.
    pub(crate) unsent: u64,
    /// Requests that left, and those of them that were sent again.
    pub(crate) attempts: u64,
    pub(crate) retried: u64,
    pub(crate) bytes_in: u64,
    pub(crate) connections: u64,
    /// Sum of sent-to-done spans in nanoseconds.
    pub(crate) flight_ns: u128,
}

impl Totals {
    fn add(&mut self, sample: &Sample) {
        if sample.is_request() {
            self.attempts += u64::from(!is_unsent(sample.outcome));
            self.retried += u64::from(sample.flags.contains(SampleFlags::RETRIED));
            self.bytes_in += u64::from(sample.bytes_in);
            self.connections += u64::from(sample.flags.contains(SampleFlags::NEW_CONNECTION));
            self.flight_ns += u128::from(sample.service().0);
        }
        if !sample.is_arrival() {
            return;
        }
        if sample.outcome == Outcome::Ok {
            self.ok += 1;
        } else if sample.outcome.is_own() {
            self.own += 1;
            self.unsent += u64::from(is_unsent(sample.outcome));
        } else {
            self.failed += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.own += other.own;
        self.unsent += other.unsent;
        self.attempts += other.attempts;
        self.retried += other.retried;
        self.bytes_in += other.bytes_in;
        self.connections += other.connections;
        self.flight_ns += other.flight_ns;
    }

    pub(crate) fn offered(&self) -> u64 {
        self.ok + self.failed + self.own
    }
}

/// Whether nothing of the request ever left.
pub(crate) fn is_unsent(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Shed | Outcome::LocalExhausted)
}

/// One scenario, part, step and outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    pub(crate) n: u64,
    /// Those of them that ended after the load: see [`Books::until`].
    pub(crate) late: u64,
    /// Whether it holds arrivals whose requests have lines of their own.
    pub(crate) whole: bool,
    pub(crate) times: [Option<Times>; METRICS],
}

/// Arrivals of a window of ten seconds: intended in it, sent in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) wanted: u64,
    pub(crate) sent: u64,
}

/// First and last intended start of a step, and its last end that is not our own doing; zero where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: Nanos,
    last: Nanos,
    to: Nanos,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            from: Nanos(u64::MAX),
            last: Nanos::ZERO,
            to: Nanos::ZERO,
        }
    }
}

impl Span {
    fn merge(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.last = self.last.max(other.last);
        self.to = self.to.max(other.to);
    }
}

/// A few entries by key, of which the one that was asked for last is most often asked for next.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    pub(crate) entries: Vec<(K, V)>,
    last: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            last: 0,
        }
    }
}

impl<K: Copy + Eq, V: Default> Recent<K, V> {
    /// The entry of a key, made when there is none.
    pub(crate) fn at(&mut self, key: K) -> &mut V {
        if self.entries.get(self.last).is_none_or(|(k, _)| *k != key) {
            let found = self.entries.iter().position(|(k, _)| *k == key);
            self.last = found.unwrap_or_else(|| {
                self.entries.push((key, V::default()));
                self.entries.len() - 1
            });
        }
        &mut self.entries[self.last].1
    }
}

/// The account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    lines: Recent<Key, Line>,
    /// When answers end too late to count in a rate, where time ended the load.
    until: Option<Nanos>,
    pub(crate) totals: Totals,
    spans: Recent<u16, Span>,
    windows: Recent<u64, Window>,
    /// Service times of good answers on new connections, without and with the time to connect: what their response
    /// times would have been without our own lag.
    fresh: [Option<Times>; 2],
}

impl Books {
    /// The account of so many samples.
    #[cfg(test)]
    pub(crate) fn of(samples: &[Sample]) -> Self {
        Self::default().with_all(samples)
    }

    /// An empty account in which what ends after `until` does not count in a rate.
    pub(crate) fn until(until: Option<Nanos>) -> Self {
        Self {
            until,
            ..Self::default()
        }
    }

    /// The account with so many samples.
    pub(crate) fn with_all(mut self, samples: &[Sample]) -> Self {
        self.add_all(samples);
        self
    }

    pub(crate) fn add_all(&mut self, samples: &[Sample]) {
        for sample in samples {
            self.add(sample);
        }
    }

    fn add(&mut self, sample: &Sample) {
        self.totals.add(sample);
        let (arrival, request) = (sample.is_arrival(), sample.is_request());
        let line = self.lines.at(rows::key(sample));
        line.n += 1;
        line.late += u64::from(self.until.is_some_and(|until| sample.done > until));
        line.whole |= !request;
        for (times, value) in line.times.iter_mut().zip(times(sample)) {
            if let Some(value) = value {
                record(times, value);
            }
        }
        if arrival && sample.own_lag() != sample.lag() && sample.outcome == Outcome::Ok {
            record(&mut self.fresh[0], sample.service());
            record(&mut self.fresh[1], sample.response() - sample.own_lag());
        }
        let span = self.spans.at(sample.step);
        span.from = span.from.min(sample.intended);
        span.last = span.last.max(sample.intended);
        if !sample.outcome.is_own() {
            span.to = span.to.max(sample.done);
        }
        if !arrival {
            return;
        }
        let window = |at: Nanos| at.0 / RATE_WINDOW.0;
        self.windows.at(window(sample.intended)).wanted += 1;
        self.windows.at(window(sample.intended + sample.own_lag())).sent += 1;
    }

    /// Adds another account, without loss.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        for (key, from) in &other.lines.entries {
            let into = self.lines.at(*key);
            into.n += from.n;
            into.late += from.late;
            into.whole |= from.whole;
            for (into, from) in into.times.iter_mut().zip(&from.times) {
                merge(into, from.as_ref());
            }
        }
        for (into, from) in self.fresh.iter_mut().zip(&other.fresh) {
            merge(into, from.as_ref());
        }
        for (step, from) in &other.spans.entries {
            self.spans.at(*step).merge(from);
        }
        for (at, from) in &other.windows.entries {
            let into = self.windows.at(*at);
            into.wanted += from.wanted;
            into.sent += from.sent;
        }
    }

    pub(crate) fn lines(&self) -> &[(Key, Line)] {
        &self.lines.entries
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.entries.iter().map(|(_, window)| window)
    }

    /// Arrivals whose outcome is of a kind, and that ended early enough to count in a rate.
    pub(crate) fn in_time(&self, kind: impl Fn(Outcome) -> bool) -> u64 {
        let arrivals = self.lines.entries.iter().filter(|(key, _)| key.1 == 0);
        arrivals
            .filter(|(key, _)| kind(key.3))
            .map(|(_, line)| line.n - line.late)
            .sum()
    }

    /// First and last intended start, and the last end that is not our own doing, if there is one; `None` when there is no
    /// sample.
    pub(crate) fn bounds(&self) -> Option<(Nanos, Nanos, Option<Nanos>)> {
        let mut spans = self.spans.entries.iter().map(|(_, span)| span);
        let mut all = *spans.next()?;
        spans.for_each(|span| all.merge(span));
        Some((all.from, all.last, (all.to > Nanos::ZERO).then_some(all.to)))
    }

    /// Length of each step in seconds, from its first intended start to its last end that is not our own doing. The only
    /// step lasts as long as the load.
    pub(crate) fn span_s(&self, load: Nanos) -> BTreeMap<u16, f64> {
        match self.spans.entries.as_slice() {
            [(step, _)] => BTreeMap::from([(*step, load.as_secs_f64())]),
            several => several
                .iter()
                .map(|(step, span)| (*step, (span.to.max(span.last) - span.from).as_secs_f64()))
                .collect(),
        }
    }

    /// One of [`times`] over the lines whose outcome is of a kind; empty when there is none.
    pub(crate) fn over(&self, metric: usize, kind: impl Fn(Outcome) -> bool) -> Times {
        let mut sum = None;
        // Our own lag is looked at request by request, what a user waits arrival by arrival.
        let counts = |key: &Key, line: &Line| {
            if metric == OWN_LAG {
                !line.whole
            } else {
                key.1 == 0
            }
        };
        for (_, line) in self
            .lines
            .entries
            .iter()
            .filter(|(key, line)| kind(key.3) && counts(key, line))
        {
            merge(&mut sum, line.times[metric].as_ref());
        }
        sum.unwrap_or_else(new_times)
    }

    /// Response times of good answers as they would be without our own lag.
    pub(crate) fn without_lag(&self) -> Times {
        let mut sum = self.over(SERVICE, |o| o == Outcome::Ok);
        if let [Some(service), Some(whole)] = &self.fresh {
            sum.subtract(service)
                .expect("those that waited are some of all requests");
            sum.add(whole).expect("a histogram that grows holds any other");
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::{Books, OWN_LAG, RESPONSE, merge, record};
    use prony_model::{Nanos, Outcome, Sample, SampleFlags};
    use proptest::prelude::*;

    /// Samples of two scenarios, two steps and two outcomes over half a minute.
    fn samples(n: u64) -> Vec<Sample> {
        (0..n)
            .map(|seq| {
                let draw = crate::choice::mix(7, seq);
                let intended = Nanos(seq * 30_000_000_000 / n);
                let connect_us = if draw.is_multiple_of(11) { 700 } else { 0 };
                let sent = intended + Nanos(connect_us * 1000 + draw % 50_000);
                Sample {
                    seq,
                    intended,
                    sent,
                    first_byte: sent + Nanos(1_000_000),
                    done: sent + Nanos(1_000_000 + draw % 9_000_000),
                    bytes_in: 7,
                    connect_us: connect_us as u32,
                    scenario: (draw % 2) as u16,
                    step: u16::from(seq > n / 2),
                    outcome: if draw.is_multiple_of(10) {
                        Outcome::Status5xx
                    } else {
                        Outcome::Ok
                    },
                    flags: SampleFlags(u16::from(connect_us > 0)),
                    ..Sample::default()
                }
            })
            .collect()
    }

    fn same(a: &Books, b: &Books) {
        fn sorted<K: Copy + Ord, V: Clone>(entries: &[(K, V)]) -> Vec<(K, V)> {
            let mut all = entries.to_vec();
            all.sort_by_key(|(key, _)| *key);
            all
        }
        assert_eq!(a.totals, b.totals);
        assert_eq!(sorted(&a.spans.entries), sorted(&b.spans.entries));
        assert_eq!(sorted(&a.windows.entries), sorted(&b.windows.entries));
        assert_eq!(a.without_lag(), b.without_lag());
        assert_eq!(sorted(&a.lines.entries), sorted(&b.lines.entries));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However the samples are split over workers and in whichever order accounts are added, nothing is lost.
        #[test]
        fn merging_is_exact_and_commutes(n in 1_u64..400, cut in 0.0_f64..1.0) {
            let all = samples(n);
            let whole = Books::of(&all);
            let (left, right) = all.split_at((n as f64 * cut) as usize);
            for (first, second) in [(left, right), (right, left)] {
                let mut merged = Books::of(first);
                merged.merge(&Books::of(second));
                same(&merged, &whole);
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_requests() {
        let size = |books: &Books| -> usize {
            let times = books
                .lines
                .entries
                .iter()
                .flat_map(|(_, l)| l.times.iter().flatten());
            times.map(hdrhistogram::Histogram::distinct_values).sum::<usize>() + books.windows.entries.len()
        };
        let mut books = Books::of(&samples(20_000));
        let before = size(&books);
        for _ in 0..20 {
            books.add_all(&samples(20_000));
        }
        assert_eq!(size(&books), before);
        assert_eq!(books.totals.offered(), 420_000);
    }

    #[test]
    fn times_of_any_length_are_kept() {
        let mut times = None;
        for value in [0, 20, 900_000_000, 7_200_000_000_000, u64::MAX] {
            record(&mut times, Nanos(value));
        }
        let times = times.unwrap();
        let at = |rank: f64| times.value_at_quantile(rank / 5.0) as f64;
        for (rank, value) in [(2.0, 20.0), (3.0, 9e8), (4.0, 7.2e12), (5.0, u64::MAX as f64)] {
            assert!((at(rank) / value - 1.0).abs() < 0.001, "{rank}: {}", at(rank));
        }
        let mut short = None;
        record(&mut short, Nanos(5));
        merge(&mut short, Some(&times));
        assert_eq!(short.unwrap().len(), 6, "a longer one fits in");
    }

    #[test]
    fn without_lag_differs_from_response_by_our_part_only() {
        let all = samples(2000);
        let books = Books::of(&all);
        let good = |s: &&Sample| s.outcome == Outcome::Ok;
        let mut exact: Vec<u64> = all
            .iter()
            .filter(good)
            .map(|s| (s.response() - s.own_lag()).0)
            .collect();
        exact.sort_unstable();
        let without = books.without_lag();
        assert_eq!(without.len(), exact.len() as u64);
        for p in [0.5, 0.99] {
            let rank = (p * exact.len() as f64).ceil() as usize - 1;
            let (a, b) = (exact[rank] as f64, without.value_at_quantile(p) as f64);
            assert!((a - b).abs() <= a * 0.002, "{p}: {a} {b}");
        }
        let lag = books.over(OWN_LAG, |_| true);
        assert!(lag.max() <= 50_050 && books.over(RESPONSE, |_| true).len() == 2000);
    }
}
