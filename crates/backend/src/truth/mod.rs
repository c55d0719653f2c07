//! A queue whose truth is known: `servers` identical servers, one first-come-first-served queue, service times drawn from a stated
//! distribution. It exists to check what a load generator reports against what happened.

mod server;
mod service;

pub(crate) use server::{KNOBS, Truth};
