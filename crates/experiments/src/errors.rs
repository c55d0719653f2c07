//! Do errors speak one language, and do refusals say when to come back? Every error kept so far is looked at; nothing is sent.
//!
//! It must not know any endpoint, nor which form is right: only that one endpoint ought to have one.

mod disguised;

use std::collections::BTreeSet;

use prony_model::{
    Budget, Captured, Endpoint, Finding, Outcome, PhaseResult, Role, Severity, Source, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::draft::Draft;
use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "errors";

/// Fewest refusals from which a habit is told.
const REFUSALS_MIN: usize = 3;
/// Share of refusals that must say when to come back.
const TOLD_MIN: f64 = 0.95;
/// Rows shown.
const ROWS_MAX: usize = 12;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Errors",
    question: "Do errors have one form, and do refusals say when to come back?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage", "input-validation"],
    time: Time::None,
    build: |_, value| {
        let ErrorsParams {} = params(value)?;
        Ok(Box::new(Errors))
    },
    schema: || schema_for!(ErrorsParams),
    example: "[experiment.errors]\n",
};

/// The experiment takes no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorsParams {}

struct Errors;

impl Experiment for Errors {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let errors = collect(run);
        let forms = envelopes(&errors).into_iter().chain(come_back(&errors));
        forms.chain(disguised::findings(run)).collect()
    }
}

/// An error that an endpoint answered with.
struct Seen<'a> {
    endpoint: &'a str,
    captured: &'a Captured,
    here: Source,
}

/// The errors of endpoints that do work or list, but for those of a gateway in front: it does not speak the service's language.
fn collect<'a>(run: &RunView<'a>) -> Vec<Seen<'a>> {
    let mut found = Vec::new();
    for phase in run.phases {
        for captured in phase.captures.iter().filter(|c| is_own_error(c)) {
            if let Some(endpoint) = endpoint_of(run, phase, captured) {
                found.push(Seen {
                    endpoint: &endpoint.name,
                    captured,
                    here: crate::draft::source(
                        phase,
                        &phase.phase.scenarios[usize::from(captured.scenario)].name,
                    ),
                });
            }
        }
    }
    found
}

fn is_own_error(captured: &Captured) -> bool {
    (400..600).contains(&captured.status)
        && !matches!(captured.status, 502 | 504 | 520..=530)
        && captured.outcome != Outcome::PlatformBusy
}

/// The endpoint whose scenario it was: scenarios bear its name, some with words after it. Requests to another path or method are
/// the router's and not the endpoint's.
fn endpoint_of<'a>(run: &RunView<'a>, phase: &PhaseResult, captured: &Captured) -> Option<&'a Endpoint> {
    let scenario = phase.phase.scenarios.get(usize::from(captured.scenario))?;
    let is_its = |endpoint: &&Endpoint| {
        let rest = scenario.name.strip_prefix(&endpoint.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
    };
    let told = matches!(captured.status, 404 | 405);
    let sent = scenario
        .items
        .get(captured.item as usize)
        .map(|item| &item.request);
    // A suite's own scenario is called as its author likes: what it sent tells.
    let is_sent_to = |endpoint: &&Endpoint| {
        let path = sent.map(|r| r.path.split('?').next().unwrap_or_default());
        path == Some(endpoint.path.as_str()) && sent.is_some_and(|r| r.method == endpoint.method)
    };
    let endpoints = || {
        run.surface
            .endpoints
            .iter()
            .filter(|e| !matches!(e.role, Role::Health | Role::Metrics | Role::Docs | Role::Status))
            .filter(|_| !told)
    };
    endpoints()
        .filter(is_its)
        .max_by_key(|e| e.name.len())
        .or_else(|| endpoints().find(is_sent_to))
}

