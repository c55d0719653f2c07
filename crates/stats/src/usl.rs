//! The Universal Scalability Law (Gunther 2007): throughput X at concurrency N,
//! X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)).

use crate::generator::Generator;
use crate::special::normal_quantile;
use crate::{mean, student};

/// Fewest distinct concurrencies, 1 among them.
pub const LEVELS_MIN: usize = 6;
/// Steps of the optimiser; it needs about ten.
const STEPS_MAX: usize = 500;

/// A fitted curve. Only what lies within about twice the largest concurrency measured may be read off it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// Throughput of one at a time, in the unit of the throughputs.
    pub gamma: f64,
    /// Share of the work that cannot run at the same time; 0 or more.
    pub alpha: f64,
    /// Cost of each pair that has to agree; 0 or more. Above 0 the curve comes down again.
    pub beta: f64,
}

impl Usl {
    /// Throughput at a concurrency.
    pub fn throughput(&self, concurrency: f64) -> f64 {
        self.gamma * concurrency / denominator(self.alpha, self.beta, concurrency)
    }

    /// Concurrency with the largest throughput; `None` when the curve has no peak beyond one at a time.
    pub fn peak(&self) -> Option<f64> {
        (self.beta > 0.0 && self.alpha < 1.0).then(|| ((1.0 - self.alpha) / self.beta).sqrt())
    }

    /// What throughput would tend to without the cost of agreement; `None` when nothing bounds it.
    pub fn roof(&self) -> Option<f64> {
        (self.alpha > 0.0).then(|| self.gamma / self.alpha)
    }
}

/// Intervals of the fitted parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Of gamma.
    pub gamma: (f64, f64),
    /// Of alpha.
    pub alpha: (f64, f64),
    /// Of beta; when its lower end is 0 no peak was seen.
    pub beta: (f64, f64),
    /// Of the concurrency at the peak; the upper end is infinite when some resamples had none.
    pub peak: (f64, f64),
}

/// Fits the curve by least squares on the logarithms of the throughputs, with alpha and beta not negative. `None` with fewer
/// than [`LEVELS_MIN`] distinct concurrencies, without concurrency 1, or with a throughput that is not positive.
pub fn fit(concurrency: &[f64], throughput: &[f64]) -> Option<Usl> {
    let points = Points::new(concurrency, throughput)?;
    Some(points.fit(&points.log_gain))
}

