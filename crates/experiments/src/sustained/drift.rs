//! Early against late: does the response or the number in flight grow during a phase of constant load?

use prony_model::{Outcome, Sample};
use prony_stats::regression::{self, Line};
use prony_stats::{mean, student};

/// Stretches that the phase is cut into.
const BLOCKS: usize = 20;
/// Good answers that a stretch needs at least.
const ANSWERS_MIN: usize = 5;
/// Change that matters, as a share of the mean.
const CHANGE_MIN: f64 = 0.10;
/// Growth from the first to the last quarter, of the response and of the number in flight, that needs no test: a queue ran
/// away.
const RUNAWAY: f64 = 6.0;
/// Change that is too large to pass over even when chance may explain it.
const DOUBTFUL: f64 = 0.5;
/// Level of the test.
const LEVEL: f64 = 0.05;

/// A trend over a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drift {
    /// Change of the mean response from start to end by the fitted line, over the mean.
    pub change: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Two-sided p-value of "no change".
    pub p: f64,
    /// The same change for the number in flight.
    pub in_flight_change: f64,
    /// Whether both grew by more than [`RUNAWAY`] from the first quarter to the last.
    pub runaway: bool,
    /// Stretches the line was fitted to.
    pub blocks: usize,
}

impl Drift {
    /// Whether it became slower by an amount that matters and that chance does not explain, or a queue ran away.
    pub(super) fn degrades(&self) -> bool {
        (self.p < LEVEL && self.change > CHANGE_MIN) || self.runaway
    }

    /// Whether it looks slower, by much, and chance may still explain it.
    pub(super) fn is_doubtful(&self) -> bool {
        !self.degrades() && self.change > DOUBTFUL
    }
}

/// The trend of the good answers of a load, given in order of intended start; `None` when there are too few for one.
pub(super) fn drift(samples: &[&Sample]) -> Option<Drift> {
    let means = block_means(&stretches(samples)?);
    let (change, interval, p) = relative_change(&means)?;
    let busy = in_flight(samples, BLOCKS);
    let (in_flight_change, _, _) = relative_change(&busy)?;
    Some(Drift {
        change,
        interval,
        p,
        in_flight_change,
        runaway: growth(&means) > RUNAWAY && growth(&busy) > RUNAWAY,
        blocks: BLOCKS,
    })
}

/// Change of the number in flight from the start of a constant load to its end, over its mean, with the 95 % interval.
pub(crate) fn in_flight_growth(samples: &[&Sample]) -> Option<(f64, (f64, f64))> {
    let (change, interval, _) = relative_change(&in_flight(samples, BLOCKS))?;
    change.is_finite().then_some((change, interval))
}

/// Mean of the last quarter over the mean of the first.
fn growth(blocks: &[f64]) -> f64 {
    let quarter = blocks.len() / 4;
    mean(&blocks[blocks.len() - quarter..]) / mean(&blocks[..quarter])
}

/// The good answers in [`BLOCKS`] stretches of equal number; `None` when there are too few.
pub(super) fn stretches<'a>(samples: &[&'a Sample]) -> Option<Vec<Vec<&'a Sample>>> {
    let good: Vec<&Sample> = samples
        .iter()
        .copied()
        .filter(|s| s.outcome == Outcome::Ok)
        .collect();
    let n = good.len();
    let cut = |b: usize| b * n / BLOCKS;
    (n >= BLOCKS * ANSWERS_MIN).then(|| (0..BLOCKS).map(|b| good[cut(b)..cut(b + 1)].to_vec()).collect())
}

/// Mean response of each stretch, in ms.
pub(super) fn block_means(stretches: &[Vec<&Sample>]) -> Vec<f64> {
    let of = |stretch: &Vec<&Sample>| {
        let response: Vec<f64> = stretch.iter().map(|s| s.response().as_millis_f64()).collect();
        mean(&response)
    };
    stretches.iter().map(of).collect()
}

/// Change from the first to the last block by the fitted line over the mean, its 95 % interval, and p.
///
/// The noise is what a parabola leaves, so that a queue that grows ever faster does not count as noise. Neighbouring blocks
/// depend on one another when a queue empties slowly: their number is shrunk by the lag-1 autocorrelation r of the noise,
/// m (1 - r) / (1 + r), with r corrected for its bias in short series (Kendall 1954).
fn relative_change(means: &[f64]) -> Option<(f64, (f64, f64), f64)> {
    let m = means.len() as f64;
    let x: Vec<f64> = (0..means.len()).map(|i| i as f64 - (m - 1.0) / 2.0).collect();
    let line = regression::least_squares(&x, means)?;
    let noise = without_parabola(&x, means, &line);
    let power: f64 = noise.iter().map(|r| r * r).sum();
    let lagged: f64 = noise.windows(2).map(|w| w[0] * w[1]).sum();
    let r = if power > 0.0 { lagged / power } else { 0.0 };
    let r = (r + (2.0 + 4.0 * r) / m).clamp(0.0, 0.6);
    let df = (m * (1.0 - r) / (1.0 + r) - 3.0).max(1.0);
    let spread: f64 = x.iter().map(|x| x * x).sum();
    let error = (power / df / spread).sqrt();
    let p = if error > 0.0 {
        student::two_sided(line.slope / error, df)
    } else {
        1.0
    };
    let half = student::quantile(0.975, df) * error;
    let scale = m / mean(means);
    Some((
        line.slope * scale,
        ((line.slope - half) * scale, (line.slope + half) * scale),
        p,
    ))
}

/// Residuals of the best parabola over a centred, evenly spaced x: those of the line less their part along the square.
fn without_parabola(x: &[f64], y: &[f64], line: &Line) -> Vec<f64> {
    let residuals: Vec<f64> = x
        .iter()
        .zip(y)
        .map(|(x, y)| y - line.intercept - line.slope * x)
        .collect();
    let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
    let centre = mean(&squares);
    let bend: Vec<f64> = squares.iter().map(|s| s - centre).collect();
    let along: f64 = residuals.iter().zip(&bend).map(|(r, b)| r * b).sum();
    let size: f64 = bend.iter().map(|b| b * b).sum();
    residuals
        .iter()
        .zip(&bend)
        .map(|(r, b)| r - along / size * b)
        .collect()
}

/// Mean number between sent and done in each of `blocks` equal stretches of time between the first and the last start.
fn in_flight(samples: &[&Sample], blocks: usize) -> Vec<f64> {
    let start = samples.iter().map(|s| s.intended.0).min().unwrap_or(0) as f64;
    let end = samples.iter().map(|s| s.intended.0).max().unwrap_or(0) as f64;
    let length = (end - start) / blocks as f64;
    let mut busy = vec![0.0; blocks];
    for sample in samples {
        let (from, to) = (sample.sent.0 as f64, sample.done.0 as f64);
        for (b, sum) in busy.iter_mut().enumerate() {
            let (low, high) = (start + b as f64 * length, start + (b as f64 + 1.0) * length);
            *sum += (to.min(high) - from.max(low)).max(0.0);
        }
    }
    busy.iter().map(|sum| sum / length).collect()
}
