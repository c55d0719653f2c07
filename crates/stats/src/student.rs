//! Student's t distribution and the tests that rest on it.

use crate::special::{beta_inc, beta_inc_inverse};
use crate::{mean, variance};

/// Distribution function of t with `df` degrees of freedom.
pub fn cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * beta_inc(df / 2.0, 0.5, df / (df + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Quantile of t with `df` degrees of freedom.
pub fn quantile(p: f64, df: f64) -> f64 {
    let tail = p.min(1.0 - p);
    if tail <= 0.0 {
        return if p < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // With y = t^2 / (df + t^2), the central mass 1 - 2 tail is I_y(1/2, df/2): no cancellation near the middle.
    let y = beta_inc_inverse(0.5, df / 2.0, 1.0 - 2.0 * tail);
    let t = (df * y / (1.0 - y)).sqrt();
    if p < 0.5 { -t } else { t }
}

/// Two-sided p-value of a t statistic.
pub fn two_sided(t: f64, df: f64) -> f64 {
    beta_inc(df / 2.0, 0.5, df / (df + t * t))
}

/// Outcome of a t test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The statistic; positive when the first sample (or the difference) is larger.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// Welch's test of two means with unequal variances (1947). `None` when a sample has fewer than two values or neither varies.
pub fn welch(first: &[f64], second: &[f64]) -> Option<Test> {
    if first.len() < 2 || second.len() < 2 {
        return None;
    }
    let (na, nb) = (first.len() as f64, second.len() as f64);
    let (va, vb) = (variance(first) / na, variance(second) / nb);
    if va + vb <= 0.0 {
        return None;
    }
    let t = (mean(first) - mean(second)) / (va + vb).sqrt();
    let df = (va + vb).powi(2) / (va * va / (na - 1.0) + vb * vb / (nb - 1.0));
    Some(Test {
        t,
        df,
        p: two_sided(t, df),
    })
}

/// Test that the mean of paired differences is zero. `None` when there are fewer than two or they do not vary.
pub fn paired(differences: &[f64]) -> Option<Test> {
    let n = differences.len() as f64;
    let error = (variance(differences) / n).sqrt();
    if differences.len() < 2 || error <= 0.0 {
        return None;
    }
    let t = mean(differences) / error;
    Some(Test {
        t,
        df: n - 1.0,
        p: two_sided(t, n - 1.0),
    })
}
