//! Do the numbers that an answer states about itself agree? Tokens add up, the same input counts the same, more input counts
//! more, a count next to a list is not below its length, and no answer is longer than its request allows (`usage/limit.rs`).
//!
//! Only answers that state such numbers are judged. It must not know any API by name.

mod limit;

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Phase, PhaseResult, Scenario, Severity, Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, answers};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::leaf::{has_word, leaves};
use crate::primary::{heaviest, requests};
use crate::text_slot::text_slots;
use crate::token_counts::TokenCounts;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "usage";
const PHASE: &str = "counts";

/// What is counted: repeated to make longer inputs.
const SENTENCE: &str = "Count the red apples on the wooden table.";
/// How often the sentence stands in each request.
const TIMES: [usize; 5] = [1, 1, 1, 2, 4];
/// Tokens of an answer beyond its bytes: marks of beginning and end.
const MARKS: f64 = 8.0;
/// No tokenizer puts so many words into one token.
const WORDS_PER_TOKEN: f64 = 4.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Usage",
    question: "Do the numbers that answers state about themselves agree?",
    from_budget: Budget::Standard,
    basis: Basis::Answers,
    needs: &["coverage", "baseline"],
    time: Time::Bounded {
        usual_s: [0.5, 1.0, 5.0],
        most_s: [2.0, 4.0, 30.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: UsageParams = params(value)?;
        let endpoints = match context.budget {
            Budget::Quick => 2,
            Budget::Standard => 4,
            Budget::Thorough => 8,
        };
        Ok(Box::new(Usage {
            endpoints: asked.endpoints.unwrap_or(endpoints),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            planned: false,
        }))
    },
    schema: || schema_for!(UsageParams),
    example: "[experiment.usage]\nendpoints = 4\nduration_s = 10\n",
};

/// Parameters of the usage experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageParams {
    /// At most so many endpoints. By default 2 (quick), 4 (standard) or 8 (thorough).
    pub endpoints: Option<usize>,
    /// Stop after so many seconds. By default 2, 4 or 30.
    pub duration_s: Option<f64>,
}

struct Usage {
    endpoints: usize,
    duration_s: f64,
    limits: Limits,
    planned: bool,
}

impl Experiment for Usage {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let scenarios: Vec<Scenario> = heaviest(run, self.endpoints)
            .into_iter()
            .filter_map(|endpoint| {
                let items = items(run, endpoint);
                (!items.is_empty()).then(|| Scenario::new(endpoint.name.clone(), items))
            })
            .collect();
        if scenarios.is_empty() {
            return Step::Done;
        }
        let n: usize = scenarios.iter().map(|s| s.items.len()).sum();
        Step::Run(Phase {
            name: PHASE.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(self.duration_s),
            },
            limits: self.limits.clone(),
            capture: Capture::responses(n as u32),
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(phase) = run.phase(NAME, PHASE) {
            let scenarios = phase.phase.scenarios.iter();
            findings.extend(scenarios.filter_map(|scenario| finding(run, phase, &scenario.name)));
        }
        findings.extend(limit::findings(run));
        findings
    }
}

/// The sentence once, thrice over, and longer; where there is no place for text, each good request twice.
fn items(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let plain = requests(run, endpoint);
    let Some(base) = plain.first() else {
        return Vec::new();
    };
    let Some(slot) = text_slots(endpoint, &base.request).into_iter().next() else {
        return plain.iter().take(4).cloned().collect();
    };
    TIMES
        .iter()
        .map(|times| [SENTENCE].repeat(*times).join(" "))
        .filter(|text| text.chars().count() as u64 <= slot.chars_max)
        .filter_map(|text| {
            Some(Item {
                request: slot.with(&base.request, &text)?,
                expect: base.expect.clone(),
            })
        })
        .collect()
}

/// What was held against what, and what did not agree.
#[derive(Default)]
struct Agreement {
    rows: Vec<Vec<String>>,
    faults: Vec<String>,
    n: usize,
}

