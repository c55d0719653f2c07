//! Which answers are kept, in simulated time.

use std::borrow::Cow;

use prony_engine::{Engine, EngineOptions, Inner, NoSink, Scripted, ScriptedServer, Target};
use prony_model::{
    Capture, Expect, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Request, Sample, SampleFlags,
    Scenario, Shape,
};

/// Refuses every third request, from the tenth on.
#[derive(Default)]
struct Busy {
    requests: u64,
}

impl Scripted for Busy {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        self.requests += 1;
        let answer: &[u8] = if self.requests >= 10 && self.requests.is_multiple_of(3) {
            b"HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 4\r\n\r\nbusy"
        } else {
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"
        };
        (Cow::Borrowed(answer), now + Nanos(20_000_000))
    }
}

/// 60 requests, of which 17 are refused.
fn run(capture: Capture) -> PhaseResult {
    let item = Item {
        request: Request::get("/"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new("s", vec![item])],
        shape: Shape::Closed {
            connections: 4,
            requests: Some(60),
            duration_s: None,
            think_ms: 0.0,
        },
        limits: Limits::default(),
        capture,
    };
    let target = Target::within(Inner::Scripted(ScriptedServer::new(Busy::default()))).unwrap();
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&target, options).unwrap();
    engine.run(0, phase, &mut NoSink).unwrap()
}

fn refused(result: &PhaseResult) -> usize {
    let refused = |s: &&Sample| s.outcome == Outcome::Status503;
    result.samples.iter().filter(refused).count()
}

#[test]
fn where_no_body_is_asked_for_the_heads_of_failed_answers_are_kept() {
    let result = run(Capture::FAILED);
    assert_eq!((refused(&result), result.captures.len()), (17, 17));
    for kept in &result.captures {
        assert_eq!((kept.status, kept.outcome), (503, Outcome::Status503));
        assert_eq!(kept.header("retry-after"), Some("2"));
        assert!(
            kept.body.is_empty() && kept.cut && kept.digest.is_empty(),
            "{kept:?}"
        );
    }
    let flagged = |s: &Sample| s.flags.contains(SampleFlags::CAPTURED);
    assert!(
        result
            .samples
            .iter()
            .all(|s| flagged(s) == (s.outcome != Outcome::Ok))
    );
    let few = Capture {
        responses_max: 5,
        ..Capture::FAILED
    };
    assert_eq!(run(few).captures.len(), 5);
}

#[test]
fn where_bodies_are_asked_for_the_first_answers_are_kept() {
    let result = run(Capture {
        responses_max: 5,
        body_bytes_max: 100,
        digests: false,
    });
    let bodies: Vec<&str> = result.captures.iter().map(|c| c.body.as_str()).collect();
    assert_eq!(bodies, ["good"; 5]);
}
