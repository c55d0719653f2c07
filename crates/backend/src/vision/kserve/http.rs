//! KServe V2 over HTTP.

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::super::app::Vision;
use super::super::detect::Limits;
use super::super::engine::Asker;
use super::super::registry::Model;
use super::super::routes::{Ask, refuse};
use super::request::{DEFAULTS, Request, declared, filled, known_output, limit};
use super::tensors::{Data, Declared, INPUT, OUTPUTS, Output};
use super::{EXTENSIONS, Fault, NAME, VERSION, find, platform, run, spans, unavailable};
use crate::fastapi::json::decode;
use crate::fastapi::reply::Reply;
use crate::recorder::Visit;

/// Tells where the JSON ends and binary tensors begin.
pub(crate) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Longest JSON of an inference; larger tensors must come as bytes.
const JSON_MAX: usize = 8 * 1024 * 1024;

/// The routes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    /// The server's metadata.
    Server,
    /// Whether it lives.
    Live,
    /// Whether it can serve.
    Ready,
    /// A model's metadata.
    Metadata,
    /// Whether a model is loaded.
    ModelReady,
    /// A model's configuration.
    Config,
    /// What a model has done.
    Stats,
    /// What every model has done.
    AllStats,
    /// Inference.
    Infer,
    /// All models with their states.
    Index,
    /// Load a model.
    Load,
    /// Unload a model.
    Unload,
}

