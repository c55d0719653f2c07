//! A stream of tokens as it is recorded: when which event came, what the server counted, how it ended.
//!
//! The terms are those of LLM serving: TTFT, TTFO, TPOT, ITL. Nothing is computed here beyond differences of stamps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Distribution, Nanos, Outcome};

/// What the events of a streamed answer mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StreamProtocol {
    /// OpenAI chat completions: `choices[].delta`, ended by `finish_reason` and `[DONE]`.
    OpenaiChat,
    /// OpenAI completions: `choices[].text`, ended by `finish_reason` and `[DONE]`.
    OpenaiCompletions,
    /// OpenAI responses: `response.output_text.delta`, ended by `response.completed` or `response.incomplete`.
    OpenaiResponses,
    /// Anthropic messages: `content_block_delta`, ended by `message_stop`.
    AnthropicMessages,
    /// KServe V2 generate extension: one JSON object with `text_output` per event, ended by the end of the body.
    KserveGenerate,
    /// Text Generation Inference: an event with `token.text` for each token, ended by the one with `generated_text`.
    TgiGenerate,
    /// The completions of llama.cpp's server: `content`, ended by `stop: true`.
    LlamacppCompletion,
    /// Ollama's generate and chat: one JSON object per line with `response` or `message.content`, ended by `done: true`.
    Ollama,
    /// Server-sent events of any meaning: each with data counts as one token; ended by the end of the body.
    Sse,
}

impl StreamProtocol {
    /// Every protocol.
    pub const ALL: &'static [Self] = &[
        Self::OpenaiChat,
        Self::OpenaiCompletions,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::KserveGenerate,
        Self::TgiGenerate,
        Self::LlamacppCompletion,
        Self::Ollama,
        Self::Sse,
    ];

    /// Kebab-case name, as in suites.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::KserveGenerate => "kserve-generate",
            Self::TgiGenerate => "tgi-generate",
            Self::LlamacppCompletion => "llamacpp-completion",
            Self::Ollama => "ollama",
            Self::Sse => "sse",
        }
    }

    /// Whether its events are lines of JSON (NDJSON) and not server-sent events.
    pub fn is_lines(self) -> bool {
        self == Self::Ollama
    }

    /// Media type of an answer in this protocol.
    pub fn media_type(self) -> &'static str {
        if self.is_lines() {
            "application/x-ndjson"
        } else {
            "text/event-stream"
        }
    }
}

/// That an answer is a stream of tokens, and what it must hold to be a success: the right content type, no error within,
/// a terminal marker of its protocol and at least one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamExpect {
    /// What its events mean.
    pub protocol: StreamProtocol,
    /// Fewest output tokens: where the request forces a length (`min_tokens` with `ignore_eos`), less is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u32>,
    /// Output tokens that were asked for at most (`max_tokens`); it decides nothing and is never put in place of a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Length of the prompt in tokens, where the workload knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Tokens of the prompt that an earlier prompt of the workload began with: what an ideal prefix cache could hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_tokens: Option<u32>,
}

impl StreamExpect {
    /// A stream of this protocol, of any length.
    pub fn new(protocol: StreamProtocol) -> Self {
        Self {
            protocol,
            min_tokens: None,
            max_tokens: None,
            prompt_tokens: None,
            shared_tokens: None,
        }
    }
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamEventKind {
    /// Output that a user reads: content, refusal, audio.
    Output = 0,
    /// Reasoning or thinking.
    Reasoning = 1,
    /// Name or arguments of a tool call.
    ToolCall = 2,
    /// Carries no token: role, empty content, start or end of a block, usage, finish, anything unknown.
    Silent = 3,
}

impl StreamEventKind {
    /// From its code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Output, Self::Reasoning, Self::ToolCall, Self::Silent]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }

    /// Whether it carries tokens.
    pub fn is_token(self) -> bool {
        self != Self::Silent
    }
}

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// When the read that brought its end returned.
    pub at: Nanos,
    /// What it is.
    pub kind: StreamEventKind,
    /// Tokens in it, as far as known: from usage that grows with the chunks, else 1; 0 when it carries none.
    pub tokens: u32,
    /// Whether the same read brought an earlier token event of this stream: its time is the network's or the
    /// server's, not the model's.
    pub joined: bool,
}

