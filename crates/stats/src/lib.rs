//! Mathematics on slices: intervals, quantile ranks, dependence, trends and tests.
//!
//! It knows nothing of runs, requests or time; every function is pure, and random resampling takes a seed.
//! Each routine is held against golden vectors that SciPy and its peers made (`golden/*.py`).

pub mod autocorrelation;
pub mod binomial;
pub mod blocks;
pub mod bootstrap;
pub mod change_point;
pub mod equivalence;
pub mod erlang;
mod fft;
pub mod fisher;
mod generator;
pub mod growth;
pub mod kolmogorov;
pub mod mixture;
pub mod multiple;
pub mod order;
pub mod paired;
pub mod regression;
pub mod sequential;
pub mod special;
pub mod steady;
pub mod student;
pub mod theil_sen;
pub mod trend;
pub mod usl;

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Unbiased sample variance (divisor n - 1), two passes; 0 of fewer than two values.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// Middle value, or the mean of the two middle values; NaN of nothing. Reorders its argument.
pub fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        f64::midpoint(values[half - 1], values[half])
    }
}
