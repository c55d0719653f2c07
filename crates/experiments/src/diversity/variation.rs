//! Requests that differ in one input: taken from the samples, or made from them by recombination.

use std::collections::BTreeMap;

use prony_model::{Body, Endpoint, Place, Request, SampleRequest};
use serde_json::Value;

use super::rules;
use crate::RunView;
use crate::answer::good_sample;
use crate::leaf::scalar_text;
use crate::mutation::{json_body, with_query, with_segment};

/// One request and how it differs from the first one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    /// The input that was changed; `None` for a repeat of the first request.
    pub field: Option<String>,
    /// The value of that input here, as text.
    pub value: String,
    /// Its value in the first request.
    pub base_value: String,
    /// The request.
    pub request: Request,
}

/// Texts that a field for free text takes when the samples know only one or two values.
const TEXTS: [&str; 5] = [
    "dark round cells close together",
    "a quiet harbour in the morning",
    "how to repair a bicycle chain",
    "quarterly revenue of a small bakery",
    "necrosis with inflammation",
];

/// The first request repeated, then one variant for each further value of each input.
pub(super) fn plan(endpoint: &Endpoint, run: &RunView<'_>, values_max: usize, repeats: usize) -> Vec<Trial> {
    let Some(base) = good_sample(endpoint, run) else {
        return Vec::new();
    };
    let repeat = Trial {
        field: None,
        value: String::new(),
        base_value: String::new(),
        request: base.request.clone(),
    };
    let mut trials = vec![repeat; repeats];
    for (field, base_value) in &base.inputs {
        for (value, typed) in values(endpoint, field, base_value)
            .into_iter()
            .take(values_max - 1)
        {
            let Some(request) = varied(endpoint, base, field, &value, typed) else {
                continue;
            };
            if request != base.request {
                trials.push(Trial {
                    field: Some(field.clone()),
                    value,
                    base_value: base_value.clone(),
                    request,
                });
            }
        }
    }
    trials
}

/// Further distinct values of an input as text, with the JSON value where it is known.
fn values(endpoint: &Endpoint, field: &str, base_value: &str) -> Vec<(String, Option<Value>)> {
    let mut found: Vec<(String, Option<Value>)> = Vec::new();
    for sample in &endpoint.samples {
        if let Some(value) = sample.inputs.get(field)
            && value != base_value
            && !found.iter().any(|(v, _)| v == value)
        {
            let typed = json_body(&sample.request).and_then(|body| body.get(field).cloned());
            found.push((value.clone(), typed));
        }
    }
    for choice in rules::choices(endpoint, field) {
        let value = scalar_text(choice);
        if value != base_value && !found.iter().any(|(v, _)| *v == value) {
            found.push((value, Some(choice.clone())));
        }
    }
    if found.len() < 3 && rules::is_free_text(endpoint, field) {
        let texts = TEXTS.iter().filter(|&&text| text != base_value);
        found.extend(texts.map(|&text| (text.to_owned(), None)));
    }
    found
}

/// The base request with one input changed; `None` when the input cannot be found in it.
fn varied(
    endpoint: &Endpoint,
    base: &SampleRequest,
    field: &str,
    value: &str,
    typed: Option<Value>,
) -> Option<Request> {
    if let Some(pair) = endpoint
        .samples
        .iter()
        .find(|s| differs_only_in(&s.inputs, &base.inputs, field, value))
    {
        return Some(pair.request.clone());
    }
    let mut request = base.request.clone();
    match endpoint
        .parameters
        .iter()
        .find(|p| p.name == field)
        .map(|p| p.place)
    {
        Some(Place::Path) => request.path = with_segment(&endpoint.path, &request.path, field, value)?,
        Some(Place::Query) => request.path = with_query(&request.path, field, value),
        Some(Place::Header) => {
            let header = request
                .headers
                .iter_mut()
                .find(|h| h.name.eq_ignore_ascii_case(field))?;
            value.clone_into(&mut header.value);
        }
        None if endpoint.path.contains(&format!("{{{field}}}")) => {
            request.path = with_segment(&endpoint.path, &request.path, field, value)?;
        }
        None => {
            let mut body = json_body(&base.request)?;
            let new = typed.unwrap_or_else(|| Value::String(value.to_owned()));
            replace(&mut body, field, &new).then_some(())?;
            request.body = Body::text(body.to_string());
        }
    }
    Some(request)
}

fn differs_only_in(
    inputs: &BTreeMap<String, String>,
    base: &BTreeMap<String, String>,
    field: &str,
    value: &str,
) -> bool {
    inputs.len() == base.len()
        && inputs.iter().all(|(name, v)| {
            if name == field {
                v == value
            } else {
                base.get(name) == Some(v)
            }
        })
}

/// Sets the field at the top, or the first of that name anywhere below.
fn replace(body: &mut Value, field: &str, new: &Value) -> bool {
    match body {
        Value::Object(map) => {
            if let Some(slot) = map.get_mut(field) {
                *slot = new.clone();
                return true;
            }
            map.values_mut().any(|inner| replace(inner, field, new))
        }
        Value::Array(list) => list.iter_mut().any(|inner| replace(inner, field, new)),
        _ => false,
    }
}
