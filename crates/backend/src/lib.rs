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
mod enso;
mod error;
mod fastapi;
mod gate;
mod media;
mod preset;
mod recorder;
mod serve;
mod settings;
mod system;
mod truth;

pub use error::BackendError;
pub use preset::{KnobDef, PRESETS, PresetDef, preset};
pub use serve::{Ready, ReadyStdio, ServeOptions, serve, serve_stdio};
