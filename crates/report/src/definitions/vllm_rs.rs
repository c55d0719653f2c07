//! `vllm-rs bench serve`, the client in Rust that the vLLM wheel carries.

use prony_model::{FinishReason, Nanos, StreamProtocol};

use super::seen::{RecordedStream, Seen, gaps_ms};
use super::{Definition, Group, Percentile};

/// Registry entry.
pub(super) static DEFINITION: Definition = Definition {
    name: "vllm-rs",
    tool: "vllm-rs bench serve",
    version: "0.33",
    about: "The first chunk of any kind is its first token, so a server that only says who speaks has a TTFT of nothing; the \
            finish chunk is one more inter-token gap; any stream with one chunk is a success.",
    protocols: &[StreamProtocol::OpenaiChat, StreamProtocol::OpenaiCompletions],
    see,
    percentile: Percentile::Linear,
    reasons: &[
        (
            Group::Success,
            "any stream with a chunk counts as successful, also one without a token, with an error in it or without its end",
        ),
        (
            Group::Duration,
            "from the first request to the end of the last, whether they succeed or not",
        ),
        (
            Group::Tokens,
            "without usage it counts chunks, the role-only one too; the tokens of broken streams are counted too",
        ),
        (
            Group::Rate,
            "divided by the time from the first request to the last end, so ramp and drain count",
        ),
        (
            Group::Ttft,
            "the first chunk counts as the first token, also one that only names the role",
        ),
        (
            Group::Tpot,
            "the time runs from the first chunk to the usage chunk, divided by the tokens less one",
        ),
        (
            Group::Itl,
            "the gaps from the role to the first token and from the last token to the finish chunk are in, and a chunk of \
             several tokens is one value",
        ),
        (
            Group::E2e,
            "the time runs to the usage chunk, from before the connection is made",
        ),
    ],
    approximations: "Which of the chunks without a token are the finish and the usage chunk is told by their order.",
};

fn see(of: &RecordedStream) -> Seen {
    let record = &of.record;
    let events = of.events();
    let last_token = events.iter().rposition(|e| e.kind.is_token());
    let tail = last_token.map_or(events.len(), |at| at + 1);
    let (body, rest) = events.split_at(tail);
    let finishes = usize::from(record.finish != FinishReason::None);
    let usages = usize::from(record.usage.output.is_some());
    // After the last token come the finish chunk and the usage chunk, unless one of them carried a token too.
    let with_choices: Vec<Nanos> = body
        .iter()
        .chain(rest.iter().take(finishes))
        .map(|e| e.at)
        .collect();
    let end = rest.iter().take(finishes + usages).next_back().map(|e| e.at);
    let kept = !events.is_empty();
    let gaps = kept.then(|| gaps_ms(with_choices.iter().copied()));
    let chunks = if kept {
        with_choices.len() as u32
    } else {
        record.events
    };
    let mut seen = Seen {
        ok: of.ends_cleanly() && record.first_event.0 > 0,
        start: of.before_connect(),
        first: record.first_event,
        end: end.unwrap_or(record.last_token.max(record.first_event)),
        input: of.input_tokens(),
        output: record.usage.output.unwrap_or(chunks),
        tpot_ms: None,
        itl_ms: gaps.clone(),
        gaps_ms: gaps,
    };
    seen.tpot_ms = seen.tpot_after_first();
    seen
}
