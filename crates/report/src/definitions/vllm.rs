//! `vllm bench serve`, the Python client.

use prony_model::StreamProtocol;

use super::seen::{RecordedStream, Seen, gaps_ms};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "vllm",
    tool: "vllm bench serve",
    version: "0.33",
    about: "Its clock starts before the connection is made; ITL are the raw gaps between chunks; a stream that ends in an error \
            or without its end counts as a success.",
    protocols: &[StreamProtocol::OpenaiChat, StreamProtocol::OpenaiCompletions],
    see,
    percentile: Percentile::Linear,
    reasons: &[
        (
            Group::Success,
            "a stream that ends without its terminal marker, or in an error sent as plain data, counts as successful",
        ),
        (
            Group::Duration,
            "from the first request to the end of the last, whether they succeed or not",
        ),
        (Group::Tokens, "the tokens of broken streams are counted too"),
        (
            Group::Rate,
            "divided by the time from the first request to the last end, so ramp and drain count",
        ),
        (
            Group::Ttft,
            "the clock starts before the connection is made, broken streams are in, and percentiles are interpolated",
        ),
        (
            Group::Tpot,
            "divided by the tokens less one, whatever the first chunk held",
        ),
        (
            Group::Itl,
            "every gap between two chunks is one value, however many tokens the chunk holds",
        ),
        (
            Group::E2e,
            "the clock starts before the connection is made, broken streams are in, and percentiles are interpolated",
        ),
    ],
    approximations: "Where the server sends no usage it would tokenise the text again; the tokens of the events stand in. It fails \
                     a stream whose error is an `event: error` and takes one in plain data for good; the recording does not \
                     tell them apart, and here both are taken for good. It knows `reasoning` and not `reasoning_content`.",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let events = of.token_events();
    let kept = events.len() == record.token_events as usize;
    let gaps = kept.then(|| gaps_ms(events.iter().map(|e| e.at)));
    let mut seen = Seen {
        ok: of.has_tokens(),
        start: of.before_connect(),
        first: record.first_token,
        end: record.last_token,
        input: of.input_tokens(),
        output: record.output_tokens(),
        tpot_ms: None,
        itl_ms: gaps.clone(),
        gaps_ms: gaps,
    };
    seen.tpot_ms = seen.tpot_after_first();
    seen
}
