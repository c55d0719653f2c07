//! Inference on one image, and jobs for many.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::super::app::Vision;
use super::super::batch::pump;
use super::super::detect::Limits;
use super::super::engine::{Asker, Refusal, Source, Unseen};
use super::super::identity::now;
use super::super::jobs::{Order, PRIORITIES, TooMany};
use super::super::show::result_json;
use super::ask::{Ask, refuse, uuid};
use super::models::unavailable;
use crate::fastapi::body::Body;
use crate::fastapi::reply::Reply;
use crate::recorder::Visit;

/// Longest id that is looked at at all.
const ID_MAX: usize = 256;

pub(super) async fn single(server: &Arc<Vision>, ask: &Ask, visit: &mut Visit) -> Result<Reply, Reply> {
    let mut body = ask.fields(server)?;
    let bound = (!server.config.lenient_input).then_some(ID_MAX);
    let image_id = body.string("image_id", 0, bound);
    let model_id = body.string("model_id", 0, bound);
    let limits = limits(&mut body);
    body.object("metadata");
    body.finish()?;
    let (image_id, model_id) = (uuid(&image_id)?, uuid(&model_id)?);
    if server.config.dead_single {
        return Err(dead());
    }
    let picture = server.pictures.get(&image_id);
    let (Some(picture), Some(model)) = (picture, server.engine.registry.by_id(&model_id)) else {
        return Err(refuse(StatusCode::NOT_FOUND, "Image or model not found"));
    };
    let asker = Asker {
        request_id: ask.request_id.clone(),
        endpoint: ask.endpoint,
    };
    let results = server
        .engine
        .infer(&asker, visit, model, vec![Source::Stored(picture)], limits)
        .await
        .map_err(refused)?;
    match results.into_iter().next() {
        Some(Ok(found)) => Ok(Reply::json(&result_json(
            &image_id,
            model.variant,
            &found,
            &now(),
        ))),
        Some(Err(Unseen::Failed(why))) => {
            let why = format!("Inference failed: {why}");
            Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, &why))
        }
        Some(Err(Unseen::Undecodable)) | None => {
            Err(refuse(StatusCode::BAD_REQUEST, "Image could not be decoded"))
        }
    }
}

pub(super) fn batch(server: &Arc<Vision>, ask: &Ask) -> Result<Reply, Reply> {
    let mut body = ask.fields(server)?;
    let image_ids = body.strings("image_ids", 1, server.config.job_images_max);
    let model_id = body.string("model_id", 0, (!server.config.lenient_input).then_some(ID_MAX));
    let limits = limits(&mut body);
    let batch_size = body.integer("batch_size", 10, 1, 100);
    let priority = body.choice("priority", &PRIORITIES, 1);
    let metadata = body.object("metadata");
    body.finish()?;
    let model_id = uuid(&model_id)?;
    let image_ids = image_ids
        .iter()
        .map(|id| uuid(id))
        .collect::<Result<Vec<_>, _>>()?;
    if server.config.dead_batch {
        return Err(dead());
    }
    let Some(model) = server.engine.registry.by_id(&model_id) else {
        return Err(refuse(StatusCode::NOT_FOUND, "Model not found"));
    };
    let order = Order {
        model: model.index,
        model_id,
        image_ids: Arc::new(image_ids),
        limits,
        batch_size: batch_size as usize,
        priority,
        metadata: metadata.map_or(Value::Null, Value::Object),
        request_id: ask.request_id.clone(),
    };
    let job = server
        .board
        .create(server.new_uuid(), order, model.variant)
        .map_err(|TooMany| {
            refuse(StatusCode::TOO_MANY_REQUESTS, "Too many jobs have not ended")
                .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
        })?;
    pump(server);
    Ok(Reply::json_status(StatusCode::ACCEPTED, &job))
}

fn limits(body: &mut Body) -> Limits {
    Limits {
        confidence: body.number("confidence_threshold", 0.5, 0.0, 1.0) as f32,
        overlap: body.number("nms_threshold", 0.4, 0.0, 1.0) as f32,
        count: body.integer("max_detections", 100, 1, 1000) as usize,
    }
}

/// V2: what the router answers when the service has no such function.
fn dead() -> Reply {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}

fn refused(why: Refusal) -> Reply {
    match why {
        Refusal::Model(why) => unavailable(why),
        Refusal::Busy => refuse(StatusCode::SERVICE_UNAVAILABLE, "Too many requests waiting")
            .with(header::RETRY_AFTER, HeaderValue::from_static("1")),
    }
}
