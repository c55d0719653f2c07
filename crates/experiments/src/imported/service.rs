//! Is a time that includes waiting called the time of the work?

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{number, percent, time};
use super::rule::{RuleDef, remark};

/// Share of the claimed time that may be something else than work.
const WAITING: f64 = 0.1;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "waiting-in-service-time",
    asks: "Is it the time of the work, or of the work and the queue before it?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if claim.measure != Measure::ServiceTime {
        return None;
    }
    let value = claim.value.filter(|value| *value > 0.0)?;
    let Some(service) = claim.service_s else {
        return unknown(claim, value);
    };
    let rest = value - service;
    let (verdict, says) = if rest < -WAITING * value {
        (
            Verdict::Fail,
            format!(
                "The server's own time of the work ({}) is longer than the claimed {}.",
                time(service),
                time(value)
            ),
        )
    } else if rest > WAITING * value {
        (
            Verdict::Fail,
            format!(
                "Of {} the work itself takes {}; the other {} ({}) are spent elsewhere: in a queue, or on the way.",
                time(value),
                time(service),
                time(rest),
                percent(rest / value)
            ),
        )
    } else {
        (
            Verdict::Pass,
            format!(
                "The server's own time of the work is {}, which fits.",
                time(service)
            ),
        )
    };
    let draft = remark(DEF.name, &claim.id, verdict, says).figure(
        "time besides the work",
        1e3 * rest,
        "ms",
        claim.n.unwrap_or(0) as usize,
        &Source::default(),
    );
    Some(draft.done())
}

fn unknown(claim: &Claim, value: f64) -> Option<Finding> {
    let at_once = claim.concurrency.filter(|at_once| *at_once > 1.0)?;
    let says = format!(
        "Seen by a client with {} at once, {} is the work and any wait for its turn: the work alone may take anything from {} up.",
        number(at_once),
        time(value),
        time(value / at_once)
    );
    let draft = remark(DEF.name, &claim.id, Verdict::Inconclusive, says)
        .advice("Time the work on the server, or send one request at a time.", "");
    Some(draft.done())
}
