//! Are the answers of both as long? Shorter answers come sooner: then times compare nothing.

use prony_model::{Finding, PhaseResult, Severity, Verdict};
use prony_stats::paired;

use super::run::Run;
use super::{COMPARE, Comparison};
use crate::draft::{Draft, source};
use crate::wording::{digits, resting_on_answers};

/// Difference in length that makes times incomparable, as a share.
const DIFFERENCE_MAX: f64 = 0.05;

/// A finding when the comparison has to be refused: the ratio of lengths, or its interval, leaves plus or minus 5 %.
pub(super) fn refusal(comparison: &Comparison<'_>, a: &[Run], b: &[Run]) -> Option<Finding> {
    let known = |run: &Run| run.bytes > 0.0;
    if !(a.iter().all(known) && b.iter().all(known)) {
        return None;
    }
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| (b.bytes / a.bytes).ln()).collect();
    let found = paired::interval(&ratios, 0.95)?;
    let most = DIFFERENCE_MAX.ln_1p();
    if found.low >= -most && found.high <= most {
        return None;
    }
    let differs = found.mean.abs() > most;
    let first = comparison.b.first()?;
    let endpoint = &first.phase.scenarios[0].name;
    let percent = |log: f64| 100.0 * log.exp_m1();
    let draft = Draft::new(COMPARE, "output-length", endpoint).measured(
        "change of the length of answers from A to B",
        percent(found.mean),
        "%",
        Some((percent(found.low), percent(found.high))),
        ratios.len(),
        &source(first, endpoint),
    );
    let range = format!(
        "{} % (95 % interval {} to {} %, {} pairs)",
        digits(percent(found.mean)),
        digits(percent(found.low)),
        digits(percent(found.high)),
        ratios.len()
    );
    let draft = if differs {
        draft.verdict(Verdict::Invalid, Severity::High).title(format!(
            "The answers of A and B differ in length by {range}: their times cannot be compared"
        ))
    } else {
        draft
            .verdict(Verdict::Inconclusive, Severity::Medium)
            .title(format!(
                "The answers of A and B may differ in length by more than 5 %: measured {range}"
            ))
    };
    let finding = draft
        .detail("Shorter answers come sooner. No time is compared unless the lengths agree within 5 %, interval and all.")
        .advice("Ask for answers of a fixed length, or find out why they differ.", "")
        .done();
    let phases: Vec<&PhaseResult> = comparison.a.iter().chain(comparison.b).collect();
    Some(resting_on_answers(finding, &phases))
}
