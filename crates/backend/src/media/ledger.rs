//! What really happened: exchanges with the generation service, tool calls, downloads, waits at the lock, files. Written by everyone,
//! read only by the admin port. Lists are rings, so that memory is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Entries kept of each list; older ones are forgotten, counts are not.
const RING_MAX: usize = 2_000;

/// Counts by route and status.
type Statuses = BTreeMap<&'static str, BTreeMap<u16, u64>>;

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    exchanges: Ring,
    statuses: Statuses,
    /// The same since the start, for the service's own page.
    told: Statuses,
    truncated: BTreeMap<&'static str, u64>,
    throttled: u64,
    transfers: Overlap,
    calls: Ring,
    attempts: u64,
    retries: BTreeMap<String, u64>,
    downloads: Overlap,
    lock: Waits,
    cpu: Overlap,
    cpu_waits: Waits,
    cpu_busy: Duration,
    files: Ring,
    overwritten: u64,
    renamed: u64,
}

/// The newest entries of a list, and how many there were.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Value>,
    count: u64,
}

/// How many are at it now, and how many were at most.
#[derive(Debug, Default)]
struct Overlap {
    now: u64,
    max: u64,
    begun: u64,
}

/// How often and how long something was waited for.
#[derive(Debug, Default)]
struct Waits {
    count: u64,
    total: Duration,
    max: Duration,
}

/// What may overlap with its like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Activity {
    /// A content on its way out of the generation service.
    Transfer,
    /// A tool's download.
    Download,
    /// A picture being worked on.
    Picture,
}

/// One activity in progress; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct During {
    ledger: Arc<Ledger>,
    activity: Activity,
}

impl Drop for During {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        let overlap = book.overlap(self.activity);
        overlap.now = overlap.now.saturating_sub(1);
    }
}

impl Ledger {
    /// Something begins.
    pub(crate) fn during(self: &Arc<Self>, activity: Activity) -> During {
        let mut book = self.book();
        let overlap = book.overlap(activity);
        overlap.now += 1;
        overlap.begun += 1;
        overlap.max = overlap.max.max(overlap.now);
        drop(book);
        During {
            ledger: Arc::clone(self),
            activity,
        }
    }

    /// The generation service answered.
    pub(crate) fn exchanged(&self, route: &'static str, status: u16, entry: Value) {
        let mut book = self.book();
        *book.statuses.entry(route).or_default().entry(status).or_default() += 1;
        *book.told.entry(route).or_default().entry(status).or_default() += 1;
        book.exchanges.push(entry);
    }

    /// A transfer was cut (`cut`, `short`).
    pub(crate) fn truncated(&self, how: &'static str) {
        *self.book().truncated.entry(how).or_default() += 1;
    }

    /// A transfer was throttled.
    pub(crate) fn throttled(&self) {
        self.book().throttled += 1;
    }

    /// A call to the generation service is made.
    pub(crate) fn attempted(&self) {
        self.book().attempts += 1;
    }

    /// A call to the generation service is repeated, because of this.
    pub(crate) fn retried(&self, cause: &str) {
        *self.book().retries.entry(cause.to_owned()).or_default() += 1;
    }

    /// A tool call ended.
    pub(crate) fn called(&self, entry: Value) {
        self.book().calls.push(entry);
    }

    /// A download waited so long for the lock.
    pub(crate) fn waited_for_lock(&self, wait: Duration) {
        self.book().lock.add(wait);
    }

    /// A picture waited so long for a thread, and took so long.
    pub(crate) fn resized(&self, wait: Duration, busy: Duration) {
        let mut book = self.book();
        book.cpu_waits.add(wait);
        book.cpu_busy += busy;
    }

    /// A file is in its place.
    pub(crate) fn wrote(&self, entry: Value, overwrote: bool, renamed: bool) {
        let mut book = self.book();
        book.overwritten += u64::from(overwrote);
        book.renamed += u64::from(renamed);
        book.files.push(entry);
    }

    /// Counts of the generation service's answers since the start.
    pub(crate) fn statuses(&self) -> Statuses {
        self.book().told.clone()
    }

    /// The account begins anew; what is in progress goes on.
    pub(crate) fn reset(&self) {
        let mut book = self.book();
        let goes_on = |overlap: &Overlap| Overlap {
            now: overlap.now,
            max: overlap.now,
            begun: overlap.now,
        };
        let fresh = Book {
            told: std::mem::take(&mut book.told),
            transfers: goes_on(&book.transfers),
            downloads: goes_on(&book.downloads),
            cpu: goes_on(&book.cpu),
            ..Book::default()
        };
        let old = std::mem::replace(&mut *book, fresh);
        drop(book);
        drop(old);
    }

    /// Everything.
    pub(crate) fn to_json(&self) -> Value {
        let book = self.book();
        json!({
            "upstream": {
                "exchanges": book.exchanges.count,
                "statuses": book.statuses,
                "truncated": book.truncated,
                "throttled": book.throttled,
                "transfers": book.transfers.to_json(),
                "recent": book.exchanges.entries,
            },
            "calls": { "count": book.calls.count, "recent": book.calls.entries },
            "client": { "attempts": book.attempts, "retries": book.retries },
            "downloads": book.downloads.to_json(),
            "lock": book.lock.to_json(),
            "cpu": { "tasks": book.cpu.to_json(), "waits": book.cpu_waits.to_json(), "busy_ns": nanos(book.cpu_busy) },
            "files": {
                "count": book.files.count,
                "overwritten": book.overwritten,
                "renamed": book.renamed,
                "recent": book.files.entries,
            },
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn overlap(&mut self, activity: Activity) -> &mut Overlap {
        match activity {
            Activity::Transfer => &mut self.transfers,
            Activity::Download => &mut self.downloads,
            Activity::Picture => &mut self.cpu,
        }
    }
}

impl Ring {
    fn push(&mut self, entry: Value) {
        self.count += 1;
        if self.entries.len() == RING_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

impl Overlap {
    fn to_json(&self) -> Value {
        json!({ "in_flight": self.now, "in_flight_max": self.max, "begun": self.begun })
    }
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        self.count += 1;
        self.total += wait;
        self.max = self.max.max(wait);
    }

    fn to_json(&self) -> Value {
        json!({ "count": self.count, "total_ns": nanos(self.total), "max_ns": nanos(self.max) })
    }
}

/// A length of time for the account.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_counted_and_rings_are_bounded() {
        let ledger = Arc::new(Ledger::default());
        {
            let _one = ledger.during(Activity::Download);
            let _two = ledger.during(Activity::Download);
        }
        let _three = ledger.during(Activity::Download);
        for n in 0..=RING_MAX {
            ledger.called(json!(n));
        }
        let told = ledger.to_json();
        assert_eq!(
            told["downloads"],
            json!({ "in_flight": 1, "in_flight_max": 2, "begun": 3 })
        );
        assert_eq!(told["calls"]["count"], json!(RING_MAX + 1));
        assert_eq!(told["calls"]["recent"][0], json!(1));
        assert_eq!(told["calls"]["recent"].as_array().map(Vec::len), Some(RING_MAX));
        ledger.exchanged("GET /videos", 200, json!({}));
        ledger.reset();
        let told = ledger.to_json();
        assert_eq!(
            (&told["calls"]["count"], &told["upstream"]["statuses"]),
            (&json!(0), &json!({}))
        );
        assert_eq!(
            told["downloads"],
            json!({ "in_flight": 1, "in_flight_max": 1, "begun": 1 })
        );
        assert_eq!(ledger.statuses()["GET /videos"][&200], 1);
    }
}
