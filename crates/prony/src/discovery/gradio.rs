//! Applications of Gradio, by the page that loads them and the description of their functions beside it. A function is asked at
//! `run`, which answers in one request; what the page does itself, through a queue and a stream of events, is a flow for a suite.

use std::collections::BTreeMap;

use prony_model::{Body, BodyCheck, Captured, Request, SampleRequest, Surface};
use serde_json::{Map, Value, json};

use super::harvest::Harvest;
use super::openapi::{Operation, RequestBody};
use super::protocols::work;
use super::{Fetch, Hints, llm, made_samples};
use crate::text;

/// Most functions that are asked.
const FUNCTIONS_MAX: usize = 6;

/// Whether the URL given leads to such a page. The document beside it tells of the framework's own routes, not of the functions.
pub(super) fn is_page(first: &Captured) -> bool {
    first.status == 200 && (first.body.contains("window.gradio_config") || first.body.contains("<gradio-app"))
}

/// Adds its functions whose inputs can be made up.
pub(super) fn find(fetch: &mut dyn Fetch, hints: &Hints<'_>, surface: &mut Surface) {
    let base = hints
        .path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    // Before version 5 there was no prefix.
    for prefix in [format!("{base}/gradio_api"), base.to_owned()] {
        let answer = fetch.fetch(&Request::get(format!("{prefix}/info")));
        let json = answer.json().filter(|_| answer.status == 200);
        if let Some(functions) = json
            .as_ref()
            .and_then(|json| json.get("named_endpoints")?.as_object())
        {
            describe(functions, &prefix, surface);
            return;
        }
    }
}

fn describe(functions: &Map<String, Value>, prefix: &str, surface: &mut Surface) {
    let is_shown = |function: &Value| {
        let private = function
            .get("api_visibility")
            .is_some_and(|seen| seen == "private");
        !private && function.get("show_api") != Some(&json!(false))
    };
    let mut found = 0;
    for (name, function) in functions
        .iter()
        .filter(|(_, function)| is_shown(function))
        .take(FUNCTIONS_MAX)
    {
        let path = format!("{prefix}/run/{}", name.trim_start_matches('/'));
        let shown = text::clean(name, 60);
        if path.contains(['?', '#', ' ', '\r', '\n']) {
            continue;
        }
        match samples(function, &path) {
            Some(samples) => {
                found += 1;
                let checks = vec![BodyCheck::Json("/data".to_owned())];
                llm::put_made(surface, work(&path, samples, checks));
            }
            None => surface.found_by.push(format!(
                "Gradio: {shown} takes a file, which must be uploaded first: prony check URL{} -b '{{\"data\": [...]}}' with its path",
                text::clean(&path, 60)
            )),
        }
    }
    if found > 0 {
        surface.found_by.push(format!(
            "Gradio: {found} functions by {}/info, asked at run/NAME; its queue (call/NAME, then its events) is a flow for a suite",
            text::clean(prefix, 60)
        ));
    }
}

/// Requests with a value for each parameter; `None` where one of them takes a file.
fn samples(function: &Value, path: &str) -> Option<Vec<SampleRequest>> {
    let parameters = function.get("parameters").and_then(Value::as_array)?;
    let mut names = Vec::new();
    let mut properties = Map::new();
    for (at, parameter) in parameters.iter().enumerate() {
        let has_default = parameter.get("parameter_has_default") == Some(&json!(true));
        let mut schema = parameter.get("type").cloned().unwrap_or_default();
        let is_file = schema.pointer("/properties/path").is_some() || schema.get("$ref").is_some();
        if has_default {
            schema = json!({"const": parameter.get("parameter_default")});
        } else if is_file {
            return None;
        }
        // Examples of texts are all the same: others are made up.
        let is_text = schema.get("type").is_some_and(|kind| kind == "string");
        if let (Some(example), Some(object), false) =
            (parameter.get("example_input"), schema.as_object_mut(), is_text)
        {
            object.entry("example").or_insert_with(|| example.clone());
        }
        let own = parameter.get("parameter_name").and_then(Value::as_str);
        // Its number tells two of a name apart; that a text is wanted, its type says.
        let name = format!("{at} {} text", own.unwrap_or_default());
        properties.insert(name.clone(), schema);
        names.push(name);
    }
    let operation = Operation {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: Some(RequestBody {
            content_type: "application/json".to_owned(),
            schema: json!({"type": "object", "required": names, "properties": properties}),
            required: true,
            example: None,
        }),
        ..Operation::default()
    };
    let in_order = |mut sample: SampleRequest| {
        let Body::Text(body) = &sample.request.body else {
            return None;
        };
        let made: Value = serde_json::from_str(body).ok()?;
        let data: Vec<&Value> = names.iter().map(|name| &made[name]).collect();
        sample.inputs = BTreeMap::from([("data".to_owned(), json!(data).to_string())]);
        sample.request.body = Body::text(json!({ "data": data }).to_string());
        Some(sample)
    };
    made_samples(&operation, &Harvest::default())
        .into_iter()
        .map(in_order)
        .collect()
}
