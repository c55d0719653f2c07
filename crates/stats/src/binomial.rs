//! The binomial distribution and intervals for a share.

use crate::special::{beta_inc, beta_inc_inverse, normal_quantile};

/// P(X <= k) for X ~ Binomial(n, p).
pub fn cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    beta_inc((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}

/// P(X >= k) for X ~ Binomial(n, p).
pub fn survival(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n {
        return 0.0;
    }
    beta_inc(k as f64, (n - k) as f64 + 1.0, p)
}

/// Smallest k with P(X <= k) >= q, ties to rounding error.
pub fn quantile(q: f64, n: u64, p: f64) -> u64 {
    let q = q - q * 1e-12;
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if cdf(middle, n, p) >= q {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Exact two-sided interval for the share behind `k` successes in `n` trials (Clopper and Pearson 1934): it covers with
/// at least `confidence`. (0, 1) for no trials.
pub fn clopper_pearson(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    clopper_pearson_worth(k.min(n) as f64, n as f64, confidence)
}

/// The same for trials that depend on one another: `k` and `n` are what they are worth in independent ones, and need not be
/// whole.
pub fn clopper_pearson_worth(k: f64, n: f64, confidence: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let tail = (1.0 - confidence) / 2.0;
    let failures = (n - k).max(0.0);
    let low = if k <= 0.0 {
        0.0
    } else {
        beta_inc_inverse(k, failures + 1.0, tail)
    };
    let high = if failures <= 0.0 {
        1.0
    } else {
        beta_inc_inverse(k + 1.0, failures, 1.0 - tail)
    };
    (low, high)
}

/// Score interval for the share behind `k` successes in `n` trials (Wilson 1927): narrower, covers on average.
pub fn wilson(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    let (n, share) = (n as f64, k as f64 / n as f64);
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Largest failure share that no failure in `n` trials leaves possible, one-sided 95 %: 1 - 0.05^(1/n), about 3/n.
pub fn zero_failure_bound(n: u64) -> f64 {
    if n == 0 {
        1.0
    } else {
        -(0.05_f64.ln() / n as f64).exp_m1()
    }
}
