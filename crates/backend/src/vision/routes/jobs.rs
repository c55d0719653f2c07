//! Asking for batch jobs and ending them.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use super::super::app::Vision;
use super::super::jobs::STATUSES;
use super::ask::{Ask, missing, refuse, uuid};
use crate::fastapi::reply::Reply;

pub(super) fn list(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let status = ask.word("status", "status", &STATUSES)?;
    let model_id = match ask.filter("model_id") {
        Some(id) => Some(uuid(id)?),
        None => None,
    };
    let (limit, offset) = ask.page()?;
    let (jobs, total) = server.board.page(status, model_id.as_deref(), limit, offset);
    Ok(Reply::json(
        &json!({ "jobs": jobs, "total_count": total, "limit": limit, "offset": offset }),
    ))
}

pub(super) fn get(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let id = uuid(ask.param(0))?;
    let job = server.board.get(&id).ok_or_else(|| {
        missing(
            "Inference job not found",
            &format!("No inference job found with ID: {id}"),
        )
    })?;
    Ok(Reply::json(&job))
}

pub(super) fn cancel(server: &Arc<Vision>, ask: &Ask) -> Result<Reply, Reply> {
    let id = uuid(ask.param(0))?;
    match server.board.cancel(&id) {
        None => Err(refuse(StatusCode::NOT_FOUND, "Inference job not found")),
        Some(Ok(job)) => {
            // Its place is free for the next.
            super::super::batch::pump(server);
            Ok(Reply::json(&job))
        }
        Some(Err(status)) => {
            let why = format!("Cannot cancel a job that is {}", status.name());
            Err(refuse(StatusCode::BAD_REQUEST, &why))
        }
    }
}
