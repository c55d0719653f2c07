//! Inference: a model for the request, a turn, the pixels through the network on a thread that may block, and the declared time of
//! the accelerator. It keeps the truth of each; it knows no protocol.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};

use super::config::Config;
use super::detect::{Detection, Limits, detect};
use super::file::{Labels, ModelFile};
use super::pictures::Picture;
use super::pixels::decode;
use super::registry::{Eyes, Held, Model, Registry, Unavailable};
use super::variants::{VARIANTS, Variant};
use crate::alarm::Alarm;
use crate::gate::{Full, Gate};
use crate::recorder::{Recorder, Visit};

/// Requests whose truth is kept.
const TOLD_MAX: usize = 2000;

/// The worker pool.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The models.
    pub(crate) registry: Registry,
    gate: Gate,
    slots: usize,
    may_load: bool,
    placeholder: bool,
    service_scale: f64,
    sigma: f64,
    drift_per_image: f64,
    alarm: Arc<Alarm>,
    recorder: Arc<Recorder>,
    dice: Mutex<ChaCha8Rng>,
    tally: Mutex<Tally>,
}

#[derive(Debug)]
struct Tally {
    told: VecDeque<Told>,
    models: Vec<Count>,
    images: u64,
}

/// What one model has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Requests answered.
    pub(crate) requests: u64,
    /// Requests or images that failed.
    pub(crate) failed: u64,
    /// Images processed.
    pub(crate) images: u64,
    /// Time waited for a turn.
    pub(crate) queue_ns: u64,
    /// Time in service.
    pub(crate) service_ns: u64,
}

/// The truth of one request.
#[derive(Debug)]
struct Told {
    request_id: String,
    endpoint: &'static str,
    model: &'static str,
    images: usize,
    load_ns: u64,
    queue_ns: u64,
    compute_ns: u64,
    service_ns: u64,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// The id that its client knows.
    pub(crate) request_id: String,
    /// Name of the endpoint in the account.
    pub(crate) endpoint: &'static str,
}

/// An image to look at.
#[derive(Debug)]
pub(crate) enum Source {
    /// An uploaded file, still to be decoded.
    Stored(Arc<Picture>),
    /// Pixels as they came.
    Pixels(RgbImage),
}

/// What was found in one image.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The most confident first.
    pub(crate) detections: Vec<Detection>,
    /// Names of the classes, where they are not those of the catalogue.
    pub(crate) labels: Option<Labels>,
    /// Time in service.
    pub(crate) service_ms: f64,
}

/// Why nothing can be said of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// It could not be decoded.
    Undecodable,
    /// The model of the file failed, and this is what its runtime said.
    Failed(String),
}

/// Why there was no inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No model.
    Model(Unavailable),
    /// Too many wait already.
    Busy,
}

impl Engine {
    /// Ready, with the models that are to be loaded from the start.
    pub(crate) fn new(
        config: &Config,
        file: Option<Arc<dyn ModelFile>>,
        time_scale: f64,
        seed: u64,
        recorder: Arc<Recorder>,
    ) -> std::io::Result<Self> {
        let alarm = Arc::new(Alarm::start()?);
        Ok(Self {
            registry: Registry::new(config, file, time_scale, Arc::clone(&alarm)),
            gate: Gate::new(config.slots, config.queue_max),
            slots: config.slots,
            may_load: config.lazy_load,
            placeholder: config.placeholder,
            service_scale: config.service_scale,
            sigma: config.service_sigma,
            drift_per_image: config.service_drift / 1000.0,
            alarm,
            recorder,
            dice: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            tally: Mutex::new(Tally {
                told: VecDeque::new(),
                models: vec![Count::default(); VARIANTS.len()],
                images: 0,
            }),
        })
    }

    /// Looks at some images, one after the other in one turn.
    pub(crate) async fn infer(
        &self,
        asker: &Asker,
        visit: &mut Visit,
        model: &Model,
        sources: Vec<Source>,
        limits: Limits,
    ) -> Result<Vec<Result<Found, Unseen>>, Refusal> {
        let images = sources.len();
        let (held, loading) = self
            .registry
            .get(model, self.may_load)
            .await
            .map_err(Refusal::Model)?;
        let waiting = Instant::now();
        // A placeholder does nothing that could be waited for.
        let turn = if self.placeholder {
            None
        } else {
            Some(self.gate.enter().await.map_err(|Full| Refusal::Busy)?)
        };
        let begun = Instant::now();
        self.recorder.begin(visit, turn.is_some());
        let mut compute = Duration::ZERO;
        let mut results = Vec::with_capacity(images);
        for source in sources {
            results.push(match self.one(model, &held, source, limits).await {
                Ok((found, computed)) => {
                    compute += computed;
                    Ok(found)
                }
                Err(unseen) => Err(unseen),
            });
        }
        self.recorder.end(visit);
        drop(turn);
        self.tell(
            model.index,
            results.iter().filter(|one| one.is_err()).count(),
            Told {
                request_id: asker.request_id.clone(),
                endpoint: asker.endpoint,
                model: model.variant.key,
                images,
                load_ns: loading.as_nanos() as u64,
                queue_ns: (begun - waiting).as_nanos() as u64,
                compute_ns: compute.as_nanos() as u64,
                service_ns: begun.elapsed().as_nanos() as u64,
            },
        );
        Ok(results)
    }

