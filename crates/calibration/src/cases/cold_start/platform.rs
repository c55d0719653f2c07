//! A serverless platform in simulated time: workers start on demand up to a cap, stop when idle, take one request at a time, and
//! a request that would have to wait too long is refused with 400. It keeps the cause of every refusal.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use prony_engine::Scripted;
use prony_model::Nanos;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

/// How the platform is set. Times in s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    /// Mean time of a start.
    pub start_s: f64,
    /// Mean time of a request.
    pub service_s: f64,
    /// Coefficient of variation of both.
    pub variation: f64,
    /// Workers that never stop.
    pub warm: usize,
    /// Workers at most.
    pub cap: usize,
    /// A request that would wait longer is refused after as long.
    pub patience_s: f64,
    /// A worker stops after as long without a request.
    pub idle_s: f64,
    /// Whether a request is dealt to a worker at random, busy or not, rather than to the one that is free first.
    pub at_random: bool,
    /// Of every so many requests in a burst, one takes longer than any client waits; 0 for none.
    pub endless_every: usize,
}

/// Why a request failed, or waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// Were all workers ready, it would have been taken in time.
    Cold,
    /// It would not.
    Cap,
    /// Were requests dealt to the worker that is free first, it would have been taken in time.
    Imbalance,
    /// It was taken, and took too long.
    Execution,
}

/// What the platform knows of its failures, in the order in which they came.
pub(super) type Failures = Arc<Mutex<Vec<Truth>>>;

/// A worker: when it is free, and when it would be if requests were always dealt to the worker that is free first.
#[derive(Clone, Copy, Debug)]
struct Worker {
    free: f64,
    fair: f64,
}

/// The running platform.
pub(super) struct Platform {
    setting: Setting,
    rng: ChaCha8Rng,
    workers: Vec<Worker>,
    /// The same requests dealt to as many workers that are all ready: when each is free.
    ready: Vec<f64>,
    taken: usize,
    failures: Failures,
}

impl Platform {
    pub(super) fn new(setting: Setting, seed: u64) -> (Self, Failures) {
        let failures = Failures::default();
        let platform = Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            workers: vec![Worker { free: 0.0, fair: 0.0 }; setting.warm],
            ready: vec![0.0; setting.cap],
            taken: 0,
            failures: Arc::clone(&failures),
            setting,
        };
        (platform, failures)
    }

    /// A time with that mean and the platform's variation.
    fn around(&mut self, mean_s: f64) -> f64 {
        let sigma = (1.0 + self.setting.variation.powi(2)).ln().sqrt();
        let law = LogNormal::new(-0.5 * sigma * sigma, sigma).expect("a sound variation");
        mean_s * law.sample(&mut self.rng)
    }

    /// The worker that takes a request at `now`: started when all are busy and the cap allows it.
    fn deal(&mut self, now: f64) -> usize {
        let is_free = self.workers.iter().any(|w| w.free <= now);
        if !is_free && self.workers.len() < self.setting.cap {
            let start_s = self.around(self.setting.start_s);
            let ready = now + start_s;
            self.workers.push(Worker {
                free: ready,
                fair: ready,
            });
        }
        if self.setting.at_random {
            return self.rng.random_range(0..self.workers.len());
        }
        earliest(self.workers.iter().map(|w| w.free))
    }

    fn stop_idle(&mut self, now: f64) {
        let idle_s = self.setting.idle_s;
        let mut spare = self.workers.len().saturating_sub(self.setting.warm);
        self.workers.retain(|worker| {
            let stops = spare > 0 && worker.free + idle_s < now;
            spare -= usize::from(stops);
            !stops
        });
    }

    fn fail(&self, truth: Truth) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(truth);
    }
}

impl Scripted for Platform {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let at = now.as_secs_f64();
        self.stop_idle(at);
        let service_s = self.around(self.setting.service_s);
        let worker = self.deal(at);
        let start = self.workers[worker].free.max(at);
        let patience_s = self.setting.patience_s;
        // The same request, were it dealt to the worker that is free first.
        let fair = earliest(self.workers.iter().map(|w| w.fair));
        let fair_start = self.workers[fair].fair.max(at);
        if fair_start <= at + patience_s {
            self.workers[fair].fair = fair_start + service_s;
        }
        // The same request, were as many workers ready as there may be.
        let ready = earliest(self.ready.iter().copied());
        let warm_start = self.ready[ready].max(at);
        if warm_start <= at + patience_s {
            self.ready[ready] = warm_start + service_s;
        }
        if start > at + patience_s {
            self.fail(if fair_start <= at + patience_s {
                Truth::Imbalance
            } else if warm_start <= at + patience_s {
                Truth::Cold
            } else {
                Truth::Cap
            });
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 19\r\n\r\nno worker available";
            return (Cow::Borrowed(answer), Nanos::from_secs_f64(at + patience_s));
        }
        self.taken += 1;
        let busy = self.workers.iter().filter(|w| w.free > at).count();
        let endless = self.setting.endless_every > 0
            && busy > 0
            && self.taken.is_multiple_of(self.setting.endless_every);
        if endless {
            // The client has gone by the time the worker is done; it answers the next all the same.
            self.fail(Truth::Execution);
            self.workers[worker].free = start + service_s;
            return (Cow::Borrowed(b""), Nanos::from_secs_f64(start + service_s));
        }
        self.workers[worker].free = start + service_s;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        (Cow::Borrowed(answer), Nanos::from_secs_f64(start + service_s))
    }
}

fn earliest(free: impl Iterator<Item = f64>) -> usize {
    free.enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(index, _)| index)
}
