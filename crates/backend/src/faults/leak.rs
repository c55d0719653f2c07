//! What is kept for ever: memory and file descriptors, until the admin port asks for them back.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::memory::Memory;

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Leak {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    kib: f64,
    memory: Option<Arc<Memory>>,
    /// What was kept at other rates, before the knob was turned.
    before: Vec<Arc<Memory>>,
    files: Vec<File>,
    refused: u64,
}

impl Leak {
    /// One more request.
    pub(crate) fn served(&self, kib: f64, descriptors: u64) {
        let mut held = self.lock();
        let turned = (held.kib - kib).abs() > f64::EPSILON;
        if turned {
            let past = held.memory.take();
            held.before.extend(past);
            held.kib = kib;
        }
        if kib > 0.0 {
            held.memory
                .get_or_insert_with(|| Arc::new(Memory::leak(kib * 1024.0)))
                .served();
        }
        for _ in 0..descriptors {
            match File::open("/dev/null") {
                Ok(file) => held.files.push(file),
                Err(_) => held.refused += 1,
            }
        }
    }

    /// Everything is given back.
    pub(crate) fn free(&self) {
        *self.lock() = Held::default();
    }

    /// Bytes and descriptors held.
    pub(crate) fn held(&self) -> (usize, usize) {
        let held = self.lock();
        let bytes = held
            .before
            .iter()
            .chain(&held.memory)
            .map(|memory| memory.kept_bytes())
            .sum();
        (bytes, held.files.len())
    }

    /// The same as JSON; `descriptors_refused` are those that the system would not give.
    pub(crate) fn to_json(&self) -> Value {
        let (bytes, descriptors) = self.held();
        json!({ "bytes": bytes, "descriptors": descriptors, "descriptors_refused": self.lock().refused })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_until_it_is_freed() {
        let leak = Leak::default();
        for _ in 0..1024 {
            leak.served(1.0, 0);
        }
        for _ in 0..512 {
            leak.served(2.0, 1);
        }
        assert_eq!(leak.held(), (2 * 1024 * 1024, 512));
        leak.free();
        assert_eq!(leak.held(), (0, 0));
    }
}
