//! Protocols that need no document: deep zoom descriptors and KServe V2. Those of language models have files of their own.

use std::collections::BTreeMap;

use prony_experiments::dzi::Descriptor;
use prony_model::{
    BodyCheck, Captured, Endpoint, Expect, JsonText, Parameter, Place, Request, Role, SampleRequest, Surface,
};
use serde_json::{Value, json};

use super::places::has_extension;
use super::{Fetch, bare};
use crate::text;

/// Prompts of different length and subject; short answers are asked for.
pub(super) const PROMPTS: &[&str] = &[
    "Name three rivers of Europe.",
    "What is the boiling point of water at sea level, in degrees Celsius?",
    "Write one sentence about steam engines.",
    "Translate 'good morning' into French.",
    "List the primary colours.",
    "Why is the sky blue? Answer in one sentence.",
    "Count from one to five in words.",
    "Which animal is known for its long neck?",
];

/// A deep zoom descriptor at the URL itself: tiles become an endpoint. Descriptors of a documented API are found
/// through its own endpoints.
pub(super) fn dzi(fetch: &mut dyn Fetch, path: &str, first: &Captured, surface: &mut Surface) {
    let mut descriptor_path = path.to_owned();
    let mut answer = first.clone();
    if Descriptor::parse(&answer.body).is_err() {
        // A viewer page names its descriptor.
        let Some(named) = first.body.split(['"', '\'']).map(str::trim).find(|q| {
            q.len() <= 200 && has_extension(q, "dzi") && !q.contains("://") && !q.starts_with("//")
        }) else {
            return;
        };
        descriptor_path = if named.starts_with('/') {
            named.to_owned()
        } else {
            format!("/{named}")
        };
        answer = fetch.fetch(&Request::get(&descriptor_path));
    }
    let Ok(descriptor) = Descriptor::parse(&answer.body) else {
        return;
    };
    let template = descriptor.tile_path(&descriptor_path);
    surface.found_by.push(format!(
        "deep zoom descriptor at {}",
        text::clean(&descriptor_path, 80)
    ));
    let mut image = bare(&descriptor_path, Role::Resource);
    image.expect = Expect::default();
    surface.endpoints.push(image);
    let whole = |name: &str| Parameter {
        name: name.to_owned(),
        place: Place::Path,
        required: true,
        schema: JsonText(json!({"type": "integer", "minimum": 0})),
    };
    let first_tile = template
        .replace("{level}", "0")
        .replace("{col}", "0")
        .replace("{row}", "0");
    surface.endpoints.push(Endpoint {
        name: format!("GET {template}"),
        method: "GET".to_owned(),
        path: template,
        role: Role::Tile,
        parameters: vec![whole("level"), whole("col"), whole("row")],
        body_schema: None,
        declared_statuses: Vec::new(),
        samples: vec![SampleRequest {
            request: Request::get(first_tile),
            inputs: BTreeMap::new(),
        }],
        expect: Expect {
            content_type: Some("image/".to_owned()),
            ..Expect::default()
        },
    });
}

/// KServe V2 (Open Inference Protocol): server metadata at `/v2`, model metadata per model of the repository index.
pub(super) fn kserve(fetch: &mut dyn Fetch, surface: &mut Surface) {
    let server = fetch.fetch(&Request::get("/v2"));
    let Some(metadata) = server
        .json()
        .filter(|j| server.status == 200 && j.get("extensions").is_some())
    else {
        return;
    };
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or("a server");
    surface
        .found_by
        .push(format!("KServe V2: {} at /v2", text::clean(name, 60)));
    for path in ["/v2/health/live", "/v2/health/ready"] {
        if !surface.endpoints.iter().any(|e| e.path == path) {
            surface.endpoints.push(bare(path, Role::Health));
        }
    }
    let index = fetch.fetch(&Request::json("POST", "/v2/repository/index", &json!({})));
    let models = index
        .json()
        .and_then(|j| j.as_array().cloned())
        .unwrap_or_default();
    for model in models
        .iter()
        .filter_map(|m| m.get("name").and_then(Value::as_str))
        .take(8)
    {
        let plain = model
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let path = format!("/v2/models/{model}");
        let answer = if plain {
            fetch.fetch(&Request::get(&path))
        } else {
            continue;
        };
        let inputs = answer
            .json()
            .and_then(|j| j.get("inputs").and_then(Value::as_array).cloned())
            .unwrap_or_default();
        if inputs.is_empty() {
            surface.found_by.push(format!(
                "model {model} declares no inputs: no request could be made up"
            ));
            continue;
        }
        let infer = format!("{path}/infer");
        // The generic document entry has placeholders where this one has a real model.
        surface
            .endpoints
            .retain(|e| !(e.path.starts_with("/v2/models/{") && e.method == "POST"));
        let samples = (0..4).map(|k| SampleRequest {
            request: Request::json("POST", &infer, &tensor_request(&inputs, k)),
            inputs: BTreeMap::from([("seed".to_owned(), k.to_string())]),
        });
        surface.endpoints.push(work(
            &infer,
            samples.collect(),
            vec![BodyCheck::Json("/outputs/0".to_owned())],
        ));
    }
}

/// Inputs of the declared names, types and shapes; free dimensions are 1.
fn tensor_request(inputs: &[Value], k: usize) -> Value {
    let tensors: Vec<Value> = inputs
        .iter()
        .map(|input| {
            let shape: Vec<i64> = input.get("shape").and_then(Value::as_array).map_or_else(
                || vec![1],
                |dims| {
                    dims.iter()
                        .map(|d| d.as_i64().filter(|&d| d > 0).unwrap_or(1).min(4096))
                        .collect()
                },
            );
            let count = shape
                .iter()
                .fold(1i64, |n, d| n.saturating_mul(*d))
                .min(4_000_000) as usize;
            let datatype = input.get("datatype").and_then(Value::as_str).unwrap_or("FP32");
            let data: Vec<Value> = (0..count)
                .map(|i| match datatype {
                    "BYTES" => json!(PROMPTS[(i + k) % PROMPTS.len()]),
                    "BOOL" => json!((i + k).is_multiple_of(2)),
                    d if d.starts_with("FP") || d == "BF16" => {
                        json!(((i * 31 + k * 17) % 100) as f64 / 100.0)
                    }
                    _ => json!((i * 31 + k * 17) % 100),
                })
                .collect();
            json!({"name": input.get("name"), "datatype": datatype, "shape": shape, "data": data})
        })
        .collect();
    json!({ "inputs": tensors })
}

/// A POST endpoint that does work.
pub(super) fn work(path: &str, samples: Vec<SampleRequest>, body: Vec<BodyCheck>) -> Endpoint {
    Endpoint {
        name: format!("POST {path}"),
        method: "POST".to_owned(),
        path: path.to_owned(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples,
        expect: Expect {
            body,
            ..Expect::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::tensor_request;

    #[test]
    fn tensors_have_the_declared_shape() {
        let inputs = [
            json!({"name": "x", "datatype": "FP32", "shape": [-1, 3, 2]}),
            json!({"name": "s", "datatype": "BYTES", "shape": [-1]}),
        ];
        let body = tensor_request(&inputs, 1);
        assert_eq!(body["inputs"][0]["shape"], json!([1, 3, 2]));
        assert_eq!(body["inputs"][0]["data"].as_array().unwrap().len(), 6);
        assert!(body["inputs"][1]["data"][0].is_string());
    }
}
