//! Which models are in memory: loading takes the declared time and really takes the declared memory, or what a model file takes that
//! stands for all of them. It infers nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::config::Config;
use super::file::{ModelFile, OpenFile};
use super::identity::{now, seeded_uuid};
use super::network::Network;
use super::variants::{CLASSES, VARIANTS, Variant};
use crate::alarm::Alarm;

/// All models and their states.
#[derive(Debug)]
pub(crate) struct Registry {
    models: Vec<Model>,
    /// What stands for all models, once for those that are loaded.
    file: Option<Arc<dyn ModelFile>>,
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
    /// What it looks at pictures with.
    pub(crate) eyes: Eyes,
    memory: Vec<u8>,
}

/// What looks at pictures.
#[derive(Debug)]
pub(crate) enum Eyes {
    /// Nothing: a placeholder.
    Closed,
    /// The small network of the variant.
    Small(Network),
    /// The model of the file.
    File(Arc<dyn OpenFile>),
}

/// Why a model cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is not loaded and loads only when it is told to.
    NotLoaded,
    /// It is larger than all the memory there may be.
    TooLarge,
    /// Its file can no longer be loaded.
    Broken,
}

impl Registry {
    /// With some models in memory already.
    pub(crate) fn new(
        config: &Config,
        file: Option<Arc<dyn ModelFile>>,
        time_scale: f64,
        alarm: Arc<Alarm>,
    ) -> Self {
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
            file,
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
            let held = registry
                .needed_bytes(model)
                .and_then(|bytes| Held::new(model.variant, bytes, registry.placeholder, registry.file()));
            if let Ok(held) = held {
                let took_ms = registry.file().map_or(0.0, ModelFile::load_ms);
                registry.keep(model, held, took_ms);
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
        let (variant, placeholder, file) = (model.variant, self.placeholder, self.file.clone());
        let bytes = self.needed_bytes(model)?;
        self.make_room(&mut lock(&self.room), bytes);
        // Finding so many pages takes long enough to hold up others.
        let made =
            tokio::task::spawn_blocking(move || Held::new(variant, bytes, placeholder, file.as_deref()))
                .await;
        let held = made.map_err(|_| Unavailable::TooLarge)??;
        if matches!(held.eyes, Eyes::Small(_)) {
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

    /// The file that stands for all models, if there is one.
    pub(crate) fn file(&self) -> Option<&dyn ModelFile> {
        self.file.as_deref()
    }

    /// Memory that a model takes when it is loaded; a file takes it once for all of them.
    pub(crate) fn memory_bytes(&self, model: &Model) -> usize {
        if let Some(file) = self.file() {
            return file.memory_bytes();
        }
        (model.variant.weights_mib * self.memory_scale * 1024.0 * 1024.0) as usize
    }

    /// Time that it takes to load.
    pub(crate) fn load_ms(&self, model: &Model) -> f64 {
        match self.file() {
            Some(file) => file.load_ms(),
            None => model.variant.load_ms * self.load_scale,
        }
    }

    /// When the registry was made.
    pub(crate) fn created_at(&self) -> &str {
        &self.created_at
    }

    /// Memory really held by all.
    pub(crate) fn held_bytes(&self) -> usize {
        let own: usize = self.models.iter().map(Model::held_bytes).sum();
        let of_file = self.file().filter(|_| self.models.iter().any(Model::is_loaded));
        own + of_file.map_or(0, ModelFile::memory_bytes)
    }

    /// What is true now.
    pub(crate) fn to_json(&self) -> Value {
        let models: Vec<Value> = self
            .models
            .iter()
            .map(|model| {
                let state = lock(&model.state);
                let of_file = self.file().map_or(0, ModelFile::memory_bytes);
                json!({
                    "name": model.variant.key,
                    "id": model.id,
                    "loaded": state.held.is_some(),
                    "memory_bytes": state.held.as_ref().map_or(0, |held| held.memory.len() + of_file),
                    "loads": state.loads,
                    "load_ms_declared": self.load_ms(model),
                    "load_ms_last": state.load_ms_last,
                })
            })
            .collect();
        json!({
            "memory_bytes": self.held_bytes(),
            "memory_max_bytes": self.memory_max_bytes,
            "file": self.file().map(ModelFile::to_json),
            "all": models,
        })
    }

    fn touch(&self, model: &Model) -> Option<Arc<Held>> {
        let mut room = lock(&self.room);
        *room += 1;
        let mut state = lock(&model.state);
        state.used_at = *room;
        state.held.clone()
    }

    /// Memory of its own that loading a model takes, if there may ever be as much. That of a file was held against it at the start.
    fn needed_bytes(&self, model: &Model) -> Result<usize, Unavailable> {
        let bytes = if self.placeholder || self.file.is_some() {
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
    fn new(
        variant: &Variant,
        bytes: usize,
        placeholder: bool,
        file: Option<&dyn ModelFile>,
    ) -> Result<Self, Unavailable> {
        let eyes = match file {
            _ if placeholder => Eyes::Closed,
            Some(file) => Eyes::File(file.open().map_err(|_| Unavailable::Broken)?),
            None => {
                let classes = if variant.segments { 1 } else { CLASSES.len() };
                Eyes::Small(Network::new(variant.seed(), variant.width, classes))
            }
        };
        // Written to, so that the system has to find real pages.
        let memory = vec![0xa5; bytes];
        Ok(Self { eyes, memory })
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

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use image::RgbImage;

    use super::super::detect::{Detection, Limits};
    use super::super::file::Labels;
    use super::*;
    use crate::preset::preset;
    use crate::settings::Settings;

    /// A file that takes 7 bytes and 3 ms.
    #[derive(Debug, Default)]
    struct File {
        opened: AtomicUsize,
        is_gone: AtomicBool,
        shared: Mutex<Weak<Open>>,
    }

    #[derive(Debug)]
    struct Open;

    impl ModelFile for File {
        fn name(&self) -> &'static str {
            "own.onnx"
        }

        fn input_px(&self) -> [usize; 2] {
            [64, 64]
        }

        fn labels(&self) -> Labels {
            vec!["thing".to_owned()].into()
        }

        fn load_ms(&self) -> f64 {
            3.0
        }

        fn memory_bytes(&self) -> usize {
            7
        }

        fn inference_ms(&self) -> f64 {
            1.0
        }

        fn open(&self) -> Result<Arc<dyn OpenFile>, String> {
            if self.is_gone.load(Ordering::Relaxed) {
                return Err("gone".to_owned());
            }
            let mut shared = lock(&self.shared);
            if let Some(open) = shared.upgrade() {
                return Ok(open);
            }
            self.opened.fetch_add(1, Ordering::Relaxed);
            let open = Arc::new(Open);
            *shared = Arc::downgrade(&open);
            Ok(open)
        }

        fn to_json(&self) -> Value {
            json!({ "name": "own.onnx" })
        }
    }

    impl OpenFile for Open {
        fn detect(&self, _: &RgbImage, _: Limits, _: bool) -> Result<Vec<Detection>, String> {
            Ok(Vec::new())
        }
    }

    fn registry(file: &Arc<File>, preload: &str) -> Registry {
        let pairs = [("preload".to_owned(), preload.to_owned())];
        let settings = Settings::new(preset("vision-fixed").unwrap(), &pairs).unwrap();
        let config = Config::new(&settings).unwrap();
        let file: Arc<dyn ModelFile> = Arc::<File>::clone(file);
        Registry::new(&config, Some(file), 1.0, Arc::new(Alarm::start().unwrap()))
    }

    #[tokio::test]
    async fn a_file_stands_for_every_model_and_its_memory_counts_once() {
        let file = Arc::new(File::default());
        let registry = registry(&file, "all");
        let models = registry.models();
        assert!(models.iter().all(Model::is_loaded));
        assert_eq!(
            (file.opened.load(Ordering::Relaxed), registry.held_bytes()),
            (1, 7)
        );
        let (held, _) = registry.get(&models[0], false).await.unwrap();
        assert!(matches!(held.eyes, Eyes::File(_)));
        assert_eq!(registry.memory_bytes(&models[20]), 7);
        assert_eq!(registry.to_json()["all"][0]["load_ms_last"], json!(3.0));
    }

    #[tokio::test]
    async fn a_file_is_loaded_anew_once_nobody_has_it_and_may_be_gone_by_then() {
        let file = Arc::new(File::default());
        let registry = registry(&file, "none");
        let model = &registry.models()[0];
        assert_eq!(
            (file.opened.load(Ordering::Relaxed), registry.held_bytes()),
            (0, 0)
        );
        drop(registry.load(model).await.unwrap());
        assert_eq!(registry.held_bytes(), 7);
        assert!(registry.unload(model));
        assert_eq!(registry.held_bytes(), 0);
        file.is_gone.store(true, Ordering::Relaxed);
        assert_eq!(registry.load(model).await.unwrap_err(), Unavailable::Broken);
        assert!(!model.is_loaded());
    }
}
