//! Bootstrap intervals, seeded: of independent values (Efron 1979), of dependent series by blocks, and BCa (Efron 1987).

use crate::generator::Generator;
use crate::special::{normal_cdf, normal_quantile};
use crate::{autocorrelation, mean};

/// Percentile interval of a statistic of one sample of independent values. `None` of fewer than two values.
pub fn interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    interval_of_two(values, &[], |a, _| statistic(a), resamples, confidence, seed)
}

/// Percentile interval of a statistic of two samples, each resampled by itself; the second may be empty.
/// `None` when the first has fewer than two values.
pub fn interval_of_two(
    first: &[f64],
    second: &[f64],
    statistic: impl Fn(&[f64], &[f64]) -> f64,
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    if first.len() < 2 || resamples == 0 {
        return None;
    }
    let mut generator = Generator::new(seed);
    let (mut a, mut b) = (first.to_vec(), second.to_vec());
    let outcomes: Vec<f64> = (0..resamples)
        .map(|_| {
            a.fill_with(|| first[generator.below(first.len())]);
            b.fill_with(|| second[generator.below(second.len())]);
            statistic(&a, &b)
        })
        .collect();
    let tail = (1.0 - confidence) / 2.0;
    Some(between(outcomes, tail, 1.0 - tail))
}

/// Interval of the mean.
pub fn of_mean(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Option<(f64, f64)> {
    interval(values, mean, resamples, confidence, seed)
}

/// Interval of the ratio of the mean of `numerator` to the mean of `denominator`. `None` when either has fewer than
/// two values.
pub fn of_ratio(
    numerator: &[f64],
    denominator: &[f64],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    if denominator.len() < 2 {
        return None;
    }
    interval_of_two(
        numerator,
        denominator,
        |a, b| mean(a) / mean(b),
        resamples,
        confidence,
        seed,
    )
}

/// Percentile interval of a statistic of a dependent series in the order in which its values arose: resamples are made of
/// blocks of `length` adjacent values, the series closed to a circle (Politis and Romano 1992). See [`block_length`].
/// `None` of fewer than two values, or when two blocks do not fit.
pub fn of_blocks(
    series: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    length: usize,
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    let n = series.len();
    if n < 2 || length == 0 || 2 * length > n || resamples == 0 {
        return None;
    }
    let mut generator = Generator::new(seed);
    let mut resample = vec![0.0; n];
    let outcomes: Vec<f64> = (0..resamples)
        .map(|_| {
            for block in resample.chunks_mut(length) {
                let start = generator.below(n);
                for (i, value) in block.iter_mut().enumerate() {
                    *value = series[(start + i) % n];
                }
            }
            statistic(&resample)
        })
        .collect();
    let tail = (1.0 - confidence) / 2.0;
    Some(between(outcomes, tail, 1.0 - tail))
}

/// Block length for [`of_blocks`] for the mean of a series: the optimum of Politis and White (2004, with the correction of
/// 2009) for the first-order autoregression that has the same integrated autocorrelation time; at least 1, at most half the
/// series.
pub fn block_length(series: &[f64]) -> usize {
    let time = autocorrelation::integrated_time(series);
    // 2 rho / (1 - rho^2) with time = (1 + rho) / (1 - rho).
    let memory = (time * time - 1.0) / (2.0 * time);
    let length = (1.5 * memory * memory * series.len() as f64).cbrt();
    (length.ceil() as usize).clamp(1, (series.len() / 2).max(1))
}

/// Interval of a statistic of one sample, corrected for the bias and the skew of its distribution (BCa, Efron 1987): better
/// than the percentile interval for a ratio, a variance or a quantile of a skewed sample. The statistic is also computed once
/// without each value. `None` of fewer than three values or when every resample lies on one side of the estimate.
pub fn bca(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    if values.len() < 3 || resamples == 0 {
        return None;
    }
    let mut generator = Generator::new(seed);
    let mut resample = values.to_vec();
    let outcomes: Vec<f64> = (0..resamples)
        .map(|_| {
            resample.fill_with(|| values[generator.below(values.len())]);
            statistic(&resample)
        })
        .collect();
    let mut rest = values[1..].to_vec();
    let mut without = Vec::with_capacity(values.len());
    for left_out in 0..values.len() {
        without.push(statistic(&rest));
        if left_out < rest.len() {
            rest[left_out] = values[left_out];
        }
    }
    let (low, high) = bca_levels(statistic(values), &outcomes, &without, confidence)?;
    Some(between(outcomes, low, high))
}

/// Which quantiles of the resampled outcomes are the ends of the BCa interval: `without` holds the statistic with each value
/// left out in turn. `None` when every outcome lies on one side of the estimate.
pub fn bca_levels(estimate: f64, outcomes: &[f64], without: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let below = outcomes.iter().filter(|&&outcome| outcome < estimate).count();
    let up_to = outcomes.iter().filter(|&&outcome| outcome <= estimate).count();
    let bias = normal_quantile((below + up_to) as f64 / (2.0 * outcomes.len() as f64));
    if !bias.is_finite() {
        return None;
    }
    let centre = mean(without);
    let cubes: f64 = without.iter().map(|v| (centre - v).powi(3)).sum();
    let squares: f64 = without.iter().map(|v| (centre - v).powi(2)).sum();
    let acceleration = if squares > 0.0 {
        cubes / (6.0 * squares.powf(1.5))
    } else {
        0.0
    };
    let level = |z: f64| normal_cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)));
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    Some((level(-z), level(z)))
}

/// The outcomes at two levels, outwards to the next one that occurred.
fn between(mut outcomes: Vec<f64>, low: f64, high: f64) -> (f64, f64) {
    outcomes.sort_unstable_by(f64::total_cmp);
    let last = (outcomes.len() - 1) as f64;
    (
        outcomes[(low * last).floor() as usize],
        outcomes[(high * last).ceil() as usize],
    )
}
