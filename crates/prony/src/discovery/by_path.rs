//! Model servers that are known by their paths: TensorFlow Serving and KServe V1, TorchServe, containers in the manner of SageMaker
//! and MLflow, Ray Serve, Cog. Each by what any client sees; management ports are not asked.

use prony_model::{BodyCheck, Captured, Request, Role, Surface};
use serde_json::{Value, json};

use super::guess::{self, Holds, Shape};
use super::llm::{self, Models};
use super::openapi::Operation;
use super::protocols::work;
use super::{Fetch, Hints, bare, tensors};
use crate::text;

/// Models of one server that are driven.
const MODELS_MAX: usize = 4;
/// Applications of one Ray Serve that are asked.
const ROUTES_MAX: usize = 4;

/// Adds what is there and needs no document.
pub(super) fn find(fetch: &mut dyn Fetch, hints: &Hints<'_>, models: &Models, surface: &mut Surface) {
    let given = named_in(hints.path, "/v1/models/");
    if is_tensorflow(&models.listing) || given.is_some() {
        tensorflow(fetch, given, surface);
    }
    if let Some(listed) = kserve_v1(&models.listing) {
        for model in listed.iter().take(MODELS_MAX) {
            let place = models.at("/v1/models");
            let path = format!("{place}/{model}:predict");
            surface
                .found_by
                .push(format!("KServe V1: model {model} at {}", text::clean(&place, 80)));
            tried(
                fetch,
                &path,
                &[
                    Shape::field("instances", Holds::Rows),
                    Shape::field("instances", Holds::Texts),
                ],
                surface,
            );
        }
    }
    if is_torchserve(hints.elsewhere) {
        torchserve(fetch, hints.path, surface);
    }
    invocations(fetch, surface);
}

/// Tries what an endpoint takes; says what to type where nothing fits.
fn tried(fetch: &mut dyn Fetch, path: &str, shapes: &[Shape], surface: &mut Surface) {
    match guess::requests(fetch, path, shapes) {
        Ok((samples, line)) => {
            surface.found_by.push(line);
            llm::put_made(surface, work(path, samples, Vec::new()));
        }
        Err(line) => {
            surface.found_by.push(line);
            surface
                .endpoints
                .retain(|e| !(e.path == path && e.method == "POST"));
        }
    }
}

/// The name after a prefix of the path given, if it can be one.
fn named_in<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let name = path.strip_prefix(prefix)?.split(['/', '?', ':']).next()?;
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 200 && name.chars().all(plain)
}

/// The error of TensorFlow Serving to a list of models that it does not give.
fn is_tensorflow(listing: &Captured) -> bool {
    let said = listing
        .json()
        .and_then(|json| Some(json.get("error")?.as_str()?.to_owned()));
    (400..500).contains(&listing.status)
        && said.is_some_and(|words| {
            words.contains("Missing model name") || words.contains("Malformed request: GET")
        })
}

fn tensorflow(fetch: &mut dyn Fetch, given: Option<&str>, surface: &mut Surface) {
    let mut names: Vec<String> = given.into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        names = exported(&fetch.fetch(&Request::get("/monitoring/prometheus/metrics")));
    }
    let mut found = false;
    for name in names.iter().take(MODELS_MAX) {
        let place = format!("/v1/models/{name}");
        let state = fetch.fetch(&Request::get(&place));
        let is_state = |json: &Value| json.get("model_version_status").is_some();
        if state.status != 200 || !state.json().as_ref().is_some_and(is_state) {
            continue;
        }
        found = true;
        surface
            .found_by
            .push(format!("TensorFlow Serving: model {name} at {place}"));
        surface.endpoints.push(bare(&place, Role::Status));
        let metadata = fetch.fetch(&Request::get(format!("{place}/metadata")));
        let path = format!("{place}:predict");
        let samples = metadata
            .json()
            .map(|json| tensors::rows(&path, &inputs(&json)))
            .unwrap_or_default();
        if samples.is_empty() {
            surface.found_by.push(format!(
                "its signature was not found: prony check URL{path} -b '{{\"instances\": [[1.0, 2.0]]}}'"
            ));
        } else {
            let check = BodyCheck::Json("/predictions/0".to_owned());
            llm::put_made(surface, work(&path, samples, vec![check]));
        }
    }
    if !found && given.is_none() {
        surface.found_by.push(
            "TensorFlow Serving does not list its models: give the URL of one, prony check URL/v1/models/NAME".to_owned(),
        );
    }
}

