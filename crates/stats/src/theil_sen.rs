//! The Theil-Sen slope: the median of all pairwise slopes, unmoved by outliers.

use crate::median;
use crate::special::normal_quantile;

/// Most points: every pair is visited.
pub const POINTS_MAX: usize = 240;

/// A robust line with the interval of its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Median of the pairwise slopes.
    pub slope: f64,
    /// Median of y less slope times median of x.
    pub intercept: f64,
    /// Lower end of the slope's interval.
    pub low: f64,
    /// Upper end of the slope's interval.
    pub high: f64,
}

/// Fits by Theil (1950) with Sen's interval (1968), corrected for ties in y. `None` with fewer than three points, with more
/// than [`POINTS_MAX`] (average them into blocks first), or when x does not vary.
pub fn fit(x: &[f64], y: &[f64], confidence: f64) -> Option<Line> {
    let n = x.len().min(y.len());
    if !(3..=POINTS_MAX).contains(&n) {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    for i in 0..n {
        for j in 0..n {
            if x[j] > x[i] {
                slopes.push((y[j] - y[i]) / (x[j] - x[i]));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    let slope = median(&mut slopes);
    let intercept = median(&mut y[..n].to_vec()) - slope * median(&mut x[..n].to_vec());
    let variance = crate::trend::score_variance(n, &[tie_sizes(&x[..n]), tie_sizes(&y[..n])].concat());
    let spread = normal_quantile(f64::midpoint(1.0, confidence)) * variance.sqrt();
    let count = slopes.len() as f64;
    let last = slopes.len() - 1;
    let high = (f64::midpoint(count, spread).round_ties_even() as usize).min(last);
    let low = ((count - spread) / 2.0).round_ties_even() - 1.0;
    Some(Line {
        slope,
        intercept,
        low: slopes[low.max(0.0) as usize],
        high: slopes[high],
    })
}

/// Sizes of the groups of equal values, groups of one left out.
pub(crate) fn tie_sizes(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(<[f64]>::len)
        .filter(|&len| len > 1)
        .collect()
}
