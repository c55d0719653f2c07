//! Redirects and cookies of requests that are filled in: what the next request carries, to whom it goes, and what it never
//! takes along.

use crate::server;

use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    Body, Capture, Expect, Flow, Header, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Request, Retry,
    Scenario, Secret, Shape, Slots, Step,
};
use server::{Seen, Server};

fn item(request: Request) -> Item {
    Item {
        request,
        expect: Expect::default(),
    }
}

/// A POST whose path, header and body are filled in.
fn post(path: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        headers: vec![
            Header::new("Content-Type", "text/plain"),
            Header::new("x-seq", "{{seq}}"),
            Header::new("X-Api-Key", "of-this-request"),
        ],
        body: Body::text("body {{seq}}"),
        ..Request::get(path)
    }
}

fn filled(request: Request) -> Scenario {
    Scenario {
        slots: Some(Slots::default()),
        ..Scenario::new("s", vec![item(request)])
    }
}

fn flow(steps: Vec<Request>, cookies: bool) -> Scenario {
    let step = |k: usize| Step {
        name: format!("step {k}"),
        ..Step::default()
    };
    Scenario {
        slots: Some(Slots::default()),
        flow: Some(Flow {
            steps: (0..steps.len()).map(step).collect(),
            cookies,
        }),
        ..Scenario::new("flow", steps.into_iter().map(item).collect())
    }
}

fn run(target: &Target, scenario: Scenario, arrivals: u64) -> (PhaseResult, Vec<(Outcome, String)>) {
    let options = EngineOptions {
        seed: 1,
        threads: 1,
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![scenario],
        shape: Shape::Sequential {
            requests: arrivals,
            duration_s: None,
        },
        limits: Limits {
            redirects_max: 4,
            ..Limits::default()
        },
        capture: Capture {
            responses_max: 16,
            body_bytes_max: 1 << 10,
            ..Capture::NONE
        },
    };
    let mut engine = Engine::new(target, options).unwrap();
    let result = engine.run(0, phase, &mut NoSink).unwrap();
    (result, engine.first_errors().to_vec())
}

fn lines(server: &Server) -> Vec<String> {
    server.seen().into_iter().map(|seen| seen.line).collect()
}

/// Header lines for the rest of the process.
fn leading(to: &str) -> &'static str {
    format!("location: {to}\r\n").leak()
}

#[test]
fn a_filled_in_request_is_repeated_or_becomes_a_get() {
    for (status, method, body) in [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "body 1"),
        (308, "POST", "body 1"),
    ] {
        let server = Server::start(move |request| match request.line.as_str() {
            "POST /a/0" | "POST /a/1" => (status, "location: /b?from=a\r\n", "moved".to_owned()),
            _ => (200, "", String::new()),
        });
        let (result, errors) = run(&Target::new(&server.url).unwrap(), filled(post("/a/{{seq}}")), 2);
        assert_eq!(
            (result.summary.ok, result.summary.offered),
            (2, 2),
            "{status}: {errors:?}"
        );
        let last = server.seen().pop().unwrap();
        assert_eq!(last.line, format!("{method} /b?from=a"), "{status}");
        assert_eq!(
            (last.body.as_str(), last.header("x-seq")),
            (body, Some("1")),
            "{status}"
        );
        let kept = (
            last.header("content-type").is_some(),
            last.header("content-length").is_some(),
        );
        assert_eq!(
            kept,
            (!body.is_empty(), !body.is_empty()),
            "{status}: {}",
            last.head
        );
    }
}

#[test]
fn a_chain_goes_on_from_what_was_sent_last() {
    let server = Server::start(|request| match request.line.as_str() {
        "POST /a" => (303, "location: /b\r\n", String::new()),
        "GET /b" => (307, "location: c\r\n", String::new()),
        _ => (200, "", String::new()),
    });
    let (result, _) = run(&Target::new(&server.url).unwrap(), filled(post("/a")), 1);
    assert_eq!(result.summary.ok, 1);
    assert_eq!(lines(&server), ["POST /a", "GET /b", "GET /c"]);
}

