//! The work behind /work, /v1/infer and /v1/generate: a place in the queue, then a time by the law, with all that makes it longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::crash::Crash;
use super::crew::{Crew, OnWorker};
use super::pace::{Freeze, Pace};
use super::service::ServiceTime;
use super::theory;
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::reply::Reply;
use crate::gate::Gate;
use crate::memory::Memory;
use crate::recorder::{Recorder, Visit};
use crate::settings::Settings;

const WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");

/// The queue and what is behind it.
#[derive(Debug)]
pub(crate) struct Work {
    service: ServiceTime,
    pace: Pace,
    freeze: Freeze,
    gate: Gate,
    servers: usize,
    queue_max: usize,
    crew: Option<Arc<Crew>>,
    worker_header: bool,
    shed_status: StatusCode,
    retry_after: RetryAfter,
    shed: AtomicU64,
    /// Real memory.
    pub(crate) memory: Memory,
    /// What a crash takes with it.
    pub(crate) crash: Crash,
    alarm: Arc<Alarm>,
    recorder: Arc<Recorder>,
}

#[derive(Debug, Clone, Copy)]
enum RetryAfter {
    Absent,
    Always(u64),
    True,
    Zero,
}

/// Who serves; free again when this is dropped.
#[derive(Debug)]
enum Turn {
    Server { _place: OwnedSemaphorePermit },
    Worker(OnWorker),
}

impl Work {
    /// From the knobs.
    pub(crate) fn new(
        settings: &Settings,
        seed: u64,
        alarm: Arc<Alarm>,
        recorder: Arc<Recorder>,
    ) -> Result<Self, BackendError> {
        let servers = if settings.flag("serial")? {
            1
        } else {
            settings.count("servers", 1, 4096)? as usize
        };
        let queue_max = settings.count("queue_max", 0, 1_000_000)? as usize;
        let fixed_s = settings.count("retry_after_s", 0, 86_400)?;
        Ok(Self {
            service: ServiceTime::new(settings, seed)?,
            pace: Pace::new(settings, seed)?,
            freeze: Freeze::new(settings)?,
            gate: Gate::new(servers, queue_max),
            servers,
            queue_max,
            crew: Crew::new(settings, Arc::clone(&alarm))?,
            worker_header: settings.flag("worker_header")?,
            shed_status: match settings.choice("shed_status", &["503", "429"])? {
                "429" => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            retry_after: match settings.choice("retry_after", &["fixed", "true", "false"])? {
                "true" => RetryAfter::True,
                "false" => RetryAfter::Zero,
                _ if fixed_s == 0 => RetryAfter::Absent,
                _ => RetryAfter::Always(fixed_s),
            },
            shed: AtomicU64::new(0),
            memory: Memory::new(settings)?,
            crash: Crash::new(settings)?,
            alarm,
            recorder,
        })
    }

    /// Waits out a standstill.
    pub(crate) async fn thaw(&self) {
        self.alarm.sleep_until(self.freeze.thaw(Instant::now())).await;
    }

    /// Takes a place, does the work and makes the answer of it. `before` is time for the input, `tokens` the length of the answer
    /// where it has one.
    pub(crate) async fn done(
        &self,
        visit: &mut Visit,
        before: Duration,
        tokens: Option<u64>,
        answer: impl FnOnce() -> Reply,
    ) -> Reply {
        self.crash.look(self.waiting());
        let turn = match self.enter().await {
            Ok(turn) => turn,
            Err(refused) => return refused,
        };
        self.recorder.begin(visit, true);
        let time = self.service.draw(tokens).mul_f64(self.pace.next(self.waiting())) + before;
        self.alarm
            .sleep_until(self.freeze.end(Instant::now(), time))
            .await;
        self.memory.served();
        self.recorder.end(visit);
        let mut reply = answer();
        if let (Turn::Worker(on), true) = (&turn, self.worker_header) {
            reply = reply.with(WORKER_ID, HeaderValue::from(on.worker));
        }
        drop(turn);
        reply
    }

    async fn enter(&self) -> Result<Turn, Reply> {
        match &self.crew {
            Some(crew) => crew
                .enter()
                .await
                .map(Turn::Worker)
                .map_err(|_| Reply::detail(StatusCode::BAD_REQUEST, "no workers available")),
            None => match self.gate.enter().await {
                Ok(place) => Ok(Turn::Server { _place: place }),
                Err(_) => Err(self.shed()),
            },
        }
    }

    fn waiting(&self) -> usize {
        self.crew
            .as_ref()
            .map_or_else(|| self.gate.waiting(), |crew| crew.waiting())
    }

    fn shed(&self) -> Reply {
        self.shed.fetch_add(1, Ordering::Relaxed);
        let reply = Reply::detail(self.shed_status, "Too many requests waiting");
        let after_s = match self.retry_after {
            RetryAfter::Absent => return reply,
            RetryAfter::Always(seconds) => seconds,
            RetryAfter::True => {
                let drained_s = self.waiting() as f64 * self.service.mean_s() / self.servers as f64;
                drained_s.ceil().max(1.0) as u64
            }
            RetryAfter::Zero => 0,
        };
        reply.with(header::RETRY_AFTER, HeaderValue::from(after_s))
    }

    /// The account begins anew.
    pub(crate) fn reset(&self) {
        self.shed.store(0, Ordering::Relaxed);
    }

    /// The exact moments of the law.
    pub(crate) fn model(&self) -> Value {
        self.service.to_json()
    }

    /// What is true of it.
    pub(crate) fn to_json(&self) -> Value {
        let exact = self.service.is_exponential() && self.crew.is_none();
        json!({
            "queue": theory::queue(self.servers, self.queue_max, self.service.mean_s(), exact),
            "pace": self.pace.to_json(),
            "freeze": self.freeze.to_json(self.service.constant_ns()),
            "memory": self.memory.to_json(),
            "workers": self.crew.as_ref().map(|crew| crew.to_json()),
            "shed": self.shed.load(Ordering::Relaxed),
            "crashes": self.crash.count(),
        })
    }
}
