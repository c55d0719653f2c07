//! The tools' client of the generation service: plain HTTP to a loopback address, a new connection for each call, and the observed
//! SDK's policy of repeating what failed. It knows the service's API by its paths only.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::ledger::{Ledger, nanos};
use crate::alarm::Alarm;

/// The SDK's limits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(600);
/// Its first and its longest pause before a repetition, before scaling.
const BACKOFF: (f64, f64) = (0.5, 8.0);
/// Largest answer that is read as JSON: an image in base64.
const JSON_MAX: usize = 64 * 1024 * 1024;

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    at: SocketAddr,
    retries_max: u32,
    time_scale: f64,
    alarm: Arc<Alarm>,
    ledger: Arc<Ledger>,
    dice: Mutex<ChaCha8Rng>,
}

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// Content type and body.
    pub(crate) body: Option<(String, Bytes)>,
}

/// What one tool call did at the service.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// Its id, sent along.
    pub(crate) request_id: String,
    /// Calls made.
    pub(crate) attempts: u32,
    /// Those that failed: cause and the pause after it.
    pub(crate) failures: Vec<Value>,
    /// Bytes of the file that were received, and how many the last answer's head promised for the whole.
    pub(crate) received: Option<(u64, u64)>,
}

/// Why a call failed for good.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The service answered with an error.
    Status(StatusCode, String),
    /// There was no answer, or it broke off.
    Connection(String),
    /// The file did not come whole, however often it was asked for.
    Incomplete(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status, body) => write!(f, "Error code: {} - {body}", status.as_u16()),
            Self::Connection(reason) => write!(f, "Connection error: {reason}"),
            Self::Incomplete(reason) => write!(f, "Download incomplete: {reason}"),
        }
    }
}

impl Failure {
    /// A short word for counts.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Status(status, _) => status.as_u16().to_string(),
            Self::Connection(_) => "connection".to_owned(),
            Self::Incomplete(_) => "incomplete".to_owned(),
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Status(status, _) => matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error(),
            Self::Connection(_) | Self::Incomplete(_) => true,
        }
    }
}

impl Ask {
    /// A request without a body.
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            body: None,
        }
    }

    /// A POST of JSON.
    pub(crate) fn post(target: impl Into<String>, body: &Value) -> Self {
        Self {
            method: Method::POST,
            target: target.into(),
            body: Some(("application/json".to_owned(), body.to_string().into())),
        }
    }
}

