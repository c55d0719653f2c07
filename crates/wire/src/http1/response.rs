//! An incremental reader of responses: any split of the bytes gives the same result.

use super::chunked::Chunks;
use super::head::{self, Framing, Head, HeadCache};

/// Why a response is no valid response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Not HTTP/1.x, for this reason.
    Malformed(&'static str),
    /// The head or the trailers passed the limit.
    HeadTooLarge,
    /// The body passed the limit, or declared that it would.
    BodyTooLarge,
    /// The connection closed before the end.
    Truncated,
    /// The connection closed before the first byte.
    Nothing,
}

/// What a call of [`ResponseParser::feed`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All bytes taken; the response goes on.
    More,
    /// The response is complete after so many of the bytes; bytes after them were not asked for.
    Done {
        /// Bytes taken.
        used: usize,
    },
}

/// Receives the parts of a response as they come.
pub trait Events {
    /// Whether the raw bytes of the head are wanted. A protocol that has no such bytes writes them only then.
    fn wants_head(&self) -> bool {
        true
    }
    /// The final head, with its raw bytes. Once per response, before any body.
    fn head(&mut self, head: &Head, raw: &[u8]);
    /// A piece of the decoded body.
    fn body(&mut self, bytes: &[u8]);
    /// Trailers after the body, as header lines of HTTP/1.1. Only HTTP/2 tells them.
    fn trailers(&mut self, _lines: &[u8]) {}
}

/// Largest buffer for split heads that a parser keeps for its next response.
const HELD_BYTES_MAX: usize = 1 << 10;

#[derive(Clone, Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunks),
    Close,
    Done,
}

/// Reads one response after another on one connection. Reusable; holds memory only for a head split over reads.
#[derive(Clone, Debug)]
pub struct ResponseParser {
    state: State,
    held: Vec<u8>,
    head_bytes: usize,
    body_bytes: u64,
    head: Option<Head>,
    no_body: bool,
    head_bytes_max: usize,
    body_bytes_max: u64,
}

impl ResponseParser {
    /// A parser with limits on the head (interim heads and trailers included) and on the body.
    pub fn new(head_bytes_max: u64, body_bytes_max: u64) -> Self {
        Self {
            state: State::Head,
            held: Vec::new(),
            head_bytes: 0,
            body_bytes: 0,
            head: None,
            no_body: false,
            head_bytes_max: usize::try_from(head_bytes_max).unwrap_or(usize::MAX),
            body_bytes_max,
        }
    }

    /// Prepares for the next response; `no_body` when it answers a HEAD request.
    pub fn reset(&mut self, no_body: bool) {
        self.state = State::Head;
        self.held.clear();
        self.head_bytes = 0;
        self.body_bytes = 0;
        self.head = None;
        self.no_body = no_body;
    }

    /// The final head, once it is complete.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Decoded body bytes so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Bytes held of a head that is split over reads; never more than one over the limit of a head.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// How many bytes of a body of declared length are still to come; 0 in every other state.
    pub fn awaited(&self) -> u64 {
        match self.state {
            State::Length(left) => left,
            _ => 0,
        }
    }

    /// Counts `n` bytes of the body that were thrown away unseen: no more than [`ResponseParser::awaited`].
    pub fn skip(&mut self, n: u64) -> Fed {
        if let State::Length(left) = &mut self.state {
            let n = n.min(*left);
            *left -= n;
            self.body_bytes += n;
            if *left == 0 {
                self.state = State::Done;
                return Fed::Done { used: 0 };
            }
        }
        Fed::More
    }

