//! The running account of a stretch of load: what the summary and its validity need, in memory that does not grow with
//! the number of requests. Every worker keeps its own; accounts add up without loss. Knows no phase and no clock.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use prony_model::{Nanos, Outcome, Sample, SampleFlags};

use crate::rows::Key;

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

/// Times from a nanosecond to an hour, in three digits: its size depends on the range of the times, not on their
/// number.
pub(crate) type Times = Histogram<u64>;

fn new_times() -> Times {
    let mut new = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("fixed, valid bounds");
    new.auto(true);
    new
}

fn record(times: &mut Option<Times>, value: Nanos) {
    times.get_or_insert_with(new_times).saturating_record(value.0);
}

/// The sum of two histograms of the same digits.
fn merge(into: &mut Option<Times>, from: Option<&Times>) {
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
    pub(crate) bytes_in: u64,
    pub(crate) connections: u64,
    /// Sum of sent-to-done spans in nanoseconds.
    pub(crate) flight_ns: u128,
}

impl Totals {
    fn add(&mut self, sample: &Sample) {
        if sample.outcome == Outcome::Ok {
            self.ok += 1;
        } else if sample.outcome.is_own() {
            self.own += 1;
            self.unsent += u64::from(is_unsent(sample.outcome));
        } else {
            self.failed += 1;
        }
        self.bytes_in += u64::from(sample.bytes_in);
        self.connections += u64::from(sample.flags.contains(SampleFlags::NEW_CONNECTION));
        self.flight_ns += u128::from(sample.service().0);
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.own += other.own;
        self.unsent += other.unsent;
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

/// One scenario, step and outcome.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) key: Key,
    pub(crate) n: u64,
    pub(crate) times: [Option<Times>; METRICS],
}

/// Arrivals of a window of ten seconds: intended in it, sent in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) wanted: u64,
    pub(crate) sent: u64,
}

/// The account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    lines: Vec<Line>,
    /// The line of the last sample: the next is most often its like.
    last: usize,
    pub(crate) totals: Totals,
    /// First intended start and last end of each step.
    spans: BTreeMap<u16, (Nanos, Nanos)>,
    windows: BTreeMap<u64, Window>,
    /// Service times of good answers that waited for the target before they were sent, without and with that wait: what
    /// their response times would have been without our own lag.
    fresh: [Option<Times>; 2],
}

impl Books {
    /// The account of so many samples.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut books = Self::default();
        books.add_all(samples);
        books
    }

    pub(crate) fn add_all(&mut self, samples: &[Sample]) {
        for sample in samples {
            self.add(sample);
        }
    }

    fn add(&mut self, sample: &Sample) {
        self.totals.add(sample);
        let key = (sample.scenario, sample.step, sample.outcome);
        if self.lines.get(self.last).is_none_or(|line| line.key != key) {
            self.last = self.find(key);
        }
        let line = &mut self.lines[self.last];
        line.n += 1;
        for (times, value) in line.times.iter_mut().zip(times(sample)) {
            if let Some(value) = value {
                record(times, value);
            }
        }
        if sample.own_lag() != sample.lag() && sample.outcome == Outcome::Ok {
            record(&mut self.fresh[0], sample.service());
            record(&mut self.fresh[1], sample.response() - sample.own_lag());
        }
        let span = self
            .spans
            .entry(sample.step)
            .or_insert((sample.intended, sample.done));
        *span = (span.0.min(sample.intended), span.1.max(sample.done));
        let window = |at: Nanos| at.0 / RATE_WINDOW.0;
        let wanted = window(sample.intended);
        let sent = window(sample.intended + sample.own_lag());
        let entry = self.windows.entry(wanted).or_default();
        entry.wanted += 1;
        if sent == wanted {
            entry.sent += 1;
        } else {
            self.windows.entry(sent).or_default().sent += 1;
        }
    }

    fn find(&mut self, key: Key) -> usize {
        self.lines
            .iter()
            .position(|line| line.key == key)
            .unwrap_or_else(|| {
                self.lines.push(Line {
                    key,
                    n: 0,
                    times: Default::default(),
                });
                self.lines.len() - 1
            })
    }

    /// Adds another account, without loss.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        for from in &other.lines {
            let at = self.find(from.key);
            let into = &mut self.lines[at];
            into.n += from.n;
            for (into, from) in into.times.iter_mut().zip(&from.times) {
                merge(into, from.as_ref());
            }
        }
        for (into, from) in self.fresh.iter_mut().zip(&other.fresh) {
            merge(into, from.as_ref());
        }
        for (step, (from, to)) in &other.spans {
            let span = self.spans.entry(*step).or_insert((*from, *to));
            *span = (span.0.min(*from), span.1.max(*to));
        }
        for (at, window) in &other.windows {
            let into = self.windows.entry(*at).or_default();
            into.wanted += window.wanted;
            into.sent += window.sent;
        }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.values()
    }

    /// Length of each step in seconds, from its first intended start to its last end. The only step lasts as long as
    /// the phase.
    pub(crate) fn span_s(&self, started: Nanos, ended: Nanos) -> BTreeMap<u16, f64> {
        let seconds = |(from, to): (Nanos, Nanos)| (to - from).as_secs_f64();
        if let [step] = self.spans.keys().collect::<Vec<_>>().as_slice() {
            return BTreeMap::from([(**step, seconds((started, ended)))]);
        }
        self.spans
            .iter()
            .map(|(step, span)| (*step, seconds(*span)))
            .collect()
    }

    /// One of [`times`] over the lines whose outcome is of a kind; empty when there is none.
    pub(crate) fn over(&self, metric: usize, kind: impl Fn(Outcome) -> bool) -> Times {
        let mut sum = None;
        for line in self.lines.iter().filter(|line| kind(line.key.2)) {
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
    use super::{Books, OWN_LAG, RESPONSE};
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
                    flags: SampleFlags(u8::from(connect_us > 0)),
                    ..Sample::default()
                }
            })
            .collect()
    }

    fn same(a: &Books, b: &Books) {
        assert_eq!(a.totals, b.totals);
        assert_eq!(a.spans, b.spans);
        assert_eq!(a.windows, b.windows);
        assert_eq!(a.without_lag(), b.without_lag());
        let sorted = |books: &Books| {
            let mut lines = books.lines.clone();
            lines.sort_by_key(|line| line.key);
            lines
        };
        for (a, b) in sorted(a).iter().zip(&sorted(b)) {
            assert_eq!((a.key, a.n, &a.times), (b.key, b.n, &b.times));
        }
        assert_eq!(a.lines.len(), b.lines.len());
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
            let times = books.lines.iter().flat_map(|l| l.times.iter().flatten());
            times.map(hdrhistogram::Histogram::distinct_values).sum::<usize>() + books.windows.len()
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
