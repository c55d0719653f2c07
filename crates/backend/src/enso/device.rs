//! The simulated accelerator and slide storage: how long a model pass or a read takes, and which models are loaded. It keeps time,
//! it computes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::alarm::Alarm;

/// The models that a real deployment would hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// Patch embeddings and their attention head.
    Patch,
    /// Text to patch.
    Text,
    /// The report writer.
    Report,
}

/// What an answer waited for besides the processor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pass {
    /// One pass through a model, and its cost relative to an analysis.
    Model(Model, f64),
    /// Pixels read from where slides are kept.
    Storage,
}

/// The accelerator.
#[derive(Debug)]
pub(crate) struct Device {
    mean_ms: f64,
    storage_ms: f64,
    sigma: f64,
    load_ms: f64,
    drift_per_pass: f64,
    alarm: Alarm,
    dice: Mutex<Dice>,
    loaded: [AtomicBool; 3],
    loading: [tokio::sync::Mutex<()>; 3],
}

#[derive(Debug)]
struct Dice {
    rng: ChaCha8Rng,
    passes: u64,
}

impl Device {
    /// With all models loaded, or none.
    pub(crate) fn new(config: &super::config::Config, seed: u64) -> std::io::Result<Self> {
        let loaded = || AtomicBool::new(!config.lazy_load);
        Ok(Self {
            mean_ms: config.device_ms,
            storage_ms: config.storage_ms,
            sigma: config.device_sigma,
            load_ms: config.lazy_load_ms,
            drift_per_pass: config.service_drift / 1000.0,
            alarm: Alarm::start()?,
            dice: Mutex::new(Dice {
                rng: ChaCha8Rng::seed_from_u64(seed),
                passes: 0,
            }),
            loaded: [loaded(), loaded(), loaded()],
            loading: [
                tokio::sync::Mutex::new(()),
                tokio::sync::Mutex::new(()),
                tokio::sync::Mutex::new(()),
            ],
        })
    }

    /// Whether a model is loaded.
    pub(crate) fn is_loaded(&self, model: Model) -> bool {
        self.loaded[model as usize].load(Ordering::Acquire)
    }

    /// Takes the time of one pass, counted from `begun` (so that work done meanwhile on the host overlaps with it), after
    /// loading the model if it is not.
    pub(crate) async fn run(&self, pass: Pass, begun: Instant) {
        let (loading, mean_ms) = match pass {
            Pass::Model(model, share) => (self.load(model).await, self.mean_ms * share),
            Pass::Storage => (Duration::ZERO, self.storage_ms),
        };
        self.alarm.sleep_until(begun + loading + self.draw(mean_ms)).await;
    }

    async fn load(&self, model: Model) -> Duration {
        if self.is_loaded(model) {
            return Duration::ZERO;
        }
        let start = Instant::now();
        let _turn = self.loading[model as usize].lock().await;
        if !self.is_loaded(model) {
            self.alarm
                .sleep_until(Instant::now() + Duration::from_secs_f64(self.load_ms / 1000.0))
                .await;
            self.loaded[model as usize].store(true, Ordering::Release);
        }
        start.elapsed()
    }

    /// A lognormal time whose mean is `mean_ms`, grown by the drift.
    fn draw(&self, mean_ms: f64) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let normal: f64 = StandardNormal.sample(&mut dice.rng);
        let grown = 1.0 + self.drift_per_pass * dice.passes as f64;
        dice.passes += 1;
        let factor = (self.sigma * normal - self.sigma * self.sigma / 2.0).exp();
        Duration::from_secs_f64((mean_ms * grown * factor / 1000.0).min(3600.0))
    }
}
