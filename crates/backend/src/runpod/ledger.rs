//! The true story of every request: when it came, when its turn came, who served it for how long, and why it was given up. It is
//! read only by the admin port.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Requests whose stories are kept; the oldest are forgotten, the counts go on.
const KEPT: usize = 20_000;

/// All stories.
#[derive(Debug)]
pub(crate) struct Ledger {
    origin: Instant,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    stories: VecDeque<(Story, Instant, u16)>,
    finished: u64,
    dropped: BTreeMap<&'static str, u64>,
}

/// One story.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    /// The id that the client knows.
    pub(crate) id: String,
    /// `request`, `probe` or `job`.
    pub(crate) kind: &'static str,
    /// What was asked for.
    pub(crate) path: String,
    /// It came.
    pub(crate) arrived: Instant,
    /// A worker got it.
    pub(crate) dispatched: Option<Instant>,
    /// Which one.
    pub(crate) worker: Option<usize>,
    /// What the worker says: it waited inside for so long, and was served for so long.
    pub(crate) inside: Option<(Duration, Duration)>,
    /// Why it was given up.
    pub(crate) dropped: Option<&'static str>,
}

impl Story {
    /// It has just come.
    pub(crate) fn new(id: String, kind: &'static str, path: &str) -> Self {
        Self {
            id,
            kind,
            path: path.to_owned(),
            arrived: Instant::now(),
            dispatched: None,
            worker: None,
            inside: None,
            dropped: None,
        }
    }

    /// How long it waited so far, inside a worker too.
    pub(crate) fn waited(&self) -> Duration {
        let outside = self.dispatched.unwrap_or_else(Instant::now) - self.arrived;
        outside + self.inside.map_or(Duration::ZERO, |(waited, _)| waited)
    }
}

impl Ledger {
    /// Empty.
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            book: Mutex::default(),
        }
    }

    /// A story is over.
    pub(crate) fn close(&self, story: Story, status: u16) {
        let finished = Instant::now();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.finished += 1;
        if let Some(cause) = story.dropped {
            *book.dropped.entry(cause).or_default() += 1;
        }
        if book.stories.len() == KEPT {
            book.stories.pop_front();
        }
        book.stories.push_back((story, finished, status));
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *book);
        drop(book);
        drop(old);
    }

    /// All of it; times in milliseconds since the start.
    pub(crate) fn to_json(&self) -> Value {
        let ms = |at: Instant| at.saturating_duration_since(self.origin).as_secs_f64() * 1000.0;
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let stories: Vec<Value> = book
            .stories
            .iter()
            .map(|(story, finished, status)| {
                let inside = |length: fn(&(Duration, Duration)) -> Duration| {
                    story
                        .inside
                        .as_ref()
                        .map(|both| length(both).as_secs_f64() * 1000.0)
                };
                json!({
                    "id": story.id,
                    "kind": story.kind,
                    "path": story.path,
                    "queued_ms": ms(story.arrived),
                    "started_ms": story.dispatched.map(ms),
                    "worker": story.worker,
                    "waited_inside_ms": inside(|both| both.0),
                    "service_ms": inside(|both| both.1),
                    "finished_ms": ms(*finished),
                    "status": status,
                    "dropped": story.dropped,
                })
            })
            .collect();
        json!({ "finished": book.finished, "dropped": book.dropped, "complete": book.finished as usize == book.stories.len(), "requests": stories })
    }
}
