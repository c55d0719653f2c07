//! Sends a phase of load and turns every request into one sample.
//!
//! One OS thread per worker, each with its own edge-triggered loop; nothing is shared between them. The engine knows
//! phases and their shapes, not experiments or verdicts, and stores nothing: a [`Sink`] hears what happens.

mod backlog;
mod bodies;
mod books;
mod choice;
mod collector;
mod cookies;
mod credentials;
mod date;
mod descriptors;
mod engine;
mod error;
mod feed;
mod host;
mod inner;
mod leg;
mod mask;
pub mod monitors;
pub mod null_target;
mod prepared;
mod priority;
mod rows;
pub mod schedule;
mod script;
mod streams;
mod summary;
mod table;
mod target;
mod template;
mod trace;
mod unary;
mod validity;
mod worker;

pub use collector::{NoSink, Sink};
pub use descriptors::make_room;
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use inner::{Inner, Scripted, ScriptedServer, Simulation};
pub use priority::may_be_real_time;
pub use script::check_scenario;
pub use streams::summarise_streams;
pub use summary::summarise;
pub use table::{Table, TableError};
pub use target::Target;
pub use trace::Trace;
