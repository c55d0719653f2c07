//! From a request's method and path to what it leads to.

use axum::http::{HeaderValue, Method, StatusCode, header};

use super::refusal::refusal;
use crate::fastapi::params::percent_decode;
use crate::fastapi::reply::Reply;

/// What a path leads to.
pub(super) enum Route {
    /// All videos.
    Videos,
    /// One.
    Video(String),
    /// Its content.
    Content(String),
    /// A change of it.
    Remix(String),
    /// All responses.
    Responses,
    /// One.
    Response(String),
    /// Whether it lives.
    Health,
    /// Its counts.
    Metrics,
    /// Its document.
    OpenApi,
    /// The same as a page.
    Docs,
}

/// The route of a request, with the name of its endpoint.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static str, Route), Reply> {
    let unknown = || {
        let message = format!("Invalid URL ({method} {path})");
        refusal(StatusCode::NOT_FOUND, &message, None, None)
    };
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|segment| percent_decode(segment, false))
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (route, names): (Route, &[(Method, &'static str)]) = match segments.as_slice() {
        ["v1", "videos"] => (
            Route::Videos,
            &[(Method::GET, "GET /v1/videos"), (Method::POST, "POST /v1/videos")],
        ),
        ["v1", "videos", id] => (
            Route::Video((*id).to_owned()),
            &[
                (Method::GET, "GET /v1/videos/{video_id}"),
                (Method::DELETE, "DELETE /v1/videos/{video_id}"),
            ],
        ),
        ["v1", "videos", id, "content"] => (
            Route::Content((*id).to_owned()),
            &[(Method::GET, "GET /v1/videos/{video_id}/content")],
        ),
        ["v1", "videos", id, "remix"] => (
            Route::Remix((*id).to_owned()),
            &[(Method::POST, "POST /v1/videos/{video_id}/remix")],
        ),
        ["v1", "responses"] => (Route::Responses, &[(Method::POST, "POST /v1/responses")]),
        ["v1", "responses", id] => (
            Route::Response((*id).to_owned()),
            &[(Method::GET, "GET /v1/responses/{response_id}")],
        ),
        ["health"] => (Route::Health, &[(Method::GET, "GET /health")]),
        ["metrics"] => (Route::Metrics, &[(Method::GET, "GET /metrics")]),
        ["openapi.json"] => (Route::OpenApi, &[(Method::GET, "GET /openapi.json")]),
        ["docs"] => (Route::Docs, &[(Method::GET, "GET /docs")]),
        _ => return Err(unknown()),
    };
    if let Some((_, endpoint)) = names.iter().find(|(allowed, _)| allowed == method) {
        return Ok((endpoint, route));
    }
    let allow: Vec<&str> = names.iter().map(|(allowed, _)| allowed.as_str()).collect();
    let allow = HeaderValue::from_str(&allow.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
    let message = format!("Not allowed to {method} on {path}.");
    Err(refusal(StatusCode::METHOD_NOT_ALLOWED, &message, None, None).with(header::ALLOW, allow))
}
