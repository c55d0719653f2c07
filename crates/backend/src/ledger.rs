//! The truth of single requests: the last ones, to be asked for by their id, and a line of JSON for each where a log is wanted.

use std::collections::VecDeque;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Method};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use crate::recorder::nanos;

/// Requests remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Longest path remembered, in bytes.
const PATH_MAX: usize = 512;

/// The last requests of one preset.
#[derive(Debug)]
pub(crate) struct Ledger {
    preset: &'static str,
    remembers: bool,
    logs: bool,
    last: Mutex<VecDeque<Entry>>,
}

/// What is true of one request.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The id under which its client knows it.
    pub(crate) id: Option<HeaderValue>,
    /// Its method.
    pub(crate) method: Method,
    /// Its path, without the query.
    pub(crate) path: String,
    /// The endpoint's name, where the preset told it.
    pub(crate) endpoint: Option<&'static str>,
    /// The status sent; 0 when it ended without an answer.
    pub(crate) status: u16,
    /// When its head was read, as Unix time.
    pub(crate) at: Duration,
    /// From there to its turn, where the preset told it.
    pub(crate) wait: Option<Duration>,
    /// From its turn to the end of its work, likewise.
    pub(crate) service: Option<Duration>,
    /// From its head to its answer.
    pub(crate) sojourn: Duration,
    /// Bytes of the body handed to the connection.
    pub(crate) bytes: u64,
    /// Whether that was the whole body.
    pub(crate) whole: bool,
    /// Common faults that it met.
    pub(crate) faults: Vec<&'static str>,
}

impl Ledger {
    /// `remembers` when somebody may ask.
    pub(crate) fn new(preset: &'static str, remembers: bool, logs: bool) -> Self {
        Self {
            preset,
            remembers,
            logs,
            last: Mutex::default(),
        }
    }

    /// Whether anybody wants to know.
    pub(crate) fn is_wanted(&self) -> bool {
        self.remembers || self.logs
    }

    /// A page for a request whose head was just read.
    pub(crate) fn open(self: &Arc<Self>, method: &Method, path: &str) -> Page {
        let mut end = path.len().min(PATH_MAX);
        while !path.is_char_boundary(end) {
            end -= 1;
        }
        Page {
            ledger: Arc::clone(self),
            entry: Entry {
                id: None,
                method: method.clone(),
                path: path[..end].to_owned(),
                endpoint: None,
                status: 0,
                at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
                wait: None,
                service: None,
                sojourn: Duration::ZERO,
                bytes: 0,
                whole: false,
                faults: Vec::new(),
            },
        }
    }

    fn close(&self, entry: Entry) {
        if self.logs {
            let line = format!("{}\n", self.describe(&entry));
            // A log that nobody reads any more is no reason to stop.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
        if self.remembers {
            let mut last = self.lock();
            if last.len() >= REMEMBERED_MAX {
                last.pop_front();
            }
            last.push_back(entry);
        }
    }

    /// The requests of that id, oldest first.
    pub(crate) fn find(&self, id: &str) -> Vec<Value> {
        self.lock()
            .iter()
            .filter(|entry| {
                entry
                    .id
                    .as_ref()
                    .is_some_and(|held| held.as_bytes() == id.as_bytes())
            })
            .map(|entry| self.describe(entry))
            .collect()
    }

    /// The last so many, oldest first.
    pub(crate) fn recent(&self, count: usize) -> Vec<Value> {
        let last = self.lock();
        let skipped = last.len().saturating_sub(count);
        last.iter()
            .skip(skipped)
            .map(|entry| self.describe(entry))
            .collect()
    }

    /// Forgets them.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn describe(&self, entry: &Entry) -> Value {
        json!({
            "time_unix_ms": entry.at.as_secs_f64() * 1000.0,
            "preset": self.preset,
            "id": entry.id.as_ref().map(|id| String::from_utf8_lossy(id.as_bytes())),
            "method": entry.method.as_str(),
            "path": entry.path,
            "endpoint": entry.endpoint,
            "status": entry.status,
            "bytes": entry.bytes,
            "whole": entry.whole,
            "wait_ns": entry.wait.map(nanos),
            "service_ns": entry.service.map(nanos),
            "sojourn_ns": nanos(entry.sojourn),
            "faults": entry.faults,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being served; it is entered when this is dropped.
pub(crate) struct Page {
    ledger: Arc<Ledger>,
    /// What is known so far.
    pub(crate) entry: Entry,
}

impl Page {
    /// The body, of which every byte is counted; the page ends with it.
    pub(crate) fn count(self, body: Body) -> Body {
        Body::new(Counted { page: self, body })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.ledger.close(self.entry.clone());
    }
}

/// A body that is counted as it goes.
struct Counted {
    page: Page,
    body: Body,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.page.entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(None) => self.page.entry.whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.page.entry.whole |= self.body.is_end_stream();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_last_by_their_id() {
        let ledger = Arc::new(Ledger::new("truth", true, false));
        for k in 0..REMEMBERED_MAX + 5 {
            let mut page = ledger.open(&Method::GET, &"é".repeat(300));
            page.entry.id = HeaderValue::from_str(&k.to_string()).ok();
        }
        assert!(ledger.find("4").is_empty());
        let found = ledger.find("5");
        assert_eq!((found.len(), &found[0]["status"]), (1, &json!(0)));
        assert_eq!(found[0]["path"].as_str().unwrap().len(), PATH_MAX);
        let recent = ledger.recent(2);
        assert_eq!(recent[1]["id"], json!((REMEMBERED_MAX + 4).to_string()));
        ledger.clear();
        assert!(ledger.recent(9).is_empty());
    }
}
