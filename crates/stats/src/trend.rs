//! Mann-Kendall: does a series tend to rise or fall?

use crate::autocorrelation;
use crate::special::{normal_cdf, normal_quantile};
use crate::theil_sen::{self, tie_sizes};

/// Outcome of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Rising pairs less falling pairs.
    pub score: f64,
    /// Standard normal statistic with continuity correction; positive when rising.
    pub z: f64,
    /// Two-sided p-value.
    pub p: f64,
    /// How much the variance of the score was raised for dependence; 1 when it was not.
    pub inflation: f64,
}

/// Tests for a monotone trend (Mann 1945, Kendall 1975), corrected for ties; every pair is visited, so feed at most a few
/// hundred block means. `None` with fewer than four values.
pub fn mann_kendall(series: &[f64]) -> Option<Trend> {
    if series.len() < 4 {
        return None;
    }
    Some(test(series, 1.0))
}

/// The same for dependent values at equal distances: the variance is raised by the significant autocorrelations of the
/// ranks of the series less its Theil-Sen line (Hamed and Rao, Journal of Hydrology 204, 1998, 182-196). Correlations that
/// would lower the variance do not: the test never becomes surer by them. `None` with fewer than four values or more than
/// [`theil_sen::POINTS_MAX`].
pub fn hamed_rao(series: &[f64]) -> Option<Trend> {
    if series.len() < 4 {
        return None;
    }
    let index: Vec<f64> = (0..series.len()).map(|i| i as f64).collect();
    let slope = theil_sen::fit(&index, series, 0.95)?.slope;
    let level: Vec<f64> = series.iter().zip(&index).map(|(y, x)| y - slope * x).collect();
    Some(test(series, inflation(&ranks(&level)).max(1.0)))
}

fn test(series: &[f64], inflation: f64) -> Trend {
    let mut score = 0_i64;
    for (i, a) in series.iter().enumerate() {
        for b in &series[i + 1..] {
            score += i64::from(b > a) - i64::from(b < a);
        }
    }
    let variance = score_variance(series.len(), &tie_sizes(series)) * inflation;
    let score = score as f64;
    let z = if variance > 0.0 && score.abs() > 0.0 {
        (score - score.signum()) / variance.sqrt()
    } else {
        0.0
    };
    Trend {
        score,
        z,
        p: 2.0 * normal_cdf(-z.abs()),
        inflation,
    }
}

/// 1 + 2 / (n (n-1) (n-2)) sum over significant lags k of (n-k) (n-k-1) (n-k-2) rho_k.
fn inflation(ranks: &[f64]) -> f64 {
    let n = ranks.len();
    let limit = normal_quantile(0.975) / (n as f64).sqrt();
    let triple = |m: usize| m as f64 * (m as f64 - 1.0) * (m as f64 - 2.0);
    let sum: f64 = (1..n)
        .map(|lag| (lag, autocorrelation::at_lag(ranks, lag)))
        .filter(|(_, rho)| rho.abs() > limit)
        .map(|(lag, rho)| triple(n - lag) * rho)
        .sum();
    1.0 + 2.0 * sum / triple(n)
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        for &i in group {
            ranks[i] = before as f64 + f64::midpoint(1.0, group.len() as f64);
        }
        before += group.len();
    }
    ranks
}

/// Variance of Kendall's score under "no trend", with groups of equal values.
pub(crate) fn score_variance(n: usize, ties: &[usize]) -> f64 {
    let term = |k: usize| {
        let k = k as f64;
        k * (k - 1.0) * (2.0 * k + 5.0)
    };
    (term(n) - ties.iter().map(|&k| term(k)).sum::<f64>()) / 18.0
}
