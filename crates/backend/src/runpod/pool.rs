//! The workers and the queue before them: who serves, who waits, and why somebody was given up. It knows no HTTP; `scaling` decides
//! how many workers there are, `tending` looks after each.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot, watch};

use super::config::{Config, Routing};
use super::process::Process;
use crate::alarm::Alarm;

/// The place of the worker that gets nothing when the pool is uneven.
const LEFT_OUT: usize = 1;

/// The pool.
#[derive(Debug)]
pub(crate) struct Pool {
    /// What is in force.
    pub(crate) config: Config,
    /// The clock of all waiting.
    pub(crate) alarm: Alarm,
    /// All that is on disk; it goes with the platform.
    pub(crate) folder: PathBuf,
    /// The folder that the workers share with the store.
    pub(crate) volume: PathBuf,
    /// The file that each worker loads.
    pub(crate) weights: PathBuf,
    /// Rings when a worker's state changes.
    pub(super) changed: Notify,
    pub(super) origin: Instant,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Every worker ever started; its number is its place.
    pub(super) workers: Vec<Worker>,
    pub(super) queue: VecDeque<Waiter>,
    /// Stopped workers whose processes are kept.
    pub(super) kept: Vec<Kept>,
    /// Processes to be ended outside of the lock.
    pub(super) dead: Vec<Process>,
    /// The worker that got the last request.
    last: usize,
    /// The worker that got the last health check of a client, and how many such wait.
    probed: usize,
    pub(super) probing: usize,
    /// Workers in a row that did not become healthy, and when the next may start.
    pub(super) failed: u32,
    pub(super) not_before: Option<Instant>,
    /// Somebody will look again then.
    pub(super) will_retry: bool,
    /// A worker was looked for at the wrong port for too long.
    pub(super) misconfigured: bool,
    pub(super) stopping: bool,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Initialising,
    Healthy,
    Stopped,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) slot: usize,
    pub(super) phase: Phase,
    pub(super) started: Instant,
    pub(super) process_at: Option<Instant>,
    pub(super) ready: Option<Instant>,
    pub(super) first_request: Option<Instant>,
    pub(super) stopped: Option<Instant>,
    pub(super) why_stopped: Option<String>,
    pub(super) idle_since: Option<Instant>,
    pub(super) flashed: bool,
    pub(super) pid: Option<u32>,
    pub(super) home: Option<Home>,
    pub(super) pings: u64,
    pub(super) ping_longest: Duration,
    /// Tells the task that tends it.
    pub(super) stop: watch::Sender<bool>,
    busy: usize,
    busy_since: Option<Instant>,
    busy_time: Duration,
    served: u64,
}

/// A worker's process and where it listens.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) process: Process,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) address: Option<SocketAddr>,
}

/// A stopped worker's process, kept for the next start.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) worker: usize,
    pub(super) home: Home,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) arrived: Instant,
    give: oneshot::Sender<OnWorker>,
}

/// A worker that is held; it is free for the next when this is dropped.
#[derive(Debug)]
pub(crate) struct OnWorker {
    pool: Option<Arc<Pool>>,
    /// Number of the worker, from 0, never used again.
    pub(crate) worker: usize,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Drop for OnWorker {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.release(self.worker);
        }
    }
}

/// A health check that waits for a worker: one is wanted for it.
struct Probing<'a>(&'a Pool);

impl<'a> Probing<'a> {
    fn new(pool: &'a Arc<Pool>) -> Self {
        let mut state = pool.lock();
        state.probing += 1;
        pool.scale(&mut state);
        Self(pool)
    }
}

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.probing = state.probing.saturating_sub(1);
    }
}

/// Why somebody got no worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// None came in time: `cold`, `unbalanced` or `cap`.
    Late(&'static str),
    /// What waits already takes too long; try again after so long.
    Full(Duration),
    /// Workers are up, but nobody answers at their port.
    WrongPort,
}

impl Worker {
    pub(super) fn new(slot: usize, stop: watch::Sender<bool>) -> Self {
        Self {
            slot,
            phase: Phase::Starting,
            started: Instant::now(),
            process_at: None,
            ready: None,
            first_request: None,
            stopped: None,
            why_stopped: None,
            idle_since: None,
            flashed: false,
            pid: None,
            home: None,
            pings: 0,
            ping_longest: Duration::ZERO,
            stop,
            busy: 0,
            busy_since: None,
            busy_time: Duration::ZERO,
            served: 0,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.phase != Phase::Stopped
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Initialising)
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.home.as_ref()?.address
    }
}

impl Waiter {
    pub(super) fn is_waiting(&self) -> bool {
        !self.give.is_closed()
    }
}

impl State {
    /// Requests that wait and have not gone.
    pub(super) fn queued(&self) -> usize {
        self.queue.iter().filter(|waiter| waiter.is_waiting()).count()
    }