impl Agreement {
    /// So many comparisons of one kind, of which `wrong` failed.
    fn add(&mut self, what: &str, n: usize, wrong: &[String]) {
        if n == 0 {
            return;
        }
        self.n += n;
        self.rows
            .push(vec![what.to_owned(), n.to_string(), wrong.len().to_string()]);
        if let Some(first) = wrong.first() {
            self.faults.push(format!("{what}: {first}"));
        }
    }
}

fn finding(run: &RunView<'_>, phase: &PhaseResult, endpoint: &str) -> Option<Finding> {
    let good: Vec<(usize, Value, TokenCounts)> = answers(phase, endpoint)
        .iter()
        .filter(|a| a.is_ok())
        .filter_map(|a: &Answer<'_>| {
            let json = a.json()?;
            let tokens = TokenCounts::of(&json).unwrap_or_default();
            Some((a.item as usize, json, tokens))
        })
        .collect();
    let mut agreement = Agreement::default();
    sums(&good, &mut agreement);
    let takes_text = run
        .surface
        .endpoints
        .iter()
        .find(|e| e.name == endpoint)
        .and_then(|e| Some(!text_slots(e, &requests(run, e).first()?.request).is_empty()))
        .unwrap_or(false);
    if takes_text {
        inputs(&good, &mut agreement);
    }
    outputs(&good, &mut agreement);
    lists(&good, &mut agreement);
    if agreement.n == 0 {
        return None;
    }
    let evidence = source(phase, endpoint);
    let draft = Draft::new(NAME, NAME, endpoint).table("Comparisons", &COLUMNS, agreement.rows, &evidence);
    Some(if agreement.faults.is_empty() {
        draft
            .title(format!(
                "The numbers that {endpoint} states about its answers agree: {} comparisons in {} answers",
                agreement.n,
                good.len()
            ))
            .done()
    } else {
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!("The numbers that {endpoint} states about its answers do not agree"))
            .detail(format!("{}.", agreement.faults.join("; ")))
            .advice("Whoever pays by these numbers, or limits by them, goes by wrong ones: count where the work is done.", "")
            .done()
    })
}

const COLUMNS: [&str; 3] = ["What must agree", "Compared", "Wrong"];

fn sums(good: &[(usize, Value, TokenCounts)], agreement: &mut Agreement) {
    let mut wrong = Vec::new();
    let mut n = 0;
    for (_, _, tokens) in good {
        if let (Some(total), Some(input), Some(output)) = (tokens.total, tokens.input, tokens.output) {
            n += 1;
            let rest = total - input - output;
            // What a model thinks is a part of its output for some, and a third part of the total for others.
            let adds_up = |rest: f64| rest.abs() <= 0.5;
            if !adds_up(rest) && !tokens.reasoning.is_some_and(|thought| adds_up(rest - thought)) {
                wrong.push(format!(
                    "{input} of the input and {output} of the output, but {total} in all"
                ));
            }
        }
    }
    agreement.add("the tokens of input and output add up to the total", n, &wrong);
    let of_cache: Vec<(f64, f64)> = good
        .iter()
        .filter_map(|(_, _, t)| t.cached.zip(t.whole_input()))
        .collect();
    let wrong: Vec<String> = of_cache
        .iter()
        .filter(|(cached, input)| cached > input)
        .map(|(cached, input)| format!("{cached} from the cache of {input}"))
        .collect();
    agreement.add(
        "no more tokens come from the cache than the input has",
        of_cache.len(),
        &wrong,
    );
}

/// Whether each input counts more than the one before by at least the answer in between: then what was said before is kept and
/// counted again, and the input is more than what was sent.
fn keeps_a_conversation(good: &[(usize, Value, TokenCounts)]) -> bool {
    let grows = |pair: &[(usize, Value, TokenCounts)]| {
        let (before, after) = (pair[0].2, pair[1].2);
        let counts = before.whole_input().zip(before.output).zip(after.whole_input());
        counts.is_some_and(|((input, output), next)| output > 0.0 && next >= input + output)
    };
    good.len() > 2 && good.windows(2).all(grows)
}

