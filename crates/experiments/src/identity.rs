//! Who answered? Many services name the model, engine or source of an answer in it; when that name says fallback,
//! template or mock, the answer's time is not the model's time.
//!
//! Sends nothing: it reads what coverage and diversity recorded. It must not know any product's names.

use std::collections::BTreeMap;

use prony_model::{Budget, Endpoint, Finding, PhaseResult, Role, Severity, Source, Verdict};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, answers, bounded_to};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::leaf::{Leaf, has_word, is_prose, leaves};
use crate::relation::{Reach, reach, tells_state};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "identity";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Identity of the answers",
    question: "Was it the model that answered?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage", "diversity"],
    time: Time::None,
    build: |_, value| {
        let IdentityParams {} = params(value)?;
        Ok(Box::new(Identity))
    },
    schema: || schema_for!(IdentityParams),
    example: "[experiment.identity]\n",
};

/// The identity experiment takes no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityParams {}

struct Identity;

/// Words of names that say who or what made an answer.
const MAKERS: &[&str] = &[
    "model",
    "engine",
    "backend",
    "provider",
    "source",
    "generator",
    "method",
    "mode",
    "ranker",
    "reranker",
    "scorer",
    "encoder",
    "embedder",
    "classifier",
    "detector",
    "summarizer",
    "summariser",
    "producer",
    "strategy",
    "algorithm",
    "pipeline",
    "implementation",
    "llm",
    "by",
    "via",
    "origin",
];

/// Words that say that the real maker did not make it.
const STAND_INS: &[&str] = &[
    "fallback",
    "template",
    "placeholder",
    "mock",
    "mocked",
    "dummy",
    "stub",
    "heuristic",
    "simulated",
    "unavailable",
    "degraded",
];

/// A field of an answer that says who made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Maker {
    field: String,
    value: String,
}

impl Experiment for Identity {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut rows = Vec::new();
        let mut found = Vec::new();
        let mut at = Source::default();
        for endpoint in run.surface.endpoints.iter().filter(|e| e.is_work()) {
            let seen = good_answers(run, endpoint);
            let Some((phase, _)) = seen.first() else { continue };
            at = Source {
                phase: Some(phase.index),
                scenario: String::new(),
            };
            let makers = count(seen.iter().flat_map(|(_, a)| makers(a)));
            for (maker, n) in &makers {
                rows.push(vec![
                    endpoint.name.clone(),
                    bounded_to(&maker.field, 60),
                    bounded_to(&maker.value, 80),
                    format!("{n} of {}", seen.len()),
                ]);
            }
            let here = source(phase, &endpoint.name);
            let before = found.len();
            found.extend(fallback(endpoint, &makers, seen.len(), &here));
            if found.len() == before {
                found.extend(admitted(endpoint, &seen, &here));
                found.extend(mismatch(run, endpoint, &makers, &here));
            }
        }
        if !rows.is_empty() {
            found.insert(0, overview(rows, &at));
        }
        found
    }
}

/// The first field in which an endpoint's answers name a stand-in, as `field: value`.
pub(crate) fn stand_in(run: &RunView<'_>, endpoint: &Endpoint) -> Option<String> {
    good_answers(run, endpoint)
        .iter()
        .flat_map(|(_, answer)| makers(answer))
        .find(is_stand_in)
        .map(|m| format!("{}: {}", bounded_to(&m.field, 60), bounded_to(&m.value, 80)))
}

/// The good answers of an endpoint in the phases that send each request once.
fn good_answers<'a>(run: &RunView<'a>, endpoint: &Endpoint) -> Vec<(&'a PhaseResult, Answer<'a>)> {
    ["coverage", "diversity"]
        .iter()
        .flat_map(|experiment| run.of(experiment).collect::<Vec<_>>())
        .flat_map(|phase| {
            answers(phase, &endpoint.name)
                .into_iter()
                .map(move |a| (phase, a))
        })
        .filter(|(_, a)| a.is_ok() && a.captured.is_some())
        .collect()
}

fn makers(answer: &Answer<'_>) -> Vec<Maker> {
    let sent = answer
        .request
        .body
        .to_bytes()
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let asked = |value: &str| {
        value.len() >= 3 && (sent.contains(&format!("\"{value}\"")) || answer.request.path.contains(value))
    };
    let document = answer.json().unwrap_or(Value::Null);
    let mut found: Vec<Maker> = leaves(&document)
        .iter()
        .filter(|l| !asked(&l.text()))
        .filter_map(maker)
        .collect();
    for header in answer.captured.iter().flat_map(|c| &c.headers) {
        let name = header.name.to_ascii_lowercase();
        let custom = name.starts_with("x-") && (has_word(&name, MAKERS) || has_word(&name, STAND_INS));
        if custom || name == "server-timing" {
            found.push(Maker {
                field: format!("header {name}"),
                value: header.value.clone(),
            });
        }
    }
    found.sort();
    found.dedup();
    found
}

