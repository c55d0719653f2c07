//! Health, the root document, the OpenAPI document and the docs page.

use axum::http::StatusCode;
use serde_json::json;

use super::super::app::{Answer, Enso};
use super::super::device::Model;
use super::Ask;
use crate::fastapi::reply::Reply;

/// GET /health and /api/health.
pub(super) fn health(server: &Enso, _: &Ask) -> Answer {
    Reply::json(&json!({
        "status": "healthy",
        "version": "0.1.0",
        "model_loaded": !server.config.status_lies && server.device.is_loaded(Model::Patch),
        "cuda_available": server.config.cuda_available,
        "slides_available": server.cohort.slides().len(),
    }))
    .into()
}

/// GET /api/perf/latency-summary, which the imitated application got later.
pub(super) fn latency_summary(server: &Enso, _: &Ask) -> Answer {
    Reply::json(&server.perf.to_json()).into()
}

/// GET /.
pub(super) fn root(_: &Enso, _: &Ask) -> Answer {
    Reply::json(&json!({ "name": "Enso Atlas API", "version": "0.1.0", "docs": "/api/docs" })).into()
}

/// GET /docs.
pub(super) fn docs_redirect(_: &Enso, _: &Ask) -> Answer {
    Reply::redirect("/api/docs").into()
}

/// GET /redoc.
pub(super) fn redoc_redirect(_: &Enso, _: &Ask) -> Answer {
    Reply::redirect("/api/redoc").into()
}

/// GET /openapi.json.
pub(super) fn openapi(server: &Enso, _: &Ask) -> Answer {
    Reply::json(&server.openapi).into()
}

/// GET /api/docs and /api/redoc.
pub(super) fn docs(server: &Enso, _: &Ask) -> Answer {
    Reply::new(StatusCode::OK, "text/html; charset=utf-8", server.docs.clone()).into()
}
