//! Kolmogorov and Smirnov: how far apart are two distributions?
//!
//! With thousands of values any real difference is significant: judge by the distance, not by the p-value.

use std::f64::consts::PI;

/// The largest gap between two distribution functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// The gap, between 0 and 1.
    pub distance: f64,
    /// p-value of "there is none": the limit distribution with Stephens's correction (1970) for finite samples. Within
    /// 0.01 of the exact one for one sample of twenty values or more, within 0.04 for two.
    pub p: f64,
}

/// Independent values against a continuous distribution function. `None` of no values.
pub fn one_sample(values: &[f64], cdf: impl Fn(f64) -> f64) -> Option<Gap> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let distance = sorted(values)
        .into_iter()
        .enumerate()
        .map(|(i, value)| {
            let expected = cdf(value);
            ((i as f64 + 1.0) / n - expected).max(expected - i as f64 / n)
        })
        .fold(0.0, f64::max);
    Some(gap(distance, n))
}

/// Two samples of independent values; equal values are counted together. `None` when either is empty.
pub fn two_sample(first: &[f64], second: &[f64]) -> Option<Gap> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (first, second) = (sorted(first), sorted(second));
    let (n, m) = (first.len() as f64, second.len() as f64);
    let (mut passed, mut distance) = ([0, 0], 0.0_f64);
    while passed[0] < first.len() && passed[1] < second.len() {
        let value = first[passed[0]].min(second[passed[1]]);
        for (passed, sample) in passed.iter_mut().zip([&first, &second]) {
            *passed += sample[*passed..]
                .iter()
                .take_while(|&&next| next <= value)
                .count();
        }
        distance = distance.max((passed[0] as f64 / n - passed[1] as f64 / m).abs());
    }
    Some(gap(distance, n * m / (n + m)))
}

fn gap(distance: f64, n: f64) -> Gap {
    let root = n.sqrt();
    Gap {
        distance,
        p: limit_survival((root + 0.12 + 0.11 / root) * distance),
    }
}

/// P(K > x) for the limit K of the gap times the root of the number of values (Kolmogorov 1933).
pub fn limit_survival(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    // Two forms of one theta function, each quick on its side.
    if x < 1.0 {
        let sum: f64 = (1..=10_u32)
            .map(|k| {
                let odd = f64::from(2 * k - 1);
                (-(odd * PI / x).powi(2) / 8.0).exp()
            })
            .sum();
        return 1.0 - (2.0 * PI).sqrt() / x * sum;
    }
    let sum: f64 = (1..=10_u32)
        .map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * (f64::from(k) * x).powi(2)).exp()
        })
        .sum();
    2.0 * sum
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}
