//! Do the status endpoints tell the truth? What they say about readiness is held against whether the work they speak
//! for was answered before they were asked again.
//!
//! It must not know what loads when: only that "not loaded" after a correct answer, or "ready" beside failures,
//! cannot both be so.

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Phase, PhaseResult, Role, Scenario, Severity, Shape,
    Source, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, answers, bounded_to};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::identity::stand_in;
use crate::leaf::{Leaf, has_word, leaves};
use crate::mutation::json_body;
use crate::relation::{Reach, parent, reach, tells_state};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "status";
const PHASE: &str = "after-work";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Status endpoints",
    question: "Do the status endpoints agree with what the target does?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.5, 0.5, 0.5],
        most_s: [10.0, 10.0, 10.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let StatusParams {} = params(value)?;
        Ok(Box::new(Status {
            limits: context.limits.clone(),
            planned: false,
        }))
    },
    schema: || schema_for!(StatusParams),
    example: "[experiment.status]\n",
};

/// The status experiment takes no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusParams {}

struct Status {
    limits: Limits,
    planned: bool,
}

impl Experiment for Status {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let scenarios: Vec<Scenario> = run
            .working_endpoints()
            .into_iter()
            .filter(|e| tells_state(e))
            .filter_map(|e| {
                let first = e.samples.first()?;
                let item = Item {
                    request: first.request.clone(),
                    expect: e.expect.clone(),
                };
                Some(Scenario::new(e.name.clone(), vec![item]))
            })
            .collect();
        if scenarios.is_empty() {
            return Step::Done;
        }
        Step::Run(Phase {
            name: PHASE.to_owned(),
            experiment: NAME.to_owned(),
            capture: Capture::responses(scenarios.len() as u32),
            scenarios,
            shape: Shape::Once { duration_s: None },
            limits: self.limits.clone(),
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASE) else {
            return Vec::new();
        };
        let claims: Vec<Claims<'_>> = run
            .surface
            .endpoints
            .iter()
            .filter(|e| tells_state(e))
            .filter_map(|e| Claims::read(run, e, phase))
            .collect();
        let mut found = Vec::new();
        let mut rows = Vec::new();
        for status in &claims {
            rows.extend(status.rows());
            found.extend(status.contradicted(run, phase));
            found.extend(status.flattering(run, phase));
        }
        found.extend(disagreements(&claims, phase));
        if !rows.is_empty() {
            found.insert(0, overview(rows, &found, phase));
        }
        found
    }
}

/// One thing that a status endpoint says about readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    field: String,
    text: String,
    ready: bool,
    /// Of an element of a list: what the element is called, if anything. `None` outside of lists.
    of: Option<Vec<String>>,
}

impl Claim {
    /// Whether it is the same thing that is spoken of, and it can be told.
    fn is_about_that_of(&self, other: &Self) -> bool {
        self.field == other.field
            && self.of == other.of
            && self.of.as_ref().is_none_or(|names| !names.is_empty())
    }
}

/// What a status endpoint says, first and after the work.
struct Claims<'a> {
    endpoint: &'a Endpoint,
    before: Vec<Claim>,
    after: Vec<Claim>,
}

/// The work that a status endpoint speaks for, as far as it was called.
struct Work<'a> {
    endpoint: &'a Endpoint,
    ok: usize,
    server_failures: usize,
    sent: usize,
}

impl Work<'_> {
    /// Whether one of its requests names that: as a part of its path, or as a value in its body.
    fn names(&self, name: &str) -> bool {
        self.endpoint.samples.iter().any(|sample| {
            let path = sample.request.path.split(['/', '?', '=', '&']);
            let in_path = path.into_iter().any(|part| part.eq_ignore_ascii_case(name));
            in_path
                || json_body(&sample.request).is_some_and(|body| {
                    leaves(&body)
                        .iter()
                        .any(|leaf| leaf.text().eq_ignore_ascii_case(name))
                })
        })
    }
}

impl<'a> Claims<'a> {
    fn read(run: &RunView<'a>, endpoint: &'a Endpoint, phase: &PhaseResult) -> Option<Self> {
        let of = |phase: &PhaseResult| {
            answers(phase, &endpoint.name)
                .iter()
                .rfind(|a| a.is_ok())
                .and_then(Answer::json)
                .map(|d| claims(&d))
        };
        let before = run
            .phase("coverage", "preflight")
            .and_then(of)
            .unwrap_or_default();
        Some(Self {
            endpoint,
            before,
            after: of(phase)?,
        })
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.after
            .iter()
            .map(|now| {
                let before = self
                    .before
                    .iter()
                    .find(|b| b.field == now.field && b.of == now.of);
                vec![
                    self.endpoint.name.clone(),
                    bounded_to(&now.field, 60),
                    before.map_or_else(|| "-".to_owned(), |b| bounded_to(&b.text, 40)),
                    bounded_to(&now.text, 40),
                ]
            })
            .collect()
    }

