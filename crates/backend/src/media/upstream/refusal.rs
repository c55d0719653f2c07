//! The generation service's error envelope.

use axum::http::StatusCode;
use serde_json::json;

use crate::fastapi::reply::Reply;

/// `{"error": {message, type, param, code}}`.
pub(super) fn refusal(status: StatusCode, message: &str, param: Option<&str>, code: Option<&str>) -> Reply {
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    Reply::json_status(
        status,
        &json!({ "error": { "message": message, "type": kind, "param": param, "code": code } }),
    )
}

/// 400 for a field.
pub(super) fn bad_field(param: &str, message: &str) -> Reply {
    refusal(
        StatusCode::BAD_REQUEST,
        message,
        Some(param),
        Some("invalid_value"),
    )
}

/// 404 for a thing.
pub(super) fn missing(kind: &str, id: &str) -> Reply {
    let message = format!("{kind} with id '{id}' not found.");
    refusal(StatusCode::NOT_FOUND, &message, None, Some("not_found"))
}
