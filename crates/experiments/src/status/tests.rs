//! Status endpoints that follow the work, and such as do not.

use prony_model::{Budget, Finding, Request, Surface, Verdict};
use serde_json::{Value, json};

use super::words::claims;
use crate::fake::library::{Faults, Library, surface};
use crate::fake::{Reply, complaints, run};

const ALL: [&str; 3] = ["coverage", "diversity", "status"];

fn judged(faults: Faults) -> Vec<Finding> {
    let mut library = Library::new(faults);
    run(&ALL, &surface(), Budget::Standard, |r| library.answer(r)).1
}

/// The library with a global health answer of our own.
fn with_health(health: &Value, target: &mut dyn FnMut(&Request) -> Option<Reply>) -> Vec<Finding> {
    let mut library = Library::new(Faults::default());
    run(&ALL, &surface(), Budget::Standard, |r| match r.path.as_str() {
        "/healthz" => Reply::json(200, health),
        _ => target(r).unwrap_or_else(|| library.answer(r)),
    })
    .1
}

#[test]
fn a_status_that_follows_the_work_is_left_alone() {
    let findings = judged(Faults::default());
    assert_eq!(complaints(&findings), [""; 0]);
    assert!(
        findings
            .iter()
            .any(|f| f.id == "status" && f.verdict == Verdict::Pass)
    );
}

#[test]
fn not_loaded_after_an_answer_is_a_contradiction() {
    let findings = judged(Faults {
        status_lies: true,
        ignores_query: true,
        ..Faults::default()
    });
    let lie = findings
        .iter()
        .find(|f| f.id == "status-contradiction")
        .expect("found");
    assert_eq!(
        (lie.verdict, lie.endpoint.as_str()),
        (Verdict::Fail, "GET /v1/search/status")
    );
    assert!(lie.detail.contains("keyword-fallback"), "{}", lie.detail);
}

#[test]
fn a_health_answer_is_judged_by_its_general_fields_only() {
    let mut nothing = |_: &Request| None;
    let found = |health: Value, target: &mut dyn FnMut(&Request) -> Option<Reply>| {
        complaints(&with_health(&health, target)).contains(&"status-contradiction")
    };
    assert!(found(json!({"model_loaded": false}), &mut nothing));
    assert!(!found(
        json!({"model_loaded": true, "cuda_available": false}),
        &mut nothing
    ));
    assert!(!found(
        json!({"components": {"ranker_loaded": false}}),
        &mut nothing
    ));
    let mut one_fails =
        |r: &Request| (r.path == "/v1/classify").then(|| Reply::json(503, &json!({"error": "no model"})));
    assert!(!found(json!({"model_loaded": false}), &mut one_fails));
}

/// Whether the status of the search is called a contradiction, where it lists the state of these models.
fn contradicts(models: &Value, search_fails: bool) -> bool {
    let mut target = |r: &Request| match r.path.as_str() {
        "/v1/search" if search_fails => Some(Reply::json(500, &json!({}))),
        "/v1/search/status" => Some(Reply::json(200, &json!({ "models": models }))),
        _ => None,
    };
    let findings = with_health(&json!({"status": "ok"}), &mut target);
    complaints(&findings).contains(&"status-contradiction")
}

#[test]
fn another_models_state_contradicts_nothing() {
    let model = |name: &str, state: &str| json!({"name": name, "state": state});
    let (up, down) = (model("a", "READY"), model("b", "UNAVAILABLE"));
    assert!(!contradicts(&json!([up, down]), false));
    assert!(!contradicts(&json!([up, down]), true));
    // The search is asked about this one.
    let named = model("alpha-1", "UNAVAILABLE");
    assert!(contradicts(&json!([up, named]), false));
    assert!(contradicts(&json!([down, model("c", "UNAVAILABLE")]), false));
    assert!(contradicts(&json!([up, model("c", "READY")]), true));
}

