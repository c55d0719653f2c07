//! Reads an answer as a stream of tokens while it comes, and keeps when what came. Does no I/O and reads no clock: the
//! worker tells when each read returned, and when the kernel says that its bytes arrived.

use prony_model::{
    Nanos, Outcome, Sample, StreamEvent, StreamEventKind, StreamExpect, StreamRecord, Timeline,
};
use prony_wire::http1::Head;
use prony_wire::lines::LineDecoder;
use prony_wire::sse::{Event, SseDecoder};
use prony_wire::tokens::TokenDecoder;

/// What a stream of lines of JSON says that it is, beside the name that the protocol's servers give it.
const LINES: [&[u8]; 2] = [b"application/ndjson", b"application/jsonl"];

/// Largest encoded timeline of one answer. Gaps beyond it are not looked at; nothing else is lost.
const TIMELINE_BYTES_MAX: usize = 16 << 20;

/// Largest timeline buffer that is kept for the next call.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// How long after its terminal marker a stream's answer may take to end.
pub(super) const LINGER: Nanos = Nanos(1_000_000_000);

/// How far two readings of the clocks may put an instant wrong.
const CLOCKS_APART: Nanos = Nanos(10_000);

/// What one read came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// How late it was read, where the kernel says when it arrived and it brought an event.
    pub(super) late: Option<Nanos>,
    /// How long before it the last one's bytes had arrived, or the request was sent: no event of it can be older.
    pub(super) oldest: Nanos,
    /// Events that have the stamp of a later one, where one of them has tokens.
    pub(super) shared: u32,
    /// Whether the first token is among those.
    pub(super) first_shared: bool,
}

/// The reader of one answer after another.
#[derive(Debug)]
pub(super) struct Meter {
    expect: StreamExpect,
    sse: SseDecoder,
    lines: LineDecoder,
    tokens: TokenDecoder,
    /// Whether the head says that a stream of the protocol's form follows.
    streams: bool,
    /// Why the bytes are no event stream, in words.
    broken: Option<String>,
    account: Account,
}

