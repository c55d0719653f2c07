//! How dependent a series is on its own past.

use crate::{fft, mean};

/// Lags that are summed directly before a transform pays.
const DIRECT_LAGS: usize = 64;

/// The same of events, of which 64 are counted at a time.
const DIRECT_LAGS_OF_EVENTS: usize = 16_384;

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
    initial_positive(n, power, DIRECT_LAGS, direct, || fft::autocovariance(&centred))
}

/// The same of a series of events that happened (1) or not (0): covariances are counted in words of 64, without a copy of the
/// series and without rounding.
pub(crate) fn integrated_time_of_events(events: impl ExactSizeIterator<Item = bool>) -> f64 {
    let n = events.len();
    let mut words = vec![0_u64; n.div_ceil(64)];
    for (i, happened) in events.enumerate() {
        words[i / 64] |= u64::from(happened) << (i % 64);
    }
    let happened = |i: usize| (words[i / 64] >> (i % 64) & 1) as f64;
    let count: u32 = words.iter().map(|word| word.count_ones()).sum();
    let (n_real, count) = (n as f64, f64::from(count));
    let mean = count / n_real;
    let power = count * (1.0 - mean);
    if n < 4 || power <= 0.0 {
        return 1.0;
    }
    // Lags are asked for in their order: how many events lie in the first and in the last `lag` values.
    let (mut first, mut last, mut counted) = (0.0, 0.0, 0);
    let covariance = |lag: usize| -> f64 {
        while counted < lag {
            first += happened(counted);
            last += happened(n - 1 - counted);
            counted += 1;
        }
        let (skip, shift) = (lag / 64, lag % 64);
        let ahead = |word: usize| {
            let low = words.get(word + skip).map_or(0, |w| w >> shift);
            let high = words
                .get(word + skip + 1)
                .map_or(0, |w| w.unbounded_shl(64 - shift as u32));
            low | high
        };
        let both: u32 = words
            .iter()
            .enumerate()
            .map(|(i, w)| (w & ahead(i)).count_ones())
            .sum();
        f64::from(both) - mean * (2.0 * count - first - last) + (n - lag) as f64 * mean * mean
    };
    initial_positive(n, power, DIRECT_LAGS_OF_EVENTS, covariance, || {
        let centred: Vec<f64> = (0..n).map(|i| happened(i) - mean).collect();
        fft::autocovariance(&centred)
    })
}

/// The integrated time from autocovariance sums: `direct` one at a time, in their order, up to a lag, and then of `all` lags.
fn initial_positive(
    n: usize,
    power: f64,
    direct_lags: usize,
    mut direct: impl FnMut(usize) -> f64,
    all: impl Fn() -> Vec<f64>,
) -> f64 {
    let mut sums: Option<Vec<f64>> = None;
    let mut pairs = 0.0;
    for lag in (0..n - 1).step_by(2) {
        let pair = if lag < direct_lags {
            direct(lag) + direct(lag + 1)
        } else {
            let sums = sums.get_or_insert_with(&all);
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

#[cfg(test)]
mod tests {
    use super::{integrated_time, integrated_time_of_events};

    /// Events that come in runs: each is like the one before with probability 1 - 1/`run`.
    fn events(n: usize, run: u64) -> Vec<bool> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut now = false;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (state >> 33).is_multiple_of(run) {
                now = state >> 62 & 1 == 1;
            }
            now
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn events_are_worth_what_the_same_series_of_numbers_is() {
        for (n, run) in [
            (5, 1),
            (63, 1),
            (64, 2),
            (65, 5),
            (1000, 30),
            (20_000, 400),
            (70_000, 30_000),
        ] {
            let events = events(n, run);
            let numbers: Vec<f64> = events.iter().map(|e| f64::from(u8::from(*e))).collect();
            let (ours, known) = (
                integrated_time_of_events(events.into_iter()),
                integrated_time(&numbers),
            );
            assert!((ours / known - 1.0).abs() < 1e-6, "{n}, {run}: {ours} {known}");
        }
    }

    #[test]
    fn what_always_or_never_happens_shows_no_dependence() {
        for events in [vec![], vec![true; 3], vec![true; 500], vec![false; 500]] {
            let time = integrated_time_of_events(events.into_iter());
            assert!((time - 1.0).abs() < f64::EPSILON, "{time}");
        }
    }
}
