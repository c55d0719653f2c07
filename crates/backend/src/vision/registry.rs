//! Which models are in memory: loading takes the declared time and really takes the declared memory. It infers nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::config::Config;
use super::identity::{now, seeded_uuid};
use super::network::Network;
use super::variants::{CLASSES, VARIANTS, Variant};
use crate::alarm::Alarm;

/// All models and their states.
#[derive(Debug)]
pub(crate) struct Registry {
    models: Vec<Model>,
    /// Serialises what changes the memory in use.
    room: Mutex<u64>,
    load_scale: f64,
    memory_scale: f64,
    memory_max_bytes: usize,
    placeholder: bool,
    created_at: String,
    alarm: Arc<Alarm>,
}

/// One model.
#[derive(Debug)]
pub(crate) struct Model {
    /// What is declared of it.
    pub(crate) variant: &'static Variant,
    /// Its id under /api/v1.
    pub(crate) id: String,
    /// Its place in the registry.
    pub(crate) index: usize,
    state: Mutex<State>,
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Held>>,
    used_at: u64,
    loads: u64,
    load_ms_last: f64,
}

/// What a loaded model holds. Those that are using it keep it when it is unloaded.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its network; a placeholder has none.
    pub(crate) network: Option<Network>,
    memory: Vec<u8>,
}

/// Why a model cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is not loaded and loads only when it is told to.
    NotLoaded,
    /// It is larger than all the memory there may be.
    TooLarge,
}

impl Registry {
    /// With some models in memory already.
    pub(crate) fn new(config: &Config, time_scale: f64, alarm: Arc<Alarm>) -> Self {
        let models = VARIANTS
            .iter()
            .enumerate()
            .map(|(index, variant)| Model {
                variant,
                id: seeded_uuid(variant.seed()),
                index,
                state: Mutex::default(),
                loading: tokio::sync::Mutex::new(()),
            })
            .collect();
        let registry = Self {
            models,
            room: Mutex::new(0),
            load_scale: config.load_scale * time_scale,
            memory_scale: config.memory_scale,
            memory_max_bytes: config.memory_max_bytes,
            placeholder: config.placeholder,
            created_at: now(),
            alarm,
        };
        for index in &config.preload {
            let model = &registry.models[*index];
            // One that does not fit is not loaded; its state says so.
            if let Ok(bytes) = registry.needed_bytes(model) {
                registry.keep(model, Held::new(model.variant, bytes, registry.placeholder), 0.0);
            }
        }
        registry
    }