/// The events of a stream, encoded: times as differences, a few bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    bytes: Vec<u8>,
    last: Nanos,
}

impl Timeline {
    /// Forgets all, and counts times from `start`.
    pub fn begin(&mut self, start: Nanos) {
        self.bytes.clear();
        self.last = start;
    }

    /// Adds an event, not earlier than the last.
    pub fn push(&mut self, event: StreamEvent) {
        let since = event.at.0.saturating_sub(self.last.0);
        self.last = Nanos(self.last.0 + since);
        let plain = event.tokens == u32::from(event.kind.is_token());
        self.bytes
            .push(event.kind as u8 | u8::from(event.joined) << 2 | u8::from(!plain) << 3);
        varint(&mut self.bytes, since);
        if !plain {
            varint(&mut self.bytes, u64::from(event.tokens));
        }
    }

    /// The events, given the `start` that [`Timeline::begin`] was told. Ends early where the bytes make no sense.
    pub fn events(&self, start: Nanos) -> impl Iterator<Item = StreamEvent> + '_ {
        let mut rest = self.bytes.as_slice();
        let mut at = start;
        std::iter::from_fn(move || {
            let (&head, after) = rest.split_first()?;
            rest = after;
            let kind = StreamEventKind::from_code(head & 3)?;
            at = Nanos(at.0.checked_add(take_varint(&mut rest)?)?);
            let tokens = if head & 8 == 0 {
                u32::from(kind.is_token())
            } else {
                u32::try_from(take_varint(&mut rest)?).ok()?
            };
            Some(StreamEvent {
                at,
                kind,
                tokens,
                joined: head & 4 != 0,
            })
        })
    }

    /// The encoded bytes, for the store.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            last: Nanos::ZERO,
        }
    }

    /// Gives memory back beyond `bytes_max`.
    pub fn slim(&mut self, bytes_max: usize) {
        self.bytes.shrink_to(bytes_max);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Tokens as the server counted them, verbatim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenUsage {
    /// Of the prompt, with what came from a cache and what was written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u32>,
    /// Of the answer, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u32>,
    /// Of the prompt, read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u32>,
    /// Of the answer, reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u32>,
}

/// Why a model stopped, as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FinishReason {
    /// It did not say.
    #[default]
    None = 0,
    /// It came to its end, or to a stop sequence: `stop`, `end_turn`, `stop_sequence`.
    Stop = 1,
    /// The asked length was reached: `length`, `max_tokens`.
    Length = 2,
    /// It calls a tool: `tool_calls`, `tool_use`.
    ToolUse = 3,
    /// A filter stopped it: `content_filter`, `refusal`.
    Filter = 4,
    /// Anything else.
    Other = 5,
}

impl FinishReason {
    /// From its code.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::None,
            Self::Stop,
            Self::Length,
            Self::ToolUse,
            Self::Filter,
            Self::Other,
        ]
        .into_iter()
        .find(|reason| *reason as u8 == code)
    }
}

/// The record of one streamed answer, beside its [`crate::Sample`].
///
/// The stamps are of `CLOCK_MONOTONIC`, taken when the read returned that brought the last byte of the event, before
/// anything was parsed. A stamp of zero means that it never came.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRecord {
    /// As in its sample.
    pub seq: u64,
    /// As in its sample.
    pub phase: u16,
    /// As in its sample.
    pub scenario: u16,
    /// As in its sample.
    pub item: u32,
    /// As in its sample.
    pub step: u16,
    /// As in its sample: which attempt.
    pub attempt: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// When the schedule wanted it sent.
    pub intended: Nanos,
    /// When the first byte of the request was handed to the socket.
    pub sent: Nanos,
    /// The first byte of the answer.
    pub first_byte: Nanos,
    /// The first event of any kind.
    pub first_event: Nanos,
    /// The first event that carries a token, reasoning and tool calls included.
    pub first_token: Nanos,
    /// The first event with output that is not reasoning.
    pub first_output: Nanos,
    /// The last event that carries a token.
    pub last_token: Nanos,
    /// The terminal marker, else the end of the body, else the failure.
    pub end: Nanos,
    /// Events that carry tokens.
    pub token_events: u32,
    /// Tokens that the events are known to carry: at least one each.
    pub event_tokens: u32,
    /// Tokens in the first event that carries any.
    pub first_tokens: u32,
    /// Token events that came in one read with an earlier one.
    pub joined: u32,
    /// Events in all.
    pub events: u32,
    /// Comments in between (`: keep-alive`).
    pub comments: u32,
    /// The longest gap between two events with tokens.
    pub longest_gap: Nanos,
    /// Bytes of text in token events.
    pub text_bytes: u32,
    /// The server's count.
    pub usage: TokenUsage,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// Whether the terminal marker of its protocol came.
    pub terminal: bool,
    /// Asked for at most so many output tokens.
    pub max_tokens: Option<u32>,
    /// Length of the prompt, where the workload knows it.
    pub prompt_tokens: Option<u32>,
    /// What an ideal prefix cache could hold of it.
    pub shared_tokens: Option<u32>,
    /// Its events, where they are kept; times count from `sent`.
    pub timeline: Timeline,
}

