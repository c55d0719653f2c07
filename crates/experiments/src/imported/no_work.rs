//! Does a request that does no work take as long? Then most of the time is the way there and back.

use prony_model::{Finding, Role, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{percent, time};
use super::rule::{RuleDef, remark};

/// Share of the time that a request without work may take before it must be taken off.
const NOTICEABLE: f64 = 0.1;
/// Share from which the number says more of the way than of the work.
const MOSTLY: f64 = 0.5;
/// Parts of a path that name an endpoint which does no work, beside those of health endpoints.
const NO_WORK: [&str; 2] = ["noop", "no-op"];

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "no-work-floor",
    asks: "How much of the time would a request without work take?",
    judge,
};

fn judge(claim: &Claim, all: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::Latency || !claim.statistic.is_central() || does_no_work(claim) {
        return None;
    }
    let value = claim.value.filter(|value| *value > 0.0)?;
    let (floor, of) = floor(claim, all)?;
    let part = floor / value;
    let (verdict, says) = if part >= 1.0 {
        (
            Verdict::Inconclusive,
            format!(
                "{of} takes {} and does no work, this takes {}: all of it may be the network and the client, and the server's \
                 time is unknown.",
                time(floor),
                time(value)
            ),
        )
    } else if part >= MOSTLY {
        (
            Verdict::Inconclusive,
            format!(
                "{of} takes {} and does no work, this takes {}: {} of it is the network and the client, and some {} are left \
                 for the server.",
                time(floor),
                time(value),
                percent(part),
                time(value - floor)
            ),
        )
    } else if part >= NOTICEABLE {
        (
            Verdict::Warn,
            format!(
                "{} of it is what {of}, which does no work, takes as well ({}).",
                percent(part),
                time(floor)
            ),
        )
    } else {
        return None;
    };
    let draft = remark(DEF.name, &claim.id, verdict, says)
        .figure(
            "share of a request without work",
            100.0 * part,
            "%",
            claim.values().unwrap_or(0) as usize,
            &Source::default(),
        )
        .advice(
            "Measure an endpoint that does no work over the same path, and take its time off.",
            "",
        );
    Some(draft.done())
}

/// The time of a request without work: given beside the claim, or claimed for such an endpoint at the same concurrency.
fn floor(claim: &Claim, all: &[Claim]) -> Option<(f64, String)> {
    if let Some(no_op) = claim.no_op_s {
        return Some((no_op, "a request over the same path".to_owned()));
    }
    let at_once = |c: &Claim| c.concurrency.unwrap_or(1.0).to_bits();
    let alike = all.iter().filter(|other| {
        does_no_work(other)
            && other.measure == Measure::Latency
            && other.statistic.is_central()
            && at_once(other) == at_once(claim)
    });
    let floors = alike.filter_map(|other| Some((other.value.filter(|v| *v > 0.0)?, other.endpoint.clone())));
    floors.min_by(|a, b| a.0.total_cmp(&b.0))
}

/// Whether what was asked does no work, judged by its path.
pub(super) fn does_no_work(claim: &Claim) -> bool {
    let path = claim.endpoint.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', ' '])
        .map(str::to_ascii_lowercase)
        .any(|part| Role::HEALTH_SEGMENTS.contains(&part.as_str()) || NO_WORK.contains(&part.as_str()))
}
