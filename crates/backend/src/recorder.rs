//! The backend's own account of what happened: per endpoint counts, statuses and true times. It is written by every request
//! and read only by the admin port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::slip::{self, Told};

/// Times kept per endpoint; beyond it only counts go on and `complete` turns false (8 MB at most).
const TIMES_MAX: usize = 500_000;
/// Times in one piece of a list.
const PIECE: usize = 4096;

/// The account. It is kept only when somebody can read it.
#[derive(Debug)]
pub(crate) struct Recorder {
    kept: bool,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    since: Instant,
    since_unix_ms: u64,
    endpoints: BTreeMap<&'static str, Page>,
    in_service: usize,
    in_service_max: usize,
    in_system: usize,
    in_system_max: usize,
    abandoned: u64,
}

#[derive(Debug, Default, Clone)]
struct Page {
    count: u64,
    statuses: BTreeMap<u16, u64>,
    service_ns: Series,
    sojourn_ns: Series,
    service_sum_s: f64,
    sojourn_sum_s: f64,
    complete: bool,
}

/// Times in nanoseconds, in order. Whole pieces are shared with its copies, so that a copy takes little time however long it is: who
/// reads an account copies it while requests wait, and does the rest afterwards.
#[derive(Debug, Default, Clone)]
pub(crate) struct Series {
    whole: Vec<Arc<[u64]>>,
    open: Vec<u64>,
}

impl Series {
    /// One more.
    pub(crate) fn push(&mut self, ns: u64) {
        self.open.push(ns);
        if self.open.len() == PIECE {
            self.whole.push(Arc::from(std::mem::take(&mut self.open)));
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.whole.len() * PIECE + self.open.len()
    }

    /// All of them in one list.
    pub(crate) fn to_vec(&self) -> Vec<u64> {
        let whole = self.whole.iter().flat_map(|piece| piece.iter());
        whole.chain(&self.open).copied().collect()
    }
}

/// One request, from the moment its head was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    arrived: Instant,
    begun: Option<Instant>,
    ended: Option<Instant>,
    in_slot: bool,
}

impl Recorder {
    /// An empty account; `kept` when the admin port is open.
    pub(crate) fn new(kept: bool) -> Self {
        Self {
            kept,
            book: Mutex::new(Book::new(0, 0)),
        }
    }

    /// A request arrived.
    pub(crate) fn arrive(&self) -> Visit {
        if self.kept {
            let mut book = self.lock();
            book.in_system += 1;
            book.in_system_max = book.in_system_max.max(book.in_system);
        }
        Visit {
            arrived: Instant::now(),
            begun: None,
            ended: None,
            in_slot: false,
        }
    }

    /// Its turn came: service begins, in a slot of the gate or without needing one.
    pub(crate) fn begin(&self, visit: &mut Visit, in_slot: bool) {
        if in_slot && self.kept {
            let mut book = self.lock();
            book.in_service += 1;
            book.in_service_max = book.in_service_max.max(book.in_service);
        }
        visit.in_slot = in_slot;
        visit.begun = Some(Instant::now());
    }

    /// Service ends and the slot, if there was one, is free for the next.
    pub(crate) fn end(&self, visit: &mut Visit) {
        visit.ended = Some(Instant::now());
        if std::mem::take(&mut visit.in_slot) && self.kept {
            let mut book = self.lock();
            book.in_service = book.in_service.saturating_sub(1);
        }
    }

    /// The answer is ready to be written.
    pub(crate) fn finish(&self, visit: Visit, endpoint: &'static str, status: u16) {
        let answered = Instant::now();
        if let Some(slip) = slip::current() {
            let deferred = slip.tell(Told {
                visit,
                endpoint,
                answered,
            });
            if deferred {
                return;
            }
        }
        if !self.kept {
            return;
        }
        let mut book = self.lock();
        book.in_system = book.in_system.saturating_sub(1);
        let times = Times {
            service: visit.service(answered),
            sojourn: answered - visit.arrived,
        };
        self.enter(&mut book, endpoint, status, visit.arrived, times);
    }

    /// An answer that was held back is let go; `times` are those of the whole, and `of_preset` is whether the preset counted
    /// the request as present.
    pub(crate) fn settle(
        &self,
        endpoint: &'static str,
        status: u16,
        arrived: Instant,
        times: Times,
        of_preset: bool,
    ) {
        let mut book = self.lock();
        if of_preset {
            book.in_system = book.in_system.saturating_sub(1);
        }
        self.enter(&mut book, endpoint, status, arrived, times);
    }

