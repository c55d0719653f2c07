//! Streams of tokens at exact times, over the wire: what is sent, in which order, and what the account says of it.

use crate::client;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use client::{Reply, Server, exchange};
use serde_json::{Value, json};

const CHAT: &str = r#"{"model":"m","stream":true,"max_tokens":5,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello there"}]}"#;
const MESSAGES: &str =
    r#"{"model":"m","stream":true,"max_tokens":3,"messages":[{"role":"user","content":"Hello there"}]}"#;

fn fast(knobs: &[(&str, &str)]) -> Server {
    Server::start(
        "truth",
        &[&[("stream_ttft_ms", "2"), ("stream_itl_ms", "1")], knobs].concat(),
    )
}

fn ask(server: &Server, path: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
         content-length: {length}\r\n\r\n"
    );
    exchange(server.listener("streams"), &head, body.as_bytes())
}

/// The body without its chunks.
fn joined(mut body: &[u8]) -> String {
    let mut whole = Vec::new();
    while let Some(line) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        whole.extend_from_slice(&body[line + 2..line + 2 + size]);
        assert_eq!(&body[line + 2 + size..line + 4 + size], b"\r\n");
        body = &body[line + 4 + size..];
        if size == 0 {
            assert!(body.is_empty());
            return String::from_utf8(whole).unwrap();
        }
    }
    panic!("the body has no end");
}

fn data(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
        .collect()
}

