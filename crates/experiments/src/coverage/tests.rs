//! What each way of answering is called, and what is said of it.

use prony_model::{
    Budget, Endpoint, Expect, Finding, JsonText, Limits, Outcome, Parameter, PhaseResult, Place, Request,
    Role, SampleRequest, Surface, Verdict,
};
use serde_json::json;

use crate::fake::{Reply, complaints, run};
use crate::{BuildContext, RunView};

fn endpoint(path: &str, role: Role) -> Endpoint {
    Endpoint {
        name: format!("GET {path}"),
        method: "GET".into(),
        path: path.into(),
        role,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: vec![200],
        samples: vec![SampleRequest {
            request: Request::get(path),
            inputs: std::collections::BTreeMap::default(),
        }],
        expect: Expect {
            content_type: Some("application/json".into()),
            ..Expect::default()
        },
    }
}

fn surface() -> Surface {
    let mut takes_id = endpoint("/things/{id}", Role::Resource);
    takes_id.samples[0].request = Request::get("/things/1");
    let mut deletes = endpoint("/all", Role::Resource);
    deletes.method = "DELETE".into();
    deletes.name = "DELETE /all".into();
    Surface {
        found_by: vec!["openapi at /openapi.json".into()],
        endpoints: vec![
            takes_id,
            endpoint("/health", Role::Health),
            endpoint("/work", Role::Inference),
            deletes,
        ],
        ..Surface::default()
    }
}

fn by_id<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.id == id)
        .unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn supporting_endpoints_come_first_and_nothing_is_deleted() {
    let mut called = Vec::new();
    let (phases, findings) = run(&["coverage"], &surface(), Budget::Quick, |r| {
        called.push(r.label());
        Reply::json(200, &json!({}))
    });
    assert_eq!(called, ["GET /health", "GET /things/1", "GET /work"]);
    assert_eq!(phases[0].phase.name, "preflight");
    assert_eq!(complaints(&findings), [""; 0]);
    assert_eq!(
        by_id(&findings, "coverage").title,
        "3 of 4 endpoints answered correctly"
    );
}

#[test]
fn each_kind_of_failure_is_told_apart() {
    let answer = |status: u16, kind: &'static str| {
        move |r: &Request| match r.path.as_str() {
            "/things/1" => Reply::bytes(status, kind, b"{}".to_vec()),
            _ => Reply::json(200, &json!({})),
        }
    };
    for (status, kind, id, counted) in [
        (500, "application/json", "endpoint-fails", Verdict::Fail),
        (503, "application/json", "endpoint-fails", Verdict::Fail),
        (0, "", "endpoint-fails", Verdict::Fail),
        (404, "application/json", "no-valid-request", Verdict::Warn),
        (401, "application/json", "needs-credentials", Verdict::Warn),
        (429, "application/json", "rate-limited", Verdict::Warn),
        (302, "application/json", "endpoint-redirects", Verdict::Warn),
        (200, "text/html", "wrong-content-type", Verdict::Warn),
        (201, "application/json", "undocumented-status", Verdict::Warn),
    ] {
        let (_, findings) = run(&["coverage"], &surface(), Budget::Quick, answer(status, kind));
        assert_eq!(by_id(&findings, id).counted(), counted, "{status} {kind}");
        assert_eq!(by_id(&findings, id).endpoint, "GET /things/{id}");
        assert_eq!(by_id(&findings, "coverage").counted(), Verdict::Warn);
    }
}

