//! Server-sent events, incrementally: the event stream format of the WHATWG HTML standard, section 9.2.6.
//!
//! Any split of the bytes gives the same events. An event whose data is one line within one read is handed on without
//! a copy; memory is bounded by the limits whatever the peer sends. It knows no socket, no clock and no JSON: the
//! clients of streaming model APIs (chat completions and their like) stand on it, and stamp their own times.
//!
//! Bytes are not decoded: line ends and field names are ASCII, so that a character split over two reads needs no
//! care, and whoever reads the data decides what invalid UTF-8 means.

use memchr::{memchr, memchr2};
use thiserror::Error;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The type of an event that names none.
const MESSAGE: &[u8] = b"message";

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Value of the last `event` field, else `message`.
    pub kind: &'a [u8],
    /// Values of the `data` fields, joined by line feeds.
    pub data: &'a [u8],
    /// The last event id so far, which lasts until a later event changes it; empty when there is none.
    pub id: &'a [u8],
}

/// Why a stream is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SseError {
    /// A line passed the limit.
    #[error("a line of the event stream is longer than {bytes_max} bytes")]
    LineTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The data of one event passed the limit.
    #[error("an event of the stream holds more than {bytes_max} bytes of data")]
    EventTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The stream ended within an event, which the standard throws away.
    #[error("the event stream ended within an event: the empty line after it is missing")]
    Incomplete,
}

/// Most bytes that a decoder takes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseLimits {
    /// Of one line, without its end.
    pub line_bytes_max: usize,
    /// Of the data of one event.
    pub event_bytes_max: usize,
}

impl Default for SseLimits {
    /// 1 MiB a line, 4 MiB an event.
    fn default() -> Self {
        Self {
            line_bytes_max: 1 << 20,
            event_bytes_max: 4 << 20,
        }
    }
}

/// Reads one event stream after another. Reusable.
#[derive(Clone, Debug, Default)]
pub struct SseDecoder {
    limits: SseLimits,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    /// Data of the event under way, as far as it had to be copied.
    data: Vec<u8>,
    /// Whether the event under way has data; an empty line of it counts.
    has_data: bool,
    kind: Vec<u8>,
    id: Vec<u8>,
    /// Whether the event under way has any field.
    begun: bool,
    /// Whether a line has ended; before it, a byte order mark may stand.
    past_first_line: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_cr: bool,
    retry_ms: Option<u64>,
    comments: u64,
    failed: Option<SseError>,
}

