//! `GuideLLM`.

use prony_model::{Outcome, StreamProtocol};

use super::seen::{RecordedStream, Seen, between_ms};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "guidellm",
    tool: "guidellm",
    version: "0.8.1",
    about: "Its TPOT holds the time to the first token; its ITL is one mean for each request; without usage it reports the length \
            that was asked for.",
    protocols: &[
        StreamProtocol::OpenaiChat,
        StreamProtocol::OpenaiCompletions,
        StreamProtocol::OpenaiResponses,
    ],
    see,
    percentile: Percentile::NearestRank,
    reasons: &[
        (
            Group::Success,
            "a stream that ends without its terminal marker counts as successful once it held a token",
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
        (Group::Ttft, "streams without their end are in"),
        (
            Group::Tpot,
            "from the start of the request, so the time to the first token is in, divided by all tokens",
        ),
        (
            Group::Itl,
            "one value for each request, the mean of its gaps: a stall of two seconds disappears in it",
        ),
        (Group::E2e, "the time runs to the end of the stream"),
    ],
    approximations: "Its rates are of its measured window, without warm-up and cool-down; here that is the whole phase.",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let output = of.reported_or_asked();
    let tokens_kept = record.token_events > 0;
    let itl = (output > 1 && tokens_kept)
        .then(|| between_ms(record.first_token, record.last_token) / f64::from(output - 1));
    Seen {
        ok: of.has_tokens() && record.outcome != Outcome::StreamError,
        start: record.sent,
        first: record.first_token,
        end: record.end,
        input: of.input_tokens(),
        output,
        tpot_ms: (output > 0 && tokens_kept)
            .then(|| between_ms(record.sent, record.last_token) / f64::from(output)),
        itl_ms: Some(itl.into_iter().collect()),
        gaps_ms: None,
    }
}
