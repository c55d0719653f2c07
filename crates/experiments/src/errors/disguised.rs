//! Errors that call themselves a success: a 2xx whose body says nothing but what went wrong. It must not know any API.

use std::collections::BTreeMap;

use prony_model::{Captured, Finding, Severity, Source, Verdict};

use super::{NAME, endpoint_of};
use crate::RunView;
use crate::answer::{bounded, is_only_error};
use crate::draft::{Draft, source};

/// Answers of one endpoint.
#[derive(Default)]
struct Tally<'a> {
    seen: usize,
    example: Option<(&'a Captured, Source)>,
}

/// A warning for each endpoint that answers bad requests with an error and a good status. What good requests get is judged by the
/// preflight.
pub(super) fn findings(run: &RunView<'_>) -> Vec<Finding> {
    let mut tallies: BTreeMap<&str, Tally<'_>> = BTreeMap::new();
    for phase in run
        .phases
        .iter()
        .filter(|p| p.phase.experiment == "input-validation")
    {
        let disguised = phase
            .captures
            .iter()
            .filter(|c| (200..300).contains(&c.status) && c.json().as_ref().is_some_and(is_only_error));
        for captured in disguised {
            let Some(endpoint) = endpoint_of(run, phase, captured) else {
                continue;
            };
            // A tool over JSON-RPC tells its errors within a good status, as it should.
            if endpoint.is_tool() {
                continue;
            }
            let scenario = &phase.phase.scenarios[usize::from(captured.scenario)].name;
            let tally = tallies.entry(&endpoint.name).or_default();
            tally.seen += 1;
            tally
                .example
                .get_or_insert_with(|| (captured, source(phase, scenario)));
        }
    }
    let finding = |(endpoint, tally): (&str, Tally<'_>)| {
        let (captured, here) = tally.example?;
        Some(
            Draft::new(NAME, "error-with-good-status", endpoint)
                .verdict(Verdict::Warn, Severity::Medium)
                .advisory()
                .title(format!("{endpoint} answers bad requests with {} and an error in the body", captured.status))
                .detail(
                    "Clients, retries, load balancers and monitors go by the status: for them each of these errors is a success, and \
                     the error rate that they show stays at zero.",
                )
                .figure("errors with a good status", tally.seen as f64, "", tally.seen, &here)
                .quote("answer", &bounded(&captured.body), &here)
                .advice("Answer errors with a status of 4xx or 5xx.", "")
                .done(),
        )
    };
    tallies.into_iter().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Verdict};
    use serde_json::json;

    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{Reply, run};

    #[test]
    fn an_error_behind_a_good_status_is_told() {
        let warned = |disguise: bool| {
            let mut library = Library::new(Faults::default());
            let (_, findings) = run(
                &["coverage", "input-validation", "errors"],
                &surface(),
                Budget::Quick,
                |r| {
                    let answer = library.answer(r);
                    if disguise && answer.status == 422 {
                        return Reply::json(200, &json!({"error": "no such thing", "code": 7}));
                    }
                    answer
                },
            );
            findings
                .into_iter()
                .find(|f| f.id == "error-with-good-status")
                .map(|f| f.verdict)
        };
        assert_eq!(warned(false), None);
        assert_eq!(warned(true), Some(Verdict::Warn));
    }
}