#[test]
fn circles_end_and_a_post_may_come_back_as_a_get() {
    let around = Server::start(|request| match request.line.as_str() {
        "GET /a/0" => (302, "location: /b/0\r\n", String::new()),
        _ => (302, "location: /a/0\r\n", String::new()),
    });
    let (result, errors) = run(
        &Target::new(&around.url).unwrap(),
        filled(Request::get("/a/{{seq}}")),
        1,
    );
    assert_eq!(result.samples[0].outcome, Outcome::RedirectLoop);
    assert!(errors[0].1.contains("more than 4 redirects"), "{errors:?}");
    assert_eq!(around.seen().len(), 5);

    let back = Server::start(|request| {
        let is_post = request.line == "POST /form";
        (
            if is_post { 302 } else { 200 },
            "location: /form\r\n",
            String::new(),
        )
    });
    let (result, _) = run(&Target::new(&back.url).unwrap(), filled(post("/form")), 1);
    assert_eq!(result.summary.ok, 1);
    assert_eq!(lines(&back), ["POST /form", "GET /form"]);
}

#[test]
fn another_server_gets_no_credentials_and_one_that_was_not_named_gets_nothing() {
    let store = Server::start(|_| (200, "", "kept".to_owned()));
    let unknown = Server::start(|_| (200, "", String::new()));
    let to = leading(&format!("{}/k?signed=1", store.url));
    let to_unknown = leading(&format!("{}/k", unknown.url));
    let service = Server::start(move |request| match request.line.as_str() {
        "POST /a" => (307, to, String::new()),
        _ => (307, to_unknown, String::new()),
    });
    let mut target = Target::new(&service.url).unwrap();
    let secret = Secret::new("Bearer of-the-target");
    target.headers = vec![
        ("authorization".to_owned(), secret.clone()),
        ("x-run".to_owned(), Secret::new("7")),
    ];
    target.masked = vec![secret];
    let mut other = Target::new(&store.url).unwrap();
    other.headers = vec![("x-store".to_owned(), Secret::new("mine"))];
    target.others = vec![("store".to_owned(), other)];

    let (result, errors) = run(&target, filled(post("/a")), 1);
    assert_eq!(result.summary.ok, 1, "{errors:?}");
    assert_eq!(result.captures[0].body, "kept");
    let got: Seen = store.seen().pop().unwrap();
    assert_eq!(
        (got.line.as_str(), got.body.as_str()),
        ("POST /k?signed=1", "body 0")
    );
    assert_eq!(
        (got.header("x-store"), got.header("content-type").is_some()),
        (Some("mine"), true)
    );
    assert_eq!(got.header("host"), store.url.strip_prefix("http://"));
    // Of the request's own headers, too: a value that is filled in may be a credential under any name.
    for left in ["authorization", "x-run", "x-api-key", "x-seq"] {
        assert!(service.seen()[0].header(left).is_some(), "{left}");
        assert!(got.header(left).is_none(), "{left}: {}", got.head);
    }

    let (result, errors) = run(&target, filled(post("/away")), 1);
    assert_eq!(result.samples[0].outcome, Outcome::Status3xx);
    assert!(
        errors[0].1.contains("neither the target nor an origin"),
        "{errors:?}"
    );
    assert!(errors[0].1.contains(&unknown.url), "{errors:?}");
    assert!(unknown.seen().is_empty());
}

/// Sets a session at `/login`, and wants it everywhere else.
fn with_sessions() -> Server {
    Server::start(|request| match request.line.as_str() {
        line if line.starts_with("POST /login/") => {
            let number = line.trim_start_matches("POST /login/");
            let set = format!(
                "location: /home\r\nset-cookie: sid=s3ss10n-{number}; Path=/; HttpOnly\r\n\
                 set-cookie: seen=1; Path=/home\r\nset-cookie: gone=x; Max-Age=0\r\n"
            );
            (302, set.leak(), String::new())
        }
        "GET /rotate" => (
            200,
            "set-cookie: sid=r0tat3d-value; Path=/\r\n",
            request.header("cookie").unwrap_or("none").to_owned(),
        ),
        _ => match request.header("cookie") {
            Some(cookie) => (200, "", format!("hello {cookie}")),
            None => (401, "", String::new()),
        },
    })
}

