//! From when on is a series steady, and did it ever settle?
//!
//! Three steps over the values in the order in which they arose: MSER-5 cuts the start off (White 1997), Heidelberger and
//! Welch's test (1983) asks whether the rest still moves, cutting further tenths off, and a line through block means asks it
//! again, because the second alone takes a long drift for noise. MSER-5 may say that the start takes more than half; then the
//! series never settled, unless both tests find the whole of it level.

use std::f64::consts::PI;

use crate::regression::{self, Line};
use crate::special::{bessel_k_scaled, ln_gamma};
use crate::{autocorrelation, blocks, mean, student, variance};

/// Fewest values that are left after the start is cut off.
pub const VALUES_MIN: usize = 200;
/// Values in a batch of MSER-5.
const MSER_BATCH: usize = 5;
/// Batches that the stationarity test looks at.
const TEST_BATCHES: usize = 100;
/// Statistic from which on stationarity is rejected: 5 % of steady series.
const REJECTED_FROM: f64 = 0.461;
/// Most tenths that the stationarity test cuts off.
const TENTHS_MAX: usize = 5;
/// Tenths of the whole series that both cuts together may give up: what is left of a long drift always looks flat.
const GIVEN_UP_TENTHS_MAX: usize = 6;
/// Blocks that the drift line goes through.
const DRIFT_BLOCKS: usize = 20;
/// Change over the kept part, as a share of its mean, that counts as a drift.
const DRIFT_MIN: f64 = 0.05;
/// Error probability of the drift line. One in a hundred and not one in twenty, as is usual: the start was chosen by a look at the same
/// values, and those of a queue depend on each other, so its p is too small. At 0.05 a steady queue at 65 % load is called moving in
/// 3 to 5 % of runs, at 0.01 in under 1 %; what is called steady is off no more, and a long warm-up is seen as often.
const DRIFT_ALPHA: f64 = 0.01;
/// Error probability of the mean's interval.
const ALPHA: f64 = 0.05;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From `start` on it is steady.
    Settled,
    /// What is left after the start was cut off still moves.
    Unsteady,
    /// The start takes more than half of the series: run longer.
    NeverSettled,
}

/// What is known of the part that was kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteadyState {
    /// How it ended.
    pub verdict: Verdict,
    /// Values cut off at the start.
    pub start: usize,
    /// Mean of the kept part.
    pub mean: f64,
    /// Half width of the 95 % interval of that mean, from the means of 20 blocks.
    pub half_width: f64,
    /// Heidelberger and Welch's test of the kept part.
    pub stationarity: Stationarity,
    /// Change over the kept part along the line through its block means, as a share of its mean.
    pub drift: f64,
    /// Two-sided p-value of "no drift".
    pub drift_p: f64,
}

impl SteadyState {
    /// Whether the kept part moves along its line.
    fn drifts(&self) -> bool {
        self.drift.abs() > DRIFT_MIN && self.drift_p < DRIFT_ALPHA
    }

    /// Whether neither test sees the kept part move.
    fn is_level(&self) -> bool {
        self.stationarity.statistic <= REJECTED_FROM && !self.drifts()
    }
}

/// Outcome of the test of stationarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stationarity {
    /// Cramér-von Mises statistic of the bridge of batch means; about 1/6 when steady.
    pub statistic: f64,
    /// p-value of "steady".
    pub p: f64,
}

/// Judges a series of values in the order in which they arose, in any unit. `None` when fewer than [`VALUES_MIN`] would be
/// left to judge.
pub fn judge(series: &[f64]) -> Option<SteadyState> {
    if series.len() < VALUES_MIN {
        return None;
    }
    let Some(cut) = mser5(series) else {
        // A few slow values shortly after the middle of a steady series pull the cut behind them, too.
        let whole = describe(series, 0, Verdict::Settled);
        if whole.is_level() {
            return Some(whole);
        }
        let half = series.len() / 2;
        return Some(describe(series, half, Verdict::NeverSettled));
    };
    let rest = series.len() - cut;
    if rest < VALUES_MIN {
        return None;
    }
    let starts = (0..=TENTHS_MAX).map(|tenths| cut + rest * tenths / 10);
    let last = series.len() * GIVEN_UP_TENTHS_MAX / 10;
    for start in starts.take_while(|&start| start <= last && series.len() - start >= VALUES_MIN) {
        if stationarity(&series[start..]).statistic <= REJECTED_FROM {
            let kept = describe(series, start, Verdict::Settled);
            let verdict = if kept.drifts() {
                Verdict::Unsteady
            } else {
                Verdict::Settled
            };
            return Some(SteadyState { verdict, ..kept });
        }
    }
    Some(describe(series, cut, Verdict::Unsteady))
}

