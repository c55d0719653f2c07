//! Early against late: does the response or the number in flight grow during a phase of constant load?

use prony_model::{PhaseResult, Sample};
use prony_stats::{autocorrelation, mean, regression};

use crate::timings::Timings;

/// Fewest stretches to fit a trend to.
const BLOCKS_MIN: usize = 8;
/// Most stretches.
const BLOCKS_MAX: usize = 20;
/// Autocorrelation times that a stretch must last, so that neighbours hardly depend on one another.
const TIMES_PER_BLOCK: f64 = 6.0;
/// Change that matters, as a share of the mean.
const CHANGE_MIN: f64 = 0.10;
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
    /// Stretches the line was fitted to.
    pub blocks: usize,
}

impl Drift {
    /// Whether it became slower by an amount that matters and that chance does not explain.
    pub(super) fn degrades(&self) -> bool {
        self.p < LEVEL && self.change > CHANGE_MIN
    }
}

/// The trend of a phase's good answers; `None` when it is too short for one.
pub(super) fn drift(phase: &PhaseResult) -> Option<Drift> {
    let times = Timings::of(phase, &phase.phase.name);
    let response = times.response_ms();
    let n = response.len();
    let order: Vec<f64> = (0..n).map(|i| i as f64).collect();
    let line = regression::least_squares(&order, &response)?;
    let flat: Vec<f64> = response
        .iter()
        .zip(&order)
        .map(|(y, x)| y - line.slope * x)
        .collect();
    let time = autocorrelation::integrated_time(&flat);
    let blocks = ((n as f64 / (TIMES_PER_BLOCK * time)) as usize).min(BLOCKS_MAX);
    if blocks < BLOCKS_MIN {
        return None;
    }
    let means = block_means(&response, blocks);
    let (change, interval, p) = relative_change(&means)?;
    let (in_flight_change, _, _) = relative_change(&in_flight(&times.samples().collect::<Vec<_>>(), blocks))?;
    Some(Drift {
        change,
        interval,
        p,
        in_flight_change,
        blocks,
    })
}

fn block_means(values: &[f64], blocks: usize) -> Vec<f64> {
    let n = values.len();
    (0..blocks)
        .map(|b| mean(&values[b * n / blocks..(b + 1) * n / blocks]))
        .collect()
}

/// Change from the first to the last block by the fitted line over the mean, its 95 % interval, and p.
fn relative_change(means: &[f64]) -> Option<(f64, (f64, f64), f64)> {
    let x: Vec<f64> = (0..means.len()).map(|i| i as f64).collect();
    let line = regression::least_squares(&x, means)?;
    let (low, high) = line.slope_interval(0.95);
    let scale = means.len() as f64 / mean(means);
    Some((line.slope * scale, (low * scale, high * scale), line.p))
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
