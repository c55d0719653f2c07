//! The OpenAPI document: the worker's API as it is seen through the balancer, and the queue API.

use serde_json::{Value, json};

use super::config::{Config, Endpoint};
use super::worker::{CLOTH_TYPES, PATH_MAX, SEED_MAX};

/// The document of a platform with this configuration.
pub(super) fn document(config: &Config) -> Value {
    let mut paths = json!({});
    if config.endpoint != Endpoint::Queue {
        paths["/ping"] = ping();
        paths["/api/v1/tryon"] = tryon(config);
    }
    if config.endpoint != Endpoint::Balancer {
        let endpoint_id = json!({
            "name": "endpoint_id", "in": "path", "required": true,
            "schema": { "type": "string", "enum": [config.endpoint_id] }, "example": config.endpoint_id,
        });
        let job_id = json!({
            "name": "job_id", "in": "path", "required": true, "schema": { "type": "string" },
        });
        for (path, method, summary, statuses, more) in [
            (
                "run",
                "post",
                "Put a job into the queue",
                &["400", "413", "429"][..],
                None,
            ),
            (
                "runsync",
                "post",
                "Run a job and wait for its result",
                &["400", "413", "429"],
                Some(wait()),
            ),
            (
                "status/{job_id}",
                "get",
                "Where a job stands",
                &["404"],
                Some(job_id.clone()),
            ),
            (
                "stream/{job_id}",
                "get",
                "Parts of a job's output that were not told yet",
                &["404"],
                Some(job_id.clone()),
            ),
            (
                "cancel/{job_id}",
                "post",
                "Cancel a job",
                &["404"],
                Some(job_id.clone()),
            ),
            (
                "retry/{job_id}",
                "post",
                "Put a job that failed or timed out into the queue again",
                &["400", "404"],
                Some(job_id),
            ),
            (
                "purge-queue",
                "post",
                "Cancel every job that waits for a worker",
                &[],
                None,
            ),
            ("health", "get", "Jobs and workers", &[], None),
        ] {
            let mut parameters = vec![endpoint_id.clone()];
            parameters.extend(more);
            let schema = match path {
                "health" => "Health",
                "purge-queue" => "Purged",
                "stream/{job_id}" => "Parts",
                _ => "Job",
            };
            let mut operation = json!({ "summary": summary, "parameters": parameters, "responses": answers(schema, statuses) });
            if path.starts_with("run") {
                operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": reference("RunRequest") } } });
            }
            paths[format!("/v2/{{endpoint_id}}/{path}")] = json!({ method: operation });
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Try-on endpoint",
            "version": "1.0.0",
            "description": "Dresses the person on one picture with the garment of another, on workers that come and go with the load. Pictures are taken from and put into the object store.",
        },
        "paths": paths,
        "components": { "schemas": schemas(config) },
    });
    if config.api_key.is_some() {
        document["components"]["securitySchemes"] =
            json!({ "bearer": { "type": "http", "scheme": "bearer" } });
        document["security"] = json!([{ "bearer": [] }]);
    }
    document
}

fn ping() -> Value {
    json!({ "get": { "summary": "Health of a worker", "responses": {
        "200": { "description": "Healthy", "content": { "application/json": { "schema": {
            "type": "object", "properties": { "status": { "const": "healthy" } }, "required": ["status"],
        } } } },
        "204": { "description": "Initialising" },
        "400": error("No worker came in time"),
        "401": error("The key is missing or wrong"),
        "502": error("No worker answers"),
        "503": error("No worker came in time"),
    } } })
}

fn tryon(config: &Config) -> Value {
    let mut responses = answers("TryOnResponse", &["400", "401", "413", "502", "503", "524"]);
    responses["422"] = json!({ "description": "Validation Error", "content": { "application/json": { "schema": reference("ValidationError") } } });
    let detail = json!({ "application/json": { "schema": reference("Detail") } });
    let missing = json!({ "description": "There is no such picture", "content": detail });
    if config.missing_is_500 {
        responses["500"] = json!({ "description": "Internal error", "content": detail });
    } else {
        responses["404"] = missing;
        responses["500"] = json!({ "description": "The result cannot be written", "content": detail });
    }
    json!({ "post": {
        "summary": "Dress a person",
        "description": "Both pictures must be in the object store. It takes about ten seconds of a worker.",
        "requestBody": { "required": true, "content": { "application/json": { "schema": reference("TryOnRequest") } } },
        "responses": responses,
    } })
}

fn wait() -> Value {
    json!({
        "name": "wait", "in": "query", "required": false, "description": "How long to wait for the result, in milliseconds",
        "schema": { "type": "integer", "minimum": 1000, "maximum": 300_000, "default": 90_000 },
    })
}

