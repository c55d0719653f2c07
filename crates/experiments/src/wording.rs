//! How numbers are put into the sentences of load findings, and what every load finding has in common.

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::{binomial, order};

use crate::Basis;
use crate::draft::Draft;
use crate::timings::Tally;

/// Columns of [`Tally::rows`].
pub(crate) const OUTCOME_COLUMNS: [&str; 3] = ["Outcome", "Requests", "The request ..."];

/// A time with three significant digits: `7.12 ms`, `1.25 s`.
pub(crate) fn ms(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} s", digits(value / 1000.0))
    } else {
        format!("{} ms", digits(value))
    }
}

/// Three significant digits, without trailing noise.
pub(crate) fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 0.0995 => 4,
        v if v < 0.995 => 3,
        v if v < 9.95 => 2,
        v if v < 99.5 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A quantile in words, with its interval or what it lacks: `7.1 ms (95 % interval 7.0 ms to 7.3 ms)`.
pub(crate) fn quantile(values: &[f64], p: f64) -> String {
    let Some(estimate) = order::estimate(values, p, 0.95) else {
        return "no data".to_owned();
    };
    match estimate.interval {
        Some((low, high)) => format!(
            "{} (95 % interval {} to {})",
            ms(estimate.value),
            ms(low),
            ms(high)
        ),
        None => format!(
            "not estimable (needs {} independent requests; these {} are worth {:.0})",
            order::needed(p, 0.95),
            values.len(),
            estimate.n_eff.floor()
        ),
    }
}

/// What an unblemished record proves, or the share that failed.
pub(crate) fn outcome(tally: &Tally) -> String {
    let n = tally.judged();
    let bound = 100.0 * binomial::zero_failure_bound(n);
    if tally.failed() == 0 {
        format!(
            "None of {n} requests failed, which leaves a failure share of up to {} % possible (95 %).",
            digits(bound)
        )
    } else {
        let (share, (low, high)) = tally.success_percent();
        format!(
            "{} of {n} requests failed: {} % succeeded (95 % interval {} % to {} %).",
            tally.failed(),
            digits(share),
            digits(low),
            digits(high)
        )
    }
}

/// Verdict and severity by the failures alone: refusals are a warning, other failures fail.
pub(crate) fn by_failures(tally: &Tally) -> (Verdict, Severity) {
    if tally.judged() == 0 {
        (Verdict::Inconclusive, Severity::Low)
    } else if tally.failed() == 0 {
        (Verdict::Pass, Severity::Info)
    } else if tally.only_refusals() {
        (Verdict::Warn, Severity::Low)
    } else if tally.failed() * 10 >= tally.judged() {
        (Verdict::Fail, Severity::Critical)
    } else {
        (Verdict::Fail, Severity::High)
    }
}

/// Figures of the given quantiles, those that can be estimated.
pub(crate) fn quantiles(mut draft: Draft, values: &[f64], label: &str, ps: &[f64], source: &Source) -> Draft {
    for &p in ps {
        if let Some(estimate) = order::estimate(values, p, 0.95)
            && let Some(interval) = estimate.interval
        {
            let label = format!("{label} p{}", digits_of_percent(p));
            draft = draft.measured(&label, estimate.value, "ms", Some(interval), values.len(), source);
        }
    }
    draft
}

fn digits_of_percent(p: f64) -> String {
    let percent = (p * 1e5).round() / 1e3;
    percent.to_string()
}

/// A finding that rests on what the answers of phases held: INVALID, with the reasons, when that cannot be trusted.
pub(crate) fn resting_on_answers(finding: Finding, phases: &[&PhaseResult]) -> Finding {
    distrusted(finding, phases, Basis::Answers)
}

/// A finding that rests on phases: INVALID, with the reasons, when one of them cannot be trusted.
pub(crate) fn resting_on(finding: Finding, phases: &[&PhaseResult]) -> Finding {
    distrusted(finding, phases, Basis::Times)
}

fn distrusted(mut finding: Finding, phases: &[&PhaseResult], basis: Basis) -> Finding {
    let mut reasons: Vec<String> = Vec::new();
    for phase in phases {
        for issue in phase
            .summary
            .validity
            .invalid
            .iter()
            .filter(|i| basis.is_undermined_by(&i.name))
        {
            if !reasons.contains(&issue.says) {
                reasons.push(issue.says.clone());
            }
        }
    }
    if !reasons.is_empty() {
        finding.verdict = Verdict::Invalid;
        finding.title = format!("The measurement cannot be trusted: {}", finding.title);
        finding.detail = format!(
            "The generator did not keep its promise, so the numbers below may be its own doing: {}. {}",
            reasons.join("; "),
            finding.detail
        );
    }
    finding
}
