//! Ordinary least squares on one predictor.

use crate::{mean, student};

/// A fitted line with the uncertainty of its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Change of y per unit of x.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
    /// Standard error of the slope; 0 when the points lie on the line.
    pub slope_error: f64,
    /// Two-sided p-value of "the slope is zero".
    pub p: f64,
    /// Degrees of freedom: points less 2.
    pub df: f64,
}

impl Line {
    /// Two-sided interval of the slope.
    pub fn slope_interval(&self, confidence: f64) -> (f64, f64) {
        let half = student::quantile(f64::midpoint(1.0, confidence), self.df) * self.slope_error;
        (self.slope - half, self.slope + half)
    }
}

/// Fits y = intercept + slope x by least squares over the shorter of the two slices. `None` with fewer than three points
/// or when x does not vary. The errors assume independent residuals: feed block means of dependent series.
pub fn least_squares(x: &[f64], y: &[f64]) -> Option<Line> {
    let n = x.len().min(y.len());
    if n < 3 {
        return None;
    }
    let (x, y) = (&x[..n], &y[..n]);
    let (mean_x, mean_y) = (mean(x), mean(y));
    let sxx: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
    if sxx <= 0.0 {
        return None;
    }
    let sxy: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let slope = sxy / sxx;
    let intercept = mean_y - slope * mean_x;
    let residual: f64 = x
        .iter()
        .zip(y)
        .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    let df = n as f64 - 2.0;
    let slope_error = (residual / df / sxx).sqrt();
    let p = if slope_error > 0.0 {
        student::two_sided(slope / slope_error, df)
    } else if slope.abs() > 0.0 {
        0.0
    } else {
        1.0
    };
    Some(Line {
        slope,
        intercept,
        slope_error,
        p,
        df,
    })
}
