//! The running server: one request from its head to its answer, through the gate and the device, into the account.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;

use super::config::Config;
use super::device::{Device, Pass};
use super::perf::Perf;
use super::routes::{self, Ask, Route, Weight};
use super::slides::Cohort;
use super::{docs_page, openapi};
use crate::error::BackendError;
use crate::fastapi::cors;
use crate::fastapi::reply::Reply;
use crate::gate::{Full, Gate};
use crate::recorder::{Recorder, Visit};
use crate::settings::Settings;
use crate::slip;
use crate::system::{Answering, Start, System};

/// Front ends that may call from a browser.
const ORIGINS: &[&str] = &["http://localhost:3000", "http://localhost:7860"];
/// A body that takes longer to arrive is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed.
const REQUEST_ID_MAX: usize = 128;

/// The server's state.
#[derive(Debug)]
pub(crate) struct Enso {
    /// What is in force.
    pub(crate) config: Config,
    /// The slides.
    pub(crate) cohort: Cohort,
    /// The simulated accelerator.
    pub(crate) device: Device,
    /// /openapi.json.
    pub(crate) openapi: Value,
    /// /api/docs.
    pub(crate) docs: String,
    /// /api/perf/latency-summary.
    pub(crate) perf: Perf,
    gate: Gate,
    recorder: Arc<Recorder>,
    leaked: Mutex<Vec<Vec<u8>>>,
    next_id: AtomicU64,
}

/// What is to be served: a request for a handler, or an answer that needed none.
enum Work {
    Ask(&'static Route, Ask),
    Done(Reply),
}

/// What a route gives back: the answer, and the model pass it took.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The answer.
    pub(crate) reply: Reply,
    /// The accelerator's part.
    pub(crate) pass: Option<Pass>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, pass: None }
    }
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    Ok(Arc::new(Enso::start(
        start.settings,
        start.slides.as_deref(),
        start.seed,
        Arc::clone(&start.recorder),
    )?))
}

impl System for Enso {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(Enso::handle(self, request))
    }
}

impl Enso {
    /// Reads the knobs and prepares the slides; everything is ready when this returns.
    fn start(
        settings: &Settings,
        slides: Option<&Path>,
        seed: u64,
        recorder: Arc<Recorder>,
    ) -> Result<Self, BackendError> {
        let config = Config::new(settings)?;
        let cohort = match slides {
            Some(folder) => Cohort::from_folder(folder)?,
            None => Cohort::generated(config.slide_px, seed),
        };
        let device = Device::new(&config, seed)?;
        let openapi = openapi::document(&config);
        let docs = docs_page::html(&openapi);
        let gate = if config.serial {
            Gate::new(1, usize::MAX)
        } else {
            Gate::new(
                config.slots,
                if config.queue_max == 0 {
                    usize::MAX
                } else {
                    config.queue_max
                },
            )
        };
        Ok(Self {
            config,
            cohort,
            device,
            openapi,
            docs,
            perf: Perf::default(),
            gate,
            recorder,
            leaked: Mutex::default(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Serves one request. The work goes on when the client leaves, as it would on a real server.
    async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let task = slip::spawn(async move {
            let arrived = Instant::now();
            let mut visit = self.recorder.arrive();
            let (parts, body) = request.into_parts();
            let (endpoint, mut reply) = match cors::preflight(&parts.method, &parts.headers, ORIGINS) {
                Some(reply) => ("CORS preflight", self.serve(Work::Done(reply), &mut visit).await),
                None => match routes::find(&parts.method, &parts.uri, &parts.headers) {
                    Ok((route, ask)) => (
                        route.endpoint,
                        self.route(route, ask, &parts.headers, body, &mut visit).await,
                    ),
                    Err(reply) => ("unrouted", self.serve(Work::Done(reply), &mut visit).await),
                },
            };
            cors::decorate(&mut reply, &parts.headers, ORIGINS);
            self.sign(&mut reply, parts.headers.get(REQUEST_ID));
            self.leak();
            self.perf
                .answered(endpoint, reply.status.as_u16(), arrived.elapsed());
            self.recorder.finish(visit, endpoint, reply.status.as_u16());
            reply.into_response()
        });
        // A handler that panicked is answered like an exception that nobody caught.
        task.await.unwrap_or_else(|_| Reply::unhandled().into_response())
    }

    async fn route(
        self: &Arc<Self>,
        route: &'static Route,
        mut ask: Ask,
        headers: &HeaderMap,
        body: Body,
        visit: &mut Visit,
    ) -> Reply {
        if route.method() == "POST" {
            match self.read_body(headers, body).await {
                Ok(bytes) => ask.body = bytes,
                Err(reply) => return self.serve(Work::Done(reply), visit).await,
            }
        }
        self.serve(Work::Ask(route, ask), visit).await
    }

    /// The part that a blocked event loop would serialise: everything, in serial mode; otherwise only what needs a slot.
    async fn serve(self: &Arc<Self>, work: Work, visit: &mut Visit) -> Reply {
        let heavy = matches!(&work, Work::Ask(route, _) if route.weight == Weight::Heavy);
        let turn = if heavy || self.config.serial {
            match self.gate.enter().await {
                Ok(turn) => Some(turn),
                Err(Full) => return busy(),
            }
        } else {
            None
        };
        self.recorder.begin(visit, turn.is_some());
        let begun = Instant::now();
        let answer = match work {
            Work::Done(reply) => reply.into(),
            Work::Ask(route, ask) if heavy => {
                let server = Arc::clone(self);
                let answer = tokio::task::spawn_blocking(move || (route.answer)(&server, &ask)).await;
                answer.unwrap_or_else(|_| Reply::unhandled().into())
            }
            Work::Ask(route, ask) => (route.answer)(self, &ask),
        };
        if let Some(pass) = answer.pass {
            self.device.run(pass, begun).await;
        }
        self.recorder.end(visit);
        drop(turn);
        answer.reply
    }

    async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Reply> {
        let too_large = || Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large");
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > self.config.body_max_bytes) {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, self.config.body_max_bytes)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            // Beyond the limit, or the client broke off and will read no answer.
            Ok(Err(_)) => Err(too_large()),
            Err(_) => Err(Reply::detail(
                StatusCode::REQUEST_TIMEOUT,
                "Request body did not arrive in time",
            )),
        }
    }

    fn sign(&self, reply: &mut Reply, given: Option<&HeaderValue>) {
        if !self.config.lenient_input {
            reply.set(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
        }
        if !self.config.request_id {
            return;
        }
        let echo = given
            .filter(|id| id.len() <= REQUEST_ID_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic))
            .cloned();
        let id = echo.or_else(|| {
            HeaderValue::from_str(&format!("{:016x}", self.next_id.fetch_add(1, Ordering::Relaxed))).ok()
        });
        if let Some(id) = id {
            reply.set(REQUEST_ID, id);
        }
    }

    /// Keeps memory for ever, touching it so that it is resident.
    fn leak(&self) {
        if self.config.leak_kib_per_request > 0 {
            let block = vec![1_u8; self.config.leak_kib_per_request * 1024];
            self.leaked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(block);
        }
    }
}

fn busy() -> Reply {
    Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Too many requests waiting")
        .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
}
