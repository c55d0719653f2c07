//! One kind of value or two? A mixture of two Gaussians in one dimension, by expectation and maximisation.
//!
//! Feed logarithms of latencies. A mixture names the slow values; it cannot say why they are slow.

use std::f64::consts::PI;

use crate::{mean, median, variance};

/// Where the values are cut in two to start from, as shares of the sorted values.
const CUTS: [f64; 5] = [0.1, 0.3, 0.5, 0.8, 0.95];
/// Steps from each start before the best is carried on.
const SCOUT_STEPS: usize = 25;
/// Steps of the best start at most.
const STEPS_MAX: usize = 1_000;
/// Smallest standard deviation of a component, as a share of that of all values: no component on a single value.
const DEVIATION_MIN: f64 = 0.05;
/// Fewest values to fit.
const VALUES_MIN: usize = 10;

/// One of the two components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Its share of the values.
    pub weight: f64,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

impl Component {
    /// Logarithm of the weight over the density's norm.
    fn log_height(&self) -> f64 {
        self.weight.ln() - self.deviation.ln() - 0.5 * (2.0 * PI).ln()
    }

    /// Half the squared distance from the mean, in standard deviations.
    fn away(&self, value: f64) -> f64 {
        0.5 * ((value - self.mean) / self.deviation).powi(2)
    }
}

/// Two fitted components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// The one with the smaller mean.
    pub low: Component,
    /// The one with the larger mean.
    pub high: Component,
    /// Log likelihood of the values.
    pub log_likelihood: f64,
    /// Bayes information criterion (Schwarz 1978) of one Gaussian less that of two: above 10 speaks clearly for two.
    pub bic_gain: f64,
}

impl Mixture {
    /// Ashman's D (1994): distance of the means over the root mean square deviation; two peaks are apart above 2.
    pub fn ashman_d(&self) -> f64 {
        let spread = f64::midpoint(self.low.deviation.powi(2), self.high.deviation.powi(2)).sqrt();
        (self.high.mean - self.low.mean).abs() / spread
    }

    /// Whether a value belongs to the component with the larger mean, more likely than not.
    pub fn is_high(&self, value: f64) -> bool {
        self.high.log_height() - self.high.away(value) > self.low.log_height() - self.low.away(value)
    }
}

/// What can be said of the number of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Nothing speaks for more than one.
    One,
    /// Two, from too few values (30 to 99) to be sure.
    SuspectedTwo,
    /// Two.
    Two,
}

/// Judges logarithms of values: two kinds when the criterion gains more than 10, Ashman's D is above 3, the medians of the
/// two kinds are apart by a factor of 1.5 and the smaller has three values at least. `None` of fewer than 30 values.
pub fn kinds(logs: &[f64]) -> Option<Kinds> {
    if logs.len() < 30 {
        return None;
    }
    let Some(found) = fit(logs) else {
        return Some(Kinds::One);
    };
    let (mut high, mut low): (Vec<f64>, Vec<f64>) = logs.iter().partition(|&&value| found.is_high(value));
    let two = found.bic_gain > 10.0
        && found.ashman_d() > 3.0
        && high.len().min(low.len()) >= 3
        && (median(&mut high) - median(&mut low)).exp() >= 1.5;
    Some(match (two, logs.len() >= 100) {
        (false, _) => Kinds::One,
        (true, false) => Kinds::SuspectedTwo,
        (true, true) => Kinds::Two,
    })
}

/// Fits two Gaussians by maximum likelihood (Dempster, Laird, Rubin 1977) from five starts, the best carried on until it
/// stands still. `None` of fewer than ten values or when they do not vary.
pub fn fit(values: &[f64]) -> Option<Mixture> {
    let spread = (variance(values) * (values.len() as f64 - 1.0) / values.len() as f64).sqrt();
    if values.len() < VALUES_MIN || spread <= mean(values).abs() * 1e-12 {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let least = DEVIATION_MIN * spread;
    let (_, mut pair) = CUTS
        .iter()
        .map(|cut| {
            let at = ((cut * sorted.len() as f64) as usize).clamp(2, sorted.len() - 2);
            let mut pair = [
                start(&sorted[..at], &sorted, least),
                start(&sorted[at..], &sorted, least),
            ];
            let mut likelihood = f64::NEG_INFINITY;
            for _ in 0..SCOUT_STEPS {
                (likelihood, pair) = improve(&sorted, pair, least);
            }
            (likelihood, pair)
        })
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    for _ in 0..STEPS_MAX {
        let (_, next) = improve(&sorted, pair, least);
        let moved = pair
            .iter()
            .zip(&next)
            .map(|(old, new)| {
                let by_mean = (old.mean - new.mean)
                    .abs()
                    .max((old.deviation - new.deviation).abs());
                (by_mean / spread).max((old.weight - new.weight).abs())
            })
            .fold(0.0, f64::max);
        pair = next;
        if moved < 1e-13 {
            break;
        }
    }
    let (log_likelihood, _) = improve(&sorted, pair, least);
    let n = values.len() as f64;
    let alone = -n * (spread.ln() + 0.5 * (1.0 + (2.0 * PI).ln()));
    pair.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    Some(Mixture {
        low: pair[0],
        high: pair[1],
        log_likelihood,
        // Two parameters against five.
        bic_gain: 2.0 * (log_likelihood - alone) - 3.0 * n.ln(),
    })
}

fn start(part: &[f64], all: &[f64], least: f64) -> Component {
    Component {
        weight: part.len() as f64 / all.len() as f64,
        mean: mean(part),
        deviation: variance(part).sqrt().max(least),
    }
}

/// One step; the log likelihood is of the components before it.
fn improve(values: &[f64], pair: [Component; 2], least: f64) -> (f64, [Component; 2]) {
    let n = values.len() as f64;
    let heights = pair.map(|component| component.log_height());
    let mut log_likelihood = 0.0;
    // Weight, first and second moment of the second component, about the two old means for precision.
    let mut share = 0.0;
    let mut moments = [(0.0, 0.0); 2];
    for &value in values {
        let (first, second) = (heights[0] - pair[0].away(value), heights[1] - pair[1].away(value));
        let top = first.max(second);
        let total = top + (-(first - second).abs()).exp().ln_1p();
        log_likelihood += total;
        let belongs = (second - total).exp();
        share += belongs;
        for (moment, (component, weight)) in moments.iter_mut().zip(pair.iter().zip([1.0 - belongs, belongs]))
        {
            let away = value - component.mean;
            moment.0 += weight * away;
            moment.1 += weight * away * away;
        }
    }
    let mut next = pair;
    for ((component, (first, second)), weight) in next.iter_mut().zip(moments).zip([n - share, share]) {
        // A component that lost its values stays where it is.
        if weight > 1e-9 * n {
            let shift = first / weight;
            component.mean += shift;
            component.deviation = (second / weight - shift * shift).max(0.0).sqrt().max(least);
        }
        component.weight = (weight / n).max(1e-12);
    }
    (log_likelihood, next)
}
