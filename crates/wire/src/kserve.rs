//! KServe V2 (Open Inference Protocol) over gRPC: the messages of `inference.GRPCInferenceService`, as far as a client needs them,
//! and whether an answer holds the tensors that its model declares. It makes no content up and sends nothing.
//!
//! Names and numbers are those of KServe's `open_inference_grpc.proto` and Triton's `grpc_service.proto`.

mod contents;
mod messages;

use std::fmt::Write as _;

use bytes::Bytes;
use prony_model::TensorSpec;
use prost::Message as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};

pub use contents::{UnknownDatatype, raw};

/// Most tensors or models of one answer.
const ENTRIES_MAX: usize = 1024;

/// Most bytes of an answer beside raw contents. Read, they take some ten times as many.
const DESCRIBED_BYTES_MAX: usize = 8 << 20;

/// Longest text of a target that is repeated, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The path of a method: `/inference.GRPCInferenceService/ModelInfer`.
pub fn path(method: &str) -> String {
    format!("/inference.GRPCInferenceService/{method}")
}

/// An input of a request: its shape has no free dimension, `raw` is what [`raw()`] made of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Name, type and shape.
    pub spec: TensorSpec,
    /// Its numbers, little-endian and one after the other; a length of four bytes before each of `BYTES`.
    pub raw: Vec<u8>,
}

/// The message of `ModelInfer`. All outputs are asked for where none is named.
pub fn infer(model: &str, version: &str, inputs: Vec<Input>, outputs: &[String]) -> Vec<u8> {
    let (inputs, raw_input_contents) = inputs
        .into_iter()
        .map(|input| (messages::Tensor::from(input.spec), input.raw))
        .unzip();
    messages::InferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        inputs,
        outputs: outputs
            .iter()
            .map(|name| messages::RequestedOutput { name: name.clone() })
            .collect(),
        raw_input_contents,
    }
    .encode_to_vec()
}

/// The message of `ModelReady` and `ModelMetadata`.
pub fn of_model(name: &str, version: &str) -> Vec<u8> {
    messages::OfModel {
        name: name.to_owned(),
        version: version.to_owned(),
    }
    .encode_to_vec()
}

/// What the answer of `ServerLive`, `ServerReady` and `ModelReady` says. An error is not the message of such an answer.
pub fn whether(message: &[u8]) -> Result<bool, prost::DecodeError> {
    Ok(messages::Whether::decode(message)?.yes)
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What the answer of `ServerMetadata` says.
pub fn server(message: &[u8]) -> Result<Server, prost::DecodeError> {
    let told = messages::ServerMetadata::decode(message)?;
    Ok(Server {
        name: told.name,
        version: told.version,
    })
}

/// What a model declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Its inputs.
    pub inputs: Vec<TensorSpec>,
    /// Its outputs.
    pub outputs: Vec<TensorSpec>,
}

/// What the answer of `ModelMetadata` says. The error says why that cannot be read.
pub fn model(message: &[u8]) -> Result<Model, String> {
    bounded(message, None)?;
    let told = messages::ModelMetadata::decode(message).map_err(|error| error.to_string())?;
    let specs = |tensors: Vec<messages::Tensor>| tensors.into_iter().map(Into::into).collect();
    Ok(Model {
        inputs: specs(told.inputs),
        outputs: specs(told.outputs),
    })
}

/// The models that the answer of `RepositoryIndex` lists (an extension, of Triton's), those that are ready first. The error says why
/// that cannot be read.
pub fn models(message: &[u8]) -> Result<Vec<String>, String> {
    bounded(message, None)?;
    let told = messages::IndexResponse::decode(message).map_err(|error| error.to_string())?;
    let mut told = told.models;
    told.sort_by_key(|model| !(model.state.is_empty() || model.state == "READY"));
    Ok(told.into_iter().map(|model| model.name).collect())
}

