//! The knobs of paced streams.

use crate::knob::{KnobDef, knob};

/// The knobs, for the table of a preset that has such streams.
#[rustfmt::skip]
pub(crate) const STREAM_KNOBS: [KnobDef; 15] = [
    knob("stream_port", "port", "0", "port of the listener for streams of tokens; 0 takes any free one"),
    knob("stream_ttft_ms", "ms", "50", "streams: time from the whole request to its first token"),
    knob("stream_itl_ms", "ms", "5", "streams: mean time between two chunks of tokens; 0 is all at once"),
    knob("stream_itl", "det|exp|lognormal|bimodal", "det", "streams: distribution of that time"),
    knob("stream_sigma", "1", "0.3", "streams: sigma of the natural logarithm of a lognormal one"),
    knob("stream_slow_share", "1", "0.02", "streams: share of the slow ones of a bimodal one"),
    knob("stream_slow_factor", "1", "10", "streams: a slow one takes so many times as long as a fast one"),
    knob("stream_tokens", "count", "64", "streams: tokens of an answer whose request does not say how many"),
    knob("stream_chunk", "count", "1", "streams: tokens in one event"),
    knob("stream_role", "with|first|none", "with",
        "streams: the opening events come with the first token, at once, or (chat) not at all"),
    knob("stream_usage", "asked|always|never", "asked", "streams: when the last event tells the usage (OpenAI; Messages always tell it)"),
    knob("stream_keepalive_ms", "ms", "0", "streams: a comment ': keepalive' once in so long; 0 is none"),
    knob("stream_fault", "list", "none",
        "streams: faults, separated by commas, each name[=value][@event][*share of the answers]; docs/backend.md has the names"),
    knob("stream_spin_us", "us", "60", "streams: the thread waits actively for the last so long before an event"),
    knob("stream_truth_events", "count", "4000000", "streams: token events whose instants are remembered, in all"),
];
