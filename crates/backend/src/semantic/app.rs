//! The application: one request from its head to its answer, through limits and keys to its endpoint, and into the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::agents::Agents;
use super::config::{Config, MetricsDialect};
use super::dialects::{self, Standing};
use super::engine::Engine;
use super::fault::{Dialect, Fault};
use super::fields::{self, Fields};
use super::ledger::Ledger;
use super::limits::Limits;
use super::metrics::Metrics;
use super::models::{Loaded, Models};
use super::native::ID_MAX;
use super::routes::{self, Does, Found, Route};
use super::stream::Ordered;
use super::turns::Turns;
use super::vocabulary::Vocabulary;
use super::{anthropic, openai, openapi, serving};
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::body::problem;
use crate::fastapi::reply::Reply;
use crate::recorder::{Recorder, Visit};
use crate::stream_fault::{FAULT_HEADER, Orders};
use crate::system::{Answering, Start, System};
use crate::wire::Line;

/// Largest body.
const BODY_MAX: usize = 32 * 1024 * 1024;
/// A body that takes longer to arrive is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed.
const REQUEST_ID_MAX: usize = 128;
/// Most tokens of an agent's answer, and how many when nothing is said.
const GENERATE_MAX: u64 = 65_536;
const GENERATE_DEFAULT: u64 = 256;
/// Longest prompt of an agent, in characters.
const PROMPT_MAX: usize = 8 * 1024 * 1024;

/// The server's state.
#[derive(Debug)]
pub(super) struct Semantic {
    /// What is in force.
    pub(super) config: Config,
    /// The scheduler.
    pub(super) engine: Engine,
    /// The one event loop, where there is one.
    pub(super) turns: Option<Turns>,
    /// The agents.
    pub(super) agents: Agents,
    /// The loaded model.
    pub(super) models: Models,
    /// The account of single requests.
    pub(super) ledger: Ledger,
    /// What Prometheus sees.
    pub(super) metrics: Metrics,
    /// The precise clock.
    pub(super) alarm: Alarm,
    /// Seed of what is said.
    pub(super) seed: u64,
    /// Of everything that is numbered.
    pub(super) next_id: AtomicU64,
    /// The pieces of tokens that were told.
    pub(super) vocabulary: Vocabulary,
    /// Answers begun, of which a share is hit by faults.
    answers: AtomicU64,
    limits: Limits,
    draining: AtomicBool,
    openapi: Value,
    docs: String,
    recorder: Arc<Recorder>,
}

/// An answer.
pub(super) enum Outcome {
    /// Whole.
    Reply(Reply),
    /// In events; it ends its own stay.
    Stream(Response<Body>),
}

/// The stay of a request; when it is dropped unfinished, the account says so.
#[derive(Debug)]
pub(super) struct Stay {
    /// As the client knows it.
    pub(super) request_id: String,
    /// The route, once known.
    pub(super) endpoint: &'static str,
    /// When its head was read.
    pub(super) arrived: Instant,
    visit: Option<Visit>,
    system: Arc<Semantic>,
}

impl Stay {
    /// Service begins.
    pub(super) fn begin(&mut self) {
        if let Some(visit) = &mut self.visit {
            self.system.recorder.begin(visit, true);
        }
    }

    /// Service ends.
    pub(super) fn end(&mut self) {
        if let Some(visit) = &mut self.visit {
            self.system.recorder.end(visit);
        }
    }

    /// It was answered.
    pub(super) fn finish(mut self, status: u16) {
        self.end();
        if let Some(visit) = self.visit.take() {
            self.system.recorder.finish(visit, self.endpoint, status);
            self.system
                .metrics
                .answered(self.endpoint, status, self.arrived.elapsed());
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(visit) = self.visit.take() {
            self.system.recorder.abandon(visit);
        }
    }
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    Ok(Arc::new(Semantic::start(start)?))
}

impl System for Semantic {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        if self.config.serial {
            // The handler does not learn that its client left.
            let task = crate::slip::spawn(self.serve(request));
            return Box::pin(async { task.await.unwrap_or_else(|_| Reply::unhandled().into_response()) });
        }
        Box::pin(self.serve(request))
    }

    fn model(&self) -> Option<Value> {
        let costs = &self.config.costs;
        Some(json!({
            "step_ns": "decode_base + decode_seq x decoding sequences, where any decode, + prefill x prompt tokens computed",
            "decode_base_ns": costs.decode_base.as_nanos() as u64,
            "decode_seq_ns": costs.decode_seq.as_nanos() as u64,
            "prefill_ns": costs.prefill.as_nanos() as u64,
        }))
    }

