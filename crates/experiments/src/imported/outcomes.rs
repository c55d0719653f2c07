//! Does a latency mix good answers with failures, or leave out what never came back?

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure, Over, Statistic};
use super::phrases::percent;
use super::rule::{RuleDef, remark};

/// Share of failures that moves a mean or a median by too little to matter.
const NEGLIGIBLE: f64 = 0.01;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "mixed-outcomes",
    asks: "Is the latency that of good answers, and of all of them?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Latency || claim.over == Over::Ok {
        return None;
    }
    let (n, failures) = (claim.n?, claim.failures()?);
    if n == 0 || failures == 0 || failures > n {
        return None;
    }
    let share = failures as f64 / n as f64;
    let timeouts = claim.timeouts.unwrap_or(0).min(failures);
    let (verdict, says) = match claim.statistic {
        Statistic::Quantile(p) => quantile(p, &claim.statistic.says(), n, failures, timeouts),
        _ if share < NEGLIGIBLE => (
            Verdict::Warn,
            format!("{failures} of {n} requests failed, and their times are part of this number."),
        ),
        _ => (
            if share >= 0.5 {
                Verdict::Fail
            } else {
                Verdict::Inconclusive
            },
            format!(
                "{failures} of {n} requests ({}) failed, and nothing says that the {} leaves their times out: outcomes \
                 are mixed.",
                percent(share),
                claim.statistic.says()
            ),
        ),
    };
    let draft = remark(DEF.name, &claim.id, verdict, says)
        .figure("share that failed", 100.0 * share, "%", n as usize, &Source::default())
        .advice(
            "Give percentiles of the good answers alone, and count a request without an answer as slower than any other.",
            "",
        );
    Some(draft.done())
}

/// Whose time stands at a rank, and whether that rank ever ended.
fn quantile(p: f64, name: &str, n: u64, failures: u64, timeouts: u64) -> (Verdict, String) {
    let share = failures as f64 / n as f64;
    let unanswered = timeouts as f64 / n as f64;
    if unanswered > 1.0 - p {
        let says = format!(
            "{timeouts} of {n} requests ({}) never got an answer, so the {name} of all is \"did not finish\" and no time.",
            percent(unanswered)
        );
        return (Verdict::Fail, says);
    }
    if share >= p.max(1.0 - p) {
        let says = format!(
            "{failures} of {n} requests ({}) failed, so the {name} of all is the time of a failure, not of a good answer.",
            percent(share)
        );
        return (Verdict::Fail, says);
    }
    let says = format!(
        "{failures} of {n} requests ({}) failed, so the {name} mixes good answers with failures and stands for neither.",
        percent(share)
    );
    if share < p.min(1.0 - p) * 0.1 {
        (Verdict::Warn, says)
    } else {
        (Verdict::Inconclusive, says)
    }
}
