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

    /// Whether a job that ended so may be put into the queue again.
    fn may_be_repeated(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

/// What a job was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// For the worker.
    pub(crate) input: Value,
    /// How long it may be worked on.
    pub(crate) timeout: Duration,
    /// How long it may wait for a worker.
    pub(crate) ttl: Duration,
}

/// Why a job is not put into the queue again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAgain {
    /// There is no such job.
    Unknown,
    /// It neither failed nor took too long.
    Wrong,
}

#[derive(Debug)]
struct Job {
    order: Order,
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
    /// Of those over, how many were so before the account began anew.
    before: [u64; 6],
    retried: u64,
    rng: ChaCha8Rng,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self::of(config.job_keep, config.seed)
    }

    fn of(keep: Duration, seed: u64) -> Self {
        Self {
            keep,
            table: Mutex::new(Table {
                jobs: HashMap::new(),
                counts: [0; 6],
                before: [0; 6],
                retried: 0,
                rng: ChaCha8Rng::seed_from_u64(seed),
            }),
            over: Notify::new(),
        }
    }

    /// A new job, and what tells that it was cancelled. `None` when there are too many.
    pub(crate) fn add(&self, order: Order, sync: bool) -> Option<(String, watch::Receiver<bool>)> {
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
                order,
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

    /// A worker took it up; false where it was cancelled in the same moment.
    pub(crate) fn begin(&self, id: &str, worker: usize) -> bool {
        let mut table = self.lock();
        let Some(job) = table.jobs.get_mut(id).filter(|job| !job.status.is_over()) else {
            return false;
        };
        job.started = Some(Instant::now());
        job.worker = Some(worker);
        table.turn(id, Status::InProgress);
        true
    }

    /// It is over, unless it was before.
    pub(crate) fn finish(&self, id: &str, status: Status, output: Option<Value>, error: Option<String>) {
        self.lock().finish(id, status, output, error);
        self.over.notify_waiters();
    }

    /// Everything that waits for a worker is cancelled; tells how many those were.
    pub(crate) fn purge(&self) -> usize {
        let mut table = self.lock();
        let waiting = table.jobs.iter().filter(|(_, job)| job.status == Status::InQueue);
        let ids: Vec<String> = waiting.map(|(id, _)| id.clone()).collect();
        for id in &ids {
            table.finish(id, Status::Cancelled, None, None);
        }
        drop(table);
        self.over.notify_waiters();
        ids.len()
    }

    /// One that failed or took too long waits for a worker again: what it is asked for, and what tells that it was cancelled.
    pub(crate) fn again(&self, id: &str) -> Result<(Order, watch::Receiver<bool>), NotAgain> {
        let mut table = self.lock();
        let keep = self.keep;
        let known = |job: &&mut Job| job.over.is_none_or(|over| over.elapsed() <= keep);
        let job = table.jobs.get_mut(id).filter(known).ok_or(NotAgain::Unknown)?;
        if !job.status.may_be_repeated() {
            return Err(NotAgain::Wrong);
        }
        job.created = Instant::now();
        (job.started, job.over, job.worker) = (None, None, None);
        (job.output, job.error) = (None, None);
        let asked = (job.order.clone(), job.cancel.subscribe());
        table.retried += 1;
        table.turn(id, Status::InQueue);
        Ok(asked)
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
        Table::named(|status| table.counts[status as usize])
    }

    /// How often one was put into the queue again.
    pub(crate) fn retried(&self) -> u64 {
        self.lock().retried
    }

    /// The same as `counts` for the account: of those over, only those since it began.
    pub(crate) fn account(&self) -> Value {
        let table = self.lock();
        Table::named(|status| table.counts[status as usize].saturating_sub(table.before[status as usize]))
    }

    /// The account begins anew.
    pub(crate) fn reset(&self) {
        let mut table = self.lock();
        for status in Status::ALL.into_iter().filter(|status| status.is_over()) {
            table.before[status as usize] = table.counts[status as usize];
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn finish(&mut self, id: &str, status: Status, output: Option<Value>, error: Option<String>) {
        let Some(job) = self.jobs.get_mut(id).filter(|job| !job.status.is_over()) else {
            return;
        };
        job.over = Some(Instant::now());
        job.output = output;
        job.error = error;
        if status == Status::Cancelled {
            // Its task may have ended in this moment.
            let _ = job.cancel.send(true);
        }
        if !status.may_be_repeated() {
            job.order.input = Value::Null;
        }
        self.turn(id, status);
    }

    fn named(count: impl Fn(Status) -> u64) -> Value {
        let one = |status: &Status| (status.name().to_owned(), json!(count(*status)));
        Value::Object(Status::ALL.iter().map(one).collect())
    }

    fn turn(&mut self, id: &str, status: Status) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        self.counts[job.status as usize] -= 1;
        self.counts[status as usize] += 1;
        job.status = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Jobs {
        Jobs::of(Duration::from_secs(60), 1)
    }

    fn order() -> Order {
        Order {
            input: json!({ "a": 1 }),
            timeout: Duration::from_secs(1),
            ttl: Duration::from_secs(1),
        }
    }

    #[test]
    fn one_that_was_cancelled_is_not_begun() {
        let jobs = jobs();
        let (id, cancelled) = jobs.add(order(), false).unwrap();
        jobs.finish(&id, Status::Cancelled, None, None);
        assert!(*cancelled.borrow());
        assert!(!jobs.begin(&id, 0));
        assert_eq!(jobs.tell(&id).unwrap()["status"], "CANCELLED");
        assert!(!jobs.begin("nope", 0));
    }

    #[test]
    fn what_waits_is_purged_and_what_failed_may_be_asked_for_again() {
        let jobs = jobs();
        let ids: Vec<String> = (0..3).map(|_| jobs.add(order(), false).unwrap().0).collect();
        assert!(jobs.begin(&ids[0], 0));
        assert_eq!(jobs.purge(), 2);
        assert_eq!(jobs.tell(&ids[1]).unwrap()["status"], "CANCELLED");
        assert_eq!(jobs.again(&ids[0]).unwrap_err(), NotAgain::Wrong);
        assert_eq!(jobs.again(&ids[1]).unwrap_err(), NotAgain::Wrong);
        assert_eq!(jobs.again("nope").unwrap_err(), NotAgain::Unknown);
        jobs.finish(&ids[0], Status::Failed, None, Some("why".to_owned()));
        let (again, cancelled) = jobs.again(&ids[0]).unwrap();
        assert_eq!((again.input, *cancelled.borrow()), (json!({ "a": 1 }), false));
        assert_eq!(
            jobs.tell(&ids[0]).unwrap(),
            json!({ "id": ids[0], "status": "IN_QUEUE" })
        );
        assert_eq!((jobs.retried(), &jobs.counts()["FAILED"]), (1, &json!(0)));
    }

    #[test]
    fn the_account_counts_what_ended_since_it_began() {
        let jobs = jobs();
        let (first, _) = jobs.add(order(), false).unwrap();
        jobs.finish(&first, Status::Failed, None, None);
        jobs.add(order(), false).unwrap();
        jobs.reset();
        let (account, counts) = (jobs.account(), jobs.counts());
        assert_eq!((&account["FAILED"], &account["IN_QUEUE"]), (&json!(0), &json!(1)));
        assert_eq!(counts["FAILED"], json!(1));
    }
}
