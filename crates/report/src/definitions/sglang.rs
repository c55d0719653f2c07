//! `sglang.bench_serving`, Python and Rust alike.

use prony_model::StreamProtocol;

use super::seen::{RecordedStream, Seen, gaps_ms};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "sglang",
    tool: "sglang.bench_serving",
    version: "0.5.23",
    about: "Its end-to-end time runs to the last line of the stream; without usage it reports the length that was asked for; a \
            stream that ends in an error or without its end counts as a success.",
    protocols: &[StreamProtocol::OpenaiChat, StreamProtocol::OpenaiCompletions],
    see,
    percentile: Percentile::Linear,
    reasons: &[
        (
            Group::Success,
            "a stream that ends without its terminal marker, or with an error in it, counts as successful once it held a token",
        ),
        (
            Group::Duration,
            "from the first request to the end of the last, whether they succeed or not",
        ),
        (
            Group::Tokens,
            "without usage it reports the length that was asked for as if it had been delivered",
        ),
        (
            Group::Rate,
            "divided by the time from the first request to the last end; tokens that were asked for count as delivered where \
             there is no usage",
        ),
        (
            Group::Ttft,
            "the clock starts before the connection is made, broken streams are in, and percentiles are interpolated",
        ),
        (
            Group::Tpot,
            "the time runs to the last line of the stream, divided by the tokens less one; without usage by those asked for",
        ),
        (
            Group::Itl,
            "every gap between two chunks is one value, however many tokens the chunk holds",
        ),
        (
            Group::E2e,
            "the time runs to the last line of the stream, from before the connection is made",
        ),
    ],
    approximations: "As with --disable-retokenize: without that flag it divides the gap of a chunk by the tokens that its text \
                     has when tokenised again.",
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
        end: record.end,
        input: of.input_tokens(),
        output: of.reported_or_asked(),
        tpot_ms: None,
        itl_ms: gaps.clone(),
        gaps_ms: gaps,
    };
    seen.tpot_ms = seen.tpot_after_first();
    seen
}