    async fn one(
        &self,
        model: &Model,
        held: &Arc<Held>,
        source: Source,
        limits: Limits,
    ) -> Result<(Found, Duration), Unseen> {
        if matches!(held.eyes, Eyes::Closed) {
            return Ok((constant(model.variant), Duration::ZERO));
        }
        let begun = Instant::now();
        let (held, outlined) = (Arc::clone(held), model.variant.segments);
        let looked = tokio::task::spawn_blocking(move || look(&held, &source, limits, outlined)).await;
        // A thread that panicked has seen a picture that cannot be handled.
        let detections = looked.unwrap_or(Err(Unseen::Undecodable))?;
        let computed = begun.elapsed();
        let labels = self.registry.file().map(ModelFile::labels);
        if labels.is_some() {
            // A model of the user's own takes the time that it takes.
            lock(&self.tally).images += 1;
        } else {
            self.alarm.sleep_until(begun + self.draw(model.variant)).await;
        }
        let found = Found {
            detections,
            labels,
            service_ms: begun.elapsed().as_secs_f64() * 1000.0,
        };
        Ok((found, computed))
    }

    /// A lognormal time whose mean is the declared one, grown by the drift.
    fn draw(&self, variant: &Variant) -> Duration {
        let normal: f64 = StandardNormal.sample(&mut *lock(&self.dice));
        let mut tally = lock(&self.tally);
        let grown = 1.0 + self.drift_per_image * tally.images as f64;
        tally.images += 1;
        let factor = (self.sigma * normal - self.sigma * self.sigma / 2.0).exp();
        let mean_ms = variant.service_ms * self.service_scale;
        Duration::from_secs_f64((mean_ms * grown * factor / 1000.0).min(3600.0))
    }

    fn tell(&self, model: usize, failed: usize, told: Told) {
        let mut tally = lock(&self.tally);
        let count = &mut tally.models[model];
        count.requests += 1;
        count.failed += failed as u64;
        count.images += told.images as u64;
        count.queue_ns += told.queue_ns;
        count.service_ns += told.service_ns;
        if tally.told.len() == TOLD_MAX {
            tally.told.pop_front();
        }
        tally.told.push_back(told);
    }

    /// What each model has done, in the order of the registry.
    pub(crate) fn counts(&self) -> Vec<Count> {
        lock(&self.tally).models.clone()
    }

    /// Requests that wait for a turn now.
    pub(crate) fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// The truth of single requests begins anew; what the models have done stays, as their statistics do.
    pub(crate) fn reset(&self) {
        let told = std::mem::take(&mut lock(&self.tally).told);
        drop(told);
    }

    /// The truth of the last requests, the oldest first.
    pub(crate) fn to_json(&self) -> Value {
        let tally = lock(&self.tally);
        let told: Vec<Value> = tally
            .told
            .iter()
            .map(|one| {
                json!({
                    "request_id": one.request_id, "endpoint": one.endpoint, "model": one.model, "images": one.images,
                    "load_ns": one.load_ns, "queue_ns": one.queue_ns, "compute_ns": one.compute_ns, "service_ns": one.service_ns,
                })
            })
            .collect();
        json!({ "slots": self.slots, "waiting": self.gate.waiting(), "images": tally.images, "requests": told })
    }
}

/// Decodes and detects.
fn look(held: &Held, source: &Source, limits: Limits, outlined: bool) -> Result<Vec<Detection>, Unseen> {
    let decoded;
    let pixels = match source {
        Source::Stored(picture) => {
            decoded = decode(&picture.bytes).ok_or(Unseen::Undecodable)?;
            &decoded
        }
        Source::Pixels(pixels) => pixels,
    };
    match &held.eyes {
        Eyes::Closed => Err(Unseen::Undecodable),
        Eyes::Small(network) => Ok(detect(network, pixels, limits, outlined)),
        Eyes::File(model) => model.detect(pixels, limits, outlined).map_err(Unseen::Failed),
    }
}

/// The constants that the observed wrappers return, whatever the picture.
fn constant(variant: &Variant) -> Found {
    let (class, confidence, bbox, service_ms) = match variant.framework {
        "RT-DETR" => (2, 0.92, [150.0, 50.0, 350.0, 200.0], 38.0),
        "SAM2" => (0, 0.88, [0.0, 0.0, 1.0, 1.0], 125.0),
        _ => (0, 0.85, [100.0, 100.0, 200.0, 300.0], 45.0),
    };
    let outline = if variant.segments {
        vec![[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    } else {
        Vec::new()
    };
    Found {
        detections: vec![Detection {
            bbox,
            confidence,
            class,
            outline,
        }],
        labels: None,
        service_ms,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
