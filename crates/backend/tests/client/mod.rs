//! A server on a free port and the smallest HTTP client that can talk to it.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod reply;
mod server;

pub(crate) use reply::{Reply, exchange};
pub(crate) use server::{Server, options};
