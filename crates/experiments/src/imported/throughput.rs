//! Was the claimed throughput delivered? Good answers over the time that they took.

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{number, percent, requests, time};
use super::rule::{RuleDef, remark};

/// Relative half-width of the rate's interval that is good enough.
const PRECISION: f64 = 0.1;
/// Relative difference that rounding explains.
const SLACK: f64 = 0.05;
/// Half-width of a 95 % interval, in standard deviations.
const Z: f64 = 1.96;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "throughput",
    asks: "Were that many good answers delivered per second?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Throughput {
        return None;
    }
    let value = claim.value?;
    let Some((good, wall)) = claim
        .ok
        .or(claim.n)
        .zip(claim.duration_s)
        .filter(|(_, wall)| *wall > 0.0)
    else {
        return Some(uncounted(claim, value));
    };
    let rate = good as f64 / wall;
    // Counts scatter like a Poisson number at most, unless answers come in clumps.
    let half = Z * (good as f64).sqrt().max(1.0) / wall;
    let counted = format!("{} good answers in {} are {}/s", good, time(wall), number(rate));
    let (verdict, says) = if value > (rate + half) * (1.0 + SLACK) {
        (
            Verdict::Fail,
            format!("{counted}, not {}/s{}.", number(value), from_where(claim, value)),
        )
    } else if half > PRECISION * rate {
        (
            Verdict::Inconclusive,
            format!(
                "{counted}, known only to {} either way; {} good answers would show it to {}.",
                percent((half / rate).min(9.99)),
                (Z / PRECISION).powi(2).ceil(),
                percent(PRECISION)
            ),
        )
    } else if value < (rate - half) * (1.0 - SLACK) {
        (
            Verdict::Warn,
            format!("{counted}, more than the {}/s that are claimed.", number(value)),
        )
    } else {
        (
            Verdict::Pass,
            format!("{counted}, give or take {}.", percent(half / rate)),
        )
    };
    let interval = Some(((rate - half).max(0.0), rate + half));
    let draft = remark(DEF.name, &claim.id, verdict, says).measured(
        "good answers per second",
        rate,
        "1/s",
        interval,
        good as usize,
        &Source::default(),
    );
    Some(draft.done())
}

/// Where a number that was not counted may have come from.
fn from_where(claim: &Claim, value: f64) -> String {
    let near = |other: f64| other > 0.0 && (value / other - 1.0).abs() <= SLACK;
    let ratio = claim
        .concurrency
        .zip(claim.latency_s)
        .filter(|(at_once, latency)| near(at_once / latency));
    if let Some((at_once, latency)) = ratio {
        return format!(
            "; {} / {} gives the claim, but that many at once were never shown to be served",
            number(at_once),
            time(latency)
        );
    }
    match claim.n.zip(claim.duration_s) {
        Some((n, wall)) if claim.ok.is_some_and(|ok| ok < n) && near(n as f64 / wall) => {
            format!("; the claim counts all {}, also those that failed", requests(n))
        }
        _ => String::new(),
    }
}

fn uncounted(claim: &Claim, value: f64) -> Finding {
    let says = match claim.concurrency.zip(claim.latency_s) {
        Some((at_once, latency)) if latency > 0.0 && value > at_once / latency * (1.0 + SLACK) => {
            let says = format!(
                "Impossible: {} at once that take {} each are at most {}/s.",
                number(at_once),
                time(latency),
                number(at_once / latency)
            );
            return remark(DEF.name, &claim.id, Verdict::Fail, says).done();
        }
        _ => "No count of good answers and no time stand behind this rate.",
    };
    remark(DEF.name, &claim.id, Verdict::Inconclusive, says)
        .advice(
            "Give the good answers (ok) and the time that they took (duration).",
            "",
        )
        .done()
}
