//! The figures of a phase from its samples. Pure: the same function serves a live run and one that was killed.

use std::collections::BTreeMap;

use prony_model::{Nanos, Outcome, Phase, PhaseSummary, Sample, Shape, SummaryRow};

use crate::books::Books;
use crate::rows::{self, Dependence, Key, Row};
use crate::validity;

/// The summary of a phase from all its samples. `partial` tells that it was cut short.
///
/// What only the running workers know (CPU time, timer lateness) is absent from the validity.
pub fn summarise(
    index: u16,
    phase: &Phase,
    samples: &[Sample],
    started: Nanos,
    ended: Nanos,
    partial: bool,
) -> PhaseSummary {
    let sorted;
    let samples = if samples.is_sorted_by_key(|s| (s.intended, s.seq)) {
        samples
    } else {
        let mut copy = samples.to_vec();
        copy.sort_unstable_by_key(|s| (s.intended, s.seq));
        sorted = copy;
        &sorted
    };
    let rows = rows::exact(samples);
    assemble(Parts {
        index,
        phase,
        books: &Books::until(end_of_rates(&phase.shape, samples, ended - started)).with_all(samples),
        in_flight_max: most_in_flight(samples),
        rows: &rows,
        started,
        ended,
        partial,
    })
}

/// The summary of a phase with more samples than were kept: rows from histograms, the rest from the account of all.
/// `in_flight_max` is what the workers counted.
pub(crate) fn summarise_long(
    index: u16,
    phase: &Phase,
    kept: &[Sample],
    (books, in_flight_max): (&Books, u32),
    (started, ended): (Nanos, Nanos),
    partial: bool,
) -> PhaseSummary {
    assemble(Parts {
        index,
        phase,
        books,
        in_flight_max,
        rows: &rows::binned(books, &rows::exact_with(kept, Dependence::START)),
        started,
        ended,
        partial,
    })
}

#[derive(Clone, Copy)]
struct Parts<'a> {
    index: u16,
    phase: &'a Phase,
    books: &'a Books,
    in_flight_max: u32,
    rows: &'a BTreeMap<Key, Row>,
    started: Nanos,
    ended: Nanos,
    partial: bool,
}

fn assemble(parts: Parts<'_>) -> PhaseSummary {
    let Parts {
        index,
        phase,
        books,
        in_flight_max,
        rows,
        started,
        ended,
        partial,
    } = parts;
    let totals = &books.totals;
    let whole_s = (ended - started).as_secs_f64();
    let load = length_of_load(&phase.shape, books, ended - started);
    let load_s = load.as_secs_f64();
    let spans = books.span_s(load);
    let late: BTreeMap<Key, u64> = match spans.len() {
        1 => books
            .lines()
            .iter()
            .map(|(key, line)| (*key, line.late))
            .collect(),
        // The drain of a step is the load of the next.
        _ => BTreeMap::new(),
    };
    let per_s = |n: u64| if load_s > 0.0 { n as f64 / load_s } else { 0.0 };
    let row = |(key, row): (&Key, &Row)| {
        let &(scenario, part, step, outcome) = key;
        let span = spans.get(&step).copied().unwrap_or(load_s);
        let in_time = row.n.saturating_sub(late.get(key).copied().unwrap_or(0));
        let [response, service, lag, ttfb, transfer, connect, tls] = row.distributions.clone();
        SummaryRow {
            scenario: phase
                .scenarios
                .get(scenario as usize)
                .map_or_else(String::new, |s| s.part(part)),
            part: part > 0,
            step,
            connections: concurrency(&phase.shape, step),
            outcome,
            n: row.n,
            per_s: if span > 0.0 { in_time as f64 / span } else { 0.0 },
            response,
            service,
            lag,
            ttfb,
            transfer,
            connect,
            tls,
        }
    };
    PhaseSummary {
        index,
        name: phase.name.clone(),
        experiment: phase.experiment.clone(),
        shape: phase.shape.label(),
        open_loop: phase.shape.is_open(),
        started,
        ended,
        offered: totals.offered(),
        ok: totals.ok,
        failed: totals.failed,
        own: totals.own,
        attempts: totals.attempts,
        retried: totals.retried,
        offered_per_s: per_s(totals.offered()),
        achieved_per_s: per_s(books.in_time(|outcome| !outcome.is_own())),
        ok_per_s: per_s(books.in_time(|outcome| outcome == Outcome::Ok)),
        in_flight_mean: if whole_s > 0.0 {
            totals.flight_ns as f64 / 1e9 / whole_s
        } else {
            0.0
        },
        in_flight_max,
        bytes_in: totals.bytes_in,
        connections: totals.connections,
        rows: rows.iter().map(row).collect(),
        streams: Vec::new(),
        validity: validity::judge(phase, books),
        partial,
    }
}

