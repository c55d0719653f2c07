//! How long finding out may take: a target that answers slowly, or never ends an answer, must not hold a run up before it begins.
//! It must not know what is asked.

use std::time::Duration;

use prony_model::{Captured, Limits, Outcome, OutcomeClass, Request};

/// Longest wait for one answer, but for the first.
const EACH_MS_MAX: u64 = 10_000;
/// Time after which nothing more is asked.
const TOTAL: Duration = Duration::from_secs(60);
/// Answers in a row that did not come in time, after which nothing more is asked.
const SILENT_MAX: u32 = 4;

/// What is left of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    asked: u32,
    silent: u32,
    left_out: u32,
}

impl Patience {
    /// Whether one more may be asked, so long after the first.
    pub(super) fn lasts(&mut self, elapsed: Duration) -> bool {
        let lasts = self.asked == 0 || (elapsed < TOTAL && self.silent < SILENT_MAX);
        if lasts {
            self.asked += 1;
        } else {
            self.left_out += 1;
        }
        lasts
    }

    /// The limits of the next one. The first tells whether there is a target at all, and gets the time that the person gave.
    pub(super) fn limits(&self, limits: &Limits) -> Limits {
        let mut limits = limits.clone();
        if self.asked > 1 {
            limits.timeout_ms = limits.timeout_ms.min(EACH_MS_MAX);
        }
        limits
    }

    /// Takes note of an answer.
    pub(super) fn saw(&mut self, outcome: Outcome) {
        let in_time = outcome.class() != OutcomeClass::Timeout;
        self.silent = if in_time { 0 } else { self.silent + 1 };
    }

    /// What stands for the answer to a question that was not asked.
    pub(super) fn no_answer(request: &Request) -> Captured {
        Captured::unsent(format!("{} {} was not asked", request.method, request.path))
    }

    /// What to tell of it, where anything was left out.
    pub(super) fn says(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "{} usual places were not asked: the target answers too slowly, or never ends its answers",
                self.left_out
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prony_model::{Limits, Outcome};

    use super::Patience;

    #[test]
    fn silence_and_time_end_it() {
        let mut patience = Patience::default();
        assert!(patience.lasts(Duration::ZERO));
        for _ in 0..3 {
            patience.saw(Outcome::BodyTimeout);
            assert!(patience.lasts(Duration::from_secs(5)));
        }
        patience.saw(Outcome::Status4xx);
        for _ in 0..4 {
            assert!(patience.lasts(Duration::from_secs(5)));
            patience.saw(Outcome::HeadersTimeout);
        }
        assert_eq!(patience.says(), None);
        assert!(!patience.lasts(Duration::from_secs(5)));
        assert!(patience.says().unwrap().starts_with("1 usual"));
        let mut slow = Patience::default();
        assert!(slow.lasts(Duration::ZERO) && !slow.lasts(Duration::from_secs(61)));
    }

    #[test]
    fn the_first_gets_all_the_time() {
        let given = Limits {
            timeout_ms: 30_000,
            ..Limits::default()
        };
        let mut patience = Patience::default();
        patience.lasts(Duration::ZERO);
        assert_eq!(patience.limits(&given).timeout_ms, 30_000);
        patience.lasts(Duration::ZERO);
        assert_eq!(patience.limits(&given).timeout_ms, 10_000);
    }
}
