//! What goes wrong in the generation service: which calls are refused, which transfers end early or are slow, which jobs fail. Each is
//! decided by the seed and the number of the call alone.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use crate::media::config::Service;

/// The failures to come.
#[derive(Debug)]
pub(super) struct Weather {
    seed: u64,
    reject_rate: f64,
    error_rate: f64,
    truncate_rate: f64,
    fail_rate: f64,
    pace: Option<f64>,
    throttle: (f64, f64),
    calls: AtomicU64,
    errors: AtomicU64,
    transfers: AtomicU64,
    truncated: AtomicU64,
    jobs: AtomicU64,
}

/// How a transfer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With its last byte.
    Whole,
    /// With the connection, half-way.
    Cut,
    /// Half-way, and the head says that this is all.
    Short,
}

/// How a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    /// Its end.
    pub(super) end: End,
    /// Its bytes per second.
    pub(super) pace: Option<f64>,
    /// Whether it is slower than others.
    pub(super) throttled: bool,
}

impl Weather {
    /// From the knobs.
    pub(super) fn new(service: &Service, seed: u64) -> Self {
        Self {
            seed,
            reject_rate: service.reject_rate,
            error_rate: service.error_rate,
            truncate_rate: service.truncate_rate,
            fail_rate: service.fail_rate,
            pace: service.pace,
            throttle: service.throttle,
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            transfers: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
        }
    }

    /// The status with which the next call is refused, if it is.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        let drawn = self.draw(1, &self.calls);
        if drawn < self.reject_rate {
            return Some(StatusCode::TOO_MANY_REQUESTS);
        }
        (drawn < self.reject_rate + self.error_rate).then(|| {
            if self.errors.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            }
        })
    }

    /// How the next transfer goes.
    pub(super) fn transfer(&self) -> Way {
        let n = self.transfers.fetch_add(1, Ordering::Relaxed);
        let throttled = unit(mix(self.seed ^ 2, n)) < self.throttle.0;
        let end = if unit(mix(self.seed ^ 3, n)) >= self.truncate_rate {
            End::Whole
        } else if self.truncated.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            End::Cut
        } else {
            End::Short
        };
        Way {
            end,
            pace: if throttled {
                Some(self.throttle.1)
            } else {
                self.pace
            },
            throttled,
        }
    }

    /// Whether the next job fails.
    pub(super) fn job_fails(&self) -> bool {
        self.draw(4, &self.jobs) < self.fail_rate
    }

    fn draw(&self, salt: u64, count: &AtomicU64) -> f64 {
        unit(mix(self.seed ^ salt, count.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A number that two numbers decide, evenly spread (the finaliser of SplitMix64).
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a
        .wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number in [0, 1) from the upper 53 bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{mix, unit};

    #[test]
    fn draws_are_even() {
        let n = 20_000;
        let mean = (0..n).map(|k| unit(mix(7, k))).sum::<f64>() / n as f64;
        let below = (0..n).filter(|k| unit(mix(7, *k)) < 0.05).count();
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((900..1100).contains(&below), "{below}");
    }
}