    fn enter(&self, book: &mut Book, endpoint: &'static str, status: u16, arrived: Instant, times: Times) {
        if !self.kept || arrived < book.since {
            return;
        }
        let page = book.endpoints.entry(endpoint).or_insert_with(|| Page {
            complete: true,
            ..Page::default()
        });
        page.count += 1;
        *page.statuses.entry(status).or_default() += 1;
        page.service_sum_s += times.service.as_secs_f64();
        page.sojourn_sum_s += times.sojourn.as_secs_f64();
        if page.service_ns.len() < TIMES_MAX {
            page.service_ns.push(nanos(times.service));
            page.sojourn_ns.push(nanos(times.sojourn));
        } else {
            page.complete = false;
        }
    }

    /// It ends without an answer: its client left, or the server crashed.
    pub(crate) fn abandon(&self, visit: Visit) {
        if !self.kept {
            return;
        }
        let mut book = self.lock();
        book.in_system = book.in_system.saturating_sub(1);
        if visit.in_slot {
            book.in_service = book.in_service.saturating_sub(1);
        }
        book.abandoned += u64::from(visit.arrived >= book.since);
    }

    /// Forgets everything so far; requests in flight are not counted when they end.
    pub(crate) fn reset(&self) {
        let mut book = self.lock();
        let fresh = Book::new(book.in_service, book.in_system);
        let old = std::mem::replace(&mut *book, fresh);
        drop(book);
        // Long lists take a while to be given back.
        drop(old);
    }

    /// The whole account as JSON; all times in nanoseconds.
    pub(crate) fn to_json(&self) -> Value {
        let book = self.lock();
        let elapsed_s = book.since.elapsed().as_secs_f64();
        let mut told = json!({
            "started_at_unix_ms": book.since_unix_ms,
            "elapsed_s": elapsed_s,
            "in_service": book.in_service,
            "in_service_max": book.in_service_max,
            "in_system_max": book.in_system_max,
            "abandoned": book.abandoned,
        });
        let pages = book.endpoints.clone();
        drop(book);
        let endpoints: serde_json::Map<String, Value> = pages
            .iter()
            .map(|(name, page)| ((*name).to_owned(), page.to_json(elapsed_s)))
            .collect();
        told["endpoints"] = endpoints.into();
        told
    }

    /// The raw times of one endpoint, in order of completion.
    pub(crate) fn times(&self, endpoint: &str) -> Option<Value> {
        let page = self.lock().endpoints.get(endpoint)?.clone();
        let (service_ns, sojourn_ns) = (page.service_ns.to_vec(), page.sojourn_ns.to_vec());
        Some(
            json!({ "endpoint": endpoint, "complete": page.complete, "service_ns": service_ns, "sojourn_ns": sojourn_ns }),
        )
    }

    /// Every count as lines of Prometheus' text format, each with the label `preset`.
    pub(crate) fn samples(&self, preset: &str) -> Samples {
        let book = self.lock();
        let mut samples = Samples {
            in_system: book.in_system,
            in_service: book.in_service,
            abandoned: book.abandoned,
            ..Samples::default()
        };
        for (name, page) in &book.endpoints {
            for (status, count) in &page.statuses {
                let labels = format!("preset=\"{preset}\",endpoint=\"{name}\",status=\"{status}\"");
                samples.requests.push((labels, *count));
            }
            let labels = format!("preset=\"{preset}\",endpoint=\"{name}\"");
            samples
                .service_s
                .push((labels.clone(), page.service_sum_s, page.count));
            samples.sojourn_s.push((labels, page.sojourn_sum_s, page.count));
        }
        samples
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two times of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// From its turn to the end of its work.
    pub(crate) service: Duration,
    /// From its head to the answer.
    pub(crate) sojourn: Duration,
}

/// Labels, sum in seconds, count.
pub(crate) type Sum = (String, f64, u64);

/// The counts for a page of metrics.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// By endpoint and status.
    pub(crate) requests: Vec<(String, u64)>,
    /// Service times by endpoint.
    pub(crate) service_s: Vec<Sum>,
    /// Sojourn times by endpoint.
    pub(crate) sojourn_s: Vec<Sum>,
    /// Requests present.
    pub(crate) in_system: usize,
    /// Requests in service.
    pub(crate) in_service: usize,
    /// Requests that ended without an answer.
    pub(crate) abandoned: u64,
}

impl Visit {
    /// Time until its turn; zero for what needed none.
    pub(crate) fn wait(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| begun - self.arrived)
    }

    /// Time from the turn to the end of the work; zero for what needed no work.
    pub(crate) fn service(&self, answered: Instant) -> Duration {
        self.begun
            .map_or(Duration::ZERO, |begun| self.ended.unwrap_or(answered) - begun)
    }
}

