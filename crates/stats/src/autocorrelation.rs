//! How dependent a series is on its own past.

use crate::{fft, mean};

/// Lags that are summed directly before a transform pays.
const DIRECT_LAGS: usize = 64;

/// Integrated autocorrelation time, at least 1: how many values of the series carry as much as one independent value.
///
/// Geyer's initial positive sequence (1992): sums of adjacent pairs of autocovariances are added while they are positive.
/// 1 for fewer than four values and for a constant series.
pub fn integrated_time(series: &[f64]) -> f64 {
    let n = series.len();
    if n < 4 {
        return 1.0;
    }
    let mean = mean(series);
    let centred: Vec<f64> = series.iter().map(|v| v - mean).collect();
    let power: f64 = centred.iter().map(|v| v * v).sum();
    if power <= n as f64 * (mean * 1e-14).powi(2) {
        return 1.0;
    }
    let direct = |lag: usize| -> f64 { centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum() };
    let mut all: Option<Vec<f64>> = None;
    let mut pairs = 0.0;
    for lag in (0..n - 1).step_by(2) {
        let pair = if lag < DIRECT_LAGS {
            direct(lag) + direct(lag + 1)
        } else {
            let sums = all.get_or_insert_with(|| fft::autocovariance(&centred));
            sums[lag] + sums[lag + 1]
        };
        if pair <= 0.0 {
            break;
        }
        pairs += pair;
    }
    (2.0 * pairs / power - 1.0).max(1.0)
}

/// Autocorrelation at one lag: autocovariance over variance, both with divisor n. 0 for a constant series or a lag beyond it.
pub fn at_lag(series: &[f64], lag: usize) -> f64 {
    if lag >= series.len() {
        return 0.0;
    }
    let mean = mean(series);
    let power: f64 = series.iter().map(|v| (v - mean).powi(2)).sum();
    if power <= 0.0 {
        return 0.0;
    }
    let together: f64 = series
        .iter()
        .zip(&series[lag..])
        .map(|(a, b)| (a - mean) * (b - mean))
        .sum();
    together / power
}
