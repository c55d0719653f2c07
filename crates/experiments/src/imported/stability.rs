//! Does "it stays as it is" rest on a time in which it could have changed?

use prony_model::{Finding, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{requests, time};
use super::rule::{RuleDef, remark};

/// Shortest time that may be called sustained, in seconds.
const DURATION_MIN_S: f64 = 1800.0;
/// Fewest requests that may be.
const REQUESTS_MIN: u64 = 10_000;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "too-short",
    asks: "Was it watched for long enough to change?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Stability {
        return None;
    }
    let n = claim.n.or(claim.ok);
    let seen = match (n, claim.duration_s) {
        (None, None) => return None,
        (Some(n), None) => requests(n),
        (None, Some(wall)) => time(wall),
        (Some(n), Some(wall)) => format!("{} in {}", requests(n), time(wall)),
    };
    let long = claim.duration_s.is_some_and(|wall| wall >= DURATION_MIN_S);
    let many = n.is_some_and(|n| n >= REQUESTS_MIN);
    let (verdict, says) = if long && many {
        (Verdict::Pass, format!("It was watched over {seen}."))
    } else {
        (
            Verdict::Inconclusive,
            format!(
                "{seen} say nothing of what comes later: a queue, a leak or heat shows itself in half an hour and \
                 {REQUESTS_MIN} requests, not before."
            ),
        )
    };
    Some(remark(DEF.name, &claim.id, verdict, says).done())
}
