//! Quantiles by order statistics: ranks, distribution-free intervals and the sample sizes they need.
//!
//! Ranks count from 1 in ascending order (David and Nagaraja, Order Statistics, 7.1).

use crate::special::{normal_density, normal_quantile};
use crate::{autocorrelation, binomial};

/// How much the estimated dependence is stretched: Geyer's estimate is biased low on short records, and simulation of
/// M/M/1 response times at 50 to 90 % load needs about this much to cover as promised.
const DEPENDENCE_MARGIN: f64 = 1.3;

/// Independent values needed on the thin side of a quantile before it may decide anything.
const TAIL_WORTH_MIN: f64 = 10.0;

/// Rank of the nearest-rank estimate of quantile `p` among `n` values: ceil(p n), at least 1. 0 when n is 0.
pub fn nearest_rank(p: f64, n: u64) -> u64 {
    // 0.95 * 20 is a hair over 19 in binary; a relative slack keeps the rank exact.
    let exact = p * n as f64;
    let rank = (exact - exact * 1e-12).ceil() as u64;
    rank.clamp(1.min(n), n)
}

/// Ranks of a two-sided interval for quantile `p` from `n` values that are worth `n_eff` independent ones.
/// `None` when an end would be unbounded: too few values.
pub fn interval_ranks(p: f64, n: u64, n_eff: f64, confidence: f64) -> Option<(u64, u64)> {
    let m = n_eff.min(n as f64).floor() as u64;
    if m < needed(p, confidence) {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let low = binomial::quantile(tail, m, p);
    let high = binomial::quantile(1.0 - tail, m, p) + 1;
    if low < 1 || high > m {
        return None;
    }
    let stretch = n as f64 / m as f64;
    let low = ((low as f64 * stretch).floor() as u64).max(1);
    let high = ((high as f64 * stretch).ceil() as u64).min(n);
    Some((low, high))
}

/// Fewest independent values for which a two-sided interval for quantile `p` exists: p99 at 95 % needs 368.
pub fn needed(p: f64, confidence: f64) -> u64 {
    smallest_power_below((1.0 - confidence) / 2.0, p.max(1.0 - p))
}

/// Fewest independent values for which an upper bound of quantile `p` exists: p99 at 95 % needs 299.
pub fn needed_one_sided(p: f64, confidence: f64) -> u64 {
    smallest_power_below(1.0 - confidence, p)
}

/// Independent values with which the 95 % interval of quantile `p` is about as wide as `relative` of it on either side,
/// when the values are log-normal with log standard deviation `log_sd`: asymptotic variance of a sample quantile.
pub fn needed_for_width(p: f64, log_sd: f64, relative: f64) -> u64 {
    let z = normal_quantile(p);
    let error = log_sd * (p * (1.0 - p)).sqrt() / normal_density(z);
    (normal_quantile(0.975) * error / relative).powi(2).ceil() as u64
}

/// Whether quantile `p` of values worth `n_eff` independent ones may decide a gate: at least ten of them on its thin side.
/// With fewer the interval covers less often than it says.
pub fn may_gate(p: f64, n_eff: f64) -> bool {
    n_eff * p.min(1.0 - p) >= TAIL_WORTH_MIN * (1.0 - 1e-12)
}

/// Fewest independent values with which quantile `p` may decide a gate: p99 needs 1,000.
pub fn needed_to_gate(p: f64) -> u64 {
    let exact = TAIL_WORTH_MIN / p.min(1.0 - p);
    (exact - exact * 1e-12).ceil() as u64
}

/// Smallest n with base^n <= limit.
fn smallest_power_below(limit: f64, base: f64) -> u64 {
    let exact = limit.ln() / base.ln();
    (exact - exact * 1e-12).ceil().max(1.0) as u64
}

/// How many independent values a dependent series is worth for its quantile at `threshold`: n over the integrated
/// autocorrelation time of the indicator `value > threshold`, in the order in which the values arose, with a margin. The
/// margin stretches only what exceeds one, so that independent values keep their full worth. Take the estimate of the
/// quantile as threshold: a limit that no value is over shows no dependence.
pub fn effective_size(values: &[f64], threshold: f64) -> f64 {
    let over = values.iter().map(|&v| v > threshold);
    let excess = autocorrelation::integrated_time_of_events(over) - 1.0;
    values.len() as f64 / (1.0 + DEPENDENCE_MARGIN * excess)
}

/// A quantile with its interval, from values in the order in which they arose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Nearest-rank estimate.
    pub value: f64,
    /// The interval; `None` when there are too few independent values.
    pub interval: Option<(f64, f64)>,
    /// Independent values that the series is worth at this quantile.
    pub n_eff: f64,
}

/// Estimates quantile `p`; `None` of no values.
pub fn estimate(values: &[f64], p: f64, confidence: f64) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |rank: u64| sorted[rank as usize - 1];
    let n = values.len() as u64;
    let value = at(nearest_rank(p, n));
    let n_eff = effective_size(values, value);
    let interval = interval_ranks(p, n, n_eff, confidence).map(|(low, high)| (at(low), at(high)));
    Some(Estimate {
        value,
        interval,
        n_eff,
    })
}