#[test]
fn cookies_of_an_answer_go_with_the_next_steps_of_the_same_arrival() {
    let server = with_sessions();
    let steps = || {
        vec![
            post("/login/{{seq}}"),
            Request::get("/rotate"),
            Request::get("/home/x"),
        ]
    };
    let target = Target::new(&server.url).unwrap();
    let (result, errors) = run(&target, flow(steps(), true), 2);
    assert_eq!((result.summary.ok, result.summary.offered), (2, 2), "{errors:?}");
    let sent: Vec<(String, Option<String>)> = server
        .seen()
        .iter()
        .map(|seen| (seen.line.clone(), seen.header("cookie").map(str::to_owned)))
        .collect();
    let expected = |k: u32| {
        let session = format!("sid=s3ss10n-{k}");
        [
            (format!("POST /login/{k}"), None),
            ("GET /home".to_owned(), Some(format!("seen=1; {session}"))),
            ("GET /rotate".to_owned(), Some(session)),
            (
                "GET /home/x".to_owned(),
                Some("seen=1; sid=r0tat3d-value".to_owned()),
            ),
        ]
    };
    assert_eq!(sent, [expected(0), expected(1)].concat());
    // What the target repeats of them is not kept, also where it sets another in the same answer.
    let kept = format!("{:?}", result.captures);
    assert!(kept.contains("hello") && kept.contains("***"), "{kept}");
    assert!(!kept.contains("s3ss10n") && !kept.contains("r0tat3d"), "{kept}");

    let (result, _) = run(&target, flow(steps(), false), 1);
    assert_eq!(result.summary.failed, 1, "nothing keeps them unasked");
}

#[test]
fn cookies_join_those_that_every_request_has_and_last_over_attempts() {
    let server = Server::start(|request| match request.header("cookie") {
        Some("run=1") => (503, "set-cookie: node=b; Path=/\r\n", String::new()),
        Some("run=1; node=b") => (200, "", String::new()),
        other => (400, "", format!("{other:?}")),
    });
    let mut target = Target::new(&server.url).unwrap();
    target.headers = vec![("cookie".to_owned(), Secret::new("run=1"))];
    let scenario = Scenario {
        retry: Some(Retry {
            base_ms: 1,
            ..Retry::default()
        }),
        ..flow(vec![Request::get("/a")], true)
    };
    let (result, errors) = run(&target, scenario, 1);
    assert_eq!((result.summary.ok, result.summary.retried), (1, 1), "{errors:?}");
}

#[test]
fn a_redirect_is_the_targets_time_and_not_our_lag() {
    // The first answer takes a while and closes its connection: the next request is sent on a new one.
    let server = Server::start(|request| {
        if request.line == "GET /a" {
            thread::sleep(Duration::from_millis(50));
            (302, "location: /b\r\nconnection: close\r\n", String::new())
        } else {
            thread::sleep(Duration::from_millis(30));
            (200, "", "here".to_owned())
        }
    });
    let scenario = Scenario::new("s", vec![item(Request::get("/a"))]);
    let (result, errors) = run(&Target::new(&server.url).unwrap(), scenario, 3);
    assert_eq!(result.summary.ok, 3, "{errors:?}");
    assert_eq!(result.summary.connections, 4);
    // The later ones are sent on the connection that the last answer left: they waited for none.
    let waited: Vec<bool> = result.samples.iter().map(|s| s.connect_us > 0).collect();
    assert_eq!(waited, [true, false, false]);
    for sample in &result.samples {
        assert!(
            sample.ttfb().unwrap() >= Nanos(80_000_000),
            "of the last answer: {sample:?}"
        );
        assert!(sample.transfer().unwrap() < Nanos(50_000_000), "{sample:?}");
    }
}
