//! The truth preset and the account, over HTTP.

use crate::client;

use client::Server;
use serde_json::json;

#[test]
fn work_takes_the_drawn_time_and_the_account_agrees() {
    let server = Server::start("truth", &[("service", "det"), ("mean_ms", "3")]);
    for _ in 0..10 {
        assert_eq!(server.get("/work").status, 200);
    }
    let truth = server.truth();
    let work = &truth["endpoints"]["GET /work"];
    assert_eq!((&work["count"], &work["complete"]), (&json!(10), &json!(true)));
    assert!(work["service_ns"]["min"].as_u64().unwrap() >= 3_000_000);
    assert!(work["sojourn_ns"]["p50"].as_u64().unwrap() >= work["service_ns"]["p50"].as_u64().unwrap());
    assert_eq!(truth["service_model_ns"]["p99"], json!(3_000_000.0));
    let times = server
        .ask_admin("GET", "/truth/times?endpoint=GET%20/work")
        .json();
    assert_eq!(times["service_ns"].as_array().unwrap().len(), 10);
    assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
    assert_eq!(server.truth()["endpoints"], json!({}));
    assert_eq!(server.ask_admin("GET", "/truth/times?endpoint=nope").status, 404);
}

#[test]
fn servers_bound_what_is_in_service_and_the_queue_what_waits() {
    let server = Server::start(
        "truth",
        &[
            ("service", "det"),
            ("mean_ms", "150"),
            ("servers", "2"),
            ("queue_max", "3"),
            ("shed_status", "429"),
            ("retry_after_s", "7"),
        ],
    );
    let replies = server.burst(9, |server| server.get("/work"));
    let shed: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    let good = replies.iter().filter(|reply| reply.status == 200).count();
    assert!((5..9).contains(&good) && good + shed.len() == 9, "{good}");
    assert!(
        shed.iter()
            .all(|reply| reply.header("retry-after").as_deref() == Some("7"))
    );
    assert_eq!(server.truth()["in_service_max"], json!(2));
}

#[test]
fn echo_returns_the_nonce_and_null_nothing() {
    let server = Server::start("truth", &[]);
    let replies = server.burst(8, |server| server.post("/echo", r#"{"nonce":"n-1","more":[1]}"#));
    assert!(replies.iter().all(|reply| reply.text() == r#"{"nonce":"n-1"}"#));
    assert_eq!(server.post("/echo", "{}").status, 422);
    assert_eq!(
        (server.get("/null").status, server.get("/null").body.len()),
        (200, 0)
    );
    assert_eq!(
        (server.get("/echo").status, server.get("/nope").status),
        (405, 404)
    );
}

#[test]
fn defects_in_force_are_among_the_faults() {
    let ids = |knobs: &[(&str, &str)]| Server::start("truth", knobs).truth()["faults"].clone();
    let all = ids(&[]);
    assert_eq!(
        (&all[0]["id"], &all[0]["knob"]),
        (&json!("I1-I30"), &json!("defects"))
    );
    assert_eq!(ids(&[("defects", "1,5")])[0]["knob"], json!("defects"));
    assert_eq!(ids(&[("defects", "none")]), json!([]));
}

#[test]
fn a_reset_begins_every_account_anew_and_leaves_the_servers_own_counters() {
    let server = Server::start(
        "truth",
        &[
            ("mean_ms", "0"),
            ("corrupt_n", "1"),
            ("cache_block", "1"),
            ("prefill_us", "0"),
        ],
    );
    let ask = || server.post("/v1/generate", r#"{"prompt":"a b c"}"#);
    ask();
    ask();
    server.post("/v1/infer", r#"{"input":"a"}"#);
    let before = server.truth();
    assert_eq!(before["answers"]["answers"], json!(1));
    assert_eq!(before["cache"]["tokens_saved"], json!(3));
    assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
    let after = server.truth();
    assert_eq!(
        (&after["answers"]["answers"], &after["answers"]["bad"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(
        (&after["cache"]["tokens"], &after["cache"]["tokens_saved"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(after["cache"]["blocks"], json!(3), "what is cached stays");
    assert!(
        server
            .get("/metrics")
            .text()
            .contains("\nprefix_cache_queries 6\n")
    );
}
