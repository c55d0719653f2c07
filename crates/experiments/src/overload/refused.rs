//! The words for how requests were turned away in a surge, and for whether they may come back when they were told.

use prony_model::{Finding, PhaseResult, Severity, Verdict};
use prony_stats::{binomial, order};

use super::resend::Resent;
use super::surge::{Refusals, Surge};
use super::{Course, NAME};
use crate::draft::{Draft, source};
use crate::wording::{OUTCOME_COLUMNS, digits, ms};

/// Refusals that are 429 or 503, at least.
const CLEAN_MIN: f64 = 0.99;
/// Accepted requests that are answered in time, at least.
const IN_TIME_MIN: f64 = 0.95;
/// Timeouts as a share of requests: from here a warning, and a failure.
const TIMEOUTS_WARN: f64 = 0.01;
const TIMEOUTS_FAIL: f64 = 0.05;
/// Refusals with `Retry-After`, at least, and those served that come back when it says.
const TOLD_MIN: f64 = 0.95;
const TRUE_MIN: f64 = 0.90;
/// Refusals whose values must differ.
const VALUES_OF: usize = 20;

/// How well requests were turned away, when any were.
pub(super) fn shed(course: &Course, surge: &Surge<'_>) -> Option<Finding> {
    let endpoint = &course.endpoint;
    let refusals = surge.refusals();
    if refusals.failed == 0 {
        return None;
    }
    let evidence = source(surge.phase, endpoint);
    let n = refusals.failed + refusals.good;
    let percent = |(low, high): (f64, f64)| Some((100.0 * low, 100.0 * high));
    let clean = interval(refusals.refused, refusals.failed);
    let in_time = interval(refusals.in_time, refusals.good);
    let timed_out = interval(refusals.timed_out, n);
    let bound_ms = (0.1 * course.objective.limit_ms).clamp(10.0, 1000.0);
    let to_refuse = order::estimate(&refusals.refused_ms, 0.95, 0.95);
    let wrong = wrong(&refusals, n, to_refuse, bound_ms);
    let (verdict, severity) = if timed_out.0 > TIMEOUTS_FAIL {
        (Verdict::Fail, Severity::High)
    } else if wrong.is_empty() {
        (Verdict::Pass, Severity::Info)
    } else {
        (Verdict::Warn, Severity::Medium)
    };
    let mut draft = Draft::new(NAME, "shed-quality", endpoint)
        .verdict(verdict, severity)
        .measured(
            "failed requests refused with 429 or 503",
            share(refusals.refused, refusals.failed),
            "%",
            percent(clean),
            refusals.failed,
            &evidence,
        )
        .measured(
            "answers in time, of those answered",
            share(refusals.in_time, refusals.good),
            "%",
            percent(in_time),
            refusals.good,
            &evidence,
        )
        .measured(
            "requests that timed out",
            share(refusals.timed_out, n),
            "%",
            percent(timed_out),
            n,
            &evidence,
        )
        .table(
            "Outcomes in the surge",
            &OUTCOME_COLUMNS,
            refusals.tally.rows(),
            &evidence,
        );
    if let Some(e) = to_refuse {
        draft = draft.measured(
            "time to refuse, p95",
            e.value,
            "ms",
            e.interval,
            refusals.refused,
            &evidence,
        );
    }
    let draft = draft.detail(format!(
        "Of {n} requests between 1.5 and 3 times the capacity {} failed. Good shedding refuses at once, with 429 or 503, and serves in \
         time what it accepts. A client gave up after {}.",
        refusals.failed,
        ms(surge.phase.phase.limits.timeout_ms as f64)
    ));
    let draft = if wrong.is_empty() {
        draft.title(format!(
            "{endpoint} turns away what it cannot serve at once and plainly"
        ))
    } else {
        draft
            .title(format!("{endpoint} does not turn away well what it cannot serve: {}", wrong.join("; ")))
            .advice(
                "Decide at the door: count what is in flight, refuse beyond the limit with 503 and Retry-After before any work is done.",
                "",
            )
    };
    Some(draft.done())
}