impl Client {
    /// Of the service at this address.
    pub(crate) fn new(
        at: SocketAddr,
        config: &super::config::Config,
        seed: u64,
        alarm: Arc<Alarm>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            at,
            retries_max: config.retries_max,
            time_scale: config.time_scale,
            alarm,
            ledger,
            dice: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    /// Where the service is.
    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    /// An answer's JSON, after as many repetitions as it takes and may take.
    pub(crate) async fn json(&self, ask: &Ask, trail: &mut Trail) -> Result<Value, Failure> {
        let mut retries = 0;
        loop {
            let failure = match self.attempt(ask, HeaderMap::new(), trail).await {
                Ok(response) => match whole(response).await {
                    Ok(value) => return Ok(value),
                    Err(failure) => (failure, None),
                },
                Err(failed) => failed,
            };
            self.pause(failure, &mut retries, trail).await?;
        }
    }

    /// The head of a content's answer, without any repetition; the pause it asks for comes with the failure.
    pub(crate) async fn attempt(
        &self,
        ask: &Ask,
        headers: HeaderMap,
        trail: &mut Trail,
    ) -> Result<Response<Incoming>, (Failure, Option<Duration>)> {
        trail.attempts += 1;
        self.ledger.attempted();
        let broken = |reason: String| (Failure::Connection(reason), None);
        let response = tokio::time::timeout(TIMEOUT, self.exchange(ask, headers, &trail.request_id))
            .await
            .map_err(|_| broken("timed out".to_owned()))?
            .map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let pause = response
            .headers()
            .get(HeaderName::from_static("retry-after-ms"))
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .map(Duration::from_millis)
            .filter(|pause| *pause <= Duration::from_secs(60));
        let body = match whole_bytes(response).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).chars().take(2_000).collect(),
            Err(_) => String::new(),
        };
        Err((Failure::Status(status, body), pause))
    }

    /// Waits before a repetition, if there may be one; otherwise gives the failure back.
    pub(crate) async fn pause(
        &self,
        (failure, asked): (Failure, Option<Duration>),
        retries: &mut u32,
        trail: &mut Trail,
    ) -> Result<(), Failure> {
        if !failure.may_pass() || *retries >= self.retries_max {
            trail
                .failures
                .push(json!({ "cause": failure.cause(), "retried": false }));
            return Err(failure);
        }
        let wait = asked.unwrap_or_else(|| self.backoff(*retries));
        *retries += 1;
        self.ledger.retried(&failure.cause());
        trail.failures.push(json!({
            "cause": failure.cause(), "retried": true, "wait_ms": wait.as_secs_f64() * 1000.0
        }));
        self.alarm.sleep_until(Instant::now() + wait).await;
        Ok(())
    }

    /// Doubling pauses, shortened by up to a quarter.
    fn backoff(&self, retries: u32) -> Duration {
        let nominal = (BACKOFF.0 * f64::from(1_u32 << retries.min(16))).min(BACKOFF.1);
        let jitter: f64 = self.dice.lock().unwrap_or_else(PoisonError::into_inner).random();
        Duration::from_secs_f64(nominal * (1.0 - 0.25 * jitter) * self.time_scale)
    }

    async fn exchange(
        &self,
        ask: &Ask,
        headers: HeaderMap,
        request_id: &str,
    ) -> Result<Response<Incoming>, String> {
        let told = |error: hyper::Error| error.to_string();
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.at))
            .await
            .map_err(|_| "connecting timed out".to_owned())?
            .map_err(|error| error.to_string())?;
        // Without it small requests would wait for acknowledgements; a socket that refuses it still works.
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(told)?;
        tokio::spawn(async move {
            // Its errors come out of the answer as well.
            let _ = connection.await;
        });
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.target)
            .header(header::HOST, self.at.to_string())
            .header(header::USER_AGENT, "sanzaru")
            .header("x-request-id", request_id);
        if let Some((content_type, _)) = &ask.body {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = ask
            .body
            .as_ref()
            .map(|(_, bytes)| bytes.clone())
            .unwrap_or_default();
        let mut request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        request.headers_mut().extend(headers);
        sender.send_request(request).await.map_err(told)
    }
}

async fn whole_bytes(response: Response<Incoming>) -> Result<Bytes, Failure> {
    http_body_util::Limited::new(response.into_body(), JSON_MAX)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| Failure::Connection(error.to_string()))
}

async fn whole(response: Response<Incoming>) -> Result<Value, Failure> {
    let bytes = whole_bytes(response).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Connection(format!("the answer is no JSON: {error}")))
}

impl Trail {
    /// Of the call with this id.
    pub(crate) fn new(request_id: String) -> Self {
        Self {
            request_id,
            ..Self::default()
        }
    }

    /// What a result that hides nothing says of the calls behind it.
    pub(crate) fn told(&self) -> Value {
        json!({ "attempts": self.attempts, "failures": self.failures })
    }

    /// What the account holds of the call.
    pub(crate) fn entry(&self, tool: &str, elapsed: Duration, outcome: Result<&Value, &str>) -> Value {
        json!({
            "request_id": self.request_id,
            "tool": tool,
            "elapsed_ns": nanos(elapsed),
            "ok": outcome.is_ok(),
            "error": outcome.err(),
            "upstream_attempts": self.attempts,
            "upstream_failures": self.failures,
            "received_bytes": self.received.map(|(bytes, _)| bytes),
            "declared_bytes": self.received.map(|(_, bytes)| bytes),
        })
    }
}
