//! The queue API: jobs are put in, and asked for later. Each is one inference on a worker of the pool.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::app::{Runpod, error};
use super::jobs::{NotAgain, Order, Status};
use super::ledger::Story;
use crate::fastapi::json::decode;
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;

/// How long /runsync waits for the result: when nothing is said, and the bounds of `wait`, in milliseconds of the platform.
const WAIT_MS: i64 = 90_000;
const WAIT_BOUNDS_MS: (i64, i64) = (1_000, 300_000);
/// The least that a policy may ask for, in milliseconds of the platform.
const TIMEOUT_LEAST_MS: u64 = 5_000;
const TTL_LEAST_MS: u64 = 10_000;

/// Answers a request to `/v2/` and what is left of its path.
pub(super) async fn answer(
    platform: &Arc<Runpod>,
    parts: &Parts,
    rest: &str,
    bytes: &[u8],
) -> (&'static str, Reply) {
    let mut segments = rest.split('/');
    let (endpoint, operation, id, more) =
        (segments.next(), segments.next(), segments.next(), segments.next());
    if endpoint != Some(platform.pool.config.endpoint_id.as_str()) || more.is_some() {
        return ("unrouted", error(StatusCode::NOT_FOUND, "endpoint not found"));
    }
    let (name, method) = match (operation, id) {
        (Some("run"), None) => ("POST /v2/{endpoint_id}/run", Method::POST),
        (Some("runsync"), None) => ("POST /v2/{endpoint_id}/runsync", Method::POST),
        (Some("status"), Some(_)) => ("GET /v2/{endpoint_id}/status/{job_id}", Method::GET),
        (Some("stream"), Some(_)) => ("GET /v2/{endpoint_id}/stream/{job_id}", Method::GET),
        (Some("retry"), Some(_)) => ("POST /v2/{endpoint_id}/retry/{job_id}", Method::POST),
        (Some("purge-queue"), None) => ("POST /v2/{endpoint_id}/purge-queue", Method::POST),
        (Some("cancel"), Some(_)) => ("POST /v2/{endpoint_id}/cancel/{job_id}", Method::POST),
        (Some("health"), None) => ("GET /v2/{endpoint_id}/health", Method::GET),
        _ => return ("unrouted", error(StatusCode::NOT_FOUND, "not found")),
    };
    if parts.method != method {
        let allow = if method == Method::GET { "GET" } else { "POST" };
        let refused = error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
        return (name, refused.with(header::ALLOW, HeaderValue::from_static(allow)));
    }
    let id = id.unwrap_or_default();
    let reply = match operation {
        Some("run") => submit(platform, bytes, None).await,
        Some("runsync") => match wait(parts) {
            Ok(wait_ms) => submit(platform, bytes, Some(wait_ms)).await,
            Err(refused) => refused,
        },
        Some("status") => tell(platform, id),
        Some("stream") => stream(platform, id),
        Some("retry") => retry(platform, id),
        Some("purge-queue") => {
            let removed = platform.jobs.purge();
            Reply::json(&json!({ "removed": removed, "status": "completed" }))
        }
        Some("cancel") => {
            platform.jobs.finish(id, Status::Cancelled, None, None);
            tell(platform, id)
        }
        _ => health(platform),
    };
    (name, reply)
}

