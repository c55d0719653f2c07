//! gRPC as a client of unary calls speaks it over HTTP/2: a message in its frame, and what the end of an answer says of the
//! call. It knows no service, and nothing of what a message holds.
//!
//! Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and `google.rpc.Code`.

use percent_encoding::percent_decode;

/// How the content type of every request and answer starts.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Headers of every call: its content type, that trailers are understood, and that messages are not to be compressed.
pub const HEADERS: [(&str, &str); 3] = [
    ("content-type", CONTENT_TYPE),
    ("te", "trailers"),
    ("grpc-accept-encoding", "identity"),
];

/// Before a message: whether it is compressed, one byte, and its length in bytes, four bytes, big-endian.
const PREFIX_BYTES: usize = 5;

/// Longest part of a server's own words that is repeated, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Names of the codes, in their order.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What the end of an answer says of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code; 0 is OK.
    pub code: u32,
    /// The server's own words, decoded and bounded.
    pub message: String,
}

impl Status {
    /// From the values of `grpc-status` and `grpc-message`. `None` where the status is no number.
    pub fn parse(status: &[u8], message: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(status).ok()?;
        let code = digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())??;
        let message = percent_decode(message).decode_utf8_lossy();
        Some(Self {
            code,
            message: message.chars().take(SAID_CHARS_MAX).collect(),
        })
    }

    /// The name of the code, as documents and libraries write it.
    pub fn name(&self) -> String {
        let known = NAMES.get(self.code as usize);
        known.map_or_else(|| format!("code {}", self.code), |name| (*name).to_owned())
    }
}

/// Why a body is not exactly one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing came.
    #[error("the answer holds no message")]
    Empty,
    /// It ends before its message does.
    #[error("the message has {got} of its {declared} bytes")]
    Short {
        /// Bytes that the frame declares; 0 where not even its head is whole.
        declared: u32,
        /// Bytes that came.
        got: usize,
    },
    /// The message is compressed, which the request did not allow.
    #[error("the message is compressed, and the request allowed no compression")]
    Compressed,
    /// More came than one message.
    #[error("{0} bytes follow the message of a call that has one answer")]
    Trailing(usize),
}

/// A message in its frame, as the body of a request.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// The one message of a body.
pub fn message(body: &[u8]) -> Result<&[u8], FrameError> {
    if body.is_empty() {
        return Err(FrameError::Empty);
    }
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(FrameError::Short {
            declared: 0,
            got: body.len(),
        });
    };
    let [flag, l1, l2, l3, l4] = *prefix;
    if flag != 0 {
        return Err(FrameError::Compressed);
    }
    let declared = u32::from_be_bytes([l1, l2, l3, l4]);
    match rest.split_at_checked(declared as usize) {
        None => Err(FrameError::Short {
            declared,
            got: rest.len(),
        }),
        Some((message, [])) => Ok(message),
        Some((_, more)) => Err(FrameError::Trailing(more.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameError, Status, frame, message};

    #[test]
    fn a_message_comes_out_of_its_frame_as_it_went_in() {
        for text in [&b""[..], b"a", &[0; 300]] {
            assert_eq!(message(&frame(text)), Ok(text));
        }
        assert_eq!(frame(b"ab"), [0, 0, 0, 0, 2, b'a', b'b']);
    }

    #[test]
    fn what_is_not_one_whole_message_is_named() {
        assert_eq!(message(b""), Err(FrameError::Empty));
        assert_eq!(
            message(&[0, 0, 0]),
            Err(FrameError::Short { declared: 0, got: 3 })
        );
        assert_eq!(message(&[1, 0, 0, 0, 0]), Err(FrameError::Compressed));
        let whole = frame(b"abc");
        assert_eq!(
            message(&whole[..7]),
            Err(FrameError::Short { declared: 3, got: 2 })
        );
        assert_eq!(
            message(&[0, 0xff, 0xff, 0xff, 0xff, 1]),
            Err(FrameError::Short {
                declared: u32::MAX,
                got: 1
            })
        );
        assert_eq!(
            message(&[&whole[..], &whole[..]].concat()),
            Err(FrameError::Trailing(8))
        );
    }

    #[test]
    fn a_status_has_its_name_and_its_words() {
        let status = Status::parse(b"14", b"queue is full: 100%25 %E2%9C%93").unwrap();
        assert_eq!(
            (status.name().as_str(), status.message.as_str()),
            ("UNAVAILABLE", "queue is full: 100% \u{2713}")
        );
        assert_eq!(Status::parse(b"0", b"").unwrap().name(), "OK");
        assert_eq!(Status::parse(b"99", b"%ff").unwrap().name(), "code 99");
        for wrong in [&b""[..], b"-1", b"+1", b"1 ", b"99999999999", b"\xff"] {
            assert_eq!(Status::parse(wrong, b""), None, "{wrong:?}");
        }
        assert_eq!(Status::parse(b"13", &[b'x'; 5000]).unwrap().message.len(), 200);
    }
}