/// How long a schedule is to send; `None` where there is none, or where all of it is due at once. A trace lasts from the
/// `first` to the `last` of its arrivals.
fn scheduled(shape: &Shape, (first, last): (Nanos, Nanos)) -> Option<Nanos> {
    let seconds = match shape {
        Shape::Open { duration_s, .. } | Shape::Ramp { duration_s, .. } => *duration_s,
        Shape::Spike {
            at_s,
            spike_s,
            duration_s,
            ..
        } => duration_s.max(at_s + spike_s),
        Shape::Stages { stages, .. } => stages.iter().map(|stage| stage.duration_s).sum(),
        Shape::Replay { .. } => (last - first).as_secs_f64(),
        Shape::Sequential { .. }
        | Shape::Once { .. }
        | Shape::Closed { .. }
        | Shape::Burst { .. }
        | Shape::Ladder { .. } => return None,
    };
    Some(Nanos::from_secs_f64(seconds)).filter(|length| *length > Nanos::ZERO)
}

/// How long the load of a phase lasted, which its rates are of: a schedule as long as it is, or as the `whole` phase where it was cut
/// short; everything else from its first intended start to its last end that is not our own doing.
fn length_of_load(shape: &Shape, books: &Books, whole: Nanos) -> Nanos {
    let Some((first, last, end)) = books.bounds() else {
        return whole;
    };
    match (scheduled(shape, (first, last)), end) {
        (Some(length), _) => length.min(whole),
        (None, Some(end)) => end.max(last) - first,
        (None, None) => whole,
    }
}

/// When answers to a schedule end too late to count in a rate: later than as long after the first as the load lasts. So neither
/// the wait for the first answer nor the drain counts, and what is answered as fast as it comes has the rate at which it came.
fn end_of_rates(shape: &Shape, samples: &[Sample], whole: Nanos) -> Option<Nanos> {
    let intended = (samples.first()?.intended, samples.last()?.intended);
    let length = scheduled(shape, intended)?.min(whole);
    let answered = samples.iter().filter(|s| s.is_arrival() && !s.outcome.is_own());
    answered.map(|s| s.done).min().map(|first| first + length)
}

/// Concurrency of a step of a closed loop; 0 in an open loop.
pub(crate) fn concurrency(shape: &Shape, step: u16) -> u32 {
    match shape {
        Shape::Sequential { .. } | Shape::Once { .. } => 1,
        Shape::Closed { connections, .. } => *connections,
        Shape::Ladder { connections, .. } => connections.get(step as usize).copied().unwrap_or_default(),
        _ => 0,
    }
}

/// Most overlapping sent-to-done spans.
fn most_in_flight(samples: &[Sample]) -> u32 {
    let requests = || samples.iter().filter(|s| s.is_request());
    let mut starts: Vec<Nanos> = requests().map(|s| s.sent).collect();
    let mut ends: Vec<Nanos> = requests().map(|s| s.done).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut most, mut ended) = (0, 0);
    for (started, start) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|end| end <= start) {
            ended += 1;
        }
        // A span of no length (never sent) may have ended before it is counted as started.
        most = most.max((started + 1).saturating_sub(ended));
    }
    most as u32
}

#[cfg(test)]
mod tests {
    use prony_model::{
        Arrivals, Capture, Limits, Nanos, Outcome, Phase, PhaseSummary, Sample, Scenario, Shape,
    };

    use super::summarise;

    const SECOND: u64 = Nanos::SECOND.0;

    fn phase(shape: Shape) -> Phase {
        Phase {
            name: "p".to_owned(),
            experiment: "e".to_owned(),
            scenarios: vec![Scenario::new("s", Vec::new())],
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        }
    }

    fn open(duration_s: f64) -> Shape {
        Shape::Open {
            rate: 10.0,
            arrivals: Arrivals::Constant,
            duration_s,
            in_flight_max: 1000,
        }
    }