    fn state(&self) -> Value {
        let load = self.engine.load();
        let pool = load.pool;
        let mut state = json!({
            "pool": {
                "blocks": pool.total,
                "free": pool.free,
                "used": pool.total - pool.free - pool.lost - pool.kept,
                "kept": pool.kept,
                "lost": pool.lost,
                "pages_on_disk": pool.on_disk,
                "page_hits": pool.counts.hits,
                "page_misses": pool.counts.misses,
                "pages_reloaded": pool.counts.reloaded,
                "pages_evicted": pool.counts.evicted,
            },
            "scheduler": {
                "running": load.running,
                "waiting": load.waiting,
                "steps": load.steps.taken,
                "prefill_tokens": load.steps.prefilled,
                "output_tokens": load.steps.decoded,
                "preempted": load.steps.preempted,
                "batch_max": load.steps.batch_max,
                "drafts": load.steps.drafts,
                "drafted": load.steps.drafted,
                "accepted": load.steps.accepted,
                "adapters_loaded": load.adapters.loaded,
                "adapters_evicted": load.adapters.evicted,
                "sleeping": load.sleeping,
            },
        });
        if let (Value::Object(state), Value::Object(ledger)) = (&mut state, self.ledger.to_json()) {
            state.extend(ledger);
        }
        state
    }

    fn reset(&self) {
        self.ledger.reset();
        self.answers.store(0, Ordering::Relaxed);
    }