/// The same input counts the same, a longer one more.
fn inputs(good: &[(usize, Value, TokenCounts)], agreement: &mut Agreement) {
    let counted: Vec<(usize, f64)> = good
        .iter()
        .filter_map(|(item, _, tokens)| Some((*TIMES.get(*item)?, tokens.whole_input()?)))
        .collect();
    let of = |times: usize| counted.iter().filter(move |(t, _)| *t == times).map(|(_, n)| *n);
    let same: Vec<f64> = of(1).collect();
    if keeps_a_conversation(good) {
        return;
    }
    let wrong: Vec<String> = same
        .windows(2)
        .filter(|pair| (pair[0] - pair[1]).abs() > 0.5)
        .map(|pair| format!("{} and {} for the same text", pair[0], pair[1]))
        .collect();
    agreement.add(
        "the same input has the same number of tokens",
        same.len().saturating_sub(1),
        &wrong,
    );
    let mut n = 0;
    let mut wrong = Vec::new();
    for (short, long) in [(1, 2), (2, 4)] {
        if let (Some(a), Some(b)) = (of(short).next(), of(long).next()) {
            n += 1;
            if b <= a {
                wrong.push(format!("{a} for {short} and {b} for {long} sentences"));
            }
        }
    }
    agreement.add("a longer input has more tokens", n, &wrong);
}

/// Whether an answer holds more that was written for it than its text: what the model thought, or a tool that it calls.
fn holds_more(answer: &Value) -> bool {
    const MORE: &[&str] = &["reasoning", "thinking", "thought", "tool"];
    leaves(answer)
        .iter()
        .filter(|leaf| leaf.value.as_str().is_some_and(|text| !text.is_empty()))
        .any(|leaf| has_word(&leaf.pattern, MORE) || (leaf.key() == "type" && has_word(&leaf.text(), MORE)))
}

/// The tokens of an answer fit its text: no more than it has bytes, and no fewer than a quarter of its words. Tokens that the
/// model thought with have no text there, and an answer that is not in this text alone is not compared.
fn outputs(good: &[(usize, Value, TokenCounts)], agreement: &mut Agreement) {
    let mut n = 0;
    let mut wrong = Vec::new();
    for (_, json, tokens) in good {
        let texts: Vec<String> = leaves(json)
            .into_iter()
            .filter(|leaf| leaf.value.is_string())
            .filter(|leaf| ["text", "content", "output", "answer", "response"].contains(&leaf.key()))
            .map(|leaf| leaf.text())
            .collect();
        let (Some(output), [text]) = (tokens.output, texts.as_slice()) else {
            continue;
        };
        if text.is_empty() || holds_more(json) {
            continue;
        }
        n += 1;
        let words = text.split_whitespace().count() as f64;
        let fits = |tokens: f64| tokens <= text.len() as f64 + MARKS && tokens * WORDS_PER_TOKEN >= words;
        let seen = output - tokens.reasoning.unwrap_or(0.0);
        if !fits(output) && !fits(seen) {
            wrong.push(format!(
                "{output} tokens for a text of {words} words and {} bytes",
                text.len()
            ));
        }
    }
    agreement.add("the tokens of the answer fit its length", n, &wrong);
}

/// A count next to the only list of an object, or of the list of its name, is not below its length.
fn lists(good: &[(usize, Value, TokenCounts)], agreement: &mut Agreement) {
    let mut n = 0;
    let mut wrong = Vec::new();
    for (_, json, _) in good {
        visit(json, &mut |object| {
            let lists: Vec<List<'_>> = object
                .iter()
                .filter_map(|(name, value)| List::of(name, value))
                .collect();
            for (name, value) in object {
                let Some(count) = value.as_u64() else { continue };
                let Some(list) = counted_list(name, &lists) else {
                    continue;
                };
                n += 1;
                if count < list.length as u64 {
                    wrong.push(format!(
                        "{name} is {count}, and {} has {} entries",
                        list.name, list.length
                    ));
                }
            }
        });
    }
    agreement.add("a count is not below the length of its list", n, &wrong);
}

