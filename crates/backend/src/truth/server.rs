//! The application: from a request to its endpoint, and back into the account.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::cache::PrefixCache;
use super::content::Spoiler;
use super::files::Files;
use super::inputs::{Inputs, Route};
use super::metrics::{self, Figures};
use super::work::Work;
use super::{openapi, service};
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::json::decode;
use crate::fastapi::reply::Reply;
use crate::law::mix;
use crate::paced::Paced;
use crate::recorder::{Recorder, Visit};
use crate::settings::Settings;
use crate::slip;
use crate::system::{Answering, Start, System};

const BODY_MAX: usize = 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer of /v1/generate in tokens.
const TOKENS_MAX: u64 = 4096;

/// The server's state.
#[derive(Debug)]
pub(crate) struct Truth {
    work: Work,
    cache: PrefixCache,
    cache_usage: bool,
    spoiler: Spoiler,
    files: Files,
    inputs: Inputs,
    returns_nonce: bool,
    cancel: bool,
    body: String,
    openapi: Value,
    requests: AtomicU64,
    recorder: Arc<Recorder>,
    paced: Paced,
}

/// The visit of a request; when it is dropped unfinished, the account says so.
struct Stay {
    visit: Option<Visit>,
    recorder: Arc<Recorder>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(visit) = self.visit.take() {
            self.recorder.abandon(visit);
        }
    }
}

/// A task that ends with its owner.
struct Owned<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer with the name of its endpoint, and by which id its client knows it where it may be spoilt.
struct Answer {
    endpoint: &'static str,
    reply: Reply,
    spoil: Option<(String, bool)>,
}

impl Answer {
    fn plain(endpoint: &'static str, reply: Reply) -> Self {
        Self {
            endpoint,
            reply,
            spoil: None,
        }
    }
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    Ok(Arc::new(Truth::start(start)?))
}

impl System for Truth {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(Truth::handle(self, request))
    }

    fn model(&self) -> Option<Value> {
        Some(Truth::model(self))
    }

    fn state(&self) -> Value {
        Truth::state(self)
    }

    fn accepted(&self, stream: &tokio::net::TcpStream) {
        self.work.crash.accepted(stream);
    }

    fn own_listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("streams", self.paced.at)]
    }

    fn streams(&self, id: Option<&str>, recent: usize) -> Option<Value> {
        Some(self.paced.streams(id, recent))
    }

    fn reset(&self) {
        self.paced.reset();
        self.work.reset();
        self.cache.reset();
        self.spoiler.reset();
    }

    fn can_turn(&self, name: &str) -> bool {
        Paced::can_turn(name)
    }

    fn turn(&self, turned: &Settings) -> Result<(), String> {
        self.paced.turn(turned)
    }

    fn stop(&self) {
        self.paced.stop();
    }
}

impl Truth {
    /// Reads the knobs.
    fn start(start: &Start<'_>) -> Result<Self, BackendError> {
        let (settings, seed) = (start.settings, start.seed);
        let recorder = Arc::clone(&start.recorder);
        let alarm = Arc::new(Alarm::start()?);
        Ok(Self {
            work: Work::new(settings, seed, Arc::clone(&alarm), Arc::clone(&recorder))?,
            cache: PrefixCache::new(settings)?,
            cache_usage: settings.flag("cache_usage")?,
            spoiler: Spoiler::new(settings, seed)?,
            files: Files::new(settings, seed)?,
            inputs: Inputs::new(settings, alarm)?,
            returns_nonce: settings.flag("nonce")?,
            cancel: settings.flag("cancel")?,
            body: json!({ "work": "x".repeat(settings.count("body_bytes", 0, 16 * 1024 * 1024)? as usize) })
                .to_string(),
            openapi: openapi::document(),
            requests: AtomicU64::new(0),
            recorder,
            paced: Paced::start(settings, start.host, seed)?,
        })
    }

    /// The exact moments of what was asked for, for the admin port.
    fn model(&self) -> Value {
        self.work.model()
    }

    /// What is true now, for the admin port.
    fn state(&self) -> Value {
        let mut state = self.work.to_json();
        state["cache"] = self.cache.to_json();
        state["answers"] = self.spoiler.to_json();
        state["defects"] = self.inputs.defects.to_json();
        state["streams"] = self.paced.to_json();
        state
    }

    /// Serves one request. Unless it is to be cancelled with its client, work goes on when the client leaves; the endpoints that
    /// look at their input stop.
    async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        if self.work.crash.is_away() {
            // Its connection is cut, so nobody reads this.
            return Response::new(Body::empty());
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(route) = Inputs::find(request.uri().path()) {
            return self.checked(route, request).await;
        }
        let cancel = self.cancel;
        let task = slip::spawn(self.serve(request));
        let outcome = if cancel {
            let mut owned = Owned(task);
            (&mut owned.0).await
        } else {
            task.await
        };
        outcome.unwrap_or_else(|_| Reply::unhandled().into_response())
    }

