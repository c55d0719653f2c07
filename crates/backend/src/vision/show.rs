//! What was found, as the API of the platform shows it.

use serde_json::{Value, json};

use super::engine::Found;
use super::registry::{Model, Registry};
use super::variants::{CLASSES, Variant};

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
                "class_name": CLASSES[one.class % CLASSES.len()], "confidence": short(one.confidence),
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

/// A model with its state.
pub(crate) fn model_json(registry: &Registry, model: &Model, service_scale: f64) -> Value {
    let variant = model.variant;
    let (accuracy, formats) = (if variant.segments { "mIoU" } else { "mAP" }, ["JPEG", "PNG"]);
    let mut config = json!({
        "input_size": [variant.input_px, variant.input_px, 3], "confidence_threshold": 0.5,
    });
    if !variant.segments {
        config["nms_threshold"] = json!(0.4);
    }
    let mut shown = json!({
        "id": model.id,
        "name": variant.title,
        "framework": variant.framework,
        "type": variant.kind(),
        "variant": variant.size,
        "description": format!("{} {} model for {}", variant.framework, variant.size, variant.kind()),
        "version": "1",
        "created_at": registry.created_at(),
        "training_status": "pre-trained",
        "model_path": format!("/models/{}", variant.key),
        "performance_metrics": {
            accuracy: variant.accuracy,
            "load_time_ms": registry.load_ms(model),
            "memory_usage_mb": registry.memory_bytes(model) as f64 / 1024.0 / 1024.0,
            "inference_time_ms": variant.service_ms * service_scale,
            "throughput_ips": variant.throughput_per_s(service_scale),
        },
        "supported_formats": formats,
        "is_pretrained": true,
        "is_loaded": model.is_loaded(),
        "config": config,
        "metadata": { "registry_name": variant.key },
    });
    if !variant.segments {
        shown["class_labels"] = json!(CLASSES.as_slice());
    }
    shown
}

/// With the digits that mean something.
fn short(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}
