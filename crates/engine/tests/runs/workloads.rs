//! What an arrival may be: rows of feeds, several steps, several attempts, times of a trace. Whatever it is, the books
//! balance: offered = ok + failed + own, on one thread and on several.

use crate::server;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use prony_engine::null_target::NullTarget;
use prony_engine::{Engine, EngineError, EngineOptions, NoSink, Target};
use prony_model::{
    Arrivals, Body, Capture, Carry, Expect, Feed, FeedOrder, FeedPer, Flow, Generate, Header, Item, Limits,
    Outcome, Phase, PhaseResult, Request, Retry, Sample, SampleFlags, Scenario, Shape, Slots, Step, TimeUnit,
    Until,
};

use rustix::net;
use server::Server;

impl Server {
    fn run(&self, phase: Phase, threads: u32) -> PhaseResult {
        run(&self.url, phase, threads).unwrap()
    }
}

fn run(url: &str, phase: Phase, threads: u32) -> Result<PhaseResult, EngineError> {
    let options = EngineOptions {
        seed: 1,
        threads,
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    Engine::new(&Target::new(url).unwrap(), options)
        .unwrap()
        .run(0, phase, &mut NoSink)
}

fn item(request: Request) -> Item {
    Item {
        request,
        expect: Expect::default(),
    }
}

fn phase(scenario: Scenario, shape: Shape) -> Phase {
    Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![scenario],
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

fn closed(connections: u32, requests: u64) -> Shape {
    Shape::Closed {
        connections,
        requests: Some(requests),
        duration_s: None,
        think_ms: 0.0,
    }
}

fn open(rate: f64, duration_s: f64) -> Shape {
    Shape::Open {
        rate,
        arrivals: Arrivals::Constant,
        duration_s,
        in_flight_max: 500,
    }
}

/// Every arrival ended once, every request has a record, and the workers' own count agrees.
fn balanced(result: &PhaseResult) {
    let s = &result.summary;
    let arrivals: Vec<&Sample> = result.samples.iter().filter(|s| s.is_arrival()).collect();
    let count = |kind: fn(Outcome) -> bool| arrivals.iter().filter(|s| kind(s.outcome)).count() as u64;
    assert_eq!(s.offered, s.ok + s.failed + s.own);
    assert_eq!(s.offered, arrivals.len() as u64);
    assert_eq!(
        (s.ok, s.failed, s.own),
        (
            count(|o| o == Outcome::Ok),
            count(Outcome::is_failure),
            count(Outcome::is_own)
        )
    );
    let mut seqs: Vec<u64> = arrivals.iter().map(|s| s.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), arrivals.len(), "one record for each arrival");
    let rows = |part: bool| s.rows.iter().filter(|r| r.part == part).map(|r| r.n).sum::<u64>();
    assert_eq!(rows(false), s.offered);
    let retried = |s: &&Sample| s.flags.contains(SampleFlags::RETRIED);
    assert_eq!(result.samples.iter().filter(retried).count() as u64, s.retried);
    assert!(s.validity.little_error < 1e-2, "{:?}", s.validity);
    for whole in arrivals.iter().filter(|s| !s.is_request()) {
        let parts: Vec<&Sample> = result
            .samples
            .iter()
            .filter(|p| p.seq == whole.seq && p.is_request())
            .collect();
        let (first, last) = (
            parts.iter().map(|p| p.intended).min(),
            parts.iter().map(|p| p.done).max(),
        );
        if let (Some(first), Some(last)) = (first, last) {
            assert_eq!(whole.intended, first, "{whole:?}");
            assert!(whole.done >= last, "{whole:?}");
            assert!(parts.iter().all(|p| !p.is_arrival()), "{parts:?}");
        }
    }
}

fn row_n(result: &PhaseResult, scenario: &str, outcome: Outcome) -> u64 {
    let mine = result.summary.rows.iter();
    mine.filter(|r| r.scenario == scenario && r.outcome == outcome)
        .map(|r| r.n)
        .sum()
}

/// A file that is gone with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("prony-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // What cannot be removed is in a folder that the system empties.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is the value of an optional field")]
fn slots(feeds: impl IntoIterator<Item = (&'static str, Feed)>) -> Option<Slots> {
    Some(Slots {
        feeds: feeds
            .into_iter()
            .map(|(name, feed)| (name.to_owned(), feed))
            .collect(),
    })
}

#[test]
fn every_open_shape_keeps_its_books_on_one_thread_and_on_three() {
    let target = NullTarget::start().unwrap();
    let url = format!("http://{}", target.addr());
    let trace = TempFile::new("trace.csv", "timestamp\n10\n10.02\n10.02\n10.1\n10.2\n");
    let shapes = [
        Shape::Ramp {
            from: 0.0,
            to: 400.0,
            duration_s: 0.5,
            arrivals: Arrivals::Constant,
            in_flight_max: 500,
        },
        Shape::Spike {
            base: 50.0,
            peak: 500.0,
            at_s: 0.2,
            spike_s: 0.1,
            duration_s: 0.4,
            arrivals: Arrivals::Constant,
            in_flight_max: 500,
        },
        Shape::Replay {
            file: trace.path(),
            speed: 2.0,
            time: "timestamp".to_owned(),
            unit: TimeUnit::Seconds,
            scenario: None,
            in_flight_max: 500,
        },
        Shape::Open {
            rate: 400.0,
            arrivals: Arrivals::Gamma { burstiness: 0.5 },
            duration_s: 0.3,
            in_flight_max: 500,
        },
    ];
    for (i, shape) in shapes.into_iter().enumerate() {
        let mut seen = Vec::new();
        for threads in [1, 3] {
            let scenario = Scenario::new("s", vec![item(Request::get("/"))]);
            let result = run(&url, phase(scenario, shape.clone()), threads).unwrap();
            balanced(&result);
            assert_eq!(result.summary.ok, result.summary.offered);
            let start = result.samples[0].intended - result.samples[0].intended;
            let first = result.samples[0].intended;
            let times: Vec<u64> = result
                .samples
                .iter()
                .map(|s| (s.intended - first).0 / 1000)
                .collect();
            assert_eq!(start.0, times[0]);
            seen.push(times);
        }
        // The schedule decides, not the threads; microseconds, since each run starts at another nanosecond.
        assert_eq!(seen[0].len(), seen[1].len());
        assert!(
            seen[0].iter().zip(&seen[1]).all(|(a, b)| a.abs_diff(*b) <= 1),
            "shape {i}"
        );
        match i {
            0 => assert_eq!(seen[0].len(), 100),
            1 => assert_eq!(seen[0].len(), 10 + 50 + 5),
            2 => assert_eq!(seen[0], [0, 10_000, 10_000, 50_000, 100_000]),
            _ => assert!((70..=180).contains(&seen[0].len()), "{}", seen[0].len()),
        }
    }
}

#[test]
fn a_trace_names_the_scenario_of_each_arrival() {
    let target = NullTarget::start().unwrap();
    let url = format!("http://{}", target.addr());
    let text = "{\"at\": 0, \"what\": \"b\"}\n{\"at\": 5, \"what\": \"a\"}\n{\"at\": 9, \"what\": \"b\"}\n{\"at\": 9, \"what\": \"b\"}\n";
    let trace = TempFile::new("mix.ndjson", text);
    for threads in [1, 3] {
        let mut mix = phase(
            Scenario::new("a", vec![item(Request::get("/a"))]),
            Shape::Replay {
                file: trace.path(),
                speed: 1.0,
                time: "at".to_owned(),
                unit: TimeUnit::Millis,
                scenario: Some("what".to_owned()),
                in_flight_max: 9,
            },
        );
        mix.scenarios
            .push(Scenario::new("b", vec![item(Request::get("/b"))]));
        let result = run(&url, mix, threads).unwrap();
        let mut taken: Vec<_> = result.samples.iter().map(|s| (s.seq, s.scenario)).collect();
        taken.sort_unstable();
        assert_eq!(taken, [(0, 1), (1, 0), (2, 1), (3, 1)]);
    }
}

#[test]
fn a_trace_that_cannot_be_used_is_the_users_error() {
    let unsorted = TempFile::new("unsorted.csv", "timestamp\n1\n3\n2\n");
    let empty = TempFile::new("empty.csv", "timestamp\n");
    for (file, says) in [(&unsorted, "line 4"), (&empty, "no rows")] {
        let shape = Shape::Replay {
            file: file.path(),
            speed: 1.0,
            time: "timestamp".to_owned(),
            unit: TimeUnit::Seconds,
            scenario: None,
            in_flight_max: 9,
        };
        let scenario = Scenario::new("s", vec![item(Request::get("/"))]);
        let error = run("http://127.0.0.1:9", phase(scenario, shape), 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Fails the first `failures` requests of each path.
fn failing(failures: u32) -> Server {
    let counts: Mutex<HashMap<String, u32>> = Mutex::new(HashMap::new());
    Server::start(move |request| {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(request.line.clone()).or_default();
        *count += 1;
        if *count <= failures {
            (503, "", "busy".to_owned())
        } else {
            (200, "", "{}".to_owned())
        }
    })
}

fn retrying(method: &str, retry: Retry) -> Scenario {
    let request = Request {
        method: method.to_owned(),
        ..Request::get("/{{seq}}")
    };
    Scenario {
        retry: Some(retry),
        slots: slots([]),
        ..Scenario::new("s", vec![item(request)])
    }
}

fn quick_retry() -> Retry {
    Retry {
        base_ms: 2,
        ..Retry::default()
    }
}

#[test]
fn retries_show_every_attempt_and_count_each_arrival_once() {
    for (threads, shape) in [
        (1, closed(4, 60)),
        (3, closed(6, 60)),
        (1, open(300.0, 0.2)),
        (3, open(300.0, 0.2)),
    ] {
        let server = failing(1);
        let result = server.run(phase(retrying("GET", quick_retry()), shape), threads);
        balanced(&result);
        let s = &result.summary;
        assert_eq!((s.offered, s.ok, s.failed), (60, 60, 0), "{:?}", s.rows);
        assert_eq!((s.attempts, s.retried), (120, 60));
        assert!((s.amplification() - 2.0).abs() < 1e-9);
        assert_eq!(server.seen().len(), 120);
        assert_eq!(row_n(&result, "s", Outcome::Ok), 60);
        assert_eq!(row_n(&result, "s/attempts", Outcome::Ok), 60);
        assert_eq!(row_n(&result, "s/attempts", Outcome::Status503), 60);
        for attempt in result.samples.iter().filter(|s| s.is_request()) {
            assert_eq!(
                attempt.flags.contains(SampleFlags::RETRIED),
                attempt.attempt == 0,
                "{attempt:?}"
            );
        }
    }
}

#[test]
fn a_failure_that_lasts_is_final_after_the_last_attempt() {
    let server = failing(u32::MAX);
    let result = server.run(phase(retrying("GET", quick_retry()), closed(3, 10)), 1);
    balanced(&result);
    let s = &result.summary;
    assert_eq!((s.offered, s.failed, s.attempts, s.retried), (10, 10, 30, 20));
    assert_eq!(row_n(&result, "s", Outcome::Status503), 10);
}

#[test]
fn what_may_have_had_an_effect_is_sent_again_only_on_request() {
    let server = failing(1);
    let result = server.run(phase(retrying("POST", quick_retry()), closed(2, 6)), 1);
    balanced(&result);
    assert_eq!((result.summary.failed, result.summary.attempts), (6, 6));
    let anyway = Retry {
        unsafe_methods: true,
        ..quick_retry()
    };
    let result = failing(1).run(phase(retrying("POST", anyway), closed(2, 6)), 1);
    assert_eq!((result.summary.ok, result.summary.attempts), (6, 12));
}

#[test]
fn a_connection_that_nobody_accepts_may_be_tried_again_whatever_the_method() {
    // A port that is taken, so that nobody else gets it, and on which nobody listens.
    let held = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
    net::bind(&held, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let url = format!(
        "http://{}",
        SocketAddr::try_from(net::getsockname(&held).unwrap()).unwrap()
    );
    let retry = Retry {
        on: vec!["refused".parse().unwrap()],
        ..quick_retry()
    };
    let result = run(&url, phase(retrying("POST", retry), closed(1, 2)), 1).unwrap();
    balanced(&result);
    assert_eq!((result.summary.failed, result.summary.retried), (2, 4));
}

#[test]
fn shed_arrivals_of_a_flow_are_counted_once() {
    let shape = Shape::Open {
        rate: 500.0,
        arrivals: Arrivals::Constant,
        duration_s: 0.1,
        in_flight_max: 0,
    };
    let result = failing(0).run(phase(retrying("GET", quick_retry()), shape), 1);
    balanced(&result);
    assert_eq!((result.summary.own, result.summary.attempts), (50, 0));
}

fn step(name: &str, carry: &[(&str, Carry)]) -> Step {
    Step {
        name: name.to_owned(),
        carry: carry.iter().map(|(n, c)| ((*n).to_owned(), c.clone())).collect(),
        ..Step::default()
    }
}

/// Log in, read with the token, poll a job until it is done, and take its result.
fn checkout() -> Scenario {
    let authorised = |path: &str| Request {
        headers: vec![Header::new("authorization", "Bearer {{carry.token}}")],
        ..Request::get(path)
    };
    let login = Request::json("POST", "/login", &serde_json::json!({"user": "u{{seq}}"}));
    let mut poll = step("poll", &[]);
    poll.until = Some(Until {
        pointer: "/state".to_owned(),
        value: "done".to_owned(),
        every_ms: 1,
        polls_max: 10,
    });
    let mut read = step("read", &[("job", Carry::Header("x-job".to_owned()))]);
    read.think_ms = 1.0;
    Scenario {
        slots: slots([]),
        flow: Some(Flow {
            steps: vec![
                step("login", &[("token", Carry::Json("/token".to_owned()))]),
                read,
                poll,
                step("result", &[]),
            ],
            ..Flow::default()
        }),
        ..Scenario::new(
            "checkout",
            vec![
                item(login),
                item(authorised("/me")),
                item(authorised("/job/{{carry.job}}")),
                item(authorised("/result/{{carry.job}}")),
            ],
        )
    }
}

/// The service that `checkout` uses: every job is done at its third poll.
fn shop(broken_user: Option<&'static str>) -> Server {
    let polls: Mutex<HashMap<String, u32>> = Mutex::new(HashMap::new());
    Server::start(move |request| {
        let token = request.header("authorization").unwrap_or_default();
        match request.line.as_str() {
            "POST /login" => {
                let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                let user = body["user"].as_str().unwrap();
                if Some(user) == broken_user {
                    return (200, "", "{\"error\": \"locked\"}".to_owned());
                }
                (200, "", format!("{{\"token\": \"secret-token-{user}\"}}"))
            }
            "GET /me" => (200, "x-job: j/1\r\n", token.to_owned()),
            line if line.starts_with("GET /job/j%2F1") => {
                let mut polls = polls.lock().unwrap();
                let count = polls.entry(token.to_owned()).or_default();
                *count += 1;
                let state = if *count < 3 { "running" } else { "done" };
                (200, "", format!("{{\"state\": \"{state}\"}}"))
            }
            "GET /result/j%2F1" => (200, "", "{}".to_owned()),
            _ => (404, "", String::new()),
        }
    })
}

#[test]
fn a_flow_is_one_arrival_with_a_row_for_each_step() {
    for (threads, shape) in [
        (1, closed(3, 20)),
        (3, closed(3, 20)),
        (1, open(100.0, 0.2)),
        (3, open(100.0, 0.2)),
    ] {
        let server = shop(None);
        let result = server.run(phase(checkout(), shape), threads);
        balanced(&result);
        let s = &result.summary;
        assert_eq!((s.offered, s.ok), (20, 20), "{:?}", s.rows);
        assert_eq!((s.attempts, s.retried), (20 * 6, 0));
        for (row, n) in [
            ("checkout", 20),
            ("checkout/login", 20),
            ("checkout/read", 20),
            ("checkout/poll", 60),
            ("checkout/result", 20),
        ] {
            assert_eq!(row_n(&result, row, Outcome::Ok), n, "{row}");
        }
        for request in server.seen().iter().filter(|r| r.line != "POST /login") {
            let token = request.header("authorization").unwrap();
            assert!(token.starts_with("Bearer secret-token-u"), "{token}");
        }
        // A step is intended when the one before it ended, and its pause is over.
        for whole in result.samples.iter().filter(|s| s.is_arrival()) {
            let mut parts: Vec<&Sample> = result
                .samples
                .iter()
                .filter(|p| p.seq == whole.seq && p.is_request())
                .collect();
            parts.sort_by_key(|p| p.intended);
            assert!(parts[1].intended >= parts[0].done + prony_model::Nanos(1_000_000));
            assert!(parts.windows(2).all(|w| w[1].intended >= w[0].done));
        }
    }
}

#[test]
fn what_a_step_does_not_bring_is_its_failure_and_ends_the_flow() {
    let server = shop(Some("u1"));
    let mut load = phase(checkout(), closed(1, 3));
    load.capture = Capture::responses(100);
    let result = server.run(load, 1);
    balanced(&result);
    assert_eq!((result.summary.ok, result.summary.failed), (2, 1));
    assert_eq!(row_n(&result, "checkout/login", Outcome::WrongBody), 1);
    assert_eq!(row_n(&result, "checkout", Outcome::WrongBody), 1);
    let failed = result
        .captures
        .iter()
        .find(|c| c.outcome == Outcome::WrongBody)
        .unwrap();
    assert!(failed.error.contains("/token"), "{}", failed.error);
    // The token that `read` sends back was never written to the recording, nor the one that `login` brought.
    for captured in &result.captures {
        assert!(!captured.body.contains("secret-token"), "{}", captured.body);
    }
}

#[test]
fn a_carried_value_cannot_begin_another_header() {
    let server = Server::start(|_| (200, "", "{\"token\": \"a\\r\\nx-evil: 1\"}".to_owned()));
    let result = server.run(phase(checkout(), closed(1, 2)), 1);
    balanced(&result);
    assert_eq!(row_n(&result, "checkout/login", Outcome::WrongBody), 2);
    assert!(server.seen().iter().all(|r| r.header("x-evil").is_none()));
}

#[test]
fn a_poll_that_never_ends_well_fails() {
    let server = Server::start(|_| {
        (
            200,
            "x-job: 1\r\n",
            "{\"token\": \"t\", \"state\": \"running\"}".to_owned(),
        )
    });
    let result = server.run(phase(checkout(), closed(1, 2)), 1);
    balanced(&result);
    assert_eq!(row_n(&result, "checkout/poll", Outcome::WrongBody), 2);
    assert_eq!(row_n(&result, "checkout/poll", Outcome::Ok), 18);
    assert_eq!(row_n(&result, "checkout/result", Outcome::Ok), 0);
}

#[test]
fn a_step_may_be_retried() {
    let counts: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let server = Server::start(move |request| {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(request.line.clone()).or_default();
        *count += 1;
        let status = if request.line.starts_with("GET /b") && *count == 1 {
            503
        } else {
            200
        };
        (status, "", "{}".to_owned())
    });
    let scenario = Scenario {
        flow: Some(Flow {
            steps: vec![step("a", &[]), step("b", &[])],
            ..Flow::default()
        }),
        slots: slots([]),
        retry: Some(quick_retry()),
        ..Scenario::new(
            "f",
            vec![item(Request::get("/a")), item(Request::get("/b/{{seq}}"))],
        )
    };
    let result = server.run(phase(scenario, closed(2, 8)), 1);
    balanced(&result);
    let s = &result.summary;
    assert_eq!((s.ok, s.attempts, s.retried), (8, 24, 8));
    assert_eq!(row_n(&result, "f/b", Outcome::Status503), 8);
}

fn file_feed(file: &TempFile, order: FeedOrder, per: FeedPer) -> Feed {
    Feed {
        file: Some(file.path()),
        order,
        per,
        ..Feed::default()
    }
}

#[test]
fn a_feed_that_is_used_up_ends_the_phase() {
    let file = TempFile::new("once.csv", "id\na b\n\"c\"\"d\"\ne\nf\ng\n");
    for (threads, shape) in [(1, closed(2, 1000)), (3, closed(3, 1000)), (3, open(200.0, 0.5))] {
        let server = failing(0);
        let request = Request::json(
            "POST",
            "/x/{{ids.id}}?n={{seq}}",
            &serde_json::json!({"id": "{{ids.id}}"}),
        );
        let scenario = Scenario {
            slots: slots([("ids", file_feed(&file, FeedOrder::Once, FeedPer::Arrival))]),
            ..Scenario::new("s", vec![item(request)])
        };
        let result = server.run(phase(scenario, shape), threads);
        balanced(&result);
        assert_eq!((result.summary.offered, result.summary.ok), (5, 5));
        let mut seen: Vec<(String, String)> = server.seen().into_iter().map(|r| (r.line, r.body)).collect();
        seen.sort();
        assert_eq!(
            seen[0],
            ("POST /x/a%20b?n=0".to_owned(), "{\"id\":\"a b\"}".to_owned())
        );
        assert_eq!(
            seen[1],
            ("POST /x/c%22d?n=1".to_owned(), "{\"id\":\"c\\\"d\"}".to_owned())
        );
        assert_eq!(seen.len(), 5);
    }
}

#[test]
fn each_user_keeps_a_row_of_its_own_and_its_secret_is_not_kept() {
    let file = TempFile::new(
        "users.csv",
        "name,token\nann,ann-token-1\nbob,bob-token-2\ncyd,cyd-token-3\n",
    );
    for threads in [1, 3] {
        let server = Server::start(|r| (200, "", r.header("authorization").unwrap_or_default().to_owned()));
        let request = Request {
            headers: vec![
                Header::new("authorization", "Bearer {{users.token}}"),
                Header::new("x-user", "{{user}}"),
            ],
            ..Request::get("/{{users.name}}")
        };
        let scenario = Scenario {
            slots: slots([("users", file_feed(&file, FeedOrder::InTurn, FeedPer::User))]),
            ..Scenario::new("s", vec![item(request)])
        };
        let mut load = phase(scenario.clone(), closed(3, 60));
        load.capture = Capture::responses(5);
        let result = server.run(load, threads);
        balanced(&result);
        assert_eq!(result.summary.ok, 60);
        for request in server.seen() {
            let expected = match request.header("x-user").unwrap() {
                "0" => ("GET /ann", "Bearer ann-token-1"),
                "1" => ("GET /bob", "Bearer bob-token-2"),
                _ => ("GET /cyd", "Bearer cyd-token-3"),
            };
            assert_eq!(
                (request.line.as_str(), request.header("authorization").unwrap()),
                expected
            );
        }
        assert_eq!(result.captures.len(), 5);
        assert!(
            result.captures.iter().all(|c| !c.body.contains("-token-")),
            "{:?}",
            result.captures
        );
        let error = run(&server.url, phase(scenario, open(10.0, 0.1)), 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("per = \"user\""), "{error}");
    }
}

#[test]
fn the_seed_decides_what_is_filled_in_whatever_the_threads() {
    let ids = Feed {
        generate: Some(Generate::IntRange {
            from: 1,
            to: 1_000_000,
        }),
        ..Feed::default()
    };
    let bodies = |threads| {
        let server = failing(0);
        let request = Request {
            method: "PUT".to_owned(),
            body: Body::text("{{ids}} {{random.int(1,9)}} {{random.hex(20)}} {{random.uuid}} {{ literal }}"),
            ..Request::get("/{{seq}}")
        };
        let scenario = Scenario {
            slots: slots([
                ("ids", ids.clone()),
                (
                    "literal",
                    Feed {
                        generate: Some(Generate::Choice {
                            of: vec!["x".to_owned()],
                        }),
                        ..Feed::default()
                    },
                ),
            ]),
            ..Scenario::new("s", vec![item(request)])
        };
        let result = server.run(phase(scenario, closed(3, 30)), threads);
        balanced(&result);
        let mut all: Vec<(String, String)> = server.seen().into_iter().map(|r| (r.line, r.body)).collect();
        all.sort();
        all
    };
    let (one, three) = (bodies(1), bodies(3));
    assert_eq!(one, three);
    let mut distinct: Vec<&String> = one.iter().map(|(_, body)| body).collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 30);
}

#[test]
fn a_feed_whose_value_would_begin_another_header_is_refused_before_the_start() {
    let file = TempFile::new("evil.csv", "t\nfine\n\"a\nx-evil: 1\"\n");
    let request = Request {
        headers: vec![Header::new("x-t", "{{f.t}}")],
        ..Request::get("/")
    };
    let scenario = Scenario {
        slots: slots([("f", file_feed(&file, FeedOrder::InTurn, FeedPer::Arrival))]),
        ..Scenario::new("s", vec![item(request)])
    };
    let server = failing(0);
    let error = run(&server.url, phase(scenario, closed(1, 1)), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("feed `f` in line 3") && !error.contains("x-evil"),
        "{error}"
    );
    assert!(server.seen().is_empty());
}

#[test]
fn unknown_names_are_told_with_those_that_are_known() {
    let of = |path: &str| Scenario {
        slots: slots([(
            "users",
            Feed {
                generate: Some(Generate::Uuid),
                ..Feed::default()
            },
        )]),
        ..Scenario::new("s", vec![item(Request::get(path))])
    };
    for (path, known) in [
        ("/{{user.id}}", None),
        ("/{{usrs.id}}", Some("users")),
        ("/{{users.id}}", Some("value")),
        ("/{{carry.x}}", None),
    ] {
        match prony_engine::check_scenario(&of(path), &[]) {
            Err(EngineError::Script { known: names, .. }) => {
                assert!(
                    known.is_none_or(|k| names.iter().any(|n| n == k)),
                    "{path}: {names:?}"
                );
            }
            Err(EngineError::Table(error)) => assert_eq!(error.known, [known.unwrap()], "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}
