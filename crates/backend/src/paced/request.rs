//! From the bytes of a connection to one request: its head through a parser, its body by the length it announces. It answers nothing.

use std::ops::Range;

use crate::stream_fault::FAULT_HEADER;

/// Largest head.
const HEAD_MAX: usize = 64 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 64;
/// Largest body.
pub(super) const BODY_MAX: usize = 8 * 1024 * 1024;
/// Longest request id and fault order that is taken up.
const TEXT_MAX: usize = 512;

/// One request; its body lies in the bytes it was read from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The method.
    pub(super) method: String,
    /// The path, without the query.
    pub(super) path: String,
    /// Where the body lies; its end is the end of the request.
    pub(super) body: Range<usize>,
    /// Whether the connection ends with the answer.
    pub(super) close: bool,
    /// The id its client gave it.
    pub(super) id: Option<String>,
    /// The faults it orders for its own answer.
    pub(super) faults: Option<String>,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Not a whole request yet; true where its client waits to be asked for the body.
    Partial(bool),
    /// A whole one.
    Whole(Request),
    /// None that can be answered: this status, and the connection is over.
    Refused(u16, &'static str),
}

/// Looks for a request at the beginning of the bytes.
pub(super) fn read(bytes: &[u8]) -> Read {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let start = match head.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_MAX => return Read::Partial(false),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Read::Refused(431, "the head is too large");
        }
        Err(_) => return Read::Refused(400, "this is no HTTP/1.1 request"),
    };
    if head.version != Some(1) {
        return Read::Refused(505, "HTTP/1.1 is spoken here");
    }
    let text = |name: &str| {
        let header = head
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    if text("transfer-encoding").is_some() {
        return Read::Refused(411, "announce the body's length with Content-Length");
    }
    let length = match text("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= BODY_MAX => length,
        Some(Ok(_)) => return Read::Refused(413, "the body is too large"),
        Some(Err(_)) => return Read::Refused(400, "Content-Length must be a number"),
    };
    if bytes.len() < start + length {
        let waits = text("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        return Read::Partial(waits && bytes.len() == start);
    }
    let path = head.path.unwrap_or("/");
    let short = |name| {
        text(name)
            .filter(|text| {
                (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            })
            .map(str::to_owned)
    };
    Read::Whole(Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.split_once('?').map_or(path, |(path, _)| path).to_owned(),
        body: start..start + length,
        close: text("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        id: short("x-request-id"),
        faults: short(FAULT_HEADER),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &[u8] =
        b"POST /v1/completions?x=1 HTTP/1.1\r\nContent-Length: 2\r\nX-Request-Id: a\r\n\r\n{}GET";

    #[test]
    fn a_request_ends_where_its_body_ends() {
        for cut in 0..POST.len() - 3 {
            assert_eq!(read(&POST[..cut]), Read::Partial(false), "{cut}");
        }
        let Read::Whole(request) = read(POST) else {
            panic!("a whole request")
        };
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.id.as_deref()
            ),
            ("POST", "/v1/completions", Some("a"))
        );
        assert_eq!(&POST[request.body], b"{}");
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let refused = |text: &str| match read(text.as_bytes()) {
            Read::Refused(status, _) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("nonsense\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.0\r\n\r\n"), 505);
        assert_eq!(
            refused("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"),
            411
        );
        assert_eq!(
            refused("POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n"),
            413
        );
        assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000))), 431);
        let waits = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(read(waits), Read::Partial(true));
    }
}
