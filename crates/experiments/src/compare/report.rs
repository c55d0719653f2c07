//! The words for what a comparison found.

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::fisher;

use super::family::{Decision, Family, Judged, PAIRS_MIN};
use super::run::{Metric, Run};
use super::{COMPARE, Comparison};
use crate::draft::{Draft, source};
use crate::timings::Tally;
use crate::wording::{OUTCOME_COLUMNS, digits, resting_on};

/// Difference in failures that chance seldom makes.
const FAILURES_P: f64 = 0.05;

/// One finding per metric, or one that says what is missing.
pub(super) fn metrics(comparison: &Comparison<'_>, family: &Family) -> Vec<Finding> {
    let Some(first) = comparison.b.first().filter(|_| !family.judged.is_empty()) else {
        return vec![nothing(comparison, family)];
    };
    let evidence = source(first, &first.phase.scenarios[0].name);
    let missing = missing(family);
    family
        .judged
        .iter()
        .map(|found| {
            let draft = Draft::new(
                COMPARE,
                &id(found.metric, comparison.same),
                &first.phase.scenarios[0].name,
            );
            let draft = figures(draft, found, &evidence);
            let draft = if comparison.same {
                itself(draft, found)
            } else {
                other(draft, found)
            };
            let detail = detail(found, &missing);
            trusted(draft.detail(detail).done(), comparison)
        })
        .collect()
}

/// A finding about failures, when there are any: percentiles are of good answers only, and a target that refuses half of its
/// requests looks fast by them.
pub(super) fn failures(comparison: &Comparison<'_>, a: &[Run], b: &[Run]) -> Option<Finding> {
    let tally = |runs: &[Run]| {
        runs.iter()
            .fold(Tally::default(), |sum, run| sum.with(&run.tally))
    };
    let (a, b) = (tally(a), tally(b));
    if a.failed() + b.failed() == 0 {
        return None;
    }
    let first = comparison.b.first()?;
    let evidence = source(first, &first.phase.scenarios[0].name);
    let p = fisher::two_sided(a.failed(), a.judged(), b.failed(), b.judged());
    let share = |tally: &Tally| tally.failed() as f64 / tally.judged().max(1) as f64;
    let worse = share(&b) > share(&a) && p < FAILURES_P;
    let draft = Draft::new(COMPARE, "failures", &first.phase.scenarios[0].name)
        .figure("failures of A", 100.0 * share(&a), "%", a.judged() as usize, &evidence)
        .figure("failures of B", 100.0 * share(&b), "%", b.judged() as usize, &evidence)
        .table("Outcomes of A", &OUTCOME_COLUMNS, a.rows(), &evidence)
        .table("Outcomes of B", &OUTCOME_COLUMNS, b.rows(), &evidence)
        .detail(format!(
            "Fisher's exact test of the two shares gives p = {}. Requests that fail together count as independent here, so a small p \
             may overstate it. Percentiles are of good answers only.",
            digits(p)
        ));
    let counts = format!(
        "{} of {} for A, {} of {} for B",
        a.failed(),
        a.judged(),
        b.failed(),
        b.judged()
    );
    let draft = if worse && !comparison.same {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("B fails more often than A: {counts}"))
            .advice(
                "Find the cause in the log of B before its times are compared.",
                "",
            )
    } else {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("Requests failed while the two were compared: {counts}"))
            .advice("Find the cause: a comparison of what fails says little.", "")
    };
    Some(trusted(draft.done(), comparison))
}

fn nothing(comparison: &Comparison<'_>, family: &Family) -> Finding {
    let endpoint = comparison
        .b
        .first()
        .map_or("", |phase| phase.phase.scenarios[0].name.as_str());
    let draft = Draft::new(COMPARE, "regression", endpoint)
        .verdict(Verdict::Inconclusive, Severity::Medium)
        .title("Too few good answers to compare anything")
        .detail(missing(family))
        .advice("Make the runs longer (`--duration`), or the load higher.", "")
        .done();
    trusted(draft, comparison)
}

fn id(metric: Metric, same: bool) -> String {
    format!(
        "{}-{}",
        if same { "environment" } else { "regression" },
        metric.name()
    )
}

fn figures(draft: Draft, found: &Judged, evidence: &Source) -> Draft {
    let (change, range) = changes(found);
    let pairs = found.values.len();
    let unit = match found.metric {
        Metric::Quantile(_) => "ms",
        Metric::Goodput => "1/s",
    };
    let rows = found
        .values
        .iter()
        .enumerate()
        .map(|(i, (a, b))| {
            vec![
                (i + 1).to_string(),
                digits(*a),
                digits(*b),
                digits(100.0 * (b / a - 1.0)),
            ]
        })
        .collect();
    let columns = ["Pair", &format!("A, {unit}"), &format!("B, {unit}"), "Change, %"];
    draft
        .measured(
            &format!("change of {} from A to B", of(found.metric)),
            change,
            "%",
            Some(range),
            pairs,
            evidence,
        )
        .figure(
            "smallest visible change",
            percent(found.visible),
            "%",
            pairs,
            evidence,
        )
        .figure("change that matters", 100.0 * found.margin, "%", pairs, evidence)
        .figure(
            "spread of one pair's difference",
            percent(found.effect.deviation),
            "%",
            pairs,
            evidence,
        )
        .figure("p of the sign-flip test", found.flip, "", pairs, evidence)
        .table("Pairs of runs", &columns, rows, evidence)
}

