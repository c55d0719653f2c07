//! Do answers tell of what failed behind them? What the service behind the target counted, against what the target's clients
//! were told. Says nothing where the person named no such service.

use prony_model::{Finding, Outcome, OutcomeClass, PhaseResult, Reading, Severity, Verdict};

use super::NAME;
use crate::RunView;
use crate::answer::answers;
use crate::draft::{Draft, source};
use crate::leaf::{has_word, leaves};

/// Words of a name under which an answer tells what had to be repeated.
const TELLING: &[&str] = &["retry", "retries", "attempt", "failure"];

/// Failures that clients saw in a phase, of those endpoints that work: who asks for what is not there sees his own mistake.
fn seen_by_clients(run: &RunView<'_>, phase: &PhaseResult) -> usize {
    let works: Vec<&str> = run.working_endpoints().iter().map(|e| e.name.as_str()).collect();
    phase
        .samples
        .iter()
        .filter(|s| {
            let named = phase.phase.scenarios.get(usize::from(s.scenario));
            let class = s.outcome.class();
            named.is_some_and(|scenario| works.contains(&scenario.name.as_str()))
                && (s.outcome == Outcome::RpcError
                    || matches!(class, OutcomeClass::Refusal | OutcomeClass::ServerError))
        })
        .count()
}

/// The finding; `None` without a service to ask.
pub(super) fn finding(run: &RunView<'_>) -> Option<Finding> {
    let counts: Vec<&Reading> = run
        .phases
        .iter()
        .flat_map(|p| &p.readings)
        .filter(|r| r.monitor == "upstream")
        .collect();
    let value = |reading: &Reading, name: &str| reading.values.get(name).copied().unwrap_or(0.0);
    let (first, last) = (counts.first()?, counts.last()?);
    let failures = (value(last, "failures") - value(first, "failures")).max(0.0);
    let answered = (value(last, "answers") - value(first, "answers")).max(0.0);
    let client: usize = run.phases.iter().map(|phase| seen_by_clients(run, phase)).sum();
    let phases: Vec<&PhaseResult> = run.of(NAME).collect();
    let phase = *phases.last()?;
    let endpoint = phase.phase.scenarios[0].name.as_str();
    let evidence = source(phase, endpoint);
    let looked: Vec<bool> = phases
        .iter()
        .flat_map(|p| answers(p, endpoint))
        .filter_map(|a| a.json())
        .map(|json| {
            leaves(&json)
                .iter()
                .any(|leaf| leaf.pattern.split('.').any(|part| has_word(part, TELLING)))
        })
        .collect();
    let telling = looked.iter().filter(|told| **told).count();
    let draft = Draft::new(NAME, "hidden-retries", endpoint)
        .figure(
            "calls that the service behind answered",
            answered,
            "",
            answered as usize,
            &evidence,
        )
        .figure(
            "failures that it counted",
            failures,
            "",
            answered as usize,
            &evidence,
        )
        .figure(
            "failures that the target's clients saw",
            client as f64,
            "",
            looked.len(),
            &evidence,
        )
        .figure(
            "answers that tell of repetitions",
            telling as f64,
            "",
            looked.len(),
            &evidence,
        );
    let detail = format!(
        "While Prony was the target's client, the service behind it counted {failures:.0} failed calls of {answered:.0}; the target's own \
         clients saw {client}. Of {} answers looked at, {telling} tell what had to be repeated.",
        looked.len()
    );
    let draft = if telling > 0 {
        draft.title("Answers tell of the calls that failed behind them".to_owned())
    } else if failures > client as f64 {
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!("Repetitions hide what fails behind {endpoint}: {failures:.0} failed calls, {client} of them seen by clients"))
            .advice(
                "Tell in the answer, in a metric or in a log how many attempts a call took and why the others failed.",
                "A success rate that only the last attempt enters says nothing of the service behind it.",
            )
    } else {
        draft.title("Nothing failed behind the target that its clients did not see".to_owned())
    };
    Some(draft.detail(detail).done())
}
