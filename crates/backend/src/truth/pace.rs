//! What makes a service time differ from the law: warm-up, drift, the run's own factor, the queue, and the moments in which
//! everything stands still. Arithmetic on counts and instants; nothing here waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::settings::Settings;

/// The factors on the service time.
#[derive(Debug)]
pub(crate) struct Pace {
    warmup: f64,
    warmup_requests: f64,
    drift: f64,
    slowdown: f64,
    run_factor: f64,
    served: AtomicU64,
}

impl Pace {
    /// From the knobs. The run's factor is exp(sd z), with z drawn from the seed.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0052_554e);
        let normal: f64 = StandardNormal.sample(&mut rng);
        Ok(Self {
            warmup: settings.number("warmup", 0.0, 1000.0)?,
            warmup_requests: settings.number("warmup_requests", 1e-3, 1e9)?,
            drift: settings.number("drift", -1.0, 1000.0)?,
            slowdown: settings.number("slowdown", 0.0, 1000.0)?,
            run_factor: (settings.number("run_sd", 0.0, 3.0)? * normal).exp(),
            served: AtomicU64::new(0),
        })
    }

    /// The factor of the next request, of which so many wait behind it.
    pub(crate) fn next(&self, waiting: usize) -> f64 {
        self.factor(self.served.fetch_add(1, Ordering::Relaxed), waiting)
    }

    /// (1 + a e^(-n/tau)) (1 + d n/1000) (1 + s waiting), times the run's factor; never below a hundredth.
    fn factor(&self, n: u64, waiting: usize) -> f64 {
        let n = n as f64;
        let warm = 1.0 + self.warmup * (-n / self.warmup_requests).exp();
        let drifted = 1.0 + self.drift * n / 1000.0;
        let crowded = 1.0 + self.slowdown * waiting as f64;
        (warm * drifted * crowded * self.run_factor).max(0.01)
    }

    /// The factors, and that of the next request with nobody waiting.
    pub(crate) fn to_json(&self) -> Value {
        let served = self.served.load(Ordering::Relaxed);
        json!({ "run_factor": self.run_factor, "served": served, "factor_now": self.factor(served, 0) })
    }
}

/// Regular moments in which nothing moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freeze {
    origin: Instant,
    length: Duration,
    every: Duration,
}

impl Freeze {
    /// From the knobs; the first one begins one interval after the start.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let ms = |value: f64| Duration::from_secs_f64(value / 1000.0);
        let length = ms(settings.number("freeze_ms", 0.0, 600_000.0)?);
        let every = ms(settings.number("freeze_every_ms", 1.0, 3_600_000.0)?);
        if length >= every {
            return Err(settings.refuse("freeze_ms", "it must be shorter than freeze_every_ms"));
        }
        Ok(Self {
            origin: Instant::now() + every,
            length,
            every,
        })
    }

    /// When so much work is done that begins at `start`: the standstills in between are no work.
    pub(crate) fn end(&self, start: Instant, work: Duration) -> Instant {
        if self.length.is_zero() {
            return start + work;
        }
        let mut at = self.thaw(start);
        let mut left = work;
        loop {
            let next = self.next(at);
            if at + left < next {
                return at + left;
            }
            left -= next - at;
            at = next + self.length;
        }
    }

    /// The end of the standstill that `at` lies in, or `at`.
    pub(crate) fn thaw(&self, at: Instant) -> Instant {
        let Some(since) = at
            .checked_duration_since(self.origin)
            .filter(|_| !self.length.is_zero())
        else {
            return at;
        };
        let into = Duration::from_nanos((since.as_nanos() % self.every.as_nanos()) as u64);
        at + self.length.saturating_sub(into)
    }

    /// The beginning of the first standstill after `at`.
    fn next(&self, at: Instant) -> Instant {
        let Some(since) = at.checked_duration_since(self.origin) else {
            return self.origin;
        };
        let into = Duration::from_nanos((since.as_nanos() % self.every.as_nanos()) as u64);
        at + self.every.saturating_sub(into)
    }

    /// The share of time that it stands still, and quantiles of the response to a request of a constant time `work_ns` that never
    /// waits for others: it comes during a standstill, is interrupted by one, or neither.
    pub(crate) fn to_json(self, work_ns: Option<f64>) -> Value {
        let (x, y) = (self.length.as_nanos() as f64, self.every.as_nanos() as f64);
        if x == 0.0 {
            return Value::Null;
        }
        let mut out = json!({ "length_ns": x, "every_ns": y, "share": x / y });
        if let Some(s) = work_ns.filter(|s| s + x < y) {
            for (name, p) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                let untouched = 1.0 - (x + s) / y;
                out["response_ns"][name] = json!(s + ((p - untouched) * y).clamp(0.0, x));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::new(preset("truth").unwrap(), &pairs).unwrap()
    }

    #[test]
    fn factors_are_those_stated() {
        let pace = Pace::new(
            &settings(&[
                ("warmup", "1"),
                ("warmup_requests", "10"),
                ("drift", "0.5"),
                ("slowdown", "0.1"),
            ]),
            1,
        )
        .unwrap();
        assert!((pace.next(0) - 2.0).abs() < 1e-12);
        assert!((pace.factor(1000, 0) - 1.5).abs() < 1e-9);
        assert!((pace.factor(1000, 10) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_seed_decides_the_factor_of_the_run() {
        let of = |seed| {
            Pace::new(&settings(&[("run_sd", "0.05")]), seed)
                .unwrap()
                .run_factor
        };
        assert!((of(1) - of(1)).abs() < 1e-15 && (of(1) - of(2)).abs() > 1e-6);
        let logs: Vec<f64> = (0..2000).map(|seed| of(seed).ln()).collect();
        let sd = (logs.iter().map(|l| l * l).sum::<f64>() / 2000.0).sqrt();
        assert!((sd / 0.05 - 1.0).abs() < 0.08, "{sd}");
    }

    /// A request each millisecond against the stated quantiles.
    #[test]
    fn a_standstill_delays_what_it_should() {
        let freeze = Freeze::new(&settings(&[("freeze_ms", "100"), ("freeze_every_ms", "1000")])).unwrap();
        let work = Duration::from_millis(10);
        let mut times: Vec<f64> = (0..100_000)
            .map(|k| freeze.origin + Duration::from_micros(k * 100))
            .map(|at| (freeze.end(at, work) - at).as_nanos() as f64)
            .collect();
        times.sort_by(f64::total_cmp);
        let stated = freeze.to_json(Some(1e7));
        for (name, rank) in [("p50", 50_000), ("p95", 95_000), ("p99", 99_000)] {
            let true_ns = stated["response_ns"][name].as_f64().unwrap();
            assert!(
                (times[rank] / true_ns - 1.0).abs() < 0.01,
                "{name} {} {true_ns}",
                times[rank]
            );
        }
        assert_eq!(stated["response_ns"]["p50"], json!(1e7));
    }
}
