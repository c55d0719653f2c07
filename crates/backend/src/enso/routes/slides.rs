//! The list of slides and the details of one.

use serde_json::{Value, json};

use super::super::app::{Answer, Enso};
use super::super::dzi::{OVERLAP, TILE};
use super::super::slides::Slide;
use super::{Ask, slide_missing};
use crate::fastapi::reply::Reply;

/// GET /api/slides.
pub(super) fn list(server: &Enso, _: &Ask) -> Answer {
    let slides: Vec<Value> = server
        .cohort
        .slides()
        .iter()
        .map(|slide| {
            json!({
                "slide_id": slide.id,
                "patient_id": null,
                "has_embeddings": true,
                "label": slide.label,
                "num_patches": slide.patches.len(),
            })
        })
        .collect();
    Reply::json(&Value::Array(slides)).into()
}

/// GET /api/slides/{slide_id}/info.
pub(super) fn info(server: &Enso, ask: &Ask) -> Answer {
    match server.slide(ask.param(0), slide_missing) {
        Ok(slide) => Reply::json(&details(slide)).into(),
        Err(refusal) => refusal.into(),
    }
}

/// Stored levels are a whole-slide image's: full size and every second halving, as long as they exceed a tile.
fn details(slide: &Slide) -> Value {
    let size = slide.pyramid.size();
    let deepest = slide.pyramid.level_count() - 1;
    let stored: Vec<[u32; 2]> = (0..=deepest)
        .rev()
        .step_by(2)
        .filter_map(|level| slide.pyramid.level_size(level))
        .take_while(|level| *level == size || level.width.max(level.height) > TILE)
        .map(|level| [level.width, level.height])
        .collect();
    let mut properties = serde_json::Map::new();
    properties.insert("openslide.vendor".to_owned(), json!(slide.vendor));
    properties.insert(
        "openslide.level-count".to_owned(),
        json!(stored.len().to_string()),
    );
    for (index, [width, height]) in stored.iter().enumerate() {
        properties.insert(
            format!("openslide.level[{index}].width"),
            json!(width.to_string()),
        );
        properties.insert(
            format!("openslide.level[{index}].height"),
            json!(height.to_string()),
        );
    }
    json!({
        "slide_id": slide.id,
        "has_wsi": true,
        "dimensions": { "width": size.width, "height": size.height },
        "level_count": stored.len(),
        "level_dimensions": stored,
        "properties": properties,
        "dzi": { "tile_size": TILE, "overlap": OVERLAP, "level_count": slide.pyramid.level_count() },
    })
}
