//! A pool of workers that start on demand and stop when idle: who serves, when each became ready, and why a request was given up.
//! It knows no HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::settings::Settings;

/// The worker that gets nothing when the pool is imbalanced.
const LEFT_OUT: usize = 1;

/// The pool.
#[derive(Debug)]
pub(crate) struct Crew {
    cap: usize,
    cold: Duration,
    idle: Duration,
    give_up: Duration,
    imbalance: bool,
    alarm: Arc<Alarm>,
    state: Mutex<State>,
    origin: Instant,
}

#[derive(Debug, Default)]
struct State {
    workers: Vec<Worker>,
    queue: VecDeque<oneshot::Sender<usize>>,
    gave_up: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Worker {
    started: Instant,
    ready: Option<Instant>,
    stopped: Option<Instant>,
    idle_since: Option<Instant>,
    served: u64,
}

impl Worker {
    fn is_live(&self) -> bool {
        self.stopped.is_none()
    }

    fn is_starting(&self) -> bool {
        self.is_live() && self.ready.is_none()
    }
}

/// A worker that is held; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct OnWorker {
    crew: Arc<Crew>,
    /// Number of the worker, from 0, never used again.
    pub(crate) worker: usize,
}

impl Drop for OnWorker {
    fn drop(&mut self) {
        self.crew.release(self.worker);
    }
}

/// No worker came in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GaveUp;

impl Crew {
    /// From the knobs; `None` without workers.
    pub(crate) fn new(settings: &Settings, alarm: Arc<Alarm>) -> Result<Option<Arc<Self>>, BackendError> {
        let ms = |name| {
            settings
                .number(name, 0.0, 1e8)
                .map(|value| Duration::from_secs_f64(value / 1000.0))
        };
        let cap = settings.count("workers", 0, 1000)? as usize;
        let crew = Self {
            cap,
            cold: ms("cold_ms")?,
            idle: ms("idle_ms")?,
            give_up: ms("give_up_ms")?,
            imbalance: settings.flag("imbalance")?,
            alarm,
            state: Mutex::default(),
            origin: Instant::now(),
        };
        Ok((cap > 0).then(|| Arc::new(crew)))
    }

    /// Waits for a worker, first come first served; one more is started when more wait than are starting.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<OnWorker, GaveUp> {
        let mut waiting = {
            let mut state = self.lock();
            self.retire(&mut state);
            if let Some(worker) = self.take_idle(&mut state) {
                return Ok(self.on(worker));
            }
            let (sender, waiting) = oneshot::channel();
            state.queue.retain(|waiter| !waiter.is_closed());
            state.queue.push_back(sender);
            self.start_more(&mut state);
            waiting
        };
        tokio::select! {
            Ok(worker) = &mut waiting => Ok(self.on(worker)),
            () = self.alarm.sleep_until(Instant::now() + self.give_up) => {
                waiting.close();
                // A worker may have come in the same moment.
                if let Ok(worker) = waiting.try_recv() {
                    return Ok(self.on(worker));
                }
                let mut state = self.lock();
                let cause = Self::cause(&state);
                *state.gave_up.entry(cause).or_default() += 1;
                Err(GaveUp)
            }
        }
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock()
            .queue
            .iter()
            .filter(|waiter| !waiter.is_closed())
            .count()
    }

    /// Every worker ever started, and the requests given up by cause: `cold` while workers were starting, `unbalanced` while a
    /// ready one stood idle, `cap` when all that may be were busy.
    pub(crate) fn to_json(&self) -> Value {
        let mut state = self.lock();
        self.retire(&mut state);
        let ms = |at: Instant| at.duration_since(self.origin).as_secs_f64() * 1000.0;
        let workers: Vec<Value> = state
            .workers
            .iter()
            .enumerate()
            .map(|(id, worker)| {
                json!({
                    "id": id,
                    "started_ms": ms(worker.started),
                    "ready_ms": worker.ready.map(ms),
                    "stopped_ms": worker.stopped.map(ms),
                    "served": worker.served,
                })
            })
            .collect();
        json!({ "cap": self.cap, "workers": workers, "gave_up": state.gave_up })
    }

    fn on(self: &Arc<Self>, worker: usize) -> OnWorker {
        OnWorker {
            crew: Arc::clone(self),
            worker,
        }
    }

    fn may_serve(&self, worker: usize) -> bool {
        !(self.imbalance && worker == LEFT_OUT)
    }

    fn take_idle(&self, state: &mut State) -> Option<usize> {
        let found = (0..state.workers.len()).find(|&id| {
            let worker = &state.workers[id];
            worker.is_live() && worker.idle_since.is_some() && self.may_serve(id)
        })?;
        let worker = &mut state.workers[found];
        worker.idle_since = None;
        worker.served += 1;
        Some(found)
    }

    fn start_more(self: &Arc<Self>, state: &mut State) {
        let starting = |state: &State| state.workers.iter().filter(|w| w.is_starting()).count();
        let live = |state: &State| state.workers.iter().filter(|w| w.is_live()).count();
        while live(state) < self.cap && starting(state) < state.queue.len() {
            let id = state.workers.len();
            state.workers.push(Worker {
                started: Instant::now(),
                ready: None,
                stopped: None,
                idle_since: None,
                served: 0,
            });
            let crew = Arc::clone(self);
            tokio::spawn(async move {
                crew.alarm.sleep_until(Instant::now() + crew.cold).await;
                crew.lock().workers[id].ready = Some(Instant::now());
                crew.release(id);
            });
        }
    }

    /// A worker is free: it takes the first that waits, or idles.
    fn release(&self, id: usize) {
        let mut state = self.lock();
        while self.may_serve(id) {
            let Some(waiter) = state.queue.pop_front() else {
                break;
            };
            if waiter.send(id).is_ok() {
                state.workers[id].served += 1;
                return;
            }
        }
        state.workers[id].idle_since = Some(Instant::now());
    }

    /// Stops the workers that have been idle for too long.
    fn retire(&self, state: &mut State) {
        for worker in &mut state.workers {
            let due = worker.idle_since.map(|since| since + self.idle);
            if let Some(due) = due.filter(|due| worker.is_live() && *due <= Instant::now()) {
                worker.stopped = Some(due);
                worker.idle_since = None;
            }
        }
    }

    fn cause(state: &State) -> &'static str {
        let live = || state.workers.iter().filter(|w| w.is_live());
        if live().any(|worker| worker.idle_since.is_some()) {
            "unbalanced"
        } else if live().any(Worker::is_starting) {
            "cold"
        } else {
            "cap"
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
