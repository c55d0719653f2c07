//! What share of good answers do the counts allow? The exact interval, and what no failure at all leaves possible.

use prony_model::{Finding, Source, Verdict};
use prony_stats::{binomial, order};

use super::claim::{Claim, Measure};
use super::phrases::percent;
use super::rule::{RuleDef, remark};

/// Failure share that no failure must exclude before a success rate counts as shown.
const FAILURE_SHARE: f64 = 0.01;
/// Width of the interval of a share that is good enough.
const WIDTH: f64 = 0.04;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "success-share",
    asks: "Which success rates do the counts allow?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Success {
        return None;
    }
    let Some((ok, n)) = claim.success() else {
        let value = claim.value?;
        let says = format!(
            "{} of how many? Without counts a share says nothing.",
            percent(value)
        );
        return Some(remark(DEF.name, &claim.id, Verdict::Inconclusive, says).done());
    };
    let (low, high) = binomial::clopper_pearson(ok, n, 0.95);
    let (verdict, says) = match claim.limit {
        Some(limit) => against_limit(ok, n, (low, high), limit),
        None if ok == n => unblemished(n),
        None => measured(ok, n, (low, high)),
    };
    let draft = remark(DEF.name, &claim.id, verdict, says).measured(
        "succeeded",
        100.0 * ok as f64 / n as f64,
        "%",
        Some((100.0 * low, 100.0 * high)),
        n as usize,
        &Source::default(),
    );
    Some(draft.done())
}

fn unblemished(n: u64) -> (Verdict, String) {
    let bound = binomial::zero_failure_bound(n);
    let says = format!(
        "No failure in {n} leaves a failure rate of up to {} possible (95 %)",
        percent(bound)
    );
    if bound <= FAILURE_SHARE {
        return (Verdict::Pass, says + ".");
    }
    let needed = order::needed_one_sided(1.0 - FAILURE_SHARE, 0.95);
    (
        Verdict::Inconclusive,
        format!(
            "{says}; {needed} without one would leave {}.",
            percent(FAILURE_SHARE)
        ),
    )
}

fn measured(ok: u64, n: u64, (low, high): (f64, f64)) -> (Verdict, String) {
    let says = format!(
        "{ok} of {n} allow any success rate from {} to {} (95 %)",
        percent(low),
        percent(high)
    );
    if high - low <= WIDTH {
        (Verdict::Pass, says + ".")
    } else {
        (
            Verdict::Inconclusive,
            format!("{says}, which is too wide to plan with."),
        )
    }
}

fn against_limit(ok: u64, n: u64, (low, high): (f64, f64), limit: f64) -> (Verdict, String) {
    let allows = format!(
        "{ok} of {n} allow any success rate from {} to {} (95 %)",
        percent(low),
        percent(high)
    );
    if low >= limit {
        (Verdict::Pass, format!("{allows}: at least {}.", percent(limit)))
    } else if high < limit {
        (Verdict::Fail, format!("{allows}: less than {}.", percent(limit)))
    } else {
        (
            Verdict::Inconclusive,
            format!("{allows}: on either side of the limit of {}.", percent(limit)),
        )
    }
}
