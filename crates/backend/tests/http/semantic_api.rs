//! The language model server's API over HTTP: streams in their order, limits, keys, agents, queue, cancellation and drain.

use crate::client;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use client::{Reply, Server, options};
use serde_json::{Value, json};

const KEY: &str = "content-type: application/json\r\nx-api-key: local-key-1\r\n";
const MODEL: &str = "gemma-3-12b-it";
const QUICK: [(&str, &str); 3] = [
    ("decode_base_us", "300"),
    ("decode_seq_us", "0"),
    ("prefill_us", "5"),
];

fn server(knobs: &[(&str, &str)]) -> Server {
    Server::start("semantic-fixed", &[&QUICK, knobs].concat())
}

fn message(text: &str, max_tokens: u32, stream: bool) -> Value {
    json!({ "model": MODEL, "max_tokens": max_tokens, "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Reply {
    server.send(method, path, KEY, body.to_string().as_bytes())
}

/// The body of an answer in chunks.
fn whole(reply: &Reply) -> String {
    let mut text = String::new();
    let mut rest = &reply.body[..];
    loop {
        let line = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a chunk's length");
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return text;
        }
        text.push_str(std::str::from_utf8(&rest[line + 2..line + 2 + length]).unwrap());
        rest = &rest[line + 4 + length..];
    }
}

/// Names and data of the events of a stream.
fn events(text: &str) -> Vec<(String, String)> {
    text.split_terminator("\n\n")
        .map(|event| {
            let field = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            (field("event:"), field("data:"))
        })
        .collect()
}

#[test]
fn a_message_streams_its_events_in_order() {
    let server = server(&[]);
    let plain = send(
        &server,
        "POST",
        "/v1/messages",
        &message("Name three rivers.", 12, false),
    )
    .json();
    let stream = send(
        &server,
        "POST",
        "/v1/messages",
        &message("Name three rivers.", 12, true),
    );
    assert!(
        stream
            .header("content-type")
            .unwrap()
            .starts_with("text/event-stream")
    );
    let events = events(&whole(&stream));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["message_start", "content_block_start", "ping"]);
    assert_eq!(
        names[names.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    let deltas = &events[3..events.len() - 3];
    assert_eq!(deltas.len(), 12);
    let mut text = String::new();
    for (name, data) in deltas {
        assert_eq!(name, "content_block_delta");
        let data: Value = serde_json::from_str(data).unwrap();
        text.push_str(data["delta"]["text"].as_str().unwrap());
    }
    assert_eq!(plain["content"][0]["text"], json!(text));
    let last: Value = serde_json::from_str(&events[events.len() - 2].1).unwrap();
    assert_eq!(last["delta"]["stop_reason"], json!("max_tokens"));
    assert_eq!(last["usage"]["output_tokens"], json!(12));
    let truth = server.truth();
    assert_eq!(truth["requests"][1]["events_ns"].as_array().unwrap().len(), 12);
    assert_eq!(truth["token_gap_error_ns"]["n"], json!(11));
    assert_eq!(
        truth["endpoints"]["POST /v1/messages"]["statuses"],
        json!({ "200": 2 })
    );
}

#[test]
fn a_completion_streams_chunks_and_ends_with_done() {
    let server = server(&[]);
    let mut body = message("Name three rivers.", 5, true);
    body["stream_options"] = json!({ "include_usage": true });
    let events = events(&whole(&send(&server, "POST", "/v1/chat/completions", &body)));
    assert_eq!(events.last().unwrap().1, "[DONE]");
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], json!("assistant"));
    assert_eq!(
        chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
        json!("length")
    );
    let usage = &chunks[chunks.len() - 1];
    assert_eq!(
        (&usage["choices"], &usage["usage"]["completion_tokens"]),
        (&json!([]), &json!(5))
    );
    body["stream"] = json!(false);
    let plain = send(&server, "POST", "/v1/chat/completions", &body).json();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(plain["choices"][0]["message"]["content"], json!(text));
}

