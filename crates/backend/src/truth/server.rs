//! The application: the queue at `/work`, and `/null`, `/echo`, `/health` beside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::service::ServiceTime;
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::json::decode;
use crate::fastapi::reply::Reply;
use crate::gate::Gate;
use crate::preset::KnobDef;
use crate::recorder::{Recorder, Visit};
use crate::settings::Settings;

/// The knobs of `truth`.
pub(crate) static KNOBS: &[KnobDef] = &[
    knob(
        "service",
        "det|exp|lognormal",
        "lognormal",
        "distribution of the service time of GET /work: constant, exponential or lognormal",
    ),
    knob("mean_ms", "ms", "5", "mean of the service time"),
    knob(
        "sigma",
        "1",
        "0.5",
        "spread of a lognormal service time: sigma of its natural logarithm",
    ),
    knob("servers", "count", "1", "requests in service at once"),
    knob(
        "queue_max",
        "count",
        "1000000",
        "requests that may wait; the next one is shed",
    ),
    knob(
        "shed_status",
        "status",
        "503",
        "status of a shed request: 503 or 429",
    ),
    knob(
        "retry_after_s",
        "s",
        "1",
        "Retry-After of a shed request; 0 leaves the header out",
    ),
    knob("body_bytes", "B", "64", "size of the body of GET /work"),
];

const BODY_MAX: usize = 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The server's state.
#[derive(Debug)]
pub(crate) struct Truth {
    service: ServiceTime,
    gate: Gate,
    shed_status: StatusCode,
    retry_after: Option<HeaderValue>,
    body: String,
    alarm: Alarm,
    recorder: Arc<Recorder>,
}

impl Truth {
    /// Reads the knobs.
    pub(crate) fn start(
        settings: &Settings,
        seed: u64,
        recorder: Arc<Recorder>,
    ) -> Result<Self, BackendError> {
        let retry_after_s = settings.count("retry_after_s", 0, 86_400)?;
        Ok(Self {
            service: ServiceTime::new(settings, seed)?,
            gate: Gate::new(
                settings.count("servers", 1, 4096)? as usize,
                settings.count("queue_max", 0, 1_000_000)? as usize,
            ),
            shed_status: match settings.choice("shed_status", &["503", "429"])? {
                "429" => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            retry_after: (retry_after_s > 0).then(|| HeaderValue::from(retry_after_s)),
            body: json!({ "work": "x".repeat(settings.count("body_bytes", 0, 16 * 1024 * 1024)? as usize) })
                .to_string(),
            alarm: Alarm::start()?,
            recorder,
        })
    }

    /// The exact moments of what was asked for, for the admin port.
    pub(crate) fn model(&self) -> Value {
        self.service.to_json()
    }

    /// Serves one request. The work goes on when the client leaves.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let task = tokio::spawn(async move {
            let mut visit = self.recorder.arrive();
            let (endpoint, reply) = self.answer(request, &mut visit).await;
            self.recorder.finish(visit, endpoint, reply.status.as_u16());
            reply.into_response()
        });
        task.await.unwrap_or_else(|_| Reply::unhandled().into_response())
    }

    async fn answer(&self, request: Request<Body>, visit: &mut Visit) -> (&'static str, Reply) {
        let allowed = match request.uri().path() {
            "/work" | "/null" | "/health" | "/openapi.json" | "/" => "GET",
            "/echo" => "POST",
            _ => return ("unrouted", Reply::not_found("Not Found")),
        };
        if request.method().as_str() != allowed {
            return ("unrouted", Reply::method_not_allowed(allowed));
        }
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/work" => ("GET /work", self.work(visit).await),
            "/null" => (
                "GET /null",
                Reply::new(StatusCode::OK, "text/plain; charset=utf-8", ""),
            ),
            "/echo" => ("POST /echo", echo(request.into_body()).await),
            "/health" => ("GET /health", Reply::json(&json!({ "status": "ok" }))),
            "/openapi.json" => ("GET /openapi.json", Reply::json(&openapi())),
            _ => (
                "GET /",
                Reply::json(&json!({ "name": "Truth server", "openapi": "/openapi.json" })),
            ),
        }
    }

    async fn work(&self, visit: &mut Visit) -> Reply {
        let Ok(turn) = self.gate.enter().await else {
            let reply = Reply::detail(self.shed_status, "Too many requests waiting");
            return match &self.retry_after {
                Some(value) => reply.with(header::RETRY_AFTER, value.clone()),
                None => reply,
            };
        };
        self.recorder.begin(visit, true);
        self.alarm.sleep_until(Instant::now() + self.service.draw()).await;
        self.recorder.end(visit);
        drop(turn);
        Reply::new(StatusCode::OK, "application/json", self.body.clone())
    }
}

async fn echo(body: Body) -> Reply {
    let unreadable = || {
        Reply::detail(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a JSON object with a string 'nonce' is needed",
        )
    };
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => match decode(&bytes)
            .ok()
            .as_ref()
            .and_then(|value| value["nonce"].as_str())
        {
            Some(nonce) => Reply::json(&json!({ "nonce": nonce })),
            None => unreadable(),
        },
        Ok(Err(_)) => Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
        Err(_) => Reply::detail(StatusCode::REQUEST_TIMEOUT, "Request body did not arrive in time"),
    }
}

fn openapi() -> Value {
    let ok = json!({ "200": { "description": "Successful Response" } });
    let nonce =
        json!({ "type": "object", "properties": { "nonce": { "type": "string" } }, "required": ["nonce"] });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Truth server", "version": "0.1.0" },
        "paths": {
            "/work": { "get": { "summary": "Wait for a server, then work", "responses": ok } },
            "/null": { "get": { "summary": "Do nothing", "responses": ok } },
            "/health": { "get": { "summary": "Health", "responses": ok } },
            "/echo": { "post": {
                "summary": "Return the nonce",
                "requestBody": { "required": true, "content": { "application/json": { "schema": nonce } } },
                "responses": {
                    "200": { "description": "Successful Response", "content": { "application/json": { "schema": nonce } } },
                    "422": { "description": "No nonce" }
                }
            } }
        }
    })
}

const fn knob(
    name: &'static str,
    unit: &'static str,
    default: &'static str,
    description: &'static str,
) -> KnobDef {
    KnobDef {
        name,
        unit,
        default,
        description,
        fault: None,
    }
}