/// Answers a request of one of the routes.
pub(crate) async fn answer(
    server: &Vision,
    page: Page,
    ask: &Ask,
    visit: &mut Visit,
) -> Result<Reply, Reply> {
    match page {
        Page::Server => Ok(Reply::json(
            &json!({ "name": NAME, "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }),
        )),
        Page::Live => Ok(Reply::json(&json!({ "live": true }))),
        Page::Ready => Ok(Reply::json(&json!({ "ready": true }))),
        Page::AllStats => Ok(Reply::json(&stats(server, server.engine.registry.models()))),
        Page::Index => index(server, ask).map_err(refused),
        _ => of_model(server, page, ask, visit).await.map_err(refused),
    }
}

async fn of_model(server: &Vision, page: Page, ask: &Ask, visit: &mut Visit) -> Result<Reply, Fault> {
    let registry = &server.engine.registry;
    let model = find(server, ask.param(0), ask.param(1))?;
    let name = model.variant.key;
    Ok(match page {
        Page::ModelReady => {
            let ready = model.is_loaded();
            let status = if ready {
                StatusCode::OK
            } else {
                StatusCode::BAD_REQUEST
            };
            let mut told = json!({ "name": name, "ready": ready });
            if !ready {
                told["error"] = json!(format!("Model '{name}' is not ready"));
            }
            Reply::json_status(status, &told)
        }
        Page::Config => Reply::json(&config(server, model)),
        Page::Stats => Reply::json(&stats(server, std::slice::from_ref(model))),
        Page::Infer => infer(server, model, ask, visit).await?,
        Page::Load => {
            parameters_only(ask)?;
            registry
                .load(model)
                .await
                .map_err(|why| unavailable(model, why))?;
            Reply::json(&json!({}))
        }
        Page::Unload => {
            parameters_only(ask)?;
            registry.unload(model);
            Reply::json(&json!({}))
        }
        _ => Reply::json(&metadata(server, model)),
    })
}

fn metadata(server: &Vision, model: &Model) -> Value {
    let tensor = |one: &Declared| json!({ "name": one.name, "datatype": one.datatype, "shape": one.shape });
    json!({
        "name": model.variant.key, "versions": [VERSION], "platform": platform(server),
        "inputs": [tensor(&INPUT)], "outputs": OUTPUTS.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn config(server: &Vision, model: &Model) -> Value {
    let kind = |one: &Declared| format!("TYPE_{}", one.datatype);
    let tensor = |one: &Declared| json!({ "name": one.name, "data_type": kind(one), "dims": one.shape });
    json!({
        "name": model.variant.key, "platform": platform(server), "backend": "cpu", "max_batch_size": 0,
        "version_policy": { "latest": { "num_versions": 1 } },
        "input": [tensor(&INPUT)], "output": OUTPUTS.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn stats(server: &Vision, models: &[Model]) -> Value {
    let counts = server.engine.counts();
    let told: Vec<Value> = models
        .iter()
        .map(|model| {
            let count = counts[model.index];
            let spans = spans(&count).map(|(name, count, ns)| {
                let span = json!({ "count": count, "ns": ns });
                (name.to_owned(), span)
            });
            json!({
                "name": model.variant.key, "version": VERSION,
                "inference_count": count.images, "execution_count": count.requests,
                "inference_stats": Map::from_iter(spans),
            })
        })
        .collect();
    json!({ "model_stats": told })
}

fn index(server: &Vision, ask: &Ask) -> Result<Reply, Fault> {
    let body = parameters_only(ask)?;
    let ready_only = match body.get("ready") {
        None => false,
        Some(ready) => ready
            .as_bool()
            .ok_or_else(|| Fault::Bad("'ready' must be true or false".to_owned()))?,
    };
    let registry = &server.engine.registry;
    let models: Vec<Value> = registry
        .models()
        .iter()
        .filter(|model| !ready_only || model.is_loaded())
        .map(|model| {
            let (state, reason) = if model.is_loaded() {
                ("READY", "")
            } else {
                ("UNAVAILABLE", "unloaded")
            };
            json!({ "name": model.variant.key, "version": VERSION, "state": state, "reason": reason })
        })
        .collect();
    Ok(Reply::json(&json!(models)))
}

/// A body that may be left out, but is a JSON object if there is one.
fn parameters_only(ask: &Ask) -> Result<Map<String, Value>, Fault> {
    if ask.body.is_empty() {
        return Ok(Map::new());
    }
    match decode(&ask.body) {
        Ok(Value::Object(body)) if body.get("parameters").is_none_or(Value::is_object) => Ok(body),
        _ => Err(Fault::Bad(
            "failed to parse the request: a JSON object is needed".to_owned(),
        )),
    }
}

async fn infer(server: &Vision, model: &Model, ask: &Ask, visit: &mut Visit) -> Result<Reply, Fault> {
    let name = model.variant.key;
    let (text, binary) = split(ask)?;
    let Ok(Value::Object(body)) = decode(&text) else {
        return Err(Fault::Bad(
            "failed to parse the request JSON: an object is needed".to_owned(),
        ));
    };
    let id = match body.get("id") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => {
            return Err(Fault::Bad(
                "attempt to access JSON non-string as string: 'id'".to_owned(),
            ));
        }
    };
    let (limits, all_binary) = parameters(&body)?;
    let wanted = wanted(name, &body, all_binary)?;
    let images = input(name, &body, &binary)?;
    let asker = Asker {
        request_id: ask.request_id.clone(),
        endpoint: ask.endpoint,
    };
    let told = run(server, &asker, visit, model, Request { images, limits }).await?;
    Ok(reply(name, id.as_deref(), &told, &wanted))
}

/// The JSON and the binary part of a body.
fn split(ask: &Ask) -> Result<(Bytes, Bytes), Fault> {
    let whole = ask.body.len();
    let length = match &ask.json_length {
        None => whole,
        Some(text) => text
            .trim()
            .parse::<usize>()
            .ok()
            .filter(|length| *length <= whole)
            .ok_or_else(|| {
                Fault::Bad("Inference-Header-Content-Length must be a length within the body".to_owned())
            })?,
    };
    if length > JSON_MAX {
        return Err(Fault::Bad(
            "the JSON of a request has at most 8 MiB: send tensors as binary data".to_owned(),
        ));
    }
    Ok((ask.body.slice(..length), ask.body.slice(length..)))
}

fn parameters(body: &Map<String, Value>) -> Result<(Limits, bool), Fault> {
    let (mut limits, mut binary) = (DEFAULTS, false);
    match body.get("parameters") {
        None => {}
        Some(Value::Object(parameters)) => {
            for (name, value) in parameters {
                limit(&mut limits, name, value.as_f64())?;
                if name == "binary_data_output" {
                    binary = flag(name, value)?;
                }
            }
        }
        Some(_) => return Err(Fault::Bad("'parameters' must be an object".to_owned())),
    }
    Ok((limits, binary))
}

fn flag(name: &str, value: &Value) -> Result<bool, Fault> {
    value
        .as_bool()
        .ok_or_else(|| Fault::Bad(format!("parameter '{name}' must be true or false")))
}

/// The outputs that are wanted, and which of them as bytes.
fn wanted(model: &str, body: &Map<String, Value>, all_binary: bool) -> Result<Vec<(String, bool)>, Fault> {
    let asked = match body.get("outputs") {
        None => {
            return Ok(OUTPUTS
                .iter()
                .map(|output| (output.name.to_owned(), all_binary))
                .collect());
        }
        Some(Value::Array(asked)) => asked,
        Some(_) => return Err(Fault::Bad("'outputs' must be an array".to_owned())),
    };
    let one = |output: &Value| {
        let name = output["name"]
            .as_str()
            .ok_or_else(|| Fault::Bad("an output needs a 'name'".to_owned()))?;
        known_output(model, name)?;
        let binary = match output.get("parameters").and_then(|all| all.get("binary_data")) {
            None => all_binary,
            Some(value) => flag("binary_data", value)?,
        };
        Ok((name.to_owned(), binary))
    };
    asked.iter().map(one).collect()
}

fn input(model: &str, body: &Map<String, Value>, binary: &[u8]) -> Result<Vec<image::RgbImage>, Fault> {
    let inputs = body
        .get("inputs")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let [Value::Object(input)] = inputs else {
        let got = inputs.len();
        return Err(Fault::Bad(format!(
            "expected 1 inputs but got {got} inputs for model '{model}'"
        )));
    };
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let shape: Option<Vec<i64>> = input
        .get("shape")
        .and_then(Value::as_array)
        .and_then(|shape| shape.iter().take(16).map(whole).collect());
    let shape = shape.ok_or_else(|| Fault::Bad("an input needs a 'shape' of whole numbers".to_owned()))?;
    let needed = declared(model, text("name"), text("datatype"), &shape)?;
    match (
        input
            .get("parameters")
            .and_then(|all| all.get("binary_data_size")),
        input.get("data"),
    ) {
        (Some(size), None) => {
            if size.as_u64() != Some(binary.len() as u64) {
                let given = binary.len();
                return Err(Fault::Bad(format!(
                    "'binary_data_size' is not the size of the binary data, {given}"
                )));
            }
            filled(&shape, binary, needed)
        }
        (None, Some(data)) if binary.is_empty() => {
            let mut bytes = Vec::with_capacity(needed);
            flatten(data, needed, &mut bytes)?;
            filled(&shape, &bytes, needed)
        }
        _ => Err(Fault::Bad(
            "an input needs either 'data' or 'binary_data_size' with binary data".to_owned(),
        )),
    }
}

/// A whole number, written as one or as a fraction of nothing.
fn whole(value: &Value) -> Option<i64> {
    let fraction = || {
        value
            .as_f64()
            .filter(|value| value.fract() == 0.0 && value.abs() < 1e9)
    };
    value.as_i64().or_else(|| fraction().map(|value| value as i64))
}

/// Reads nested or flat arrays of bytes, up to `most` of them.
fn flatten(data: &Value, most: usize, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    match data {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, most, bytes)),
        Value::Number(number) => {
            let byte = whole(data).and_then(|number| u8::try_from(number).ok());
            let byte = byte.ok_or_else(|| Fault::Bad(format!("{number} is no UINT8")))?;
            if bytes.len() == most {
                return Err(Fault::Bad(format!(
                    "input 'images' has more values than its shape, {most}"
                )));
            }
            bytes.push(byte);
            Ok(())
        }
        _ => Err(Fault::Bad(
            "'data' must hold whole numbers from 0 to 255".to_owned(),
        )),
    }
}

fn reply(model: &str, id: Option<&str>, told: &[Output], wanted: &[(String, bool)]) -> Reply {
    let mut binary = Vec::new();
    let mut shown = Vec::new();
    let mut any_binary = false;
    for (name, as_bytes) in wanted {
        let Some(output) = told.iter().find(|output| output.declared.name == name) else {
            continue;
        };
        let mut tensor = json!({ "name": name, "datatype": output.declared.datatype, "shape": output.shape });
        if *as_bytes {
            let bytes = output.data.to_bytes();
            tensor["parameters"] = json!({ "binary_data_size": bytes.len() });
            binary.extend(bytes);
            any_binary = true;
        } else {
            tensor["data"] = match &output.data {
                Data::F32(values) => json!(values),
                Data::I64(values) => json!(values),
                Data::I32(values) => json!(values),
            };
        }
        shown.push(tensor);
    }
    let mut body = json!({ "model_name": model, "model_version": VERSION, "outputs": shown });
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    if !any_binary {
        return Reply::json(&body);
    }
    let mut bytes = body.to_string().into_bytes();
    let length = HeaderValue::from(bytes.len());
    bytes.extend(binary);
    Reply::new(StatusCode::OK, "application/octet-stream", bytes).with(JSON_LENGTH, length)
}

fn refused(fault: Fault) -> Reply {
    match fault {
        Fault::Bad(why) | Fault::Unavailable(why) => refuse(StatusCode::BAD_REQUEST, &why),
        Fault::Unknown(why) => refuse(StatusCode::NOT_FOUND, &why),
        Fault::Failed(why) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Fault::Busy => refuse(StatusCode::SERVICE_UNAVAILABLE, "Exceeds maximum queue size")
            .with(header::RETRY_AFTER, HeaderValue::from_static("1")),
    }
}
