//! The figures of a phase from its samples. Pure: the same function serves a live run and one that was killed.

use std::collections::BTreeMap;

use prony_model::{Nanos, Phase, PhaseSummary, Sample, Shape, SummaryRow};

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
        books: &Books::of(samples),
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
    let spans = books.span_s(started, ended);
    let seconds = (ended - started).as_secs_f64();
    let per_s = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
    let row = |(&(scenario, part, step, outcome), row): (&Key, &Row)| {
        let span = spans.get(&step).copied().unwrap_or(seconds);
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
            per_s: if span > 0.0 { row.n as f64 / span } else { 0.0 },
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
        achieved_per_s: per_s(totals.ok + totals.failed),
        ok_per_s: per_s(totals.ok),
        in_flight_mean: if seconds > 0.0 {
            totals.flight_ns as f64 / 1e9 / seconds
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
