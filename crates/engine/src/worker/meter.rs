//! Reads an answer as a stream of tokens while it comes, and keeps when what came. Does no I/O and reads no clock: the
//! worker tells when each read returned.

use prony_model::{
    Nanos, Outcome, Sample, StreamEvent, StreamEventKind, StreamExpect, StreamRecord, Timeline,
};
use prony_wire::http1::Head;
use prony_wire::sse::SseDecoder;
use prony_wire::tokens::TokenDecoder;

/// What an event stream says that it is.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Largest encoded timeline of one answer. Gaps beyond it are not looked at; nothing else is lost.
const TIMELINE_BYTES_MAX: usize = 16 << 20;

/// Largest timeline buffer that is kept for the next call.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// How long after its terminal marker a stream's answer may take to end.
pub(super) const LINGER: Nanos = Nanos(1_000_000_000);

/// The reader of one answer after another.
#[derive(Debug)]
pub(super) struct Meter {
    expect: StreamExpect,
    sse: SseDecoder,
    tokens: TokenDecoder,
    /// Whether the head says that an event stream follows.
    streams: bool,
    /// Why the bytes are no event stream, in words.
    broken: Option<String>,
    heard: Heard,
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Heard {
    /// When the read returned whose bytes are being taken.
    at: Nanos,
    first_event: Nanos,
    first_token: Nanos,
    first_output: Nanos,
    last_token: Nanos,
    terminal: Nanos,
    token_events: u32,
    event_tokens: u32,
    first_tokens: u32,
    joined: u32,
    events: u32,
    longest_gap: Nanos,
    text_bytes: u32,
    timeline: Timeline,
}

impl Heard {
    fn clear(&mut self) {
        let timeline = std::mem::take(&mut self.timeline);
        *self = Self {
            timeline,
            ..Self::default()
        };
    }
}

impl Meter {
    /// A meter for an answer, in the memory of an earlier one where there is one.
    pub(super) fn start(spare: Option<Box<Self>>, expect: StreamExpect) -> Box<Self> {
        match spare {
            None => Box::new(Self {
                expect,
                sse: SseDecoder::default(),
                tokens: TokenDecoder::new(expect.protocol),
                streams: false,
                broken: None,
                heard: Heard::default(),
            }),
            Some(mut meter) => {
                meter.expect = expect;
                meter.clear();
                meter
            }
        }
    }

    /// Forgets an answer, to receive another.
    pub(super) fn clear(&mut self) {
        self.sse.reset();
        self.tokens.reset(self.expect.protocol);
        (self.streams, self.broken) = (false, None);
        self.heard.clear();
    }

    /// Gives memory back.
    pub(super) fn slim(&mut self) {
        self.sse = SseDecoder::default();
        self.tokens.slim();
        self.heard.timeline = Timeline::default();
    }

    /// A read returned at `at`; the request was sent at `sent`.
    pub(super) fn read_at(&mut self, sent: Nanos, at: Nanos) {
        if self.heard.at == Nanos::ZERO {
            self.heard.timeline.begin(sent);
        }
        self.heard.at = at;
    }

    /// The head of the answer.
    pub(super) fn head(&mut self, head: &Head, raw: &[u8]) {
        let content_type = head.content_type.map_or(&[][..], |span| span.of(raw));
        self.streams = content_type
            .get(..EVENT_STREAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
            && matches!(
                content_type.get(EVENT_STREAM.len()),
                None | Some(b';' | b' ' | b'\t')
            );
    }

    /// A piece of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        if !self.streams || self.broken.is_some() {
            return;
        }
        let Self {
            sse, tokens, heard, ..
        } = self;
        let fed = sse.feed(bytes, &mut |event| {
            let meaning = tokens.event(event);
            heard.events = heard.events.saturating_add(1);
            let at = heard.at;
            if heard.first_event == Nanos::ZERO {
                heard.first_event = at;
            }
            let mut joined = false;
            if meaning.kind.is_token() {
                joined = heard.token(at, meaning.kind, meaning.tokens, meaning.text_bytes);
            } else if heard.terminal == Nanos::ZERO && tokens.is_terminal() {
                heard.terminal = at;
            }
            if heard.timeline.bytes().len() < TIMELINE_BYTES_MAX {
                heard.timeline.push(StreamEvent {
                    at,
                    kind: meaning.kind,
                    tokens: meaning.tokens,
                    joined,
                });
            }
        });
        if let Err(error) = fed {
            self.broken = Some(error.to_string());
        }
    }