/// A and B are two targets.
fn other(draft: Draft, found: &Judged) -> Draft {
    let (change, (low, high)) = changes(found);
    let pairs = found.values.len();
    let limit = digits(100.0 * found.margin);
    let range = format!(
        "95 % interval {} to {} %, {pairs} interleaved pairs; smallest visible change {} %",
        digits(low),
        digits(high),
        digits(percent(found.visible))
    );
    let worse = match found.metric {
        Metric::Quantile(_) => format!("B is {} % slower than A at {}", digits(change), of(found.metric)),
        Metric::Goodput => format!(
            "B gives {} % fewer good answers per second than A",
            digits(-change)
        ),
    };
    match found.decision {
        Decision::Fail => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("REGRESSION: {worse} ({range}); the limit is {limit} %"))
            .advice("Find out what changed between A and B before B is released.", ""),
        Decision::Warn => draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "REGRESSION: {worse} ({range}); it is not shown to be over the limit of {limit} %"
            ))
            .advice(
                "Find out what changed; repeat with more pairs (`--pairs`) where it matters.",
                "",
            ),
        Decision::Pass => draft.title(format!(
            "NO REGRESSION: from A to B {} changes by {} % ({range}); the limit is {limit} %",
            of(found.metric),
            digits(change)
        )),
        Decision::TooFewPairs => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "Too few pairs to judge {}: {pairs}, and it takes {PAIRS_MIN}",
                of(found.metric)
            ))
            .advice(&format!("Repeat with `--pairs {PAIRS_MIN}` or more."), ""),
        Decision::Undecided(_) | Decision::Noise => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "Cannot tell: from A to B {} changes by {} % ({range}); the limit is {limit} %",
                of(found.metric),
                digits(change)
            ))
            .advice(&repeat(found), ""),
    }
}

/// A and B are the same target.
fn itself(draft: Draft, found: &Judged) -> Draft {
    let (change, (low, high)) = changes(found);
    let pairs = found.values.len();
    let range = format!(
        "95 % interval {} to {} %, {pairs} pairs",
        digits(low),
        digits(high)
    );
    match found.decision {
        Decision::Noise => draft
            .verdict(Verdict::Invalid, Severity::High)
            .title(format!(
                "The same target differs from itself: {} changes by {} % ({range}). Comparisons made here cannot be trusted",
                of(found.metric),
                digits(change)
            ))
            .advice("Find what favours one side: another load, a cache that fills, heat, an order that repeats.", ""),
        Decision::TooFewPairs => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("Too few pairs to judge the environment: {pairs}, and it takes {PAIRS_MIN}"))
            .advice(&format!("Repeat with `--pairs {PAIRS_MIN}` or more."), ""),
        _ => draft.title(format!(
            "Held against itself, {} changes by {} % ({range}); a comparison here would show a change of {} % or more",
            of(found.metric),
            digits(change),
            digits(percent(found.visible))
        )),
    }
}

fn detail(found: &Judged, missing: &str) -> String {
    format!(
        "The unit is the run: differences of logarithms within pairs that took turns as ABBA BAAB, their mean with Student's t, borne \
         out by flipping signs (p = {}). A change of {} % would be found nine times in ten. {missing}",
        digits(found.flip),
        digits(percent(found.visible))
    )
    .trim_end()
    .to_owned()
}

/// What it would take to decide. Adding pairs to these until they decide would be no test.
fn repeat(found: &Judged) -> String {
    match found.decision {
        Decision::Undecided(Some(needed)) => format!(
            "Repeat the whole comparison with about {} pairs (`--pairs`); adding pairs to these until they decide would raise false \
             alarms.",
            needed.max(found.values.len() + 1)
        ),
        _ => "The change is at the limit itself: no number of pairs decides that. Make the runs longer, or choose another limit \
              (`--margin`)."
            .to_owned(),
    }
}

fn missing(family: &Family) -> String {
    if family.missing.is_empty() {
        return String::new();
    }
    let names: Vec<String> = family
        .missing
        .iter()
        .map(|metric| format!("{} needs {}", metric.name(), metric.needed()))
        .collect();
    format!(
        "Not compared, for want of good answers in each run (the smallest had {}): {}.",
        family.good_min,
        names.join(", ")
    )
}

/// Change from A to B in per cent, with its interval, in the direction of the metric itself.
fn changes(found: &Judged) -> (f64, (f64, f64)) {
    let effect = &found.effect;
    match found.metric {
        Metric::Quantile(_) => (percent(effect.mean), (percent(effect.low), percent(effect.high))),
        Metric::Goodput => (
            percent(-effect.mean),
            (percent(-effect.high), percent(-effect.low)),
        ),
    }
}

/// A difference of logarithms as a change in per cent.
fn percent(log: f64) -> f64 {
    100.0 * log.exp_m1()
}

fn of(metric: Metric) -> String {
    match metric {
        Metric::Quantile(_) => format!("the {} response", metric.name()),
        Metric::Goodput => "the throughput of good answers".to_owned(),
    }
}

fn trusted(finding: Finding, comparison: &Comparison<'_>) -> Finding {
    let phases: Vec<&PhaseResult> = comparison.a.iter().chain(comparison.b).collect();
    resting_on(finding, &phases)
}
