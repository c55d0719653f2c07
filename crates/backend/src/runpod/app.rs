//! The service port: what the platform answers itself, and what it hands on to a worker. It keeps the story of each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::call::{Answer, Failed, call};
use super::config::{Config, Endpoint};
use super::jobs::Jobs;
use super::ledger::{Ledger, Story};
use super::pool::{OnWorker, Pool, Refused};
use super::{docs_page, openapi, pool, queue_api, worker};
use crate::error::BackendError;
use crate::fastapi::reply::Reply;
use crate::recorder::{Recorder, Visit};
use crate::store_s3::Store;
use crate::system::{Answering, Beside, Start, System};

const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed.
const REQUEST_ID_MAX: usize = 128;
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The platform.
pub(crate) struct Runpod {
    /// The workers and the queue.
    pub(crate) pool: Arc<Pool>,
    /// The jobs of the queue API.
    pub(crate) jobs: Arc<Jobs>,
    ledger: Ledger,
    store: Arc<Store>,
    store_port: std::sync::Mutex<Option<tokio::net::TcpListener>>,
    folder: std::sync::Mutex<Option<tempfile::TempDir>>,
    openapi: Value,
    docs: String,
    next_id: AtomicU64,
    recorder: Arc<Recorder>,
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    let config = Config::new(start)?;
    let folder = tempfile::Builder::new().prefix("prony-platform-").tempdir()?;
    let volume = pool::volume(folder.path());
    std::fs::create_dir(&volume)?;
    worker::generate(&pool::weights(folder.path()), config.weights_mib, start.seed)?;
    worker::samples(&volume)?;
    let store = Arc::new(Store::new(start, volume)?);
    let store_port = start.listen()?;
    let openapi = openapi::document(&config);
    let docs = docs_page::html(&openapi);
    let origin = Instant::now();
    Ok(Arc::new(Runpod {
        jobs: Arc::new(Jobs::new(&config)),
        pool: Pool::start(config, folder.path().to_owned(), origin)?,
        ledger: Ledger::new(origin),
        store,
        store_port: std::sync::Mutex::new(Some(store_port)),
        folder: std::sync::Mutex::new(Some(folder)),
        openapi,
        docs,
        next_id: AtomicU64::new(1),
        recorder: Arc::clone(&start.recorder),
    }))
}

impl System for Runpod {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(async move {
            // What has begun goes on when the client leaves.
            let task = crate::slip::spawn(self.serve(request));
            task.await.unwrap_or_else(|_| Reply::unhandled().into_response())
        })
    }

    fn model(&self) -> Option<Value> {
        let config = &self.pool.config;
        let (median, sigma) = (config.service.as_secs_f64() * 1e9, config.service_sigma);
        Some(json!({
            "law": "lognormal",
            "p50": median,
            "mean": median * (sigma * sigma / 2.0).exp(),
            "sigma": sigma,
            "first_call_more": config.first_call.as_secs_f64() * 1e9,
        }))
    }

    fn state(&self) -> Value {
        let mut state = self.pool.to_json();
        state["requests"] = self.ledger.to_json();
        state["jobs"] = self.jobs.account();
        state["store"] = self.store.to_json();
        state
    }

    fn reset(&self) {
        self.ledger.reset();
        self.jobs.reset();
        self.store.reset();
    }

    fn beside(self: Arc<Self>) -> Vec<Beside> {
        let listener = lock(&self.store_port).take();
        let store = Arc::clone(&self.store);
        listener
            .map(|listener| Beside {
                name: "store",
                listener,
                handle: Arc::new(move |request| Arc::clone(&store).handle(request)),
            })
            .into_iter()
            .collect()
    }

    fn stop(&self) {
        self.pool.stop();
        drop(lock(&self.folder).take());
    }
}

impl Runpod {
    async fn serve(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let visit = self.recorder.arrive();
        let (mut parts, body) = request.into_parts();
        let id = self.request_id(&parts);
        parts.headers.insert(REQUEST_ID, id.clone());
        let (endpoint, visit, mut response) = self.route(parts, body, visit).await;
        response.headers_mut().insert(REQUEST_ID, id);
        self.recorder.finish(visit, endpoint, response.status().as_u16());
        response
    }

