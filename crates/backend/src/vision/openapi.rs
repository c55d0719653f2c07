//! The OpenAPI document. The fixed one declares every bound and refuses unknown fields, as the fixed server does.

use serde_json::{Value, json};

use super::config::Config;
use super::identity::seeded_uuid;
use super::schemas::schemas;
use super::variants::VARIANTS;

/// The document of a server with this configuration.
pub(crate) fn document(config: &Config) -> Value {
    let mut paths = platform(config);
    if let (Value::Object(paths), Value::Object(kserve)) = (&mut paths, kserve()) {
        paths.extend(kserve);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ML Evaluation Platform API",
            "description": "API for object detection and segmentation model evaluation platform",
            "version": "1.0.0",
        },
        "paths": paths,
        "components": { "schemas": schemas(config) },
    })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// An operation with its good answer and the errors that it may have.
fn operation(id: &str, summary: &str, good: (&str, Value), errors: &[&str]) -> Value {
    let (status, good) = good;
    let mut responses =
        json!({ status: { "description": "Successful Response", "content": content(&good) } });
    for error in errors {
        let (why, body) = match *error {
            "400" => ("The request makes no sense", "Error"),
            "404" => ("There is no such thing", "Error"),
            "408" => ("The body did not arrive in time", "Error"),
            "409" => ("The model cannot be used now", "Error"),
            "413" => ("The body is too large", "Error"),
            "422" => ("Validation Error", "ValidationError"),
            "429" => ("Too many jobs have not ended", "Error"),
            _ => ("Too many requests wait", "Error"),
        };
        responses[*error] = json!({ "description": why, "content": content(&schema(body)) });
    }
    json!({ "operationId": id, "summary": summary, "responses": responses })
}

fn with_body(mut operation: Value, body: &Value) -> Value {
    operation["requestBody"] = json!({ "required": true, "content": content(body) });
    operation
}

fn with_parameters(mut operation: Value, parameters: &[Value]) -> Value {
    operation["parameters"] = json!(parameters);
    operation
}

fn path_uuid(name: &str) -> Value {
    let schema = json!({ "type": "string", "format": "uuid" });
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn path_model_id() -> Value {
    let mut parameter = path_uuid("model_id");
    parameter["examples"] = json!({ "smallest": { "value": seeded_uuid(VARIANTS[0].seed()) } });
    parameter
}

fn query(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": schema })
}

fn paging() -> [Value; 2] {
    [
        query(
            "limit",
            &json!({ "type": "integer", "minimum": 1, "default": 50, "description": "More than 1000 is as good as 1000" }),
        ),
        query(
            "offset",
            &json!({ "type": "integer", "minimum": 0, "default": 0 }),
        ),
    ]
}

fn listing(id: &str, summary: &str, answer: &str, filters: &[Value]) -> Value {
    let operation = operation(id, summary, ("200", schema(answer)), &["400", "422"]);
    with_parameters(operation, &[filters, &paging()[..]].concat())
}

fn text(summary: &str, id: &str, kind: &str) -> Value {
    json!({ "get": { "operationId": id, "summary": summary, "responses": { "200": {
        "description": "Successful Response", "content": { kind: { "schema": { "type": "string" } } }
    } } } })
}

fn platform(config: &Config) -> Value {
    let word = |words: &[&str]| json!({ "type": "string", "enum": words });
    let get = |id, summary, answer, parameter: Value| json!({ "get": with_parameters(operation(id, summary, ("200", schema(answer)), &["400", "404"]), &[parameter]) });
    let of_model = |id, summary| {
        let errors = ["400", "404", "408", "409", "413"];
        json!({ "post": with_parameters(operation(id, summary, ("200", schema("Model")), &errors), &[path_model_id()]) })
    };
    let open =
        |id, summary| json!({ "get": operation(id, summary, ("200", json!({ "type": "object" })), &[]) });
    json!({
        "/": open("root", "What this is"),
        "/health": { "get": operation("health", "Health", ("200", schema("Health")), &[]) },
        "/metrics": text("Metrics for Prometheus", "metrics", "text/plain"),
        "/docs": text("This documentation for people", "docs", "text/html"),
        "/api/v1/images": {
            "post": upload(config),
            "get": listing("list_images", "List images", "ImageList", &[query("dataset_split", &word(&["train", "validation", "test"]))]),
        },
        "/api/v1/images/{image_id}": get("get_image", "One image", "Image", path_uuid("image_id")),
        "/api/v1/models": { "get": listing("list_models", "List models", "ModelList", &[
            query("type", &word(&["detection", "segmentation"])),
            query("framework", &word(&["YOLO11", "YOLO12", "RT-DETR", "SAM2"])),
            query("training_status", &word(&["pre-trained", "training", "trained", "failed"])),
        ]) },
        "/api/v1/models/{model_id}": get("get_model", "One model", "Model", path_model_id()),
        "/api/v1/models/{model_id}/load": of_model("load_model", "Load a model into memory"),
        "/api/v1/models/{model_id}/unload": of_model("unload_model", "Take a model out of memory"),
        "/api/v1/inference/single": { "post": with_body(
            operation("infer_single", "Run inference on one image", ("200", schema("InferenceResult")),
                &["400", "404", "408", "409", "413", "422", "503"]),
            &schema("SingleInferenceRequest"),
        ) },
        "/api/v1/inference/batch": { "post": with_body(
            operation("infer_batch", "Start a job for many images", ("202", schema("Job")),
                &["400", "404", "408", "413", "422", "429"]),
            &schema("BatchInferenceRequest"),
        ) },
        "/api/v1/inference/jobs": { "get": listing("list_jobs", "List jobs, without their results", "JobList", &[
            query("status", &word(&super::jobs::STATUSES)),
            query("model_id", &json!({ "type": "string", "format": "uuid" })),
        ]) },
        "/api/v1/inference/jobs/{job_id}": get("get_job", "One job with its results", "Job", path_uuid("job_id")),
        "/api/v1/inference/jobs/{job_id}/cancel": { "post": with_parameters(
            operation("cancel_job", "End a job", ("200", schema("Job")), &["400", "404", "408", "413"]),
            &[path_uuid("job_id")],
        ) },
    })
}

fn upload(config: &Config) -> Value {
    let mut operation = operation(
        "upload_images",
        "Upload JPEG and PNG images",
        ("201", schema("ImageUpload")),
        &["400", "408", "413", "422"],
    );
    operation["requestBody"] = json!({ "required": true, "content": { "multipart/form-data": { "schema": {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "type": "string", "format": "binary" } },
            "dataset_split": { "type": "string", "enum": ["train", "validation", "test"], "default": "train" },
        },
    } } } });
    if !config.lenient_input {
        operation["requestBody"]["content"]["multipart/form-data"]["schema"]["additionalProperties"] =
            json!(false);
    }
    operation["responses"]["201"]["links"] = json!({
        "image": { "operationId": "get_image", "parameters": { "image_id": "$response.body#/uploaded_images/0/id" } },
    });
    operation
}

