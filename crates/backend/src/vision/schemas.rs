//! The schemas of the OpenAPI document.

use serde_json::{Value, json};

use super::config::Config;
use super::identity::seeded_uuid;
use super::jobs::{PRIORITIES, STATUSES};
use super::variants::VARIANTS;

/// All of them, for a server with this configuration.
pub(crate) fn schemas(config: &Config) -> Value {
    let mut all = json!({
        "Error": error(),
        "ValidationError": validation_error(config),
        "Health": object(json!({ "status": { "type": "string", "enum": ["healthy", "degraded", "unhealthy"] }, "version": text() }), &["status", "version"]),
        "Image": image(),
        "ImageUpload": object(json!({
            "uploaded_images": list("Image"), "total_count": count(), "success_count": count(), "failed_count": count(),
        }), &["uploaded_images", "total_count", "success_count", "failed_count"]),
        "ImageList": page("images", "Image"),
        "Model": model(),
        "ModelList": page("models", "Model"),
        "Detection": object(json!({
            "bbox": { "type": "array", "items": { "type": "number" }, "minItems": 4, "maxItems": 4, "description": "left, top, width, height in pixels" },
            "class_id": count(), "class_name": text(), "confidence": share(),
        }), &["bbox", "class_id", "class_name", "confidence"]),
        "Segmentation": object(json!({
            "mask": { "type": "array", "items": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 } },
            "class_id": count(), "class_name": text(), "confidence": share(),
        }), &["mask", "class_id", "class_name", "confidence"]),
        "InferenceResult": object(json!({
            "image_id": uuid(), "detections": list("Detection"), "segmentations": list("Segmentation"),
            "inference_time_ms": { "type": "number", "minimum": 0 }, "model_confidence": share(), "timestamp": date(),
        }), &["image_id", "detections", "segmentations", "inference_time_ms", "model_confidence", "timestamp"]),
        "Job": job(),
        "JobList": page("jobs", "Job"),
        "SingleInferenceRequest": single(config),
        "BatchInferenceRequest": batch(config),
    });
    if let (Value::Object(all), Value::Object(kserve)) = (&mut all, kserve()) {
        all.extend(kserve);
    }
    all
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut object = json!({ "type": "object", "required": required });
    object["properties"] = properties;
    object
}

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } })
}

fn page(name: &str, of: &str) -> Value {
    let mut properties = json!({ "total_count": count(), "limit": count(), "offset": count() });
    properties[name] = list(of);
    object(properties, &[name, "total_count", "limit", "offset"])
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn date() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn share() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1 })
}

fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

fn error() -> Value {
    object(
        json!({ "error": text(), "message": text(), "timestamp": date() }),
        &["error"],
    )
}

fn validation_error(config: &Config) -> Value {
    let problem = object(
        json!({ "type": text(), "msg": text(), "loc": { "type": "array", "items": { "type": ["string", "integer"] } } }),
        &["type", "msg", "loc"],
    );
    let detail = json!({ "type": "array", "items": problem });
    if config.flat_errors {
        object(json!({ "error": text(), "detail": detail }), &["error", "detail"])
    } else {
        object(json!({ "detail": detail }), &["detail"])
    }
}

fn image() -> Value {
    object(
        json!({
            "id": uuid(), "filename": text(), "file_path": text(), "file_size": count(),
            "format": { "type": "string", "enum": ["JPEG", "PNG"] },
            "width": { "type": "integer", "minimum": 1 }, "height": { "type": "integer", "minimum": 1 },
            "dataset_split": { "type": "string", "enum": super::pictures::SPLITS },
            "upload_timestamp": date(), "metadata": { "type": "object" },
        }),
        &[
            "id",
            "filename",
            "file_path",
            "file_size",
            "format",
            "width",
            "height",
            "dataset_split",
            "upload_timestamp",
        ],
    )
}

fn model() -> Value {
    object(
        json!({
            "id": uuid(), "name": text(),
            "framework": { "type": "string", "enum": ["YOLO11", "YOLO12", "RT-DETR", "SAM2"] },
            "type": { "type": "string", "enum": ["detection", "segmentation"] },
            "variant": text(), "description": text(), "version": text(), "created_at": date(),
            "training_status": { "type": "string", "enum": ["pre-trained", "training", "trained", "failed"] },
            "performance_metrics": { "type": "object", "additionalProperties": { "type": "number" } },
            "is_loaded": { "type": "boolean" }, "is_pretrained": { "type": "boolean" }, "config": { "type": "object" },
            "class_labels": { "type": "array", "items": text() }, "supported_formats": { "type": "array", "items": text() },
            "metadata": { "type": "object" },
        }),
        &[
            "id",
            "name",
            "framework",
            "type",
            "variant",
            "version",
            "created_at",
            "training_status",
            "is_loaded",
        ],
    )
}

