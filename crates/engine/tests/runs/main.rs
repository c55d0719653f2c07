//! Runs of the engine: against servers of its own, by others, in the same process and in simulated time.

mod captures;
mod connections;
mod http2;
mod marks;
mod origins;
mod redirects;
mod server;
mod shapes;
mod simulated;
mod truth;
mod workloads;
