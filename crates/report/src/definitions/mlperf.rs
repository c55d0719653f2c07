//! `MLPerf` `LoadGen`, the Server scenario.

use prony_model::{Outcome, StreamProtocol};

use super::seen::{RecordedStream, Seen};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "mlperf",
    tool: "MLPerf LoadGen",
    version: "Inference v6.1",
    about: "Its clock starts when the schedule wanted the request sent; a query that fails counts as one that was too slow; there \
            is no inter-token latency.",
    protocols: StreamProtocol::ALL,
    see,
    percentile: Percentile::FailuresLast,
    reasons: &[
        (
            Group::Success,
            "it takes any completed query for a success; what the harness reports as an error counts as over-latency",
        ),
        (
            Group::Duration,
            "from the first scheduled query to the last completion",
        ),
        (Group::Tokens, "as the harness reports them"),
        (
            Group::Rate,
            "divided by the time from the first scheduled query to the last completion",
        ),
        (
            Group::Ttft,
            "from when the query was due, not from when it was sent; failed queries are the slowest of the percentile",
        ),
        (
            Group::Tpot,
            "the time runs to the completion of the query, divided by the tokens less one; failed queries are the slowest of \
             the percentile",
        ),
        (Group::Itl, "it has none"),
        (
            Group::E2e,
            "from when the query was due to its completion; failed queries are the slowest of the percentile",
        ),
    ],
    approximations: "A submission needs 662 queries at least for its 99th percentile, and 600 seconds; here the percentile of what \
                     was recorded is shown.",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let mut seen = Seen {
        ok: record.outcome == Outcome::Ok && record.token_events > 0,
        start: record.intended,
        first: record.first_token,
        end: record.end,
        input: of.input_tokens(),
        output: record.output_tokens(),
        tpot_ms: None,
        itl_ms: Some(Vec::new()),
        gaps_ms: None,
    };
    seen.tpot_ms = seen.tpot_after_first();
    seen
}