    /// Whether the terminal marker came: all that follows is the end of the transport.
    pub(super) fn is_over(&self) -> bool {
        self.heard.terminal != Nanos::ZERO
    }

    /// What became of a stream whose answer is complete, beyond status and body checks.
    pub(super) fn judge(&mut self, content_type: &[u8]) -> (Outcome, String) {
        if !self.streams {
            let got: String = String::from_utf8_lossy(content_type).chars().take(80).collect();
            let why = format!("content type {got:?} is not \"text/event-stream\"");
            return (Outcome::WrongBody, why);
        }
        if let Some(words) = self.tokens.error() {
            return (
                Outcome::StreamError,
                format!("the stream tells of an error: {words}"),
            );
        }
        let malformed = self.broken.as_deref().or(self.tokens.malformed());
        if let Some(why) = malformed {
            return (Outcome::StreamMalformed, why.to_owned());
        }
        if self.tokens.ends_with_body() && self.sse.finish().is_ok() {
            self.heard.terminal = self.heard.at;
        }
        if !self.is_over() {
            let why = match self.sse.finish() {
                Err(error) => error.to_string(),
                Ok(()) => format!("the stream ended too early: {}", self.tokens.missing()),
            };
            return (Outcome::StreamUnfinished, why);
        }
        if self.heard.token_events == 0 {
            return (Outcome::StreamEmpty, "the stream holds no token".to_owned());
        }
        let output = self.output_tokens();
        match self.expect.min_tokens {
            Some(least) if output < least => (
                Outcome::StreamShort,
                format!("{output} tokens, at least {least} were forced"),
            ),
            _ => (Outcome::Ok, String::new()),
        }
    }

    fn output_tokens(&self) -> u32 {
        self.tokens.usage().output.unwrap_or(self.heard.event_tokens)
    }

    /// The record of the answer that ended as its sample says. The timeline moves into it; give it back with
    /// [`Meter::take_back`].
    pub(super) fn record(&mut self, sample: &Sample) -> StreamRecord {
        let heard = &mut self.heard;
        let mut record = StreamRecord {
            seq: sample.seq,
            phase: sample.phase,
            scenario: sample.scenario,
            item: sample.item,
            step: sample.step,
            attempt: sample.attempt,
            outcome: sample.outcome,
            intended: sample.intended,
            sent: sample.sent,
            first_byte: sample.first_byte,
            first_event: heard.first_event,
            first_token: heard.first_token,
            first_output: heard.first_output,
            last_token: heard.last_token,
            end: if heard.terminal == Nanos::ZERO {
                sample.done
            } else {
                heard.terminal
            },
            token_events: heard.token_events,
            event_tokens: heard.event_tokens,
            first_tokens: heard.first_tokens,
            joined: heard.joined,
            events: heard.events,
            comments: u32::try_from(self.sse.comments()).unwrap_or(u32::MAX),
            longest_gap: heard.longest_gap,
            text_bytes: heard.text_bytes,
            usage: self.tokens.usage(),
            finish: self.tokens.finish(),
            terminal: heard.terminal != Nanos::ZERO,
            max_tokens: self.expect.max_tokens,
            prompt_tokens: self.expect.prompt_tokens,
            shared_tokens: self.expect.shared_tokens,
            timeline: std::mem::take(&mut heard.timeline),
        };
        // Where events carry several tokens each and do not say how many, the first is taken to be like the others.
        let each = record.tokens_per_event();
        if each > 1.0 {
            record.first_tokens = each.round() as u32;
        }
        record
    }

    /// Takes the memory of a timeline back.
    pub(super) fn take_back(&mut self, mut timeline: Timeline) {
        timeline.begin(Nanos::ZERO);
        timeline.slim(SPARE_BYTES_MAX);
        self.heard.timeline = timeline;
    }
}

impl Heard {
    /// An event with tokens; whether it came in one read with an earlier one.
    fn token(&mut self, at: Nanos, kind: StreamEventKind, tokens: u32, text_bytes: u32) -> bool {
        let later = self.token_events > 0;
        let joined = later && at == self.last_token;
        if later {
            self.longest_gap = self.longest_gap.max(at - self.last_token);
        } else {
            self.first_token = at;
            self.first_tokens = tokens;
        }
        if kind != StreamEventKind::Reasoning && self.first_output == Nanos::ZERO {
            self.first_output = at;
        }
        self.last_token = at;
        self.token_events = self.token_events.saturating_add(1);
        self.event_tokens = self.event_tokens.saturating_add(tokens.max(1));
        self.joined += u32::from(joined);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        joined
    }
}