/// The form of a JSON error, by the names that carry it; `None` when it is no JSON object or names nothing known.
fn envelope(body: &Value) -> Option<&'static str> {
    let object = body.as_object()?;
    let has = |name: &str| object.contains_key(name);
    let inner = |name: &str| object.get("error").and_then(|e| e.get(name)).is_some();
    if has("error") && has("type") {
        Some("{type, error: {...}}")
    } else if has("error") && (inner("param") || inner("code")) {
        Some("{error: {message, type, param, code}}")
    } else if object.get("error").is_some_and(Value::is_object) {
        Some("{error: {...}}")
    } else if has("error") {
        Some("{error: text}")
    } else if has("title") && (has("status") || has("type")) {
        Some("{type, title, status, detail}")
    } else if has("detail") {
        Some("{detail}")
    } else if has("errors") {
        Some("{errors}")
    } else if has("message") || has("msg") {
        Some("{message}")
    } else {
        None
    }
}

/// A warning where one endpoint answers with errors of several forms.
fn envelopes(errors: &[Seen<'_>]) -> Option<Finding> {
    let mut forms: BTreeSet<(&str, &'static str, u16)> = BTreeSet::new();
    let mut n = 0;
    for seen in errors {
        if let Some(form) = seen.captured.json().as_ref().and_then(envelope) {
            n += 1;
            forms.insert((seen.endpoint, form, seen.captured.status));
        }
    }
    let here = &errors.first()?.here;
    let of = |endpoint: &str| -> BTreeSet<&'static str> {
        forms
            .iter()
            .filter(|(e, ..)| *e == endpoint)
            .map(|(_, form, _)| *form)
            .collect()
    };
    let endpoints: BTreeSet<&str> = forms.iter().map(|(e, ..)| *e).collect();
    let mixed: Vec<&str> = endpoints.iter().copied().filter(|e| of(e).len() > 1).collect();
    let draft = Draft::new(NAME, "error-envelopes", "").advisory();
    if n == 0 {
        return None;
    }
    let Some(most) = mixed.iter().copied().max_by_key(|e| of(e).len()) else {
        return Some(
            draft
                .title(format!(
                    "The errors of each endpoint have one form: {n} errors, {} endpoints",
                    endpoints.len()
                ))
                .figure("errors looked at", f64::from(n), "", n as usize, here)
                .done(),
        );
    };
    let together: BTreeSet<&'static str> = mixed.iter().flat_map(|e| of(e)).collect();
    let rows = forms
        .iter()
        .filter(|(e, ..)| mixed.contains(e))
        .take(ROWS_MAX)
        .map(|(e, form, status)| vec![(*e).to_owned(), status.to_string(), (*form).to_owned()])
        .collect();
    let endpoint = if mixed.len() == 1 { most } else { "" };
    Some(
        Draft::new(NAME, "error-envelopes", endpoint)
            .advisory()
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "Errors come in {} different forms, {} of them from {most} alone",
                together.len(),
                of(most).len()
            ))
            .detail(format!(
                "{n} errors of {} endpoints were looked at, but for those of unknown paths and of gateways. A client of one of these \
                 endpoints has to read several forms to learn what went wrong, and client libraries know one.",
                endpoints.len()
            ))
            .figure("different forms", together.len() as f64, "", n as usize, here)
            .table("Forms of errors", &["Endpoint", "Status", "Form"], rows, here)
            .advice("Write every error in the form of the API that is spoken, also those of the framework.", "")
            .done(),
    )
}