fn job() -> Value {
    object(
        json!({
            "job_id": uuid(), "status": { "type": "string", "enum": STATUSES },
            "image_ids": { "type": "array", "items": uuid() }, "model_id": uuid(),
            "total_images": count(), "processed_images": count(), "failed_images": count(),
            "errors": { "type": "array", "items": object(json!({ "image_id": uuid(), "error": text() }), &["image_id", "error"]) },
            "created_at": date(), "started_at": or_null(date()), "completed_at": or_null(date()),
            "results": list("InferenceResult"), "error_message": or_null(text()),
            "progress_percentage": { "type": "number", "minimum": 0, "maximum": 100 },
            "estimated_completion_time": or_null(date()),
            "priority": { "type": "string", "enum": PRIORITIES }, "metadata": or_null(json!({ "type": "object" })),
        }),
        &[
            "job_id",
            "status",
            "image_ids",
            "model_id",
            "total_images",
            "processed_images",
            "failed_images",
            "created_at",
            "results",
            "progress_percentage",
        ],
    )
}

/// What both requests may say.
fn asked(config: &Config, more: Value, required: &[&str]) -> Value {
    let bounded = |mut schema: Value, default: Value| {
        schema["default"] = default;
        or_null(schema)
    };
    let mut properties = json!({
        "model_id": id(config),
        "confidence_threshold": bounded(share(), json!(0.5)),
        "nms_threshold": bounded(share(), json!(0.4)),
        "max_detections": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
        "metadata": or_null(json!({ "type": "object" })),
    });
    properties["model_id"]["examples"] = json!([seeded_uuid(VARIANTS[0].seed())]);
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
    }
    let mut asked = object(properties, required);
    if !config.lenient_input {
        asked["additionalProperties"] = json!(false);
    }
    asked
}

fn id(config: &Config) -> Value {
    if config.lenient_input { text() } else { uuid() }
}

fn single(config: &Config) -> Value {
    asked(
        config,
        json!({ "image_id": id(config) }),
        &["image_id", "model_id"],
    )
}

fn batch(config: &Config) -> Value {
    let mut ids = json!({ "type": "array", "minItems": 1, "items": id(config) });
    if !config.lenient_input {
        ids["maxItems"] = json!(config.job_images_max);
    }
    let priority =
        json!({ "type": ["string", "null"], "enum": ["low", "normal", "high", null], "default": "normal" });
    let size = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 10 });
    let more = json!({ "image_ids": ids, "batch_size": size, "priority": priority });
    asked(config, more, &["image_ids", "model_id"])
}

fn kserve() -> Value {
    let shape = json!({ "type": "array", "items": { "type": "integer" } });
    let tensor = object(
        json!({ "name": text(), "datatype": text(), "shape": shape, "parameters": { "type": "object" }, "data": { "type": "array" } }),
        &["name", "datatype", "shape"],
    );
    let input = object(
        json!({
            "name": { "type": "string", "enum": ["images"] }, "datatype": { "type": "string", "enum": ["UINT8"] },
            "shape": { "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 4096 }, "minItems": 4, "maxItems": 4 },
            "parameters": { "type": "object", "properties": { "binary_data_size": count() } },
            "data": { "type": "array", "description": "pixels, nested or flat, when they do not come as binary data" },
        }),
        &["name", "datatype", "shape"],
    );
    let output = object(
        json!({
            "name": { "type": "string", "enum": ["boxes", "scores", "classes", "counts"] },
            "parameters": { "type": "object", "properties": { "binary_data": { "type": "boolean" } } },
        }),
        &["name"],
    );
    let parameters = json!({ "type": "object", "properties": {
        "confidence_threshold": share(), "nms_threshold": share(),
        "max_detections": { "type": "number", "minimum": 1, "maximum": 1000 }, "binary_data_output": { "type": "boolean" },
    } });
    let mut request = object(
        json!({
            "id": text(), "parameters": parameters,
            "inputs": { "type": "array", "items": input, "minItems": 1, "maxItems": 1 },
            "outputs": { "type": "array", "items": output },
        }),
        &["inputs"],
    );
    request["examples"] = json!([{ "inputs": [
        { "name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200] },
    ] }]);
    json!({
        "V2Metadata": object(json!({
            "name": text(), "versions": { "type": "array", "items": text() }, "platform": text(),
            "inputs": { "type": "array", "items": tensor }, "outputs": { "type": "array", "items": tensor },
        }), &["name", "versions", "platform", "inputs", "outputs"]),
        "V2Index": { "type": "array", "items": object(json!({ "name": text(), "version": text(), "state": text(), "reason": text() }), &["name", "state"]) },
        "V2InferRequest": request,
        "V2InferResponse": object(json!({
            "id": text(), "model_name": text(), "model_version": text(), "outputs": { "type": "array", "items": tensor },
        }), &["model_name", "outputs"]),
    })
}
