//! "No difference" as a claim of its own: two one-sided tests (Schuirmann 1987).

use crate::special::normal_quantile;
use crate::{mean, student, variance};

/// Outcome of the two one-sided tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equivalence {
    /// Mean difference.
    pub mean: f64,
    /// Lower end of the interval with confidence 1 - 2 alpha, which lies within the margins exactly when equivalent.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// p-value of "the mean lies outside the margins": the larger of the two.
    pub p: f64,
    /// Whether the mean is shown to lie within the margins.
    pub equivalent: bool,
}

/// Tests whether the mean of paired differences lies between `margin_low` and `margin_high`, each side with error probability
/// `alpha`. Not equivalent does not mean different. `None` of fewer than two differences or when they do not vary.
pub fn tost(differences: &[f64], margin_low: f64, margin_high: f64, alpha: f64) -> Option<Equivalence> {
    let n = differences.len() as f64;
    let (mean, error) = (mean(differences), (variance(differences) / n).sqrt());
    if differences.len() < 2 || error <= 0.0 {
        return None;
    }
    let df = n - 1.0;
    let above_low = student::cdf((margin_low - mean) / error, df);
    let below_high = student::cdf((mean - margin_high) / error, df);
    let half = student::quantile(1.0 - alpha, df) * error;
    let p = above_low.max(below_high);
    Some(Equivalence {
        mean,
        low: mean - half,
        high: mean + half,
        p,
        equivalent: p <= alpha,
    })
}

/// Pairs with which two one-sided tests at `alpha` show equivalence within plus or minus `margin` with probability `wanted`
/// when there is no difference and one difference has standard deviation `deviation`: the normal approximation, two pairs at
/// least.
pub fn needed(deviation: f64, margin: f64, alpha: f64, wanted: f64) -> u64 {
    let z = normal_quantile(1.0 - alpha) + normal_quantile(f64::midpoint(1.0, wanted));
    ((z * deviation / margin).powi(2).ceil() as u64).max(2)
}
