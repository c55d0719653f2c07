//! A suite as TOML that a person can read, edit and run. It must not decide anything: what it prints reads back as
//! the same suite.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prony_model::{HttpSpec, JsonText, ScenarioSpec, Suite};
use serde::Serialize;
use serde_json::Value;

/// The suite as TOML with comments.
pub(crate) fn print(suite: &Suite) -> String {
    let mut text = String::from(
        "# A Prony suite. Run it with `prony run FILE`; `prony schema suite` describes every key.\n",
    );
    text += &toml(&BTreeMap::from([("name", &suite.name)]));
    if !suite.description.is_empty() {
        text += &toml(&BTreeMap::from([("description", &suite.description)]));
    }
    section(&mut text, "Where to send load.", "target", &suite.target);
    for (i, (name, origin)) in suite.origin.iter().enumerate() {
        let comment = if i == 0 {
            "Other servers that steps of flows go to."
        } else {
            ""
        };
        section(&mut text, comment, "origin", &BTreeMap::from([(name, origin)]));
    }
    section(
        &mut text,
        "How to run. The same seed sends the same requests at the same times.",
        "run",
        &suite.run,
    );
    if !suite.objective.is_default() {
        section(
            &mut text,
            "What is promised to users, and the load that is expected; recommendations follow from it.",
            "objective",
            &suite.objective,
        );
    }
    for (name, params) in &suite.experiment {
        let question = prony_experiments::find(name).map_or("", |def| def.question);
        section(
            &mut text,
            question,
            "experiment",
            &BTreeMap::from([(name, without_nulls(params))]),
        );
    }
    for (i, (name, feed)) in suite.feed.iter().enumerate() {
        let comment = if i == 0 {
            "Where the values of requests come from."
        } else {
            ""
        };
        section(&mut text, comment, "feed", &BTreeMap::from([(name, feed)]));
    }
    if let Some(retry) = &suite.retry {
        section(
            &mut text,
            "Send again what failed, in every scenario that says nothing of its own.",
            "retry",
            retry,
        );
    }
    let scenarios: Vec<ScenarioSpec> = suite.scenario.iter().map(printable).collect();
    list(
        &mut text,
        "Requests that phases refer to by name.",
        "scenario",
        &scenarios,
    );
    list(
        &mut text,
        "Load written by hand, in order, before the experiments.",
        "phase",
        &suite.phase,
    );
    list(
        &mut text,
        "Conditions that decide the verdict.",
        "gate",
        &suite.gate,
    );
    list(
        &mut text,
        "What others say of the target, held against the measurements.",
        "claim",
        &suite.claim,
    );
    list(
        &mut text,
        "The endpoints that experiments work on.",
        "endpoint",
        &suite.endpoint,
    );
    text
}

/// One table under a comment.
fn section(text: &mut String, comment: &str, key: &str, value: &impl Serialize) {
    text.push('\n');
    if !comment.is_empty() {
        let _ = writeln!(text, "# {comment}");
    }
    *text += &toml(&BTreeMap::from([(key, value)]));
}

/// Tables of one kind, one by one, the first under a comment.
fn list<T: Serialize>(text: &mut String, comment: &str, key: &str, values: &[T]) {
    for (i, value) in values.iter().enumerate() {
        section(text, if i == 0 { comment } else { "" }, key, &[value]);
    }
}

fn toml(value: &impl Serialize) -> String {
    toml::to_string(value).expect("a suite without nulls holds only what TOML can say")
}

/// The scenario with a JSON body that TOML cannot say turned into text.
fn printable(spec: &ScenarioSpec) -> ScenarioSpec {
    let mut spec = spec.clone();
    let of_steps = spec.step.iter_mut().map(|step| &mut step.http);
    for HttpSpec { json, json_text, .. } in spec.http.iter_mut().chain(of_steps) {
        if json.as_ref().is_some_and(|json| !is_plain(json)) {
            *json_text = json.take().map(JsonText);
        }
    }
    spec
}

/// Whether TOML can say a JSON value: no nulls, no integers beyond 64 signed bits.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => !number.is_u64() || number.is_i64(),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(map) => map.values().all(is_plain),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// Parameters without the keys that are null: an absent key means the same.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, inner)| !inner.is_null());
            kept.map(|(key, inner)| (key.clone(), without_nulls(inner)))
                .collect()
        }
        Value::Array(items) => items
            .iter()
            .filter(|inner| !inner.is_null())
            .map(without_nulls)
            .collect(),
        other => other.clone(),
    }
}
