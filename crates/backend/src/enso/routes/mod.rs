//! The table of routes and Starlette's way through it: decoded path, 404, 405, the redirect between a path with and without a
//! trailing slash. One file per group of handlers.

mod analyze;
mod embed;
mod health;
mod report;
mod search;
mod slides;
mod tiles;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::Value;

use super::app::{Answer, Enso};
use super::slides::Slide;
use crate::fastapi::body::Body;
use crate::fastapi::params::{Query, percent_decode};
use crate::fastapi::reply::Reply;

/// Longest id that file systems accept as a file name with `.npy` behind it is 255 bytes; the fixed server bounds ids in characters.
const ID_MAX: usize = 256;
/// Longest stretch of an unknown id that the fixed server repeats in an error.
const ECHO_MAX: usize = 64;

/// How much work a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Answers from memory: never waits, unless everything waits for the one event loop.
    Light,
    /// Touches pixels or the accelerator: takes a slot.
    Heavy,
}

/// One route.
pub(crate) struct Route {
    /// Method and path template, its name in the account.
    pub(crate) endpoint: &'static str,
    /// Cost class.
    pub(crate) weight: Weight,
    /// Whether the body is read.
    pub(crate) reads_body: bool,
    /// The handler.
    pub(crate) answer: fn(&Enso, &Ask) -> Answer,
    method: &'static str,
    path: &'static [&'static str],
}

/// What a handler is given.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Path parameters in order.
    pub(crate) params: Vec<String>,
    /// The query string.
    pub(crate) query: Query,
    /// The body, if the route reads one.
    pub(crate) body: Bytes,
    /// Its declared type.
    pub(crate) content_type: Option<String>,
}

const fn get(
    endpoint: &'static str,
    path: &'static [&'static str],
    weight: Weight,
    answer: fn(&Enso, &Ask) -> Answer,
) -> Route {
    Route {
        endpoint,
        weight,
        reads_body: false,
        answer,
        method: "GET",
        path,
    }
}

const fn post(
    endpoint: &'static str,
    path: &'static [&'static str],
    answer: fn(&Enso, &Ask) -> Answer,
) -> Route {
    Route {
        endpoint,
        weight: Weight::Heavy,
        reads_body: true,
        answer,
        method: "POST",
        path,
    }
}

/// `*` stands for one segment.
static ROUTES: &[Route] = &[
    get("GET /health", &["health"], Weight::Light, health::health),
    get(
        "GET /api/health",
        &["api", "health"],
        Weight::Light,
        health::health,
    ),
    get("GET /", &[""], Weight::Light, health::root),
    get("GET /docs", &["docs"], Weight::Light, health::docs_redirect),
    get("GET /redoc", &["redoc"], Weight::Light, health::redoc_redirect),
    get(
        "GET /openapi.json",
        &["openapi.json"],
        Weight::Light,
        health::openapi,
    ),
    get("GET /api/docs", &["api", "docs"], Weight::Light, health::docs),
    get("GET /api/redoc", &["api", "redoc"], Weight::Light, health::docs),
    get("GET /api/slides", &["api", "slides"], Weight::Light, slides::list),
    get(
        "GET /api/slides/{slide_id}/info",
        &["api", "slides", "*", "info"],
        Weight::Light,
        slides::info,
    ),
    get(
        "GET /api/slides/{slide_id}/dzi",
        &["api", "slides", "*", "dzi"],
        Weight::Light,
        tiles::descriptor,
    ),
    get(
        "GET /api/slides/{slide_id}/dzi_files/{level}/{tile_spec}",
        &["api", "slides", "*", "dzi_files", "*", "*"],
        Weight::Heavy,
        tiles::tile,
    ),
    get(
        "GET /api/slides/{slide_id}/thumbnail",
        &["api", "slides", "*", "thumbnail"],
        Weight::Heavy,
        tiles::thumbnail,
    ),
    post("POST /api/analyze", &["api", "analyze"], analyze::analyze),
    post("POST /api/report", &["api", "report"], report::report),
    get(
        "GET /api/heatmap/{slide_id}",
        &["api", "heatmap", "*"],
        Weight::Heavy,
        analyze::heatmap,
    ),
    post("POST /api/embed", &["api", "embed"], embed::embed),
    get(
        "GET /api/embed/status",
        &["api", "embed", "status"],
        Weight::Light,
        embed::status,
    ),
    get(
        "GET /api/similar",
        &["api", "similar"],
        Weight::Heavy,
        search::similar,
    ),
    post(
        "POST /api/semantic-search",
        &["api", "semantic-search"],
        search::semantic,
    ),
    get(
        "GET /api/semantic-search/status",
        &["api", "semantic-search", "status"],
        Weight::Light,
        search::status,
    ),
];

/// Finds the route of a request, or the router's own answer.
pub(crate) fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(&'static Route, Ask), Reply> {
    let path = percent_decode(uri.path(), false);
    let Some((route, params)) = matching(&path) else {
        return Err(no_route(&path, uri, headers));
    };
    if method.as_str() != route.method {
        return Err(Reply::method_not_allowed(route.method));
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok((
        route,
        Ask {
            params,
            query: Query::parse(uri.query().unwrap_or_default()),
            body: Bytes::new(),
            content_type,
        },
    ))
}

fn matching(path: &str) -> Option<(&'static Route, Vec<String>)> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    ROUTES.iter().find_map(|route| {
        if route.path.len() != segments.len() {
            return None;
        }
        let mut params = Vec::new();
        for (wanted, segment) in route.path.iter().zip(&segments) {
            match *wanted {
                "*" if !segment.is_empty() => params.push((*segment).to_owned()),
                wanted if wanted == *segment && wanted != "*" => {}
                _ => return None,
            }
        }
        Some((route, params))
    })
}

