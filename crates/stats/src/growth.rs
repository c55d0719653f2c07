//! Does a level (memory in use) grow with the work done, how fast, and in which shape?
//!
//! Growth that goes on is a leak. Growth that slows down is a cache or an allocator that fills; a step is something loaded
//! late; a saw-tooth is a garbage collector, of which only the troughs count.

use crate::theil_sen::{self, Line};
use crate::trend::{self, Trend};
use crate::{autocorrelation, blocks, median, regression, variance};

/// Drops, in robust standard deviations of the successive differences, that are a collection of garbage.
const DROP_MIN: f64 = 6.0;
/// Robust standard deviations in one median absolute deviation of normal values.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// Collections from which on only the troughs are looked at.
const DROPS_MIN: usize = 3;
/// Troughs that are needed then.
const TROUGHS_MIN: usize = 8;
/// Blocks that other series are made into.
const BLOCKS: usize = 20;
/// Trend statistic from which on growth is certain: one-sided 0.5 %.
const CERTAIN_FROM: f64 = 2.58;
/// One-sided 90 %, for the shape.
const LIKELY_FROM: f64 = 1.28;
/// Part of the first half's slope that the second must keep to be growth that goes on.
const SUSTAINED_PART: f64 = 0.7;

/// What the series shows so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Growth is below what matters.
    NoLeak,
    /// Growth that goes on.
    Leak,
    /// Growth that slows down.
    Decelerating,
    /// One or two steps explain it: look again at what comes after.
    Step,
    /// It grows, but whether that goes on cannot be told yet.
    ShapeUnknown,
    /// Whether it grows by what matters cannot be told yet.
    Inconclusive,
}

/// The verdict with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// What the series shows.
    pub verdict: Verdict,
    /// Growth per unit of work, with its 95 % interval.
    pub line: Line,
    /// Mann-Kendall's test, corrected for dependence.
    pub trend: Trend,
    /// Whether only the troughs of a saw-tooth were looked at.
    pub troughs_only: bool,
}

/// Judges a level `y` after work `x` (ascending, requests for instance), its start already cut off; growth below
/// `matters` (level per unit of work) does not matter. `None` with fewer than 40 values, or with a saw-tooth of fewer than
/// eight troughs: go on measuring.
pub fn judge(x: &[f64], y: &[f64], matters: f64) -> Option<Growth> {
    let n = x.len().min(y.len());
    if n < 2 * BLOCKS {
        return None;
    }
    let (x, y) = (&x[..n], &y[..n]);
    let troughs = troughs(y);
    let troughs_only = troughs.len() >= DROPS_MIN;
    let pick = |of: &[f64]| -> Vec<f64> { troughs.iter().map(|&i| of[i]).collect() };
    let (x, y) = match (troughs_only, troughs.len() >= TROUGHS_MIN) {
        (true, false) => return None,
        (true, true) => (pick(x), pick(y)),
        (false, _) => (x.to_vec(), y.to_vec()),
    };
    let (block_x, block_y) = if x.len() > BLOCKS {
        (blocks::means(&x, BLOCKS), blocks::medians(&y, BLOCKS))
    } else {
        (x.clone(), y.clone())
    };
    let line = theil_sen::fit(&block_x, &block_y, 0.95)?;
    let trend = trend::hamed_rao(&block_y)?;
    let verdict = if line.high < matters {
        Verdict::NoLeak
    } else if trend.z <= CERTAIN_FROM || line.low <= matters {
        Verdict::Inconclusive
    } else if is_steps(&block_x, &block_y) {
        Verdict::Step
    } else {
        match shape(&x, &y) {
            Some(d) if d > LIKELY_FROM => Verdict::Leak,
            Some(d) if d < -LIKELY_FROM => Verdict::Decelerating,
            _ => Verdict::ShapeUnknown,
        }
    };
    Some(Growth {
        verdict,
        line,
        trend,
        troughs_only,
    })
}

