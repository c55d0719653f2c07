//! The running server: its parts, and one HTTP request from its head to its answer and into the account.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use image::{ImageFormat, ImageResult};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::client::{Ask, Client};
use super::config::Config;
use super::folder::Folder;
use super::ledger::Ledger;
use super::mcp::{self, Endpoint};
use super::tools::Call;
use super::upstream::Upstream;
use super::{docs_page, openapi, picture};
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::reply::Reply;
use crate::gate::Gate;
use crate::recorder::{Recorder, Visit};
use crate::system::{Answering, Beside, Speaking, Start, System};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is echoed.
const REQUEST_ID_MAX: usize = 128;

/// What the tools work with.
pub(crate) struct Media {
    /// What is in force.
    pub(crate) config: Config,
    /// Where files are.
    pub(crate) folder: Arc<Folder>,
    /// The way to the generation service.
    pub(crate) client: Client,
    /// What really happened.
    pub(crate) ledger: Arc<Ledger>,
    /// The threads for pictures.
    pub(crate) threads: Gate,
    /// Z1.
    pub(crate) download_lock: Option<tokio::sync::Mutex<()>>,
    /// Times of tool calls, by tool.
    pub(crate) tool_times: Recorder,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").finish_non_exhaustive()
    }
}

/// The preset.
struct Server {
    media: Arc<Media>,
    endpoint: Endpoint,
    upstream: Option<Arc<Upstream>>,
    /// Of the generation service, until it is handed over.
    listener: Mutex<Option<TcpListener>>,
    recorder: Arc<Recorder>,
    openapi: Value,
    docs: String,
    /// Removed with this, whoever still holds the rest.
    _temporary: Option<TempDir>,
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    let config = Config::new(start.settings, start.time_scale)?;
    let ledger = Arc::new(Ledger::default());
    let alarm = Arc::new(Alarm::start()?);
    let (folder, temporary) = Folder::open(&config, Arc::clone(&ledger))?;
    let folder = Arc::new(folder);
    paint_references(&folder, config.reference_px, start.seed)
        .map_err(|error| BackendError::Io(std::io::Error::other(error)))?;
    let (upstream, listener, at) = if let Some(at) = config.upstream {
        (None, None, at)
    } else {
        let listener = start.listen()?;
        let at = reachable(listener.local_addr()?);
        let upstream = Upstream::new(
            &config.service,
            start.seed,
            Arc::clone(&alarm),
            Arc::clone(&ledger),
        );
        (Some(Arc::new(upstream)), Some(listener), at)
    };
    let openapi = openapi::document(&config);
    let media = Arc::new(Media {
        folder,
        client: Client::new(at, &config, start.seed, alarm, Arc::clone(&ledger)),
        ledger,
        threads: Gate::new(config.cpu_threads, usize::MAX),
        download_lock: config.serial_downloads.then(|| tokio::sync::Mutex::new(())),
        tool_times: Recorder::new(true),
        config,
    });
    Ok(Arc::new(Server {
        endpoint: Endpoint::new(&media, !start.host.is_loopback()),
        media,
        upstream,
        listener: Mutex::new(listener),
        recorder: Arc::clone(&start.recorder),
        docs: docs_page::html(&openapi),
        openapi,
        _temporary: temporary,
    }))
}

/// Where a listener on this address can be reached from here.
fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, bound.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, bound.port()).into(),
        _ => bound,
    }
}

/// Reference images to begin with; those that are there stay as they are.
fn paint_references(folder: &Folder, edge: u32, seed: u64) -> ImageResult<()> {
    let short = (edge * 2 / 3).max(1);
    for (name, width, height, format) in [
        ("landscape.jpg", edge, short, ImageFormat::Jpeg),
        ("portrait.png", short, edge, ImageFormat::Png),
        ("square.webp", edge, edge, ImageFormat::WebP),
    ] {
        let path = folder.images().join(name);
        if !path.exists() {
            let key = name.bytes().fold(seed, |key, byte| {
                key.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
            });
            picture::paint(key, width, height).save_with_format(path, format)?;
        }
    }
    Ok(())
}

impl Media {
    /// The tool begins to work.
    pub(crate) fn begin(&self, call: &mut Call) {
        self.tool_times.begin(&mut call.visit, false);
    }

    /// Asks the generation service for JSON.
    pub(crate) async fn ask(&self, ask: &Ask, call: &mut Call) -> Result<Value, String> {
        self.client
            .json(ask, &mut call.trail)
            .await
            .map_err(|failure| failure.to_string())
    }
}