    fn wants_line(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

impl Semantic {
    /// Reads the knobs. As observed, the model loads before anybody listens.
    fn start(start: &Start<'_>) -> Result<Self, BackendError> {
        let config = Config::new(start)?;
        let document = openapi::document(&config);
        let load = if config.lenient_input {
            std::thread::sleep(config.load);
            Duration::ZERO
        } else {
            config.load
        };
        Ok(Self {
            engine: Engine::start(&config)?,
            turns: config
                .serial
                .then(|| Turns::start(config.queue_max, config.gather)),
            agents: Agents::default(),
            models: Models::new(load),
            ledger: Ledger::new(config.truth_requests),
            metrics: Metrics::default(),
            alarm: Alarm::start()?,
            seed: start.seed,
            next_id: AtomicU64::new(1),
            vocabulary: Vocabulary::default(),
            answers: AtomicU64::new(0),
            limits: Limits::new(config.window, config.limit_global, config.limit_agent),
            draining: AtomicBool::new(false),
            docs: openapi::page(&document),
            openapi: document,
            recorder: Arc::clone(&start.recorder),
            config,
        })
    }

    /// No new work is taken up.
    pub(super) fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    async fn serve(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut stay = Some(Stay {
            request_id: self.request_id(&parts.headers),
            endpoint: "unrouted",
            arrived: Instant::now(),
            visit: Some(self.recorder.arrive()),
            system: Arc::clone(&self),
        });
        let request_id = HeaderValue::from_str(stay.as_ref().map_or("", |stay| &stay.request_id));
        let dialect = routes::dialect(parts.uri.path(), parts.headers.contains_key("anthropic-version"));
        let outcome = self.call(&parts, body, dialect, &mut stay).await;
        let mut response = match outcome {
            Ok(Outcome::Stream(response)) => response,
            Ok(Outcome::Reply(reply)) => finished(reply, stay),
            Err(fault) => finished(fault.reply(self.config.mixed_errors, dialect), stay),
        };
        if let Ok(id) = request_id {
            if !self.config.lenient_input {
                response.headers_mut().insert("request-id", id.clone());
            }
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn call(
        self: &Arc<Self>,
        parts: &Parts,
        body: Body,
        dialect: Dialect,
        stay: &mut Option<Stay>,
    ) -> Result<Outcome, Fault> {
        let (route, parameter) = match routes::find(&self.config, &parts.method, parts.uri.path()) {
            Found::Route(route, parameter) => (route, parameter),
            other => {
                self.pause(false).await;
                return Ok(Outcome::Reply(self.unrouted(&other, dialect)));
            }
        };
        if let Some(stay) = stay {
            stay.endpoint = route.endpoint;
        }
        let agent = header_text(&parts.headers, "x-agent-id").or(header_text(&parts.headers, "x-session-id"));
        let entered = self.enter(route, &parameter, &parts.headers);
        let read = match entered {
            Ok(()) if route.reads_body() => self.read_body(parts, body).await,
            Ok(()) => Ok(Map::new()),
            Err(fault) => Err(fault),
        };
        let read = match read {
            Ok(read) => read,
            Err(fault) => {
                self.pause(false).await;
                return Err(fault);
            }
        };
        match route.does {
            Does::Messages | Does::Chat | Does::Completions | Does::Responses => {
                let asked = match route.does {
                    Does::Messages => anthropic::read(&read, &self.config, false),
                    Does::Completions => serving::read_completion(&read),
                    Does::Responses => serving::read_response(&read),
                    _ => openai::read(&read, &self.config),
                };
                match asked {
                    Ok(asked) => {
                        let ordered = self.ordered(parts)?;
                        self.infer(asked, route.does, agent, ordered, stay).await
                    }
                    Err(problems) => {
                        self.pause(false).await;
                        Err(Fault::invalid(problems))
                    }
                }
            }
            Does::AgentGenerate => {
                let (text, max_tokens) = self.generate_fields(&read)?;
                let said = self.agent_generate(&parameter, &text, max_tokens, stay).await?;
                Ok(Outcome::Reply(Reply::json(&said)))
            }
            _ => {
                self.pause(route.is_probe()).await;
                self.answer(route, &parameter, &read).await.map(Outcome::Reply)
            }
        }
    }

    /// The faults that a request orders, or that hit it.
    fn ordered(&self, parts: &Parts) -> Result<Ordered, Fault> {
        let orders = if let Some(text) = parts.headers.get(FAULT_HEADER) {
            Orders::read(text.to_str().unwrap_or_default()).map_err(Fault::bad_request)?
        } else {
            let number = self.answers.fetch_add(1, Ordering::Relaxed);
            self.config.stream_fault.draw(self.seed, number)
        };
        Ok(Ordered {
            orders,
            line: parts.extensions.get::<Arc<Line>>().cloned(),
        })
    }

    async fn answer(
        &self,
        route: &Route,
        parameter: &str,
        read: &Map<String, Value>,
    ) -> Result<Reply, Fault> {
        Ok(match route.does {
            Does::CountTokens => {
                let asked = anthropic::read(read, &self.config, true).map_err(Fault::invalid)?;
                Reply::json(&json!({ "input_tokens": asked.prompt.len() }))
            }
            Does::Models => Reply::json(&self.list_models()),
            Does::AgentCreate => self.create_agent(read)?,
            Does::AgentList => Reply::json(&self.list_agents()),
            Does::AgentStats => Reply::json(&self.agent_stats().await),
            Does::AgentGet => Reply::json(&self.get_agent(parameter)?),
            Does::AgentDelete => self.delete_agent(parameter)?,
            Does::Health => Reply::json(&json!({ "status": "ok" })),
            Does::Live => Reply::json(&json!({ "status": "alive" })),
            Does::Ready => self.ready(),
            Does::Startup => self.startup(),
            Does::Metrics => Reply::new(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                self.metrics_page().await,
            ),
            Does::Embeddings => Reply::json(&self.embed(read).await?),
            Does::Tokenize => Reply::json(&self.tokenize(read)?),
            Does::Detokenize => Reply::json(&self.detokenize(read)?),
            Does::Sleep => {
                self.engine.sleep().await;
                empty()
            }
            Does::WakeUp => {
                self.engine.wake();
                empty()
            }
            Does::IsSleeping => Reply::json(&json!({ "is_sleeping": self.engine.load().sleeping })),
            Does::ResetCache => {
                self.engine.clear().await;
                empty()
            }
            Does::AdminCurrent => Reply::json(&self.current_model()),
            Does::AdminAvailable => Reply::json(&Self::available_models()),
            Does::AdminSwap => Reply::json(&self.swap(read).await?),
            Does::AdminOffload => Reply::json(&self.offload().await),
            Does::AdminCaches => Reply::json(&self.clear_caches().await),
            Does::DebugMemory => Reply::json(&self.memory()),
            Does::OpenApi => Reply::json(&self.openapi),
            Does::Docs => Reply::new(StatusCode::OK, "text/html; charset=utf-8", self.docs.clone()),
            Does::Root => Reply::json(&json!({
                "name": "Agent memory server", "version": openapi::VERSION, "docs": "/docs", "openapi": "/openapi.json",
            })),
            Does::Messages | Does::Chat | Does::Completions | Does::Responses | Does::AgentGenerate => {
                Reply::unhandled()
            }
        })
    }

    /// The page for Prometheus, in the dialect in force.
    async fn metrics_page(&self) -> String {
        if self.config.metrics_dialect == MetricsDialect::Native {
            let agents = self.agents.len();
            return self.metrics.page(&self.engine, agents, self.config.lenient_input);
        }
        let model = match self.models.loaded() {
            Loaded::Ready(model) | Loaded::Loading(model) => model,
            Loaded::Nothing => "",
        };
        dialects::page(&Standing {
            load: self.engine.load(),
            measured: self.engine.meters.read(),
            adapters: self.engine.adapters().await,
            model,
            config: &self.config,
        })
    }

    /// Waits as the one event loop makes everybody wait.
    async fn pause(&self, probe: bool) {
        match &self.turns {
            Some(turns) if !probe || self.config.probes_block => turns.pass().await,
            None if probe && self.config.probes_block => self.engine.settled().await,
            _ => {}
        }
    }

    /// The key and the limits. As observed, calls are counted before their key is looked at.
    fn enter(&self, route: &Route, parameter: &str, headers: &HeaderMap) -> Result<(), Fault> {
        if route.is_public() {
            return Ok(());
        }
        let agent = header_text(headers, "x-agent-id").or(Some(parameter).filter(|text| !text.is_empty()));
        let count = || {
            self.limits
                .take(agent, Instant::now())
                .map_err(|over| Fault::rate(over.scope, over.retry_after_s))
        };
        let key = || {
            if route.is_admin() {
                self.admin_key(headers)
            } else {
                self.api_key(headers)
            }
        };
        if self.config.unauthenticated_counts {
            count()?;
            key()
        } else {
            key()?;
            count()
        }
    }

    fn api_key(&self, headers: &HeaderMap) -> Result<(), Fault> {
        if self.config.api_keys.is_empty() {
            return Ok(());
        }
        let bearer = header_text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let given = header_text(headers, "x-api-key")
            .or(header_text(headers, "anthropic-api-key"))
            .or(bearer);
        match given {
            None => Err(Fault::authentication(
                "Missing API key. Provide x-api-key or anthropic-api-key header.",
            )),
            Some(key) if self.config.api_keys.iter().any(|held| held == key) => Ok(()),
            Some(_) => Err(Fault::authentication("Invalid API key.")),
        }
    }

    fn admin_key(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(wanted) = &self.config.admin_key else {
            let message = "Admin API key is not configured";
            return Err(Fault::other(
                StatusCode::INTERNAL_SERVER_ERROR,
                "api_error",
                message,
            ));
        };
        match header_text(headers, "x-admin-key") {
            Some(key) if key == wanted => Ok(()),
            Some(_) => Err(Fault::authentication("Invalid admin key.")),
            None => Err(Fault::authentication(
                "Missing admin key. Provide X-Admin-Key header.",
            )),
        }
    }

    async fn read_body(&self, parts: &Parts, body: Body) -> Result<Map<String, Value>, Fault> {
        let declared =
            header_text(&parts.headers, "content-length").and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > BODY_MAX) {
            return Err(Fault::too_large());
        }
        let bytes: Bytes = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MAX)).await {
            Ok(Ok(bytes)) => bytes,
            // Beyond the limit, or the client broke off and will read no answer.
            Ok(Err(_)) => return Err(Fault::too_large()),
            Err(_) => {
                let message = "The body did not arrive in time";
                return Err(Fault::other(
                    StatusCode::REQUEST_TIMEOUT,
                    "timeout_error",
                    message,
                ));
            }
        };
        let kind = header_text(&parts.headers, "content-type").unwrap_or("application/json");
        if !kind
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
        {
            if self.config.lenient_input {
                let input = json!(String::from_utf8_lossy(&bytes));
                let message = "Input should be a valid dictionary or object to extract fields from";
                return Err(Fault::invalid(vec![problem(
                    "model_attributes_type",
                    &json!(["body"]),
                    message,
                    &input,
                )]));
            }
            let message = "The content-type must be application/json";
            return Err(Fault::other(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request_error",
                message,
            ));
        }
        fields::object(&bytes).map_err(Fault::invalid)
    }

    fn generate_fields(&self, body: &Map<String, Value>) -> Result<(String, usize), Fault> {
        let mut problems = Vec::new();
        let mut fields = Fields::new(body, &mut problems).null_refused(!self.config.lenient_input);
        let text = fields
            .needed_text("prompt", PROMPT_MAX)
            .unwrap_or_default()
            .to_owned();
        let max_tokens = fields
            .integer("max_tokens", (1, GENERATE_MAX))
            .unwrap_or(GENERATE_DEFAULT);
        fields.number("temperature", 0.0, 2.0);
        if !self.config.lenient_input {
            fields.no_others();
        }
        if problems.is_empty() {
            Ok((text, max_tokens as usize))
        } else {
            Err(Fault::invalid(problems))
        }
    }

    fn unrouted(&self, found: &Found, dialect: Dialect) -> Reply {
        let mixed = self.config.mixed_errors;
        match found {
            Found::Method(allow) => {
                let fault = Fault::other(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "invalid_request_error",
                    "Method Not Allowed",
                );
                fault
                    .reply(mixed, dialect)
                    .with(header::ALLOW, HeaderValue::from_static(allow))
            }
            Found::Route(..) | Found::Nothing => Fault::not_found("Not Found").reply(mixed, dialect),
        }
    }

    /// The id that the client chose, or one of our own.
    fn request_id(&self, headers: &HeaderMap) -> String {
        header_text(headers, REQUEST_ID.as_str())
            .filter(|id| {
                !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
            })
            .map_or_else(
                || format!("req_{:016x}", self.next_id.fetch_add(1, Ordering::Relaxed)),
                str::to_owned,
            )
    }
}

/// An answer that says nothing.
fn empty() -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

fn finished(reply: Reply, stay: Option<Stay>) -> Response<Body> {
    if let Some(stay) = stay {
        stay.finish(reply.status.as_u16());
    }
    reply.into_response()
}

/// A header's text, where it is a name that could be an agent's, a key or the like.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= ID_MAX * 8).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::preset::preset;
    use crate::settings::Settings;