fn kserve() -> Value {
    let model = || {
        json!({
            "name": "model", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
            "examples": { "smallest": { "value": VARIANTS[0].key } },
        })
    };
    let open =
        |id, summary| json!({ "get": operation(id, summary, ("200", json!({ "type": "object" })), &[]) });
    let of_model = |id, summary, answer: Value, errors: &[&str]| json!({ "get": with_parameters(operation(id, summary, ("200", answer), errors), &[model()]) });
    let object = || json!({ "type": "object" });
    let change = |id, summary| {
        let operation = operation(id, summary, ("200", object()), &["400", "404", "408", "413"]);
        let mut operation = with_parameters(operation, &[model()]);
        let body = json!({ "type": "object", "properties": { "parameters": { "type": "object" } } });
        operation["requestBody"] = json!({ "required": false, "content": content(&body) });
        json!({ "post": operation })
    };
    let mut index = operation(
        "repository_index",
        "All models with their states",
        ("200", schema("V2Index")),
        &["400", "408", "413"],
    );
    let body = json!({ "type": "object", "properties": { "ready": { "type": "boolean" } } });
    index["requestBody"] = json!({ "required": false, "content": content(&body) });
    let infer = with_body(
        operation(
            "v2_infer",
            "KServe V2 inference",
            ("200", schema("V2InferResponse")),
            &["400", "404", "408", "413", "503"],
        ),
        &schema("V2InferRequest"),
    );
    json!({
        "/v2": open("v2_server", "KServe V2: the server"),
        "/v2/health/live": open("v2_live", "KServe V2: whether it lives"),
        "/v2/health/ready": open("v2_ready", "KServe V2: whether it can serve"),
        "/v2/models/{model}": of_model("v2_metadata", "KServe V2: a model's metadata", schema("V2Metadata"), &["404"]),
        "/v2/models/{model}/ready": of_model("v2_model_ready", "KServe V2: whether a model is loaded", object(), &["400", "404"]),
        "/v2/models/{model}/config": of_model("v2_config", "A model's configuration", object(), &["404"]),
        "/v2/models/{model}/stats": of_model("v2_stats", "What a model has done", object(), &["404"]),
        "/v2/models/{model}/infer": { "post": with_parameters(infer, &[model()]) },
        "/v2/repository/index": { "post": index },
        "/v2/repository/models/{model}/load": change("v2_load", "KServe V2: load a model"),
        "/v2/repository/models/{model}/unload": change("v2_unload", "KServe V2: unload a model"),
    })
}