/// First values after the collections of a saw-tooth: drops of more than six robust standard deviations of the successive
/// differences, by their median absolute deviation; where most of them are equal, by the median size of those not zero.
pub fn troughs(series: &[f64]) -> Vec<usize> {
    let differences: Vec<f64> = series.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let centre = median(&mut differences.clone());
    let mut away: Vec<f64> = differences.iter().map(|d| (d - centre).abs()).collect();
    if median(&mut away) <= 0.0 {
        away = differences.iter().map(|d| d.abs()).filter(|&d| d > 0.0).collect();
    }
    let limit = DROP_MIN * MAD_TO_DEVIATION * median(&mut away);
    differences
        .iter()
        .enumerate()
        .filter(|&(_, &d)| d < 0.0 && -d > limit)
        .map(|(i, _)| i + 1)
        .collect()
}

/// The two levels that fit a series best: first value of the second level, and squared deviations that are left.
/// `None` of fewer than four values. Each level has two values at least.
pub fn two_levels(series: &[f64]) -> Option<(usize, f64)> {
    (2..series.len().saturating_sub(1))
        .map(|split| {
            let (first, second) = series.split_at(split);
            (split, squares(first) + squares(second))
        })
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
}

/// Whether one or two steps explain the growth: they leave under 15 % of the variance and under 60 % of what a line leaves.
/// The second step is for what grows by doubling: with one step only, such a level was called a leak in half of the runs.
fn is_steps(x: &[f64], y: &[f64]) -> bool {
    let (Some((_, by_step)), Some(line)) = (two_levels(y), regression::least_squares(x, y)) else {
        return false;
    };
    let by_steps = (2..y.len())
        .filter_map(|split| two_levels(&y[split..]).map(|(_, rest)| squares(&y[..split]) + rest))
        .fold(by_step, f64::min);
    let by_line: f64 = x
        .iter()
        .zip(y)
        .map(|(x, y)| (y - line.intercept - line.slope * x).powi(2))
        .sum();
    by_steps < 0.15 * squares(y) && by_steps < 0.6 * by_line
}

/// Whether growth goes on: the slope of the second half less 0.7 times that of the first, in standard errors widened for
/// first-order dependence of the residuals. `None` when a half has fewer than three values.
pub fn shape(x: &[f64], y: &[f64]) -> Option<f64> {
    let half = x.len() / 2;
    let (first, first_error) = slope(&x[..half], &y[..half])?;
    let (second, second_error) = slope(&x[half..], &y[half..])?;
    let error = second_error.hypot(SUSTAINED_PART * first_error);
    Some((second - SUSTAINED_PART * first) / error.max(f64::MIN_POSITIVE))
}

fn slope(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let line = regression::least_squares(x, y)?;
    let residuals: Vec<f64> = x
        .iter()
        .zip(y)
        .map(|(x, y)| y - line.intercept - line.slope * x)
        .collect();
    let memory = autocorrelation::at_lag(&residuals, 1).clamp(0.0, 0.99);
    Some((
        line.slope,
        line.slope_error * ((1.0 + memory) / (1.0 - memory)).sqrt(),
    ))
}

fn squares(values: &[f64]) -> f64 {
    variance(values) * (values.len() as f64 - 1.0)
}

/// Work until a level reaches `limit`, were it to grow with the logarithm of the work done: what remains after the last `x`.
/// The optimistic end; the line through the growth is the pessimistic one. Infinite when it does not grow; 0 when it is
/// already there. `None` when a line through (ln x, y) cannot be fitted: x must be positive.
pub fn work_to_limit_slowing(x: &[f64], y: &[f64], limit: f64) -> Option<f64> {
    let logs: Vec<f64> = x.iter().map(|x| x.ln()).collect();
    let line = regression::least_squares(&logs, y).filter(|line| line.slope.is_finite())?;
    if line.slope <= 0.0 {
        return Some(f64::INFINITY);
    }
    Some((((limit - line.intercept) / line.slope).exp() - x[x.len() - 1]).max(0.0))
}

/// Work until a level reaches `limit` from `level` at a constant `slope`; infinite when it does not grow, 0 when it is
/// already there.
pub fn work_to_limit(level: f64, slope: f64, limit: f64) -> f64 {
    if level >= limit {
        0.0
    } else if slope <= 0.0 {
        f64::INFINITY
    } else {
        (limit - level) / slope
    }
}
