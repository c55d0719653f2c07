//! Are there enough values for the statistic that is claimed? By order statistics, whatever their distribution.

use prony_model::{Finding, Source, Verdict};
use prony_stats::{binomial, order};

use super::claim::{Claim, Measure, Over, Statistic};
use super::phrases::{percent, time};
use super::rule::{RuleDef, remark};

/// Values that a mean needs before one of them no longer decides it.
const MEAN_MIN: u64 = 30;
/// Values beyond a quantile, on its thinner side, from which it may decide something.
const BEYOND_MIN: f64 = 10.0;
/// Share of slower requests that a largest value must exclude.
const SLOWER: f64 = 0.01;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "too-few-values",
    asks: "Are there enough values for this statistic?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if !matches!(claim.measure, Measure::Latency | Measure::ServiceTime) {
        return None;
    }
    let value = claim.value?;
    if let Some(limit) = claim.limit.filter(|limit| value > *limit) {
        let says = format!("{} is over its own limit of {}.", time(value), time(limit));
        return Some(remark(DEF.name, &claim.id, Verdict::Fail, says).done());
    }
    let name = claim.statistic.says();
    let Some(n) = claim.values() else {
        let says = format!("Nothing says how many values this {name} is made of.");
        return Some(remark(DEF.name, &claim.id, Verdict::Inconclusive, says).done());
    };
    let of = match claim.over {
        Over::Ok => "good answers",
        Over::All | Over::Unsaid => "values",
    };
    let (verdict, says) = match claim.statistic {
        Statistic::Quantile(p) => quantile(p, &name, n, of),
        Statistic::Max => largest(n, of),
        Statistic::Single => (
            Verdict::Inconclusive,
            "One value says nothing of the next: it has no spread.".to_owned(),
        ),
        Statistic::Min => (
            Verdict::Inconclusive,
            format!("The smallest of {n} {of} is a floor, and no user's time."),
        ),
        Statistic::Mean | Statistic::Unsaid => mean(n, of),
    };
    let draft = remark(DEF.name, &claim.id, verdict, says).figure(
        &name,
        1e3 * value,
        "ms",
        n as usize,
        &Source::default(),
    );
    Some(draft.done())
}

fn quantile(p: f64, name: &str, n: u64, of: &str) -> (Verdict, String) {
    let (bound, interval) = (order::needed_one_sided(p, 0.95), order::needed(p, 0.95));
    let steady = (BEYOND_MIN / p.min(1.0 - p) - 1e-6).ceil();
    if n < interval {
        let says = if n < bound {
            format!(
                "A {name} of {n} {of} has no upper bound: it needs {bound} for one, and {interval} for an interval (95 %)."
            )
        } else {
            format!("A {name} of {n} {of} has an upper bound but no interval, which needs {interval} (95 %).")
        };
        return (Verdict::Inconclusive, says);
    }
    let beyond = n as f64 * p.min(1.0 - p);
    if beyond < BEYOND_MIN {
        let says = format!(
            "A {name} of {n} {of} rests on {beyond:.0} beyond it; {steady} {of} would put {BEYOND_MIN} there."
        );
        return (Verdict::Warn, says);
    }
    (
        Verdict::Pass,
        format!("{n} {of} are enough for a {name}, if they are independent."),
    )
}

fn largest(n: u64, of: &str) -> (Verdict, String) {
    let bound = binomial::zero_failure_bound(n);
    let says = format!(
        "The largest of {n} {of} is no limit: up to {} of requests may be slower (95 %)",
        percent(bound)
    );
    if bound <= SLOWER {
        return (
            Verdict::Pass,
            format!(
                "At most {} of requests are slower than the largest of {n} (95 %).",
                percent(bound)
            ),
        );
    }
    let needed = order::needed_one_sided(1.0 - SLOWER, 0.95);
    (
        Verdict::Inconclusive,
        format!("{says}; {needed} would leave {}.", percent(SLOWER)),
    )
}

fn mean(n: u64, of: &str) -> (Verdict, String) {
    if n < MEAN_MIN {
        (
            Verdict::Inconclusive,
            format!(
                "A mean of {n} {of} without their spread has no interval, and one of them can move it by itself."
            ),
        )
    } else {
        (
            Verdict::Pass,
            format!("The mean of {n} {of} stands; it says nothing of the slow ones."),
        )
    }
}
