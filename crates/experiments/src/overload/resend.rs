//! Whether `Retry-After` tells the truth: refused requests are sent again when it says, at a load that the target can take.
//! The load and the arithmetic, no words.

use prony_model::{Outcome, PhaseResult, Retry, RetryOn, Shape, Stage};
use prony_stats::binomial;

use super::surge::BASE;

/// Refused requests wanted.
const WANTED: f64 = 200.0;
/// Answers that are kept whole for their headers.
pub(super) const CAPTURES: u32 = 400;

/// First three times the capacity until enough are refused, then 0.8 times it while they come back.
pub(super) fn stages(capacity: f64, rate_max: f64, seconds: f64) -> Vec<Stage> {
    let surge_rate = (3.0 * capacity).min(rate_max);
    let surge_s = (2.0 * WANTED / surge_rate).min(0.3 * seconds);
    let stage = |rate: f64, duration_s: f64| Stage {
        rate,
        duration_s,
        jump: true,
    };
    vec![
        stage(surge_rate, surge_s),
        stage(BASE * capacity, seconds - surge_s),
    ]
}

/// Once more, when the answer says so.
pub(super) fn policy(seconds: f64) -> Retry {
    Retry {
        attempts: 2,
        on: vec![RetryOn::Status(429), RetryOn::Status(503)],
        base_ms: 1,
        cap_ms: 1,
        retry_after_max_s: seconds.ceil() as u32,
        unsafe_methods: true,
    }
}

/// What the refusals said, and what became of those who did as they said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resent {
    /// Refused answers whose headers were kept.
    pub refused: usize,
    /// Those with a `Retry-After`.
    pub told: usize,
    /// Different values among them.
    pub values: Vec<String>,
    /// Requests sent again once the load had come down, and those of them that were answered well.
    pub again: usize,
    pub served: usize,
}

impl Resent {
    pub(super) fn of(phase: &PhaseResult) -> Option<Self> {
        let Shape::Stages { stages, .. } = &phase.phase.shape else {
            return None;
        };
        let refusals: Vec<_> = phase
            .captures
            .iter()
            .filter(|c| matches!(c.status, 429 | 503))
            .collect();
        let mut values: Vec<String> = refusals
            .iter()
            .filter_map(|c| c.header("retry-after"))
            .map(|v| v.trim().to_owned())
            .collect();
        let told = values.len();
        values.sort_unstable();
        values.dedup();
        let start = phase.samples.iter().map(|s| s.intended.0).min()? as f64;
        let calm = start + 1e9 * stages.first()?.duration_s;
        let again: Vec<_> = phase
            .samples
            .iter()
            .filter(|s| s.is_request() && s.attempt == 1 && !s.outcome.is_own() && s.sent.0 as f64 >= calm)
            .collect();
        Some(Self {
            refused: refusals.len(),
            told,
            values,
            again: again.len(),
            served: again.iter().filter(|s| s.outcome == Outcome::Ok).count(),
        })
    }

    /// Share of refusals that say when to come back, with its interval.
    pub(super) fn told_share(&self) -> (f64, (f64, f64)) {
        share(self.told, self.refused)
    }

    /// Share of those sent again that were served, with its interval.
    pub(super) fn served_share(&self) -> (f64, (f64, f64)) {
        share(self.served, self.again)
    }
}

fn share(k: usize, n: usize) -> (f64, (f64, f64)) {
    (
        k as f64 / n.max(1) as f64,
        binomial::clopper_pearson(k as u64, n as u64, 0.95),
    )
}
