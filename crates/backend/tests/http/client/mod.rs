//! A server on a free port and the smallest HTTP client that can talk to it.

mod reply;
mod server;

pub(crate) use reply::{Reply, exchange};
pub(crate) use server::{Server, options};