fn maker(leaf: &Leaf) -> Option<Maker> {
    let key = leaf.key();
    let field = leaf.pattern.clone();
    match &leaf.value {
        Value::String(value) if has_word(key, MAKERS) && value.chars().count() <= 120 && !is_prose(value) => {
            Some(Maker {
                field,
                value: value.clone(),
            })
        }
        Value::Bool(true)
            if has_word(key, STAND_INS) && !has_word(key, &["allow", "enable", "enabled", "can", "has"]) =>
        {
            Some(Maker {
                field,
                value: "true".to_owned(),
            })
        }
        _ => None,
    }
}

fn is_stand_in(maker: &Maker) -> bool {
    let said = if maker.value == "true" {
        &maker.field
    } else {
        &maker.value
    };
    let last = said.rsplit('.').next().unwrap_or_default();
    let names = if maker.value == "true" { last } else { said };
    let not = prony_model::name_words(names)
        .windows(2)
        .any(|pair| ["no", "not", "non"].contains(&pair[0].as_str()));
    has_word(names, STAND_INS) && !not
}

fn count(makers: impl Iterator<Item = Maker>) -> BTreeMap<Maker, usize> {
    let mut counts = BTreeMap::new();
    for maker in makers {
        *counts.entry(maker).or_insert(0) += 1;
    }
    counts
}

fn overview(rows: Vec<Vec<String>>, at: &Source) -> Finding {
    let fields = if rows.len() == 1 {
        "One field".to_owned()
    } else {
        format!("{} fields", rows.len())
    };
    Draft::new(NAME, "identity", "")
        .advisory()
        .title(format!("{fields} of the answers name a maker"))
        .detail("Names of models, engines and sources as the answers themselves give them.")
        .table(
            "Who answered, by the answers' own word",
            &["Endpoint", "Field", "Value", "Answers"],
            rows,
            at,
        )
        .done()
}

fn fallback(
    endpoint: &Endpoint,
    makers: &BTreeMap<Maker, usize>,
    n: usize,
    here: &Source,
) -> Option<Finding> {
    let named: Vec<(&Maker, &usize)> = makers.iter().filter(|(m, _)| is_stand_in(m)).collect();
    let (first, count) = named.first()?;
    let draft = Draft::new(NAME, "fallback-identity", &endpoint.name)
        .verdict(Verdict::Fail, Severity::High)
        .title(format!(
            "{} is answered by a stand-in: `{}` says `{}`",
            endpoint.name,
            bounded_to(&first.field, 60),
            bounded_to(&first.value, 80)
        ))
        .detail(format!(
            "{count} of {n} correct answers name a fallback, template or mock as their maker. Whatever is measured \
             on this endpoint is the time of that stand-in."
        ))
        .figure("answers that name a stand-in", **count as f64, "", n, here)
        .advice(
            "Make the real model answer, or answer with an error when it cannot; then measure again.",
            "A silent fallback answers with 200, so no status-based monitoring will ever see it.",
        );
    let quoted = named.iter().take(5).fold(draft, |d, (m, _)| {
        d.quote("field and value", &format!("{}: {}", m.field, m.value), here)
    });
    Some(quoted.done())
}

