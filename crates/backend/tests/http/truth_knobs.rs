//! Each knob of the truth preset: what a client sees of it, held against what the admin port says.

use crate::client;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use client::Server;
use serde_json::{Value, json};

fn start(knobs: &[(&str, &str)]) -> Server {
    Server::start(
        "truth-fixed",
        &[&[("service", "det"), ("mean_ms", "2")], knobs].concat(),
    )
}

fn infer(server: &Server, input: &str) -> client::Reply {
    server.post(
        "/v1/infer",
        &json!({ "input": input, "nonce": input }).to_string(),
    )
}

/// Sends a request and leaves before its answer.
fn leave(server: &Server, head: &str) {
    let mut stream = TcpStream::connect(server.service).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(10));
}

fn until(mut done: impl FnMut() -> bool) {
    let late = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < late, "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_document_and_both_twins() {
    let server = start(&[]);
    let document = server.get("/openapi.json").json();
    for path in [
        "/v1/infer",
        "/v1/generate",
        "/v1/files/{file_id}",
        "/v1/classify",
        "/v1/billing",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert_eq!(server.truth()["defects"], json!([]));
    let answer = infer(&server, "abc").json();
    assert_eq!((&answer["nonce"], &answer["length"]), (&json!("abc"), &json!(3)));
    let other = infer(&server, "abd").json();
    assert_ne!(answer["digest"], other["digest"]);
    let with = Server::start("truth", &[]);
    assert_eq!(with.truth()["defects"].as_array().unwrap().len(), 30);
}

#[test]
fn queue_formulas_and_retry_after() {
    let server = start(&[
        ("servers", "2"),
        ("queue_max", "1"),
        ("mean_ms", "100"),
        ("retry_after", "true"),
        ("service", "exp"),
    ]);
    let queue = server.truth()["queue"].clone();
    assert_eq!(
        (&queue["servers"], &queue["capacity_per_s"]),
        (&json!(2), &json!(20.0))
    );
    assert!(
        queue["at"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["shed_share"].as_f64().unwrap() > 0.3)
    );
    let server = start(&[
        ("servers", "1"),
        ("queue_max", "2"),
        ("mean_ms", "900"),
        ("retry_after", "true"),
    ]);
    let replies = server.burst(5, |server| server.get("/work"));
    let told: Vec<String> = replies
        .iter()
        .filter_map(|reply| reply.header("retry-after"))
        .collect();
    assert_eq!(told, ["2", "2"], "two wait 0.9 s each");
    assert_eq!(server.truth()["shed"], json!(2));
}

#[test]
fn serial_and_slowdown() {
    let server = start(&[("servers", "8"), ("serial", "true"), ("mean_ms", "10")]);
    server.burst(6, |server| infer(server, "x"));
    assert_eq!(server.truth()["in_service_max"], json!(1));
    let slow = start(&[("servers", "1"), ("slowdown", "0.5"), ("mean_ms", "20")]);
    slow.burst(8, |server| server.get("/work"));
    let times = slow.truth()["endpoints"]["GET /work"]["service_ns"].clone();
    let ratio = times["max"].as_f64().unwrap() / times["min"].as_f64().unwrap();
    assert!(ratio > 2.0, "{ratio}: the queue makes it slower");
}

#[test]
fn standstills_stop_everything() {
    let server = start(&[("freeze_ms", "200"), ("freeze_every_ms", "400")]);
    let stated = server.truth()["freeze"].clone();
    assert_eq!(stated["share"], json!(0.5));
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(900) {
        server.get("/work");
    }
    let sojourn = server.truth()["endpoints"]["GET /work"]["sojourn_ns"].clone();
    assert!(sojourn["max"].as_f64().unwrap() > 1.5e8, "{sojourn}");
}

#[test]
fn warm_up_drift_and_the_run() {
    let warm = start(&[("warmup", "9"), ("warmup_requests", "5"), ("mean_ms", "5")]);
    for _ in 0..30 {
        warm.get("/work");
    }
    let times = warm.ask_admin("GET", "/truth/times?endpoint=GET%20/work").json()["service_ns"].clone();
    let ratio = times[0].as_f64().unwrap() / times[29].as_f64().unwrap();
    assert!(ratio > 3.0, "{ratio}");
    let drifting = start(&[("drift", "100"), ("mean_ms", "10")]);
    for _ in 0..20 {
        drifting.get("/work");
    }
    let times = drifting
        .ask_admin("GET", "/truth/times?endpoint=GET%20/work")
        .json()["service_ns"]
        .clone();
    assert!(times[19].as_f64().unwrap() / times[0].as_f64().unwrap() > 1.7);
    assert!(drifting.truth()["pace"]["factor_now"].as_f64().unwrap() > 2.9);
}

#[test]
fn a_client_that_leaves_is_worked_for_or_not() {
    let head = "GET /work HTTP/1.1\r\nhost: test\r\n\r\n";
    let on = start(&[("mean_ms", "200"), ("cancel", "false")]);
    leave(&on, head);
    until(|| on.truth()["endpoints"]["GET /work"]["count"] == json!(1));
    assert_eq!(on.truth()["abandoned"], json!(0));
    let off = start(&[("mean_ms", "60000"), ("cancel", "true")]);
    leave(&off, head);
    until(|| off.truth()["abandoned"] == json!(1));
    assert_eq!(off.truth()["in_service"], json!(0));
}

#[test]
fn a_crash_cuts_everyone_and_ends() {
    let server = start(&[
        ("servers", "1"),
        ("mean_ms", "300"),
        ("crash_queue", "3"),
        ("restart_ms", "500"),
    ]);
    let ask = |server: &Server| {
        let mut stream = TcpStream::connect(server.service).unwrap();
        let _ = stream.write_all(b"GET /work HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.len()
    };
    let answered = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&server))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|n| *n > 0)
            .count()
    });
    assert!(answered < 4, "{answered} of 8 were answered");
    assert_eq!(server.truth()["crashes"], json!(1));
    until(|| ask(&server) > 0);
}

