//! Starlette's way through the table: decoded path, 404, 405, and the redirect between a path with and without a trailing slash.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri, header};

use super::super::app::{Answer, Enso};
use super::{Ask, ROUTES};
use crate::fastapi::params::{Query, percent_decode};
use crate::fastapi::reply::Reply;

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
    /// The handler.
    pub(crate) answer: fn(&Enso, &Ask) -> Answer,
}

/// A route that answers from memory.
pub(super) const fn light(endpoint: &'static str, answer: fn(&Enso, &Ask) -> Answer) -> Route {
    Route {
        endpoint,
        weight: Weight::Light,
        answer,
    }
}

/// A route that takes a slot.
pub(super) const fn heavy(endpoint: &'static str, answer: fn(&Enso, &Ask) -> Answer) -> Route {
    Route {
        endpoint,
        weight: Weight::Heavy,
        answer,
    }
}

impl Route {
    /// The method it answers to.
    pub(crate) fn method(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(method, _)| method)
    }

    /// The segments of its path, the leading slash left out.
    fn segments(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.endpoint
            .split_once(" /")
            .map_or("", |(_, path)| path)
            .split('/')
    }
}

/// Finds the route of a request, or the router's own answer.
pub(crate) fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(&'static Route, Ask), Reply> {
    let path = percent_decode(uri.path(), false);
    let Some((route, params)) = matching(&path) else {
        return Err(no_route(&path, uri, headers));
    };
    if method.as_str() != route.method() {
        return Err(Reply::method_not_allowed(route.method()));
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
        if route.segments().count() != segments.len() {
            return None;
        }
        let mut params = Vec::new();
        for (wanted, segment) in route.segments().zip(&segments) {
            if wanted.starts_with('{') && !segment.is_empty() {
                params.push((*segment).to_owned());
            } else if wanted != *segment {
                return None;
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
