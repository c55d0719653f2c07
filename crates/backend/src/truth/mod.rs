//! A server whose truth is known: a queue in front of servers or workers, caches, memory, files, faults of its answers, all by knobs;
//! and endpoints that look at their input, with defects that can be planted. It exists to check what a tool concludes against what
//! is true.

mod cache;
mod content;
mod crash;
mod crew;
mod files;
mod inputs;
mod knobs;
mod metrics;
mod openapi;
mod pace;
mod server;
mod service;
mod theory;
mod work;

pub(crate) use knobs::{FIXED_KNOBS, KNOBS};
pub(crate) use server::start;