#[test]
fn chat_comes_as_role_tokens_finish_usage_and_mark() {
    let server = fast(&[]);
    let reply = ask(&server, "/v1/chat/completions", "x-request-id: mine\r\n", CHAT);
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("text/event-stream; charset=utf-8")
    );
    let told = data(&joined(&reply.body));
    assert_eq!(told.len(), 1 + 5 + 1 + 1 + 1, "{told:?}");
    assert_eq!(told[0]["choices"][0]["delta"]["role"], json!("assistant"));
    let words = |told: &[Value]| -> String {
        let deltas = told
            .iter()
            .filter_map(|one| one["choices"][0]["delta"]["content"].as_str());
        deltas.collect()
    };
    assert_eq!(words(&told).split_whitespace().count(), 5);
    assert_eq!(told[6]["choices"][0]["finish_reason"], json!("length"));
    assert_eq!(
        told[7]["usage"],
        json!({ "prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7 })
    );
    assert_eq!(told[8], json!("[DONE]"));
    let again = data(&joined(&ask(&server, "/v1/chat/completions", "", CHAT).body));
    assert_eq!(words(&again), words(&told), "the same prompt gets the same text");
    assert_ne!(again[0]["id"], told[0]["id"]);

    let found = server.ask_admin("GET", "/truth/streams?id=mine").json();
    let stream = &found["streams"][0];
    let times = |name: &str| -> Vec<f64> {
        let list = stream[name].as_array().unwrap();
        list.iter().map(|time| time.as_f64().unwrap()).collect()
    };
    assert_eq!(times("intended_us"), [2000.0, 3000.0, 4000.0, 5000.0, 6000.0]);
    let sent = times("sent_us");
    assert!(
        sent.iter()
            .zip(times("intended_us"))
            .all(|(sent, intended)| *sent >= intended)
    );
    assert!(sent.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(
        (&stream["outcome"], &stream["tokens_sent"]),
        (&json!("whole"), &json!(5))
    );
    let truth = &server.truth()["streams"];
    assert_eq!(
        (&truth["begun"], &truth["ended"]["whole"], &truth["running"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(
        (&truth["ttft_ns"]["count"], &truth["itl_ns"]["count"]),
        (&json!(2), &json!(8))
    );
    assert_eq!(truth["itl_intended_ns"]["count"], json!(8));
    assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
    assert_eq!(server.truth()["streams"]["begun"], json!(0));
}

#[test]
fn messages_come_in_their_order_of_events() {
    let server = fast(&[]);
    let body = joined(&ask(&server, "/v1/messages", "", MESSAGES).body);
    let names: Vec<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let told = data(&body);
    assert_eq!(told[6]["usage"]["output_tokens"], json!(3));
    assert_eq!(told[6]["delta"]["stop_reason"], json!("max_tokens"));
}

#[test]
fn completions_and_whole_answers_are_given_too() {
    let server = fast(&[("stream_usage", "always")]);
    let body = joined(
        &ask(
            &server,
            "/v1/completions",
            "",
            r#"{"prompt":"a b c","stream":true,"max_tokens":2}"#,
        )
        .body,
    );
    let told = data(&body);
    assert_eq!(told.len(), 5);
    assert_eq!(told[3]["usage"]["prompt_tokens"], json!(3));
    let whole = ask(
        &server,
        "/v1/chat/completions",
        "",
        &CHAT.replace("true,\"max", "false,\"max"),
    );
    assert_eq!(whole.json()["usage"]["completion_tokens"], json!(5));
    let whole = ask(&server, "/v1/messages", "", &MESSAGES.replace("true", "false"));
    assert_eq!(whole.json()["content"][0]["type"], json!("text"));
    for (path, body, status) in [
        ("/v1/messages", r#"{"messages":[]}"#, 400),
        ("/v1/chat/completions", "{", 400),
        ("/v1/nope", "{}", 404),
    ] {
        assert_eq!(ask(&server, path, "", body).status, status, "{path}");
    }
    let to = server.listener("streams");
    let get = |path: &str| {
        exchange(
            to,
            &format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n"),
            b"",
        )
    };
    assert_eq!(get("/v1/models").json()["data"][0]["id"], json!("paced"));
    assert_eq!(get("/v1/messages").status, 405);
    assert!(get("/openapi.json").json()["paths"]["/v1/messages"]["post"].is_object());
}

#[test]
fn knobs_say_how_many_tokens_an_event_has_and_when_the_role_comes() {
    let server = fast(&[("stream_chunk", "2"), ("stream_role", "first")]);
    let told = data(&joined(
        &ask(&server, "/v1/chat/completions", "x-request-id: a\r\n", CHAT).body,
    ));
    assert_eq!(told.len(), 1 + 3 + 3);
    let stream = &server.ask_admin("GET", "/truth/streams?id=a").json()["streams"][0];
    assert!(stream["opened_us"].as_f64().unwrap() < 2000.0);
    assert_eq!(stream["intended_us"], json!([2000.0, 3000.0, 4000.0]));
    assert_eq!(stream["tokens_per_event"], json!(2));

    let turned = exchange(
        server.admin,
        "PUT /truth/knobs HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 54\r\n\r\n",
        br#"{"stream_role":"none","stream_itl":"exp","seed_":null}"#,
    );
    assert_eq!(turned.status, 422);
    let turned = exchange(
        server.admin,
        "PUT /truth/knobs HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 41\r\n\r\n",
        br#"{"stream_role":"none","stream_itl":"exp"}"#,
    );
    assert_eq!(turned.status, 200, "{}", turned.text());
    let told = data(&joined(
        &ask(&server, "/v1/chat/completions", "x-request-id: b\r\n", CHAT).body,
    ));
    assert_eq!(told.len(), 3 + 3);
    let stream = &server.ask_admin("GET", "/truth/streams?id=b").json()["streams"][0];
    assert_ne!(stream["intended_us"], json!([2000.0, 3000.0, 4000.0]));
    assert_eq!(stream["intended_us"][0], json!(2000.0));
}

#[test]
fn a_comment_comes_once_in_so_long() {
    let server = fast(&[
        ("stream_ttft_ms", "25"),
        ("stream_keepalive_ms", "10"),
        ("stream_tokens", "1"),
    ]);
    let body = joined(&ask(&server, "/v1/completions", "", r#"{"prompt":"a","stream":true}"#).body);
    assert_eq!(body.matches(": keepalive\n\n").count(), 2);
    assert!(body.starts_with(": keepalive"));
}

#[test]
fn one_connection_carries_answer_after_answer_and_a_client_that_leaves_is_told_of() {
    let server = fast(&[]);
    let mut stream = TcpStream::connect(server.listener("streams")).unwrap();
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 42\r\n\r\n{}",
        r#"{"prompt":"a","stream":true,"max_tokens":2}"#
    );
    let request = request.replace(
        "42",
        &r#"{"prompt":"a","stream":true,"max_tokens":2}"#.len().to_string(),
    );
    // Two at once: the second is taken up when the first has been answered.
    stream.write_all(request.repeat(2).as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while String::from_utf8_lossy(&bytes)
        .matches("[DONE]\n\n\r\n0\r\n\r\n")
        .count()
        < 2
    {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the connection ended");
        bytes.extend_from_slice(&part[..count]);
    }
    let long = r#"{"prompt":"a","stream":true,"max_tokens":100000}"#;
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nx-request-id: gone\r\ncontent-length: {}\r\n\r\n{long}",
        long.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert!(stream.read(&mut part).unwrap() > 0);
    drop(stream);
    // It is noticed with the next event or before.
    let left = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        server.truth()["streams"]["ended"]["left"] == json!(1)
    });
    assert!(left);
    let found = server.ask_admin("GET", "/truth/streams?id=gone").json();
    assert!(found["streams"][0]["tokens_sent"].as_u64().unwrap() < 100_000);
}

#[test]
fn a_burst_is_sent_at_once_and_a_reader_that_is_slow_gets_all_of_it() {
    let server = fast(&[("stream_ttft_ms", "0"), ("stream_itl_ms", "0")]);
    let body = r#"{"prompt":"a","stream":true,"max_tokens":60000}"#;
    let reply = ask(&server, "/v1/completions", "", body);
    let told = data(&joined(&reply.body));
    assert_eq!(told.len(), 60_000 + 2);
    assert_eq!(server.truth()["streams"]["tokens"], json!(60_000));
}

#[test]
fn thousands_of_requests_sent_ahead_are_answered_one_after_the_other() {
    const COUNT: usize = 20_000;
    let server = fast(&[]);
    let stream = TcpStream::connect(server.listener("streams")).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let one = b"GET /health HTTP/1.1\r\nhost: t\r\n\r\n".as_slice();
        writing.write_all(&one.repeat(COUNT)).unwrap();
        writing
            .write_all(b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
            .unwrap();
    });
    let mut bytes = Vec::new();
    (&stream).read_to_end(&mut bytes).unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), COUNT + 1);
    assert_eq!(ask(&server, "/v1/chat/completions", "", CHAT).status, 200);
}

fn put(server: &Server, knobs: &str) -> Reply {
    let head = format!(
        "PUT /truth/knobs HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        knobs.len()
    );
    exchange(server.admin, &head, knobs.as_bytes())
}

#[test]
fn where_one_knob_does_not_do_none_is_turned() {
    let server = fast(&[]);
    let before = server.truth();
    for knobs in [
        r#"{"stream_ttft_ms":"90","stream_role":"nonsense"}"#,
        r#"{"stream_ttft_ms":"90","fault_delay":"nonsense"}"#,
        r#"{"stream_ttft_ms":"90","stream_port":"1"}"#,
        r#"{"fault_delay":"constant","stream_role":"nonsense"}"#,
    ] {
        assert_eq!(put(&server, knobs).status, 422, "{knobs}");
        let after = server.truth();
        assert_eq!(after["streams"]["pacing"], before["streams"]["pacing"], "{knobs}");
        assert_eq!(after["common_faults"]["on"], json!(false), "{knobs}");
        assert_eq!(after["knobs"], before["knobs"], "{knobs}");
    }
    assert_eq!(put(&server, r#"{"stream_ttft_ms":"90"}"#).status, 200);
    assert_eq!(server.truth()["streams"]["pacing"]["ttft_ns"], json!(90_000_000));
}

#[test]
fn the_same_answers_are_hit_after_a_reset() {
    let server = fast(&[("stream_fault", "status=503*0.5")]);
    let statuses = || -> Vec<u16> {
        assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
        (0..24)
            .map(|_| ask(&server, "/v1/chat/completions", "", CHAT).status)
            .collect()
    };
    let first = statuses();
    assert!(first.contains(&200) && first.contains(&503), "{first:?}");
    assert_eq!(statuses(), first);
}
