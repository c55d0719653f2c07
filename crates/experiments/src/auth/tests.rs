//! Doors that are kept well and badly, with limits and failures in front of them.

use std::collections::BTreeMap;

use prony_model::{
    Budget, Credentials, Endpoint, Expect, Finding, Limits, PhaseResult, Request, Role, SampleRequest,
    Severity, Surface, Verdict,
};
use serde_json::json;

use super::NAME;
use crate::fake::{Reply, perform_times};
use crate::{BuildContext, RunView, Step, find};

fn surface() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: "GET /models".into(),
            method: "GET".into(),
            path: "/models".into(),
            role: Role::Listing,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::get("/models"),
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        }],
        ..Surface::default()
    }
}

/// The one finding about a door, which answers by the credential and how often it was sent before.
fn judged(mut door: impl FnMut(Credentials, usize) -> Reply) -> Finding {
    let surface = surface();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Standard,
        time_s: 4.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (find(NAME).unwrap().build)(&context, &json!({})).unwrap();
    let mut phases: Vec<PhaseResult> = Vec::new();
    let mut sent: Vec<Credentials> = Vec::new();
    loop {
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let Step::Run(phase) = experiment.next(&view) else {
            let mut findings = experiment.conclude(&view);
            assert_eq!(findings.len(), 1, "{findings:#?}");
            return findings.remove(0);
        };
        assert!(phases.len() < 4, "{}", phase.name);
        let result = perform_times(&phase, phases.len() as u16, 1, &mut |scenario| {
            let credentials = phase.scenarios[scenario].credentials;
            let before = sent.iter().filter(|&&s| s == credentials).count();
            sent.push(credentials);
            door(credentials, before)
        });
        phases.push(result);
    }
}

fn content() -> Reply {
    Reply::json(200, &json!(["a", "b"]))
}

fn refusal(status: u16) -> Reply {
    Reply::json(status, &json!({"error": "no"}))
}

/// A door that looks at the credential.
fn guarded(credentials: Credentials) -> Reply {
    if credentials == Credentials::Given {
        content()
    } else {
        refusal(401)
    }
}

#[test]
fn a_limit_or_a_failure_at_an_open_door_is_no_guard() {
    for status in [429, 500, 503] {
        let found = judged(|credentials, before| {
            if credentials == Credentials::Missing && before == 0 {
                refusal(status)
            } else {
                content()
            }
        });
        assert_eq!(found.verdict, Verdict::Pass, "{status}: {found:#?}");
        assert!(found.title.starts_with("No endpoint asks"), "{}", found.title);
    }
}

#[test]
fn a_refusal_that_is_not_repeated_accuses_nobody() {
    let found = judged(|credentials, before| {
        if credentials == Credentials::Missing && before == 0 {
            refusal(403)
        } else {
            content()
        }
    });
    assert_eq!(found.verdict, Verdict::Pass, "{found:#?}");
}

#[test]
fn where_limits_answer_alone_nothing_is_known() {
    for status in [429, 503] {
        let found = judged(|credentials, _| {
            if credentials == Credentials::Given {
                content()
            } else {
                refusal(status)
            }
        });
        assert_eq!(found.verdict, Verdict::Inconclusive, "{status}: {found:#?}");
        assert!(!found.required);
    }
}

#[test]
fn a_guard_behind_a_limit_is_a_guard() {
    let found = judged(|credentials, _| match credentials {
        Credentials::Wrong | Credentials::Truncated => refusal(429),
        other => guarded(other),
    });
    assert_eq!(found.verdict, Verdict::Pass, "{found:#?}");
    assert!(
        found.detail.contains("a wrong credential (429)"),
        "{}",
        found.detail
    );
}

#[test]
fn refusals_with_an_id_of_their_own_are_the_same() {
    let mut calls = 0_u8;
    let found = judged(|credentials, _| {
        calls += 1;
        // Letters beyond the hexadecimal digits, as identifiers in base 36 have them.
        let id = char::from(b'g' + calls).to_string();
        if credentials == Credentials::Given {
            content()
        } else {
            Reply::json(401, &json!({"error": "no", "request": id}))
        }
    });
    assert_eq!(found.verdict, Verdict::Pass, "{found:#?}");
}

#[test]
fn doors_that_are_kept_badly_are_told() {
    let empty = judged(|credentials, _| match credentials {
        Credentials::Empty => content(),
        other => guarded(other),
    });
    assert_eq!(
        (empty.verdict, empty.severity),
        (Verdict::Fail, Severity::Critical)
    );
    assert!(empty.title.contains("an empty credential"), "{}", empty.title);
    let oracle = judged(|credentials, _| match credentials {
        Credentials::Truncated => Reply::json(401, &json!({"error": "too short"})),
        other => guarded(other),
    });
    assert_eq!(oracle.verdict, Verdict::Warn);
    assert!(oracle.title.contains("other words"), "{}", oracle.title);
    let crashes = judged(|credentials, _| match credentials {
        Credentials::Missing => refusal(500),
        other => guarded(other),
    });
    assert_eq!(crashes.verdict, Verdict::Warn);
    assert!(crashes.title.contains("status 500"), "{}", crashes.title);
    // It looks for a header and for nothing in it.
    let any = judged(|credentials, _| match credentials {
        Credentials::Missing => refusal(500),
        _ => content(),
    });
    assert_eq!((any.verdict, any.severity), (Verdict::Warn, Severity::Medium));
    assert!(any.title.contains("a wrong credential"), "{}", any.title);
}
