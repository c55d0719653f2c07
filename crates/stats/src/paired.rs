//! Paired differences: their mean with an interval, a test without a distribution, and how small a difference shows.
//!
//! The pair is the unit: of two runs, not of two requests. Differences of logarithms give relative effects.

use crate::generator::Generator;
use crate::special::{ln_gamma, normal_cdf};
use crate::{mean, student, variance};

/// Most pairs whose sign patterns are all visited; beyond, a random part of them is.
const EXACT_PAIRS_MAX: usize = 20;
/// Sign patterns visited when there are too many.
const PATTERNS: u32 = 20_000;
/// Most pairs that are planned for.
const PLANNED_PAIRS_MAX: usize = 100_000;

/// The mean of paired differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean difference, in the unit of the values.
    pub mean: f64,
    /// Standard deviation of the differences.
    pub deviation: f64,
    /// Lower end of the two-sided interval.
    pub low: f64,
    /// Upper end of the two-sided interval.
    pub high: f64,
}

/// Mean of paired differences with its t interval (Student 1908). `None` of fewer than two. The ends of the 90 % interval are
/// one-sided bounds of 95 %.
pub fn interval(differences: &[f64], confidence: f64) -> Option<Difference> {
    if differences.len() < 2 {
        return None;
    }
    let n = differences.len() as f64;
    let (mean, deviation) = (mean(differences), variance(differences).sqrt());
    let half = student::quantile(f64::midpoint(1.0, confidence), n - 1.0) * deviation / n.sqrt();
    Some(Difference {
        mean,
        deviation,
        low: mean - half,
        high: mean + half,
    })
}

/// Two-sided p-value of "differences are as likely up as down", from all patterns of signs (Fisher 1935): it assumes no
/// distribution, but n pairs cannot go below 2 / 2^n. Beyond twenty pairs a seeded 20,000 of the patterns are visited. `None`
/// of no differences.
pub fn sign_flip(differences: &[f64], seed: u64) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let sum: f64 = differences.iter().sum();
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    // Patterns that equal the observed one but for rounding count as equal.
    let limit = sum.abs() - size * 1e-12;
    if differences.len() <= EXACT_PAIRS_MAX {
        let patterns = 1_u32 << differences.len();
        let as_far = (0..patterns)
            .filter(|pattern| signed_sum(differences, |i| pattern >> i & 1 == 1).abs() >= limit)
            .count();
        return Some(as_far as f64 / f64::from(patterns));
    }
    let mut generator = Generator::new(seed);
    let as_far = (0..PATTERNS)
        .filter(|_| {
            let mut bits = 0;
            let flip = |i: usize| {
                if i.is_multiple_of(64) {
                    bits = generator.next();
                }
                bits >> (i % 64) & 1 == 1
            };
            signed_sum(differences, flip).abs() >= limit
        })
        .count();
    Some((as_far as f64 + 1.0) / (f64::from(PATTERNS) + 1.0))
}

fn signed_sum(differences: &[f64], mut flip: impl FnMut(usize) -> bool) -> f64 {
    differences
        .iter()
        .enumerate()
        .map(|(i, d)| if flip(i) { -d } else { *d })
        .sum()
}

/// Probability that the two-sided paired t test at error probability `alpha` finds a mean difference of `effect` standard
/// deviations of one difference with `pairs` pairs: the noncentral t distribution, integrated over the estimated deviation.
/// 0 with fewer than two pairs.
pub fn power(effect: f64, pairs: usize, alpha: f64) -> f64 {
    /// Steps of Simpson's rule over the estimated deviation; even.
    const STEPS: u32 = 4000;
    if pairs < 2 {
        return 0.0;
    }
    let df = pairs as f64 - 1.0;
    let limit = student::quantile(1.0 - alpha / 2.0, df);
    let shift = effect * (df + 1.0).sqrt();
    // s = estimated over true deviation, s^2 df ~ chi square.
    let log_scale = std::f64::consts::LN_2 + df / 2.0 * (df / 2.0).ln() - ln_gamma(df / 2.0);
    let integrand = |s: f64| {
        if s <= 0.0 && df > 1.0 {
            return 0.0;
        }
        let log_power = if df > 1.0 { (df - 1.0) * s.ln() } else { 0.0 };
        let density = (log_scale + log_power - df * s * s / 2.0).exp();
        density * (normal_cdf(shift - limit * s) + normal_cdf(-shift - limit * s))
    };
    let (from, to) = ((1.0 - 10.0 / df.sqrt()).max(0.0), 1.0 + 10.0 / df.sqrt());
    let step = (to - from) / f64::from(STEPS);
    let inner: f64 = (1..STEPS)
        .map(|i| integrand(from + step * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 })
        .sum();
    ((integrand(from) + inner + integrand(to)) * step / 3.0).min(1.0)
}

/// Smallest mean difference, in standard deviations of one difference, that the paired t test at `alpha` finds with
/// probability `wanted`. `None` with fewer than two pairs or when `wanted` is not a probability below 1.
pub fn detectable(pairs: usize, alpha: f64, wanted: f64) -> Option<f64> {
    if pairs < 2 || !(0.0..1.0).contains(&wanted) {
        return None;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while power(high, pairs, alpha) < wanted {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-12 * high {
        let middle = f64::midpoint(low, high);
        if power(middle, pairs, alpha) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

/// Fewest pairs with which the paired t test at `alpha` finds a mean difference of `effect` standard deviations of one
/// difference with probability `wanted`. `None` beyond 100,000.
pub fn needed(effect: f64, alpha: f64, wanted: f64) -> Option<usize> {
    let enough = |pairs: usize| power(effect, pairs, alpha) >= wanted;
    if !enough(PLANNED_PAIRS_MAX) {
        return None;
    }
    let (mut low, mut high) = (1, PLANNED_PAIRS_MAX);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
