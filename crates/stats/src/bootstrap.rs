//! Percentile bootstrap intervals, seeded (Efron 1979). For independent values; thin or block dependent ones first.

use crate::generator::Generator;
use crate::mean;

/// Interval of a statistic of one sample. `None` of fewer than two values.
pub fn interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    interval_of_two(values, &[], |a, _| statistic(a), resamples, confidence, seed)
}

/// Interval of a statistic of two samples, each resampled by itself; the second may be empty.
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
    let mut outcomes: Vec<f64> = (0..resamples)
        .map(|_| {
            a.fill_with(|| first[generator.below(first.len())]);
            b.fill_with(|| second[generator.below(second.len())]);
            statistic(&a, &b)
        })
        .collect();
    outcomes.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let last = (resamples - 1) as f64;
    let low = outcomes[(tail * last).floor() as usize];
    let high = outcomes[((1.0 - tail) * last).ceil() as usize];
    Some((low, high))
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