#[test]
fn what_tells_how_the_target_is_may_fail_while_it_starts_and_is_used_all_the_same() {
    let mut asked = 0;
    let (phases, findings) = run(&["coverage"], &surface(), Budget::Quick, |r| {
        asked += usize::from(r.path == "/health");
        let starts = r.path == "/health" && asked == 1;
        Reply::json(if starts { 503 } else { 200 }, &json!({}))
    });
    assert_eq!(
        (asked, phases.len(), phases[1].phase.name.as_str()),
        (2, 2, "again")
    );
    assert_eq!(
        by_id(&findings, "endpoint-fails").title,
        "GET /health failed 1 of 2 valid requests, one at a time and without load"
    );
    assert_eq!(
        by_id(&findings, "coverage").title,
        "3 of 4 endpoints answered correctly"
    );
    let detail = &by_id(&findings, "coverage").detail;
    assert!(detail.contains("4 in all"), "{detail}");
    let surface = surface();
    let view = RunView {
        surface: &surface,
        phases: &phases,
        cores: 2,
        shared_host: true,
    };
    let names: Vec<&str> = view.working_endpoints().iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["GET /things/{id}", "GET /health", "GET /work"]);
    // What does work is not asked twice, and neither is anything of a target that answers nothing.
    for broken in ["/work", "/"] {
        let (phases, _) = run(&["coverage"], &surface, Budget::Quick, |r| {
            Reply::json(if r.path.starts_with(broken) { 500 } else { 200 }, &json!({}))
        });
        assert_eq!(phases.len(), 1, "{broken}");
    }
}

#[test]
fn an_endpoint_without_inputs_that_is_missing_is_the_documents_fault() {
    let (_, findings) = run(&["coverage"], &surface(), Budget::Quick, |r| {
        Reply::json(
            if r.path == "/work" { 404 } else { 200 },
            &json!({"detail": "Not Found"}),
        )
    });
    assert_eq!(by_id(&findings, "endpoint-absent").verdict, Verdict::Warn);
}

#[test]
fn an_endpoint_whose_inputs_are_optional_may_want_one_all_the_same() {
    let mut surface = surface();
    let optional = |name: &str| Parameter {
        name: name.into(),
        place: Place::Query,
        required: false,
        schema: JsonText::default(),
    };
    surface.endpoints[2].parameters = vec![optional("q"), optional("id")];
    let (_, findings) = run(&["coverage"], &surface, Budget::Quick, |r| {
        let status = if r.path == "/work" { 400 } else { 200 };
        Reply::json(status, &json!({"detail": "give q or id"}))
    });
    assert_eq!(by_id(&findings, "no-valid-request").endpoint, "GET /work");
    assert!(!findings.iter().any(|f| f.id == "endpoint-absent"));
}

#[test]
fn a_feed_of_events_is_no_fault() {
    let mut surface = surface();
    surface.endpoints.push(endpoint("/events", Role::Listing));
    let (mut phases, _) = run(&["coverage"], &surface, Budget::Quick, |r| {
        if r.path == "/events" {
            Reply::bytes(200, "text/event-stream", b"data: 1".to_vec())
        } else {
            Reply::json(200, &json!({}))
        }
    });
    let judged = |phases: &[PhaseResult]| {
        let limits = Limits::default();
        let context = BuildContext {
            surface: &surface,
            budget: Budget::Quick,
            time_s: 20.0,
            seed: 7,
            limits: &limits,
        };
        let view = RunView {
            surface: &surface,
            phases,
            cores: 2,
            shared_host: true,
        };
        let experiment = (super::DEF.build)(&context, &json!({})).unwrap();
        experiment.conclude(&view)
    };
    for outcome in [Outcome::BodyTimeout, Outcome::Interrupted] {
        let index = phases[0].scenario("GET /events").unwrap();
        let phase = &mut phases[0];
        phase
            .captures
            .iter_mut()
            .filter(|c| c.scenario == index)
            .for_each(|c| c.outcome = outcome);
        phase
            .samples
            .iter_mut()
            .filter(|s| s.scenario == index)
            .for_each(|s| s.outcome = outcome);
        let findings = judged(&phases);
        assert!(
            findings.iter().all(|f| f.endpoint != "GET /events"),
            "{findings:?}"
        );
        assert_eq!(
            by_id(&findings, "coverage").title,
            "3 of 5 endpoints answered correctly"
        );
    }
}