#[test]
fn memory_is_real_and_in_the_metrics() {
    let server = start(&[("memory", "leak"), ("memory_kib", "1024"), ("mean_ms", "0")]);
    let metric = |server: &Server, name: &str| -> f64 {
        let page = server.get("/metrics").text();
        let line = page
            .lines()
            .find(|line| line.starts_with(name))
            .expect("the metric");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = metric(&server, "process_resident_memory_bytes");
    for _ in 0..64 {
        server.get("/work");
    }
    let grown = metric(&server, "process_resident_memory_bytes") - before;
    let kept = server.truth()["memory"]["kept_bytes"].as_f64().unwrap();
    assert!((kept - 67_108_864.0).abs() < 1.0, "{kept}");
    assert!(grown > 0.8 * kept, "{grown} of {kept}");
    assert!((metric(&server, "heap_held_bytes") - kept).abs() < 1.0);
}

#[test]
fn workers_start_serve_and_give_up() {
    let knobs = [
        ("workers", "2"),
        ("cold_ms", "100"),
        ("idle_ms", "150"),
        ("mean_ms", "20"),
    ];
    let server = start(&knobs);
    let replies = server.burst(6, |server| server.get("/work"));
    let mut ids: Vec<String> = replies
        .iter()
        .filter_map(|reply| reply.header("x-worker-id"))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["0", "1"]);
    let workers = server.truth()["workers"]["workers"].clone();
    for worker in workers.as_array().unwrap() {
        let took = worker["ready_ms"].as_f64().unwrap() - worker["started_ms"].as_f64().unwrap();
        assert!(took >= 100.0, "{took}");
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        server.truth()["workers"]["workers"][0]["stopped_ms"].is_number(),
        "idle for too long"
    );
    server.get("/work");
    assert_eq!(server.truth()["workers"]["workers"].as_array().unwrap().len(), 3);

    let cause = |more: &[(&str, &str)], count: usize| {
        let server = start(
            &[
                &knobs[..],
                &[("give_up_ms", "60"), ("worker_header", "false")],
                more,
            ]
            .concat(),
        );
        let refused = server.burst(count, |server| server.get("/work"));
        assert!(refused.iter().all(|reply| reply.header("x-worker-id").is_none()));
        let gave_up = refused.iter().filter(|reply| reply.status == 400).count();
        (gave_up, server.truth()["workers"]["gave_up"].clone())
    };
    assert_eq!(cause(&[], 3), (3, json!({ "cold": 3 })));
    let (n, causes) = cause(&[("cold_ms", "0"), ("mean_ms", "200")], 6);
    assert_eq!((n, causes), (4, json!({ "cap": 4 })));
    let (n, causes) = cause(&[("cold_ms", "0"), ("mean_ms", "200"), ("imbalance", "true")], 6);
    assert_eq!((n, causes), (5, json!({ "unbalanced": 5 })));
}

