//! Mann-Kendall: does a series tend to rise or fall?

use crate::special::normal_cdf;
use crate::theil_sen::tie_sizes;

/// Outcome of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Rising pairs less falling pairs.
    pub score: f64,
    /// Standard normal statistic with continuity correction; positive when rising.
    pub z: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// Tests for a monotone trend (Mann 1945, Kendall 1975), corrected for ties; every pair is visited, so feed at most a few
/// hundred block means. `None` with fewer than four values.
pub fn mann_kendall(series: &[f64]) -> Option<Trend> {
    if series.len() < 4 {
        return None;
    }
    let mut score = 0_i64;
    for (i, a) in series.iter().enumerate() {
        for b in &series[i + 1..] {
            score += i64::from(b > a) - i64::from(b < a);
        }
    }
    let variance = score_variance(series.len(), &tie_sizes(series));
    let score = score as f64;
    if variance <= 0.0 {
        return Some(Trend {
            score,
            z: 0.0,
            p: 1.0,
        });
    }
    let z = if score.abs() > 0.0 {
        (score - score.signum()) / variance.sqrt()
    } else {
        0.0
    };
    Some(Trend {
        score,
        z,
        p: 2.0 * normal_cdf(-z.abs()),
    })
}

/// Variance of Kendall's score under "no trend", with groups of equal values.
pub(crate) fn score_variance(n: usize, ties: &[usize]) -> f64 {
    let term = |k: usize| {
        let k = k as f64;
        k * (k - 1.0) * (2.0 * k + 5.0)
    };
    (term(n) - ties.iter().map(|&k| term(k)).sum::<f64>()) / 18.0
}