#[test]
fn ready_beside_failures_is_a_contradiction() {
    let mut search_fails = |r: &Request| match r.path.as_str() {
        "/v1/search" => Some(Reply::json(500, &json!({}))),
        "/v1/search/status" => Some(Reply::json(200, &json!({"ranker_loaded": true}))),
        _ => None,
    };
    let findings = with_health(&json!({"status": "ok"}), &mut search_fails);
    assert!(
        findings
            .iter()
            .any(|f| f.id == "status-contradiction" && f.title.contains("while POST /v1/search fails"))
    );
}

#[test]
fn two_health_endpoints_that_disagree() {
    let mut twice: Surface = surface();
    let mut other = twice.endpoints[0].clone();
    other.name = "GET /api/health".into();
    other.path = "/api/health".into();
    other.samples[0].request = Request::get("/api/health");
    twice.endpoints.push(other);
    let mut library = Library::new(Faults::default());
    let (_, findings) = run(&ALL, &twice, Budget::Quick, |r| match r.path.as_str() {
        "/healthz" => Reply::json(200, &json!({"db": "x", "ready": true})),
        "/api/health" => Reply::json(200, &json!({"ready": false})),
        _ => library.answer(r),
    });
    assert!(complaints(&findings).contains(&"status-disagreement"));
    let (_, findings) = run(&ALL, &twice, Budget::Quick, |r| match r.path.as_str() {
        "/healthz" | "/api/health" => Reply::json(
            200,
            &json!([{"id": "a", "ready": true}, {"id": "b", "ready": false}]),
        ),
        _ => library.answer(r),
    });
    assert!(!complaints(&findings).contains(&"status-disagreement"));
}

#[test]
fn fields_that_tell_readiness() {
    let said = |v: Value| claims(&v).into_iter().map(|c| c.ready).collect::<Vec<_>>();
    assert_eq!(
        said(json!({"model_loaded": false, "state": "ready", "device": "cpu"})),
        [false, true]
    );
    assert_eq!(
        said(json!({"gpu_available": false, "status": "whatever", "loaded": 1})),
        [false; 0]
    );
    assert_eq!(said(json!({"status": "NOT-LOADED"})), [false]);
}

/// The complaints about the status of the search, where it says this, each with its verdict.
fn of_search(status: &Value, search_fails: bool) -> Vec<(String, Verdict)> {
    let mut target = |r: &Request| match r.path.as_str() {
        "/v1/search" if search_fails => Some(Reply::json(500, &json!({}))),
        "/v1/search/status" => Some(Reply::json(200, status)),
        _ => None,
    };
    with_health(&json!({"status": "ok"}), &mut target)
        .into_iter()
        .filter(|f| f.id == "status-contradiction")
        .map(|f| (f.title.clone(), f.counted()))
        .collect()
}

#[test]
fn what_the_work_may_do_without_contradicts_nothing() {
    for status in [
        json!({"index_loaded": true, "reranker_available": false}),
        json!({"update_available": false}),
        json!({"gpu_available": false, "uploads_online": false}),
    ] {
        let found = of_search(&status, false);
        assert!(found.is_empty(), "{status}: {found:?}");
    }
    let found = of_search(&json!({"update_available": true}), true);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_a_status_says_of_something_else_is_a_warning() {
    for (status, fails) in [
        (json!({"index_loaded": false}), false),
        (json!({"translator": {"status": "down"}}), false),
        (json!({"index_loaded": true}), true),
    ] {
        let found = of_search(&status, fails);
        assert_eq!(found.len(), 1, "{status}");
        assert_eq!(found[0].1, Verdict::Warn, "{status}");
    }
}

#[test]
fn what_a_status_says_of_the_work_itself_is_a_failure() {
    for status in [
        json!({"model_loaded": false}),
        json!({"status": "not loaded"}),
        json!({"search_ready": false}),
        json!({"engine": {"ready": false}}),
        // The answers of the search name the ranker that made them; what is said of the work counts for more.
        json!({"index_loaded": false, "ranker_loaded": false}),
    ] {
        let found = of_search(&status, false);
        assert_eq!(found.len(), 1, "{status}");
        assert_eq!(found[0].1, Verdict::Fail, "{status}");
    }
    let found = of_search(&json!({"model_loaded": true}), true);
    assert_eq!(found[0].1, Verdict::Fail);
}
