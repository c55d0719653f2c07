//! A response head: status, framing and the few headers that a client must act on.

use std::mem::MaybeUninit;

use super::Broken;

/// Most header lines of one head.
const LINES_MAX: usize = 256;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the peer closes.
    Close,
}

/// Part of a head's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// From `start` up to but not including `end`.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes in the head that the span was made for.
    pub fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// What a response head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again after the body.
    pub keep_alive: bool,
    /// Value of content-type.
    pub content_type: Option<Span>,
    /// Value of location.
    pub location: Option<Span>,
}

/// The last head of a worker. Servers say nearly the same thing again and again: a head that is equal byte for
/// byte to the last one needs no parsing.
#[derive(Clone, Debug, Default)]
pub struct HeadCache {
    raw: Vec<u8>,
    head: Option<Head>,
    no_body: bool,
}

impl HeadCache {
    /// Longest head worth remembering.
    const BYTES_MAX: usize = 2048;

    pub(super) fn find(&self, input: &[u8], no_body: bool) -> Option<(Head, usize)> {
        let head = self.head?;
        (self.no_body == no_body && input.starts_with(&self.raw)).then_some((head, self.raw.len()))
    }

    pub(super) fn keep(&mut self, raw: &[u8], head: Head, no_body: bool) {
        if raw.len() <= Self::BYTES_MAX {
            self.raw.clear();
            self.raw.extend_from_slice(raw);
            self.head = Some(head);
            self.no_body = no_body;
        }
    }
}

/// The header lines of a complete head, name and value as bytes; for those who keep a whole response.
pub fn header_lines(raw: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(raw) {
        Ok(_) => response
            .headers
            .iter()
            .map(|h| (h.name.to_owned(), h.value.to_vec()))
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// Parses a complete head. `no_body` is true for the answer to a HEAD request.
pub(super) fn parse(raw: &[u8], no_body: bool) -> Result<Head, Broken> {
    let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, raw, &mut lines) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Broken::Malformed("a response head without an end")),
        Err(e) => return Err(reason(e)),
    }
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(Broken::Malformed("a status code below 100"));
    }
    let mut seen = Seen::default();
    for line in response.headers.iter() {
        seen.take(line, raw)?;
    }
    if seen.length.is_some() && (seen.chunked || seen.other_coding) {
        // RFC 9112, section 6.3: the mark of request smuggling and response splitting.
        return Err(Broken::Malformed("both a transfer-encoding and a content-length"));
    }
    let framing = if no_body || status < 200 || status == 204 || status == 304 {
        Framing::None
    } else if seen.chunked {
        Framing::Chunked
    } else if seen.other_coding {
        Framing::Close
    } else {
        seen.length.map_or(Framing::Close, Framing::Length)
    };
    let by_default = response.version == Some(1);
    // RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings, so whoever says both may be wrong about either.
    let doubtful = !by_default && seen.chunked;
    let keep_alive = (by_default || seen.keep_alive)
        && !seen.close
        && !doubtful
        && framing != Framing::Close
        && status != 101;
    Ok(Head {
        status,
        framing,
        keep_alive,
        content_type: seen.content_type,
        location: seen.location,
    })
}

#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    other_coding: bool,
    close: bool,
    keep_alive: bool,
    content_type: Option<Span>,
    location: Option<Span>,
}

impl Seen {
    fn take(&mut self, line: &httparse::Header<'_>, raw: &[u8]) -> Result<(), Broken> {
        // The length decides first: most names differ from all of these.
        match line.name.len() {
            14 if line.name.eq_ignore_ascii_case("content-length") => {
                let digits = line.value.trim_ascii();
                let number =
                    (!digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit))
                        .then(|| digits.iter().fold(0_u64, |n, d| n * 10 + u64::from(d - b'0')))
                        .ok_or(Broken::Malformed("a content-length that is no number"))?;
                if self.length.replace(number).is_some() {
                    return Err(Broken::Malformed("more than one content-length"));
                }
            }
            17 if line.name.eq_ignore_ascii_case("transfer-encoding") => {
                for coding in line.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    if self.chunked {
                        return Err(Broken::Malformed("a transfer coding after chunked"));
                    }
                    if coding.eq_ignore_ascii_case(b"chunked") {
                        self.chunked = true;
                    } else if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
                        self.other_coding = true;
                    }
                }
            }
            10 if line.name.eq_ignore_ascii_case("connection") => {
                for token in line.value.split(|b| *b == b',') {
                    self.close |= token.trim_ascii().eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if line.name.eq_ignore_ascii_case("content-type") => self.content_type = span(raw, line.value),
            8 if line.name.eq_ignore_ascii_case("location") => self.location = span(raw, line.value),
            _ => {}
        }
        Ok(())
    }
}

/// Where `part`, a slice of `raw`, lies in it.
fn span(raw: &[u8], part: &[u8]) -> Option<Span> {
    let start = (part.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= raw.len()).then_some(Span {
        start: start as u32,
        end: end as u32,
    })
}

fn reason(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::TooManyHeaders => Broken::HeadTooLarge,
        httparse::Error::HeaderName => Broken::Malformed("a broken header name"),
        httparse::Error::HeaderValue => Broken::Malformed("a broken header value"),
        httparse::Error::NewLine => Broken::Malformed("a broken line end in the head"),
        httparse::Error::Status => Broken::Malformed("a broken status line"),
        httparse::Error::Token => Broken::Malformed("a forbidden character in the head"),
        httparse::Error::Version => Broken::Malformed("an HTTP version other than 1.0 or 1.1"),
    }
}