    /// Requests on workers.
    pub(super) fn in_progress(&self) -> usize {
        self.workers.iter().map(|worker| worker.busy).sum()
    }

    pub(super) fn live(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_live()).count()
    }

    /// Why nobody serves whoever waits now: a ready worker stands idle, workers are starting, or all that may be are busy.
    fn cause(&self) -> &'static str {
        let healthy = |worker: &&Worker| worker.phase == Phase::Healthy;
        if self.workers.iter().filter(healthy).any(|worker| worker.busy == 0) {
            "unbalanced"
        } else if self.workers.iter().any(Worker::is_starting) {
            "cold"
        } else {
            "cap"
        }
    }
}

impl Pool {
    /// Starts with the active workers on their way.
    pub(crate) fn start(config: Config, folder: PathBuf, origin: Instant) -> std::io::Result<Arc<Self>> {
        let pool = Arc::new(Self {
            config,
            alarm: Alarm::start()?,
            volume: volume(&folder),
            weights: weights(&folder),
            folder,
            changed: Notify::new(),
            origin,
            state: Mutex::default(),
        });
        pool.scale(&mut pool.lock());
        Ok(pool)
    }

    /// Waits for a worker, first come first served, for at most `patience`. `bounded` refuses at once what would wait too long.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        patience: Duration,
        bounded: bool,
    ) -> Result<OnWorker, Refused> {
        let arrived = Instant::now();
        let mut waiting = {
            let mut state = self.lock();
            if state.misconfigured {
                // The next worker may be found after all.
                self.scale(&mut state);
                return Err(Refused::WrongPort);
            }
            if bounded && state.queued() >= self.config.queue_max {
                return Err(Refused::Full(self.config.wait_max / 4));
            }
            let (give, waiting) = oneshot::channel();
            state.queue.push_back(Waiter { arrived, give });
            self.dispatch(&mut state);
            self.scale(&mut state);
            waiting
        };
        let give_up = arrived + patience;
        let mut overdue = self.config.overdue_after().map(|delay| arrived + delay);
        loop {
            let until = overdue.map_or(give_up, |overdue| overdue.min(give_up));
            tokio::select! {
                given = &mut waiting => return given.map_err(|_| self.refusal()),
                () = self.alarm.sleep_until(until) => {
                    if overdue.take().is_some() && until < give_up {
                        self.scale(&mut self.lock());
                        continue;
                    }
                    waiting.close();
                    // A worker may have come in the same moment.
                    return waiting.try_recv().map_err(|_| self.refusal());
                }
            }
        }
    }

    fn refusal(&self) -> Refused {
        let state = self.lock();
        if state.misconfigured {
            Refused::WrongPort
        } else if state.stopping {
            Refused::Late("stopped")
        } else {
            Refused::Late(state.cause())
        }
    }

    /// Any worker that listens, busy or not, as a health check is sent to one: a healthy one where there is one. The first is started if
    /// there is none.
    pub(crate) async fn any(self: &Arc<Self>, patience: Duration) -> Result<(usize, SocketAddr), Refused> {
        let give_up = Instant::now() + patience;
        let _probing = Probing::new(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on nothing is missed.
            changed.as_mut().enable();
            if let Some(found) = self.any_now()? {
                return Ok(found);
            }
            tokio::select! {
                () = changed => {}
                () = self.alarm.sleep_until(give_up) => return Err(self.refusal()),
            }
        }
    }

    fn any_now(&self) -> Result<Option<(usize, SocketAddr)>, Refused> {
        let mut state = self.lock();
        if state.misconfigured {
            return Err(Refused::WrongPort);
        }
        let count = state.workers.len();
        // One that is initialising says so only where no other can say that it is healthy.
        let found = [true, false].into_iter().find_map(|healthy| {
            (1..=count)
                .map(|step| (state.probed + step) % count)
                .find_map(|id| {
                    let worker = &state.workers[id];
                    let fit = worker.is_live() && (worker.phase == Phase::Healthy) == healthy;
                    Some((id, worker.address().filter(|_| fit)?))
                })
        });
        if let Some((id, _)) = found {
            state.probed = id;
        }
        Ok(found)
    }

    /// Gives those that wait to the workers that are free.
    pub(super) fn dispatch(self: &Arc<Self>, state: &mut State) {
        loop {
            while state.queue.front().is_some_and(|waiter| waiter.give.is_closed()) {
                state.queue.pop_front();
            }
            if state.queue.is_empty() {
                return;
            }
            let Some((id, address)) = self.choose(state) else {
                return;
            };
            let Some(waiter) = state.queue.pop_front() else {
                return;
            };
            let on = OnWorker {
                pool: Some(Arc::clone(self)),
                worker: id,
                address,
            };
            if let Err(mut unwanted) = waiter.give.send(on) {
                // It left in this moment. Its drop would want the lock that is held here.
                unwanted.pool = None;
                continue;
            }
            let now = Instant::now();
            state.last = id;
            let worker = &mut state.workers[id];
            worker.idle_since = None;
            worker.busy += 1;
            worker.served += 1;
            worker.busy_since.get_or_insert(now);
            worker.first_request.get_or_insert(now);
        }
    }

    fn choose(&self, state: &State) -> Option<(usize, SocketAddr)> {
        let healthy: Vec<usize> = (0..state.workers.len())
            .filter(|id| state.workers[*id].phase == Phase::Healthy)
            .collect();
        let free = healthy.iter().copied().filter(|id| {
            let worker = &state.workers[*id];
            let left_out = self.config.uneven && worker.slot == LEFT_OUT && healthy.len() > 1;
            worker.busy < self.config.concurrency && !left_out
        });
        let count = state.workers.len();
        let chosen = match self.config.routing {
            Routing::RoundRobin => free.min_by_key(|id| (id + count - state.last - 1) % count),
            Routing::LeastBusy => free.min_by_key(|id| (state.workers[*id].busy, state.workers[*id].served)),
        }?;
        Some((chosen, state.workers[chosen].address()?))
    }

    /// A worker has done one request.
    fn release(self: &Arc<Self>, id: usize) {
        let mut state = self.lock();
        let now = Instant::now();
        let worker = &mut state.workers[id];
        worker.busy = worker.busy.saturating_sub(1);
        if worker.busy == 0
            && let Some(since) = worker.busy_since.take()
        {
            worker.busy_time += now - since;
        }
        if worker.busy == 0 && worker.phase == Phase::Healthy {
            worker.idle_since = Some(now);
        }
        self.dispatch(&mut state);
        self.scale(&mut state);
        self.watch_idle(&state, id);
    }

    /// Counts of workers by state and of requests, as the queue API tells them.
    pub(crate) fn health(&self) -> (Value, usize, usize) {
        let state = self.lock();
        let count =
            |wanted: fn(&Worker) -> bool| state.workers.iter().filter(|worker| wanted(worker)).count();
        let workers = json!({
            "idle": count(|worker| worker.phase == Phase::Healthy && worker.busy == 0),
            "initializing": count(Worker::is_starting),
            "ready": count(|worker| worker.phase == Phase::Healthy),
            "running": count(|worker| worker.is_live() && worker.busy > 0),
            "throttled": 0,
            "unhealthy": 0,
        });
        (workers, state.queued(), state.in_progress())
    }

    /// The truth: every worker, the queue and the price. Times in milliseconds since the start.
    pub(crate) fn to_json(&self) -> Value {
        let state = self.lock();
        let now = Instant::now();
        let ms = |at: Instant| at.saturating_duration_since(self.origin).as_secs_f64() * 1000.0;
        let (mut active, mut flex) = (0.0, 0.0);
        let mut workers = Vec::new();
        for (id, worker) in state.workers.iter().enumerate() {
            let up = self
                .config
                .platform_s(worker.stopped.unwrap_or(now) - worker.started);
            if worker.slot < self.config.workers_min {
                active += up;
            } else {
                flex += up;
            }
            let busy = worker.busy_time + worker.busy_since.map_or(Duration::ZERO, |since| now - since);
            workers.push(json!({
                "id": id,
                "name": name(id),
                "slot": worker.slot,
                "pid": worker.pid,
                "phase": format!("{:?}", worker.phase).to_lowercase(),
                "flashed": worker.flashed,
                "started_ms": ms(worker.started),
                "process_ms": worker.process_at.map(ms),
                "ready_ms": worker.ready.map(ms),
                "first_request_ms": worker.first_request.map(ms),
                "stopped_ms": worker.stopped.map(ms),
                "why_stopped": worker.why_stopped,
                "served": worker.served,
                "in_progress": worker.busy,
                "busy_ms": busy.as_secs_f64() * 1000.0,
                "pings": worker.pings,
                "ping_longest_ms": worker.ping_longest.as_secs_f64() * 1000.0,
            }));
        }
        json!({
            "now_ms": ms(now),
            "time_scale": self.config.time_scale,
            "workers": workers,
            "workers_kept": state.kept.len(),
            "queue": {
                "waiting": state.queued(),
                "in_progress": state.in_progress(),
                "oldest_waited_ms": state.queue.front().map(|waiter| (now - waiter.arrived).as_secs_f64() * 1000.0),
                "cause_now": state.cause(),
            },
            "price": {
                "active_worker_s": active,
                "flex_worker_s": flex,
                "usd": active * self.config.price_active + flex * self.config.price_flex,
            },
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the pictures are in the platform's folder.
pub(crate) fn volume(folder: &Path) -> PathBuf {
    folder.join("volume")
}

/// Where the weights are.
pub(crate) fn weights(folder: &Path) -> PathBuf {
    folder.join("weights")
}

/// What a worker is called.
pub(crate) fn name(id: usize) -> String {
    format!("worker-{id}")
}