async fn submit(platform: &Arc<Runpod>, bytes: &[u8], wait_ms: Option<i64>) -> Reply {
    let order = match read(platform, bytes) {
        Ok(order) => order,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let Some((id, cancelled)) = platform.jobs.add(order.clone(), wait_ms.is_some()) else {
        return error(StatusCode::TOO_MANY_REQUESTS, "too many jobs")
            .with(header::RETRY_AFTER, HeaderValue::from_static("10"));
    };
    tokio::spawn(work(Arc::clone(platform), id.clone(), order, cancelled));
    if let Some(wait_ms) = wait_ms {
        let patience = scaled(platform, wait_ms.unsigned_abs());
        platform.jobs.wait(&id, patience).await;
    }
    tell(platform, &id)
}

fn tell(platform: &Runpod, id: &str) -> Reply {
    match platform.jobs.tell(id) {
        Some(told) => Reply::json(&told),
        None => error(StatusCode::NOT_FOUND, "job not found"),
    }
}

/// The parts of an output that were not told yet. The worker says everything at its end, so there are none.
fn stream(platform: &Runpod, id: &str) -> Reply {
    match platform.jobs.tell(id) {
        Some(told) => Reply::json(&json!({ "id": id, "status": told["status"], "stream": [] })),
        None => error(StatusCode::NOT_FOUND, "job not found"),
    }
}

/// A job that failed or took too long begins anew under its id.
fn retry(platform: &Arc<Runpod>, id: &str) -> Reply {
    match platform.jobs.again(id) {
        Ok((order, cancelled)) => {
            tokio::spawn(work(Arc::clone(platform), id.to_owned(), order, cancelled));
            tell(platform, id)
        }
        Err(NotAgain::Unknown) => error(StatusCode::NOT_FOUND, "job not found"),
        Err(NotAgain::Wrong) => error(
            StatusCode::BAD_REQUEST,
            "only a job that failed or timed out can be retried",
        ),
    }
}

fn health(platform: &Runpod) -> Reply {
    let counts = platform.jobs.counts();
    let (workers, _, _) = platform.pool.health();
    let over = |names: &[&str]| -> u64 { names.iter().filter_map(|name| counts[*name].as_u64()).sum() };
    Reply::json(&json!({
        "jobs": {
            "completed": over(&["COMPLETED"]),
            "failed": over(&["FAILED", "TIMED_OUT"]),
            "inProgress": over(&["IN_PROGRESS"]),
            "inQueue": over(&["IN_QUEUE"]),
            "retried": platform.jobs.retried(),
        },
        "workers": workers,
    }))
}

/// A job from the queue to its end.
async fn work(platform: Arc<Runpod>, id: String, order: Order, mut cancelled: watch::Receiver<bool>) {
    let mut story = Story::new(id.clone(), "job", "/api/v1/tryon");
    let status = tokio::select! {
        (status, output, error) = infer(&platform, &id, order, &mut story) => {
            platform.jobs.finish(&id, status, output, error);
            status
        }
        // An error means that the job is forgotten.
        _ = cancelled.wait_for(|cancelled| *cancelled) => Status::Cancelled,
    };
    if status != Status::Completed {
        story.dropped = Some(status.name());
    }
    let told = if status == Status::Completed { 200 } else { 500 };
    platform.close(story, told);
}

async fn infer(
    platform: &Runpod,
    id: &str,
    order: Order,
    story: &mut Story,
) -> (Status, Option<Value>, Option<String>) {
    let failed = |status, why: &str| (status, None, Some(why.to_owned()));
    let Ok(on) = platform.pool.enter(order.ttl, false).await else {
        return failed(Status::TimedOut, "no worker came in time");
    };
    if !platform.jobs.begin(id, on.worker) {
        return (Status::Cancelled, None, None);
    }
    let request = Request::post("/api/v1/tryon").header(header::CONTENT_TYPE, "application/json");
    let Ok(request) = request.body(Body::empty()) else {
        return failed(Status::Failed, "the request cannot be made");
    };
    let bytes = Bytes::from(order.input.to_string());
    let exchange = platform.on_worker(on, request.into_parts().0, bytes, story);
    match tokio::time::timeout(order.timeout, exchange).await {
        Err(_) => failed(Status::TimedOut, "the execution took too long"),
        Ok(Err(_)) => failed(Status::Failed, "the worker broke off"),
        Ok(Ok(answer)) => {
            let said = decode(&answer.body).unwrap_or(Value::Null);
            if answer.status.is_success() {
                (Status::Completed, Some(said), None)
            } else {
                failed(Status::Failed, &format!("{}: {said}", answer.status.as_u16()))
            }
        }
    }
}

fn read(platform: &Runpod, bytes: &[u8]) -> Result<Order, String> {
    let config = &platform.pool.config;
    let Ok(Value::Object(mut fields)) = decode(bytes) else {
        return Err("the body must be a JSON object".to_owned());
    };
    // Nobody is called here when a job is over, and pictures have a store of their own.
    taken(&mut fields, "webhook", Value::is_string, "text")?;
    taken(&mut fields, "s3Config", Value::is_object, "an object")?;
    let input = match fields.remove("input") {
        Some(input @ Value::Object(_)) => input,
        Some(_) => return Err("'input' must be an object".to_owned()),
        None => return Err("'input' is missing".to_owned()),
    };
    let mut policy = match fields.remove("policy") {
        None => Map::new(),
        Some(Value::Object(policy)) => policy,
        Some(_) => return Err("'policy' must be an object".to_owned()),
    };
    taken(&mut policy, "lowPriority", Value::is_boolean, "true or false")?;
    let mut time = |name: &str, default: Duration, least_ms: u64| match policy.remove(name) {
        None => Ok(default),
        Some(value) => match value.as_u64().filter(|ms| (least_ms..=604_800_000).contains(ms)) {
            Some(ms) => Ok(scaled(platform, ms)),
            None => Err(format!(
                "'{name}' must be a whole number from {least_ms} to 604800000"
            )),
        },
    };
    let timeout = time("executionTimeout", config.job_timeout, TIMEOUT_LEAST_MS)?;
    let ttl = time("ttl", config.job_ttl, TTL_LEAST_MS)?;
    if let Some(unknown) = fields
        .keys()
        .chain(policy.keys())
        .next()
        .filter(|_| !config.ignore_unknown)
    {
        return Err(format!("'{unknown}' is not known"));
    }
    Ok(Order { input, timeout, ttl })
}

/// Takes a field out that makes no difference here.
fn taken(
    fields: &mut Map<String, Value>,
    name: &str,
    fits: fn(&Value) -> bool,
    what: &str,
) -> Result<(), String> {
    match fields.remove(name) {
        Some(value) if !fits(&value) => Err(format!("'{name}' must be {what}")),
        _ => Ok(()),
    }
}

fn wait(parts: &Parts) -> Result<i64, Reply> {
    let mut problems = Vec::new();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let wait_ms = query.integer("wait", WAIT_MS, Some(WAIT_BOUNDS_MS), &mut problems);
    if problems.is_empty() {
        Ok(wait_ms)
    } else {
        Err(error(
            StatusCode::BAD_REQUEST,
            "'wait' must be a whole number from 1000 to 300000",
        ))
    }
}

fn scaled(platform: &Runpod, ms: u64) -> Duration {
    Duration::from_secs_f64(ms as f64 / 1000.0 * platform.pool.config.time_scale)
}
