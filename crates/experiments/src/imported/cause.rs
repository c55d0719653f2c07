//! Was a cause shown, or only named? It takes a run with it and a run without it.

use std::fmt::Write as _;

use prony_model::{Finding, Verdict};

use super::claim::{Claim, Measure};
use super::compare::{Arms, LEVEL};
use super::phrases::{p_value, requests};
use super::rule::{RuleDef, remark};

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "untested-cause",
    asks: "Was there a run without the cause?",
    judge,
};

fn judge(claim: &Claim, all: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Cause {
        return None;
    }
    let Some(arms) = Arms::of(claim, all) else {
        return Some(uncontrolled(claim));
    };
    let p = arms.p();
    let counts = arms.failures_say();
    let (verdict, says) = if p >= LEVEL {
        (
            Verdict::Inconclusive,
            format!(
                "With and without the cause {counts}: chance alone does that (Fisher's exact test, {}).",
                p_value(p)
            ),
        )
    } else if arms.share() < arms.baseline_share() {
        (
            Verdict::Pass,
            format!(
                "With and without the cause {counts}, which chance does not explain (Fisher's exact test, {}).",
                p_value(p)
            ),
        )
    } else {
        (
            Verdict::Fail,
            format!(
                "With and without the cause {counts}: fewer failed with it (Fisher's exact test, {}).",
                p_value(p)
            ),
        )
    };
    Some(remark(DEF.name, &claim.id, verdict, says).done())
}

fn uncontrolled(claim: &Claim) -> Finding {
    let seen = match claim.success() {
        Some((ok, n)) if ok < n => format!("{} of {} failed", n - ok, requests(n)),
        _ => match claim.n {
            Some(1) => "1 request was seen".to_owned(),
            Some(n) => format!("{} were seen", requests(n)),
            None => "It was seen".to_owned(),
        },
    };
    let mut says =
        format!("{seen} under one condition only; no run without the cause shows that it is the cause");
    if !claim.alternatives.is_empty() {
        let (others, are) = match claim.alternatives.len() {
            1 => ("another explanation", "is"),
            _ => ("other explanations", "are"),
        };
        let _ = write!(
            says,
            ", and {others} {are} known: {}",
            claim.alternatives.join("; ")
        );
    }
    says.push('.');
    remark(DEF.name, &claim.id, Verdict::Inconclusive, says)
        .advice(
            "Repeat the test with the cause taken away and nothing else changed.",
            "",
        )
        .done()
}