/// Whether the answer of `ModelInfer` holds the declared outputs, each with its type and shape (of another rank, where it can
/// hold the same numbers), and as many bytes as that takes. Outputs beyond those, and all of them where none is declared, must
/// agree with themselves. The error says what does not.
pub fn check(message: &[u8], declared: &[TensorSpec]) -> Result<(), String> {
    let unreadable = |error: String| format!("the message is no ModelInferResponse: {error}");
    bounded(message, Some(messages::RAW_OUTPUT_CONTENTS)).map_err(unreadable)?;
    let answer = messages::InferResponse::decode(Bytes::copy_from_slice(message))
        .map_err(|error| unreadable(error.to_string()))?;
    if answer.outputs.is_empty() {
        return Err("the answer holds no output".to_owned());
    }
    let raw = &answer.raw_output_contents;
    if !raw.is_empty() && raw.len() != answer.outputs.len() {
        let (raw, outputs) = (raw.len(), answer.outputs.len());
        return Err(format!("{raw} raw contents belong to {outputs} outputs"));
    }
    for wanted in declared {
        let found = answer.outputs.iter().find(|output| output.name == wanted.name);
        let Some(found) = found else {
            return Err(format!("the output {} is not there", shown(&wanted.name)));
        };
        if found.datatype != wanted.datatype {
            return Err(format!(
                "the output {} is {} and declared as {}",
                shown(&wanted.name),
                shown(&found.datatype),
                shown(&wanted.datatype)
            ));
        }
        if !fits(&found.shape, &wanted.shape) {
            return Err(format!(
                "the output {} has the shape {} and is declared as {}",
                shown(&wanted.name),
                dimensions(&found.shape),
                dimensions(&wanted.shape)
            ));
        }
    }
    for (k, output) in answer.outputs.iter().enumerate() {
        contents::agree(output, raw.get(k))
            .map_err(|why| format!("the output {} {why}", shown(&output.name)))?;
    }
    Ok(())
}

/// Whether a shape is as declared. One of another rank is where it can hold the same numbers: servers add dimensions of 1.
fn fits(found: &[i64], declared: &[i64]) -> bool {
    if found.len() == declared.len() {
        let pairs = found.iter().zip(declared);
        return pairs.into_iter().all(|(is, must)| *must < 0 || is == must);
    }
    let has = product(found.iter());
    let fixed = product(declared.iter().filter(|d| **d >= 0));
    let is_free = declared.iter().any(|d| *d < 0);
    match (has, fixed) {
        (Some(has), Some(fixed)) if is_free && fixed > 0 => has % fixed == 0,
        (Some(has), Some(fixed)) => has == fixed,
        _ => false,
    }
}

fn product<'d>(mut dimensions: impl Iterator<Item = &'d i64>) -> Option<i64> {
    dimensions.try_fold(1_i64, |n, &d| n.checked_mul(d))
}

/// Refuses a message that would take far more memory when it is read than it has bytes. `raw` is the field of raw contents, which are not
/// copied.
fn bounded(mut message: &[u8], raw: Option<u32>) -> Result<(), String> {
    let (mut described, mut entries, mut raws) = (0, 0, 0);
    while !message.is_empty() {
        let before = message.len();
        let key = decode_key(&mut message);
        let read = key.and_then(|(tag, wire)| {
            skip_field(wire, tag, &mut message, DecodeContext::default()).map(|()| tag)
        });
        if raw == Some(read.map_err(|error| error.to_string())?) {
            raws += 1;
        } else {
            entries += 1;
            described += before - message.len();
        }
    }
    // Names and versions are fields too, a few of them.
    if entries.max(raws) > ENTRIES_MAX {
        return Err(format!(
            "it has {} fields; at most {ENTRIES_MAX} are read",
            entries.max(raws)
        ));
    }
    if described > DESCRIBED_BYTES_MAX {
        return Err(format!(
            "{described} of its bytes are no raw contents; at most {DESCRIBED_BYTES_MAX} are read"
        ));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>())
}

/// A shape as it is written, a long one cut short.
fn dimensions(shape: &[i64]) -> String {
    const MAX: usize = 8;
    let mut text = String::from("[");
    for (k, d) in shape.iter().take(MAX).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{d}", if k == 0 { "" } else { ", " });
    }
    text + if shape.len() > MAX { ", ...]" } else { "]" }
}

#[cfg(test)]
mod tests;
