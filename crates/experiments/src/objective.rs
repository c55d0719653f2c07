//! What a user is promised: that a share of the requests is answered well within a limit. It counts who was let down, and
//! how surely. It knows no experiment and no target.

use prony_model::{Outcome, Sample};
use prony_stats::{binomial, order};

use crate::ParamError;
use crate::wording::ms;

/// Quantile of the default promise.
const QUANTILE: f64 = 0.95;
/// Limit of the default promise, in times of a request alone.
const TIMES_ALONE: f64 = 6.0;
/// Least limit of the default promise, in ms: below it the network and the two machines say more than the target.
const LIMIT_MS_MIN: f64 = 10.0;

/// A promise: the quantile of the response is at most a limit. A request that failed has not been answered within any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Objective {
    /// Between 0 and 1.
    pub quantile: f64,
    /// In ms, from the intended start.
    pub limit_ms: f64,
    /// Whether the limit follows from the time of a request alone, because the user gave none.
    pub is_derived: bool,
}

impl Objective {
    /// What the user gave; what is missing follows from the median time of a request alone. `None` when that is not known.
    pub(crate) fn new(quantile: Option<f64>, limit_ms: Option<f64>, solo_ms: Option<f64>) -> Option<Self> {
        let derived = || solo_ms.map(|solo| (TIMES_ALONE * solo).max(LIMIT_MS_MIN));
        Some(Self {
            quantile: quantile.unwrap_or(QUANTILE),
            limit_ms: limit_ms.or_else(derived)?,
            is_derived: limit_ms.is_none(),
        })
    }

    /// Whether numbers that a user gave make sense.
    pub(crate) fn check(quantile: Option<f64>, limit_ms: Option<f64>) -> Result<(), ParamError> {
        let wrong = |message: &str| {
            Err(ParamError {
                message: message.to_owned(),
            })
        };
        match (quantile, limit_ms) {
            (Some(q), _) if !(0.5..1.0).contains(&q) => {
                wrong("`slo_quantile` is at least 0.5 and below 1: 0.95 for p95")
            }
            (_, Some(limit)) if !(limit > 0.0 && limit.is_finite()) => wrong("`slo_ms` must be above 0"),
            _ => Ok(()),
        }
    }

    /// Share of requests that may be let down.
    pub(crate) fn allowed(&self) -> f64 {
        1.0 - self.quantile
    }

    /// `p95 <= 2 s`.
    pub(crate) fn label(&self) -> String {
        let percent = (self.quantile * 1e5).round() / 1e3;
        format!("p{percent} <= {}", ms(self.limit_ms))
    }

    /// Where the limit comes from.
    pub(crate) fn origin(&self) -> String {
        if self.is_derived {
            format!(
                "No objective was given, so it is {}: {TIMES_ALONE} times the median of a request alone, at least {}.",
                self.label(),
                ms(LIMIT_MS_MIN)
            )
        } else {
            format!("The objective is {}, from the intended start.", self.label())
        }
    }

    /// Whether a request was answered well and in time.
    pub(crate) fn is_kept(&self, sample: &Sample) -> bool {
        response_ms(sample) <= self.limit_ms
    }

    /// Who was let down in stretches of one load, each in the order of the schedule. Own failures do not count. Requests that
    /// are let down one after another count as fewer: by the dependence of being let down.
    pub(crate) fn count(&self, stretches: &[Vec<&Sample>]) -> LetDown {
        let stretches: Vec<Vec<f64>> = stretches
            .iter()
            .map(|s| {
                s.iter()
                    .filter(|s| !s.outcome.is_own())
                    .map(|s| response_ms(s))
                    .collect()
            })
            .collect();
        LetDown::of(&stretches, self.limit_ms)
    }
}

/// From the intended start to a good answer, in ms; infinite when there was none.
fn response_ms(sample: &Sample) -> f64 {
    if sample.outcome == Outcome::Ok {
        sample.response().as_millis_f64()
    } else {
        f64::INFINITY
    }
}

/// How many requests were let down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LetDown {
    /// Requests.
    pub n: usize,
    /// Those that failed or came too late.
    pub over: usize,
    /// Independent requests that all of them are worth.
    pub n_eff: f64,
}

impl LetDown {
    /// Those whose value is over a limit, in stretches of one load, each in the order of the schedule.
    pub(crate) fn of(stretches: &[Vec<f64>], limit: f64) -> Self {
        Self {
            n: stretches.iter().map(Vec::len).sum(),
            over: stretches.iter().flatten().filter(|value| **value > limit).count(),
            n_eff: stretches.iter().map(|s| order::effective_size(s, limit)).sum(),
        }
    }

    /// The share of them.
    pub(crate) fn share(&self) -> f64 {
        self.over as f64 / self.n.max(1) as f64
    }

    /// Its exact 95 % interval on what the requests are worth.
    pub(crate) fn interval(&self) -> (f64, f64) {
        self.interval_at(0.95)
    }

    /// The same with another confidence.
    pub(crate) fn interval_at(&self, confidence: f64) -> (f64, f64) {
        binomial::clopper_pearson_worth(self.share() * self.n_eff, self.n_eff, confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::Objective;
    use prony_model::{Nanos, Outcome, Sample};

    fn sample(response_ms: u64, outcome: Outcome) -> Sample {
        Sample {
            done: Nanos(response_ms * 1_000_000),
            outcome,
            ..Sample::default()
        }
    }

    #[test]
    fn failures_and_late_answers_let_down_and_own_failures_do_not_count() {
        let objective = Objective::new(None, Some(100.0), None).unwrap();
        let all = [
            sample(50, Outcome::Ok),
            sample(150, Outcome::Ok),
            sample(1, Outcome::Status503),
            sample(1, Outcome::Shed),
        ];
        let counted = objective.count(&[all.iter().collect()]);
        assert_eq!((counted.n, counted.over), (3, 2));
    }

    #[test]
    fn a_limit_follows_from_the_time_alone() {
        let derived = Objective::new(None, None, Some(20.0)).unwrap();
        assert!(derived.is_derived && (derived.limit_ms - 120.0).abs() < 1e-9);
        assert_eq!(derived.label(), "p95 <= 120 ms");
        assert_eq!(Objective::new(None, None, None), None);
        assert!(Objective::check(Some(1.0), None).is_err());
        assert!(Objective::check(None, Some(0.0)).is_err());
        assert!(Objective::check(Some(0.999), Some(1.0)).is_ok());
    }

    #[test]
    fn dependent_requests_are_worth_less() {
        let objective = Objective::new(None, Some(100.0), None).unwrap();
        // Twenty late ones in a row among four hundred, or every twentieth.
        let clustered: Vec<Sample> = (0..400)
            .map(|i| sample(if (200..220).contains(&i) { 200 } else { 50 }, Outcome::Ok))
            .collect();
        let spread: Vec<Sample> = (0..400)
            .map(|i| sample(if i % 20 == 0 { 200 } else { 50 }, Outcome::Ok))
            .collect();
        let clustered = objective.count(&[clustered.iter().collect()]);
        let spread = objective.count(&[spread.iter().collect()]);
        assert_eq!(clustered.over, spread.over);
        assert!(
            clustered.n_eff < 100.0 && spread.n_eff > 300.0,
            "{clustered:?} {spread:?}"
        );
        assert!(clustered.interval().1 > spread.interval().1);
    }
}
