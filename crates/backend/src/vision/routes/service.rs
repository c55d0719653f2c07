//! What the service says of itself.

use axum::http::StatusCode;
use serde_json::json;

use super::super::app::Vision;
use super::super::identity::now;
use super::super::metrics;
use crate::fastapi::reply::Reply;

pub(super) fn root() -> Reply {
    Reply::json(&json!({
        "message": "ML Evaluation Platform API", "version": "1.0.0", "status": "running", "docs": "/docs",
    }))
}

pub(super) fn health(server: &Vision) -> Reply {
    let loaded = server
        .engine
        .registry
        .models()
        .iter()
        .filter(|model| model.is_loaded())
        .count();
    Reply::json(&json!({
        "status": "healthy",
        "version": "1.0.0",
        "timestamp": now(),
        "database": { "database": { "status": "connected" } },
        "logging": { "status": "healthy" },
        "models_loaded": loaded,
    }))
}

pub(super) fn docs(server: &Vision) -> Reply {
    Reply::new(StatusCode::OK, "text/html; charset=utf-8", server.docs.clone())
}

pub(super) fn metrics(server: &Vision) -> Reply {
    Reply::new(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        metrics::page(&server.engine),
    )
}