/// Values to cut off at the start so that the mean of the rest is known best: the d that minimises the squared deviations
/// after it over the squared number of batches left, in batches of five (White 1997). `None` when that is past the
/// middle, which says that the series never settled, or when there are fewer than two batches.
pub fn mser5(series: &[f64]) -> Option<usize> {
    let batches: Vec<f64> = series.chunks_exact(MSER_BATCH).map(mean).collect();
    if batches.len() < 2 {
        return None;
    }
    // Running mean and squared deviations from the end to the start (Welford).
    let (mut best, mut cut) = (f64::INFINITY, 0);
    let (mut centre, mut squares) = (0.0, 0.0);
    for (left, batch) in batches.iter().rev().enumerate() {
        let count = left as f64 + 1.0;
        let away = batch - centre;
        centre += away / count;
        squares += away * (batch - centre);
        let spread = squares / (count * count);
        // The last few batches are close to each other by chance; of equals the longest rest is kept.
        if left >= MSER_BATCH && spread <= best {
            best = spread;
            cut = batches.len() - 1 - left;
        }
    }
    (cut <= batches.len() / 2).then_some(cut * MSER_BATCH)
}

/// Heidelberger and Welch's test (1983) that the mean of a series does not move: the Cramér-von Mises statistic of the
/// bridge of partial sums of 100 batch means, in units of their variance times their integrated autocorrelation time,
/// both taken from the second half. Steady when they do not vary at all.
pub fn stationarity(series: &[f64]) -> Stationarity {
    let batches = blocks::means(series, TEST_BATCHES);
    let count = batches.len() as f64;
    let centre = mean(&batches);
    let mut sum = 0.0;
    let bridge: f64 = batches
        .iter()
        .map(|batch| {
            sum += batch - centre;
            sum * sum
        })
        .sum();
    let late = &batches[batches.len() / 2..];
    let spread = variance(late) * autocorrelation::integrated_time(late);
    let noise = count * count * centre.powi(2) * 1e-28;
    if bridge <= noise {
        return Stationarity {
            statistic: 0.0,
            p: 1.0,
        };
    }
    let statistic = bridge / (count * count * spread);
    Stationarity {
        statistic,
        p: 1.0 - cramer_von_mises_cdf(statistic),
    }
}

/// Distribution function of the limiting Cramér-von Mises statistic (Anderson and Darling 1952, formula 4.35).
pub fn cramer_von_mises_cdf(statistic: f64) -> f64 {
    if statistic <= 0.0 {
        return 0.0;
    }
    // From here on the distribution function is 1 to the last digit.
    if statistic > 20.0 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 0..200_u32 {
        let k = f64::from(k);
        let width = 4.0 * k + 1.0;
        let x = width * width / (16.0 * statistic);
        let front = (ln_gamma(k + 0.5) - ln_gamma(k + 1.0) - 2.0 * x).exp() * width.sqrt();
        let term = front * bessel_k_scaled(0.25, x);
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    (sum / (PI.powf(1.5) * statistic.sqrt())).min(1.0)
}

fn describe(series: &[f64], start: usize, verdict: Verdict) -> SteadyState {
    let kept = &series[start..];
    let line = drift_line(kept);
    let centre = mean(kept);
    let means = blocks::means(kept, DRIFT_BLOCKS);
    let count = means.len() as f64;
    let error = (variance(&means) / count).sqrt();
    SteadyState {
        verdict,
        start,
        mean: centre,
        half_width: student::quantile(1.0 - ALPHA / 2.0, count - 1.0) * error,
        stationarity: stationarity(kept),
        drift: line.map_or(0.0, |line| line.slope / centre),
        drift_p: line.map_or(1.0, |line| line.p),
    }
}

/// The line through the block means; x runs from 0 to 1 over the whole part, so its slope is the change.
fn drift_line(kept: &[f64]) -> Option<Line> {
    let means = blocks::means(kept, DRIFT_BLOCKS);
    let x: Vec<f64> = (0..means.len())
        .map(|i| (i as f64 + 0.5) / means.len() as f64)
        .collect();
    regression::least_squares(&x, &means)
}
