//! NVIDIA's AIPerf.

use prony_model::StreamProtocol;

use super::seen::{RecordedStream, Seen, between_ms, gaps_ms};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "aiperf",
    tool: "aiperf",
    version: "0.13",
    about: "Its ITL is one mean for each request, which hides stalls; the gaps themselves are its inter-chunk latency; it has no \
            TPOT of its own.",
    protocols: &[
        StreamProtocol::OpenaiChat,
        StreamProtocol::OpenaiCompletions,
        StreamProtocol::OpenaiResponses,
        StreamProtocol::AnthropicMessages,
    ],
    see,
    percentile: Percentile::Linear,
    reasons: &[
        (
            Group::Success,
            "a stream that ends without its terminal marker, or in an error sent as plain data, counts as successful",
        ),
        (
            Group::Duration,
            "from the first request to the last answer, whether they succeed or not",
        ),
        (
            Group::Tokens,
            "it tokenises the text again, and counts that of broken streams too",
        ),
        (
            Group::Rate,
            "divided by the time from the first request to the last answer, so ramp and drain count",
        ),
        (
            Group::Ttft,
            "the clock starts before the connection is made, broken streams are in, and percentiles are interpolated",
        ),
        (Group::Tpot, "it has none; its ITL is the mean of each request"),
        (
            Group::Itl,
            "one value for each request, the mean of its gaps: a stall of two seconds disappears in it",
        ),
        (
            Group::E2e,
            "the clock starts before the connection is made, broken streams are in, and percentiles are interpolated",
        ),
    ],
    approximations: "It tokenises the text again; the server's count stands in, or the tokens of the events. It fails a stream \
                     whose error is an `event: error` and takes one in plain data for good; the recording does not tell them \
                     apart, and here both are taken for good.",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let events = of.token_events();
    let kept = events.len() == record.token_events as usize;
    let output = record.output_tokens();
    let after_first = output.saturating_sub(record.first_tokens.max(1));
    let itl = (output > 1 && after_first > 0)
        .then(|| between_ms(record.first_token, record.last_token) / f64::from(after_first));
    Seen {
        ok: of.has_tokens(),
        start: of.before_connect(),
        first: record.first_token,
        end: record.last_token,
        input: of.input_tokens(),
        output,
        tpot_ms: None,
        itl_ms: Some(itl.into_iter().collect()),
        gaps_ms: kept.then(|| gaps_ms(events.iter().map(|e| e.at))),
    }
}