    /// Takes bytes as they come from the connection.
    pub fn feed(
        &mut self,
        input: &[u8],
        cache: &mut HeadCache,
        events: &mut impl Events,
    ) -> Result<Fed, Broken> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &mut self.state {
                State::Head => match self.feed_head(rest, cache, events)? {
                    Some(n) => used += n,
                    None => return Ok(Fed::More),
                },
                State::Length(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= n as u64;
                    let done = *left == 0;
                    self.body_bytes += n as u64;
                    if n > 0 {
                        events.body(&rest[..n]);
                    }
                    used += n;
                    if !done {
                        return Ok(Fed::More);
                    }
                    self.state = State::Done;
                }
                State::Chunked(chunks) => {
                    let (n, body) = chunks.take(rest)?;
                    let done = chunks.is_done();
                    self.bounded_body(body, events)?;
                    used += n;
                    if done {
                        self.state = State::Done;
                    } else if n == 0 {
                        return Ok(Fed::More);
                    }
                }
                State::Close => {
                    self.bounded_body(rest, events)?;
                    return Ok(Fed::More);
                }
                State::Done => return Ok(Fed::Done { used }),
            }
        }
    }

    /// Hands on body bytes whose number nobody declared, up to the limit.
    fn bounded_body(&mut self, bytes: &[u8], events: &mut impl Events) -> Result<(), Broken> {
        let room = self.body_bytes_max - self.body_bytes;
        let n = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.body_bytes += n as u64;
        if n > 0 {
            events.body(&bytes[..n]);
        }
        if n < bytes.len() {
            return Err(Broken::BodyTooLarge);
        }
        Ok(())
    }

    /// The peer closed its side: complete, or how it is not.
    pub fn close(&mut self) -> Result<(), Broken> {
        match self.state {
            State::Close | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            State::Head if self.held.is_empty() && self.head_bytes == 0 => Err(Broken::Nothing),
            State::Head | State::Length(_) | State::Chunked(_) => Err(Broken::Truncated),
        }
    }

    /// Looks for the end of a head; returns the bytes of `input` that belong to it, or `None` for all.
    fn feed_head(
        &mut self,
        input: &[u8],
        cache: &mut HeadCache,
        events: &mut impl Events,
    ) -> Result<Option<usize>, Broken> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.held.is_empty() {
            if let Some((head, n)) = cache.find(input, self.no_body) {
                self.count_head(n)?;
                self.begin(head, &input[..n], events)?;
                return Ok(Some(n));
            }
            return match end_of_head(input, 0) {
                Some(n) => self.finish_head(&input[..n], cache, events).map(|()| Some(n)),
                None => self.hold(input).map(|()| None),
            };
        }
        let before = self.held.len();
        let mut held = std::mem::take(&mut self.held);
        // No more than the limit is ever copied, whatever arrives at once.
        let room = (self.head_bytes_max + 1).saturating_sub(before).min(input.len());
        held.extend_from_slice(&input[..room]);
        let Some(n) = end_of_head(&held, before.saturating_sub(3)) else {
            self.held = held;
            return self.check_held().map(|()| None);
        };
        let result = self.finish_head(&held[..n], cache, events);
        // A long head must not stay with an idle connection.
        if held.capacity() <= HELD_BYTES_MAX {
            held.clear();
            self.held = held;
        }
        result.map(|()| Some(n - before))
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), Broken> {
        let room = (self.head_bytes_max + 1).min(input.len());
        self.held.extend_from_slice(&input[..room]);
        self.check_held()
    }

    /// What is already wrong with an incomplete head.
    fn check_held(&self) -> Result<(), Broken> {
        let start = b"HTTP/1.";
        let n = start.len().min(self.held.len());
        if self.held[..n] != start[..n] {
            return Err(Broken::Malformed("it does not start with HTTP/1."));
        }
        if self.head_bytes + self.held.len() > self.head_bytes_max {
            return Err(Broken::HeadTooLarge);
        }
        Ok(())
    }

    fn finish_head(
        &mut self,
        raw: &[u8],
        cache: &mut HeadCache,
        events: &mut impl Events,
    ) -> Result<(), Broken> {
        if !raw.starts_with(b"HTTP/1.") {
            return Err(Broken::Malformed("it does not start with HTTP/1."));
        }
        self.count_head(raw.len())?;
        let head = head::parse(raw, self.no_body)?;
        if head.status < 200 && head.status != 101 {
            return Ok(());
        }
        cache.keep(raw, head, self.no_body);
        self.begin(head, raw, events)
    }

    fn count_head(&mut self, bytes: usize) -> Result<(), Broken> {
        self.head_bytes += bytes;
        if self.head_bytes > self.head_bytes_max {
            return Err(Broken::HeadTooLarge);
        }
        Ok(())
    }

    fn begin(&mut self, head: Head, raw: &[u8], events: &mut impl Events) -> Result<(), Broken> {
        self.head = Some(head);
        events.head(&head, raw);
        self.state = match head.framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) if n > self.body_bytes_max => return Err(Broken::BodyTooLarge),
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Chunked(Chunks::new(self.head_bytes_max)),
            Framing::Close => State::Close,
        };
        Ok(())
    }
}

/// The length of the head that ends in an empty line, looking from `from` on.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(i) = memchr::memchr(b'\n', &bytes[at..]) {
        let newline = at + i;
        match bytes[newline + 1..] {
            [b'\n', ..] => return Some(newline + 2),
            [b'\r', b'\n', ..] => return Some(newline + 3),
            _ => at = newline + 1,
        }
    }
    None
}
