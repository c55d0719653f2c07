//! Protocols that need no document: deep zoom descriptors and KServe V2. Those of language models have files of their own.

use std::collections::BTreeMap;

use prony_experiments::dzi::Descriptor;
use prony_model::{
    BodyCheck, Captured, Endpoint, Expect, JsonText, Parameter, Place, Request, Role, SampleRequest, Surface,
};
use serde_json::{Value, json};

use super::harvest::Harvest;
use super::places::has_extension;
use super::{Fetch, bare, llm, tensors};
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

/// A deep zoom descriptor at the URL itself, or one that a page or a listing names: tiles become an endpoint. Descriptors of a
/// documented API are found through its own endpoints.
pub(super) fn dzi(
    fetch: &mut dyn Fetch,
    path: &str,
    first: &Captured,
    pages: &[String],
    surface: &mut Surface,
) {
    let mut descriptor_path = path.to_owned();
    let mut answer = first.clone();
    if Descriptor::parse(&answer.body).is_err() {
        if surface.endpoints.iter().any(|e| e.role == Role::Tile) {
            return;
        }
        // A viewer page names its descriptor.
        let mut quoted = pages
            .iter()
            .flat_map(|page| page.split(['"', '\'']).map(str::trim));
        let Some(named) = quoted.find(|q| {
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

/// Models of a KServe V2 server that are driven; the others are named.
const MODELS_MAX: usize = 4;

/// What a KServe V2 server says of itself.
pub(super) struct Kserve {
    /// What stands before `/v2` in its paths.
    base: String,
    /// Names of its models, those that are ready first.
    models: Vec<String>,
}

/// KServe V2 (Open Inference Protocol): server metadata at `/v2`, names of the models from the repository index, which is an
/// extension, and from the URL that the user gave.
pub(super) fn kserve_models(
    fetch: &mut dyn Fetch,
    path: &str,
    harvest: &mut Harvest,
    surface: &mut Surface,
) -> Option<Kserve> {
    let base = llm::before(path, "/v2");
    let server = fetch.fetch(&Request::get(format!("{base}/v2")));
    let metadata = server
        .json()
        .filter(|j| server.status == 200 && j.get("extensions").is_some())?;
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or("a server");
    surface.found_by.push(format!(
        "KServe V2: {} at {}/v2",
        text::clean(name, 60),
        text::clean(base, 60)
    ));
    let index = format!("{base}/v2/repository/index");
    let answer = fetch.fetch(&Request::json("POST", &index, &json!({})));
    let index = answer.json().filter(Value::is_array).unwrap_or_default();
    let is_ready = |model: &Value| model.get("state").is_none_or(|state| state == "READY");
    let mut listed: Vec<&Value> = index.as_array().into_iter().flatten().collect();
    listed.sort_by_key(|model| !is_ready(model));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let given = path
        .strip_prefix("/v2/models/")
        .and_then(|rest| rest.split(['/', '?']).next());
    let others = listed
        .iter()
        .filter_map(|model| model.get("name").and_then(Value::as_str))
        .filter(|name| Some(*name) != given);
    let models: Vec<String> = given
        .into_iter()
        .chain(others)
        .filter(|name| !name.is_empty() && name.len() <= 200 && name.chars().all(plain))
        .map(str::to_owned)
        .collect();
    let names: Vec<Value> = models.iter().map(|name| json!({ "name": name })).collect();
    harvest.read(&format!("{base}/v2/models"), &json!(names));
    if models.is_empty() {
        surface.found_by.push(
            "it does not list its models: give the URL of one, as in http://host:port/v2/models/NAME"
                .to_owned(),
        );
    }
    Some(Kserve {
        base: base.to_owned(),
        models,
    })
}

/// An endpoint for inference on each model that tells its inputs.
pub(super) fn kserve(fetch: &mut dyn Fetch, server: Option<&Kserve>, surface: &mut Surface) {
    let Some(server) = server else { return };
    let base = &server.base;
    for path in ["live", "ready"].map(|end| format!("{base}/v2/health/{end}")) {
        if !surface.endpoints.iter().any(|e| e.path == path) {
            surface.endpoints.push(bare(&path, Role::Health));
        }
    }
    // The index is a list that is asked for with POST.
    let at = format!("{base}/v2/repository/index");
    let index = surface.endpoints.iter_mut().filter(|e| e.path == at);
    index.for_each(|e| e.role = Role::Listing);
    for model in server.models.iter().take(MODELS_MAX) {
        let path = format!("{base}/v2/models/{model}");
        let inputs = fetch
            .fetch(&Request::get(&path))
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
        let samples = tensors::samples(&infer, &inputs);
        if samples.is_empty() {
            surface.found_by.push(format!(
                "model {model} left alone: its inputs are too large to be made up"
            ));
            continue;
        }
        // The generic document entry has placeholders where this one has a real model.
        surface
            .endpoints
            .retain(|e| !(e.path.starts_with(&format!("{base}/v2/models/{{")) && e.method == "POST"));
        surface.endpoints.push(work(
            &infer,
            samples,
            vec![BodyCheck::Json("/outputs/0".to_owned())],
        ));
    }
    if server.models.len() > MODELS_MAX {
        surface.found_by.push(format!(
            "{} further models of the repository left out; name them in a suite to include them",
            server.models.len() - MODELS_MAX
        ));
    }
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