fn no_route(path: &str, uri: &Uri, headers: &HeaderMap) -> Reply {
    let other = path.strip_suffix('/').map_or_else(
        || format!("{path}/"),
        |path| path.trim_end_matches('/').to_owned(),
    );
    if matching(&other).is_none() {
        return Reply::not_found("Not Found");
    }
    let raw = uri.path();
    let raw = raw
        .strip_suffix('/')
        .map_or_else(|| format!("{raw}/"), |raw| raw.trim_end_matches('/').to_owned());
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .map_or_else(String::new, |host| format!("http://{host}"));
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    Reply::redirect(&format!("{host}{raw}{query}"))
}

impl Ask {
    /// The body as JSON fields.
    fn fields(&self, server: &Enso) -> Result<Body, Reply> {
        Body::decode(
            &self.body,
            self.content_type.as_deref(),
            server.config.lenient_input,
        )
    }

    /// The path parameter at `index`.
    fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }
}

impl Enso {
    /// The slide of that id, or the answer that refuses it. As observed, an id becomes a file name first and the file system's
    /// complaint about its length is caught by nobody.
    fn slide(&self, id: &str, missing: impl FnOnce(&str) -> String) -> Result<&Slide, Reply> {
        if let Some(slide) = self.cohort.find(id) {
            return Ok(slide);
        }
        if self.config.long_id_500 && is_name_too_long(id) {
            return Err(Reply::unhandled());
        }
        if self.config.lenient_input || id.chars().count() <= ECHO_MAX {
            return Err(Reply::not_found(missing(id)));
        }
        let short: String = id.chars().take(ECHO_MAX).chain(['…']).collect();
        Err(Reply::not_found(missing(&short)))
    }

    /// The bound on `slide_id` in bodies.
    fn id_max(&self) -> Option<usize> {
        (!self.config.long_id_500).then_some(ID_MAX)
    }
}

/// Asks the file system about `<id>.npy`. Only a plain name is tried: an id that is a path is no slide here or anywhere.
fn is_name_too_long(id: &str) -> bool {
    let longest = id.split('/').max_by_key(|part| part.len()).unwrap_or_default();
    if longest.contains('\0') {
        return false;
    }
    let probe = std::env::temp_dir().join(format!("{longest}.npy"));
    std::fs::symlink_metadata(probe).is_err_and(|error| error.kind() == std::io::ErrorKind::InvalidFilename)
}

/// The usual 404.
fn slide_missing(id: &str) -> String {
    format!("Slide {id} not found")
}

/// The 404 of image routes.
fn image_missing(id: &str) -> String {
    format!("WSI file not found for slide {id}")
}

/// Refuses when there are problems.
fn checked(problems: &[Value]) -> Result<(), Reply> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Reply::invalid(problems))
    }
}

/// What a failed encoder is answered with.
fn failed(what: &str, error: &dyn std::fmt::Display) -> Reply {
    Reply::detail(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("Failed to generate {what}: {error}"),
    )
}

/// Turns a handler that may refuse into one that answers.
fn settled(outcome: Result<Answer, Reply>) -> Answer {
    outcome.unwrap_or_else(Answer::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &str, uri: &str) -> Result<&'static str, (u16, Option<String>)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "testserver".parse().unwrap());
        match find(&method.parse().unwrap(), &uri.parse().unwrap(), &headers) {
            Ok((route, _)) => Ok(route.endpoint),
            Err(reply) => {
                let location = reply
                    .headers
                    .iter()
                    .find(|(name, _)| *name == header::LOCATION || *name == header::ALLOW);
                Err((
                    reply.status.as_u16(),
                    location.map(|(_, value)| value.to_str().unwrap().to_owned()),
                ))
            }
        }
    }

    /// As Starlette 0.50 routed them.
    #[test]
    fn routes_as_starlette_does() {
        assert_eq!(answer("GET", "/"), Ok("GET /"));
        assert_eq!(
            answer("GET", "/api/slides/a%20b/info"),
            Ok("GET /api/slides/{slide_id}/info")
        );
        assert_eq!(answer("GET", "/nope"), Err((404, None)));
        assert_eq!(answer("GET", "/api/slides//info"), Err((404, None)));
        assert_eq!(answer("GET", "/api/slides/a%2Fb/info"), Err((404, None)));
        assert_eq!(answer("DELETE", "/api/slides/x"), Err((404, None)));
        assert_eq!(answer("GET", "/api/analyze"), Err((405, Some("POST".to_owned()))));
        assert_eq!(answer("HEAD", "/api/health"), Err((405, Some("GET".to_owned()))));
        assert_eq!(
            answer("OPTIONS", "/api/analyze"),
            Err((405, Some("POST".to_owned())))
        );
        assert_eq!(
            answer("GET", "/api/health/?a=1"),
            Err((307, Some("http://testserver/api/health?a=1".to_owned())))
        );
        assert_eq!(
            answer("GET", "/api/slides/../../../etc/passwd/dzi_files/0/0_0.jpeg"),
            Err((404, None))
        );
    }
}
