//! Answers that must carry the mark of their own request, and clients that give up, in simulated time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prony_engine::{Engine, EngineOptions, Inner, NoSink, Scripted, ScriptedServer, Target};
use prony_model::{
    Abandon, BodyCheck, Capture, Expect, Feed, Generate, Item, Limits, Nanos, Outcome, Phase, PhaseResult,
    Request, Scenario, Shape, Slots,
};

/// Answers with the path that was asked for after 20 ms; every fifth time with that of the request before, every seventh
/// with none.
#[derive(Default)]
struct Echo {
    requests: u64,
    before: String,
}

impl Scripted for Echo {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        self.requests += 1;
        let text = String::from_utf8_lossy(request);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = match self.requests {
            n if n.is_multiple_of(5) => self.before.clone(),
            n if n.is_multiple_of(7) => "nothing".to_owned(),
            _ => path.clone(),
        };
        self.before = path;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        (Cow::Owned(answer.into_bytes()), now + Nanos(20_000_000))
    }
}

fn run(scenario: Scenario, requests: u64) -> PhaseResult {
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![scenario],
        shape: Shape::Closed {
            connections: 4,
            requests: Some(requests),
            duration_s: None,
            think_ms: 0.0,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let target = Target::within(Inner::Scripted(ScriptedServer::new(Echo::default()))).unwrap();
    Engine::new(&target, EngineOptions::default())
        .unwrap()
        .run(0, phase, &mut NoSink)
        .unwrap()
}

fn count(result: &PhaseResult, outcome: Outcome) -> usize {
    result.samples.iter().filter(|s| s.outcome == outcome).count()
}

fn marked() -> Scenario {
    let item = Item {
        request: Request::get("/m-{{nonce}}"),
        expect: Expect {
            body: vec![BodyCheck::Own {
                mark: "m-{{nonce}}".to_owned(),
                any: "m-[0-9a-f-]{36}".to_owned(),
            }],
            ..Expect::default()
        },
    };
    let feed = Feed {
        generate: Some(Generate::Uuid),
        ..Feed::default()
    };
    Scenario {
        slots: Some(Slots {
            feeds: BTreeMap::from([("nonce".to_owned(), feed)]),
        }),
        ..Scenario::new("s", vec![item])
    }
}

#[test]
fn each_answer_is_held_to_the_mark_of_its_own_request() {
    let result = run(marked(), 350);
    assert_eq!(count(&result, Outcome::Foreign), 70);
    // Every seventh, less those that are also a fifth.
    assert_eq!(count(&result, Outcome::Unmarked), 40);
    assert_eq!(count(&result, Outcome::Ok), 240);
}

#[test]
fn a_mark_that_is_drawn_anew_is_refused() {
    let mut scenario = marked();
    scenario.items[0].expect.body = vec![BodyCheck::Own {
        mark: "{{random.uuid}}".to_owned(),
        any: "x".to_owned(),
    }];
    let error = prony_engine::check_scenario(&scenario, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("generated feed"), "{error}");
}

#[test]
fn a_share_of_the_clients_gives_up() {
    let mut scenario = marked();
    scenario.abandon = Some(Abandon {
        share: 0.5,
        within_ms: 10.0,
    });
    let result = run(scenario, 400);
    let given_up = count(&result, Outcome::Interrupted);
    // 200 expected, standard deviation 10; none of them waits as long as the answer takes.
    assert!((150..250).contains(&given_up), "{given_up}");
    assert_eq!(result.summary.own as usize, given_up);
    assert!(
        result.summary.validity.is_valid(),
        "{:?}",
        result.summary.validity
    );
}