    /// The work it speaks for. Of the whole target that is inference alone.
    fn work(&self, run: &RunView<'a>) -> (Reach, Vec<Work<'a>>) {
        let mut reached = Reach::Nothing;
        let mut found = Vec::new();
        for work in run.surface.endpoints.iter().filter(|e| e.is_work()) {
            let how = reach(self.endpoint, work);
            if how == Reach::Nothing || (how == Reach::Whole && work.role != Role::Inference) {
                continue;
            }
            let seen: Vec<Answer<'_>> = ["coverage", "diversity"]
                .iter()
                .flat_map(|name| run.of(name).collect::<Vec<_>>())
                .flat_map(|phase| answers(phase, &work.name))
                .collect();
            if seen.is_empty() {
                continue;
            }
            reached = how;
            found.push(Work {
                endpoint: work,
                ok: seen.iter().filter(|a| a.is_ok()).count(),
                server_failures: seen.iter().filter(|a| a.sample.status >= 500).count(),
                sent: seen.len(),
            });
        }
        (reached, found)
    }

    /// Whether what it says holds for that work. An element of a list speaks for the work that names it, and each for all where
    /// all say the same: one model may be away while another serves.
    fn speaks_for(&self, claim: &Claim, work: &[Work<'a>]) -> bool {
        let Some(names) = &claim.of else {
            return true;
        };
        let mut others = self.after.iter().filter(|other| other.field == claim.field);
        others.all(|other| other.ready == claim.ready)
            || work.iter().any(|w| names.iter().any(|name| w.names(name)))
    }

    /// "Not ready" after correct answers.
    fn contradicted(&self, run: &RunView<'a>, phase: &PhaseResult) -> Option<Finding> {
        let (reached, work) = self.work(run);
        let claim = self
            .after
            .iter()
            .filter(|c| reached == Reach::Part || is_general(&c.field))
            .find(|c| !c.ready && self.speaks_for(c, &work))?;
        let doubtful = reached == Reach::Whole && work.iter().any(|w| w.ok == 0);
        let proof = work.iter().filter(|w| w.ok > 0).max_by_key(|w| w.ok)?;
        if doubtful {
            return None;
        }
        let here = source(phase, &self.endpoint.name);
        let why = work
            .iter()
            .find_map(|w| stand_in(run, w.endpoint))
            .map_or_else(String::new, |said| {
                format!(" Its answers name a stand-in ({said}), which would explain both.")
            });
        Some(
            Draft::new(NAME, "status-contradiction", &self.endpoint.name)
                .verdict(Verdict::Fail, Severity::Medium)
                .title(format!(
                    "{} says `{}: {}` after {} had answered correctly",
                    self.endpoint.name,
                    bounded_to(&claim.field, 60),
                    bounded_to(&claim.text, 40),
                    proof.endpoint.name
                ))
                .detail(format!(
                    "{} of {} requests to {} were answered correctly before the status was read again. Either the \
                     status is not kept, or something other than the model answered.{why}",
                    proof.ok, proof.sent, proof.endpoint.name
                ))
                .figure("correct answers before the status was read", proof.ok as f64, "", proof.sent, &here)
                .quote("the status", &format!("{}: {}", claim.field, claim.text), &here)
                .advice(
                    "Set the status from the state that the endpoint itself uses.",
                    "Readiness probes and dashboards act on this field.",
                )
                .done(),
        )
    }

    /// "Ready" while everything it speaks for fails.
    fn flattering(&self, run: &RunView<'a>, phase: &PhaseResult) -> Option<Finding> {
        let (reached, work) = self.work(run);
        let claim = self.after.iter().find(|c| c.ready && self.speaks_for(c, &work))?;
        let down = work.iter().find(|w| w.ok == 0 && w.server_failures > 0)?;
        if reached != Reach::Part || work.iter().any(|w| w.ok > 0) {
            return None;
        }
        let here = source(phase, &self.endpoint.name);
        Some(
            Draft::new(NAME, "status-contradiction", &self.endpoint.name)
                .verdict(Verdict::Fail, Severity::Medium)
                .title(format!(
                    "{} says `{}: {}` while {} fails",
                    self.endpoint.name,
                    bounded_to(&claim.field, 60),
                    bounded_to(&claim.text, 40),
                    down.endpoint.name
                ))
                .detail(format!(
                    "{} of {} requests to {} ended in a server error and none was answered correctly.",
                    down.server_failures, down.sent, down.endpoint.name
                ))
                .figure("server errors", down.server_failures as f64, "", down.sent, &here)
                .quote("the status", &format!("{}: {}", claim.field, claim.text), &here)
                .advice("Let the status check what the endpoint needs.", "")
                .done(),
        )
    }
}

fn overview(rows: Vec<Vec<String>>, found: &[Finding], phase: &PhaseResult) -> Finding {
    let wrong = found.iter().filter(|f| f.verdict > Verdict::Pass).count();
    Draft::new(NAME, "status", "")
        .verdict(Verdict::worst(found.iter().map(Finding::counted)), Severity::Info)
        .advisory()
        .title(if wrong == 0 {
            "The status endpoints agree with what the target does".to_owned()
        } else {
            let are = if wrong == 1 {
                "statement is"
            } else {
                "statements are"
            };
            format!("{wrong} {are} at odds with what the target does")
        })
        .detail("Each was read with the first requests and again after work had been answered.")
        .table(
            "What the status endpoints say",
            &["Endpoint", "Field", "At first", "After the work"],
            rows,
            &Source {
                phase: Some(phase.index),
                scenario: String::new(),
            },
        )
        .done()
}

/// Two endpoints that speak for the same part and say opposite things under the same name.
fn disagreements(claims: &[Claims<'_>], phase: &PhaseResult) -> Vec<Finding> {
    let mut found = Vec::new();
    for (k, a) in claims.iter().enumerate() {
        for b in &claims[k + 1..] {
            let whole = |c: &Claims<'_>| reach(c.endpoint, c.endpoint) == Reach::Whole;
            let same_part = parent(&a.endpoint.path) == parent(&b.endpoint.path) || (whole(a) && whole(b));
            let opposite = a.after.iter().find_map(|x| {
                b.after
                    .iter()
                    .find(|y| y.is_about_that_of(x) && y.ready != x.ready)
                    .map(|y| (x, y))
            });
            let (true, Some((x, y))) = (same_part, opposite) else {
                continue;
            };
            found.push(
                Draft::new(NAME, "status-disagreement", &a.endpoint.name)
                    .verdict(Verdict::Warn, Severity::Low)
                    .advisory()
                    .title(format!(
                        "{} and {} say opposite things about `{}`",
                        a.endpoint.name,
                        b.endpoint.name,
                        bounded_to(&x.field, 60)
                    ))
                    .detail("Both were read one after the other, with no work between them.")
                    .quote(
                        &a.endpoint.name,
                        &format!("{}: {}", x.field, x.text),
                        &source(phase, &a.endpoint.name),
                    )
                    .quote(
                        &b.endpoint.name,
                        &format!("{}: {}", y.field, y.text),
                        &source(phase, &b.endpoint.name),
                    )
                    .done(),
            );
        }
    }
    found
}

fn claims(document: &Value) -> Vec<Claim> {
    let all = leaves(document);
    let claims = all.iter().filter_map(|leaf| {
        let claim = claim(leaf)?;
        let of = leaf.path.contains('[').then(|| called(&leaf.path, &all));
        Some(Claim { of, ..claim })
    });
    claims.take(50).collect()
}

/// What the elements of lists are called that a path leads through: their names and ids.
fn called(path: &str, all: &[Leaf]) -> Vec<String> {
    let names = all.iter().filter(|leaf| {
        let element = leaf
            .path
            .strip_suffix(leaf.key())
            .filter(|start| start.ends_with("]."));
        element.is_some_and(|start| path.starts_with(start))
            && prony_model::name_words(leaf.key())
                .last()
                .is_some_and(|word| ["name", "id", "model"].contains(&word.as_str()))
    });
    names.map(Leaf::text).collect()
}

/// What a leaf says about readiness, if it does.
fn claim(leaf: &Leaf) -> Option<Claim> {
    const STATES: &[&str] = &[
        "loaded",
        "ready",
        "initialized",
        "initialised",
        "available",
        "healthy",
        "operational",
        "online",
    ];
    const NOT_READY: &[&str] = &[
        "loading",
        "not_loaded",
        "not loaded",
        "unloaded",
        "unavailable",
        "initializing",
        "initialising",
        "starting",
        "down",
        "offline",
        "not_ready",
        "not ready",
        "unhealthy",
        "uninitialized",
    ];
    const READY: &[&str] = &[
        "loaded",
        "ready",
        "ok",
        "up",
        "healthy",
        "available",
        "online",
        "running",
        "serving",
        "healthy.",
    ];
    let key = leaf.key();
    let about_hardware = has_word(
        key,
        &[
            "cuda", "gpu", "mps", "tpu", "cache", "disk", "redis", "db", "database",
        ],
    );
    if about_hardware {
        return None;
    }
    let state = |ready: bool| Claim {
        field: leaf.pattern.clone(),
        text: leaf.text(),
        ready,
        of: None,
    };
    match &leaf.value {
        Value::Bool(value)
            if prony_model::name_words(key)
                .last()
                .is_some_and(|w| STATES.contains(&w.as_str())) =>
        {
            Some(state(*value))
        }
        Value::String(text) if has_word(key, &["status", "state"]) => {
            let said = text.trim().to_lowercase().replace('-', "_");
            if NOT_READY.contains(&said.as_str()) {
                Some(state(false))
            } else {
                READY.contains(&said.as_str()).then(|| state(true))
            }
        }
        _ => None,
    }
}

/// Whether a field of a global status speaks for the target's work and not for one of its parts.
fn is_general(field: &str) -> bool {
    let parts = prony_model::name_words(field.trim_end_matches("[]"));
    !field.contains('.')
        && parts.iter().all(|w| {
            [
                "is",
                "model",
                "models",
                "loaded",
                "ready",
                "healthy",
                "initialized",
                "initialised",
                "available",
                "status",
                "state",
                "service",
            ]
            .contains(&w.as_str())
        })
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Finding, Request, Surface, Verdict};
    use serde_json::{Value, json};

    use super::claims;
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
}
