//! Servers that keep, lose and garble what they know, and one that knows nothing.

use prony_model::{Budget, Finding, Surface, Verdict};
use serde_json::{Value, json};

use super::{AFTER, NAME};
use crate::fake::{Reply, perform_times};
use crate::{BuildContext, RunView, Step, find};

/// The findings on a server that says these values: new, before and after the restart.
fn judged(values: [Option<i64>; 3], expect: Option<&str>) -> Vec<Finding> {
    let surface = Surface::default();
    let limits = prony_model::Limits::default();
    let mut state = json!({
        "name": "counter", "ask": {"path": "/stats"}, "pointer": "/seen",
        "make": {"method": "POST", "path": "/work", "json": {}}, "times": 3,
    });
    if let Some(wanted) = expect {
        state["expect"] = json!(wanted);
    }
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Quick,
        time_s: 10.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (find(NAME).unwrap().build)(&context, &json!({"state": [state]})).unwrap();
    let mut phases = Vec::new();
    let mut restarts = 0;
    loop {
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let phase = match experiment.next(&view) {
            Step::Restarted(phase) => {
                restarts += 1;
                phase
            }
            Step::Run(phase) => phase,
            _ => break,
        };
        let value = values[phases.len()];
        let made = phase.scenarios.iter().filter(|s| s.name.ends_with("made"));
        let makes: usize = made.map(|s| s.items.len()).sum();
        assert_eq!(makes, if phases.len() == 1 { 3 } else { 0 });
        phases.push(perform_times(
            &phase,
            phases.len() as u16,
            1,
            &mut |_| match value {
                Some(value) => Reply::json(200, &json!({"seen": value})),
                None => Reply::json(500, &json!({})),
            },
        ));
    }
    assert_eq!((restarts, phases[2].phase.name.as_str()), (2, AFTER));
    let view = RunView {
        surface: &surface,
        phases: &phases,
        cores: 2,
        shared_host: true,
    };
    experiment.conclude(&view)
}

#[test]
fn what_is_kept_and_what_is_lost_is_told_apart() {
    for (values, expect, verdict, word) in [
        ([Some(0), Some(3), Some(3)], None, Verdict::Pass, "persists"),
        ([Some(0), Some(3), Some(0)], None, Verdict::Pass, "is lost"),
        (
            [Some(0), Some(3), Some(3)],
            Some("persists"),
            Verdict::Pass,
            "persists",
        ),
        (
            [Some(0), Some(3), Some(0)],
            Some("persists"),
            Verdict::Fail,
            "is lost",
        ),
        (
            [Some(0), Some(3), Some(3)],
            Some("lost"),
            Verdict::Fail,
            "persists",
        ),
        (
            [Some(0), Some(3), Some(1)],
            Some("persists"),
            Verdict::Fail,
            "changes",
        ),
        (
            [Some(3), Some(3), Some(3)],
            Some("persists"),
            Verdict::Inconclusive,
            "cannot be told",
        ),
        (
            [Some(0), Some(3), None],
            Some("persists"),
            Verdict::Inconclusive,
            "cannot be told",
        ),
    ] {
        let findings = judged(values, expect);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, verdict, "{values:?}: {findings:?}");
        assert!(findings[0].title.contains(word), "{}", findings[0].title);
    }
}

#[test]
fn parameters_that_ask_nothing_are_refused() {
    let surface = Surface::default();
    let limits = prony_model::Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Quick,
        time_s: 10.0,
        seed: 1,
        limits: &limits,
    };
    let refused = |value: Value| {
        (find(NAME).unwrap().build)(&context, &value)
            .err()
            .unwrap()
            .message
    };
    assert!(refused(json!({})).contains("at least one"));
    let state = json!({"name": "a", "ask": {"path": "/"}, "pointer": "x"});
    assert!(refused(json!({"state": [state]})).contains("JSON pointer"));
    let twice = json!({"name": "a", "ask": {"path": "/"}, "pointer": "/x"});
    assert!(refused(json!({"state": [twice.clone(), twice]})).contains("two states"));
}
