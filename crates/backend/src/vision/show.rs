//! What was found, as the API of the platform shows it.

use serde_json::{Map, Value, json};

use super::engine::Found;
use super::file::ModelFile;
use super::registry::{Model, Registry};
use super::variants::{CLASSES, Variant};

/// Shortest inference that a throughput is reckoned from, in ms.
const SHORTEST_MS: f64 = 1e-3;

/// The result of one image.
pub(crate) fn result_json(image_id: &str, variant: &Variant, found: &Found, at: &str) -> Value {
    let all = &found.detections;
    let sum = all.iter().fold(0.0, |sum, one| sum + f64::from(one.confidence));
    let mean = sum / all.len().max(1) as f64;
    let detections: Vec<Value> = all
        .iter()
        .filter(|_| !variant.segments)
        .map(|one| {
            json!({
                "bbox": one.bbox.map(short), "class_id": one.class,
                "class_name": class_name(found, one.class), "confidence": short(one.confidence),
            })
        })
        .collect();
    let segmentations: Vec<Value> = all
        .iter()
        .filter(|_| variant.segments)
        .map(|one| {
            let mask: Vec<[f64; 2]> = one.outline.iter().map(|point| point.map(short)).collect();
            json!({ "mask": mask, "class_id": 0, "class_name": "object", "confidence": short(one.confidence) })
        })
        .collect();
    json!({
        "image_id": image_id,
        "detections": detections,
        "segmentations": segmentations,
        "inference_time_ms": found.service_ms,
        "model_confidence": (mean * 1e6).round() / 1e6,
        "timestamp": at,
    })
}

/// What a class is called.
fn class_name(found: &Found, class: usize) -> &str {
    match &found.labels {
        Some(labels) => labels.get(class).map_or("", String::as_str),
        None => CLASSES[class % CLASSES.len()],
    }
}

/// A model with its state.
pub(crate) fn model_json(registry: &Registry, model: &Model, service_scale: f64) -> Value {
    let variant = model.variant;
    let file = registry.file();
    let side = variant.input_px as usize;
    let [height, width] = file.map_or([side, side], ModelFile::input_px);
    let mut config = json!({ "input_size": [height, width, 3], "confidence_threshold": 0.5 });
    if !variant.segments {
        config["nms_threshold"] = json!(0.4);
    }
    let mut shown = json!({
        "id": model.id,
        "name": variant.title,
        "framework": variant.framework,
        "type": variant.kind(),
        "variant": variant.size,
        "description": match file {
            Some(file) => format!("{} in the place of {}", file.name(), variant.title),
            None => format!("{} {} model for {}", variant.framework, variant.size, variant.kind()),
        },
        "version": "1",
        "created_at": registry.created_at(),
        "training_status": "pre-trained",
        "model_path": format!("/models/{}", file.map_or(variant.key, ModelFile::name)),
        "performance_metrics": performance(registry, model, service_scale),
        "supported_formats": ["JPEG", "PNG"],
        "is_pretrained": true,
        "is_loaded": model.is_loaded(),
        "config": config,
        "metadata": { "registry_name": variant.key },
    });
    if !variant.segments {
        shown["class_labels"] = match file {
            Some(file) => json!(file.labels().to_vec()),
            None => json!(CLASSES.as_slice()),
        };
    }
    shown
}

/// What is declared of a model, or was measured of the file in its place, whose accuracy nobody knows.
fn performance(registry: &Registry, model: &Model, service_scale: f64) -> Value {
    let variant = model.variant;
    let mut figures = Map::new();
    if registry.file().is_none() {
        let accuracy = if variant.segments { "mIoU" } else { "mAP" };
        figures.insert(accuracy.to_owned(), json!(variant.accuracy));
    }
    let (service_ms, per_s) = match registry.file() {
        Some(file) => (file.inference_ms(), 1000.0 / file.inference_ms().max(SHORTEST_MS)),
        None => (
            variant.service_ms * service_scale,
            variant.throughput_per_s(service_scale),
        ),
    };
    for (name, value) in [
        ("load_time_ms", registry.load_ms(model)),
        (
            "memory_usage_mb",
            registry.memory_bytes(model) as f64 / 1024.0 / 1024.0,
        ),
        ("inference_time_ms", service_ms),
        ("throughput_ips", per_s),
    ] {
        figures.insert(name.to_owned(), json!(value));
    }
    Value::Object(figures)
}

/// With the digits that mean something.
fn short(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}
