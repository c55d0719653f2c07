//! One recorded answer, and what a tool makes of it.

use prony_model::{Nanos, Outcome, StreamEvent, StreamRecord};

/// A recorded stream, with what its sample knows and the record does not.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStream {
    /// The record.
    pub record: StreamRecord,
    /// Time to connect (TCP and TLS) before it was sent; zero on a reused connection.
    pub connect: Nanos,
    /// The TLS handshake in it.
    pub tls: Nanos,
}

impl RecordedStream {
    /// A record of a request on a connection that was there.
    pub fn new(record: StreamRecord) -> Self {
        Self {
            record,
            connect: Nanos::ZERO,
            tls: Nanos::ZERO,
        }
    }

    /// When the tool's clock starts if it starts before it connects.
    pub(super) fn before_connect(&self) -> Nanos {
        Nanos(self.record.sent.0.saturating_sub(self.connect.0))
    }

    /// The events that carry tokens; empty when the timeline was not kept.
    pub(super) fn token_events(&self) -> Vec<StreamEvent> {
        self.events().into_iter().filter(|e| e.kind.is_token()).collect()
    }

    /// All events; empty when the timeline was not kept.
    pub(super) fn events(&self) -> Vec<StreamEvent> {
        self.record.timeline.events(self.record.sent).collect()
    }

    /// Whether it ended in a way that a tool takes for good as long as the status is good and the connection whole: a
    /// check of ours beyond that, an error within the stream, or a missing end.
    pub(super) fn ends_cleanly(&self) -> bool {
        use Outcome as O;
        matches!(
            self.record.outcome,
            O::Ok
                | O::StreamError
                | O::StreamUnfinished
                | O::StreamEmpty
                | O::WrongBody
                | O::Checksum
                | O::Fallback
                | O::Foreign
                | O::Unmarked
                | O::TrailingBytes
        )
    }

    /// Whether it ended cleanly and held a token.
    pub(super) fn has_tokens(&self) -> bool {
        self.ends_cleanly() && self.record.token_events > 0
    }

    /// Output tokens of the tools that put the length that was asked for in place of a missing count.
    pub(super) fn reported_or_asked(&self) -> u32 {
        let record = &self.record;
        record
            .usage
            .output
            .or(record.max_tokens)
            .unwrap_or(record.event_tokens)
    }

    /// Prompt tokens: the server's count, else the workload's.
    pub(super) fn input_tokens(&self) -> Option<u32> {
        self.record.usage.input.or(self.record.prompt_tokens)
    }
}

/// An answer through the eyes of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Whether the tool takes it for a success.
    pub ok: bool,
    /// When its clock starts.
    pub start: Nanos,
    /// What it takes for the first token.
    pub first: Nanos,
    /// Where its end-to-end time ends.
    pub end: Nanos,
    /// Prompt tokens.
    pub input: Option<u32>,
    /// Output tokens.
    pub output: u32,
    /// Its time per output token in milliseconds; `None` where it has none.
    pub tpot_ms: Option<f64>,
    /// What it adds to the inter-token latencies, in milliseconds; `None` where the recording lacks it.
    pub itl_ms: Option<Vec<f64>>,
    /// Gaps between the chunks that it takes for tokens, in milliseconds; `None` where the recording lacks them.
    pub gaps_ms: Option<Vec<f64>>,
}

impl Seen {
    /// First token - start, in milliseconds.
    pub fn ttft_ms(&self) -> Option<f64> {
        (self.first.0 > 0).then(|| between_ms(self.start, self.first))
    }

    /// End - start, in milliseconds.
    pub fn e2e_ms(&self) -> f64 {
        between_ms(self.start, self.end)
    }

    /// End less first token over the tokens after the first: what most tools call TPOT.
    pub(super) fn tpot_after_first(&self) -> Option<f64> {
        (self.output > 1 && self.first.0 > 0)
            .then(|| between_ms(self.first, self.end) / f64::from(self.output - 1))
    }
}

/// Gaps between moments, in milliseconds.
pub(super) fn gaps_ms(moments: impl IntoIterator<Item = Nanos>) -> Vec<f64> {
    let moments: Vec<Nanos> = moments.into_iter().collect();
    moments.windows(2).map(|w| between_ms(w[0], w[1])).collect()
}

/// From one moment to a later one, in milliseconds.
pub(super) fn between_ms(from: Nanos, to: Nanos) -> f64 {
    (to.0 as f64 - from.0 as f64) / 1e6
}