impl System for Server {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(self.serve(request))
    }

    fn state(&self) -> Value {
        let mut state = self.media.ledger.to_json();
        state["folder"] = json!(self.media.folder.root());
        state["upstream_url"] = json!(format!("http://{}", self.media.client.at()));
        state["tools"] = self.media.tool_times.to_json();
        state["upstream"]["times"] = self
            .upstream
            .as_ref()
            .map_or(Value::Null, |upstream| upstream.times());
        state
    }

    fn reset(&self) {
        self.media.ledger.reset();
        self.media.tool_times.reset();
        if let Some(upstream) = &self.upstream {
            upstream.reset();
        }
    }

    fn beside(self: Arc<Self>) -> Vec<Beside> {
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (listener, &self.upstream) {
            (Some(listener), Some(upstream)) => {
                let upstream = Arc::clone(upstream);
                vec![Beside {
                    name: "upstream",
                    listener,
                    handle: Arc::new(move |request| Box::pin(Arc::clone(&upstream).handle(request))),
                }]
            }
            _ => Vec::new(),
        }
    }

    fn stdio(self: Arc<Self>) -> Option<Speaking> {
        Some(Box::pin(mcp::over_stdio(Arc::clone(&self.media))))
    }

    fn stop(&self) {
        self.endpoint.stop();
    }
}

impl Server {
    async fn serve(self: Arc<Self>, mut request: Request<Body>) -> Response<Body> {
        let mut visit = self.recorder.arrive();
        self.recorder.begin(&mut visit, false);
        let id = request_id(request.headers());
        let id = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"));
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let mut response = if request.uri().path() == "/mcp" {
            self.mcp(request, visit).await
        } else {
            let (endpoint, reply) = self.page(request.method(), request.uri().path());
            self.recorder.end(&mut visit);
            self.recorder.finish(visit, endpoint, reply.status.as_u16());
            reply.into_response()
        };
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    async fn mcp(&self, request: Request<Body>, visit: Visit) -> Response<Body> {
        let endpoint = match *request.method() {
            Method::POST => "POST /mcp",
            Method::GET => "GET /mcp",
            Method::DELETE => "DELETE /mcp",
            _ => "unrouted",
        };
        let response = self.endpoint.handle(request).await;
        let status = response.status().as_u16();
        let recorder = Arc::clone(&self.recorder);
        response.map(|inner| {
            Body::new(Counted {
                inner,
                stay: Some(Stay {
                    recorder,
                    visit,
                    endpoint,
                    status,
                }),
            })
        })
    }

    fn page(&self, method: &Method, path: &str) -> (&'static str, Reply) {
        let (endpoint, reply) = match path {
            "/health" => ("GET /health", Reply::json(&json!({ "status": "ok" }))),
            "/openapi.json" => ("GET /openapi.json", Reply::json(&self.openapi)),
            "/docs" => (
                "GET /docs",
                Reply::new(StatusCode::OK, "text/html; charset=utf-8", self.docs.clone()),
            ),
            "/" => (
                "GET /",
                Reply::json(
                    &json!({ "name": "sanzaru", "mcp": "/mcp", "openapi": "/openapi.json", "docs": "/docs" }),
                ),
            ),
            _ => return ("unrouted", Reply::not_found("Not Found")),
        };
        if method == Method::GET {
            (endpoint, reply)
        } else {
            ("unrouted", Reply::method_not_allowed("GET"))
        }
    }
}

/// The id that a client gave, if it can be echoed, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    headers
        .get(REQUEST_ID)
        .filter(|id| {
            (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
        })
        .and_then(|id| id.to_str().ok())
        .map_or_else(
            || {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_millis() as u64);
                format!("req_{now:x}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed))
            },
            str::to_owned,
        )
}

/// An answer's body, whose end is the end of the request in the account: an event stream is ready when its last event is.
struct Counted<B> {
    inner: B,
    stay: Option<Stay>,
}

struct Stay {
    recorder: Arc<Recorder>,
    visit: Visit,
    endpoint: &'static str,
    status: u16,
}

impl Stay {
    fn end(mut self) {
        self.recorder.end(&mut self.visit);
        self.recorder.finish(self.visit, self.endpoint, self.status);
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        if let Some(stay) = self.stay.take() {
            stay.end();
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        if (frame.is_none() || self.inner.is_end_stream())
            && let Some(stay) = self.stay.take()
        {
            stay.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