/// A list of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List<'a> {
    name: &'a str,
    length: usize,
    /// Whether its entries are things or texts. Numbers may as well be one value: a vector, a box, a row of probabilities.
    of_things: bool,
}

impl<'a> List<'a> {
    fn of(name: &'a str, value: &Value) -> Option<Self> {
        let entries = value.as_array()?;
        Some(Self {
            name,
            length: entries.len(),
            of_things: entries.iter().all(|entry| entry.is_object() || entry.is_string()),
        })
    }

    /// Whether its entries can be counted one by one: numbers only under a name in the plural.
    fn is_countable(&self) -> bool {
        self.of_things || self.name.ends_with('s')
    }
}

/// The list that a field of that name counts.
fn counted_list<'a, 'b>(name: &str, lists: &'b [List<'a>]) -> Option<&'b List<'a>> {
    let words = prony_model::name_words(name);
    let mut noun = words.clone();
    noun.retain(|word| !["count", "num", "total", "n", "number", "of"].contains(&word.as_str()));
    if noun.len() == words.len() {
        return None;
    }
    if noun.is_empty() {
        // A bare number may be anything: a page, a digit that was read.
        let is_count = words.iter().any(|word| word == "count" || word == "total");
        return match lists {
            [list] if is_count && list.of_things => Some(list),
            _ => None,
        };
    }
    let singular = |words: &[String]| -> Vec<String> {
        words
            .iter()
            .map(|w| w.strip_suffix('s').unwrap_or(w).to_owned())
            .collect()
    };
    let wanted = singular(&noun);
    lists
        .iter()
        .find(|list| list.is_countable() && singular(&prony_model::name_words(list.name)) == wanted)
}