    async fn route(
        self: &Arc<Self>,
        parts: Parts,
        body: Body,
        mut visit: Visit,
    ) -> (&'static str, Visit, Response<Body>) {
        let path = parts.uri.path().to_owned();
        let own = match path.as_str() {
            "/openapi.json" => Some(("GET /openapi.json", Reply::json(&self.openapi))),
            "/docs" => Some((
                "GET /docs",
                Reply::new(StatusCode::OK, "text/html; charset=utf-8", self.docs.clone()),
            )),
            "/" => Some((
                "GET /",
                Reply::json(
                    &json!({ "name": "Try-on endpoint", "openapi": "/openapi.json", "docs": "/docs" }),
                ),
            )),
            _ => None,
        };
        if let Some((endpoint, reply)) = own {
            self.recorder.begin(&mut visit, false);
            let reply = if parts.method == Method::GET {
                reply
            } else {
                Reply::method_not_allowed("GET")
            };
            return (endpoint, visit, reply.into_response());
        }
        if let Err(refused) = self.admit(&parts) {
            return ("unrouted", visit, refused.into_response());
        }
        let config = &self.pool.config;
        let queue_path = path.strip_prefix("/v2/");
        match (queue_path, config.endpoint) {
            (Some(_), Endpoint::Balancer) => (
                "unrouted",
                visit,
                error(StatusCode::BAD_REQUEST, "not allowed for LB API").into_response(),
            ),
            (None, Endpoint::Queue) => (
                "unrouted",
                visit,
                error(StatusCode::BAD_REQUEST, "not allowed for QB API").into_response(),
            ),
            (Some(rest), _) => {
                let rest = rest.to_owned();
                let (endpoint, reply) = match self.read(&parts, body).await {
                    Ok(bytes) => queue_api::answer(self, &parts, &rest, &bytes).await,
                    Err(refused) => ("unrouted", refused),
                };
                (endpoint, visit, reply.into_response())
            }
            (None, _) => {
                let endpoint = match (&parts.method, path.as_str()) {
                    (&Method::GET, "/ping") => "GET /ping",
                    (&Method::POST, "/api/v1/tryon") => "POST /api/v1/tryon",
                    _ => "unrouted",
                };
                let response = match self.read(&parts, body).await {
                    Ok(bytes) if endpoint == "GET /ping" => self.probe(&parts, bytes, &mut visit).await,
                    Ok(bytes) => self.forward(parts, bytes, &mut visit).await,
                    Err(refused) => refused.into_response(),
                };
                (endpoint, visit, response)
            }
        }
    }

    /// Hands a request to a worker, when there is one.
    async fn forward(self: &Arc<Self>, parts: Parts, bytes: Bytes, visit: &mut Visit) -> Response<Body> {
        let config = &self.pool.config;
        let mut story = Story::new(id_of(&parts), "request", parts.uri.path());
        let on = match self.pool.enter(config.wait_max, !config.deadline_drop).await {
            Ok(on) => on,
            Err(refused) => {
                let reply = self.refusal(&refused, &mut story);
                self.ledger.close(story, reply.status.as_u16());
                return reply.into_response();
            }
        };
        self.recorder.begin(visit, true);
        let processing_max = config.processing_max;
        let answer = tokio::time::timeout(processing_max, self.on_worker(on, parts, bytes, &mut story)).await;
        self.recorder.end(visit);
        let response = match answer {
            Ok(Ok(answer)) => self.dressed(answer, &story),
            Ok(Err(failed)) => lost(&failed).into_response(),
            Err(_) => {
                story.dropped = Some("processing");
                let status = StatusCode::from_u16(524).unwrap_or(StatusCode::GATEWAY_TIMEOUT);
                error(status, "the worker took too long").into_response()
            }
        };
        self.ledger.close(story, response.status().as_u16());
        response
    }

    /// One exchange with the worker that is held. It goes on, and holds the worker, when nobody waits for it any more.
    pub(crate) async fn on_worker(
        &self,
        on: OnWorker,
        parts: Parts,
        bytes: Bytes,
        story: &mut Story,
    ) -> Result<Answer, Failed> {
        story.dispatched = Some(Instant::now());
        story.worker = Some(on.worker);
        let limit = self.pool.config.payload_max;
        let exchange = tokio::spawn(async move {
            let answer = call(on.address, &parts, bytes, limit).await;
            drop(on);
            answer
        });
        let mut answer = exchange.await.map_err(|_| Failed::Broken)??;
        story.inside = inside(&mut answer);
        Ok(answer)
    }

