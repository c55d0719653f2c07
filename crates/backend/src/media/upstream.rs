//! The generation service behind the MCP server: videos and images by the API of OpenAI's video and response endpoints, with its
//! refusals, its slow and broken transfers. It knows nothing of MCP.

mod asset;
mod content;
mod fields;
mod images;
mod metrics;
mod openapi;
mod range;
mod refusal;
mod routes;
mod transfer;
mod videos;
mod weather;

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::config::Service;
use super::docs_page;
use super::ledger::{Activity, Ledger};
use crate::alarm::Alarm;
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;
use crate::recorder::{Recorder, Visit};
use fields::Fields;
use images::Images;
use refusal::{bad_field, missing, refusal};
use routes::{Route, find};
use transfer::Plan;
use videos::{Phase, Video, Videos, Wish};
use weather::{End, Weather};

/// Largest body: a reference image among the fields.
const BODY_MAX: usize = 32 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const PROMPT_MAX: usize = 32_000;
/// Pause that a 429 asks for, before scaling.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const SIZES: [&str; 4] = ["720x1280", "1280x720", "1024x1792", "1792x1024"];

/// The running service.
pub(crate) struct Upstream {
    service: Service,
    seed: u64,
    videos: Videos,
    images: Images,
    weather: Weather,
    alarm: Arc<Alarm>,
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    openapi: Value,
    docs: String,
}

/// An answer, or one that goes on after its head.
enum Answer {
    Done(Reply),
    Transfer(Reply, Plan),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Done(reply)
    }
}

/// One exchange on its way into the account.
struct Exchange {
    endpoint: &'static str,
    target: String,
    request_id: String,
    at: Instant,
    at_unix_ms: u64,
}

impl Upstream {
    /// Everything is ready when this returns.
    pub(crate) fn new(service: &Service, seed: u64, alarm: Arc<Alarm>, ledger: Arc<Ledger>) -> Self {
        let openapi = openapi::document();
        Self {
            service: service.clone(),
            seed,
            videos: Videos::new(service, seed),
            images: Images::new(service, seed),
            weather: Weather::new(service, seed),
            alarm,
            ledger,
            recorder: Arc::new(Recorder::new(true)),
            docs: docs_page::html(&openapi),
            openapi,
        }
    }

    /// Its own account of times, by endpoint.
    pub(crate) fn times(&self) -> Value {
        self.recorder.to_json()
    }

    /// That account begins anew.
    pub(crate) fn reset(&self) {
        self.recorder.reset();
    }