    fn stay(&self) -> Stay {
        Stay {
            visit: Some(self.recorder.arrive()),
            recorder: Arc::clone(&self.recorder),
        }
    }

    async fn checked(&self, route: &'static Route, request: Request<Body>) -> Response<Body> {
        let mut stay = self.stay();
        self.work.thaw().await;
        let (parts, body) = request.into_parts();
        let reply = self.inputs.answer(route, &parts, body).await;
        if let Some(visit) = stay.visit.take() {
            self.recorder.finish(visit, route.endpoint, reply.status.as_u16());
        }
        reply.into_response()
    }

    async fn serve(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let mut stay = self.stay();
        let answer = tokio::select! {
            answer = self.answer(request, &mut stay) => answer,
            // Its connection is gone, so nobody reads this.
            () = self.work.crash.next() => return Response::new(Body::empty()),
        };
        if let Some(visit) = stay.visit.take() {
            self.recorder
                .finish(visit, answer.endpoint, answer.reply.status.as_u16());
        }
        match answer.spoil {
            Some((id, may_swap)) => {
                let served = self.spoiler.serve(&id, answer.reply.body.clone(), may_swap);
                served.into_response(answer.reply.into_response())
            }
            None => answer.reply.into_response(),
        }
    }

    async fn answer(&self, request: Request<Body>, stay: &mut Stay) -> Answer {
        self.work.thaw().await;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let allowed = match path {
            "/work" | "/null" | "/health" | "/metrics" | "/openapi.json" | "/" | "/v1/files" => "GET",
            "/echo" | "/v1/infer" | "/v1/generate" => "POST",
            _ if path.starts_with("/v1/files/") => "GET",
            _ => return Answer::plain("unrouted", Reply::not_found("Not Found")),
        };
        if parts.method.as_str() != allowed {
            return Answer::plain("unrouted", Reply::method_not_allowed(allowed));
        }
        match path {
            "/work" => Answer::plain("GET /work", self.plain_work(stay).await),
            "/null" => Answer::plain(
                "GET /null",
                Reply::new(StatusCode::OK, "text/plain; charset=utf-8", ""),
            ),
            "/echo" => Answer::plain("POST /echo", echo(body).await),
            "/v1/infer" => self.infer(&parts, body, stay).await,
            "/v1/generate" => self.generate(&parts, body, stay).await,
            "/v1/files" => Answer::plain("GET /v1/files", Reply::json(&self.files.list())),
            "/metrics" => Answer::plain("GET /metrics", self.metrics()),
            "/health" => Answer::plain("GET /health", Reply::json(&json!({ "status": "ok" }))),
            "/openapi.json" => Answer::plain("GET /openapi.json", Reply::json(&self.openapi)),
            "/" => Answer::plain(
                "GET /",
                Reply::json(&json!({ "name": "Truth server", "openapi": "/openapi.json" })),
            ),
            _ => self.file(path, &parts.headers),
        }
    }

    async fn plain_work(&self, stay: &mut Stay) -> Reply {
        let answer = || Reply::new(StatusCode::OK, "application/json", self.body.clone());
        match &mut stay.visit {
            Some(visit) => self.work.done(visit, Duration::ZERO, None, answer).await,
            None => answer(),
        }
    }

    async fn infer(&self, parts: &Parts, body: Body, stay: &mut Stay) -> Answer {
        const ENDPOINT: &str = "POST /v1/infer";
        let asked = match Asked::read(parts, body, "input").await {
            Ok(asked) => asked,
            Err(refused) => return Answer::plain(ENDPOINT, refused),
        };
        let mut said = self.known_by(&asked);
        said.insert(
            "digest".to_owned(),
            json!(format!("{:016x}", digest(&asked.text))),
        );
        said.insert("length".to_owned(), json!(asked.text.chars().count()));
        let Some(visit) = &mut stay.visit else {
            return Answer::plain(ENDPOINT, Reply::unhandled());
        };
        let answer = || Reply::json(&Value::Object(said));
        let reply = self.work.done(visit, Duration::ZERO, None, answer).await;
        let spoil = (reply.status == StatusCode::OK).then_some((asked.id, true));
        Answer {
            endpoint: ENDPOINT,
            reply,
            spoil,
        }
    }

