//! JSON values one on a line (NDJSON), incrementally, as events without a name.
//!
//! Any split of the bytes gives the same lines; a line within one read is handed on without a copy; memory is bounded by the
//! limit of a line. It knows no socket, no clock and no JSON.

use memchr::memchr;

use crate::sse::{Event, SseError, SseLimits};

/// Reads one body after another. Reusable.
#[derive(Clone, Debug, Default)]
pub struct LineDecoder {
    limits: SseLimits,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    failed: Option<SseError>,
}

impl LineDecoder {
    /// A decoder with these limits, of which that of a line counts.
    pub fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Prepares for another body, and forgets everything of the last one.
    pub fn reset(&mut self) {
        self.held.clear();
        self.failed = None;
    }

    /// Takes bytes as they come and hands on each line that they complete; empty lines mean nothing. After an error every call
    /// returns it.
    pub fn feed(&mut self, bytes: &[u8], line: &mut impl FnMut(Event<'_>)) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (part, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            self.check(part.len())?;
            if self.held.is_empty() {
                hand_on(part, line);
            } else {
                self.held.extend_from_slice(part);
                hand_on(&self.held, line);
                self.held.clear();
            }
        }
        self.check(rest.len())?;
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// The body has ended: hands on a last line that no line feed follows.
    pub fn last(&mut self, line: &mut impl FnMut(Event<'_>)) {
        if self.failed.is_none() {
            hand_on(&self.held, line);
        }
        self.held.clear();
    }

    fn check(&mut self, more: usize) -> Result<(), SseError> {
        let bytes_max = self.limits.line_bytes_max;
        if self.held.len() + more > bytes_max {
            self.failed = Some(SseError::LineTooLong { bytes_max });
            return Err(SseError::LineTooLong { bytes_max });
        }
        Ok(())
    }
}

fn hand_on(bytes: &[u8], line: &mut impl FnMut(Event<'_>)) {
    let data = bytes.trim_ascii();
    if !data.is_empty() {
        line(Event {
            kind: b"message",
            data,
            id: b"",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::LineDecoder;
    use crate::sse::{SseError, SseLimits};

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = LineDecoder::default();
        let mut found = Vec::new();
        let mut keep = |event: crate::sse::Event<'_>| {
            found.push(String::from_utf8_lossy(event.data).into_owned());
        };
        for piece in pieces {
            decoder.feed(piece, &mut keep).unwrap();
        }
        decoder.last(&mut keep);
        found
    }

    #[test]
    fn any_split_gives_the_same_lines() {
        let body = b"{\"a\": 1}\r\n\n{\"b\": \"\\n\"}\n{\"c\": 3}";
        let whole = lines(&[body]);
        assert_eq!(whole, ["{\"a\": 1}", "{\"b\": \"\\n\"}", "{\"c\": 3}"]);
        for at in 0..body.len() {
            assert_eq!(lines(&[&body[..at], &body[at..]]), whole, "{at}");
        }
        let single: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(lines(&single), whole);
    }

    #[test]
    fn a_line_is_bounded() {
        let mut decoder = LineDecoder::new(SseLimits {
            line_bytes_max: 8,
            ..SseLimits::default()
        });
        let wrong = Err(SseError::LineTooLong { bytes_max: 8 });
        assert_eq!(decoder.feed(b"12345678\n12345", &mut |_| {}), Ok(()));
        assert_eq!(decoder.feed(b"6789", &mut |_| {}), wrong);
        assert_eq!(decoder.feed(b"\n", &mut |_| {}), wrong);
        decoder.reset();
        assert_eq!(decoder.feed(b"1\n", &mut |_| {}), Ok(()));
    }
}
