//! The ML evaluation platform: images are uploaded, models of four frameworks look at them, one by one or in batch jobs. It is
//! imitated as it was observed at commit 13bd5f3 of github.com/GeoloeG-IsT/oob-evaluation, and the same models also answer to the
//! KServe V2 protocol (HTTP with JSON or binary tensors, and gRPC on a listener of its own). A small convolutional network with
//! fixed, untrained weights really runs on the pixels: what it finds follows from the picture and means nothing.
//!
//! A model of the user's own may take the network's place (the knob `model`, the feature `onnx`): it stands for every model of the
//! catalogue, and the figures of all of them are the ones measured of it.
//!
//! Three faults are planted, and each shows on a route that the others leave alone:
//!
//! - V1, placeholder models, shows under /v2 (and in batch jobs that end): the same box whatever the picture. Loading takes no time
//!   and no memory.
//! - V2, dead inference, shows at `POST /api/v1/inference/single`: 500 after the input was validated. As observed it killed batch
//!   inference too (`dead_inference_routes=all`); then no job can be made, and V3 cannot be seen by anybody.
//! - V3, jobs that lie, shows at `POST /api/v1/inference/batch` and `GET /api/v1/inference/jobs/{id}`: pending for ever, or
//!   (`jobs_lie_how=uncounted`) completed with every failed image counted as processed.
//!
//! The observed preset differs from the platform in one more way: the platform's list of models was empty, and its ids were no UUIDs,
//! so nothing could be asked of it at all. Here all twenty-one models are listed, under UUIDs.

mod app;
mod batch;
mod config;
mod detect;
mod docs_page;
mod engine;
mod file;
mod identity;
mod jobs;
mod kserve;
mod metrics;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
mod openapi;
mod pictures;
mod pixels;
mod registry;
mod routes;
mod schemas;
mod show;
mod variants;

pub(crate) use app::start;
pub(crate) use config::{FIXED_KNOBS, OBSERVED_KNOBS};
