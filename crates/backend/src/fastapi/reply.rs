//! One answer before it becomes HTTP, and the fixed envelopes of FastAPI and Starlette.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// A finished answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers, `content-type` included.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// Any body.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: body.into(),
        }
    }

    /// A JSON body with status 200.
    pub(crate) fn json(value: &Value) -> Self {
        Self::json_status(StatusCode::OK, value)
    }

    /// A JSON body.
    pub(crate) fn json_status(status: StatusCode, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// `{"detail": ...}`, the envelope of `HTTPException`.
    pub(crate) fn detail(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::json_status(status, &json!({ "detail": detail.into() }))
    }

    /// 404 with a reason.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::detail(StatusCode::NOT_FOUND, detail)
    }

    /// 422 with the list of validation problems.
    pub(crate) fn invalid(problems: &[Value]) -> Self {
        Self::json_status(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": problems }))
    }

    /// What Starlette sends when a handler raises: plain text, no envelope.
    pub(crate) fn unhandled() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            "Internal Server Error",
        )
    }

    /// The router's 405.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// A redirect that keeps the method, as `RedirectResponse` makes by default. An unprintable target becomes 404.
    pub(crate) fn redirect(location: &str) -> Self {
        match HeaderValue::from_str(location) {
            Ok(location) => Self {
                status: StatusCode::TEMPORARY_REDIRECT,
                headers: vec![(header::LOCATION, location)],
                body: Bytes::new(),
            },
            Err(_) => Self::not_found("Not Found"),
        }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets a header, replacing one of the same name.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.retain(|(held, _)| *held != name);
        self.headers.push((name, value));
    }

    /// Into HTTP.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
