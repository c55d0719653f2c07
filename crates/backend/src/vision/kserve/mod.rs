//! The KServe V2 protocol (Open Inference Protocol) on the platform's models: HTTP on the service port, with JSON tensors or the
//! binary extension, and gRPC on a listener of its own. Messages of gRPC are written by hand for prost, so no compiler of `.proto`
//! files is needed to build.

mod grpc;
mod http;
mod messages;
mod request;
mod tensors;

pub(crate) use grpc::grpc;
pub(crate) use http::{JSON_LENGTH, Page, answer};

use super::app::Vision;
use super::engine::{Asker, Count, Refusal, Source, Unseen};
use super::registry::{Model, Unavailable};
use crate::recorder::Visit;
use request::Request;
use tensors::{Output, outputs};

/// The only version of every model.
const VERSION: &str = "1";
/// The server's name.
const NAME: &str = "vision";
/// What it calls the kind of its models.
const PLATFORM: &str = "fixed_weights_cnn";
/// What it calls them where a model file stands for them, as Triton does.
const PLATFORM_OF_FILE: &str = "onnxruntime_onnx";
/// The extensions it has.
const EXTENSIONS: [&str; 4] = [
    "binary_tensor_data",
    "model_repository",
    "model_configuration",
    "statistics",
];

/// Why a request was refused, in terms that both protocols have.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It makes no sense.
    Bad(String),
    /// There is no such model.
    Unknown(String),
    /// The model is not there to be used.
    Unavailable(String),
    /// Too many wait.
    Busy,
    /// The model failed.
    Failed(String),
}

/// The kind of the models.
fn platform(server: &Vision) -> &'static str {
    if server.engine.registry.file().is_some() {
        PLATFORM_OF_FILE
    } else {
        PLATFORM
    }
}

/// The model of that name and version.
fn find<'a>(server: &'a Vision, name: &str, version: &str) -> Result<&'a Model, Fault> {
    let short = |text: &str| text.chars().take(64).collect::<String>();
    let model = server.engine.registry.by_key(name);
    let model = model.ok_or_else(|| {
        Fault::Unknown(format!(
            "Request for unknown model: '{}' is not found",
            short(name)
        ))
    })?;
    if version.is_empty() || version == VERSION {
        return Ok(model);
    }
    let (name, version) = (short(name), short(version));
    Err(Fault::Unknown(format!(
        "Request for unknown model: '{name}' version {version} is not found"
    )))
}

/// Runs a request that was read from either protocol.
async fn run(
    server: &Vision,
    asker: &Asker,
    visit: &mut Visit,
    model: &Model,
    request: Request,
) -> Result<Vec<Output>, Fault> {
    let sources = request.images.into_iter().map(Source::Pixels).collect();
    let results = server
        .engine
        .infer(asker, visit, model, sources, request.limits)
        .await
        .map_err(|why| match why {
            Refusal::Busy => Fault::Busy,
            Refusal::Model(why) => unavailable(model, why),
        })?;
    let found: Result<Vec<_>, _> = results.into_iter().collect();
    let found = found.map_err(|why| match why {
        // Pixels need no decoding, so only a thread that panicked leaves nothing.
        Unseen::Undecodable => Fault::Bad("the images could not be handled".to_owned()),
        Unseen::Failed(why) => Fault::Failed(format!("inference failed: {why}")),
    })?;
    Ok(outputs(&found))
}

/// What the statistics extension tells of a model, each with how often and for how many nanoseconds. Pixels and results are handled
/// within the inference, and there is no cache.
fn spans(count: &Count) -> [(&'static str, u64, u64); 8] {
    [
        ("success", count.requests, count.queue_ns + count.service_ns),
        ("fail", count.failed, 0),
        ("queue", count.requests, count.queue_ns),
        ("compute_input", count.requests, 0),
        ("compute_infer", count.requests, count.service_ns),
        ("compute_output", count.requests, 0),
        ("cache_hit", 0, 0),
        ("cache_miss", 0, 0),
    ]
}

fn unavailable(model: &Model, why: Unavailable) -> Fault {
    let name = model.variant.key;
    Fault::Unavailable(match why {
        Unavailable::NotLoaded => format!("Request for unknown model: '{name}' has no available versions"),
        Unavailable::TooLarge => format!("failed to load '{name}': it needs more memory than there is"),
        Unavailable::Broken => format!("failed to load '{name}': its file can no longer be loaded"),
    })
}