/// Bootstrap intervals of the fit: residuals of the logarithms are drawn anew onto the curve, widened for the three parameters
/// fitted and, as Student's quantile exceeds the normal one, for the few points. `None` where [`fit`] has none, or without resamples.
pub fn intervals(
    concurrency: &[f64],
    throughput: &[f64],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<Intervals> {
    if resamples == 0 {
        return None;
    }
    let points = Points::new(concurrency, throughput)?;
    let curve = points.fit(&points.log_gain);
    let expected: Vec<f64> = points
        .concurrency
        .iter()
        .map(|&n| (curve.throughput(n) / n).ln())
        .collect();
    let count = expected.len() as f64;
    let upper = f64::midpoint(1.0, confidence);
    let few = student::quantile(upper, count - 3.0) / normal_quantile(upper);
    let widening = few * (count / (count - 3.0)).sqrt();
    let residuals: Vec<f64> = points
        .log_gain
        .iter()
        .zip(&expected)
        .map(|(seen, expected)| (seen - expected) * widening)
        .collect();
    let mut generator = Generator::new(seed);
    let curves: Vec<Usl> = (0..resamples)
        .map(|_| {
            let drawn: Vec<f64> = expected
                .iter()
                .map(|expected| expected + residuals[generator.below(residuals.len())])
                .collect();
            points.fit(&drawn)
        })
        .collect();
    let tail = (1.0 - confidence) / 2.0;
    let ends = |of: &dyn Fn(&Usl) -> f64| {
        let mut values: Vec<f64> = curves.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = (values.len() - 1) as f64;
        (
            values[(tail * last).floor() as usize],
            values[((1.0 - tail) * last).ceil() as usize],
        )
    };
    Some(Intervals {
        gamma: ends(&|curve| curve.gamma),
        alpha: ends(&|curve| curve.alpha),
        beta: ends(&|curve| curve.beta),
        peak: ends(&|curve| curve.peak().unwrap_or(f64::INFINITY)),
    })
}

/// 1 + alpha (N - 1) + beta N (N - 1).
fn denominator(alpha: f64, beta: f64, n: f64) -> f64 {
    1.0 + alpha * (n - 1.0) + beta * n * (n - 1.0)
}

/// Which of alpha and beta may differ from zero.
#[derive(Clone, Copy)]
struct Free {
    alpha: bool,
    beta: bool,
}

struct Points {
    concurrency: Vec<f64>,
    /// ln(X / N).
    log_gain: Vec<f64>,
}

impl Points {
    fn new(concurrency: &[f64], throughput: &[f64]) -> Option<Self> {
        let mut levels = concurrency.to_vec();
        levels.sort_unstable_by(f64::total_cmp);
        levels.dedup_by(|a, b| a.total_cmp(b).is_eq());
        let fit_to_use = levels.len() >= LEVELS_MIN
            && levels[0].total_cmp(&1.0).is_eq()
            && concurrency.len() == throughput.len()
            && throughput.iter().all(|&x| x > 0.0);
        fit_to_use.then(|| Self {
            concurrency: concurrency.to_vec(),
            log_gain: throughput
                .iter()
                .zip(concurrency)
                .map(|(x, n)| (x / n).ln())
                .collect(),
        })
    }

    /// The best of the fits with both parameters free or one or both of them zero, among those with none negative.
    fn fit(&self, log_gain: &[f64]) -> Usl {
        let both = self.optimise(
            log_gain,
            Free {
                alpha: true,
                beta: true,
            },
        );
        if both.0 >= 0.0 && both.1 >= 0.0 {
            return self.curve(log_gain, both);
        }
        let alpha_only = self.optimise(
            log_gain,
            Free {
                alpha: true,
                beta: false,
            },
        );
        let beta_only = self.optimise(
            log_gain,
            Free {
                alpha: false,
                beta: true,
            },
        );
        let best = [alpha_only, beta_only]
            .into_iter()
            .filter(|&(alpha, beta)| alpha >= 0.0 && beta >= 0.0)
            .map(|found| (self.residuals(log_gain, found), found))
            .fold(
                (self.residuals(log_gain, (0.0, 0.0)), (0.0, 0.0)),
                |best, next| {
                    if square(&next.0) < square(&best.0) {
                        next
                    } else {
                        best
                    }
                },
            );
        self.curve(log_gain, best.1)
    }

    fn curve(&self, log_gain: &[f64], (alpha, beta): (f64, f64)) -> Usl {
        Usl {
            gamma: self.log_gamma(log_gain, (alpha, beta)).exp(),
            alpha,
            beta,
        }
    }

    /// Best ln gamma given the other two.
    fn log_gamma(&self, log_gain: &[f64], (alpha, beta): (f64, f64)) -> f64 {
        let lifted: Vec<f64> = log_gain
            .iter()
            .zip(&self.concurrency)
            .map(|(gain, &n)| gain + denominator(alpha, beta, n).ln())
            .collect();
        mean(&lifted)
    }

    fn residuals(&self, log_gain: &[f64], (alpha, beta): (f64, f64)) -> Vec<f64> {
        let log_gamma = self.log_gamma(log_gain, (alpha, beta));
        log_gain
            .iter()
            .zip(&self.concurrency)
            .map(|(gain, &n)| gain + denominator(alpha, beta, n).ln() - log_gamma)
            .collect()
    }

    /// Levenberg and Marquardt's steps on alpha and beta, with ln gamma at its best for each.
    fn optimise(&self, log_gain: &[f64], free: Free) -> (f64, f64) {
        let mut at = (
            if free.alpha { 0.05 } else { 0.0 },
            if free.beta { 1e-4 } else { 0.0 },
        );
        let mut residuals = self.residuals(log_gain, at);
        let mut damping = 1e-3;
        for _ in 0..STEPS_MAX {
            let step = self.step(&residuals, at, free, damping);
            let next = (at.0 + step.0, at.1 + step.1);
            let valid = self
                .concurrency
                .iter()
                .all(|&n| denominator(next.0, next.1, n) > 0.0);
            let moved = if valid {
                Some(self.residuals(log_gain, next)).filter(|moved| square(moved) <= square(&residuals))
            } else {
                None
            };
            let small =
                step.0.abs() <= 1e-15 * (1e-6 + at.0.abs()) && step.1.abs() <= 1e-15 * (1e-9 + at.1.abs());
            if let Some(moved) = moved {
                at = next;
                residuals = moved;
                damping = (damping * 0.1).max(1e-12);
            } else {
                damping *= 10.0;
            }
            if small || damping > 1e12 {
                break;
            }
        }
        at
    }

    fn step(&self, residuals: &[f64], (alpha, beta): (f64, f64), free: Free, damping: f64) -> (f64, f64) {
        // Derivatives of ln(denominator), less their means because ln gamma follows.
        let slopes = |enabled: bool, of: &dyn Fn(f64) -> f64| -> Vec<f64> {
            if !enabled {
                return vec![0.0; residuals.len()];
            }
            let raw: Vec<f64> = self
                .concurrency
                .iter()
                .map(|&n| of(n) / denominator(alpha, beta, n))
                .collect();
            let centre = mean(&raw);
            raw.iter().map(|slope| slope - centre).collect()
        };
        let by_alpha = slopes(free.alpha, &|n| n - 1.0);
        let by_beta = slopes(free.beta, &|n| n * (n - 1.0));
        let (aa, bb, ab) = (square(&by_alpha), square(&by_beta), dot(&by_alpha, &by_beta));
        let (ra, rb) = (dot(&by_alpha, residuals), dot(&by_beta, residuals));
        let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
        match (free.alpha, free.beta) {
            (true, true) => {
                let determinant = aa * bb - ab * ab;
                (
                    (ab * rb - bb * ra) / determinant,
                    (ab * ra - aa * rb) / determinant,
                )
            }
            (true, false) => (-ra / aa, 0.0),
            (false, true) => (0.0, -rb / bb),
            (false, false) => (0.0, 0.0),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(values: &[f64]) -> f64 {
    dot(values, values)
}