/// Whether a content type is of that media type, whatever its parameters.
fn is_of_type(content_type: &[u8], name: &[u8]) -> bool {
    content_type
        .get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
        && matches!(content_type.get(name.len()), None | Some(b';' | b' ' | b'\t'))
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Account {
    /// When the bytes that are being taken arrived, as far as that is known: the stamp of the events that they end.
    at: Nanos,
    /// How late they were read, by the kernel.
    late: Option<Nanos>,
    /// From the stamp before theirs to when they were read.
    oldest: Nanos,
    /// Events, and those with tokens, before them.
    events_before: u32,
    token_events_before: u32,
    /// Events stamped by the kernel.
    by_kernel: u32,
    /// Number of the first event with tokens, from 1.
    first_token_event: u32,
    first_event: Nanos,
    first_token: Nanos,
    first_output: Nanos,
    last_token: Nanos,
    terminal: Nanos,
    over: Nanos,
    token_events: u32,
    event_tokens: u32,
    first_tokens: u32,
    joined: u32,
    events: u32,
    longest_gap: Nanos,
    text_bytes: u32,
    timeline: Timeline,
}

impl Account {
    /// Takes an event, which ended in the bytes being taken.
    fn event(&mut self, tokens: &mut TokenDecoder, event: Event<'_>) {
        let meaning = tokens.event(event);
        self.events = self.events.saturating_add(1);
        let at = self.at;
        if self.first_event == Nanos::ZERO {
            self.first_event = at;
        }
        let mut joined = false;
        if meaning.kind.is_token() {
            joined = self.token(at, meaning.kind, meaning.tokens, meaning.text_bytes);
        }
        if self.terminal == Nanos::ZERO && tokens.is_terminal() {
            self.terminal = at;
        }
        if self.timeline.bytes().len() < TIMELINE_BYTES_MAX {
            self.timeline.push(StreamEvent {
                at,
                kind: meaning.kind,
                tokens: meaning.tokens,
                joined,
            });
        }
    }

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
                lines: LineDecoder::default(),
                tokens: TokenDecoder::new(expect.protocol),
                streams: false,
                broken: None,
                account: Account::default(),
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
        self.lines.reset();
        self.tokens.reset(self.expect.protocol);
        (self.streams, self.broken) = (false, None);
        self.account.clear();
    }

    /// Gives memory back.
    pub(super) fn slim(&mut self) {
        self.sse = SseDecoder::default();
        self.lines = LineDecoder::default();
        self.tokens.slim();
        self.account.timeline = Timeline::default();
    }

    /// A read returned at `read`, and what it brought `arrived` then, by the kernel; the request was sent at `sent`. Returns
    /// the stamp of what it brought: when it arrived if that can be, else when it was read.
    pub(super) fn read_at(&mut self, sent: Nanos, read: Nanos, arrived: Option<Nanos>) -> Nanos {
        let account = &mut self.account;
        if account.at == Nanos::ZERO {
            account.timeline.begin(sent);
        }
        let before = account.at.max(sent);
        let arrived = credible(arrived, before, read);
        account.at = arrived.unwrap_or(read);
        account.late = arrived.map(|arrived| read - arrived);
        account.oldest = read - before;
        account.events_before = account.events;
        account.token_events_before = account.token_events;
        account.at
    }

    /// What the last read came to.
    pub(super) fn heard(&mut self) -> Heard {
        let account = &mut self.account;
        let events = account.events - account.events_before;
        let Some(late) = account.late.filter(|_| events > 0) else {
            return Heard::default();
        };
        account.by_kernel = account.by_kernel.saturating_add(events);
        let first = account.first_token_event;
        Heard {
            late: Some(late),
            oldest: account.oldest,
            shared: if account.token_events > account.token_events_before {
                events - 1
            } else {
                0
            },
            first_shared: first > account.events_before && first < account.events,
        }
    }

    /// The last read brought the end of the answer.
    pub(super) fn is_complete(&mut self) {
        self.account.over = self.account.at;
    }

    /// The end of the answer was waited for in vain: its terminal marker was the last of it.
    pub(super) fn ended_with_its_marker(&mut self) {
        self.account.over = self.account.terminal;
    }

    /// When the end of the answer arrived; `None` where it did not.
    pub(super) fn over(&self) -> Option<Nanos> {
        (self.account.over != Nanos::ZERO).then_some(self.account.over)
    }

    /// How many events were stamped by the kernel, and how many by their reads.
    pub(super) fn stamped(&self) -> (u32, u32) {
        let by_kernel = self.account.by_kernel;
        (by_kernel, self.account.events - by_kernel)
    }

    /// The head of the answer.
    pub(super) fn head(&mut self, head: &Head, raw: &[u8]) {
        let content_type = head.content_type.map_or(&[][..], |span| span.of(raw));
        let protocol = self.expect.protocol;
        let also = if protocol.is_lines() { &LINES[..] } else { &[] };
        self.streams = is_of_type(content_type, protocol.media_type().as_bytes())
            || also.iter().any(|name| is_of_type(content_type, name));
    }

    /// A piece of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        if !self.streams || self.broken.is_some() {
            return;
        }
        let Self {
            expect,
            sse,
            lines,
            tokens,
            account,
            ..
        } = self;
        let mut take = |event: Event<'_>| account.event(tokens, event);
        let fed = if expect.protocol.is_lines() {
            lines.feed(bytes, &mut take)
        } else {
            sse.feed(bytes, &mut take)
        };
        if let Err(error) = fed {
            self.broken = Some(error.to_string());
        }
    }

    /// Whether the terminal marker came: all that follows is the end of the transport.
    pub(super) fn is_over(&self) -> bool {
        self.account.terminal != Nanos::ZERO
    }

    /// What became of a stream whose answer is complete, beyond status and body checks.
    pub(super) fn judge(&mut self, content_type: &[u8]) -> (Outcome, String) {
        if !self.streams {
            let got: String = String::from_utf8_lossy(content_type).chars().take(80).collect();
            let why = format!(
                "content type {got:?} is not {:?}",
                self.expect.protocol.media_type()
            );
            return (Outcome::WrongBody, why);
        }
        let Self {
            lines,
            tokens,
            account,
            ..
        } = self;
        lines.last(&mut |event| account.event(tokens, event));
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
            self.account.terminal = self.account.at;
        }
        if !self.is_over() {
            let why = match self.sse.finish() {
                Err(error) => error.to_string(),
                Ok(()) => format!("the stream ended too early: {}", self.tokens.missing()),
            };
            return (Outcome::StreamUnfinished, why);
        }
        if self.account.token_events == 0 {
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
        self.tokens.usage().output.unwrap_or(self.account.event_tokens)
    }

    /// The record of the answer that ended as its sample says. The timeline moves into it; give it back with
    /// [`Meter::take_back`].
    pub(super) fn record(&mut self, sample: &Sample) -> StreamRecord {
        let account = &mut self.account;
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
            first_event: account.first_event,
            first_token: account.first_token,
            first_output: account.first_output,
            last_token: account.last_token,
            end: if account.terminal == Nanos::ZERO {
                sample.done
            } else {
                account.terminal
            },
            token_events: account.token_events,
            event_tokens: account.event_tokens,
            first_tokens: account.first_tokens,
            joined: account.joined,
            events: account.events,
            comments: u32::try_from(self.sse.comments()).unwrap_or(u32::MAX),
            longest_gap: account.longest_gap,
            text_bytes: account.text_bytes,
            usage: self.tokens.usage(),
            finish: self.tokens.finish(),
            terminal: account.terminal != Nanos::ZERO,
            max_tokens: self.expect.max_tokens,
            prompt_tokens: self.expect.prompt_tokens,
            shared_tokens: self.expect.shared_tokens,
            timeline: std::mem::take(&mut account.timeline),
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
        self.account.timeline = timeline;
    }
}

