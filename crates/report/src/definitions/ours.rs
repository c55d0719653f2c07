//! Our own definitions, in the same form as those of the others.

use prony_model::{Outcome, StreamProtocol};

use super::seen::{RecordedStream, Seen, gaps_ms};
use super::{Definition, Percentile};

/// Prony's definitions.
pub static OURS: Definition = Definition {
    name: "prony",
    tool: "prony",
    version: "",
    about: "From the first byte sent to the first event that carries a token; single gaps, weighted by their tokens; a broken \
            stream is a failure.",
    protocols: StreamProtocol::ALL,
    see,
    percentile: Percentile::NearestRank,
    reasons: &[],
    approximations: "",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let events = of.token_events();
    let kept = events.len() == record.token_events as usize;
    let gaps = gaps_ms(events.iter().map(|e| e.at));
    let tokens = record.token_times().skip(1).map(|(_, tokens)| tokens);
    let weighted = gaps
        .iter()
        .zip(tokens)
        .flat_map(|(gap, tokens)| std::iter::repeat_n(gap / tokens as f64, tokens as usize));
    Seen {
        ok: record.outcome == Outcome::Ok && record.token_events > 0,
        start: record.sent,
        first: record.first_token,
        end: record.last_token,
        input: of.input_tokens(),
        output: record.output_tokens(),
        tpot_ms: record.tpot_ns().map(|ns| ns / 1e6),
        itl_ms: kept.then(|| weighted.collect()),
        gaps_ms: kept.then_some(gaps),
    }
}
