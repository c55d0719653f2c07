//! Does an answer keep to the number of tokens that the request allows? Every answer kept so far that states its tokens is held
//! against its own request. It knows naming habits of text APIs, no endpoint.

use prony_model::{Finding, Severity, Verdict};
use serde_json::Value;

use super::NAME;
use crate::RunView;
use crate::answer::answers;
use crate::draft::{Draft, source};
use crate::field::limits_tokens;
use crate::mutation::json_body;
use crate::token_counts::TokenCounts;

/// Rows shown of answers beyond their limit.
const ROWS_MAX: usize = 5;

/// A finding for each endpoint whose requests name a limit and whose answers state their tokens.
pub(super) fn findings(run: &RunView<'_>) -> Vec<Finding> {
    run.surface
        .endpoints
        .iter()
        .filter_map(|endpoint| finding(run, &endpoint.name))
        .collect()
}

fn finding(run: &RunView<'_>, endpoint: &str) -> Option<Finding> {
    let mut seen = 0;
    let mut beyond: Vec<(f64, f64)> = Vec::new();
    let mut place = None;
    for phase in run
        .phases
        .iter()
        .filter(|p| p.phase.experiment != "input-validation")
    {
        for answer in answers(phase, endpoint).iter().filter(|a| a.is_ok()) {
            let limit = json_body(answer.request).as_ref().and_then(token_limit);
            let said = || TokenCounts::of(&answer.json()?)?.output;
            if let Some(limit) = limit
                && let Some(output) = said()
            {
                seen += 1;
                place.get_or_insert(phase);
                if output > limit {
                    beyond.push((limit, output));
                }
            }
        }
    }
    let here = source(place?, endpoint);
    let draft = Draft::new(NAME, "token-limit", endpoint)
        .figure(
            "answers compared with their limit",
            f64::from(seen),
            "",
            seen as usize,
            &here,
        )
        .figure("answers beyond it", beyond.len() as f64, "", seen as usize, &here);
    let Some((limit, output)) = beyond.first() else {
        return Some(
            draft
                .title(format!(
                    "{seen} answers of {endpoint} keep to the number of tokens that their requests allow"
                ))
                .done(),
        );
    };
    let rows = beyond
        .iter()
        .take(ROWS_MAX)
        .map(|(limit, output)| vec![limit.to_string(), output.to_string()])
        .collect();
    Some(
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!(
                "{endpoint} states {output} output tokens where the request allows {limit}"
            ))
            .detail(format!(
                "{} of {seen} answers state more tokens than `max_tokens` of their own request. Either the limit is not kept, or \
                 the tokens are counted wrongly.",
                beyond.len()
            ))
            .table("Answers beyond their limit", &["Allowed", "Stated"], rows, &here)
            .advice(
                "Count the tokens that were sent, once each: bills, budgets and rate limits go by this number.",
                "",
            )
            .done(),
    )
}

/// The most tokens that a request allows its answer. `None` where it names no limit, or asks for several answers at once.
fn token_limit(body: &Value) -> Option<f64> {
    let object = body.as_object()?;
    let several = |name: &str| object.get(name).and_then(Value::as_f64).is_some_and(|n| n > 1.0);
    if several("n") || several("best_of") {
        return None;
    }
    object
        .iter()
        .filter(|(name, _)| limits_tokens(name))
        .find_map(|(_, value)| value.as_f64().filter(|limit| *limit > 0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::token_limit;

    #[test]
    fn the_usual_names_of_the_limit() {
        for body in [
            json!({"max_tokens": 16}),
            json!({"max_completion_tokens": 16}),
            json!({"maxTokens": 16}),
            json!({"n_predict": 16, "n": 1}),
        ] {
            assert_eq!(token_limit(&body), Some(16.0), "{body}");
        }
        for body in [
            json!({"n_predict": -1}),
            json!({"max_tokens": 16, "n": 2}),
            json!({"max": 3}),
            json!([1]),
        ] {
            assert_eq!(token_limit(&body), None, "{body}");
        }
    }
}
