//! The counts of tokens that an answer states about itself, by naming habits common to text APIs. It judges nothing.

use prony_model::{Endpoint, Role};
use serde_json::Value;

use crate::RunView;
use crate::answer::{Answer, answers};
use crate::leaf::{Leaf, leaves};
use crate::primary::primary;

/// What an answer says of its own size, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TokenCounts {
    /// Of the prompt.
    pub input: Option<f64>,
    /// Of the answer.
    pub output: Option<f64>,
    /// Of both.
    pub total: Option<f64>,
    /// Those of the prompt that came from a cache.
    pub cached: Option<f64>,
    /// Those of the prompt that are told apart from `input`: read from a cache, or written to one, by the habit of Messages
    /// (`cache_read_input_tokens`, `cache_creation_input_tokens`).
    pub apart: Option<f64>,
    /// Those that the model thought with: a part of `output` by the habit of some, beside it by that of others.
    pub reasoning: Option<f64>,
}

impl TokenCounts {
    /// Read from an answer; `None` when it states none. Of several fields with one meaning the first counts.
    pub(crate) fn of(answer: &Value) -> Option<Self> {
        let mut found = Self::default();
        for leaf in leaves(answer) {
            let Some(number) = leaf.value.as_f64() else {
                continue;
            };
            if is_apart(leaf.key()) {
                *found.apart.get_or_insert(0.0) += number;
            }
            if let Some(slot) = found.slot(&leaf) {
                slot.get_or_insert(number);
            }
        }
        (found != Self::default()).then_some(found)
    }

    /// All of the prompt, whatever part of it is told apart.
    pub(crate) fn whole_input(&self) -> Option<f64> {
        Some(self.input? + self.apart.unwrap_or(0.0))
    }

    fn slot(&mut self, leaf: &Leaf) -> Option<&mut Option<f64>> {
        let name = prony_model::name_words(leaf.key());
        let is = |wanted: &[&str]| name.iter().any(|word| wanted.contains(&word.as_str()));
        if !is(&["token", "tokens"]) || is(&["max", "limit", "remaining", "per"]) {
            return None;
        }
        if is(&["cached"]) || (is(&["cache"]) && is(&["read"])) {
            Some(&mut self.cached)
        } else if is(&["reasoning", "thinking", "thought", "thoughts"]) {
            Some(&mut self.reasoning)
        } else if is(&["cache"]) || is(&["audio", "image", "accepted", "rejected"]) {
            // Parts of the parts.
            None
        } else if is(&["total"]) {
            Some(&mut self.total)
        } else if is(&["prompt", "input"]) {
            Some(&mut self.input)
        } else if is(&["completion", "output", "generated", "candidates"]) {
            Some(&mut self.output)
        } else {
            None
        }
    }
}

fn is_apart(name: &str) -> bool {
    let name = prony_model::name_words(name);
    let has = |word: &str| name.iter().any(|w| w == word);
    has("cache") && has("input") && has("tokens") && (has("read") || has("creation"))
}

/// The endpoints that generate: they do work, answered well in the preflight, and state there how many tokens they made.
pub(crate) fn generators<'a>(run: &RunView<'a>) -> Vec<&'a Endpoint> {
    primary(run, usize::MAX)
        .into_iter()
        .filter(|e| generates(run, e))
        .collect()
}

/// Whether an endpoint stated in the preflight how many tokens it made.
pub(crate) fn generates(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let Some(preflight) = run
        .phase("coverage", "preflight")
        .filter(|_| endpoint.role == Role::Inference)
    else {
        return false;
    };
    answers(preflight, &endpoint.name)
        .iter()
        .filter(|a| a.is_ok())
        .filter_map(Answer::json)
        .any(|json| TokenCounts::of(&json).is_some_and(|counts| counts.output.is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::TokenCounts;

    #[test]
    fn the_usual_spellings_are_read() {
        let usage = json!({"usage": {
            "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0}, "max_tokens": 99
        }});
        let all = TokenCounts {
            input: Some(12.0),
            output: Some(5.0),
            total: Some(17.0),
            cached: Some(8.0),
            ..TokenCounts::default()
        };
        assert_eq!(TokenCounts::of(&usage), Some(all));
        let other = json!({"usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 1}});
        let found = TokenCounts::of(&other).unwrap();
        assert_eq!(
            (found.input, found.output, found.cached, found.total),
            (Some(3.0), Some(4.0), Some(1.0), None)
        );
        assert_eq!((found.whole_input(), all.whole_input()), (Some(4.0), Some(12.0)));
        assert_eq!(TokenCounts::of(&json!({"tokens": ["a"], "count": 3})), None);
        for thinking in [
            json!({"completion_tokens": 64, "completion_tokens_details": {"reasoning_tokens": 60}}),
            json!({"candidatesTokenCount": 64, "thoughtsTokenCount": 60}),
        ] {
            let found = TokenCounts::of(&thinking).unwrap();
            assert_eq!(
                (found.output, found.reasoning),
                (Some(64.0), Some(60.0)),
                "{thinking}"
            );
        }
    }
}