    /// A client's health check goes to any worker that listens, at once and past the queue.
    async fn probe(&self, parts: &Parts, bytes: Bytes, visit: &mut Visit) -> Response<Body> {
        let config = &self.pool.config;
        let mut story = Story::new(id_of(parts), "probe", parts.uri.path());
        let found = self.pool.any(config.wait_max).await;
        self.recorder.begin(visit, false);
        let response = match found {
            Err(refused) => self.refusal(&refused, &mut story).into_response(),
            Ok((worker, address)) => {
                story.dispatched = Some(Instant::now());
                story.worker = Some(worker);
                let asked = call(address, parts, bytes, config.payload_max);
                match tokio::time::timeout(config.processing_max, asked).await {
                    Ok(Ok(mut answer)) => {
                        story.inside = inside(&mut answer);
                        self.dressed(answer, &story)
                    }
                    Ok(Err(failed)) => lost(&failed).into_response(),
                    Err(_) => lost(&Failed::Broken).into_response(),
                }
            }
        };
        self.recorder.end(visit);
        self.ledger.close(story, response.status().as_u16());
        response
    }

    /// A worker's answer as the client gets it.
    fn dressed(&self, answer: Answer, story: &Story) -> Response<Body> {
        let config = &self.pool.config;
        let mut response = answer.into_response();
        if !config.worker_header {
            response.headers_mut().remove(worker::WORKER_ID);
        }
        if !config.hidden_wait
            && let Some((_, service)) = story.inside
        {
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            let text = format!(
                "queue;dur={:.3}, service;dur={:.3}",
                ms(story.waited()),
                ms(service)
            );
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(SERVER_TIMING, value);
            }
        }
        response
    }

    fn refusal(&self, refused: &Refused, story: &mut Story) -> Reply {
        let config = &self.pool.config;
        match refused {
            Refused::Late(cause) => {
                story.dropped = Some(cause);
                if config.deadline_drop {
                    error(StatusCode::BAD_REQUEST, "no workers available")
                } else {
                    later("no workers available", config.wait_max / 4)
                }
            }
            Refused::Full(after) => {
                story.dropped = Some("full");
                later("too many requests waiting", *after)
            }
            Refused::WrongPort => {
                story.dropped = Some("port");
                error(StatusCode::BAD_GATEWAY, "no worker answers at its port")
            }
        }
    }

    /// Notes the end of a job's story.
    pub(crate) fn close(&self, story: Story, status: u16) {
        self.ledger.close(story, status);
    }

    fn admit(&self, parts: &Parts) -> Result<(), Reply> {
        let Some(key) = &self.pool.config.api_key else {
            return Ok(());
        };
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = given.and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        if token == Some(key) {
            return Ok(());
        }
        Err(error(StatusCode::UNAUTHORIZED, "unauthorized")
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
    }

    async fn read(&self, parts: &Parts, body: Body) -> Result<Bytes, Reply> {
        let limit = self.pool.config.payload_max;
        let too_large = || {
            error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is larger than the payload limit",
            )
        };
        let declared = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            // Beyond the limit, or the client broke off and will read no answer.
            Ok(Err(_)) => Err(too_large()),
            Err(_) => Err(error(
                StatusCode::REQUEST_TIMEOUT,
                "the request did not arrive in time",
            )),
        }
    }

    fn request_id(&self, parts: &Parts) -> HeaderValue {
        parts
            .headers
            .get(REQUEST_ID)
            .filter(|id| {
                (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
            })
            .cloned()
            .unwrap_or_else(|| {
                let id = format!("req-{:08x}", self.next_id.fetch_add(1, Ordering::Relaxed));
                HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("req"))
            })
    }
}

/// The platform's own envelope.
pub(crate) fn error(status: StatusCode, text: &str) -> Reply {
    Reply::json_status(status, &json!({ "error": text }))
}

fn later(text: &str, after: Duration) -> Reply {
    let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
    error(StatusCode::SERVICE_UNAVAILABLE, text).with(header::RETRY_AFTER, HeaderValue::from(seconds))
}

fn lost(failed: &Failed) -> Reply {
    match failed {
        Failed::Broken => error(StatusCode::BAD_GATEWAY, "the worker broke off"),
        Failed::TooLarge => error(
            StatusCode::BAD_GATEWAY,
            "the answer is larger than the payload limit",
        ),
    }
}

/// Takes the worker's own account out of its answer.
fn inside(answer: &mut Answer) -> Option<(Duration, Duration)> {
    let value = answer.headers.remove(worker::INSIDE)?;
    let (waited, served) = value.to_str().ok()?.split_once(' ')?;
    Some((
        Duration::from_micros(waited.parse().ok()?),
        Duration::from_micros(served.parse().ok()?),
    ))
}

fn id_of(parts: &Parts) -> String {
    parts
        .headers
        .get(REQUEST_ID)
        .map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
        .unwrap_or_default()
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