/// Parts of the event under way that still lie in the bytes being fed.
#[derive(Default)]
struct Lent<'a> {
    data: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl SseDecoder {
    /// A decoder with these limits.
    pub fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Prepares for another stream, and forgets everything of the last one.
    pub fn reset(&mut self) {
        self.held.clear();
        self.data.clear();
        self.kind.clear();
        self.id.clear();
        *self = Self {
            limits: self.limits,
            held: std::mem::take(&mut self.held),
            data: std::mem::take(&mut self.data),
            kind: std::mem::take(&mut self.kind),
            id: std::mem::take(&mut self.id),
            ..Self::default()
        };
    }

    /// Takes bytes as they come and hands on each event that they complete. After an error every call returns it.
    pub fn feed(&mut self, bytes: &[u8], event: &mut impl FnMut(Event<'_>)) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.take(bytes, event);
        self.failed = result.err();
        result
    }

    /// The stream has ended. An event without the empty line after it is incomplete, and was not handed on.
    pub fn finish(&self) -> Result<(), SseError> {
        let rest = self.past_bom(&self.held);
        let unfinished = !rest.is_empty() && !rest.starts_with(b":");
        match self.failed {
            Some(error) => Err(error),
            None if self.begun || unfinished => Err(SseError::Incomplete),
            None => Ok(()),
        }
    }

    /// The reconnection time that the stream asked for last, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Complete comment lines so far: many servers send them to keep a connection alive.
    pub fn comments(&self) -> u64 {
        self.comments
    }

    /// Bytes held between two calls: never more than three lines (one begun, the type, the id) and one event's data.
    pub fn held_bytes(&self) -> usize {
        self.held.len() + self.data.len() + self.kind.len() + self.id.len()
    }

    fn take(&mut self, bytes: &[u8], event: &mut impl FnMut(Event<'_>)) -> Result<(), SseError> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let mut lent = Lent::default();
        while let Some(end) = memchr2(b'\r', b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = if rest[end] == b'\r' {
                self.after_cr = after.is_empty();
                after.strip_prefix(b"\n").unwrap_or(after)
            } else {
                after
            };
            if self.held.is_empty() {
                self.check_line(line.len())?;
                self.line(line, &mut lent, event)?;
            } else {
                self.check_line(self.held.len() + line.len())?;
                let mut whole = std::mem::take(&mut self.held);
                whole.extend_from_slice(line);
                // The line does not live in `bytes`, so what it lends is kept at once.
                let mut briefly = Lent {
                    data: lent.data.take(),
                    kind: lent.kind.take(),
                };
                let result = self.line(&whole, &mut briefly, event);
                self.keep(&briefly);
                whole.clear();
                self.held = whole;
                result?;
            }
        }
        self.keep(&lent);
        self.check_line(self.held.len() + rest.len())?;
        self.held.extend_from_slice(rest);
        Ok(())
    }

    fn check_line(&self, bytes: usize) -> Result<(), SseError> {
        let bytes_max = self.limits.line_bytes_max;
        if bytes > bytes_max {
            return Err(SseError::LineTooLong { bytes_max });
        }
        Ok(())
    }

    /// Copies what would be gone when the bytes are.
    fn keep(&mut self, lent: &Lent<'_>) {
        if let Some(data) = lent.data {
            self.data.extend_from_slice(data);
        }
        if let Some(kind) = lent.kind {
            self.kind.clear();
            self.kind.extend_from_slice(kind);
        }
    }

    fn past_bom<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.past_first_line {
            return line;
        }
        line.strip_prefix(BOM).unwrap_or(line)
    }

    /// One complete line, without its end.
    fn line<'a>(
        &mut self,
        line: &'a [u8],
        lent: &mut Lent<'a>,
        event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), SseError> {
        let line = self.past_bom(line);
        self.past_first_line = true;
        let (name, value) = match memchr(b':', line) {
            None if line.is_empty() => {
                self.dispatch(lent, event);
                return Ok(());
            }
            None => (line, &line[line.len()..]),
            Some(0) => {
                self.comments += 1;
                return Ok(());
            }
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
        };
        self.begun = true;
        match name {
            b"data" => return self.add_data(value, lent),
            b"event" => lent.kind = Some(value),
            b"id" if memchr(0, value).is_none() => {
                self.id.clear();
                self.id.extend_from_slice(value);
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = Some(value.iter().fold(0_u64, |ms, digit| {
                    ms.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_data<'a>(&mut self, value: &'a [u8], lent: &mut Lent<'a>) -> Result<(), SseError> {
        let before = lent.data.map_or(self.data.len(), <[u8]>::len);
        let bytes_max = self.limits.event_bytes_max;
        if before + usize::from(self.has_data) + value.len() > bytes_max {
            return Err(SseError::EventTooLarge { bytes_max });
        }
        if !self.has_data {
            self.has_data = true;
            lent.data = Some(value);
            return Ok(());
        }
        if let Some(first) = lent.data.take() {
            self.data.extend_from_slice(first);
        }
        self.data.push(b'\n');
        self.data.extend_from_slice(value);
        Ok(())
    }

    /// An empty line: the event is complete. One without data is none.
    fn dispatch(&mut self, lent: &mut Lent<'_>, event: &mut impl FnMut(Event<'_>)) {
        let Lent { data, kind } = std::mem::take(lent);
        if self.has_data {
            let kind = kind.unwrap_or(&self.kind);
            event(Event {
                kind: if kind.is_empty() { MESSAGE } else { kind },
                data: data.unwrap_or(&self.data),
                id: &self.id,
            });
        }
        self.data.clear();
        self.kind.clear();
        (self.has_data, self.begun) = (false, false);
    }
}
