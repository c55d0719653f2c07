//! The words for whether a cache of answers goes by every input.

use prony_model::{Finding, Severity, Verdict};

use super::NAME;
use super::inputs::{Judged, Kept};
use super::observed::Course;
use crate::RunView;
use crate::answer::bounded_to;
use crate::draft::{Draft, source};
use crate::wording::resting_on_answers;

/// What was seen of the optional inputs of an endpoint; `None` where none was varied.
pub(super) fn finding(run: &RunView<'_>, course: &Course) -> Option<Finding> {
    let (judged, phases) = course.judged_inputs(run)?;
    let endpoint = &course.endpoint;
    let here = source(phases[0], endpoint);
    let named = |wanted: Kept| -> Vec<String> {
        let with = course
            .inputs
            .iter()
            .zip(&judged)
            .filter(|(_, j)| j.kept == wanted);
        with.map(|(input, _)| format!("`{}`", bounded_to(input.name(), 40)))
            .collect()
    };
    let (mixed_up, apart, no_effect) = (named(Kept::MixedUp), named(Kept::Apart), named(Kept::NoEffect));
    let texts = judged.iter().map(|j| j.in_turn).max().unwrap_or(0);
    let how = format!(
        "A new text was sent with one value and then with another, {texts} times for each input; and new texts with both values at one \
         moment, or with one value each, when no answer can have been kept yet. What differs between two answers to one request, and \
         a mere echo of the input, count for nothing."
    );
    let draft = Draft::new(NAME, "cache-key", endpoint)
        .table("Optional inputs", &COLUMNS, rows(course, &judged), &here)
        .figure("optional inputs varied", judged.len() as f64, "", texts, &here)
        .figure(
            "inputs that kept answers ignore",
            mixed_up.len() as f64,
            "",
            texts,
            &here,
        );
    let draft = if !mixed_up.is_empty() {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{endpoint} answers from a cache that ignores {}: another value gets the answer that was kept for the first",
                mixed_up.join(", ")
            ))
            .detail(format!("{how} So whoever asks second gets an answer to a question of somebody else."))
            .advice(
                "Put every input on which the answer depends into the key of the cache, or do not keep answers of requests that set it.",
                "",
            )
    } else if apart.is_empty() && no_effect.is_empty() {
        draft
            .advisory()
            .title(format!(
                "Whether a cache of {endpoint} goes by its optional inputs could not be told"
            ))
            .detail(format!(
                "{how} Too few of these requests were answered well, or answers differ by themselves."
            ))
    } else {
        let said = if apart.is_empty() {
            format!(
                "No effect of {} on the answers of {endpoint} was seen, kept or not",
                no_effect.join(", ")
            )
        } else {
            format!("{endpoint} keeps no answer across values of {}", apart.join(", "))
        };
        draft.advisory().title(said).detail(how)
    };
    Some(resting_on_answers(draft.done(), &phases))
}

const COLUMNS: [&str; 6] = [
    "Input",
    "Values",
    "Same answer, one after the other",
    "Other answer, at one moment",
    "Shared by answers to one value",
    "A kept answer",
];

fn rows(course: &Course, judged: &[Judged]) -> Vec<Vec<String>> {
    let all = course.inputs.iter().zip(judged);
    all.map(|(input, seen)| {
        let [first, second] = input.values().map(|value| bounded_to(&value, 40));
        vec![
            bounded_to(input.name(), 40),
            format!("{first} / {second}"),
            format!("{} of {}", seen.same, seen.in_turn),
            format!("{} of {}", seen.differed, seen.at_once),
            if seen.shares { "yes" } else { "no" }.to_owned(),
            match seen.kept {
                Kept::Apart => "is of one value",
                Kept::MixedUp => "ignores it",
                Kept::NoEffect => "no effect seen",
                Kept::Open => "open",
            }
            .to_owned(),
        ]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{
        Budget, Endpoint, Expect, Finding, JsonText, Request, Role, SampleRequest, Surface, Verdict,
    };
    use serde_json::{Value, json};

    use crate::fake::{Reply, body_json, run};

    /// A search whose document names `hits` and `style`, which changes nothing, and whose sample shows `lang`.
    fn surface() -> Surface {
        let schema = json!({
            "properties": {
                "query": {"type": "string"},
                "hits": {"type": "integer", "minimum": 1, "maximum": 20, "default": 3},
                "style": {"enum": ["plain", "rich"]},
                "callback_url": {"type": "string"}
            },
            "required": ["query"]
        });
        let body = json!({"query": "ships at sea", "lang": "en"});
        Surface {
            endpoints: vec![Endpoint {
                name: "POST /search".into(),
                method: "POST".into(),
                path: "/search".into(),
                role: Role::Inference,
                parameters: Vec::new(),
                body_schema: Some(JsonText(schema)),
                declared_statuses: Vec::new(),
                samples: vec![SampleRequest {
                    request: Request::json("POST", "/search", &body),
                    inputs: BTreeMap::new(),
                }],
                expect: Expect::default(),
            }],
            ..Surface::default()
        }
    }

    /// As many hits as asked for, of words that go by the query, in the language asked for.
    fn search(body: &Value) -> Value {
        let query = body["query"].as_str().unwrap_or_default();
        let weight: usize = query.bytes().map(usize::from).sum();
        let hits = body["hits"].as_u64().unwrap_or(3) as usize;
        let words: Vec<String> = (0..hits)
            .map(|k| format!("{:x}", weight * (k + 7) % 4099))
            .collect();
        let language = body["lang"].as_str().unwrap_or("en");
        json!({"words": words, "summary": format!("{language}: {weight}"), "language": language})
    }

    /// What is found of a server that keeps answers by what `key` makes of a body.
    fn found(key: fn(&Value) -> String) -> Finding {
        let mut kept: BTreeMap<String, Value> = BTreeMap::new();
        let mut calls = 0;
        let mut answer = |request: &Request| {
            let body = body_json(request).unwrap_or_default();
            calls += 1;
            let mut answer = kept.entry(key(&body)).or_insert_with(|| search(&body)).clone();
            answer["id"] = json!(calls);
            Reply::json(200, &answer)
        };
        let names = ["coverage", "client-floor", "baseline", "cache"];
        let (_, findings) = run(&names, &surface(), Budget::Thorough, &mut answer);
        findings
            .into_iter()
            .find(|f| f.id == "cache-key")
            .expect("a finding")
    }

    #[test]
    fn an_input_that_kept_answers_ignore_is_named_and_one_without_effect_is_not() {
        let ignores = found(|body| format!("{} {}", body["query"], body["lang"]));
        assert_eq!(ignores.verdict, Verdict::Fail);
        assert!(ignores.title.contains("ignores `hits`:"), "{}", ignores.title);
        let both = found(|body| body["query"].to_string());
        assert!(both.title.contains("ignores `hits`, `lang`:"), "{}", both.title);
    }

    #[test]
    fn a_cache_that_goes_by_all_of_a_request_is_not_accused() {
        let sound = found(Value::to_string);
        assert_eq!(sound.verdict, Verdict::Pass, "{}", sound.title);
        assert!(
            sound.title.contains("across values of `hits`, `lang`"),
            "{}",
            sound.title
        );
    }
}