/// A note in the answer that admits a stand-in, where no field names one.
fn admitted(endpoint: &Endpoint, seen: &[(&PhaseResult, Answer<'_>)], here: &Source) -> Option<Finding> {
    let note = seen.iter().filter_map(|(_, a)| a.json()).find_map(|document| {
        leaves(&document).into_iter().find(|l| {
            has_word(l.key(), &["note", "warning", "notice"]) && l.value.as_str().is_some_and(admits)
        })
    })?;
    Some(
        Draft::new(NAME, "fallback-note", &endpoint.name)
            .verdict(Verdict::Warn, Severity::Low)
            .advisory()
            .title(format!(
                "{} says in `{}` that something stood in",
                endpoint.name,
                bounded_to(&note.pattern, 60)
            ))
            .detail("The note does not prove that the model was absent, but the answer deserves a look.")
            .quote("the note", &note.text(), here)
            .done(),
    )
}

/// Whether a text says that something stood in, and not that nothing did.
fn admits(text: &str) -> bool {
    const ADMITS: &[&str] = &[
        "fallback",
        "placeholder",
        "mock",
        "mocked",
        "dummy",
        "stub",
        "template",
    ];
    const DENIES: &[&str] = &["no", "not", "never", "without", "non", "none"];
    let words = prony_model::name_words(text);
    words.iter().enumerate().any(|(at, word)| {
        let before = &words[at.saturating_sub(3)..at];
        has_word(word, ADMITS) && !before.iter().any(|w| DENIES.contains(&w.as_str()))
    })
}

/// Another model than the one that the status endpoint or the list of models names.
fn mismatch(
    run: &RunView<'_>,
    endpoint: &Endpoint,
    makers: &BTreeMap<Maker, usize>,
    here: &Source,
) -> Option<Finding> {
    let declared = declared_models(run, endpoint);
    if declared.is_empty() {
        return None;
    }
    let said: Vec<&Maker> = makers.keys().filter(|m| is_model_name(&m.field)).collect();
    let other = said
        .iter()
        .find(|m| !declared.iter().any(|(_, name)| is_same_model(name, &m.value)))?;
    let (place, name) = &declared[0];
    Some(
        Draft::new(NAME, "identity-mismatch", &endpoint.name)
            .verdict(Verdict::Warn, Severity::Medium)
            .advisory()
            .title(format!(
                "{} names the model `{}`, but {place} declares `{}`",
                endpoint.name,
                bounded_to(&other.value, 80),
                bounded_to(name, 80)
            ))
            .detail(
                "One of the two is wrong: either another model answers, or the declaration is out of date.",
            )
            .quote(
                "in the answer",
                &format!("{}: {}", other.field, other.value),
                here,
            )
            .quote("declared", name, here)
            .done(),
    )
}

/// Model names that a status endpoint of this part, or a list of models, declares, with the place.
fn declared_models(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for other in &run.surface.endpoints {
        let speaks = tells_state(other) && reach(other, endpoint) == Reach::Part;
        let lists = other.role == Role::Listing && other.path.ends_with("/models");
        if !speaks && !lists {
            continue;
        }
        for (_, answer) in good_answers(run, other) {
            let Some(document) = answer.json() else { continue };
            let named = leaves(&document).into_iter().filter(|l| {
                l.value.is_string()
                    && if lists {
                        matches!(l.key(), "id" | "name")
                    } else {
                        is_model_name(l.key())
                    }
            });
            found.extend(named.map(|l| (other.name.clone(), l.text())));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `model`, `model_name`, `model_id`, `embedding_model`, but not `model_version` or `model_device`.
fn is_model_name(field: &str) -> bool {
    let parts = prony_model::name_words(field.rsplit('.').next().unwrap_or_default());
    match parts.iter().position(|w| w == "model") {
        Some(at) => parts[at + 1..].iter().all(|w| w == "name" || w == "id"),
        None => false,
    }
}

fn is_same_model(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let last = |s: &str| s.rsplit('/').next().unwrap_or_default().to_owned();
    a.contains(&last(&b)) || b.contains(&last(&a))
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Verdict};
    use serde_json::json;

    use super::{Maker, admits, is_model_name, is_same_model, is_stand_in, maker};
    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{complaints, run};
    use crate::leaf::leaves;

    #[test]
    fn stand_ins_are_told_from_names_that_only_sound_so() {
        let says = |document: serde_json::Value| {
            leaves(&document)
                .iter()
                .filter_map(maker)
                .any(|m: Maker| is_stand_in(&m))
        };
        assert!(says(json!({"embedding_model": "attention-fallback"})));
        assert!(says(json!({"meta": {"source": "TEMPLATE_V2"}})));
        assert!(says(json!({"used_fallback": true})));
        assert!(!says(json!({"used_fallback": false})));
        assert!(!says(json!({"fallback_enabled": true})));
        assert!(!says(json!({"model": "non-fallback"})));
        assert!(!says(json!({"model": "mockingbird-7b"})));
        assert!(!says(json!({"title": "A template for letters"})));
        assert!(!says(json!({"model": "llama-3-8b"})));
    }

    #[test]
    fn notes_admit_or_deny() {
        assert!(admits("The model was not loaded; this text is a template."));
        assert!(admits("Placeholder values"));
        assert!(!admits("Labels come from a small model without any template."));
        assert!(!admits("For research only."));
    }

    #[test]
    fn model_names() {
        assert!(
            is_model_name("results[].embedding_model")
                && is_model_name("model")
                && is_model_name("modelName")
        );
        assert!(!is_model_name("model_version") && !is_model_name("model_loaded") && !is_model_name("mode"));
        assert!(is_same_model("google/siglip-base", "siglip-base") && !is_same_model("a-1", "b-2"));
    }

    #[test]
    fn the_stand_in_is_found_and_the_real_one_left_alone() {
        for (ignores_query, expected) in [(false, 0), (true, 1)] {
            let mut library = Library::new(Faults {
                ignores_query,
                ..Faults::default()
            });
            let (_, findings) = run(&["coverage", "identity"], &surface(), Budget::Standard, |r| {
                library.answer(r)
            });
            let failed: Vec<_> = findings
                .iter()
                .filter(|f| f.verdict == Verdict::Fail && f.required)
                .collect();
            assert_eq!(failed.len(), expected, "{failed:#?}");
            assert!(
                failed
                    .iter()
                    .all(|f| f.id == "fallback-identity" && f.endpoint == "POST /v1/search")
            );
            if !ignores_query {
                assert_eq!(complaints(&findings), [""; 0]);
            }
        }
    }
}
