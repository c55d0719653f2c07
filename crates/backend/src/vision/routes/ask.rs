//! What a handler is given, and the refusals that handlers share.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::super::app::Vision;
use super::super::identity::{now, parse_uuid};
use super::super::kserve;
use crate::fastapi::body::Body;
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;

/// What a handler is given.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The id of the request.
    pub(crate) request_id: String,
    /// Name of its endpoint in the account.
    pub(crate) endpoint: &'static str,
    /// Path parameters in order.
    pub(crate) params: Vec<String>,
    /// The query string.
    pub(crate) query: Query,
    /// The body, if the method has one.
    pub(crate) body: Bytes,
    /// Its declared type.
    pub(crate) content_type: Option<String>,
    /// `Inference-Header-Content-Length`, as it came.
    pub(crate) json_length: Option<String>,
    /// As observed: an empty filter is none.
    lenient: bool,
}

impl Ask {
    /// From the parts of a request.
    pub(crate) fn new(
        request_id: String,
        endpoint: &'static str,
        params: Vec<String>,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
        lenient: bool,
    ) -> Self {
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            request_id,
            endpoint,
            params,
            query: Query::parse(query.unwrap_or_default()),
            body,
            content_type: headers.get(header::CONTENT_TYPE).map(text),
            json_length: headers.get(kserve::JSON_LENGTH).map(text),
            lenient,
        }
    }

    /// The body as JSON fields.
    pub(super) fn fields(&self, server: &Vision) -> Result<Body, Reply> {
        Body::decode(
            &self.body,
            self.content_type.as_deref(),
            server.config.lenient_input,
        )
    }

    /// The path parameter at `index`.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// `limit` and `offset`, with the refusals of the platform.
    pub(super) fn page(&self) -> Result<(usize, usize), Reply> {
        let mut problems = Vec::new();
        let limit = self.query.integer("limit", 50, None, &mut problems);
        let offset = self.query.integer("offset", 0, None, &mut problems);
        if !problems.is_empty() {
            return Err(Reply::invalid(&problems));
        }
        if offset < 0 {
            return Err(refuse(StatusCode::BAD_REQUEST, "Offset must be non-negative"));
        }
        if limit < 1 {
            return Err(refuse(StatusCode::BAD_REQUEST, "Limit must be positive"));
        }
        Ok((
            limit.min(1000) as usize,
            usize::try_from(offset).unwrap_or(usize::MAX),
        ))
    }

    /// A query parameter by which a list is filtered.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        self.query
            .get(name)
            .filter(|value| !self.lenient || !value.is_empty())
    }

    /// A filter that must be one of a few words, as the platform refuses it.
    pub(super) fn word(&self, name: &str, called: &str, words: &[&str]) -> Result<Option<&str>, Reply> {
        match self.filter(name) {
            Some(value) if !words.contains(&value) => {
                let shown: String = value.chars().take(64).collect();
                Err(refuse(
                    StatusCode::BAD_REQUEST,
                    &format!("Invalid {called}: {shown}"),
                ))
            }
            value => Ok(value),
        }
    }
}

/// `{"error": ...}`, the envelope of the platform.
pub(crate) fn refuse(status: StatusCode, why: &str) -> Reply {
    Reply::json_status(status, &json!({ "error": why }))
}

/// 404 with the three keys that the platform has for a thing asked for by its id.
pub(super) fn missing(what: &str, message: &str) -> Reply {
    let body = json!({ "error": what, "message": message, "timestamp": now() });
    Reply::json_status(StatusCode::NOT_FOUND, &body)
}

/// A UUID in its canonical form, or the platform's refusal.
pub(super) fn uuid(text: &str) -> Result<String, Reply> {
    parse_uuid(text).ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "Invalid UUID format"))
}