    async fn generate(&self, parts: &Parts, body: Body, stay: &mut Stay) -> Answer {
        const ENDPOINT: &str = "POST /v1/generate";
        let asked = match Asked::read(parts, body, "prompt").await {
            Ok(asked) => asked,
            Err(refused) => return Answer::plain(ENDPOINT, refused),
        };
        let tokens = match asked.inputs.get("max_tokens") {
            None => service::TOKENS_MEAN as u64,
            Some(value) => match value.as_u64().filter(|n| (1..=TOKENS_MAX).contains(n)) {
                Some(tokens) => tokens,
                None => {
                    return Answer::plain(
                        ENDPOINT,
                        invalid("max_tokens must be a whole number from 1 to 4096"),
                    );
                }
            },
        };
        let prefill = self.cache.read(&asked.text);
        let mut said = self.known_by(&asked);
        said.insert("text".to_owned(), json!(words(digest(&asked.text), tokens)));
        said.insert(
            "usage".to_owned(),
            json!({ "prompt_tokens": prefill.tokens, "completion_tokens": tokens, "total_tokens": prefill.tokens as u64 + tokens }),
        );
        if self.cache_usage {
            said["usage"]["cached_tokens"] = json!(prefill.cached);
        }
        let Some(visit) = &mut stay.visit else {
            return Answer::plain(ENDPOINT, Reply::unhandled());
        };
        let answer = || Reply::json(&Value::Object(said));
        Answer::plain(
            ENDPOINT,
            self.work.done(visit, prefill.time, Some(tokens), answer).await,
        )
    }

    /// What the client may know its answer by.
    fn known_by(&self, asked: &Asked) -> Map<String, Value> {
        let mut said = Map::new();
        said.insert("id".to_owned(), json!(asked.id));
        if let Some(nonce) = asked.inputs.get("nonce").filter(|_| self.returns_nonce) {
            said.insert("nonce".to_owned(), nonce.clone());
        }
        said
    }

    fn file(&self, path: &str, headers: &HeaderMap) -> Answer {
        const ENDPOINT: &str = "GET /v1/files/{file_id}";
        let name = path.strip_prefix("/v1/files/").unwrap_or_default();
        match self.files.get(name, headers) {
            Some(reply) => {
                let whole = reply.status == StatusCode::OK;
                Answer {
                    endpoint: ENDPOINT,
                    reply,
                    spoil: whole.then(|| (name.to_owned(), false)),
                }
            }
            None => Answer::plain(ENDPOINT, Reply::not_found("There is none of that name")),
        }
    }

    fn metrics(&self) -> Reply {
        let figures = Figures {
            requests: self.requests.load(Ordering::Relaxed),
            kept_bytes: self.work.memory.kept_bytes(),
            prompt_tokens: self.cache.tokens(),
            crashes: self.work.crash.count(),
        };
        Reply::new(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::page(&figures),
        )
    }
}

/// A request for work.
struct Asked {
    inputs: Map<String, Value>,
    /// The text to work on.
    text: String,
    /// The nonce, or the digest of the text.
    id: String,
}

impl Asked {
    async fn read(parts: &Parts, body: Body, field: &str) -> Result<Self, Reply> {
        let is_json = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_none_or(|value| value.as_bytes().starts_with(b"application/json"));
        if !is_json {
            return Err(Reply::detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/json",
            ));
        }
        let bytes = read_body(body).await?;
        let Ok(value) = decode(&bytes) else {
            return Err(Reply::detail(StatusCode::BAD_REQUEST, "the body is no JSON"));
        };
        let Value::Object(inputs) = value else {
            return Err(invalid("a JSON object is needed"));
        };
        let text = match inputs.get(field).and_then(Value::as_str) {
            Some(text) if (1..=200_000).contains(&text.chars().count()) => text.to_owned(),
            _ => {
                return Err(invalid(&format!(
                    "a string '{field}' of 1 to 200,000 characters is needed"
                )));
            }
        };
        let id = match inputs.get("nonce") {
            None => format!("{:016x}", digest(&text)),
            Some(Value::String(nonce)) if nonce.chars().count() <= 128 => nonce.clone(),
            Some(_) => return Err(invalid("nonce must be a string of at most 128 characters")),
        };
        Ok(Self { inputs, text, id })
    }
}

async fn read_body(body: Body) -> Result<Bytes, Reply> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Reply::detail(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request body too large",
        )),
        Err(_) => Err(Reply::detail(
            StatusCode::REQUEST_TIMEOUT,
            "Request body did not arrive in time",
        )),
    }
}

async fn echo(body: Body) -> Reply {
    let bytes = match read_body(body).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    match decode(&bytes)
        .ok()
        .as_ref()
        .and_then(|value| value["nonce"].as_str())
    {
        Some(nonce) => Reply::json(&json!({ "nonce": nonce })),
        None => invalid("a JSON object with a string 'nonce' is needed"),
    }
}

fn invalid(why: &str) -> Reply {
    Reply::detail(StatusCode::UNPROCESSABLE_ENTITY, why)
}

fn digest(text: &str) -> u64 {
    text.bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)))
}

/// So many words that the digest decides.
fn words(digest: u64, count: u64) -> String {
    const WORDS: [&str; 8] = [
        "amber", "brook", "cedar", "dune", "ember", "fern", "grove", "heath",
    ];
    let word = |k| WORDS[(mix(digest, k) % 8) as usize];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}
