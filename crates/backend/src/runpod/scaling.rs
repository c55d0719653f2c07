//! How many workers there are: when one more is started, when one is stopped, and what becomes of its process. It knows no requests,
//! only how many there are and how long they have waited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::config::{Config, Scaler};
use super::pool::{Kept, Phase, Pool, State, Worker};
use super::tending;

/// The pause after a worker that did not come up, doubled for each in a row.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

impl Config {
    /// When the wait of a request counts for the scaling.
    pub(super) fn overdue_after(&self) -> Option<Duration> {
        match self.scaler {
            Scaler::QueueDelay(delay) => Some(delay),
            Scaler::RequestCount(_) => None,
        }
    }

    /// Workers that there should be.
    fn wanted(&self, state: &State) -> usize {
        let queued = state.queued();
        let wanted = match self.scaler {
            Scaler::RequestCount(each) => ((queued + state.in_progress()) as f64 / each).ceil() as usize,
            Scaler::QueueDelay(delay) => {
                let live = state.live();
                let starting = state.workers.iter().filter(|worker| worker.is_starting()).count();
                let overdue = state
                    .queue
                    .iter()
                    .filter(|waiter| waiter.is_waiting() && waiter.arrived.elapsed() >= delay)
                    .count();
                live + overdue.saturating_sub(starting)
            }
        };
        // The first request starts the first worker at once.
        let wanted = wanted.max(usize::from(queued + state.probing > 0));
        wanted.clamp(self.workers_min, self.workers_max)
    }
}

impl Pool {
    /// Starts the workers that are wanted and not there.
    pub(super) fn scale(self: &Arc<Self>, state: &mut State) {
        if state.stopping {
            return;
        }
        let wanted = self.config.wanted(state);
        let live = state.live();
        if live >= wanted {
            return;
        }
        if let Some(at) = state.not_before.filter(|at| *at > Instant::now()) {
            if !std::mem::replace(&mut state.will_retry, true) {
                let pool = Arc::clone(self);
                tokio::spawn(async move {
                    pool.alarm.sleep_until(at).await;
                    let mut state = pool.lock();
                    state.will_retry = false;
                    pool.scale(&mut state);
                });
            }
            return;
        }
        for _ in live..wanted {
            self.start_one(state);
        }
    }

    fn start_one(self: &Arc<Self>, state: &mut State) {
        let taken = |slot: usize| {
            state
                .workers
                .iter()
                .any(|worker| worker.is_live() && worker.slot == slot)
        };
        let slot = (0..self.config.workers_max)
            .find(|slot| !taken(*slot))
            .unwrap_or_default();
        let (stop, stopped) = watch::channel(false);
        let id = state.workers.len();
        let mut worker = Worker::new(slot, stop);
        let kept = state.kept.pop().map(|kept| kept.home);
        worker.flashed = kept.is_some();
        state.workers.push(worker);
        tokio::spawn(tending::tend(Arc::clone(self), id, kept, stopped));
    }

    /// A worker is healthy: it may serve.
    pub(super) fn healthy(self: &Arc<Self>, id: usize) {
        let mut state = self.lock();
        let worker = &mut state.workers[id];
        if !worker.is_live() || worker.phase == Phase::Healthy {
            return;
        }
        let now = Instant::now();
        worker.phase = Phase::Healthy;
        worker.ready.get_or_insert(now);
        worker.idle_since = Some(now);
        state.failed = 0;
        state.not_before = None;
        state.misconfigured = false;
        self.dispatch(&mut state);
        self.watch_idle(&state, id);
        self.changed.notify_waiters();
    }

    /// A worker says that it is not ready: it gets no requests.
    pub(super) fn initialising(&self, id: usize) {
        let mut state = self.lock();
        let worker = &mut state.workers[id];
        if worker.is_live() {
            worker.phase = Phase::Initialising;
            worker.idle_since = None;
        }
        self.changed.notify_waiters();
    }

    /// A worker is stopped against its will; another may be started.
    pub(super) fn fail(self: &Arc<Self>, id: usize, why: &str) {
        let mut state = self.lock();
        if !state.workers[id].is_live() {
            return;
        }
        if state.workers[id].ready.is_none() {
            state.failed += 1;
            let pause = PAUSE * 2_u32.saturating_pow(state.failed.min(10) - 1);
            state.not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
        }
        self.end(&mut state, id, why, false);
        self.scale(&mut state);
        self.changed.notify_waiters();
        drop(state);
        self.bury();
    }

    /// The workers are up and nobody answers at their port.
    pub(super) fn wrong_port(self: &Arc<Self>, id: usize) {
        self.lock().misconfigured = true;
        self.fail(id, "nobody answers at its port");
        // Whoever waits is told so at once.
        self.lock().queue.clear();
    }

    /// Stops a worker when it has been idle for long enough and nobody waits. Called when it begins to be idle.
    pub(super) fn watch_idle(self: &Arc<Self>, state: &State, id: usize) {
        let Some(since) = state.workers[id].idle_since else {
            return;
        };
        if self.config.idle.is_zero() || state.workers[id].slot < self.config.workers_min {
            return;
        }
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let mut due = since + pool.config.idle;
            loop {
                pool.alarm.sleep_until(due).await;
                {
                    let mut state = pool.lock();
                    if state.stopping || state.workers[id].idle_since != Some(since) {
                        return;
                    }
                    if state.queued() == 0 && pool.config.may_go(&state) {
                        pool.end(&mut state, id, "idle", true);
                        break;
                    }
                }
                due += pool.config.idle;
            }
            pool.bury();
        });
    }

    /// Ends a worker. Its process is kept for a while where that is wanted, and otherwise handed to `bury`.
    fn end(self: &Arc<Self>, state: &mut State, id: usize, why: &str, may_keep: bool) {
        let worker = &mut state.workers[id];
        worker.phase = Phase::Stopped;
        worker.stopped = Some(Instant::now());
        worker.why_stopped = Some(why.to_owned());
        worker.idle_since = None;
        // Its task may have ended before.
        let _ = worker.stop.send(true);
        let Some(home) = worker.home.take() else { return };
        match self.config.flashboot {
            Some(keep) if may_keep => {
                state.kept.push(Kept { worker: id, home });
                let pool = Arc::clone(self);
                tokio::spawn(async move {
                    pool.alarm.sleep_until(Instant::now() + keep).await;
                    let mut state = pool.lock();
                    if let Some(at) = state.kept.iter().position(|kept| kept.worker == id) {
                        let kept = state.kept.remove(at);
                        state.dead.push(kept.home.process);
                    }
                    drop(state);
                    pool.bury();
                });
            }
            _ => state.dead.push(home.process),
        }
    }

    /// Ends the processes that are not needed any more, outside of the lock.
    fn bury(&self) {
        let dead = std::mem::take(&mut self.lock().dead);
        drop(dead);
    }

    /// Ends every process; none is started any more.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        state.queue.clear();
        let mut processes = std::mem::take(&mut state.dead);
        processes.extend(state.kept.drain(..).map(|kept| kept.home.process));
        for worker in &mut state.workers {
            // Its task may have ended before.
            let _ = worker.stop.send(true);
            processes.extend(worker.home.take().map(|home| home.process));
        }
        drop(state);
        drop(processes);
    }
}

impl Config {
    /// Whether one worker less is enough.
    fn may_go(&self, state: &State) -> bool {
        let needed = match self.scaler {
            Scaler::RequestCount(_) => self.wanted(state),
            Scaler::QueueDelay(_) => self.workers_min,
        };
        state.live() > needed
    }
}