    async fn get(
        system: &Arc<Semantic>,
        method: &str,
        path: &str,
        body: &'static str,
    ) -> (u16, HeaderMap, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", "local-key-1")
            .body(Body::from(body))
            .unwrap();
        let response = System::handle(Arc::<Semantic>::clone(system), request).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, BODY_MAX).await.unwrap();
        (
            parts.status.as_u16(),
            parts.headers,
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    fn server(knobs: &[(&str, &str)]) -> Arc<Semantic> {
        let knobs: Vec<_> = knobs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let settings = Settings::new(preset("semantic-fixed").unwrap(), &knobs).unwrap();
        let start = Start {
            preset: "semantic-fixed",
            settings: &settings,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            slides: None,
            seed: 1,
            time_scale: 1.0,
            recorder: Arc::new(Recorder::new(true)),
        };
        Arc::new(Semantic::start(&start).unwrap())
    }

    const HELLO: &str =
        r#"{"model":"gemma-3-12b-it","max_tokens":3,"messages":[{"role":"user","content":"Hello"}]}"#;

    #[tokio::test]
    async fn a_stopping_service_says_so_and_takes_up_nothing_new() {
        let system = server(&[("decode_base_us", "100")]);
        assert_eq!(get(&system, "GET", "/health/ready", "").await.0, 200);
        assert_eq!(get(&system, "POST", "/v1/messages", HELLO).await.0, 200);
        System::stop(&*system);
        let (status, _, told) = get(&system, "GET", "/health/ready", "").await;
        assert_eq!((status, &told["reason"]), (503, &json!("shutting_down")));
        let (status, headers, told) = get(&system, "POST", "/v1/messages", HELLO).await;
        assert_eq!(
            (status, &told["error"]["type"]),
            (503, &json!("overloaded_error"))
        );
        assert!(headers.contains_key(header::RETRY_AFTER));
        assert_eq!(get(&system, "GET", "/health/live", "").await.0, 200);
    }

    #[tokio::test]
    async fn a_loading_model_is_told_by_startup_and_ready() {
        let system = server(&[("load_ms", "3600000")]);
        let (status, _, told) = get(&system, "GET", "/health/startup", "").await;
        assert_eq!((status, &told["reason"]), (503, &json!("model_loading")));
        assert_eq!(get(&system, "GET", "/health/ready", "").await.0, 503);
        assert_eq!(get(&system, "POST", "/v1/messages", HELLO).await.0, 503);
        assert_eq!(
            server(&[]).models.loaded(),
            super::super::models::Loaded::Ready("gemma-3-12b-it")
        );
        assert_eq!(get(&server(&[]), "GET", "/health/startup", "").await.0, 200);
    }
}
