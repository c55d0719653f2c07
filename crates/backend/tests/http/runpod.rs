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
