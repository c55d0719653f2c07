//! The points of a curve of throughput over concurrency, which of them nobody would give up, and where it is flat. Arithmetic on
//! recorded phases, no words.

use prony_model::{Nanos, PhaseResult, Shape, StreamRecord, StreamSummary};
use prony_stats::{mean, student, variance};

use super::NAME;
use crate::RunView;
use crate::streamed::good;

/// Share of a step that is left out at its start: all its streams begin at once, and take some time to mix.
const LEAD: f64 = 0.2;
/// Stretches of a step that its throughput is measured in.
const STRETCHES: usize = 10;
/// Good answers that a step needs, and for each stream at once.
const ANSWERS_MIN: usize = 5;
/// Gain over the best step before that matters, as a share.
const GAIN_MIN: f64 = 0.05;
/// Steps in a row without such a gain that end the curve.
const FLAT_STEPS: usize = 2;

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a> {
    /// Its phase.
    pub phase: &'a PhaseResult,
    /// Its figures.
    pub summary: &'a StreamSummary,
    /// Streams at once.
    pub connections: u32,
    /// Output tokens per second in all, and the standard error of the mean of its stretches.
    pub tokens_per_s: (f64, f64),
    /// Output tokens per second that one user gets: 1 over the mean TPOT.
    pub user_per_s: f64,
}

impl Point<'_> {
    /// The 95 % interval of its throughput.
    pub(super) fn interval(&self) -> (f64, f64) {
        let (value, error) = self.tokens_per_s;
        let half = student::quantile(0.975, STRETCHES as f64 - 1.0) * error;
        ((value - half).max(0.0), value + half)
    }
}

/// The steps of a scenario so far that have enough good answers, in their order.
pub(super) fn points<'a>(run: &RunView<'a>, scenario: &str) -> Vec<Point<'a>> {
    run.of(NAME).filter_map(|phase| point(phase, scenario)).collect()
}

fn point<'a>(phase: &'a PhaseResult, scenario: &str) -> Option<Point<'a>> {
    let Shape::Closed { connections, .. } = phase.phase.shape else {
        return None;
    };
    let summary = phase.summary.streams.iter().find(|s| s.scenario == scenario)?;
    let records = good(phase, scenario);
    if records.len() < ANSWERS_MIN.max(connections as usize) {
        return None;
    }
    let tpot: Vec<f64> = records.iter().filter_map(|r| r.tpot_ns()).collect();
    if tpot.is_empty() {
        return None;
    }
    Some(Point {
        phase,
        summary,
        connections,
        tokens_per_s: throughput(&records)?,
        user_per_s: 1e9 / mean(&tpot),
    })
}

/// Tokens per second between the first token and the last request sent (the last token, where all were sent before the first
/// came), the first fifth left out: mean of equal stretches and its standard error.
fn throughput(records: &[&StreamRecord]) -> Option<(f64, f64)> {
    let from = records.iter().map(|r| r.first_token).min()?;
    let sent = records.iter().map(|r| r.sent).max()?;
    let end = if sent > from {
        sent
    } else {
        records.iter().map(|r| r.last_token).max()?
    };
    let from = from + Nanos((LEAD * (end - from).0 as f64) as u64);
    let length = (end - from).0 as f64 / STRETCHES as f64;
    if length <= 0.0 {
        return None;
    }
    let mut tokens = [0.0; STRETCHES];
    for record in records {
        for (at, count) in record.token_times().filter(|(at, _)| (from..end).contains(at)) {
            let place = ((at - from).0 as f64 / length) as usize;
            tokens[place.min(STRETCHES - 1)] += count as f64;
        }
    }
    let rates: Vec<f64> = tokens.iter().map(|n| n * 1e9 / length).collect();
    let error = (variance(&rates) / STRETCHES as f64).sqrt();
    Some((mean(&rates), error))
}

/// Whether the last steps surely brought no gain that matters: the upper end of the 95 % interval of what each added to the best
/// step before is below [`GAIN_MIN`] of that.
pub(super) fn is_flat(points: &[Point<'_>]) -> bool {
    let gains = points.iter().enumerate().skip(1).map(|(i, point)| {
        let best = points[..i]
            .iter()
            .max_by(|a, b| a.tokens_per_s.0.total_cmp(&b.tokens_per_s.0));
        best.is_some_and(|best| brings_nothing(best.tokens_per_s, point.tokens_per_s))
    });
    let flat: Vec<bool> = gains.collect();
    flat.len() >= FLAT_STEPS && flat[flat.len() - FLAT_STEPS..].iter().all(|flat| *flat)
}

fn brings_nothing((before, before_error): (f64, f64), (now, now_error): (f64, f64)) -> bool {
    let half = student::quantile(0.975, 2.0 * (STRETCHES as f64 - 1.0)) * before_error.hypot(now_error);
    now - before + half < GAIN_MIN * before
}

/// Which points are worth choosing: no other gives as many tokens in all and as many to each user, and more of one.
pub(super) fn pareto(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 >= b.0 && a.1 >= b.1 && (a.0 > b.0 || a.1 > b.1);
    points
        .iter()
        .map(|point| !points.iter().any(|other| beats(other, point)))
        .collect()
}