#[test]
fn the_prefix_cache_saves_what_it_says() {
    let server = start(&[("mean_ms", "0"), ("prefill_us", "200"), ("cache_block", "16")]);
    let prompt = "word ".repeat(100);
    let ask = |server: &Server| {
        let body = json!({ "prompt": prompt, "max_tokens": 4 }).to_string();
        server.post("/v1/generate", &body).json()["usage"].clone()
    };
    assert_eq!(ask(&server)["cached_tokens"], json!(0));
    let again = ask(&server);
    assert_eq!(
        (
            &again["cached_tokens"],
            &again["prompt_tokens"],
            &again["completion_tokens"]
        ),
        (&json!(96), &json!(100), &json!(4))
    );
    let times = server
        .ask_admin("GET", "/truth/times?endpoint=POST%20/v1/generate")
        .json()["service_ns"]
        .clone();
    let (miss, hit) = (times[0].as_f64().unwrap(), times[1].as_f64().unwrap());
    assert!(miss > 2e7 && hit < 0.5 * miss, "{miss} {hit}");
    assert_eq!(server.truth()["cache"]["tokens_saved"], json!(96));
    let silent = start(&[("mean_ms", "0"), ("cache_usage", "false")]);
    assert!(ask(&silent).get("cached_tokens").is_none());
}

#[test]
fn spoilt_answers_are_those_listed() {
    let server = start(&[
        ("mean_ms", "0"),
        ("swap_n", "20"),
        ("truncate_n", "20"),
        ("corrupt_n", "20"),
    ]);
    let mut seen = Vec::new();
    for k in 0..300 {
        let nonce = format!("n-{k}");
        let reply = infer(&server, &nonce);
        let announced: usize = reply.header("content-length").unwrap().parse().unwrap();
        let good = serde_json::from_slice::<Value>(&reply.body).is_ok_and(|answer| {
            answer["nonce"] == json!(nonce)
                && answer["length"] == json!(nonce.len())
                && answer["id"] == json!(nonce)
        });
        if announced != reply.body.len() || !good {
            seen.push(nonce);
        }
    }
    let answers = server.truth()["answers"].clone();
    let listed: Vec<String> = answers["bad"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| bad["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        listed.len() > 15 && answers["bad_count"] == json!(listed.len()),
        "{listed:?}"
    );
    // A wrong bit in the digest cannot be seen from one answer.
    assert!(seen.iter().all(|id| listed.contains(id)), "{seen:?} {listed:?}");
    assert!(
        seen.len() * 2 > listed.len(),
        "{} of {}",
        seen.len(),
        listed.len()
    );
    for kind in ["swapped", "cut connection", "cut content", "corrupted"] {
        assert!(
            answers["bad"]
                .as_array()
                .unwrap()
                .iter()
                .any(|bad| bad["kind"] == json!(kind)),
            "{kind}"
        );
    }
}

#[test]
fn ranges_are_good_bad_or_ignored() {
    let range = |server: &Server, more: &str| server.send("GET", "/v1/files/oak.bin", more, b"");
    let good = start(&[]);
    let whole = good.get("/v1/files/oak.bin");
    assert_eq!(whole.body.len(), 65_536);
    let tag = whole.header("etag").unwrap();
    let part = range(&good, &format!("range: bytes=100-199\r\nif-range: {tag}\r\n"));
    assert_eq!(
        (part.status, part.header("content-range").unwrap().as_str()),
        (206, "bytes 100-199/65536")
    );
    assert_eq!(part.body, whole.body[100..200]);
    assert_eq!(
        range(&good, "range: bytes=1-\r\nif-range: \"old\"\r\n").status,
        200
    );
    assert_eq!(range(&good, "range: bytes=70000-\r\n").status, 416);
    let bad = start(&[("range", "bad"), ("etag", "false")]);
    let part = range(&bad, "range: bytes=100-199\r\n");
    assert_eq!((part.status, part.header("etag")), (206, None));
    assert_ne!(part.body, whole.body[100..200]);
    assert_eq!(
        range(&start(&[("range", "none")]), "range: bytes=100-199\r\n").status,
        200
    );
    assert_eq!(good.get("/v1/files/none.bin").status, 404);
}