#[test]
fn stop_sequences_and_the_count_of_tokens_hold() {
    let server = server(&[]);
    let whole = send(&server, "POST", "/v1/messages", &message("Hello", 300, false)).json();
    let text = whole["content"][0]["text"].as_str().unwrap();
    assert_eq!(whole["stop_reason"], json!("end_turn"));
    let word = text.split(' ').nth(5).unwrap();
    let mut body = message("Hello", 300, false);
    body["stop_sequences"] = json!([word]);
    let cut = send(&server, "POST", "/v1/messages", &body).json();
    assert_eq!(
        (&cut["stop_reason"], &cut["stop_sequence"]),
        (&json!("stop_sequence"), &json!(word))
    );
    let seen = cut["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with(seen) && !seen.contains(word));
    let count = send(
        &server,
        "POST",
        "/v1/messages/count_tokens",
        &json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hello" }] }),
    );
    let usage = &whole["usage"];
    let parts = [
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ];
    let sum: u64 = parts.iter().map(|part| usage[part].as_u64().unwrap()).sum();
    assert_eq!(count.json()["input_tokens"], json!(sum));
}

#[test]
fn keys_and_limits() {
    let server = server(&[("limit_agent", "2"), ("limit_global", "5")]);
    let body = message("Hello", 1, false).to_string();
    let with = |headers: &str| {
        let headers = format!("content-type: application/json\r\n{headers}");
        server.send("POST", "/v1/messages", &headers, body.as_bytes())
    };
    assert_eq!(with("").json()["error"]["type"], json!("authentication_error"));
    assert_eq!(
        with("x-api-key: nonsense\r\n").json()["error"]["message"],
        json!("Invalid API key.")
    );
    for header in [
        "x-api-key: local-key-2",
        "anthropic-api-key: local-key-1",
        "authorization: Bearer local-key-1",
    ] {
        assert_eq!(with(&format!("{header}\r\n")).status, 200, "{header}");
    }
    let agent = "x-api-key: local-key-1\r\nx-agent-id: one\r\n";
    assert_eq!((with(agent).status, with(agent).status), (200, 200));
    for (headers, scope) in [(agent, "Agent"), ("x-api-key: local-key-1\r\n", "Global")] {
        let over = with(headers);
        assert_eq!(over.status, 429);
        let seconds: u64 = over.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
        assert_eq!(
            over.json()["error"]["message"],
            json!(format!("{scope} rate limit exceeded. Retry after {seconds}s."))
        );
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn agents_remember_and_are_forgotten() {
    let server = server(&[]);
    let made = send(&server, "POST", "/v1/agents", &json!({ "agent_id": "planner" }));
    assert_eq!((made.status, &made.json()["agent_id"]), (201, &json!("planner")));
    assert_eq!(
        send(&server, "POST", "/v1/agents", &json!({ "agent_id": "planner" })).status,
        409
    );
    let say = |prompt: &str| {
        send(
            &server,
            "POST",
            "/v1/agents/planner/generate",
            &json!({ "prompt": prompt, "max_tokens": 40 }),
        )
        .json()
    };
    let (first, second) = (say("Hello"), say("And then?"));
    assert_eq!(first["tokens_generated"], json!(40));
    assert!(second["prompt_tokens"].as_u64() > first["cache_size_tokens"].as_u64());
    assert!(second["cached_tokens"].as_u64().unwrap() >= 32, "{second}");
    let stats = send(&server, "GET", "/v1/agents/stats", &Value::Null).json();
    assert_eq!(
        (&stats["total_count"], &stats["hot_count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        send(&server, "GET", "/v1/agents/planner", &Value::Null).json()["requests"],
        json!(2)
    );
    assert_eq!(
        send(&server, "DELETE", "/v1/agents/planner", &Value::Null).status,
        204
    );
    let gone = send(&server, "GET", "/v1/agents/planner", &Value::Null);
    assert_eq!(
        (gone.status, &gone.json()["error"]["message"]),
        (404, &json!("Agent planner not found"))
    );
    let late = Server::start("semantic-fixed", &[("generate_timeout_ms", "20")]);
    send(&late, "POST", "/v1/agents", &json!({ "agent_id": "slow" }));
    let late = send(
        &late,
        "POST",
        "/v1/agents/slow/generate",
        &json!({ "prompt": "Hello" }),
    );
    assert_eq!(late.status, 504);
}

#[test]
fn a_client_that_leaves_frees_its_slot_and_its_blocks() {
    let server = server(&[("decode_base_us", "20000"), ("max_batch", "1")]);
    for (index, stream) in [true, false].into_iter().enumerate() {
        let mut leaving = TcpStream::connect(server.service).unwrap();
        let body = message("Hello", 100, stream).to_string();
        let length = body.len();
        let head =
            format!("POST /v1/messages HTTP/1.1\r\nhost: test\r\n{KEY}content-length: {length}\r\n\r\n");
        leaving.write_all(head.as_bytes()).unwrap();
        leaving.write_all(body.as_bytes()).unwrap();
        while server.truth()["scheduler"]["running"] != json!(1) {
            std::thread::yield_now();
        }
        drop(leaving);
        while server.truth()["scheduler"]["running"] != json!(0) {
            std::thread::yield_now();
        }
        let truth = server.truth();
        assert_eq!(
            (&truth["pool"]["used"], &truth["abandoned"]),
            (&json!(0), &json!(index + 1))
        );
        assert_eq!(truth["endpoints"], json!({}));
        assert!(truth["scheduler"]["output_tokens"].as_u64().unwrap() < 100);
    }
    assert_eq!(
        send(&server, "POST", "/v1/messages", &message("Hello", 1, false)).status,
        200
    );
}

#[test]
fn what_is_in_flight_is_finished_when_the_service_stops() {
    let server = server(&[("decode_base_us", "10000")]);
    let mut stream = TcpStream::connect(server.service).unwrap();
    let body = message("Hello", 60, true).to_string();
    let length = body.len();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{KEY}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    drop(server);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: message_stop"), "{rest}");
}

#[test]
fn models_are_swapped_and_caches_emptied_with_the_admin_key_only() {
    let server = server(&[]);
    assert_eq!(server.get("/admin/models/current").status, 401);
    let admin = |method: &str, path: &str, body: &str| {
        let headers = "content-type: application/json\r\nx-admin-key: local-admin-key\r\n";
        server.send(method, path, headers, body.as_bytes())
    };
    assert_eq!(
        admin("GET", "/admin/models/current", "").json()["model_id"],
        json!(MODEL)
    );
    send(
        &server,
        "POST",
        "/v1/messages",
        &message(&"word ".repeat(100), 1, false),
    );
    assert!(
        admin("DELETE", "/admin/caches", "").json()["blocks_freed"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(
        admin("POST", "/admin/models/swap", r#"{"model_id":"nothing"}"#).status,
        404
    );
    let swapped = admin("POST", "/admin/models/swap", r#"{"model_id":"gemma-3-4b-it"}"#);
    assert_eq!(swapped.json()["previous_model_id"], json!(MODEL));
    assert_eq!(
        send(&server, "POST", "/v1/messages", &message("Hello", 1, false)).status,
        404
    );
    assert_eq!(admin("POST", "/admin/models/offload", "").status, 200);
    assert_eq!(
        send(&server, "POST", "/v1/messages", &message("Hello", 1, false)).status,
        503
    );
    let unset = Server::start("semantic-fixed", &[("admin_key", "none")]);
    assert_eq!(unset.get("/admin/models/current").status, 500);
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_named() {
    let wanted = options("semantic-fixed", &[("cache_dir", "/dev/null/pages")]);
    let refused = prony_backend::serve(wanted, |_| panic!("it should not start"), std::future::pending());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("'cache_dir' cannot be '/dev/null/pages'"), "{text}");
}
