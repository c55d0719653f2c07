//! Streams of tokens at exact times: a small HTTP/1.1 server on one thread of its own that sends each event of each stream at its own
//! absolute time, and keeps what was intended and what was done. It knows no preset; whoever starts it gives it knobs.

mod account;
mod answers;
mod arrival;
mod asked;
mod clock;
mod flow;
mod knobs;
mod live;
mod pacer;
mod pacing;
mod request;
mod script;
mod start;
mod timers;

pub(crate) use knobs::STREAM_KNOBS;
pub(crate) use start::Paced;
