//! The reference backend: a target whose truth is known.
//!
//! It imitates inference backends as they were observed, with their defects as switches, and keeps its own account of what
//! really happened behind each answer. It shares no code with the tool that measures it, so that each can prove the other
//! wrong: this crate must never depend on another crate of this workspace.
//!
//! The service port shows only what any HTTP client may see. What is true (faults in force, service times, counts) is served
//! by a second, loopback-only listener, and only when asked for.

mod admin;
mod alarm;
mod command;
mod connection;
mod enso;
mod error;
mod fastapi;
mod faults;
mod front;
mod gate;
mod index;
mod knob;
mod law;
mod ledger;
mod media;
mod memory;
mod paced;
mod preset;
mod recorder;
mod runpod;
mod semantic;
mod serve;
mod serve_http2;
mod settings;
mod slip;
mod spoil;
mod stage;
mod store_s3;
mod stream_fault;
mod system;
mod truth;
mod vision;
mod wire;

pub use command::{announce, run};
pub use error::BackendError;
pub use knob::KnobDef;
pub use preset::{COMMON_KNOBS, PRESETS, PresetDef, preset};
pub use serve::{ALL, Ready, ServeOptions, Served, serve};