fn schemas(config: &Config) -> Value {
    let text = json!({ "type": "string" });
    let mut path = json!({ "type": "string" });
    let mut seed = json!({ "type": "integer", "default": -1 });
    if !config.ignore_unknown {
        path["minLength"] = json!(1);
        path["maxLength"] = json!(PATH_MAX);
        seed["minimum"] = json!(-1);
        seed["maximum"] = json!(SEED_MAX);
    }
    let example = json!({ "person_image_path": "inputs/person.png", "garment_image_path": "inputs/garment.png", "cloth_type": "upper", "seed": 42 });
    let mut order = json!({
        "type": "object",
        "properties": {
            "person_image_path": path,
            "garment_image_path": path,
            "cloth_type": { "type": "string", "enum": CLOTH_TYPES, "default": "upper" },
            "seed": seed,
        },
        "required": ["person_image_path", "garment_image_path"],
        "examples": [example],
    });
    let mut run = json!({
        "type": "object",
        "properties": {
            "input": reference("TryOnRequest"),
            "policy": {
                "type": "object",
                "properties": {
                    "executionTimeout": { "type": "integer", "minimum": 5000, "maximum": 604_800_000 },
                    "ttl": { "type": "integer", "minimum": 10_000, "maximum": 604_800_000 },
                    "lowPriority": { "type": "boolean", "description": "Makes no difference here" },
                },
            },
            "webhook": { "type": "string", "description": "Nobody is called when the job is over" },
            "s3Config": { "type": "object", "description": "Makes no difference here" },
        },
        "required": ["input"],
        "examples": [{ "input": example }],
    });
    if !config.ignore_unknown {
        order["additionalProperties"] = json!(false);
        run["additionalProperties"] = json!(false);
        run["properties"]["policy"]["additionalProperties"] = json!(false);
    }
    let mut schemas = json!({
        "TryOnRequest": order,
        "TryOnResponse": { "type": "object", "properties": { "result_image_path": text }, "required": ["result_image_path"] },
        "RunRequest": run,
        "Error": { "type": "object", "properties": { "error": text }, "required": ["error"] },
        "Detail": { "type": "object", "properties": { "detail": text }, "required": ["detail"] },
        "ValidationError": {
            "type": "object",
            "properties": { "detail": { "type": "array", "items": {
                "type": "object",
                "properties": { "type": text, "loc": { "type": "array" }, "msg": text },
                "required": ["type", "loc", "msg"],
            } } },
            "required": ["detail"],
        },
    });
    if let (Value::Object(schemas), Value::Object(jobs)) = (&mut schemas, job_schemas()) {
        schemas.extend(jobs);
    }
    schemas
}

/// What the queue API answers.
fn job_schemas() -> Value {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let counts = |names: &[&str]| {
        let properties: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), count.clone()))
            .collect();
        json!({ "type": "object", "properties": properties, "required": names })
    };
    json!({
        "Job": {
            "type": "object",
            "properties": {
                "id": text,
                "status": { "type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"] },
                "delayTime": count,
                "executionTime": count,
                "workerId": text,
                "output": { "type": "object" },
                "error": text,
            },
            "required": ["id", "status"],
        },
        "Parts": {
            "type": "object",
            "properties": {
                "id": text,
                "status": { "type": "string" },
                "stream": { "type": "array", "items": { "type": "object" } },
            },
            "required": ["id", "status", "stream"],
        },
        "Purged": {
            "type": "object",
            "properties": { "removed": count, "status": text },
            "required": ["removed", "status"],
        },
        "Health": {
            "type": "object",
            "properties": {
                "jobs": counts(&["completed", "failed", "inProgress", "inQueue", "retried"]),
                "workers": counts(&["idle", "initializing", "ready", "running", "throttled", "unhealthy"]),
            },
            "required": ["jobs", "workers"],
        },
    })
}

fn answers(schema: &str, statuses: &[&str]) -> Value {
    let mut responses = json!({
        "200": { "description": "Successful Response", "content": { "application/json": { "schema": reference(schema) } } },
    });
    for status in statuses {
        responses[*status] = error(match *status {
            "400" => "Bad request, or no worker came in time",
            "401" => "The key is missing or wrong",
            "404" => "There is no such job",
            "413" => "The request is too large",
            "429" => "Too many jobs",
            "502" => "The worker broke off, or its answer is too large",
            "503" => "Too many requests waiting",
            _ => "The worker took too long",
        });
    }
    responses
}

fn error(description: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": reference("Error") } } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
