//! The images that were uploaded: their bytes as they came, in memory, up to a bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde_json::{Value, json};

use super::pixels::Head;

/// Most images kept, whatever their size.
const COUNT_MAX: usize = 10_000;

/// The parts of the data that an image may belong to.
pub(crate) const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// One image.
#[derive(Debug)]
pub(crate) struct Picture {
    /// A UUID.
    pub(crate) id: String,
    /// As the client called it.
    pub(crate) filename: String,
    /// One of [`SPLITS`].
    pub(crate) split: &'static str,
    /// What its head says.
    pub(crate) head: Head,
    /// The file.
    pub(crate) bytes: Bytes,
    /// When it came.
    pub(crate) uploaded_at: String,
}

/// All of them, oldest first; the oldest is forgotten when there is no room.
#[derive(Debug)]
pub(crate) struct Pictures {
    bytes_max: usize,
    held: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    pictures: VecDeque<Arc<Picture>>,
    bytes: usize,
    forgotten: u64,
}

impl Pictures {
    /// An empty store.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: Mutex::default(),
        }
    }

    /// Keeps one.
    pub(crate) fn add(&self, picture: Picture) -> Arc<Picture> {
        let picture = Arc::new(picture);
        let mut store = self.lock();
        store.bytes += picture.bytes.len();
        store.pictures.push_back(Arc::clone(&picture));
        while store.pictures.len() > 1 && (store.bytes > self.bytes_max || store.pictures.len() > COUNT_MAX) {
            if let Some(oldest) = store.pictures.pop_front() {
                store.bytes -= oldest.bytes.len();
                store.forgotten += 1;
            }
        }
        picture
    }

    /// One by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Picture>> {
        // The newest are asked for most.
        self.lock()
            .pictures
            .iter()
            .rev()
            .find(|picture| picture.id == id)
            .cloned()
    }

    /// A page of those of one split, or of all, and how many there are.
    pub(crate) fn page(
        &self,
        split: Option<&str>,
        limit: usize,
        offset: usize,
    ) -> (Vec<Arc<Picture>>, usize) {
        let store = self.lock();
        let wanted = || {
            store
                .pictures
                .iter()
                .filter(|picture| split.is_none_or(|split| picture.split == split))
        };
        (
            wanted().skip(offset).take(limit).cloned().collect(),
            wanted().count(),
        )
    }

    /// What is held now.
    pub(crate) fn to_json(&self) -> Value {
        let store = self.lock();
        json!({ "count": store.pictures.len(), "bytes": store.bytes, "forgotten": store.forgotten })
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Picture {
    /// As the API shows it.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "filename": self.filename,
            "file_path": format!("/storage/{}/{}", self.split, self.filename),
            "file_size": self.bytes.len(),
            "format": self.head.format,
            "width": self.head.width,
            "height": self.head.height,
            "dataset_split": self.split,
            "upload_timestamp": self.uploaded_at,
            "metadata": {},
        })
    }
}
