//! Is quantile `p` at most a limit? Counted from how many values were over it, looked at more than once without being
//! fooled by looking.
//!
//! "Run until it passes" passes a system exactly at its limit far more often than the stated error. So there are looks at
//! sizes n_0 2^k only, k = 1, 2, ..., and look k may err with probability alpha / (k (k + 1)) at most; these add up to alpha.

use crate::{binomial, order};

/// What the values so far allow one to say about the quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is at most the limit.
    Pass,
    /// It is over the limit.
    Fail,
    /// Neither can be said: look again at the next size.
    Undecided,
}

/// Whether `over` values over the limit among `n` independent ones show that quantile `p` is at most the limit, with
/// error probability `alpha` at most: an exact one-sided binomial test, the rule of MLPerf's LoadGen with d = 0.
pub fn passes(over: u64, n: u64, p: f64, alpha: f64) -> bool {
    n > 0 && binomial::cdf(over, n, 1.0 - p) <= alpha
}

/// Whether they show that it is over the limit, with error probability `alpha` at most.
pub fn fails(over: u64, n: u64, p: f64, alpha: f64) -> bool {
    binomial::survival(over, n, 1.0 - p) <= alpha
}

/// Fewest independent values with which `over` values over the limit still pass: p99 at 99 % needs 459 with none over, 662
/// with one.
pub fn needed(p: f64, over: u64, confidence: f64) -> u64 {
    let alpha = (1.0 - confidence) * (1.0 + 1e-12);
    let mut high = over + 1;
    while !passes(over, high, p, alpha) {
        high *= 2;
    }
    let mut low = over;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if passes(over, middle, p, alpha) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// When to look, and how much each look may err.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks {
    /// n_0; the first look is at twice as many.
    pub base: u64,
    /// Error probability of all looks together, for a pass and for a fail each.
    pub alpha: f64,
}

impl Looks {
    /// Looks for quantile `p`: n_0 is what one look would need with no value over the limit.
    pub fn of_quantile(p: f64, alpha: f64) -> Self {
        Self {
            base: order::needed_one_sided(p, 1.0 - alpha),
            alpha,
        }
    }

    /// Values at look `k`, counted from 1.
    pub fn size(&self, k: u32) -> u64 {
        self.base.saturating_mul(1_u64.checked_shl(k).unwrap_or(u64::MAX))
    }

    /// Error probability that look `k` may spend, counted from 1.
    pub fn alpha_at(&self, k: u32) -> f64 {
        self.alpha / (f64::from(k) * (f64::from(k) + 1.0))
    }

    /// Look `k`: `over` of `n` values were over the limit, and dependence makes the `n` worth `n_eff` independent ones
    /// (that of [`order::estimate`], not of the indicator of the limit: values none of which is over it show no dependence).
    /// The count is scaled down with them, rounded against the answer that it would give. Undecided where the quantile
    /// may not gate: [`order::may_gate`].
    pub fn decide(&self, k: u32, over: u64, n: u64, n_eff: f64, p: f64) -> Decision {
        let alpha = self.alpha_at(k);
        let worth = n_eff.min(n as f64).floor();
        let scaled = if n == 0 {
            0.0
        } else {
            over as f64 * worth / n as f64
        };
        if !order::may_gate(p, worth) {
            Decision::Undecided
        } else if passes(scaled.ceil() as u64, worth as u64, p, alpha) {
            Decision::Pass
        } else if fails(scaled.floor() as u64, worth as u64, p, alpha) {
            Decision::Fail
        } else {
            Decision::Undecided
        }
    }
}
