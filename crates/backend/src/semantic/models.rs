//! Which model is loaded. It knows no requests.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The models there are.
pub(super) const MODELS: [(&str, &str); 3] = [
    ("gemma-3-12b-it", "Gemma 3 12B"),
    ("gemma-3-4b-it", "Gemma 3 4B"),
    ("llama-3.2-3b-instruct", "Llama 3.2 3B"),
];

/// The slot for one model.
#[derive(Debug)]
pub(super) struct Models {
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    model: Option<&'static str>,
    ready: Instant,
}

/// What is in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loaded {
    /// A model that answers.
    Ready(&'static str),
    /// A model that is not ready yet.
    Loading(&'static str),
    /// None.
    Nothing,
}

impl Models {
    /// The first model loads for so long.
    pub(super) fn new(load: Duration) -> Self {
        Self {
            slot: Mutex::new(Slot {
                model: Some(MODELS[0].0),
                ready: Instant::now() + load,
            }),
        }
    }

    /// What is loaded now.
    pub(super) fn loaded(&self) -> Loaded {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.model {
            None => Loaded::Nothing,
            Some(model) if slot.ready <= Instant::now() => Loaded::Ready(model),
            Some(model) => Loaded::Loading(model),
        }
    }

    /// Puts a model, or none, into the slot; tells when it will be ready.
    pub(super) fn put(&self, model: Option<&'static str>, load: Duration) -> Instant {
        let ready = Instant::now() + load;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot { model, ready };
        ready
    }

    /// The model of that name.
    pub(super) fn find(name: &str) -> Option<&'static str> {
        MODELS.iter().map(|(id, _)| *id).find(|id| *id == name)
    }
}