fn visit(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|inner| visit(inner, see));
        }
        Value::Array(list) => list.iter().for_each(|inner| visit(inner, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{Budget, Endpoint, Expect, Request, Role, SampleRequest, Surface, Verdict};
    use serde_json::{Value, json};

    use super::{List, counted_list};
    use crate::fake::{Reply, body_json, run};

    fn surface() -> Surface {
        let body = json!({"model": "a", "messages": [{"role": "user", "content": "Name three rivers."}]});
        Surface {
            endpoints: vec![Endpoint {
                name: "POST /chat".into(),
                method: "POST".into(),
                path: "/chat".into(),
                role: Role::Inference,
                parameters: Vec::new(),
                body_schema: None,
                declared_statuses: Vec::new(),
                samples: vec![SampleRequest {
                    request: Request::json("POST", "/chat", &body),
                    inputs: BTreeMap::new(),
                }],
                expect: Expect::default(),
            }],
            ..Surface::default()
        }
    }

    type Distortion = &'static dyn Fn(&mut Value, u64);

    /// The verdict on a server that counts words, after `distort` changed its answer.
    fn verdict(distort: impl Fn(&mut Value, u64)) -> Option<Verdict> {
        let mut calls = 0;
        let (_, findings) = run(&["usage"], &surface(), Budget::Standard, |request| {
            calls += 1;
            let text = body_json(request).unwrap()["messages"][0]["content"]
                .as_str()
                .unwrap()
                .to_owned();
            let input = text.split(' ').count();
            let mut answer = json!({
                "choices": [{"content": "five words in this answer"}], "count": 1,
                "usage": {"prompt_tokens": input, "completion_tokens": 5, "total_tokens": input + 5}
            });
            distort(&mut answer, calls);
            Reply::json(200, &answer)
        });
        findings.first().map(|f| f.verdict)
    }

    #[test]
    fn numbers_that_agree_pass_and_each_that_does_not_fails() {
        assert_eq!(verdict(|_, _| {}), Some(Verdict::Pass));
        let cases: [Distortion; 6] = [
            &|a, _| a["usage"]["total_tokens"] = json!(1),
            &|a, n| a["usage"] = json!({"prompt_tokens": n}),
            &|a, _| a["usage"] = json!({"prompt_tokens": 7}),
            &|a, _| a["usage"] = json!({"completion_tokens": 900}),
            &|a, _| a["usage"] = json!({"prompt_tokens": 8, "cached_tokens": 9}),
            &|a, _| a["count"] = json!(0),
        ];
        for (i, distort) in cases.iter().enumerate() {
            assert_eq!(verdict(distort), Some(Verdict::Fail), "case {i}");
        }
    }

    #[test]
    fn what_a_model_thinks_is_counted_and_not_shown() {
        let cases: [Distortion; 5] = [
            // A part of the output.
            &|a, _| {
                a["usage"] =
                    json!({"completion_tokens": 900, "completion_tokens_details": {"reasoning_tokens": 895}});
            },
            // Beside it, and in the total.
            &|a, _| {
                let total = a["usage"]["total_tokens"].as_u64().unwrap();
                a["usage"]["reasoning_tokens"] = json!(64);
                a["usage"]["total_tokens"] = json!(total + 64);
            },
            // Told in a field of its own, whether or not there was room left for an answer.
            &|a, _| {
                a["choices"] = json!([{"content": "", "reasoning_content": "First I count the words."}]);
                a["usage"] = json!({"completion_tokens": 64});
            },
            &|a, _| {
                a["choices"] = json!([{"content": "", "thinking": null}]);
                a["usage"] = json!({"completion_tokens": 64});
            },
            &|a, _| {
                a["choices"] =
                    json!([{"content": "five", "tool_calls": [{"name": "count", "arguments": "{}"}]}]);
                a["usage"] = json!({"completion_tokens": 64});
            },
        ];
        for (i, distort) in cases.iter().enumerate() {
            assert_eq!(verdict(distort), Some(Verdict::Pass), "case {i}");
        }
        let total = verdict(|a, _| a["usage"]["reasoning_tokens"] = json!(3));
        assert_eq!(total, Some(Verdict::Pass));
        let neither = verdict(|a, _| {
            a["usage"]["reasoning_tokens"] = json!(3);
            a["usage"]["total_tokens"] = json!(1);
        });
        assert_eq!(neither, Some(Verdict::Fail));
    }

    #[test]
    fn answers_without_such_numbers_are_not_judged() {
        assert_eq!(verdict(|a, _| *a = json!({"text": "hello"})), None);
    }

    #[test]
    fn a_count_belongs_to_the_list_of_its_name() {
        let list = |name, length| List {
            name,
            length,
            of_things: true,
        };
        let two = [list("slides", 3), list("others", 4)];
        assert_eq!(counted_list("num_slides", &two), Some(&two[0]));
        assert_eq!(counted_list("total", &two), None);
        assert_eq!(counted_list("total", &two[..1]), Some(&two[0]));
        assert_eq!(counted_list("level_count", &two), None);
        assert_eq!(counted_list("level", &two[..1]), None);
    }

    #[test]
    fn a_count_beside_one_value_of_many_numbers_counts_something_else() {
        let cases: [Distortion; 6] = [
            &|a, _| *a = json!({"label": "car", "count": 1, "bbox": [3, 4, 60, 80]}),
            &|a, _| *a = json!({"count": 1, "embedding": [0.1, 0.2, 0.3]}),
            &|a, _| *a = json!({"embedding_count": 1, "embedding": [0.1, 0.2, 0.3]}),
            &|a, _| *a = json!({"number": 7, "probabilities": vec![0.1; 10]}),
            &|a, _| *a = json!({"number": 0, "content": [{"id": 1}, {"id": 2}]}),
            &|a, _| *a = json!({"n": 1, "results": ["a", "b"]}),
        ];
        for (i, distort) in cases.iter().enumerate() {
            assert_eq!(verdict(distort), None, "case {i}");
        }
        let numbers = verdict(|a, _| *a = json!({"num_classes": 1, "classes": [4, 9]}));
        assert_eq!(numbers, Some(Verdict::Fail));
    }
}
