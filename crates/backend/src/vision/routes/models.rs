//! The models: listing, loading, unloading.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::app::Vision;
use super::super::registry::{Model, Unavailable};
use super::super::show::model_json;
use super::ask::{Ask, missing, refuse, uuid};
use crate::fastapi::reply::Reply;

const FRAMEWORKS: [&str; 4] = ["YOLO11", "YOLO12", "RT-DETR", "SAM2"];
const KINDS: [&str; 2] = ["detection", "segmentation"];
const TRAINING: [&str; 4] = ["pre-trained", "training", "trained", "failed"];

pub(super) fn list(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let kind = ask.word("type", "model type", &KINDS)?;
    let framework = ask.word("framework", "framework", &FRAMEWORKS)?;
    let training = ask.word("training_status", "training status", &TRAINING)?;
    let (limit, offset) = ask.page()?;
    let wanted: Vec<&Model> = server
        .engine
        .registry
        .models()
        .iter()
        .filter(|model| kind.is_none_or(|kind| model.variant.kind() == kind))
        .filter(|model| framework.is_none_or(|framework| model.variant.framework == framework))
        .filter(|_| training.is_none_or(|training| training == TRAINING[0]))
        .collect();
    let page: Vec<Value> = wanted
        .iter()
        .skip(offset)
        .take(limit)
        .map(|model| shown(server, model))
        .collect();
    Ok(Reply::json(
        &json!({ "models": page, "total_count": wanted.len(), "limit": limit, "offset": offset }),
    ))
}

pub(super) fn get(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    Ok(Reply::json(&shown(server, find(server, ask)?)))
}

pub(super) async fn load(server: &Arc<Vision>, ask: &Ask) -> Result<Reply, Reply> {
    let model = find(server, ask)?;
    server.engine.registry.load(model).await.map_err(unavailable)?;
    Ok(Reply::json(&shown(server, model)))
}

pub(super) fn unload(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let model = find(server, ask)?;
    server.engine.registry.unload(model);
    Ok(Reply::json(&shown(server, model)))
}

fn find<'a>(server: &'a Vision, ask: &Ask) -> Result<&'a Model, Reply> {
    let id = uuid(ask.param(0))?;
    let model = server.engine.registry.by_id(&id);
    model.ok_or_else(|| missing("Model not found", &format!("No model found with ID: {id}")))
}

fn shown(server: &Vision, model: &Model) -> Value {
    model_json(&server.engine.registry, model, server.config.service_scale)
}

/// What a client is told when a model cannot be had.
pub(super) fn unavailable(why: Unavailable) -> Reply {
    match why {
        Unavailable::NotLoaded => refuse(StatusCode::CONFLICT, "Model is not loaded"),
        Unavailable::TooLarge => refuse(StatusCode::CONFLICT, "Model needs more memory than there is"),
        Unavailable::Broken => refuse(StatusCode::CONFLICT, "Model file can no longer be loaded"),
    }
}