impl Account {
    /// An event with tokens; whether it came in one read with an earlier one.
    fn token(&mut self, at: Nanos, kind: StreamEventKind, tokens: u32, text_bytes: u32) -> bool {
        let later = self.token_events > 0;
        let joined = later && at == self.last_token;
        if later {
            self.longest_gap = self.longest_gap.max(at - self.last_token);
        } else {
            self.first_token = at;
            self.first_tokens = tokens;
            self.first_token_event = self.events;
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

/// When something arrived, if that can be: not before what came before it, nor after it was read, but for what the clocks may
/// be apart.
pub(super) fn credible(arrived: Option<Nanos>, earliest: Nanos, read: Nanos) -> Option<Nanos> {
    let arrived = arrived?;
    let can_be = arrived + CLOCKS_APART >= earliest && arrived <= read + CLOCKS_APART;
    can_be.then(|| arrived.max(earliest).min(read))
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, StreamExpect, StreamProtocol};
    use prony_wire::http1::{HeadCache, ResponseParser};
    use proptest::prelude::*;

    use super::{CLOCKS_APART, Heard, Meter};
    use crate::worker::call::Answer;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

    /// An event with tokens, or one without.
    fn event(token: bool) -> &'static [u8] {
        if token {
            b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
        } else {
            b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"
        }
    }

    /// A meter that has read the head.
    fn meter() -> Box<Meter> {
        let mut answer = Answer::default();
        answer.measure(StreamExpect::new(StreamProtocol::OpenaiChat));
        let mut parser = ResponseParser::new(1 << 10, 1 << 20);
        parser.feed(HEAD, &mut HeadCache::default(), &mut answer).unwrap();
        answer.meter.unwrap()
    }

    /// Reads events that came together.
    fn read(meter: &mut Meter, at: u64, arrived: Option<u64>, events: &[bool]) -> (Nanos, Heard) {
        let stamp = meter.read_at(Nanos(1_000), Nanos(at), arrived.map(Nanos));
        for token in events {
            meter.body(event(*token));
        }
        (stamp, meter.heard())
    }

    #[test]
    fn what_shared_a_late_read_is_told() {
        let mut meter = meter();
        let heard = |late, oldest, shared, first_shared| Heard {
            late: Some(Nanos(late)),
            oldest: Nanos(oldest),
            shared,
            first_shared,
        };
        // Who speaks and the first token: the token has its own stamp, the other has not.
        let (at, first) = read(&mut meter, 50_000, Some(40_000), &[false, true]);
        assert_eq!((at, first), (Nanos(40_000), heard(10_000, 49_000, 1, false)));
        let (_, alone) = read(&mut meter, 90_000, Some(60_000), &[true]);
        assert_eq!(alone, heard(30_000, 50_000, 0, false));
        let (_, three) = read(&mut meter, 120_000, Some(120_000), &[true, true, false]);
        assert_eq!(three, heard(0, 60_000, 2, false));
        let (_, silent) = read(&mut meter, 130_000, Some(121_000), &[false, false]);
        assert_eq!(
            silent,
            heard(9_000, 10_000, 0, false),
            "nothing is lost where no token came"
        );
        let (at, by_read) = read(&mut meter, 140_000, None, &[true, true]);
        assert_eq!((at, by_read), (Nanos(140_000), Heard::default()));
        assert_eq!(meter.stamped(), (8, 2));
    }

    #[test]
    fn a_first_token_under_the_stamp_of_the_second_is_told() {
        let (_, heard) = read(&mut meter(), 50_000, Some(40_000), &[false, true, true]);
        assert!(heard.first_shared && heard.shared == 2, "{heard:?}");
    }

    #[test]
    fn a_stamp_that_cannot_be_is_that_of_the_read() {
        let apart = CLOCKS_APART.0;
        for (arrived, stamp) in [
            (Some(2_000_000), 2_000_000),
            // Before the request was sent, or after it was read: by a little, the clocks; by more, nonsense.
            (Some(1_000), 1_000),
            (Some(0), 1_000),
            (Some(3_000_000 + apart), 3_000_000),
            (Some(3_000_001 + apart), 3_000_000),
            (Some(u64::MAX), 3_000_000),
            (None, 3_000_000),
        ] {
            let (at, _) = read(&mut meter(), 3_000_000, arrived, &[true]);
            assert_eq!(at, Nanos(stamp), "{arrived:?}");
        }
        let mut meter = meter();
        read(&mut meter, 3_000_000, Some(2_500_000), &[true]);
        let (at, heard) = read(&mut meter, 4_000_000, Some(2_400_000), &[true]);
        assert_eq!(
            (at, heard),
            (Nanos(4_000_000), Heard::default()),
            "before the event that came before it"
        );
        assert_eq!(meter.stamped(), (1, 1));
    }

    proptest! {
        /// Whatever the kernel says, stamps never go back, and lie between the request and the read.
        #[test]
        fn stamps_are_sorted(reads in prop::collection::vec((0_u64..50_000, prop::option::of(0_u64..400_000)), 1..20)) {
            let mut meter = meter();
            let (mut at, mut before) = (1_000, Nanos(1_000));
            for (later, arrived) in reads {
                at += later;
                let (stamp, heard) = read(&mut meter, at, arrived, &[true]);
                prop_assert!(before <= stamp && stamp <= Nanos(at), "{before} {stamp} {at}");
                prop_assert_eq!(heard.late.unwrap_or(Nanos(at) - stamp), Nanos(at) - stamp);
                before = stamp;
            }
        }
    }
}
