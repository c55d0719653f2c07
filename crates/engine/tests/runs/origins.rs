//! Steps of a flow that go to other servers: each gets its own headers and no secret of another, signed requests carry a signature,
//! and what comes back is held against what was sent.

use crate::server;

use std::time::Instant;

use prony_engine::{Engine, EngineError, EngineOptions, NoSink, Target};
use prony_model::{
    Body, BodyCheck, Capture, Carry, Expect, Flow, Item, Limits, Outcome, Phase, PhaseResult, Request,
    Scenario, Secret, Shape, Slots, Step,
};
use prony_wire::sigv4::Signer;
use server::{Seen, Server};

const BODY: &str = "a picture";

fn step(name: &str, origin: Option<&str>) -> Step {
    Step {
        name: name.to_owned(),
        origin: origin.map(str::to_owned),
        ..Step::default()
    }
}

fn put(path: &str) -> Request {
    Request {
        method: "PUT".to_owned(),
        body: Body::text(BODY),
        ..Request::get(path)
    }
}

fn item(request: Request, checks: Vec<BodyCheck>) -> Item {
    let expect = Expect {
        body: checks,
        ..Expect::default()
    };
    Item { request, expect }
}

/// Put, ask the target, get.
fn flow() -> Scenario {
    let mut ask = step("ask", None);
    ask.carry.insert("key".to_owned(), Carry::Json("/key".to_owned()));
    Scenario {
        slots: Some(Slots::default()),
        flow: Some(Flow {
            steps: vec![step("put", Some("store")), ask, step("get", Some("store"))],
            ..Flow::default()
        }),
        ..Scenario::new(
            "flow",
            vec![
                item(put("/in/{{seq}}"), Vec::new()),
                item(
                    Request::json("POST", "/ask", &serde_json::json!({"of": "{{seq}}"})),
                    Vec::new(),
                ),
                item(
                    Request::get("/{{carry.key | raw}}"),
                    vec![BodyCheck::SentBy("put".to_owned()), BodyCheck::Etag],
                ),
            ],
        )
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

fn signer() -> Signer {
    Signer {
        access_key: Secret::new("access"),
        secret_key: Secret::new("the-secret-half"),
        session_token: None,
        region: "eu-ro-1".to_owned(),
        service: "s3".to_owned(),
        unsigned_payload: false,
    }
}

fn targets(target: &str, store: &str) -> Target {
    let mut other = Target::new(store).unwrap();
    other.signer = Some(signer());
    let mut target = Target::new(target).unwrap();
    target.headers = vec![("authorization".to_owned(), Secret::new("Bearer of-the-target"))];
    target.others = vec![("store".to_owned(), other)];
    target
}

fn run(
    target: &Target,
    phase: Phase,
    threads: u32,
) -> Result<(PhaseResult, Vec<(Outcome, String)>), EngineError> {
    let options = EngineOptions {
        seed: 1,
        threads,
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(target, options)?;
    let result = engine.run(0, phase, &mut NoSink)?;
    Ok((result, engine.first_errors().to_vec()))
}

/// MD5 of [`BODY`], by `printf 'a picture' | md5sum`.
const TAGGED: &str = "etag: \"101a0e3e2f58188b3e2ffc1057316c13\"\r\n";

/// A store that gives back `gives` with the tag of [`BODY`].
fn store(gives: &'static str) -> Server {
    Server::start(move |request| match request.line.split(' ').next() {
        Some("GET") => (200, TAGGED, gives.to_owned()),
        _ => (200, "", String::new()),
    })
}

fn service() -> Server {
    Server::start(|request| {
        let of = serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["of"]
            .as_str()
            .unwrap()
            .to_owned();
        (200, "", format!("{{\"key\": \"out/{of}.png\"}}"))
    })
}

fn row_n(result: &PhaseResult, scenario: &str, outcome: Outcome) -> u64 {
    let mine = result.summary.rows.iter();
    mine.filter(|r| r.scenario == scenario && r.outcome == outcome)
        .map(|r| r.n)
        .sum()
}

#[test]
fn each_server_gets_its_own_steps_headers_and_signature() {
    let burst = Shape::Burst {
        size: 6,
        count: 2,
        interval_s: 0.0,
    };
    for (threads, shape, users) in [(1, closed(3, 12), 3), (2, closed(4, 12), 4), (1, burst, 12)] {
        let (target, store) = (service(), store(BODY));
        let (result, errors) = run(&targets(&target.url, &store.url), phase(flow(), shape), threads).unwrap();
        assert_eq!(
            (result.summary.ok, result.summary.offered),
            (12, 12),
            "{errors:?}"
        );
        for part in ["flow/put", "flow/ask", "flow/get"] {
            assert_eq!(row_n(&result, part, Outcome::Ok), 12, "{part}");
        }
        let (asked, stored) = (target.seen(), store.seen());
        assert_eq!((asked.len(), stored.len()), (12, 24));
        let authority = |url: &str| url.trim_start_matches("http://").to_owned();
        for seen in &asked {
            assert_eq!(seen.header("authorization"), Some("Bearer of-the-target"));
            assert_eq!(seen.header("host"), Some(authority(&target.url).as_str()));
            assert_eq!(seen.header("x-amz-date"), None);
        }
        for seen in &stored {
            assert_eq!(seen.header("host"), Some(authority(&store.url).as_str()));
            assert!(
                !seen.head.contains("of-the-target") && !seen.head.contains("secret-half"),
                "{}",
                seen.head
            );
            signed(seen);
        }
        let gets = stored.iter().filter(|s| s.line.starts_with("GET /out/")).count();
        assert_eq!(gets, 12, "the key of the answer is where it is fetched");
        assert!(
            result.summary.connections <= 2 * users,
            "one to each server for each user at most"
        );
    }
}

/// Whether a request carries the signature that its own lines have.
fn signed(seen: &Seen) {
    let own = prony_wire::sigv4::OWN_HEADERS;
    let bare: Vec<&str> = seen
        .head
        .lines()
        .filter(|line| !own.iter().any(|name| line.starts_with(&format!("{name}: "))))
        .collect();
    let bare = bare.join("\r\n").trim_end().to_owned() + "\r\n\r\n" + &seen.body;
    let date = seen.header("x-amz-date").unwrap();
    // The date is of this very minute or the last; which second, the header says.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
    let again = (now - 120..=now + 1).find_map(|at| {
        let made = signer().sign(bare.as_bytes(), None, at).unwrap();
        let made = String::from_utf8(made).unwrap();
        made.contains(date).then_some(made)
    });
    let again = again.expect("it was signed just now");
    let line = format!("authorization: {}", seen.header("authorization").unwrap());
    assert!(again.lines().any(|l| l == line), "{line}\n{again}");
}

#[test]
fn what_comes_back_is_held_against_what_was_sent() {
    for (gives, outcome, words) in [
        ("a pictur", Outcome::WrongBody, "8 bytes, expected at least 9"),
        ("a pictura", Outcome::Checksum, "digest"),
    ] {
        let (target, store) = (service(), store(gives));
        let (result, errors) =
            run(&targets(&target.url, &store.url), phase(flow(), closed(1, 2)), 1).unwrap();
        assert_eq!(row_n(&result, "flow/get", outcome), 2, "{errors:?}");
        assert!(errors.iter().any(|(_, said)| said.contains(words)), "{errors:?}");
    }
}

#[test]
fn an_etag_is_the_md5_or_the_check_fails() {
    for (head, gives, outcome) in [
        (TAGGED, BODY, Outcome::Ok),
        (TAGGED, "another", Outcome::Checksum),
        (
            "etag: \"101a0e3e2f58188b3e2ffc1057316c13-2\"\r\n",
            BODY,
            Outcome::Checksum,
        ),
        ("", BODY, Outcome::Checksum),
    ] {
        let server = Server::start(move |_| (200, head, gives.to_owned()));
        let scenario = Scenario::new("get", vec![item(Request::get("/"), vec![BodyCheck::Etag])]);
        let (result, errors) = run(
            &Target::new(&server.url).unwrap(),
            phase(scenario, closed(1, 1)),
            1,
        )
        .unwrap();
        assert_eq!(row_n(&result, "get", outcome), 1, "{head:?} {errors:?}");
    }
}

#[test]
fn a_refusal_is_told_with_the_stores_own_code() {
    let target = service();
    let store = Server::start(|_| {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>";
        (403, "", body.to_owned())
    });
    let (result, errors) = run(&targets(&target.url, &store.url), phase(flow(), closed(1, 3)), 1).unwrap();
    assert_eq!(row_n(&result, "flow/put", Outcome::Status4xx), 3);
    assert_eq!(
        errors[0].1,
        "status 403 was not expected: the store says SignatureDoesNotMatch"
    );
    assert!(target.seen().is_empty(), "a flow ends at its first failed step");
}

#[test]
fn an_origin_that_is_gone_fails_its_own_steps_only() {
    let target = service();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mut scenario = flow();
    // The target first: what it answers does not depend on the store.
    scenario.items.swap(0, 1);
    scenario.flow.as_mut().unwrap().steps.swap(0, 1);
    scenario.items[2] = item(Request::get("/x"), Vec::new());
    let (result, _) = run(&targets(&target.url, &gone), phase(scenario, closed(1, 2)), 1).unwrap();
    assert_eq!(row_n(&result, "flow/ask", Outcome::Ok), 2);
    assert_eq!(row_n(&result, "flow/put", Outcome::Refused), 2);
    assert_eq!(target.seen().len(), 2);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    let target = service();
    let error = run(
        &targets(&target.url, "http://192.0.2.1:9"),
        phase(flow(), closed(1, 1)),
        1,
    )
    .unwrap_err();
    assert!(
        matches!(&error, EngineError::NotAllowed { host, .. } if host == "192.0.2.1"),
        "{error}"
    );
    let mut unknown = flow();
    unknown.flow.as_mut().unwrap().steps[0].origin = Some("shop".to_owned());
    let with_store = targets(&target.url, &target.url);
    let error = run(&with_store, phase(unknown, closed(1, 1)), 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"shop\""), "{error}");
    let mut holes = flow();
    holes.items[0].request.body = Body::text("{{seq}}");
    let error = run(&with_store, phase(holes, closed(1, 1)), 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("another body in every arrival"), "{error}");
    let mut own = flow();
    own.items[0]
        .request
        .headers
        .push(prony_model::Header::new("X-Amz-Date", "now"));
    let error = run(&with_store, phase(own, closed(1, 1)), 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("signature brings"), "{error}");
    let mut null = targets("null:", &target.url);
    null.headers.clear();
    assert!(matches!(
        Engine::new(&null, EngineOptions::default()),
        Err(EngineError::Inner { .. })
    ));
    let error = run(
        &targets(&target.url, "grpc://127.0.0.1:1"),
        phase(flow(), closed(1, 1)),
        1,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("HTTP/1.1 only") && error.contains("\"store\""),
        "{error}"
    );
    assert!(target.seen().is_empty());
}
