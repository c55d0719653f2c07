//! The platform with its worker processes, started from inside a test: requests, jobs, stopping.

use crate::client;

use std::path::Path;
use std::time::{Duration, Instant};

use client::{Server, options};
use prony_backend::{BackendError, serve};
use serde_json::{Value, json};

/// A program that understands the words that a worker is started with.
const PROGRAM: &str = env!("CARGO_BIN_EXE_prony-backend");

/// A thousandth of all times: two minutes are 120 ms, so that wait_max_s is given where nobody is to be dropped.
fn platform(preset: &str, knobs: &[(&str, &str)]) -> Server {
    let own = [
        ("worker_program", PROGRAM),
        ("weights_mb", "1"),
        ("wait_max_s", "30000"),
        ("idle_s", "100000"),
    ];
    Server::scaled(preset, &[&own, knobs].concat(), 0.001)
}

fn wait_for<T>(what: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pids(truth: &Value) -> Vec<u64> {
    let workers = truth["workers"].as_array().unwrap().iter();
    workers.filter_map(|worker| worker["pid"].as_u64()).collect()
}

fn order() -> String {
    json!({ "person_image_path": "nope.png", "garment_image_path": "nope.png" }).to_string()
}

#[test]
fn a_request_starts_a_worker_and_is_served_by_it() {
    let server = platform("runpod", &[("workers_max", "1")]);
    assert_eq!(server.truth()["workers"], json!([]));
    let reply = server.post("/api/v1/tryon", &order());
    assert_eq!(reply.status, 500, "{}", reply.text());
    assert_eq!(
        reply.json()["detail"],
        "An internal error occurred: 404: Input image not found on network volume."
    );
    assert_eq!(reply.header("x-worker-id").as_deref(), Some("worker-0"));
    assert_eq!(reply.header("x-inside-us"), None);
    let truth = server.truth();
    let story = &truth["requests"]["requests"][0];
    assert_eq!((&story["worker"], &story["status"]), (&json!(0), &json!(500)));
    assert!(story["started_ms"].as_f64() >= truth["workers"][0]["ready_ms"].as_f64());
    assert_eq!(
        truth["endpoints"]["POST /api/v1/tryon"]["statuses"],
        json!({ "500": 1 })
    );
}

#[test]
fn the_fixed_preset_says_404_and_has_none_of_the_faults() {
    let server = platform("runpod-fixed", &[]);
    let reply = server.post("/api/v1/tryon", &order());
    assert_eq!(reply.status, 404, "{}", reply.text());
    assert!(reply.header("server-timing").unwrap().contains("service;dur="));
    assert_eq!(server.truth()["faults"], json!([]));
    let observed = platform("runpod", &[]);
    let ids: Vec<Value> = observed.truth()["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["id"].clone())
        .collect();
    assert_eq!(ids, ["R1", "R2", "R3", "R4", "R5", "R6", "R7"]);
}

#[test]
fn without_workers_the_wait_ends_with_the_words_of_the_platform() {
    let server = platform(
        "runpod",
        &[("wait_max_s", "120"), ("worker_program", "/nonexistent/program")],
    );
    let reply = server.post("/api/v1/tryon", &order());
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (400, r#"{"error":"no workers available"}"#)
    );
    let truth = server.truth();
    let why = truth["workers"][0]["why_stopped"].as_str().unwrap();
    assert!(why.contains("cannot be started"), "{why}");
}

#[test]
fn a_job_that_cannot_be_done_fails_with_what_the_worker_said() {
    let server = platform("runpod-fixed", &[]);
    let body = json!({ "input": { "person_image_path": "a", "garment_image_path": "b" } }).to_string();
    let reply = server.post("/v2/tryon/runsync?wait=300000", &body);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let told = wait_for(|| {
        let told = server.get(&format!("/v2/tryon/status/{id}")).json();
        (told["status"] == "FAILED").then_some(told)
    });
    assert!(told["error"].as_str().unwrap().starts_with("404"), "{told}");
}

#[test]
fn every_process_ends_with_the_platform() {
    let server = platform("runpod-fixed", &[("workers_min", "2")]);
    let pids = wait_for(|| {
        let truth = server.truth();
        let healthy = truth["workers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|worker| worker["phase"] == "healthy")
            .count();
        (healthy == 2).then(|| pids(&truth))
    });
    let there = |pid: &u64| Path::new(&format!("/proc/{pid}")).exists();
    assert!(pids.len() == 2 && pids.iter().all(there));
    drop(server);
    assert!(!pids.iter().any(there));
}

#[test]
fn bad_knobs_are_told() {
    for (name, value) in [
        ("workers_min", "9"),
        ("scaler", "magic"),
        ("payload_mb", "-1"),
        ("store_mb", "0"),
    ] {
        let refused = serve(
            options("runpod", &[("workers_max", "8"), (name, value)]),
            |_| panic!("it should not become ready"),
            std::future::pending(),
        );
        assert!(
            matches!(refused, Err(BackendError::BadKnob { name: told, .. }) if told == name),
            "{name}"
        );
    }
}

#[test]
fn jobs_are_purged_asked_for_again_and_told_of_in_parts() {
    // Without a worker nothing leaves the queue before its time is up.
    let server = platform("runpod-fixed", &[("worker_program", "/nonexistent/program")]);
    let input = json!({ "person_image_path": "a", "garment_image_path": "b" });
    let run = |more: Value| {
        let mut order = json!({ "input": input });
        order
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        server.post("/v2/tryon/run", &order.to_string())
    };
    let put = run(json!({
        "webhook": "https://example.org/", "s3Config": { "bucketName": "b" },
        "policy": { "lowPriority": true, "ttl": 10_000 },
    }));
    assert_eq!(put.status, 200, "{}", put.text());
    for bad in [
        json!({ "webhook": 1 }),
        json!({ "s3Config": "x" }),
        json!({ "policy": { "lowPriority": 1 } }),
        json!({ "nope": 1 }),
    ] {
        assert_eq!(run(bad.clone()).status, 400, "{bad}");
    }
    // Ten seconds of the platform are ten milliseconds here.
    let id = put.json()["id"].as_str().unwrap().to_owned();
    wait_for(|| {
        (server.get(&format!("/v2/tryon/status/{id}")).json()["status"] == "TIMED_OUT").then_some(())
    });
    let again = server.post(&format!("/v2/tryon/retry/{id}"), "");
    assert_eq!(again.json(), json!({ "id": id, "status": "IN_QUEUE" }));
    let waiting = run(json!({})).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.post(&format!("/v2/tryon/retry/{waiting}"), "").status, 400);
    let purged = server.post("/v2/tryon/purge-queue", "");
    assert_eq!(purged.json()["status"], "completed");
    assert!(purged.json()["removed"].as_u64().unwrap() >= 1);
    let parts = server.get(&format!("/v2/tryon/stream/{waiting}")).json();
    assert_eq!(
        parts,
        json!({ "id": waiting, "status": "CANCELLED", "stream": [] })
    );
    for path in ["stream/nope", "status/nope"] {
        assert_eq!(server.get(&format!("/v2/tryon/{path}")).status, 404, "{path}");
    }
    assert_eq!(server.post("/v2/tryon/retry/nope", "").status, 404);
    assert_eq!(server.get("/v2/tryon/purge-queue").status, 405);
    assert_eq!(server.get("/v2/tryon/health").json()["jobs"]["retried"], json!(1));
    assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
    let truth = server.truth();
    assert_eq!(
        (&truth["jobs"]["CANCELLED"], &truth["requests"]["finished"]),
        (&json!(0), &json!(0))
    );
}
