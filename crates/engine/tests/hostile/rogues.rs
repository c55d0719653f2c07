//! Misdeeds that take more than one answer: redirects, lies about keeping the connection, a peer that does not read,
//! bodies that fail their checks.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    BodyCheck, Capture, Captured, Expect, Limits, Outcome, Phase, Request, SampleFlags, Shape,
};

use rustix::net;

use crate::server::{GOOD, Rogue, phase, request, rogue, run, sequential};

/// Answers every request with the same bytes and keeps the connection.
fn says(answer: &[u8]) -> Rogue {
    let answer = answer.to_vec();
    rogue(move |stream, _| {
        while request(stream).is_some() {
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// Answers one request and closes.
fn says_and_closes(answer: &[u8]) -> Rogue {
    let answer = answer.to_vec();
    rogue(move |stream, _| {
        request(stream);
        let _ = stream.write_all(&answer);
    })
}

/// For what must end in an answer: far more time than a busy machine needs.
fn limits() -> Limits {
    crate::server::limits(60_000)
}

/// For what only a timeout ends.
fn brief() -> Limits {
    crate::server::limits(500)
}

/// One GET with the test's limits.
fn get_with(url: &str, limits: Limits) -> Captured {
    let mut result = run(
        url,
        phase(Request::get("/a"), Expect::default(), limits, sequential(1)),
    );
    assert_eq!(result.samples.len(), 1);
    assert_eq!(result.samples[0].outcome, result.captures[0].outcome);
    result.captures.remove(0)
}

fn get(url: &str) -> Captured {
    get_with(url, limits())
}

#[test]
fn refused_and_nobody_there() {
    // A port that is taken, so that nobody else gets it, and on which nobody listens.
    let held = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
    net::bind(&held, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let at = SocketAddr::try_from(net::getsockname(&held).unwrap()).unwrap();
    let url = format!("http://{at}");
    let captured = get(&url);
    assert_eq!((captured.outcome, captured.status), (Outcome::Refused, 0));
    assert!(captured.error.contains("refused"), "{}", captured.error);

    // A closed loop does not spin on it, and gives up.
    let shape = Shape::Closed {
        connections: 2,
        requests: None,
        duration_s: Some(60.0),
        think_ms: 0.0,
    };
    let result = run(&url, phase(Request::get("/"), Expect::default(), limits(), shape));
    assert!(result.summary.partial);
    let validity = &result.summary.validity;
    assert!(
        validity.is_valid() && validity.little_error < 1e-3,
        "the target's failure is not ours: {validity:?}"
    );
    assert!(
        (40..=60).contains(&result.summary.failed),
        "{}",
        result.summary.failed
    );
    assert!(
        result
            .summary
            .validity
            .warnings
            .iter()
            .any(|w| w.name == "dead-target")
    );
}

#[test]
fn a_long_head_is_judged_like_a_short_one() {
    let pad = "v".repeat(20_000);
    let roomy = Limits {
        head_bytes_max: 64 << 10,
        ..limits()
    };
    let json = says(
        format!("HTTP/1.1 200 OK\r\nx-pad: {pad}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}")
            .as_bytes(),
    );
    let expect = Expect {
        content_type: Some("application/json".to_owned()),
        ..Expect::default()
    };
    let mut result = run(
        &json.url,
        phase(Request::get("/a"), expect, roomy.clone(), sequential(1)),
    );
    let captured = result.captures.remove(0);
    assert_eq!(captured.outcome, Outcome::Ok, "{}", captured.error);
    assert!(captured.headers.is_empty(), "so long a head is not kept");

    let moved = format!("HTTP/1.1 302 Found\r\nx-pad: {pad}\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n");
    let moving = rogue(move |stream, _| {
        while let Some(request) = request(stream) {
            let answer = if request.starts_with("GET /a ") {
                moved.as_bytes()
            } else {
                GOOD
            };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    let following = Limits {
        redirects_max: 1,
        ..roomy
    };
    let captured = get_with(&moving.url, following);
    assert_eq!((captured.outcome, captured.status), (Outcome::Ok, 200));
}

#[test]
fn nothing_of_a_long_body_is_held() {
    const PIECES: usize = 4096;
    let server = rogue(|stream, _| {
        request(stream);
        let piece = vec![b'x'; 65536];
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..PIECES {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    });
    let before = resident_bytes_max();
    let unbounded = Limits {
        body_bytes_max: u64::MAX,
        ..limits()
    };
    let asked = Phase {
        capture: Capture::NONE,
        ..phase(Request::get("/"), Expect::default(), unbounded, sequential(1))
    };
    let sample = run(&server.url, asked).samples[0];
    assert_eq!(
        (sample.outcome, sample.bytes_in as usize),
        (Outcome::Ok, PIECES * 65536)
    );
    let grown = resident_bytes_max() - before;
    assert!(grown < 128 << 20, "256 MiB of body took {} MiB", grown >> 20);

    // What is captured of it has its own bound.
    let unbounded = Limits {
        body_bytes_max: u64::MAX,
        ..limits()
    };
    let captured = get_with(&server.url, unbounded);
    assert!(captured.cut && captured.body.len() <= 256 << 10);
    assert_eq!(captured.body_bytes, PIECES as u64 * 65536);
}

/// The most memory that this process ever had resident (`VmHWM` of proc(5)).
fn resident_bytes_max() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn a_peer_that_does_not_read() {
    let server = rogue(|_, _| thread::sleep(Duration::from_secs(5)));
    let big = Request {
        body: prony_model::Body::Repeat {
            unit: "x".repeat(1024),
            count: 20_000,
        },
        ..Request::json("POST", "/", &serde_json::Value::Null)
    };
    let result = run(&server.url, phase(big, Expect::default(), brief(), sequential(1)));
    assert_eq!(result.samples[0].outcome, Outcome::WriteTimeout);
}

#[test]
fn an_early_refusal_of_a_large_body_is_read() {
    let server = rogue(|stream, _| {
        request(stream);
        let _ =
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
        thread::sleep(Duration::from_millis(200));
    });
    let big = Request {
        body: prony_model::Body::Repeat {
            unit: "x".repeat(1024),
            count: 20_000,
        },
        ..Request::json("POST", "/", &serde_json::Value::Null)
    };
    let result = run(
        &server.url,
        phase(big, Expect::default(), limits(), sequential(1)),
    );
    assert_eq!(
        (result.samples[0].outcome, result.samples[0].status),
        (Outcome::Status4xx, 413)
    );
}

#[test]
fn invalid_utf8_is_data() {
    let captured = get(&says(
        b"HTTP/1.1 200 OK\r\nx-n: \xff\r\nset-cookie: secret=1\r\ncontent-length: 3\r\n\r\n\xff\xd8\x01",
    )
    .url);
    assert_eq!(captured.outcome, Outcome::Ok);
    assert_eq!((captured.binary, captured.head.as_str()), (true, "ffd801"));
    assert_eq!(captured.header("x-n"), Some("\u{fffd}"));
    assert_eq!(captured.header("set-cookie"), Some("***"));
}

#[test]
fn redirects_follow_home_and_stop() {
    let server = rogue(|stream, _| {
        while let Some(text) = request(stream) {
            let location = if text.starts_with("GET /a ") {
                "/b"
            } else if text.starts_with("GET /b ") {
                "c?x=1"
            } else if text.starts_with("GET /loop ") {
                "/pool"
            } else if text.starts_with("GET /pool ") {
                "/loop"
            } else if text.starts_with("GET /self ") {
                "/self"
            } else if text.starts_with("GET /away ") {
                "http://192.0.2.1/"
            } else {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhome");
                continue;
            };
            let _ = stream.write_all(
                format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 2\r\n\r\nxx")
                    .as_bytes(),
            );
        }
    });
    let fetch = |path: &str, redirects_max| {
        let limits = Limits {
            redirects_max,
            ..limits()
        };
        run(
            &server.url,
            phase(Request::get(path), Expect::default(), limits, sequential(1)),
        )
    };
    let result = fetch("/a", 5);
    assert_eq!(
        (result.samples[0].outcome, result.captures[0].body.as_str()),
        (Outcome::Ok, "home")
    );
    assert!(result.samples[0].flags.contains(SampleFlags::REDIRECTED));
    assert_eq!(result.samples[0].bytes_in, 4);
    assert_eq!(fetch("/a", 1).samples[0].outcome, Outcome::RedirectLoop);
    assert_eq!(fetch("/a", 0).samples[0].outcome, Outcome::Status3xx);
    assert_eq!(fetch("/loop", 9).samples[0].outcome, Outcome::RedirectLoop);
    assert_eq!(fetch("/self", 9).samples[0].outcome, Outcome::RedirectLoop);
    assert_eq!(fetch("/away", 9).samples[0].outcome, Outcome::Status3xx);
}

#[test]
fn a_server_that_closes_after_each_answer() {
    // It promises to keep the connection and does not: a GET is sent again, a POST is not.
    let server = says_and_closes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let result = run(
        &server.url,
        phase(Request::get("/"), Expect::default(), limits(), sequential(20)),
    );
    assert_eq!(result.summary.ok, 20, "{:?}", result.captures);
    let post = Request::json("POST", "/", &serde_json::json!({}));
    let result = run(
        &server.url,
        phase(post, Expect::default(), limits(), sequential(20)),
    );
    assert!(
        result
            .samples
            .iter()
            .all(|s| matches!(s.outcome, Outcome::Ok | Outcome::Reset))
    );
    assert!(
        !result
            .samples
            .iter()
            .any(|s| s.flags.contains(SampleFlags::RESENT))
    );

    // One that says so costs no request.
    let honest = says_and_closes(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    let post = Request::json("POST", "/", &serde_json::json!({}));
    let result = run(
        &honest.url,
        phase(post, Expect::default(), limits(), sequential(20)),
    );
    assert_eq!((result.summary.ok, result.summary.connections), (20, 20));
    let unkept = Limits {
        keep_alive: false,
        ..limits()
    };
    let server = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let result = run(
        &server.url,
        phase(Request::get("/"), Expect::default(), unkept, sequential(5)),
    );
    assert_eq!(
        (result.summary.ok, server.connections.load(Ordering::SeqCst)),
        (5, 5)
    );
}

#[test]
fn bodies_are_checked() {
    let server =
        says(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 11\r\n\r\nhello world");
    let outcome = |expect: Expect| {
        run(
            &server.url,
            phase(Request::get("/"), expect, limits(), sequential(1)),
        )
        .samples[0]
            .outcome
    };
    let body = |check| Expect {
        body: vec![check],
        ..Expect::default()
    };
    assert_eq!(outcome(body(BodyCheck::Contains("world".into()))), Outcome::Ok);
    assert_eq!(
        outcome(body(BodyCheck::Contains("peace".into()))),
        Outcome::WrongBody
    );
    assert_eq!(
        outcome(body(BodyCheck::Xxh3("d447b1ea40e6988b".into()))),
        Outcome::Ok
    );
    assert_eq!(
        outcome(body(BodyCheck::Xxh3("0000000000000000".into()))),
        Outcome::Checksum
    );
    assert_eq!(
        outcome(Expect {
            content_type: Some("image/".into()),
            ..Expect::default()
        }),
        Outcome::WrongBody
    );
}

#[test]
fn tls_to_a_plain_port_says_so() {
    let server = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let url = server.url.replace("http://", "https://");
    // The server reads on for the end of a request that never comes in its language.
    let talkative = rogue(|stream, _| {
        let mut some = [0; 64];
        let _ = stream.read(&mut some);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        thread::sleep(Duration::from_millis(50));
    });
    let captured = get(&talkative.url.replace("http://", "https://"));
    assert_eq!(captured.outcome, Outcome::Tls);
    assert!(captured.error.contains("use http://"), "{}", captured.error);
    assert_eq!(get_with(&url, brief()).outcome, Outcome::ConnectTimeout);
}

#[test]
fn the_stop_flag_cuts_at_once_and_keeps_what_there_is() {
    let server = rogue(|stream, number| {
        while request(stream).is_some() {
            if number == 1 {
                thread::sleep(Duration::from_secs(20));
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let options = EngineOptions {
        stop: Arc::clone(&stop),
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&Target::new(&server.url).unwrap(), options).unwrap();
    let shape = Shape::Closed {
        connections: 2,
        requests: None,
        duration_s: Some(600.0),
        think_ms: 1.0,
    };
    let limits = Limits {
        timeout_ms: 60_000,
        ..limits()
    };
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
    });
    let result = engine
        .run(
            0,
            phase(Request::get("/"), Expect::default(), limits, shape),
            &mut NoSink,
        )
        .unwrap();
    stopper.join().unwrap();
    assert!(result.summary.partial && result.summary.ok > 0);
    assert_eq!(
        result
            .samples
            .iter()
            .filter(|s| s.outcome == Outcome::Interrupted)
            .count(),
        1
    );
}

#[test]
fn answers_that_lie_there_before_their_requests() {
    // While the worker still opens connections, the first of them are answered already: what was said before the
    // request left must be read without another word from the server.
    let server = rogue(|stream, _| {
        let _ = stream.write_all(GOOD);
        let _ = request(stream);
        while request(stream).is_some() && stream.write_all(GOOD).is_ok() {}
    });
    let shape = Shape::Closed {
        connections: 100,
        requests: Some(100),
        duration_s: None,
        think_ms: 0.0,
    };
    let result = run(
        &server.url,
        phase(
            Request::get("/"),
            Expect::default(),
            crate::server::limits(5000),
            shape,
        ),
    );
    assert_eq!(result.summary.ok, 100, "{:?}", result.captures);
}