    /// Serves one request. Work goes on when the client leaves.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let task = tokio::spawn(self.serve(request));
        task.await.unwrap_or_else(|_| Reply::unhandled().into_response())
    }

    async fn serve(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let mut visit = self.recorder.arrive();
        let (parts, body) = request.into_parts();
        let request_id = super::app::request_id(&parts.headers);
        let mut exchange = Exchange {
            endpoint: "unrouted",
            target: parts.uri.to_string().chars().take(200).collect(),
            request_id: request_id.clone(),
            at: Instant::now(),
            at_unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
        };
        self.recorder.begin(&mut visit, false);
        let answer = match find(&parts.method, parts.uri.path()) {
            Ok((endpoint, route)) => {
                exchange.endpoint = endpoint;
                self.answer(&route, &parts, body, &exchange).await
            }
            Err(reply) => reply.into(),
        };
        let signed = |mut reply: Reply| {
            if let Ok(id) = HeaderValue::from_str(&request_id) {
                reply.set(HeaderName::from_static("x-request-id"), id);
            }
            reply
        };
        match answer {
            Answer::Done(reply) => {
                self.finish(
                    visit,
                    &exchange,
                    reply.status,
                    json!({ "bytes": reply.body.len() }),
                );
                signed(reply).into_response()
            }
            Answer::Transfer(reply, plan) => {
                let status = reply.status;
                let mut response = signed(reply).into_response();
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, plan.declared().into());
                let (length, way) = (plan.length, plan.way);
                let service = Arc::clone(&self);
                let during = self.ledger.during(Activity::Transfer);
                *response.body_mut() = plan.start(Arc::clone(&self.alarm), move |sent| {
                    let entry = json!({
                        "bytes": sent.bytes,
                        "wanted_bytes": length,
                        "end": match way.end { End::Whole => "whole", End::Cut => "cut", End::Short => "short" },
                        "throttled": way.throttled,
                        "client_left": sent.client_left,
                    });
                    service.finish(visit, &exchange, status, entry);
                    drop(during);
                });
                response
            }
        }
    }

    fn finish(&self, mut visit: Visit, exchange: &Exchange, status: StatusCode, mut entry: Value) {
        self.recorder.end(&mut visit);
        self.recorder.finish(visit, exchange.endpoint, status.as_u16());
        if exchange.endpoint.contains("/v1/") {
            entry["request_id"] = json!(exchange.request_id);
            entry["route"] = json!(exchange.endpoint);
            entry["target"] = json!(exchange.target);
            entry["status"] = json!(status.as_u16());
            entry["at_unix_ms"] = json!(exchange.at_unix_ms);
            entry["elapsed_ns"] = json!(super::ledger::nanos(exchange.at.elapsed()));
            self.ledger.exchanged(exchange.endpoint, status.as_u16(), entry);
        }
    }

    async fn answer(&self, route: &Route, parts: &Parts, body: Body, exchange: &Exchange) -> Answer {
        match route {
            Route::Health => return Reply::json(&json!({ "status": "ok" })).into(),
            Route::Metrics => return metrics::page(&self.ledger).into(),
            Route::OpenApi => return Reply::json(&self.openapi).into(),
            Route::Docs => {
                return Reply::new(StatusCode::OK, "text/html; charset=utf-8", self.docs.clone()).into();
            }
            _ => {}
        }
        let bytes = match read(body).await {
            Ok(bytes) => bytes,
            Err(reply) => return reply.into(),
        };
        self.alarm.sleep_until(exchange.at + self.service.latency).await;
        if let Some(status) = self.weather.refusal() {
            return self.refused(status).into();
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let outcome: Result<Answer, Reply> = match route {
            Route::Videos if parts.method == Method::GET => self.list(&query).map(Into::into),
            Route::Videos => self.create(parts, bytes).await.map(Into::into),
            Route::Video(id) if parts.method == Method::DELETE => self.delete(id).map(Into::into),
            Route::Video(id) => self.video(id).map(|video| Reply::json(&video.to_json()).into()),
            Route::Remix(id) => self.remix(id, parts, bytes).await.map(Into::into),
            Route::Content(id) => self.content(id, &query, parts).await,
            Route::Responses => self.draw(parts, bytes).await.map(Into::into),
            Route::Response(id) => self.drawing(id).await.map(Into::into),
            Route::Health | Route::Metrics | Route::OpenApi | Route::Docs => Ok(Reply::unhandled().into()),
        };
        outcome.unwrap_or_else(Into::into)
    }

    fn refused(&self, status: StatusCode) -> Reply {
        if status != StatusCode::TOO_MANY_REQUESTS {
            return refusal(
                status,
                "The server had an error while processing your request.",
                None,
                None,
            );
        }
        let wait = RETRY_AFTER.mul_f64(self.service.time_scale);
        let number = |n: u128| HeaderValue::from_str(&n.to_string()).unwrap_or(HeaderValue::from_static("1"));
        refusal(
            status,
            "Rate limit reached. Please try again later.",
            None,
            Some("rate_limit_exceeded"),
        )
        .with(
            header::RETRY_AFTER,
            number(u128::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))),
        )
        .with(
            HeaderName::from_static("retry-after-ms"),
            number(wait.as_millis()),
        )
    }

    fn video(&self, id: &str) -> Result<Arc<Video>, Reply> {
        self.videos.get(id).ok_or_else(|| missing("Video", id))
    }

    fn list(&self, query: &Query) -> Result<Reply, Reply> {
        let limit = match query.get("limit") {
            None => 20,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=100).contains(limit))
                .ok_or_else(|| bad_field("limit", "'limit' must be a whole number from 1 to 100."))?,
        };
        let descending = match query.get("order") {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(bad_field("order", "'order' must be 'asc' or 'desc'.")),
        };
        let after = query.get("after");
        let page = self
            .videos
            .page(after, limit, descending)
            .ok_or_else(|| missing("Video", after.unwrap_or_default()))?;
        let id = |video: Option<&Arc<Video>>| video.map(|video| video.id.clone());
        Ok(Reply::json(&json!({
            "object": "list",
            "data": page.videos.iter().map(|video| video.to_json()).collect::<Vec<_>>(),
            "first_id": id(page.videos.first()),
            "last_id": id(page.videos.last()),
            "has_more": page.has_more,
        })))
    }

    async fn create(&self, parts: &Parts, bytes: Bytes) -> Result<Reply, Reply> {
        let fields = Fields::read(&parts.headers, bytes).await?;
        let wish = Wish {
            prompt: fields.prompt(PROMPT_MAX)?,
            model: fields.choice("model", &["sora-2", "sora-2-pro"])?,
            seconds: fields.choice("seconds", &["4", "8", "12"])?,
            size: fields.choice("size", &SIZES)?,
            remixed_from: None,
        };
        if let Some(file) = &fields.file {
            check_reference(&file.bytes, wish.size)?;
        }
        let video = self.videos.create(wish, self.weather.job_fails());
        Ok(Reply::json(&video.to_json()))
    }

    async fn remix(&self, id: &str, parts: &Parts, bytes: Bytes) -> Result<Reply, Reply> {
        let source = self.video(id)?;
        let prompt = Fields::read(&parts.headers, bytes).await?.prompt(PROMPT_MAX)?;
        if source.phase() != Phase::Completed {
            let message = format!("Video '{id}' is not completed and cannot be remixed.");
            return Err(refusal(StatusCode::BAD_REQUEST, &message, None, None));
        }
        let wish = Wish {
            prompt,
            remixed_from: Some(source.id.clone()),
            ..source.wish.clone()
        };
        let video = self.videos.create(wish, self.weather.job_fails());
        Ok(Reply::json(&video.to_json()))
    }

    fn delete(&self, id: &str) -> Result<Reply, Reply> {
        if !self.videos.delete(id) {
            return Err(missing("Video", id));
        }
        Ok(Reply::json(
            &json!({ "id": id, "object": "video.deleted", "deleted": true }),
        ))
    }

    async fn draw(&self, parts: &Parts, bytes: Bytes) -> Result<Reply, Reply> {
        let fields = Fields::read(&parts.headers, bytes).await?;
        let drawing = self.images.create(&fields, self.weather.job_fails())?;
        drawing
            .to_json()
            .map(|told| Reply::json(&told))
            .map_err(|_| Reply::unhandled())
    }

    async fn drawing(&self, id: &str) -> Result<Reply, Reply> {
        let drawing = self.images.get(id).ok_or_else(|| missing("Response", id))?;
        tokio::task::spawn_blocking(move || drawing.to_json())
            .await
            .map_err(|_| Reply::unhandled())?
            .map(|told| Reply::json(&told))
            .map_err(|_| Reply::unhandled())
    }
}

async fn read(body: Body) -> Result<Bytes, Reply> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Beyond the limit, or the client broke off and will read no answer.
        Ok(Err(_)) => Err(refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The request body is too large.",
            None,
            None,
        )),
        Err(_) => Err(refusal(
            StatusCode::REQUEST_TIMEOUT,
            "The request body did not arrive in time.",
            None,
            None,
        )),
    }
}

/// A reference must be a picture of the video's size.
fn check_reference(bytes: &[u8], size: &str) -> Result<(), Reply> {
    let dimensions = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_dimensions().ok());
    match dimensions {
        None => Err(bad_field(
            "input_reference",
            "The reference must be a JPEG, PNG or WebP image.",
        )),
        Some((width, height)) if format!("{width}x{height}") == size => Ok(()),
        Some(_) => Err(bad_field(
            "input_reference",
            "Inpaint image must match the requested width and height",
        )),
    }
}
