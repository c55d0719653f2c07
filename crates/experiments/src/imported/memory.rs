//! Does memory grow with requests? Two readings cannot tell a leak from something loaded once.

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{memory, number, percent, requests};
use super::rule::{RuleDef, remark};

/// Growth per 1,000 requests, as a share of the memory, that matters.
const MATERIAL: f64 = 0.001;
/// Readings that a slope needs.
const READINGS_MIN: u64 = 20;
/// Requests that a slope needs.
const REQUESTS_MIN: u64 = 10_000;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "memory-growth",
    asks: "Can these readings tell a leak from something loaded once?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Memory {
        return None;
    }
    if let Some((tolerance, n)) = claim.tolerance.zip(claim.n.filter(|n| *n > 0)) {
        return Some(blind(claim, tolerance, n));
    }
    let grown = match (claim.before_mib, claim.after_mib) {
        (Some(before), Some(after)) => after - before,
        _ => claim.value?,
    };
    let Some(n) = claim.n.filter(|n| *n > 0) else {
        let says = format!(
            "Memory grew by {}, and nothing says over how many requests.",
            memory(grown)
        );
        return Some(remark(DEF.name, &claim.id, Verdict::Inconclusive, says).done());
    };
    let each = grown / n as f64;
    let per_thousand = claim
        .before_mib
        .filter(|b| *b > 0.0)
        .map(|before| 1e3 * each / before);
    let readings = claim.readings.unwrap_or(2);
    let rate = match per_thousand {
        Some(share) => format!(
            "{} over {} are {} per request, {} of the memory per 1,000 requests if it goes on",
            memory(grown),
            requests(n),
            memory(each),
            percent(share)
        ),
        None => format!(
            "{} over {} are {} per request if it goes on",
            memory(grown),
            requests(n),
            memory(each)
        ),
    };
    let enough = readings >= READINGS_MIN && n >= REQUESTS_MIN;
    let (verdict, says) = match per_thousand {
        Some(share) if enough && share < MATERIAL => (
            Verdict::Pass,
            format!("{rate}: below {} in {readings} readings.", percent(MATERIAL)),
        ),
        _ => (
            Verdict::Inconclusive,
            format!(
                "{rate}; {readings} readings cannot tell a leak from something that is loaded once and stays."
            ),
        ),
    };
    let draft = remark(DEF.name, &claim.id, verdict, says).figure(
        "growth per request",
        each,
        "MiB",
        n as usize,
        &Source::default(),
    );
    Some(match verdict {
        Verdict::Pass => draft.done(),
        _ => draft
            .advice(
                &format!(
                    "Read the memory at least {READINGS_MIN} times over {} or more at a steady load, drop the start, and fit \
                     a slope.",
                    requests(REQUESTS_MIN)
                ),
                "",
            )
            .done(),
    })
}

/// A test that lets some growth pass cannot see a leak that stays below it.
fn blind(claim: &Claim, tolerance: f64, n: u64) -> Finding {
    let each = tolerance / n as f64;
    let thousand = 1e3 * each;
    let share = claim
        .before_mib
        .filter(|before| *before > 0.0)
        .map(|before| thousand / before);
    let verdict =
        if share.is_some_and(|share| share <= MATERIAL) && claim.readings.unwrap_or(2) >= READINGS_MIN {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
    let says = format!(
        "A test that lets {} pass over {} is blind below {} per request, that is {} per 1,000 requests{}.",
        memory(tolerance),
        requests(n),
        memory(each),
        memory(thousand),
        share.map_or_else(String::new, |share| format!(", {} of the memory", percent(share)))
    );
    remark(DEF.name, &claim.id, verdict, says)
        .figure(
            "smallest leak it can see",
            each,
            "MiB",
            n as usize,
            &Source::default(),
        )
        .advice(
            &format!(
                "Run it over {} or more, and fit a slope instead of one limit.",
                number(REQUESTS_MIN as f64)
            ),
            "",
        )
        .done()
}
