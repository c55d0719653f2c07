//! Did requests really run at the same time, and so many times as fast?
//!
//! Time stamps that are coarser than the requests prove nothing: one after another fits between them as well.

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{below, number, requests, time};
use super::rule::{RuleDef, remark};

/// Sum of times over wall time from which requests overlapped.
const OVERLAPPED: f64 = 1.5;
/// Relative difference that rounding explains.
const SLACK: f64 = 0.1;
/// Runs of each that a speed-up needs.
const RUNS_MIN: u64 = 6;

/// Registry entry.
pub(super) static CONCURRENCY: RuleDef = RuleDef {
    name: "overlap",
    asks: "Could the same requests have run one after another?",
    judge: concurrency,
};

/// Registry entry.
pub(super) static SPEED_UP: RuleDef = RuleDef {
    name: "speed-up",
    asks: "Was the same work timed one at a time?",
    judge: speed_up,
};

fn concurrency(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Overlap {
        return None;
    }
    let n = claim.n.or(claim.ok).filter(|n| *n > 1)?;
    // All ends carry one stamp, so all of it happened within one step of the clock, or within the wall time.
    let window = match (claim.duration_s, claim.resolution_s) {
        (Some(wall), Some(step)) => wall.max(step),
        (wall, step) => wall.or(step)?,
    };
    if window <= 0.0 {
        return None;
    }
    let alone = claim.service_s.or(claim.latency_s);
    let seen = match claim.resolution_s.filter(|step| *step >= window) {
        Some(step) => format!("Time stamps of {} prove", time(step)),
        None => format!("A wall time of {} proves", time(window)),
    };
    let (verdict, says) = match alone {
        None => (
            Verdict::Inconclusive,
            format!(
                "{seen} nothing about overlap: {} one after another, of less than {} each, fit as well.",
                requests(n),
                below(window / n as f64)
            ),
        ),
        Some(alone) if n as f64 * alone <= window * (1.0 + SLACK) => (
            Verdict::Inconclusive,
            format!(
                "{} one after another, of {} each, take {} and fit into {}: nothing shows that two ran at the same time.",
                requests(n),
                time(alone),
                time(n as f64 * alone),
                time(window)
            ),
        ),
        Some(alone) => overlapped(claim, n, alone, window),
    };
    let draft = remark(CONCURRENCY.name, &claim.id, verdict, says).figure(
        "longest request that also fits one after another",
        1e3 * window / n as f64,
        "ms",
        n as usize,
        &Source::default(),
    );
    Some(match verdict {
        Verdict::Pass => draft.done(),
        _ => draft
            .advice(
                "Record start and end of each request to the millisecond, and run the same work one at a time beside it.",
                "",
            )
            .done(),
    })
}

/// They do not fit one after another: in flight together, and served together where the time of one alone is known.
fn overlapped(claim: &Claim, n: u64, alone: f64, window: f64) -> (Verdict, String) {
    let factor = n as f64 * alone / window;
    let says = format!(
        "{} of {} each do not fit one after another into {}: on average at least {} were in flight",
        requests(n),
        time(alone),
        time(window),
        number(factor)
    );
    if claim.service_s.is_none() {
        let says = format!(
            "{says}; whether they were also served together, only the time of one alone (service) would tell."
        );
        (Verdict::Warn, says)
    } else if factor >= OVERLAPPED {
        (Verdict::Pass, says + ".")
    } else {
        (Verdict::Warn, says + ".")
    }
}

fn speed_up(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::SpeedUp {
        return None;
    }
    let value = claim.value?;
    let Some((serial, wall)) = claim
        .serial_s
        .zip(claim.duration_s)
        .filter(|(_, wall)| *wall > 0.0)
    else {
        return Some(unmeasured(claim, value));
    };
    let measured = serial / wall;
    let ratio = format!("{} / {} = {}", time(serial), time(wall), number(measured));
    let (verdict, says) = if (value / measured - 1.0).abs() > SLACK {
        (
            Verdict::Fail,
            format!("The times give {ratio} times, not {}.", number(value)),
        )
    } else if claim.runs.unwrap_or(1) < RUNS_MIN {
        (
            Verdict::Inconclusive,
            format!("The times give {ratio} times, from too few runs to say how much runs differ."),
        )
    } else {
        (
            Verdict::Pass,
            format!(
                "The times give {ratio} times, over {} runs.",
                claim.runs.unwrap_or(1)
            ),
        )
    };
    Some(remark(SPEED_UP.name, &claim.id, verdict, says).done())
}

/// Nothing was timed one at a time; perhaps the number is one that says something else.
fn unmeasured(claim: &Claim, value: f64) -> Finding {
    let near = |other: f64| (value / other - 1.0).abs() <= SLACK;
    let n = claim.n.filter(|n| *n > 1);
    // The sum of 1 to n over n.
    let mean_turn = |n: u64| f64::midpoint(n as f64, 1.0);
    let queue = n.filter(|n| near(mean_turn(*n)));
    let assumed = n
        .map(|n| n as f64)
        .or(claim.concurrency)
        .filter(|count| *count > 1.0 && near(*count));
    let hint = if let Some(n) = queue {
        format!(
            ", and {n} requests that wait for each other give (n + 1) / 2 = {} as the sum of their times over the wall time",
            number(mean_turn(n))
        )
    } else if assumed.is_some() {
        ", and it is just the number of requests: an assumption, not a measurement".to_owned()
    } else {
        String::new()
    };
    let says = format!(
        "A speed-up of {} was never measured: the same work was not timed one at a time{hint}.",
        number(value)
    );
    remark(SPEED_UP.name, &claim.id, Verdict::Inconclusive, says)
        .advice(
            "Time the same work one request at a time, and divide by that.",
            "",
        )
        .done()
}