/// What is wrong with it, where chance does not explain it.
fn wrong(refusals: &Refusals, n: usize, to_refuse: Option<order::Estimate>, bound_ms: f64) -> Vec<String> {
    let clean = interval(refusals.refused, refusals.failed);
    let in_time = interval(refusals.in_time, refusals.good);
    let timed_out = interval(refusals.timed_out, n);
    let slow = to_refuse
        .and_then(|e| e.interval)
        .is_some_and(|(low, _)| low > bound_ms);
    let mut wrong: Vec<String> = Vec::new();
    if clean.1 < CLEAN_MIN {
        wrong.push(format!(
            "only {} % of what failed was refused with 429 or 503",
            digits(share(refusals.refused, refusals.failed))
        ));
    }
    if slow {
        wrong.push(format!(
            "a refusal takes {} (p95; at most {} would do)",
            ms(to_refuse.map_or(0.0, |e| e.value)),
            ms(bound_ms)
        ));
    }
    if in_time.1 < IN_TIME_MIN {
        wrong.push(format!(
            "only {} % of what was answered came in time",
            digits(share(refusals.in_time, refusals.good))
        ));
    }
    if timed_out.0 > TIMEOUTS_WARN {
        wrong.push(format!(
            "{} % of all requests timed out, so work was done for nobody",
            digits(share(refusals.timed_out, n))
        ));
    }
    wrong
}

fn interval(k: usize, n: usize) -> (f64, f64) {
    binomial::clopper_pearson(k as u64, n as u64, 0.95)
}

fn share(k: usize, n: usize) -> f64 {
    100.0 * k as f64 / n.max(1) as f64
}

/// Whether refusals say when to come back, and whether that is true.
pub(super) fn retry_after(phase: &PhaseResult, endpoint: &str) -> Option<Finding> {
    let resent = Resent::of(phase)?;
    let evidence = source(phase, endpoint);
    let (told, told_ci) = resent.told_share();
    let (served, served_ci) = resent.served_share();
    let percent = |(low, high): (f64, f64)| Some((100.0 * low, 100.0 * high));
    let values = resent
        .values
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let draft = Draft::new(NAME, "retry-after", endpoint)
        .advisory()
        .measured(
            "refusals with Retry-After",
            100.0 * told,
            "%",
            percent(told_ci),
            resent.refused,
            &evidence,
        )
        .figure(
            "different values of Retry-After",
            resent.values.len() as f64,
            "",
            resent.told,
            &evidence,
        );
    let draft = if resent.again > 0 {
        draft.measured(
            "served when sent again as told",
            100.0 * served,
            "%",
            percent(served_ci),
            resent.again,
            &evidence,
        )
    } else {
        draft
    };
    let draft = if resent.told > 0 {
        draft.quote("Values of Retry-After", &values, &evidence)
    } else {
        draft
    };
    let draft = draft.detail(format!(
        "Of {} refusals whose headers were kept {} said when to come back, with {} different values. {} refused requests were sent \
         again after that time, beside 0.8 of the capacity, and {} of them were served.",
        resent.refused,
        resent.told,
        resent.values.len(),
        resent.again,
        resent.served
    ));
    Some(told_and_true(draft, endpoint, &resent).done())
}

fn told_and_true(draft: Draft, endpoint: &str, resent: &Resent) -> Draft {
    let (_, told_ci) = resent.told_share();
    let (served, served_ci) = resent.served_share();
    let advice = "Send Retry-After with every 429 and 503, in seconds after which there will be room, and spread the values, or the \
                  refused come back together.";
    if resent.refused == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title(format!(
                "No refusal of {endpoint} was kept, so nothing is said of Retry-After"
            ))
    } else if told_ci.1 < TOLD_MIN {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "{endpoint} refuses without saying when to come back: {} of {} refusals have Retry-After",
                resent.told, resent.refused
            ))
            .advice(advice, "")
    } else if resent.again > 0 && served_ci.1 < TRUE_MIN {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "Retry-After of {endpoint} is not true: only {} % of those who came back as told were served",
                digits(100.0 * served)
            ))
            .advice(advice, "")
    } else if resent.told >= VALUES_OF && resent.values.len() == 1 {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "Retry-After of {endpoint} is always {}: all who were refused come back together",
                resent.values[0]
            ))
            .advice(advice, "")
    } else if resent.again == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title(format!(
                "Retry-After of {endpoint} asks for more time than there was to see whether it is true"
            ))
            .advice("Give the experiment more time (`duration_s`).", "")
    } else {
        draft.title(format!(
            "Retry-After of {endpoint} is there and true: {} % of those who came back as told were served",
            digits(100.0 * served)
        ))
    }
}
