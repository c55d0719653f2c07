//! The jobs of the queue API: what each was asked, where it stands and what came out. It knows neither HTTP nor workers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::config::Config;
use super::pool;

/// Jobs that are remembered at once.
const JOBS_MAX: usize = 10_000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    InQueue,
    InProgress,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::InQueue,
        Self::InProgress,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// As clients read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InQueue => "IN_QUEUE",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    fn is_over(self) -> bool {
        !matches!(self, Self::InQueue | Self::InProgress)
    }
}

#[derive(Debug)]
struct Job {
    status: Status,
    created: Instant,
    started: Option<Instant>,
    over: Option<Instant>,
    worker: Option<usize>,
    output: Option<Value>,
    error: Option<String>,
    cancel: watch::Sender<bool>,
}

/// All jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    keep: Duration,
    table: Mutex<Table>,
    over: Notify,
}

#[derive(Debug)]
struct Table {
    jobs: HashMap<String, Job>,
    counts: [u64; 6],
    rng: ChaCha8Rng,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            keep: config.job_keep,
            table: Mutex::new(Table {
                jobs: HashMap::new(),
                counts: [0; 6],
                rng: ChaCha8Rng::seed_from_u64(config.seed),
            }),
            over: Notify::new(),
        }
    }

    /// A new job, and what tells that it was cancelled. `None` when there are too many.
    pub(crate) fn add(&self, sync: bool) -> Option<(String, watch::Receiver<bool>)> {
        let mut table = self.lock();
        let keep = self.keep;
        table
            .jobs
            .retain(|_, job| job.over.is_none_or(|over| over.elapsed() <= keep));
        if table.jobs.len() >= JOBS_MAX {
            return None;
        }
        let random: u128 = table.rng.random();
        let hex = format!("{random:032x}");
        let id = format!(
            "{}{}-{}-{}-{}-{}-e1",
            if sync { "sync-" } else { "" },
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        );
        let (cancel, cancelled) = watch::channel(false);
        table.counts[Status::InQueue as usize] += 1;
        table.jobs.insert(
            id.clone(),
            Job {
                status: Status::InQueue,
                created: Instant::now(),
                started: None,
                over: None,
                worker: None,
                output: None,
                error: None,
                cancel,
            },
        );
        Some((id, cancelled))
    }

    /// A worker took it up.
    pub(crate) fn begin(&self, id: &str, worker: usize) {
        let mut table = self.lock();
        if let Some(job) = table.jobs.get_mut(id) {
            job.started = Some(Instant::now());
            job.worker = Some(worker);
        }
        table.turn(id, Status::InProgress);
    }

    /// It is over, unless it was before.
    pub(crate) fn finish(&self, id: &str, status: Status, output: Option<Value>, error: Option<String>) {
        let mut table = self.lock();
        let Some(job) = table.jobs.get_mut(id).filter(|job| !job.status.is_over()) else {
            return;
        };
        job.over = Some(Instant::now());
        job.output = output;
        job.error = error;
        if status == Status::Cancelled {
            // Its task may have ended in this moment.
            let _ = job.cancel.send(true);
        }
        table.turn(id, status);
        drop(table);
        self.over.notify_waiters();
    }

    /// What is known of it.
    pub(crate) fn tell(&self, id: &str) -> Option<Value> {
        let table = self.lock();
        let job = table
            .jobs
            .get(id)
            .filter(|job| job.over.is_none_or(|over| over.elapsed() <= self.keep))?;
        let ms = |time: Duration| time.as_millis() as u64;
        let mut told = json!({ "id": id, "status": job.status.name() });
        if let Some(started) = job.started {
            told["delayTime"] = json!(ms(started - job.created));
            told["workerId"] = json!(job.worker.map(pool::name));
            if let Some(over) = job.over {
                told["executionTime"] = json!(ms(over - started));
            }
        }
        if let Some(output) = &job.output {
            told["output"] = output.clone();
        }
        if let Some(error) = &job.error {
            told["error"] = json!(error);
        }
        Some(told)
    }

    /// Waits until it is over, for at most so long.
    pub(crate) async fn wait(&self, id: &str, patience: Duration) {
        let over = async {
            loop {
                let ended = self.over.notified();
                tokio::pin!(ended);
                // From here on nothing is missed.
                ended.as_mut().enable();
                if self.lock().jobs.get(id).is_none_or(|job| job.status.is_over()) {
                    return;
                }
                ended.await;
            }
        };
        // Whoever asked is told where the job stands in either case.
        let _ = tokio::time::timeout(patience, over).await;
    }

    /// How many there are of each kind now; those over are counted for ever.
    pub(crate) fn counts(&self) -> Value {
        let table = self.lock();
        Status::ALL
            .iter()
            .map(|status| (status.name().to_owned(), json!(table.counts[*status as usize])))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn turn(&mut self, id: &str, status: Status) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        self.counts[job.status as usize] -= 1;
        self.counts[status as usize] += 1;
        job.status = status;
    }
}
