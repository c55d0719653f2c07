//! What one rate showed: within the objective, beyond it, or undecided. Arithmetic on recorded phases, no words.

use prony_model::{PhaseResult, Sample, Shape};

use super::promise::{Promise, Stretch};
use crate::objective::LetDown;
use crate::sustained::in_flight_growth;

/// Share of each stretch that is left out at its start: the queue was empty, and close to the capacity it takes some hundred
/// requests to fill.
pub(super) const LEAD: f64 = 0.2;
/// Growth of the number in flight over a stretch, as a share of its mean, from which a backlog builds up.
const GROWTH_MAX: f64 = 0.10;
/// Shorter stretches show no trend.
const GROWTH_REQUESTS_MIN: usize = 200;
/// Error probability of an answer, for both ends of its interval together.
const ALPHA: f64 = 0.05;
/// Failures that may surely be exceeded, as a share.
const FAILED_STOP: f64 = 0.10;

/// The three-way answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Surely within the objective.
    Pass,
    /// Surely beyond it.
    Fail,
    /// The interval holds the limit; or a backlog builds up, however good the answers still are.
    Undecided,
}

/// What one rate showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probe {
    /// Arrivals per second that were really offered.
    pub rate: f64,
    /// Who was let down.
    pub let_down: LetDown,
    /// Those that failed, of `let_down.n`.
    pub failed: usize,
    /// Whether the share let down is within the objective, be it by chance.
    pub is_kept: bool,
    /// Whether the number in flight kept growing.
    pub backlog: bool,
    /// Whether it was ended early for that.
    pub saturated: bool,
    /// Whether the generator kept its promise throughout.
    pub trusted: bool,
    /// The largest disagreement of requests in flight with rate x time (Little's law), as a share.
    pub little: f64,
    /// Seconds of load behind it.
    pub seconds: f64,
    /// The answer.
    pub answer: Answer,
}

/// What an answer may err by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Of a look on the way, whose errors a fresh confirmation mends.
    Probe,
    /// Of a confirmation, which is the claim: all looks at it together keep to one error probability.
    Claim,
}

impl Level {
    /// Confidence of the interval at that look, counted from 1.
    fn confidence(self, look: usize) -> f64 {
        let look = look.max(1) as f64;
        match self {
            Self::Probe => 1.0 - ALPHA,
            Self::Claim => 1.0 - ALPHA / (look * (look + 1.0)),
        }
    }
}

/// Judges the phases of one rate, one for each look at it. `errors_max` is the share of requests that may fail.
pub(super) fn judge(
    phases: &[&PhaseResult],
    level: Level,
    rate: f64,
    promise: &Promise,
    errors_max: f64,
) -> Probe {
    let stretches: Vec<Stretch<'_>> = phases.iter().map(|p| (*p, settled(p))).collect();
    let let_down = promise.count(&stretches);
    let failed = stretches
        .iter()
        .flat_map(|(_, samples)| samples)
        .filter(|s| s.outcome.is_failure())
        .count();
    let backlog = stretches
        .iter()
        .map(|(_, samples)| samples)
        .max_by_key(|s| s.len())
        .is_some_and(|s| s.len() >= GROWTH_REQUESTS_MIN && grows(s));
    let saturated = phases.iter().any(|p| p.summary.validity.is_saturated());
    let seconds: f64 = phases.iter().map(|p| seconds(p)).sum();
    let offered: u64 = phases.iter().map(|p| p.summary.offered).sum();
    Probe {
        rate: if saturated {
            // It was ended before all that was planned was due.
            rate
        } else {
            really_offered(rate, offered as f64, seconds)
        },
        answer: if saturated {
            Answer::Fail
        } else {
            answer(
                &let_down,
                failed,
                backlog,
                promise.allowed(),
                errors_max,
                level.confidence(phases.len()),
            )
        },
        is_kept: let_down.share() <= promise.allowed(),
        let_down,
        failed,
        backlog,
        saturated,
        trusted: phases.iter().all(|p| p.summary.validity.is_valid()),
        little: phases
            .iter()
            .map(|p| p.summary.validity.little_error)
            .fold(0.0, f64::max),
        seconds,
    }
}

fn answer(
    let_down: &LetDown,
    failed: usize,
    backlog: bool,
    allowed: f64,
    errors_max: f64,
    confidence: f64,
) -> Answer {
    let (low, high) = let_down.interval_at(confidence);
    let failures = LetDown {
        over: failed,
        ..*let_down
    };
    let errs = failures.interval_at(confidence).0 > errors_max || failures.share() > FAILED_STOP;
    if let_down.n == 0 {
        Answer::Undecided
    } else if errs || low >= allowed {
        Answer::Fail
    } else if high <= allowed && !backlog {
        Answer::Pass
    } else {
        Answer::Undecided
    }
}

/// Arrivals per second: the planned rate, unless far fewer arrivals came than it promises: then someone capped it.
fn really_offered(planned: f64, offered: f64, seconds: f64) -> f64 {
    let expected = planned * seconds;
    if offered < expected - 5.0 * expected.sqrt() {
        offered / seconds
    } else {
        planned
    }
}

/// The arrivals of a phase after its start, in the order of the schedule.
pub(super) fn settled(phase: &PhaseResult) -> Vec<&Sample> {
    let arrivals: Vec<&Sample> = phase.samples.iter().filter(|s| s.is_arrival()).collect();
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
        return arrivals;
    };
    let from = first.intended.0 as f64 + LEAD * (last.intended - first.intended).0 as f64;
    arrivals
        .into_iter()
        .filter(|s| s.intended.0 as f64 >= from)
        .collect()
}

fn grows(samples: &[&Sample]) -> bool {
    in_flight_growth(samples).is_some_and(|(change, (low, _))| low > 0.0 && change > GROWTH_MAX)
}

/// Planned length of an open loop.
fn seconds(phase: &PhaseResult) -> f64 {
    match &phase.phase.shape {
        Shape::Open { duration_s, .. } => *duration_s,
        _ => 0.0,
    }
}
