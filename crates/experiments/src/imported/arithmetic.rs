//! Do the claim's own numbers add up? Counts, shares, differences, and the order of statistics.

use prony_model::{Finding, Verdict};

use super::claim::{Claim, Measure, Statistic};
use super::phrases::{memory, number, percent, time};
use super::rule::{RuleDef, remark};

/// Difference of a share that rounding explains.
const SHARE_SLACK: f64 = 0.005;
/// Relative difference of a rate that rounding and an unclear end explain.
const RATE_SLACK: f64 = 0.1;
/// Relative difference of a memory reading that rounding explains.
const MEMORY_SLACK: f64 = 0.05;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "arithmetic",
    asks: "Do its own numbers add up?",
    judge,
};

fn judge(claim: &Claim, all: &[Claim]) -> Option<Finding> {
    let says = counts(claim)
        .or_else(|| share(claim))
        .or_else(|| rate(claim))
        .or_else(|| order(claim, all))
        .or_else(|| difference(claim))?;
    Some(remark(DEF.name, &claim.id, Verdict::Fail, says).done())
}

/// The parts of a whole.
fn counts(claim: &Claim) -> Option<String> {
    let n = claim.n?;
    let parts = [
        ("ok", claim.ok),
        ("failed", claim.failed),
        ("timed out", claim.timeouts),
    ];
    if let Some((name, part)) = parts
        .iter()
        .find_map(|(name, part)| Some((name, (*part)?)).filter(|p| p.1 > n))
    {
        return Some(format!("{part} {name} cannot be part of {n} requests."));
    }
    let (ok, failed) = (claim.ok?, claim.failed?);
    let timeouts = claim.timeouts.unwrap_or(0);
    let sum = ok.saturating_add(failed);
    (sum != n && sum.saturating_add(timeouts) != n)
        .then(|| format!("The counts do not add up: {ok} ok and {failed} failed make {sum}, not {n}."))
}

/// A share against the counts that it was made from.
fn share(claim: &Claim) -> Option<String> {
    if claim.measure != Measure::Success {
        return None;
    }
    let (value, (ok, n)) = (claim.value?, claim.success()?);
    let counted = ok as f64 / n as f64;
    let perfect_but_failed = value >= 1.0 && ok < n;
    ((value - counted).abs() > SHARE_SLACK || perfect_but_failed).then(|| {
        format!(
            "The claim is {}, but {ok} of {n} are {}.",
            percent(value),
            percent(counted)
        )
    })
}

/// A rate against the count and the time that it was made from; of all requests or of the good ones.
fn rate(claim: &Claim) -> Option<String> {
    let (given, wall) = (
        claim.throughput_per_s?,
        claim.duration_s.filter(|wall| *wall > 0.0)?,
    );
    let counts = [claim.n, claim.ok].into_iter().flatten();
    let rates: Vec<f64> = counts.map(|count| count as f64 / wall).collect();
    let fits = |rate: &f64| (given - rate).abs() <= RATE_SLACK * rate.max(given);
    let counted = rates.first().filter(|_| !rates.iter().any(fits))?;
    Some(format!(
        "The throughput is given as {}/s, but the requests and their time make {}/s.",
        number(given),
        number(*counted)
    ))
}

/// Memory: the difference that is claimed against the two readings.
fn difference(claim: &Claim) -> Option<String> {
    if claim.measure != Measure::Memory {
        return None;
    }
    let (value, grown) = (claim.value?, claim.after_mib? - claim.before_mib?);
    let off = (value - grown).abs();
    (off > MEMORY_SLACK * grown.abs().max(value.abs()) && off > 1.0).then(|| {
        format!(
            "The claim is a growth of {}, but the two readings differ by {}.",
            memory(value),
            memory(grown)
        )
    })
}

/// Statistics of one test: no p50 above its p95, no mean above its largest.
fn order(claim: &Claim, all: &[Claim]) -> Option<String> {
    let (value, rank) = (claim.value?, rank(claim)?);
    let others = all.iter().filter(|other| {
        !claim.test.is_empty()
            && (other.measure, &other.test, &other.endpoint, other.over)
                == (claim.measure, &claim.test, &claim.endpoint, claim.over)
    });
    let wrong = others.into_iter().find_map(|other| {
        let (other_value, other_rank) = (other.value?, self::rank(other)?);
        let above = other_rank > rank && other_value < value * (1.0 - 1e-9);
        // A mean may stand on either side of an inner quantile.
        let inner = |p: f64| p > 0.0 && p < 1.0;
        let means = [claim, other].map(|c| matches!(c.statistic, Statistic::Mean | Statistic::Unsaid));
        let comparable = means == [false, false] || !(inner(rank) && inner(other_rank));
        (above && comparable).then_some((other, other_value))
    });
    wrong.map(|(other, other_value)| {
        format!(
            "The {} ({}) is above the {} of the same test ({}).",
            claim.statistic.says(),
            time(value),
            other.statistic.says(),
            time(other_value)
        )
    })
}

/// Where among sorted values a statistic stands.
fn rank(claim: &Claim) -> Option<f64> {
    if !matches!(claim.measure, Measure::Latency | Measure::ServiceTime) {
        return None;
    }
    match claim.statistic {
        Statistic::Min => Some(0.0),
        Statistic::Quantile(p) => Some(p),
        Statistic::Mean | Statistic::Unsaid => Some(0.5),
        Statistic::Max => Some(1.0),
        Statistic::Single => None,
    }
}