impl Book {
    fn new(in_service: usize, in_system: usize) -> Self {
        let since_unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Self {
            since: Instant::now(),
            since_unix_ms,
            endpoints: BTreeMap::new(),
            in_service,
            in_service_max: in_service,
            in_system,
            in_system_max: in_system,
            abandoned: 0,
        }
    }
}

impl Page {
    fn to_json(&self, elapsed_s: f64) -> Value {
        let statuses: serde_json::Map<String, Value> = self
            .statuses
            .iter()
            .map(|(status, count)| (status.to_string(), json!(count)))
            .collect();
        json!({
            "count": self.count,
            "rate_per_s": self.count as f64 / elapsed_s.max(1e-9),
            "statuses": statuses,
            "complete": self.complete,
            "service_ns": distribution(self.service_ns.to_vec()),
            "sojourn_ns": distribution(self.sojourn_ns.to_vec()),
        })
    }
}

/// True quantiles of times in nanoseconds: the smallest value that at least `p` of the values do not exceed (nearest rank, no interpolation).
pub(crate) fn distribution(mut sorted: Vec<u64>) -> Value {
    if sorted.is_empty() {
        return Value::Null;
    }
    sorted.sort_unstable();
    let mean = sorted.iter().map(|ns| *ns as f64).sum::<f64>() / sorted.len() as f64;
    json!({
        "n": sorted.len(),
        "min": sorted[0],
        "mean": mean,
        "p50": nearest_rank(&sorted, 0.5),
        "p90": nearest_rank(&sorted, 0.9),
        "p99": nearest_rank(&sorted, 0.99),
        "max": sorted[sorted.len() - 1],
    })
}

fn nearest_rank(sorted: &[u64], p: f64) -> u64 {
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// In nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let times: Vec<u64> = (1..=100).rev().collect();
        let told = distribution(times);
        assert_eq!(
            (told["p50"].as_u64(), told["p90"].as_u64(), told["p99"].as_u64()),
            (Some(50), Some(90), Some(99))
        );
        assert_eq!(told["mean"].as_f64(), Some(50.5));
        assert_eq!(distribution(Vec::new()), Value::Null);
        assert_eq!(distribution(vec![7])["p99"], json!(7));
    }

    #[test]
    fn a_copy_of_a_list_shares_its_whole_pieces_and_does_not_grow_with_it() {
        let mut series = Series::default();
        let count = 3 * PIECE as u64 + 5;
        (0..count).for_each(|ns| series.push(ns));
        let copy = series.clone();
        series.push(count);
        assert_eq!((copy.len() as u64, series.len() as u64), (count, count + 1));
        assert_eq!(copy.to_vec(), (0..count).collect::<Vec<_>>());
        let shared = copy.whole.iter().zip(&series.whole);
        assert_eq!(shared.filter(|(one, other)| Arc::ptr_eq(one, other)).count(), 3);
        assert_eq!(copy.open.len(), 5);
    }

    #[test]
    fn counts_concurrency_and_forgets_on_reset() {
        let recorder = Recorder::new(true);
        let mut first = recorder.arrive();
        let mut second = recorder.arrive();
        let mut third = recorder.arrive();
        recorder.begin(&mut first, true);
        recorder.begin(&mut second, true);
        recorder.begin(&mut third, false);
        recorder.end(&mut first);
        recorder.end(&mut second);
        recorder.finish(first, "GET /a", 200);
        recorder.finish(second, "GET /a", 404);
        recorder.finish(third, "GET /b", 200);
        let told = recorder.to_json();
        assert_eq!(
            (
                &told["in_service_max"],
                &told["in_system_max"],
                &told["in_service"]
            ),
            (&json!(2), &json!(3), &json!(0))
        );
        assert_eq!(
            told["endpoints"]["GET /a"]["statuses"],
            json!({"200": 1, "404": 1})
        );
        let mut gone = recorder.arrive();
        recorder.begin(&mut gone, true);
        recorder.abandon(gone);
        let told = recorder.to_json();
        assert_eq!((&told["abandoned"], &told["in_service"]), (&json!(1), &json!(0)));
        let late = recorder.arrive();
        recorder.reset();
        recorder.finish(late, "GET /a", 200);
        assert_eq!(recorder.to_json()["endpoints"], json!({}));
        assert_eq!(recorder.to_json()["in_service"], json!(0));
    }
}