/// A warning where refusals with 429 or 503 do not say when to come back.
fn come_back(errors: &[Seen<'_>]) -> Option<Finding> {
    let refusals: Vec<&Seen<'_>> = errors
        .iter()
        .filter(|seen| matches!(seen.captured.status, 429 | 503))
        .collect();
    if refusals.len() < REFUSALS_MIN {
        return None;
    }
    let silent: Vec<&&Seen<'_>> = refusals
        .iter()
        .filter(|seen| seen.captured.header("retry-after").is_none())
        .collect();
    let told = refusals.len() - silent.len();
    let n = refusals.len();
    let here = &silent.first().copied().unwrap_or(&refusals[0]).here;
    let draft = Draft::new(NAME, "no-retry-after", "")
        .advisory()
        .figure("refusals with 429 or 503", n as f64, "", n, here)
        .figure("of these, with Retry-After", told as f64, "", n, here);
    if told as f64 >= TOLD_MIN * n as f64 {
        return Some(
            draft
                .title(format!("{told} of {n} refusals say when to come back"))
                .done(),
        );
    }
    let statuses: BTreeSet<u16> = silent.iter().map(|seen| seen.captured.status).collect();
    let named: Vec<String> = statuses.iter().map(u16::to_string).collect();
    let endpoint = silent[0].endpoint;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for status in [429, 503] {
        let of = || refusals.iter().filter(|seen| seen.captured.status == status);
        let with = of()
            .filter(|seen| seen.captured.header("retry-after").is_some())
            .count();
        if of().count() > 0 {
            rows.push(vec![
                status.to_string(),
                of().count().to_string(),
                with.to_string(),
            ]);
        }
    }
    Some(
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "Refusals with {} do not say when to come back: {} of {n} have no Retry-After, as at {endpoint}",
                named.join(" and "),
                silent.len()
            ))
            .table("Refusals", &["Status", "Refusals", "With Retry-After"], rows, here)
            .advice(
                "Send Retry-After with every 429 and 503 (RFC 9110, 10.2.3): clients that are not told come back at once, and all \
                 together.",
                "",
            )
            .done(),
    )
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Header, Limits, PhaseResult, Surface, Verdict};
    use serde_json::json;

    use super::{collect, come_back, envelope};
    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{Reply, perform_times, run};
    use crate::{BuildContext, RunView, Step, find};

    fn view<'a>(surface: &'a Surface, phases: &'a [PhaseResult]) -> RunView<'a> {
        RunView {
            surface,
            phases,
            cores: 2,
            shared_host: true,
        }
    }

    /// What is said of a target that answers well until an experiment loads it, and then refuses with these headers.
    fn refusing_under_load(name: &str, headers: &[Header]) -> Option<Verdict> {
        let surface = surface();
        let mut library = Library::new(Faults::default());
        let (mut phases, _) = run(&["coverage", "baseline"], &surface, Budget::Quick, |r| {
            library.answer(r)
        });
        let def = find(name).unwrap();
        let limits = Limits::default();
        let context = BuildContext {
            surface: &surface,
            budget: Budget::Quick,
            time_s: def.time.most_s(Budget::Quick),
            seed: 7,
            limits: &limits,
        };
        let mut experiment = (def.build)(&context, &json!({})).expect("defaults are accepted");
        let Step::Run(planned) = experiment.next(&view(&surface, &phases)) else {
            panic!("{name} has nothing to run");
        };
        let mut refuse = |_: usize| Reply {
            headers: headers.to_vec(),
            ..Reply::bytes(503, "text/plain", b"busy".to_vec())
        };
        let index = phases.len() as u16;
        phases.push(perform_times(&planned, index, 4, &mut refuse));
        come_back(&collect(&view(&surface, &phases))).map(|f| f.verdict)
    }

    #[test]
    fn refusals_under_load_alone_are_looked_at() {
        for name in ["burst", "ladder"] {
            assert_eq!(refusing_under_load(name, &[]), Some(Verdict::Warn), "{name}");
            let told = [Header::new("retry-after", "1")];
            assert_eq!(refusing_under_load(name, &told), Some(Verdict::Pass), "{name}");
        }
    }

    #[test]
    fn forms_are_told_apart_by_what_carries_the_words() {
        let forms = [
            json!({"type": "error", "error": {"type": "a", "message": "b"}}),
            json!({"error": {"message": "b", "type": "a", "param": null, "code": null}}),
            json!({"error": {"type": "a", "message": "b"}}),
            json!({"error": "b"}),
            json!({"type": "about:blank", "title": "b", "status": 400}),
            json!({"detail": "b"}),
            json!({"message": "b"}),
        ];
        let seen: std::collections::BTreeSet<_> = forms.iter().map(|form| envelope(form).unwrap()).collect();
        assert_eq!(seen.len(), forms.len());
        // A framework's own two: one word and a list are one form.
        assert_eq!(
            envelope(&json!({"detail": [{"msg": "b"}]})),
            envelope(&json!({"detail": "b"}))
        );
        assert_eq!(envelope(&json!(["b"])), None);
    }
}
