//! Little's law: the mean number in flight is throughput times time in the system, whatever the system is.
//!
//! Total time over n is one over the throughput. Called a latency, it puts one request in flight, however many were sent
//! at once. (J. D. C. Little, Operations Research 9, 1961.)

use prony_model::{Finding, Source, Verdict};

use super::claim::{Claim, Measure};
use super::phrases::{number, requests, time};
use super::rule::{RuleDef, remark};

/// A claimed latency this close to total over n is total over n, rounded.
const QUOTIENT_SLACK: f64 = 0.1;
/// A number in flight may be above what was sent at once by so much: rounding.
const ABOVE_SLACK: f64 = 0.1;
/// Share of the claimed concurrency that must have been in flight on average.
const HELD: f64 = 0.8;
/// The same for one burst: of requests that start together and end one by one half are in flight on average.
const HELD_OF_BURST: f64 = 0.4;
/// Share of it below which the claim is contradicted.
const CONTRADICTED: f64 = 0.25;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "littles-law",
    asks: "Do time, throughput and number in flight fit together?",
    judge,
};

fn judge(claim: &Claim, _: &[Claim]) -> Option<Finding> {
    if matches!(claim.measure, Measure::Throughput | Measure::SpeedUp) {
        return None;
    }
    let (latency, at_once) = (claim.mean_latency_s()?, claim.claimed_concurrency()?);
    // Of a capacity the good answers count: what was refused held no place.
    let n = match claim.measure {
        Measure::Concurrency => claim.ok.or(claim.n),
        _ => claim.n.or(claim.ok),
    };
    let counted = n.zip(claim.duration_s).filter(|(n, wall)| *n > 0 && *wall > 0.0);
    let per_s = counted
        .map(|(n, wall)| n as f64 / wall)
        .or(claim.throughput_per_s.filter(|rate| *rate > 0.0))?;
    if latency <= 0.0 || at_once <= 0.0 {
        return None;
    }
    let system = System {
        counted,
        per_s,
        latency,
        at_once,
    };
    let (verdict, says) = system.verdict(claim.measure)?;
    let (evidence, n) = (Source::default(), n.unwrap_or(0) as usize);
    let draft = remark(DEF.name, &claim.id, verdict, says)
        .figure("mean in flight", per_s * latency, "requests", n, &evidence)
        .figure("throughput", per_s, "1/s", n, &evidence);
    Some(match verdict {
        Verdict::Pass => draft.done(),
        _ => draft
            .advice(
                "Record start and end of each request: response times and the number in flight follow from them.",
                "",
            )
            .done(),
    })
}

/// What the law connects.
struct System {
    /// Requests and their total time, where they were counted.
    counted: Option<(u64, f64)>,
    per_s: f64,
    latency: f64,
    at_once: f64,
}

impl System {
    fn in_flight(&self) -> f64 {
        self.per_s * self.latency
    }

    fn law(&self) -> String {
        format!(
            "{}/s x {} = {}",
            number(self.per_s),
            time(self.latency),
            number(self.in_flight())
        )
    }

    fn verdict(&self, measure: Measure) -> Option<(Verdict, String)> {
        if self.at_once < 2.0 {
            return self.one_after_another();
        }
        if self.in_flight() > self.at_once * (1.0 + ABOVE_SLACK) {
            let says = format!(
                "Impossible with {} at once: by Little's law {} were in flight on average.",
                number(self.at_once),
                self.law()
            );
            return Some((Verdict::Fail, says));
        }
        let quotient = (measure == Measure::Latency).then(|| self.quotient()).flatten();
        Some(quotient.unwrap_or_else(|| self.held(measure)))
    }

    /// With one at a time, times cannot add up to more than the whole.
    fn one_after_another(&self) -> Option<(Verdict, String)> {
        let (n, wall) = self.counted?;
        (self.in_flight() > self.at_once + ABOVE_SLACK).then(|| {
            let says = format!(
                "{} of {} one after another need {}, but the whole test took {}.",
                requests(n),
                time(self.latency),
                time(n as f64 * self.latency),
                time(wall)
            );
            (Verdict::Fail, says)
        })
    }

    /// Total time over n under the name of a latency.
    fn quotient(&self) -> Option<(Verdict, String)> {
        let (n, wall) = self.counted?;
        let quotient = wall / n as f64;
        ((self.latency / quotient - 1.0).abs() <= QUOTIENT_SLACK).then(|| {
            let says = format!(
                "Wall time over n is not latency: {} / {n} = {} is one over the throughput ({}/s), and as a latency it would \
                 put {} request in flight on average, not {}.",
                time(wall),
                time(quotient),
                number(self.per_s),
                number(self.in_flight()),
                number(self.at_once)
            );
            (Verdict::Fail, says)
        })
    }

    /// How much of the claimed concurrency was in flight.
    fn held(&self, measure: Measure) -> (Verdict, String) {
        let in_flight = self.in_flight();
        let is_burst = self.counted.is_some_and(|(n, _)| n as f64 <= self.at_once);
        let enough = if is_burst { HELD_OF_BURST } else { HELD };
        let were = if in_flight < 1.5 {
            "request was"
        } else {
            "requests were"
        };
        let (law, at_once) = (self.law(), number(self.at_once));
        let share = in_flight / self.at_once;
        if share >= enough {
            let says =
                format!("By Little's law {law} {were} in flight on average, which fits {at_once} at once.");
            (Verdict::Pass, says)
        } else if share >= CONTRADICTED {
            let says = format!(
                "By Little's law {law} {were} in flight on average, fewer than the {at_once} that were meant."
            );
            (Verdict::Warn, says)
        } else if matches!(measure, Measure::Concurrency | Measure::Overlap) {
            let says = format!("By Little's law {law} {were} in flight on average, not {at_once}.");
            (Verdict::Fail, says)
        } else {
            let says = format!(
                "By Little's law {law} {were} in flight on average, not {at_once}, so this says nothing of {at_once} at once."
            );
            (Verdict::Inconclusive, says)
        }
    }
}
