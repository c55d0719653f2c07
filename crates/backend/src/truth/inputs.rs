//! Endpoints that look at their input, each strict in the twin without defects, and the defects that can be planted in them.

mod answers;
mod declared;
mod defects;
mod faulty;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use declared::Route;
use declared::{BILLING, ROUTES};
pub(crate) use defects::Defects;

use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::json::{JsonError, decode};
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;
use crate::settings::Settings;

/// Work of the endpoints that do some.
const WORK: Duration = Duration::from_millis(20);
/// How long a body may stand still where that ends in a server error.
const STALL_BROKEN: Duration = Duration::from_millis(300);

/// The endpoints' state.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Those in force.
    pub(crate) defects: Defects,
    token: String,
    body_max: usize,
    stall: Duration,
    alarm: Arc<Alarm>,
    readers: Arc<Semaphore>,
    captions: Arc<Semaphore>,
    completions: Arc<Semaphore>,
}

/// A place that the client takes with it when it leaves.
struct Leaky(Option<OwnedSemaphorePermit>);

impl Drop for Leaky {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.forget();
        }
    }
}

impl Inputs {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, alarm: Arc<Alarm>) -> Result<Self, BackendError> {
        Ok(Self {
            defects: Defects::new(settings)?,
            token: settings.word("auth_token").to_owned(),
            body_max: settings.count("body_max_kib", 1, 1024 * 1024)? as usize * 1024,
            stall: Duration::from_secs_f64(settings.number("stall_ms", 1.0, 1e7)? / 1000.0),
            alarm,
            readers: Arc::new(Semaphore::new(4)),
            captions: Arc::new(Semaphore::new(4)),
            completions: Arc::new(Semaphore::new(1)),
        })
    }

    /// The routes of a path; none when the path belongs to others.
    pub(crate) fn find(path: &str) -> Option<&'static Route> {
        all().find(|route| route.matches(path).is_some())
    }

    /// The paths of the OpenAPI document.
    pub(crate) fn paths() -> Map<String, Value> {
        let mut paths = Map::new();
        for route in all() {
            let method = route.method().to_ascii_lowercase();
            paths.insert(route.path().to_owned(), json!({ method: route.operation() }));
        }
        paths
    }

    /// Serves one request. Dropped when its client leaves.
    pub(crate) async fn answer(&self, route: &'static Route, parts: &Parts, body: Body) -> Reply {
        match self.checked(route, parts, body).await {
            Ok(reply) | Err(reply) => reply,
        }
    }

    async fn checked(&self, route: &'static Route, parts: &Parts, body: Body) -> Result<Reply, Reply> {
        let endpoint = route.endpoint;
        if parts.method.as_str() != route.method() {
            if endpoint == "POST /v1/embed" && parts.method.as_str() == "GET" && self.defects.has(16) {
                return Ok(Reply::json(&json!({ "embedding": [] })));
            }
            return Err(Reply::method_not_allowed(route.method()));
        }
        self.authorised(route, &parts.headers)?;
        let acceptable = accepts(&parts.headers, route.answers);
        if let Some(wrong) = faulty::by_headers(self.defects, endpoint, &parts.headers, acceptable) {
            return Err(wrong);
        }
        if !acceptable {
            return Err(Reply::detail(
                StatusCode::NOT_ACCEPTABLE,
                format!("only {} is offered", route.answers),
            ));
        }
        let inputs = if route.method() == "POST" {
            self.body_inputs(route, &parts.headers, body).await?
        } else {
            query_inputs(route, parts)
        };
        if let Some(wrong) = faulty::by_inputs(self.defects, endpoint, &inputs) {
            return Err(wrong);
        }
        let problems = route.problems(&inputs);
        if !problems.is_empty() {
            return Err(Reply::invalid(&problems));
        }
        self.work(endpoint).await;
        answers::answer(endpoint, &inputs).ok_or_else(|| {
            let name = route.path_field().and_then(|field| inputs.get(field)?.as_str());
            let name = name.unwrap_or_default();
            faulty::missing(self.defects, endpoint, name)
                .unwrap_or_else(|| Reply::not_found("There is none of that name"))
        })
    }

    fn authorised(&self, route: &Route, headers: &HeaderMap) -> Result<(), Reply> {
        let open = route.endpoint == "GET /v1/account" && self.defects.has(19);
        if !route.secured || open {
            return Ok(());
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer "));
        let any = route.endpoint == "GET /v1/billing" && self.defects.has(20);
        if token.is_some_and(|token| token == self.token || (any && !token.is_empty())) {
            return Ok(());
        }
        Err(Reply::detail(StatusCode::UNAUTHORIZED, "Not authenticated")
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
    }

    async fn body_inputs(
        &self,
        route: &Route,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Map<String, Value>, Reply> {
        let endpoint = route.endpoint;
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .is_none_or(|value| value.as_bytes().starts_with(b"application/json"));
        if !is_json {
            return Err(Reply::detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/json",
            ));
        }
        let place = if endpoint == "POST /v1/translate" && self.defects.has(27) {
            Arc::clone(&self.readers).acquire_owned().await.ok()
        } else {
            None
        };
        let bytes = self.read(endpoint, body).await?;
        drop(place);
        if let Some(wrong) = faulty::by_bytes(self.defects, endpoint, &bytes) {
            return Err(wrong);
        }
        match decode(&bytes) {
            Ok(Value::Object(inputs)) => Ok(inputs),
            Ok(_) => Err(Reply::detail(
                StatusCode::UNPROCESSABLE_ENTITY,
                "a JSON object is needed",
            )),
            Err(JsonError::Decode { message, position }) => Err(Reply::detail(
                StatusCode::BAD_REQUEST,
                format!("no JSON: {message} at {position}"),
            )),
            Err(JsonError::Unparsable) => {
                Err(Reply::detail(StatusCode::BAD_REQUEST, "the body cannot be read"))
            }
        }
    }

    /// The whole body, within its bounds of size and of standing still.
    async fn read(&self, endpoint: &str, body: Body) -> Result<Bytes, Reply> {
        let broken_stall = endpoint == "POST /v1/embed" && self.defects.has(28);
        let patience = if broken_stall { STALL_BROKEN } else { self.stall };
        // With the defect in force nothing ends the wait but the client.
        let endless = endpoint == "POST /v1/translate" && self.defects.has(27);
        let mut body = body;
        let mut bytes = Vec::new();
        loop {
            let mut pinned = std::pin::Pin::new(&mut body);
            let next = std::future::poll_fn(|context| pinned.as_mut().poll_frame(context));
            let frame = if endless {
                next.await
            } else {
                match tokio::time::timeout(patience, next).await {
                    Ok(frame) => frame,
                    Err(_) if broken_stall => return Err(Reply::unhandled()),
                    Err(_) => {
                        return Err(Reply::detail(
                            StatusCode::REQUEST_TIMEOUT,
                            "the body did not arrive in time",
                        )
                        .with(header::CONNECTION, HeaderValue::from_static("close")));
                    }
                }
            };
            match frame {
                None => return Ok(bytes.into()),
                Some(Err(_)) => {
                    return Err(Reply::detail(StatusCode::BAD_REQUEST, "the body ended too early"));
                }
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            }
            if bytes.len() > self.body_max {
                if endpoint == "POST /v1/summarise" && self.defects.has(25) {
                    return Err(Reply::unhandled());
                }
                return Err(
                    Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                        .with(header::CONNECTION, HeaderValue::from_static("close")),
                );
            }
        }
    }

    /// The work of the endpoints that do some, each in its own places.
    async fn work(&self, endpoint: &str) {
        let places = match endpoint {
            "POST /v1/translate" => return self.alarm.sleep_until(Instant::now() + WORK).await,
            "POST /v1/caption" => Arc::clone(&self.captions),
            "POST /v1/complete" => Arc::clone(&self.completions),
            _ => return,
        };
        if endpoint == "POST /v1/complete" && self.defects.has(30) {
            let alarm = Arc::clone(&self.alarm);
            let work = tokio::spawn(async move {
                let _place = places.acquire_owned().await;
                alarm.sleep_until(Instant::now() + WORK).await;
            });
            // It ends by itself; only the client may not wait for it.
            let _ = work.await;
            return;
        }
        // The semaphores are never closed.
        let Ok(place) = places.acquire_owned().await else {
            return;
        };
        let taken = endpoint == "POST /v1/caption" && self.defects.has(29);
        let (mut leaky, kept) = if taken {
            (Leaky(Some(place)), None)
        } else {
            (Leaky(None), Some(place))
        };
        self.alarm.sleep_until(Instant::now() + WORK).await;
        drop(leaky.0.take());
        drop(kept);
    }
}

fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain([&BILLING])
}

fn query_inputs(route: &Route, parts: &Parts) -> Map<String, Value> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let mut inputs: Map<String, Value> = query
        .pairs()
        .map(|(name, text)| (name.to_owned(), route.typed(name, text)))
        .collect();
    if let (Some(field), Some(value)) = (route.path_field(), route.matches(parts.uri.path())) {
        inputs.insert(field.to_owned(), json!(value));
    }
    inputs
}

/// Whether one of the types that the client takes is this one.
fn accepts(headers: &HeaderMap, offered: &str) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    let family = offered.split('/').next().unwrap_or_default();
    accept.split(',').any(|part| {
        let kind = part.split(';').next().unwrap_or_default().trim();
        kind == "*/*" || kind == offered || kind.strip_suffix("/*") == Some(family)
    })
}
