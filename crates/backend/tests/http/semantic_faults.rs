//! Each planted fault of the language model server, seen over HTTP with it on and with it off.

use crate::client;

use client::{Reply, Server};
use serde_json::{Value, json};

const KEY: &str = "content-type: application/json\r\nx-api-key: local-key-1\r\n";
const MODEL: &str = "gemma-3-12b-it";
/// Fast, and without limits.
const QUICK: [(&str, &str); 4] = [
    ("decode_base_us", "200"),
    ("decode_seq_us", "0"),
    ("prefill_us", "5"),
    ("limit_global", "0"),
];

fn server(preset: &str, knobs: &[(&str, &str)]) -> Server {
    Server::start(preset, &[&QUICK, knobs].concat())
}

fn body(text: &str, max_tokens: u32) -> String {
    json!({ "model": MODEL, "max_tokens": max_tokens, "messages": [{ "role": "user", "content": text }] })
        .to_string()
}

fn ask(server: &Server, body: &str) -> Reply {
    server.send("POST", "/v1/messages", KEY, body.as_bytes())
}

fn utilisation(server: &Server) -> Value {
    server.get("/health/ready").json()["pool_utilization"].clone()
}

/// Text of some 6 tokens per repetition.
fn long(repetitions: usize) -> String {
    "the cache keeps what was computed ".repeat(repetitions)
}

#[test]
fn s1_blocks_are_lost_for_ever() {
    // 2,048 blocks at 48 for each request are 42 requests.
    let faulty = server("semantic", &[("gather_ms", "0"), ("decode_base_us", "0")]);
    let statuses: Vec<u16> = (0..80).map(|_| ask(&faulty, &body("Hello", 3)).status).collect();
    assert_eq!(statuses.iter().position(|status| *status != 200), Some(42));
    assert!(statuses[42..].iter().all(|status| *status == 503));
    assert_eq!(utilisation(&faulty), json!(100.0));
    assert_eq!(faulty.truth()["pool"]["lost"], json!(2048));
    let full = faulty.get("/health/ready");
    assert_eq!(
        (full.status, full.json()["reason"].clone()),
        (503, json!("pool_near_exhaustion"))
    );
    let refused = ask(&faulty, &body("Hello", 3)).json();
    let told = refused["detail"].as_str().unwrap();
    assert!(
        told.starts_with("Server capacity exceeded: Failed to allocate 1 blocks for agent agent_"),
        "{told}"
    );

    let sound = server(
        "semantic-fixed",
        &[
            ("budget_mb", "1"),
            ("layers", "4"),
            ("block_kib", "32"),
            ("decode_base_us", "0"),
            ("answer_tokens", "20"),
        ],
    );
    for index in 0..30 {
        assert_eq!(ask(&sound, &body(&long(index % 5 + 1), 20)).status, 200);
    }
    assert_eq!(utilisation(&sound), json!(0.0));
    let pool = &sound.truth()["pool"];
    assert_eq!((&pool["lost"], &pool["used"]), (&json!(0), &json!(0)));
    assert_eq!(
        pool["free"].as_u64().unwrap() + pool["kept"].as_u64().unwrap(),
        pool["blocks"].as_u64().unwrap()
    );
}

#[test]
fn s2_one_at_a_time_or_side_by_side() {
    for (preset, batch) in [("semantic", 1), ("semantic-fixed", 8)] {
        let server = server(preset, &[("decode_base_us", "3000")]);
        let replies = server.burst(8, |server| ask(server, &body("Hello", 20)));
        assert!(replies.iter().all(|reply| reply.status == 200));
        let truth = server.truth();
        assert_eq!(
            truth["in_service_max"].as_u64().unwrap() <= 1,
            batch == 1,
            "{preset}"
        );
        assert_eq!(truth["scheduler"]["batch_max"], json!(batch), "{preset}");
        // Side by side, eight answers take the steps of one and a few more.
        let steps = truth["scheduler"]["steps"].as_u64().unwrap();
        assert_eq!(steps >= 160, batch == 1, "{preset}: {steps}");
    }
}

#[test]
fn s3_hits_are_told_and_computed_all_the_same() {
    for (preset, used) in [("semantic", false), ("semantic-fixed", true)] {
        let server = server(preset, &[("gather_ms", "0")]);
        let prompt = body(&long(100), 4);
        let usage: Vec<Value> = (0..2)
            .map(|_| ask(&server, &prompt).json()["usage"].clone())
            .collect();
        assert_eq!(usage[0]["cache_read_input_tokens"], json!(0));
        let read = usage[1]["cache_read_input_tokens"].as_u64().unwrap();
        assert!(read >= 500, "{usage:?}");
        let truth = server.truth();
        let requests = truth["requests"].as_array().unwrap();
        let cached = requests[1]["cached_tokens"].as_u64().unwrap();
        assert_eq!(cached, if used { read } else { 0 }, "{preset}");
        let prompts = 2 * requests[0]["prompt_tokens"].as_u64().unwrap();
        let prefilled = truth["scheduler"]["prefill_tokens"].as_u64().unwrap();
        assert_eq!(prefilled, if used { prompts - read } else { prompts }, "{preset}");
    }
}

