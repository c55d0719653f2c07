//! What limits the figures of a table.

use super::counts::{Source, joined_share, usage_and_events};
use crate::number::{count, number, percent};

/// Tokens per chunk from which single gaps say little of single tokens.
const TOKENS_PER_CHUNK_MAX: f64 = 1.2;
/// Share of events in a shared read from which percentiles of gaps are those of the network.
const JOINED_SHARE_MAX: f64 = 0.05;
/// How far usage and events may be apart.
const APART_MAX: f64 = 0.02;

/// One sentence each.
pub(super) fn build(source: &Source<'_>) -> Vec<String> {
    let s = source.summary;
    let mut out = Vec::new();
    let per_chunk = s.tokens_per_event().unwrap_or(1.0);
    let joined = joined_share(s);
    if per_chunk >= TOKENS_PER_CHUNK_MAX || joined >= JOINED_SHARE_MAX {
        out.push(format!(
            "ITL percentiles limited by server or network coalescing: {} tokens per chunk, {} of the chunks shared a read with an \
             earlier one.",
            number(per_chunk),
            percent(joined)
        ));
    }
    if let Some((usage, events, apart)) = usage_and_events(source).filter(|(.., apart)| *apart > APART_MAX) {
        let more = if usage > events {
            "chunks hold more than one token, or the server counts what it does not send"
        } else {
            "the server counts fewer than it sends, or some events are no tokens"
        };
        out.push(format!(
            "The server's usage and its events differ by {}: {} against {} output tokens; {more}.",
            percent(apart),
            count(usage),
            count(events)
        ));
    }
    if s.with_usage < s.ok {
        out.push(format!(
            "{} of {} answers have no usage; their tokens are counted by events, each at least one. The number asked for is never \
             put in their place.",
            count(s.ok - s.with_usage),
            count(s.ok)
        ));
    }
    if let Some(early) = early_event(source) {
        out.push(early);
    }
    if !source.phase.open_loop {
        out.push(
            "In a closed loop a slow answer delays the next request, so these times do not say how long independent users would wait."
                .to_owned(),
        );
    }
    out
}

/// A first event long before the first token: what other tools take for the first token.
fn early_event(source: &Source<'_>) -> Option<String> {
    let s = source.summary;
    let (event, token) = (s.first_event.at(0.5)?, s.ttft.at(0.5)?);
    (event.value.0 * 2 < token.value.0).then(|| {
        format!(
            "The first event comes {} after the request and holds no token; the first token comes at {} (medians).",
            event.value, token.value
        )
    })
}