    /// Ten requests a second, each answered when `done` says.
    fn ten_a_second(n: u64, done: impl Fn(u64) -> Nanos) -> Vec<Sample> {
        let sample = |seq| {
            let intended = Nanos(seq * SECOND / 10);
            Sample {
                seq,
                intended,
                sent: intended,
                done: done(seq),
                ..Sample::default()
            }
        };
        (0..n).map(sample).collect()
    }

    fn summary(shape: Shape, samples: &[Sample], ended: Nanos) -> PhaseSummary {
        summarise(0, &phase(shape), samples, Nanos::ZERO, ended, false)
    }

    /// Due, finished, ok, and those of the first row, in tenths per second.
    fn rates(s: &PhaseSummary) -> [u64; 4] {
        [s.offered_per_s, s.achieved_per_s, s.ok_per_s, s.rows[0].per_s]
            .map(|rate| (rate * 10.0).round() as u64)
    }

    #[test]
    fn slow_answers_do_not_lower_the_rate_at_which_requests_were_due() {
        let slow = ten_a_second(100, |k| Nanos(k * SECOND / 10 + 5 * SECOND));
        let s = summary(open(10.0), &slow, Nanos(15 * SECOND));
        assert_eq!(rates(&s), [100; 4], "neither the first wait nor the drain counts");
        let mut straggling = ten_a_second(100, |k| Nanos(k * SECOND / 10 + 5_000_000));
        straggling[50].done = Nanos(30 * SECOND);
        let s = summary(open(10.0), &straggling, Nanos(30 * SECOND));
        assert_eq!(rates(&s), [100, 99, 99, 99]);
    }

    #[test]
    fn an_overloaded_target_is_not_said_to_answer_faster_than_it_does() {
        // Five answers a second to ten requests a second: the backlog is answered in the drain.
        let samples = ten_a_second(100, |k| Nanos((k + 1) * SECOND / 5));
        let s = summary(open(10.0), &samples, Nanos(20 * SECOND));
        assert_eq!(rates(&s), [100, 51, 51, 51]);
        assert_eq!((s.offered, s.ok), (100, 100));
    }

    #[test]
    fn a_load_that_was_cut_short_lasted_until_then() {
        let samples = ten_a_second(40, |k| Nanos(k * SECOND / 10));
        let s = summary(open(60.0), &samples, Nanos(4 * SECOND));
        assert_eq!(rates(&s), [100; 4]);
    }

    #[test]
    fn a_trace_lasts_from_its_first_to_its_last_arrival() {
        let shape = Shape::Replay {
            file: "t.csv".to_owned(),
            speed: 1.0,
            time: "t".to_owned(),
            unit: prony_model::TimeUnit::Seconds,
            scenario: None,
            in_flight_max: 9,
        };
        let samples = ten_a_second(101, |k| Nanos(k * SECOND / 10 + 5 * SECOND));
        let s = summary(shape.clone(), &samples, Nanos(15 * SECOND));
        assert!((s.offered_per_s - 10.1).abs() < 1e-9, "{}", s.offered_per_s);
        let mut at_once = samples;
        for sample in &mut at_once {
            sample.intended = Nanos::ZERO;
        }
        let s = summary(shape, &at_once, Nanos(15 * SECOND));
        assert!((s.ok_per_s - 101.0 / 15.0).abs() < 1e-9, "{}", s.ok_per_s);
    }

    #[test]
    fn a_burst_starts_once_its_connections_are_open() {
        let mut samples = ten_a_second(10, |_| Nanos(3 * SECOND));
        for sample in &mut samples {
            sample.intended = Nanos(2 * SECOND);
        }
        let shape = Shape::Burst {
            size: 10,
            count: 1,
            interval_s: 0.0,
        };
        let s = summary(shape, &samples, Nanos(4 * SECOND));
        assert_eq!(rates(&s), [100; 4]);
    }

    #[test]
    fn a_closed_loop_ends_with_the_last_answer_and_not_with_what_we_cut_off() {
        let shape = Shape::Closed {
            connections: 2,
            requests: None,
            duration_s: Some(10.0),
            think_ms: 0.0,
        };
        let mut samples = ten_a_second(100, |k| Nanos((k + 1) * SECOND / 10));
        let hung = Sample {
            seq: 100,
            intended: Nanos(9 * SECOND),
            sent: Nanos(9 * SECOND),
            done: Nanos(12 * SECOND),
            outcome: Outcome::Interrupted,
            ..Sample::default()
        };
        samples.push(hung);
        let s = summary(shape, &samples, Nanos(12 * SECOND));
        assert_eq!(rates(&s)[1..], [100; 3]);
    }
}
