//! `[scenario.openai]` and `[scenario.anthropic]`: their mistakes with their places, and their scenarios. What is asked of
//! a model is not decided here.

use std::path::Path;

use prony_model::{Order, Scenario, ScenarioKind, ScenarioSpec, Suite};
use prony_prompts::{PromptError, Workload};

use super::document::Document;
use crate::diagnostic::Diagnostic;

/// What the scenario sends; nothing for one of another kind.
pub(super) fn workload(spec: &ScenarioSpec, base_dir: &Path, seed: u64) -> Result<Workload, PromptError> {
    match spec.kind() {
        Some(ScenarioKind::Openai(openai)) => prony_prompts::openai(openai, base_dir, seed),
        Some(ScenarioKind::Anthropic(anthropic)) => prony_prompts::anthropic(anthropic, base_dir, seed),
        _ => Ok(Workload::default()),
    }
}

/// The scenario that sends it.
pub(super) fn scenario(spec: &ScenarioSpec, suite: &Suite, workload: Workload) -> Scenario {
    Scenario {
        order: spec.order,
        weight: spec.weight,
        retry: super::expand::retry(spec, suite),
        flow: workload.flow,
        slots: workload.slots,
        ..Scenario::new(spec.name.clone(), workload.items)
    }
}

/// A mistake that has no place in a file.
pub(super) fn plain(spec: &ScenarioSpec, error: PromptError) -> Diagnostic {
    let what = if error.key.is_empty() {
        error.what
    } else {
        format!("scenario `{}`, {}: {}", spec.name, error.key, error.what)
    };
    Diagnostic::usage(what).next(error.next)
}

/// Checks such a scenario at `path` and makes its prompts once.
pub(super) fn validate(
    spec: &ScenarioSpec,
    suite: &Suite,
    document: &Document,
    path: &str,
    base_dir: &Path,
) -> Result<Scenario, Diagnostic> {
    let (table, prompt) = match spec.kind() {
        Some(ScenarioKind::Anthropic(anthropic)) => ("anthropic", &anthropic.prompt),
        Some(ScenarioKind::Openai(openai)) => ("openai", &openai.prompt),
        _ => return Ok(Scenario::new(spec.name.clone(), Vec::new())),
    };
    if prompt.trace.is_some() && spec.order == Order::Random {
        return Err(document
            .error(
                &format!("{path}.order"),
                "the rows of a trace are sent in their order",
            )
            .next("remove `order`"));
    }
    let made = workload(spec, base_dir, suite.run.seed).map_err(|error| {
        let key = format!("{path}.{table}.{}", error.key);
        document
            .error(key.trim_end_matches('.'), error.what)
            .next(error.next)
    })?;
    Ok(scenario(spec, suite, made))
}