#[test]
fn s4_three_envelopes_or_one() {
    // One block: nothing fits with the leak.
    let faulty = server(
        "semantic",
        &[("budget_mb", "96"), ("gather_ms", "0"), ("decode_base_us", "0")],
    );
    assert_eq!(ask(&faulty, &body("Hello", 3)).status, 200);
    let refused = ask(&faulty, &body("Hello", 3));
    assert_eq!((refused.status, refused.header("retry-after")), (503, None));
    let unknown = faulty.post("/v1/messages", &body("Hello", 3));
    let invalid = ask(&faulty, "{}");
    assert_eq!((unknown.status, invalid.status), (401, 422));
    assert!(refused.json()["detail"].is_string() && invalid.json()["detail"].is_array());
    assert!(unknown.json()["error"]["type"].is_string() && unknown.json().get("type").is_none());

    let sound = server(
        "semantic-fixed",
        &[
            ("max_batch", "1"),
            ("queue_max", "1"),
            ("decode_base_us", "20000"),
        ],
    );
    let replies = sound.burst(6, |server| ask(server, &body("Hello", 10)));
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!busy.is_empty() && busy.len() < 6);
    assert!(
        busy.iter()
            .all(|reply| reply.header("retry-after").as_deref() == Some("1"))
    );
    let unknown = sound.post("/v1/messages", &body("Hello", 3));
    let invalid = ask(&sound, "{}");
    assert_eq!((unknown.status, invalid.status), (401, 400));
    for reply in [busy[0], &unknown, &invalid] {
        let told = reply.json();
        assert_eq!(told["type"], json!("error"));
        assert!(told["error"]["type"].is_string() && told["error"]["message"].is_string());
    }
}

#[test]
fn s5_probes_wait_for_the_inference_in_progress() {
    let cases = [
        ("semantic", &[][..], true),
        ("semantic", &[("probes_block", "false")][..], false),
        ("semantic-fixed", &[("probes_block", "true")][..], true),
        ("semantic-fixed", &[][..], false),
    ];
    for (preset, knobs, waits) in cases {
        let slow = [("decode_base_us", "20000"), ("gather_ms", "0")];
        let server = server(preset, &[&slow, knobs].concat());
        std::thread::scope(|scope| {
            let work = scope.spawn(|| ask(&server, &body("Hello", 20)));
            while server.truth()["scheduler"]["running"] == json!(0) && !work.is_finished() {
                std::thread::yield_now();
            }
            for path in ["/health", "/health/live", "/health/ready"] {
                server.get(path);
                let over = server.truth()["scheduler"]["running"] == json!(0);
                assert_eq!(over, waits, "{preset} {knobs:?} {path}");
            }
            assert_eq!(work.join().unwrap().status, 200);
        });
    }
}

#[test]
fn s6_output_tokens_are_counted_once_or_for_each_layer() {
    for (preset, told) in [("semantic", 480), ("semantic-fixed", 10)] {
        let server = server(preset, &[("gather_ms", "0")]);
        let message = ask(&server, &body("Hello", 10)).json();
        assert_eq!(message["usage"]["output_tokens"], json!(told), "{preset}");
        assert_eq!(message["stop_reason"], json!("max_tokens"));
        assert_eq!(server.truth()["requests"][0]["output_tokens"], json!(10));
    }
}

#[test]
fn s7_calls_without_a_key_use_up_the_limit() {
    for (preset, status) in [("semantic", 429), ("semantic-fixed", 200)] {
        let server = server(preset, &[("limit_global", "3"), ("gather_ms", "0")]);
        for _ in 0..3 {
            assert_eq!(server.post("/v1/messages", &body("Hello", 1)).status, 401);
        }
        assert_eq!(ask(&server, &body("Hello", 1)).status, status, "{preset}");
    }
}

#[test]
fn the_admin_port_names_the_faults_and_the_service_port_does_not() {
    let ids = |server: &Server| -> Vec<String> {
        let truth = server.truth();
        let faults = truth["faults"].as_array().unwrap();
        faults
            .iter()
            .map(|fault| fault["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (observed, fixed) = (server("semantic", &[]), server("semantic-fixed", &[]));
    assert_eq!(ids(&observed), ["S1", "S2", "S3", "S4", "S5", "S6", "S7"]);
    assert!(ids(&fixed).is_empty());
    for server in [&observed, &fixed] {
        assert_eq!(server.get("/truth").status, 404);
        for path in ["/", "/openapi.json", "/docs", "/health", "/metrics"] {
            let text = server.get(path).text().to_lowercase();
            assert!(
                !["truth", "planted", "prony"]
                    .iter()
                    .any(|word| text.contains(word)),
                "{path}"
            );
        }
    }
}
