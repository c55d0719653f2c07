//! Every preset over HTTP, as a client sees it. One binary, since each would link the whole backend.

mod client;
mod enso_api;
mod enso_faults;
mod media;
mod paced;
mod platform;
mod runpod;
mod semantic_api;
mod semantic_engine;
mod semantic_faults;
mod start;
mod stream_faults;
mod truth;
mod truth_inputs;
mod truth_knobs;
mod vision;
mod vision_kserve;
