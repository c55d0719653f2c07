//! Errors and their envelopes: one per API dialect, or the three of the observed server. It knows no endpoint.

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::fields::sentence;
use crate::fastapi::reply::Reply;

/// Whose shapes an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `{"type":"error","error":{...}}`; the service's own endpoints speak it, too.
    Anthropic,
    /// `{"error":{message,type,param,code}}`.
    OpenAi,
}

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Its status.
    pub(super) status: StatusCode,
    kind: &'static str,
    /// What is wrong.
    pub(super) message: String,
    code: Option<&'static str>,
    problems: Vec<Value>,
    retry_after_s: Option<u64>,
    observed: Envelope,
}

/// The envelope that the observed server uses for it.
#[derive(Debug, Clone, Copy)]
enum Envelope {
    Detail,
    Error,
    Anthropic,
}

impl Fault {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>, observed: Envelope) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            code: None,
            problems: Vec::new(),
            retry_after_s: None,
            observed,
        }
    }

    /// No key, or a wrong one.
    pub(super) fn authentication(message: &str) -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                message,
                Envelope::Error,
            )
        }
    }

    /// Too many in the window.
    pub(super) fn rate(scope: &str, retry_after_s: u64) -> Self {
        let message = format!("{scope} rate limit exceeded. Retry after {retry_after_s}s.");
        Self {
            code: Some("rate_limit_exceeded"),
            retry_after_s: Some(retry_after_s),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                message,
                Envelope::Error,
            )
        }
    }

    /// No room for more.
    pub(super) fn capacity(reason: &str) -> Self {
        Self {
            code: Some("overloaded"),
            retry_after_s: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded_error",
                format!("Server capacity exceeded: {reason}"),
                Envelope::Detail,
            )
        }
    }

    /// Input that does not fit.
    pub(super) fn invalid(problems: Vec<Value>) -> Self {
        Self {
            message: sentence(&problems),
            problems,
            ..Self::bad_request("")
        }
    }

    /// Input that does not fit, in words of our own.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            message,
            Envelope::Detail,
        )
    }

    /// No such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found_error",
            message,
            Envelope::Detail,
        )
    }

    /// No such model.
    pub(super) fn no_model(model: &str) -> Self {
        let shown: String = model.chars().take(64).collect();
        Self {
            code: Some("model_not_found"),
            ..Self::not_found(format!("model: {shown}"))
        }
    }

    /// Another status of the service's own.
    pub(super) fn other(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, kind, message, Envelope::Detail)
    }

    /// A status that was ordered.
    pub(super) fn ordered(status: u16, retry_after_s: Option<u64>) -> Self {
        let kind = match status {
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self {
            retry_after_s,
            ..Self::other(status, kind, "ordered by a fault")
        }
    }

    /// A body that is too large.
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "Request exceeds the maximum size",
            Envelope::Anthropic,
        )
    }

    /// Its name in the dialect of Anthropic.
    pub(super) fn anthropic(&self) -> Value {
        json!({ "type": "error", "error": { "type": self.kind, "message": self.message } })
    }

    /// The object in the dialect of OpenAI.
    pub(super) fn openai(&self) -> Value {
        let kind = match self.kind {
            "authentication_error" | "not_found_error" | "request_too_large" => "invalid_request_error",
            "overloaded_error" | "api_error" | "timeout_error" => "server_error",
            other => other,
        };
        let param = self.problems.first().and_then(|problem| {
            let place = problem["loc"].as_array()?;
            place.get(1)?.as_str().map(str::to_owned)
        });
        json!({ "error": { "message": self.message, "type": kind, "param": param, "code": self.code } })
    }

    /// As an answer.
    pub(super) fn reply(&self, mixed: bool, dialect: Dialect) -> Reply {
        let mut reply = match (mixed, self.observed, dialect) {
            (true, Envelope::Detail, _) if !self.problems.is_empty() => Reply::invalid(&self.problems),
            (true, Envelope::Detail, _) => Reply::detail(self.status, self.message.clone()),
            (true, Envelope::Error, _) => Reply::json_status(
                self.status,
                &json!({ "error": { "type": self.kind, "message": self.message } }),
            ),
            (true, Envelope::Anthropic, _) | (false, _, Dialect::Anthropic) => {
                Reply::json_status(self.status, &self.anthropic())
            }
            (false, _, Dialect::OpenAi) => Reply::json_status(self.status, &self.openai()),
        };
        let told = !mixed || self.status != StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.retry_after_s.filter(|_| told) {
            reply.set(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED && !mixed {
            reply.set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        reply
    }
}
