//! Bytes and messages: where a target is, how to reach it, how HTTP/1.1 is written and read, what a call of gRPC
//! and an inference of KServe V2 are, how event streams are read, and when to wake.
//!
//! It stamps times and keeps no statistics; it knows nothing of phases, samples or verdicts. Everything here is
//! non-blocking unless its name says otherwise, so that one thread can drive thousands of connections.

mod arrival;
mod clock;
pub mod dial;
mod error;
pub mod grpc;
pub mod http1;
pub mod http2;
mod inner;
pub mod kserve;
pub mod lines;
mod origin;
mod pace;
pub mod sigv4;
pub mod sse;
mod stream;
pub mod tls;
pub mod tokens;

pub use arrival::Arrivals;
pub use clock::Clock;
pub use dial::Peer;
pub use error::WireError;
pub use inner::InnerStream;
pub use origin::{Origin, Scheme};
pub use pace::{Timer, Waits, no_timer_slack, sleep_until};
pub use stream::{Link, LinkError, Received, Stream};
pub use tls::TlsOptions;
