//! The running server: one request from its head to its answer and into the account.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::config::Config;
use super::engine::Engine;
use super::identity::uuid;
use super::jobs::Board;
use super::pictures::Pictures;
use super::routes::{self, Ask};
use super::{docs_page, file, kserve, openapi};
use crate::error::BackendError;
use crate::fastapi::cors;
use crate::fastapi::reply::Reply;
use crate::recorder::Recorder;
use crate::system::{Answering, Beside, Start, System};

/// Front ends that may call from a browser.
const ORIGINS: &[&str] = &["http://localhost:3000"];
/// A body that takes longer to arrive is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Echoed, or invented.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed.
const REQUEST_ID_MAX: usize = 128;

/// The server's state.
#[derive(Debug)]
pub(crate) struct Vision {
    /// What is in force.
    pub(crate) config: Config,
    /// Uploaded images.
    pub(crate) pictures: Pictures,
    /// The models and who may use them.
    pub(crate) engine: Engine,
    /// The jobs.
    pub(crate) board: Board,
    /// Uploads that are decoded at once.
    pub(crate) decoding: Semaphore,
    /// The account.
    pub(crate) recorder: Arc<Recorder>,
    /// /openapi.json.
    pub(crate) openapi: Value,
    /// /docs.
    pub(crate) docs: String,
    dice: Mutex<ChaCha8Rng>,
    leaked: Mutex<Vec<Vec<u8>>>,
    next_id: AtomicU64,
    grpc: Mutex<Option<tokio::net::TcpListener>>,
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    let config = Config::new(start.settings)?;
    let openapi = openapi::document(&config);
    // Kept until the models that are loaded from the start have it, so that it is loaded once.
    let started = file::start(start.settings, &config)?;
    let file = started.as_ref().map(|(file, _)| Arc::clone(file));
    Ok(Arc::new(Vision {
        pictures: Pictures::new(config.store_max_bytes),
        engine: Engine::new(
            &config,
            file,
            start.time_scale,
            start.seed,
            Arc::clone(&start.recorder),
        )?,
        board: Board::new(&config),
        decoding: Semaphore::new(config.slots),
        recorder: Arc::clone(&start.recorder),
        docs: docs_page::html(&openapi),
        openapi,
        dice: Mutex::new(ChaCha8Rng::seed_from_u64(start.seed ^ 0x5eed)),
        leaked: Mutex::default(),
        next_id: AtomicU64::new(1),
        grpc: Mutex::new(Some(start.listen()?)),
        config,
    }))
}

impl System for Vision {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(Vision::handle(self, request))
    }

    fn state(&self) -> Value {
        json!({
            "models": self.engine.registry.to_json(),
            "engine": self.engine.to_json(),
            "jobs": self.board.to_json(),
            "images": self.pictures.to_json(),
        })
    }

    fn reset(&self) {
        self.engine.reset();
    }

    fn beside_http2(self: Arc<Self>) -> Vec<Beside> {
        let listener = self.grpc.lock().unwrap_or_else(PoisonError::into_inner).take();
        listener
            .map(|listener| Beside {
                name: "grpc",
                listener,
                handle: Arc::new(move |request| kserve::grpc(Arc::clone(&self), request)),
            })
            .into_iter()
            .collect()
    }
}

impl Vision {
    /// Serves one request. The work goes on when the client leaves, as it would on the imitated server.
    async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let task = crate::slip::spawn(async move {
            let mut visit = self.recorder.arrive();
            let (parts, body) = request.into_parts();
            let request_id = self.request_id(&parts.headers);
            let (endpoint, mut reply) = match cors::preflight(&parts.method, &parts.headers, ORIGINS) {
                Some(reply) => ("CORS preflight", reply),
                None => match routes::find(&parts.method, &parts.uri) {
                    Ok((route, params)) => {
                        let reply = match self.read_body(&parts.method, &parts.headers, body).await {
                            Ok(body) => {
                                let ask = Ask::new(
                                    request_id.clone(),
                                    route.endpoint,
                                    params,
                                    parts.uri.query(),
                                    &parts.headers,
                                    body,
                                    self.config.lenient_input,
                                );
                                routes::answer(&self, route, ask, &mut visit).await
                            }
                            Err(reply) => reply,
                        };
                        (route.endpoint, reply)
                    }
                    Err(reply) => ("unrouted", reply),
                },
            };
            if self.config.flat_errors {
                flatten(&mut reply);
            }
            cors::decorate(&mut reply, &parts.headers, ORIGINS);
            if let Ok(id) = HeaderValue::from_str(&request_id) {
                reply.set(REQUEST_ID, id);
            }
            if !self.config.lenient_input {
                reply.set(
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                );
            }
            self.leak();
            self.recorder.finish(visit, endpoint, reply.status.as_u16());
            reply.into_response()
        });
        // A handler that panicked is answered like an exception that nobody caught.
        task.await.unwrap_or_else(|_| Reply::unhandled().into_response())
    }

    /// The id that the client gave, if it is one that may be echoed, or a new one.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> String {
        headers
            .get(REQUEST_ID)
            .filter(|id| {
                !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
            })
            .and_then(|id| id.to_str().ok())
            .map_or_else(
                || format!("{:016x}", self.next_id.fetch_add(1, Ordering::Relaxed)),
                str::to_owned,
            )
    }

    /// A new UUID.
    pub(crate) fn new_uuid(&self) -> String {
        uuid(self.dice.lock().unwrap_or_else(PoisonError::into_inner).random())
    }

    async fn read_body(&self, method: &Method, headers: &HeaderMap, body: Body) -> Result<Bytes, Reply> {
        if *method != Method::POST {
            return Ok(Bytes::new());
        }
        let max = self.config.body_max_bytes;
        let too_large = || Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large");
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > max) {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            // Beyond the limit, or the client broke off and will read no answer.
            Ok(Err(_)) => Err(too_large()),
            Err(_) => Err(Reply::detail(
                StatusCode::REQUEST_TIMEOUT,
                "Request body did not arrive in time",
            )),
        }
    }

    /// Keeps memory for ever, touching it so that it is resident.
    pub(crate) fn leak(&self) {
        if self.config.leak_kib_per_request > 0 {
            let block = vec![1_u8; self.config.leak_kib_per_request * 1024];
            self.leaked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(block);
        }
    }
}

/// Gives an error of the framework the key that all others have.
fn flatten(reply: &mut Reply) {
    if reply.status.as_u16() < 400 {
        return;
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else {
        return;
    };
    let flat = match body.remove("detail") {
        Some(Value::String(text)) => json!({ "error": text }),
        Some(problems @ Value::Array(_)) => json!({ "error": "Validation failed", "detail": problems }),
        _ => return,
    };
    reply.body = flat.to_string().into();
}