/// Names of models in the metrics of TensorFlow Serving, which tell where each was loaded from: `/models/NAME/1`.
fn exported(metrics: &Captured) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in metrics.body.split("model_path=\"").skip(1).take(64) {
        let path = part.split('"').next().unwrap_or_default();
        let name = path.trim_end_matches('/').rsplit('/').nth(1).unwrap_or_default();
        if is_name(name) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The inputs of the signature that serves, in the words of KServe V2.
fn inputs(metadata: &Value) -> Vec<Value> {
    let signatures = metadata.pointer("/metadata/signature_def/signature_def");
    let serving = signatures.and_then(|all| {
        all.get("serving_default")
            .or_else(|| all.as_object()?.values().next())
    });
    let declared = serving.and_then(|s| s.get("inputs")).and_then(Value::as_object);
    let input = |(name, tensor): (&String, &Value)| {
        let datatype = match tensor.get("dtype").and_then(Value::as_str).unwrap_or_default() {
            "DT_STRING" => "BYTES",
            "DT_BOOL" => "BOOL",
            "DT_UINT8" => "UINT8",
            "DT_INT32" | "DT_INT64" | "DT_INT16" | "DT_INT8" => "INT64",
            _ => "FP32",
        };
        let dims = tensor.pointer("/tensor_shape/dim").and_then(Value::as_array);
        // Sizes are texts there.
        let size = |dim: &Value| -> i64 {
            let size = dim.get("size");
            let written = size.and_then(Value::as_str).and_then(|s| s.parse().ok());
            written.or(size.and_then(Value::as_i64)).unwrap_or(-1)
        };
        let shape: Vec<i64> = dims.into_iter().flatten().map(size).collect();
        json!({"name": name, "datatype": datatype, "shape": shape})
    };
    declared.into_iter().flatten().map(input).collect()
}

/// The names in a list of models as KServe V1 has it.
fn kserve_v1(listing: &Captured) -> Option<Vec<String>> {
    let json = listing.json().filter(|_| listing.status == 200)?;
    let listed = json.get("models")?.as_array()?;
    let names: Option<Vec<String>> = listed
        .iter()
        .map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    names.filter(|names| names.iter().all(|name| is_name(name)))
}

/// The form of the errors of TorchServe's front end.
fn is_torchserve(elsewhere: &Captured) -> bool {
    elsewhere.status == 404
        && elsewhere.json().is_some_and(|json| {
            let kind = json.get("type").and_then(Value::as_str);
            json.get("code") == Some(&json!(404)) && kind.is_some_and(|kind| kind.ends_with("Exception"))
        })
}

fn torchserve(fetch: &mut dyn Fetch, path: &str, surface: &mut Surface) {
    let document = fetch.fetch(&Request {
        method: "OPTIONS".to_owned(),
        ..Request::get("/")
    });
    let names_it = |json: &Value| {
        let paths = json.get("paths").and_then(Value::as_object);
        paths.is_some_and(|paths| paths.keys().any(|path| path.starts_with("/predictions/")))
    };
    if document.status != 200 || !document.json().as_ref().is_some_and(names_it) {
        return;
    }
    surface
        .found_by
        .push("TorchServe: its document by OPTIONS / names /predictions/NAME".to_owned());
    let Some(name) = named_in(path, "/predictions/") else {
        surface.found_by.push(
            "it lists its models on its management port only: prony check URL/predictions/NAME, with -b 'text' for a text of your own"
                .to_owned(),
        );
        return;
    };
    let path = format!("/predictions/{name}");
    tried(
        fetch,
        &path,
        &[
            Shape::Picture,
            Shape::Text,
            Shape::field("data", Holds::Text),
            Shape::field("instances", Holds::Rows),
        ],
        surface,
    );
}

/// A container for `/ping` and `/invocations`, as SageMaker asks for; MLflow tells its version beside them.
fn invocations(fetch: &mut dyn Fetch, surface: &mut Surface) {
    const PATH: &str = "/invocations";
    if llm::is_documented(surface, PATH) || !surface.endpoints.iter().any(|e| e.path == "/ping") {
        return;
    }
    let asked = fetch.fetch(&Request::get(PATH));
    if !matches!(asked.status, 400 | 405 | 415 | 422 | 500 | 501) {
        return;
    }
    let version = fetch.fetch(&Request::get("/version"));
    let is_version =
        |text: &str| text.len() < 40 && text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('.');
    let version = Some(version.body.trim()).filter(|text| version.status == 200 && is_version(text));
    surface.found_by.push(match version {
        Some(version) => format!("MLflow {}: /ping, /version and {PATH}", text::clean(version, 20)),
        None => format!("a container in the manner of SageMaker: /ping and {PATH}"),
    });
    let of_mlflow = [
        Shape::field("inputs", Holds::Rows),
        Shape::field("inputs", Holds::Texts),
        Shape::field("instances", Holds::Rows),
    ];
    let of_sagemaker = [
        Shape::field("inputs", Holds::Text),
        Shape::field("instances", Holds::Rows),
        Shape::Csv,
        Shape::field("prompt", Holds::Text),
        Shape::Text,
        Shape::Picture,
    ];
    let shapes = if version.is_some() {
        &of_mlflow[..]
    } else {
        &of_sagemaker
    };
    tried(fetch, PATH, shapes, surface);
}

/// The applications of Ray Serve, by their routes; empty where nothing hints at it.
pub(super) fn routes(fetch: &mut dyn Fetch, hints: &Hints<'_>) -> Vec<String> {
    let uvicorn = |answer: &Captured| answer.header("server") == Some("uvicorn");
    if !hints.elsewhere.body.contains("/-/routes") && !uvicorn(hints.first) {
        return Vec::new();
    }
    let answer = fetch.fetch(&Request::get("/-/routes"));
    let json = answer
        .json()
        .filter(|_| answer.status == 200 && !hints.is_anything(&answer));
    let listed = json.as_ref().and_then(Value::as_object);
    let is_route =
        |route: &&String| route.starts_with('/') && route.len() <= 200 && !route.contains(['?', '#', ' ']);
    listed
        .into_iter()
        .flat_map(|routes| routes.keys().filter(is_route).cloned())
        .take(ROUTES_MAX)
        .collect()
}

/// The applications of Ray Serve that no document describes.
pub(super) fn ray(fetch: &mut dyn Fetch, routes: &[String], surface: &mut Surface) {
    if routes.is_empty() {
        return;
    }
    let named: Vec<String> = routes.iter().map(|route| text::clean(route, 40)).collect();
    surface.found_by.push(format!(
        "Ray Serve: applications at {} by /-/routes",
        named.join(", ")
    ));
    for route in routes {
        tried(
            fetch,
            route,
            &[
                Shape::field("input", Holds::Text),
                Shape::field("text", Holds::Text),
                Shape::field("prompt", Holds::Text),
                Shape::field("input", Holds::Number),
                Shape::field("inputs", Holds::Rows),
            ],
            surface,
        );
    }
}

/// A prediction of Cog is answered 200 whatever became of it: its status must say that it succeeded.
pub(super) fn cog(operations: &[Operation], surface: &mut Surface) {
    for operation in operations {
        let takes_input = operation
            .body
            .as_ref()
            .is_some_and(|body| body.schema.pointer("/properties/input").is_some());
        let status = operation.success_schema.pointer("/properties/status");
        let tells = status.is_some_and(|status| status.to_string().contains("\"succeeded\""));
        let is_it = operation.method == "POST" && operation.path.ends_with("/predictions");
        if !(is_it && takes_input && tells) {
            continue;
        }
        let name = operation.name();
        for endpoint in surface.endpoints.iter_mut().filter(|e| e.name == name) {
            endpoint.expect.body.push(BodyCheck::JsonEquals {
                pointer: "/status".to_owned(),
                value: "succeeded".to_owned(),
            });
        }
        surface
            .found_by
            .push(format!("Cog: {name} says whether a prediction succeeded"));
    }
}