    /// All models in the order of the registry.
    pub(crate) fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model with that UUID.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.id == id)
    }

    /// The model with that name.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.variant.key == key)
    }

    /// The model for a request; it is loaded first if it is not and that is allowed. Tells how long that took.
    pub(crate) async fn get(
        &self,
        model: &Model,
        may_load: bool,
    ) -> Result<(Arc<Held>, Duration), Unavailable> {
        let begun = Instant::now();
        if let Some(held) = self.touch(model) {
            return Ok((held, Duration::ZERO));
        }
        if !may_load {
            return Err(Unavailable::NotLoaded);
        }
        let held = self.load(model).await?;
        Ok((held, begun.elapsed()))
    }

    /// Loads a model; two at once load it once.
    pub(crate) async fn load(&self, model: &Model) -> Result<Arc<Held>, Unavailable> {
        let _turn = model.loading.lock().await;
        if let Some(held) = self.touch(model) {
            return Ok(held);
        }
        let begun = Instant::now();
        let (variant, placeholder) = (model.variant, self.placeholder);
        let bytes = self.needed_bytes(model)?;
        self.make_room(&mut lock(&self.room), bytes);
        // Finding so many pages takes long enough to hold up others.
        let made = tokio::task::spawn_blocking(move || Held::new(variant, bytes, placeholder)).await;
        let held = made.map_err(|_| Unavailable::TooLarge)?;
        if !placeholder {
            let took = Duration::from_secs_f64((self.load_ms(model) / 1000.0).min(3600.0));
            self.alarm.sleep_until(begun + took).await;
        }
        Ok(self.keep(model, held, begun.elapsed().as_secs_f64() * 1000.0))
    }

    /// Unloads a model; whether it was loaded.
    pub(crate) fn unload(&self, model: &Model) -> bool {
        let _room = lock(&self.room);
        let held = lock(&model.state).held.take();
        held.map(release).is_some()
    }

    /// Memory that a model takes when it is loaded.
    pub(crate) fn memory_bytes(&self, model: &Model) -> usize {
        (model.variant.weights_mib * self.memory_scale * 1024.0 * 1024.0) as usize
    }

    /// Time that it takes to load.
    pub(crate) fn load_ms(&self, model: &Model) -> f64 {
        model.variant.load_ms * self.load_scale
    }

    /// When the registry was made.
    pub(crate) fn created_at(&self) -> &str {
        &self.created_at
    }

    /// Memory really held by all.
    pub(crate) fn held_bytes(&self) -> usize {
        self.models.iter().map(Model::held_bytes).sum()
    }

    /// What is true now.
    pub(crate) fn to_json(&self) -> Value {
        let models: Vec<Value> = self
            .models
            .iter()
            .map(|model| {
                let state = lock(&model.state);
                json!({
                    "name": model.variant.key,
                    "id": model.id,
                    "loaded": state.held.is_some(),
                    "memory_bytes": state.held.as_ref().map_or(0, |held| held.memory.len()),
                    "loads": state.loads,
                    "load_ms_declared": self.load_ms(model),
                    "load_ms_last": state.load_ms_last,
                })
            })
            .collect();
        json!({ "memory_bytes": self.held_bytes(), "memory_max_bytes": self.memory_max_bytes, "all": models })
    }

    fn touch(&self, model: &Model) -> Option<Arc<Held>> {
        let mut room = lock(&self.room);
        *room += 1;
        let mut state = lock(&model.state);
        state.used_at = *room;
        state.held.clone()
    }

    /// Memory that loading a model takes, if there may ever be as much.
    fn needed_bytes(&self, model: &Model) -> Result<usize, Unavailable> {
        let bytes = if self.placeholder {
            0
        } else {
            self.memory_bytes(model)
        };
        (bytes <= self.memory_max_bytes)
            .then_some(bytes)
            .ok_or(Unavailable::TooLarge)
    }

    /// Unloads those used longest ago until there is room.
    fn make_room(&self, _room: &mut MutexGuard<'_, u64>, bytes: usize) {
        while self.held_bytes() + bytes > self.memory_max_bytes {
            let oldest = self
                .models
                .iter()
                .filter(|other| other.held_bytes() > 0)
                .min_by_key(|other| lock(&other.state).used_at);
            match oldest.and_then(|oldest| lock(&oldest.state).held.take()) {
                Some(held) => release(held),
                None => break,
            }
        }
    }

    fn keep(&self, model: &Model, held: Held, took_ms: f64) -> Arc<Held> {
        let held = Arc::new(held);
        let mut room = lock(&self.room);
        self.make_room(&mut room, held.memory.len());
        *room += 1;
        let mut state = lock(&model.state);
        state.used_at = *room;
        state.loads += 1;
        state.load_ms_last = took_ms;
        state.held = Some(Arc::clone(&held));
        held
    }
}

impl Held {
    fn new(variant: &Variant, bytes: usize, placeholder: bool) -> Self {
        let classes = if variant.segments { 1 } else { CLASSES.len() };
        let network = (!placeholder).then(|| Network::new(variant.seed(), variant.width, classes));
        // Written to, so that the system has to find real pages.
        let memory = vec![0xa5; bytes];
        Self { network, memory }
    }
}

/// Gives memory back where it holds up nobody.
fn release(held: Arc<Held>) {
    tokio::task::spawn_blocking(move || drop(held));
}

impl Model {
    /// Whether it is in memory.
    pub(crate) fn is_loaded(&self) -> bool {
        lock(&self.state).held.is_some()
    }

    fn held_bytes(&self) -> usize {
        lock(&self.state)
            .held
            .as_ref()
            .map_or(0, |held| held.memory.len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