impl StreamRecord {
    /// Time to first token: from the first byte of the request sent.
    pub fn ttft(&self) -> Option<Nanos> {
        self.since_sent(self.first_token)
    }

    /// Time to first token from when the schedule wanted the request sent: what a user waits.
    pub fn ttft_scheduled(&self) -> Option<Nanos> {
        (self.first_token.0 != 0).then(|| self.first_token - self.intended)
    }

    /// Time to first output that is not reasoning.
    pub fn ttfo(&self) -> Option<Nanos> {
        self.since_sent(self.first_output)
    }

    /// From the request to the last token: what a user sees.
    pub fn e2e(&self) -> Option<Nanos> {
        self.since_sent(self.last_token)
    }

    /// Output tokens: the server's count where it gives one, else what the events are known to carry. Never the
    /// number that was asked for.
    pub fn output_tokens(&self) -> u32 {
        self.usage.output.unwrap_or(self.event_tokens)
    }

    /// Those of the output tokens that can be in an event: without reasoning that the server counts and does not send. That it sends
    /// none shows where the first token is no reasoning.
    pub fn streamed_tokens(&self) -> u32 {
        match (self.usage.output, self.usage.reasoning) {
            (Some(output), Some(reasoning)) if self.first_token == self.first_output => {
                output.saturating_sub(reasoning).max(self.event_tokens)
            }
            _ => self.output_tokens(),
        }
    }

    /// Tokens of each event on average where the server counted several and the events do not say how many; else 1.
    pub fn tokens_per_event(&self) -> f64 {
        match self.usage.output {
            Some(_) if self.event_tokens == self.token_events && self.token_events > 0 => {
                let each = f64::from(self.streamed_tokens()) / f64::from(self.token_events);
                if each >= Self::SEVERAL_FROM { each } else { 1.0 }
            }
            _ => 1.0,
        }
    }

    /// From so many tokens per event on, the server's count says that events carry several tokens each. Below, the difference
    /// is the token that ends an answer and has no text, or the like.
    const SEVERAL_FROM: f64 = 1.2;

    /// When tokens came, and how many, event by event: those that only the server's count knows are shared out evenly.
    pub fn token_times(&self) -> impl Iterator<Item = (Nanos, u64)> + '_ {
        let each = self.tokens_per_event();
        // Tokens that were shared out, exactly and in whole ones.
        let (mut exact, mut whole) = (0.0, 0_u64);
        let events = self.timeline.events(self.sent).filter(|e| e.kind.is_token());
        events.map(move |event| {
            exact += f64::from(event.tokens.max(1)) * each;
            let tokens = (exact.round() as u64).saturating_sub(whole).max(1);
            whole += tokens;
            (event.at, tokens)
        })
    }

    /// Time per output token in nanoseconds: first to last token over the tokens that came after the first event. `None` when
    /// there is none.
    pub fn tpot_ns(&self) -> Option<f64> {
        let after_first = self.streamed_tokens().checked_sub(self.first_tokens.max(1))?;
        (after_first > 0 && self.last_token > self.first_token)
            .then(|| (self.last_token - self.first_token).0 as f64 / f64::from(after_first))
    }

    /// The same without its events: a copy that owns no memory.
    #[must_use]
    pub fn shell(&self) -> Self {
        Self {
            timeline: Timeline::default(),
            ..*self
        }
    }

    fn since_sent(&self, stamp: Nanos) -> Option<Nanos> {
        (stamp.0 != 0).then(|| stamp - self.sent)
    }
}

