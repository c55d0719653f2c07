//! What shows of a target that is not back when the watch ends: how its last requests end, or where its times go. Arithmetic, no
//! words.

use prony_model::{OutcomeClass, Sample};
use prony_stats::{blocks, trend};

use super::recovery::failures;

/// The last part of the watch tells how requests end, as a divisor of it.
const LAST_PART: usize = 3;
/// Stretches of the watch whose medians show a trend, and the good answers that each has at least.
const BLOCKS: usize = 20;
const ANSWERS_MIN: usize = 5;
/// Chance of seeing a trend where there is none.
const LEVEL: f64 = 0.05;

/// What shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// More fail than before the surge, most of them by a timeout.
    Waiting,
    /// More fail than before, most of them refused.
    Refusing,
    /// More fail than before, in other ways.
    Failing,
    /// Good answers take longer and longer: the queue grows.
    Slower,
    /// They take less and less long: the queue shrinks.
    Faster,
}

impl Sign {
    /// Whether it tells something of what keeps the target from coming back, and is no sign that it does.
    pub(super) fn is_cause(self) -> bool {
        self != Self::Faster
    }
}

/// What the arrivals after a surge show, in order of the schedule; `None` when they are late without a trend. `failed_before` is
/// the largest share that may have failed before the surge.
pub(super) fn sign(after: &[&Sample], failed_before: f64) -> Option<Sign> {
    let last = &after[after.len() - after.len() / LAST_PART..];
    if failures(last).0 > failed_before {
        let count = |class: OutcomeClass| last.iter().filter(|s| s.outcome.class() == class).count();
        let failed = last.iter().filter(|s| s.outcome.is_failure()).count();
        return Some(if 2 * count(OutcomeClass::Timeout) >= failed {
            Sign::Waiting
        } else if 2 * count(OutcomeClass::Refusal) >= failed {
            Sign::Refusing
        } else {
            Sign::Failing
        });
    }
    let good = after.iter().filter(|s| s.outcome.class() == OutcomeClass::Ok);
    let response: Vec<f64> = good.map(|s| s.response().as_millis_f64()).collect();
    if response.len() < BLOCKS * ANSWERS_MIN {
        return None;
    }
    let trend = trend::hamed_rao(&blocks::medians(&response, BLOCKS))?;
    let sign = if trend.z > 0.0 { Sign::Slower } else { Sign::Faster };
    (trend.p < LEVEL).then_some(sign)
}

#[cfg(test)]
mod tests {
    use prony_model::{Outcome, Sample};

    use super::{Sign, sign};

    #[test]
    fn whatever_fails_on_is_a_cause() {
        for (outcome, expected) in [
            (Outcome::HeadersTimeout, Sign::Waiting),
            (Outcome::Status503, Sign::Refusing),
            (Outcome::Reset, Sign::Failing),
        ] {
            let sample = Sample {
                outcome,
                ..Sample::default()
            };
            let after = vec![&sample; 30];
            let seen = sign(&after, 0.0);
            assert_eq!(seen, Some(expected));
            assert!(seen.is_some_and(Sign::is_cause), "{outcome:?}");
        }
        assert!(!Sign::Faster.is_cause(), "it is on its way back");
    }
}
