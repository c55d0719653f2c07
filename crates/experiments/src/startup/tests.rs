//! Targets that are ready when they say so, and one that is not.

use std::collections::BTreeMap;

use prony_model::{
    Budget, Endpoint, Evidence, Expect, Finding, Nanos, PhaseResult, Reading, Request, Role, SampleRequest,
    Surface, Verdict,
};
use serde_json::json;

use super::NAME;
use crate::fake::{Reply, perform_times};
use crate::{BuildContext, RunView, Step, find};

fn surface() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: "POST /work".into(),
            method: "POST".into(),
            path: "/work".into(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::json("POST", "/work", &json!({})),
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        }],
        ..Surface::default()
    }
}

/// The findings where the first `failing` requests after each start are refused; `ready_ms` of each start.
fn judged(failing: usize, ready_ms: &[f64], params: &serde_json::Value) -> (usize, Vec<Finding>) {
    let surface = surface();
    let limits = prony_model::Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Standard,
        time_s: 60.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (find(NAME).unwrap().build)(&context, params).unwrap();
    let mut phases: Vec<PhaseResult> = Vec::new();
    loop {
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let Step::Restarted(phase) = experiment.next(&view) else {
            return (phases.len(), experiment.conclude(&view));
        };
        let mut sent = 0;
        let mut result = perform_times(&phase, phases.len() as u16, 3, &mut |_| {
            sent += 1;
            Reply::json(if sent > failing { 200 } else { 503 }, &json!({"ok": true}))
        });
        let ready = ready_ms[phases.len() % ready_ms.len()];
        result.readings.push(Reading {
            at: Nanos(0),
            monitor: "start".into(),
            values: BTreeMap::from([("listen_ms".into(), ready / 2.0), ("ready_ms".into(), ready)]),
        });
        phases.push(result);
    }
}

#[test]
fn the_times_of_all_starts_are_told() {
    let (starts, found) = judged(0, &[100.0, 300.0], &json!({}));
    assert_eq!(starts, 2);
    assert!(found.iter().all(|f| f.verdict == Verdict::Pass), "{found:?}");
    assert!(
        found[0].title.contains("100 ms to 300 ms in 2 starts"),
        "{}",
        found[0].title
    );
    let figure = |label: &str| {
        found[0].evidence.iter().find_map(|e| match e {
            Evidence::Figure(f) if f.label == label => Some(f.value),
            _ => None,
        })
    };
    assert_eq!(figure("start to ready or answering, slowest"), Some(300.0));
    assert_eq!(figure("start to listening, median"), Some(100.0));
    assert!(figure("start to the first good answer, slowest").is_some());
    assert_eq!(
        figure("start to alive, median"),
        None,
        "nothing is told of a probe that is not there"
    );
}

#[test]
fn a_target_that_says_ready_too_early_is_found() {
    let (_, found) = judged(1, &[100.0], &json!({}));
    let early = found.iter().find(|f| f.id == "ready-too-early").unwrap();
    assert_eq!(early.verdict, Verdict::Fail);
    assert!(early.title.contains("2 of 2 starts"), "{}", early.title);
}

#[test]
fn starts_are_bounded_by_number_and_by_time() {
    assert_eq!(judged(0, &[100.0], &json!({"starts": 5})).0, 5);
    assert_eq!(
        judged(0, &[10_000.0], &json!({"starts": 5, "duration_s": 15})).0,
        2
    );
}