/// The figures of the streams of one scenario and step: of good answers only, the others are in the summary's rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamSummary {
    /// Scenario name.
    pub scenario: String,
    /// Step of a ladder or stage list, from 0.
    pub step: u16,
    /// Concurrency of the step in a closed loop; 0 in an open loop.
    pub connections: u32,
    /// Good answers.
    pub ok: u64,
    /// Answers that failed, for whatever reason; none of their times is in here.
    pub failed: u64,
    /// First token - sent.
    pub ttft: Distribution,
    /// First token - intended.
    pub ttft_scheduled: Distribution,
    /// First event - sent: a server that only says who speaks has no token yet.
    pub first_event: Distribution,
    /// First output that is not reasoning - sent.
    pub ttfo: Distribution,
    /// First to last token over the tokens after the first event; answers with at least two.
    pub tpot: Distribution,
    /// Inter-token latency, weighted by tokens: a chunk of k tokens after a gap g is k values of g / k.
    pub itl: Distribution,
    /// Inter-chunk gaps as they came.
    pub chunk_gap: Distribution,
    /// The longest gap of each answer.
    pub longest_gap: Distribution,
    /// Last token - sent.
    pub e2e: Distribution,
    /// End of the stream - sent.
    pub e2e_transport: Distribution,
    /// Gaps above five times the median gap.
    pub stalls: u64,
    /// Gaps in all.
    pub gaps: u64,
    /// Events with tokens.
    pub token_events: u64,
    /// Those of them that shared a read with an earlier one of their stream.
    pub joined: u64,
    /// Output tokens by the server's count, of the answers that have one.
    pub usage_output: u64,
    /// Answers that have a server's count of output tokens.
    pub with_usage: u64,
    /// Output tokens that events are known to carry.
    pub event_tokens: u64,
    /// Output tokens that can be in an event: by the server's count where there is one, without reasoning that it counts and does
    /// not send; else those that events are known to carry.
    pub streamed_tokens: u64,
    /// Input tokens by the server's count.
    pub usage_input: u64,
    /// Input tokens that came from a cache, by the server's count.
    pub usage_cached: u64,
    /// Answers whose usage says how many came from a cache.
    pub with_cached: u64,
    /// Reasoning tokens by the server's count.
    pub usage_reasoning: u64,
    /// Tokens delivered within the window, per second: by the time of each token, so that ramp and drain do not count.
    pub tokens_per_s: f64,
    /// Length of that window in seconds.
    pub window_s: f64,
    /// Shortest, median and longest answer in tokens.
    pub output_lengths: [u32; 3],
    /// Answers cut at the asked length.
    pub finished_by_length: u64,
}

impl StreamSummary {
    /// Tokens of an event that has some, on average; none without such events.
    pub fn tokens_per_event(&self) -> Option<f64> {
        (self.token_events > 0).then(|| self.streamed_tokens as f64 / self.token_events as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{StreamEvent, StreamEventKind, StreamProtocol, Timeline};
    use crate::Nanos;

    #[test]
    fn a_timeline_gives_back_its_events() {
        let event = |at, kind, tokens, joined| StreamEvent {
            at: Nanos(at),
            kind,
            tokens,
            joined,
        };
        let events = [
            event(1_000, StreamEventKind::Silent, 0, false),
            event(50_000_000, StreamEventKind::Reasoning, 1, false),
            event(50_000_000, StreamEventKind::Output, 4, true),
            event(9_000_000_000, StreamEventKind::ToolCall, 0, false),
        ];
        let mut timeline = Timeline::default();
        timeline.begin(Nanos(900));
        for event in events {
            timeline.push(event);
        }
        assert_eq!(timeline.events(Nanos(900)).collect::<Vec<_>>(), events);
        let stored = Timeline::from_bytes(timeline.bytes().to_vec());
        assert_eq!(stored.events(Nanos(900)).collect::<Vec<_>>(), events);
    }

    #[test]
    fn cut_bytes_end_early() {
        assert_eq!(Timeline::from_bytes(vec![0, 0x80]).events(Nanos::ZERO).count(), 0);
    }

    #[test]
    fn protocols_have_the_names_of_their_serialisation() {
        for protocol in StreamProtocol::ALL {
            assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.name());
        }
    }
}
