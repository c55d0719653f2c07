//! Fisher's exact test of two shares.

use crate::special::ln_gamma;

/// Two-sided p-value of "both shares are equal" for `a` of `n_a` against `b` of `n_b`: the total probability of all tables
/// with the same margins that are no likelier than this one.
pub fn two_sided(a: u64, n_a: u64, b: u64, n_b: u64) -> f64 {
    let hits = a + b;
    let low = hits.saturating_sub(n_b);
    let high = hits.min(n_a);
    let log_choose =
        |n: u64, k: u64| ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0);
    let whole = log_choose(n_a + n_b, hits);
    let log_mass = |k: u64| log_choose(n_a, k) + log_choose(n_b, hits - k) - whole;
    // Relative slack, so that a table as likely as the observed one counts despite rounding.
    let limit = log_mass(a) + 1e-7;
    (low..=high)
        .map(log_mass)
        .filter(|&mass| mass <= limit)
        .map(f64::exp)
        .sum::<f64>()
        .min(1.0)
}
