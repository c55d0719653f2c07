//! A request with holes: bytes that stay and values that are filled in, escaped by their place. Does no I/O.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prony_model::{Body, Header, Piece, Request, Slot, pieces};

use crate::choice::mix;
use crate::feed::{self, Feed, Who};

/// What a value may keep unencoded in a path or query (RFC 3986, unreserved).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Start of the text that stands for a hole while the rest is rendered.
const MARK: &str = "PronyHole0x";

/// Where a value stands, and so how it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Percent-encoded.
    Path,
    /// As it is in a path, so without blanks and control characters.
    PathRaw,
    /// As it is, so without line breaks.
    Header,
    /// Inside a string of a JSON body.
    Json,
    /// Percent-encoded, in a form.
    Form,
    /// As it is.
    Raw,
}

impl Place {
    /// Whether a value can stand there: it must not begin another header or request.
    pub(crate) fn fits(self, value: &str) -> bool {
        match self {
            Self::PathRaw => value.bytes().all(|b| b > b' ' && b != 0x7f),
            Self::Header => value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)),
            _ => true,
        }
    }

    fn write(self, value: &str, out: &mut Vec<u8>) {
        match self {
            Self::Path | Self::Form => {
                for part in utf8_percent_encode(value, IN_PATH) {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Self::Json => {
                let plain = |b: u8| b >= b' ' && b != b'"' && b != b'\\';
                if value.bytes().all(plain) {
                    out.extend_from_slice(value.as_bytes());
                } else {
                    let quoted = serde_json::Value::from(value).to_string();
                    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
                }
            }
            Self::PathRaw | Self::Header | Self::Raw => out.extend_from_slice(value.as_bytes()),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Seq,
    User,
    RandomInt(i64, i64),
    RandomHex(u16),
    RandomUuid,
    /// Index of a carried value.
    Carry(usize),
    /// Feed, and column among those used of it.
    Feed(usize, usize),
}

/// One hole.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    pub(crate) origin: Origin,
    pub(crate) place: Place,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Hole(usize),
    /// The digits of the body's length.
    Length,
}

/// A request with its holes found, not yet rendered.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The request with a mark at each hole.
    pub(crate) marked: Request,
    holes: Vec<Hole>,
    body_has_holes: bool,
}

/// A text with holes, filled in without escapes.
#[derive(Clone, Debug)]
pub(crate) struct Text(Vec<TextPart>);

#[derive(Clone, Debug)]
enum TextPart {
    Text(String),
    Hole(Hole),
}

impl Text {
    /// Finds the holes of a text. A value that is drawn anew wherever it stands cannot be known twice, so it is refused.
    pub(crate) fn new(
        text: &str,
        mut origin: impl FnMut(&Slot) -> Result<Origin, String>,
    ) -> Result<Self, String> {
        let part = |piece: Piece<'_>| match piece {
            Piece::Text(text) => Ok(TextPart::Text(text.to_owned())),
            Piece::Hole(placeholder) => match origin(&placeholder.slot)? {
                Origin::RandomInt(..) | Origin::RandomHex(_) | Origin::RandomUuid => Err(format!(
                    "`{text}` draws another value than the request: take it from a generated feed"
                )),
                origin => Ok(TextPart::Hole(Hole {
                    origin,
                    place: Place::Raw,
                    seed: 0,
                })),
            },
        };
        pieces(text)?
            .into_iter()
            .map(part)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The text for one arrival.
    pub(crate) fn fill(&self, who: Who, feeds: &[Feed], carried: &[Option<Box<str>>]) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                TextPart::Text(text) => out.push_str(text),
                TextPart::Hole(hole) => hole.write(who, feeds, carried, &mut out),
            }
        }
        out
    }
}

/// A request with holes, rendered once.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    holes: Vec<Hole>,
}

impl Draft {
    /// Finds the holes of a request; `None` when there are none. `origin` says where a slot's value comes from, or why
    /// it cannot be. `seed` is the request's own.
    pub(crate) fn new(
        request: &Request,
        seed: u64,
        mut origin: impl FnMut(&Slot) -> Result<Origin, String>,
    ) -> Result<Option<Self>, String> {
        let mut holes = Vec::new();
        let mut mark = |text: &str, place: Place| -> Result<String, String> {
            if text.contains(MARK) {
                return Err(format!("`{MARK}` in a request is reserved"));
            }
            let mut out = String::with_capacity(text.len());
            for piece in pieces(text)? {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Hole(placeholder) => {
                        let place = match (place, placeholder.raw) {
                            (place, false) => place,
                            (Place::Path, true) => Place::PathRaw,
                            (Place::Header, true) => Place::Header,
                            _ => Place::Raw,
                        };
                        let _ = write!(out, "{MARK}{:04x}", holes.len());
                        holes.push(Hole {
                            origin: origin(&placeholder.slot)?,
                            place,
                            seed: mix(seed, holes.len() as u64),
                        });
                    }
                }
            }
            Ok(out)
        };
        let path = mark(&request.path, Place::Path)?;
        let headers = request
            .headers
            .iter()
            .map(|h| Ok(Header::new(&h.name, mark(&h.value, Place::Header)?)))
            .collect::<Result<Vec<_>, String>>()?;
        let kind = request
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case("content-type"))
            .map_or_else(String::new, |h| h.value.to_ascii_lowercase());
        let place = if kind.contains("json") {
            Place::Json
        } else if kind.contains("x-www-form-urlencoded") {
            Place::Form
        } else {
            Place::Raw
        };
        let (body, in_body) = match &request.body {
            Body::Text(text) => {
                let body = mark(text, place)?;
                let in_body = body != *text;
                (Body::Text(body), in_body)
            }
            other => (other.clone(), false),
        };
        let marked = Request {
            method: request.method.clone(),
            path,
            headers,
            body,
        };
        Ok((!holes.is_empty()).then_some(Self {
            marked,
            holes,
            body_has_holes: in_body,
        }))
    }

    pub(crate) fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Whether the body is another for every arrival.
    pub(crate) fn body_has_holes(&self) -> bool {
        self.body_has_holes
    }

    /// The template, from the marked request as bytes.
    pub(crate) fn finish(&self, rendered: &[u8]) -> Template {
        let head = rendered
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(rendered.len(), |at| at + 2);
        // The length that was rendered is that of the marks.
        let length = self
            .body_has_holes
            .then(|| length_digits(&rendered[..head]))
            .flatten();
        let mut parts = Vec::new();
        match length {
            Some(digits) => {
                split(&rendered[..digits.start], &mut parts);
                parts.push(Part::Length);
                split(&rendered[digits.end..], &mut parts);
            }
            None => split(rendered, &mut parts),
        }
        Template {
            parts,
            holes: self.holes.clone(),
        }
    }
}

/// The digits of the content-length in a head.
fn length_digits(head: &[u8]) -> Option<std::ops::Range<usize>> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let found = head
        .windows(NAME.len())
        .position(|w| w.eq_ignore_ascii_case(NAME))?;
    let start = found + NAME.len();
    let digits = head[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    Some(start..start + digits)
}

fn split(mut bytes: &[u8], parts: &mut Vec<Part>) {
    let mark = MARK.as_bytes();
    while let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) {
        let digits = bytes.get(at + mark.len()..at + mark.len() + 4);
        let hole = digits
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| usize::from_str_radix(d, 16).ok());
        let Some(hole) = hole else { break };
        if at > 0 {
            parts.push(Part::Bytes(bytes[..at].to_vec()));
        }
        parts.push(Part::Hole(hole));
        bytes = &bytes[at + mark.len() + 4..];
    }
    if !bytes.is_empty() {
        parts.push(Part::Bytes(bytes.to_vec()));
    }
}

impl Template {
    /// The request for one arrival.
    pub(crate) fn fill(&self, who: Who, feeds: &[Feed], carried: &[Option<Box<str>>], out: &mut Vec<u8>) {
        out.clear();
        let mut value = String::new();
        let mut length_at = None;
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Length => length_at = Some(out.len()),
                Part::Hole(hole) => {
                    let hole = &self.holes[*hole];
                    value.clear();
                    hole.write(who, feeds, carried, &mut value);
                    hole.place.write(&value, out);
                }
            }
        }
        if let Some(at) = length_at {
            let head = out[at..].windows(4).position(|w| w == b"\r\n\r\n");
            let body = head.map_or(0, |head| out.len() - at - head - 4);
            out.splice(at..at, body.to_string().into_bytes());
        }
    }
}

impl Hole {
    pub(crate) fn write(&self, who: Who, feeds: &[Feed], carried: &[Option<Box<str>>], out: &mut String) {
        // Writing to a String cannot fail.
        match &self.origin {
            Origin::Seq => drop(write!(out, "{}", who.seq)),
            Origin::User => drop(write!(out, "{}", who.user)),
            Origin::RandomInt(from, to) => feed::int(mix(self.seed, who.seq), *from, *to, out),
            Origin::RandomUuid => feed::uuid(self.seed, who.seq, out),
            Origin::RandomHex(digits) => {
                for k in 0..*digits {
                    let word = mix(self.seed ^ mix(u64::from(k / 16), 0), who.seq);
                    let _ = write!(out, "{:x}", (word >> (4 * (k % 16))) & 15);
                }
            }
            // A step that brought nothing has ended the flow.
            Origin::Carry(k) => out.push_str(carried.get(*k).and_then(Option::as_deref).unwrap_or_default()),
            Origin::Feed(feed, column) => feeds[*feed].write(*column, who, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Body, Header, Request, Slot};
    use prony_wire::http1::{RequestParts, render};

    use super::{Draft, Origin, Place};
    use crate::feed::Who;

    fn filled(request: &Request, value: &str) -> String {
        let draft = Draft::new(request, 3, |slot| match slot {
            Slot::Carry(_) => Ok(Origin::Carry(0)),
            Slot::Seq => Ok(Origin::Seq),
            other => Err(format!("{other:?}")),
        })
        .unwrap()
        .unwrap();
        let body = draft.marked.body.to_bytes();
        let bytes = render(&RequestParts {
            method: &draft.marked.method,
            target: &draft.marked.path,
            authority: "h",
            common: &[],
            headers: &draft.marked.headers,
            body: body.as_deref(),
            keep_alive: true,
        })
        .unwrap();
        let mut out = Vec::new();
        let who = Who {
            seq: 12,
            turn: 0,
            user: 0,
        };
        draft
            .finish(&bytes)
            .fill(who, &[], &[Some(value.into())], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_escaped_by_place_and_the_length_is_right() {
        let json = Request {
            headers: vec![
                Header::new("content-type", "application/json"),
                Header::new("x", "<{{carry.v}}>"),
            ],
            body: Body::text("{\"a\":\"{{carry.v}}\",\"n\":{{seq}},\"b\":{{carry.v|raw}}}"),
            method: "POST".into(),
            path: "/p/{{carry.v}}?q={{seq}}".into(),
        };
        let text = filled(&json, "a \"é\"/\\");
        assert!(
            text.starts_with("POST /p/a%20%22%C3%A9%22%2F%5C?q=12 HTTP/1.1\r\n"),
            "{text}"
        );
        assert!(text.contains("x: <a \"é\"/\\>\r\n"), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"a\":\"a \\\"é\\\"/\\\\\",\"n\":12,\"b\":a \"é\"/\\}");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len()))
                || head.ends_with(&format!("content-length: {}", body.len())),
            "{head}"
        );
        let form = Request {
            headers: vec![Header::new("Content-Type", "application/x-www-form-urlencoded")],
            body: Body::text("a={{carry.v}}&b={{seq}}"),
            ..json.clone()
        };
        assert!(filled(&form, "x y&z").ends_with("\r\n\r\na=x%20y%26z&b=12"));
        let plain = Request {
            headers: Vec::new(),
            body: Body::text("{{carry.v}}"),
            ..json
        };
        assert!(filled(&plain, "").ends_with("content-length: 0\r\n\r\n"));
    }

    #[test]
    fn what_would_begin_another_header_does_not_fit() {
        assert!(
            Place::Header.fits("plain é\t") && !Place::Header.fits("a\r\nb: c") && !Place::Header.fits("a\n")
        );
        assert!(Place::PathRaw.fits("/a%20") && !Place::PathRaw.fits("a b"));
        assert!(Place::Json.fits("a\nb") && Place::Path.fits("a\nb"));
    }

    #[test]
    fn a_request_without_holes_has_no_template() {
        let none = Draft::new(&Request::get("/{{}}"), 1, |_| Ok(Origin::Seq)).unwrap();
        assert!(none.is_none());
        assert!(Draft::new(&Request::get("/{{a.b}}"), 1, |_| Err("no".into())).is_err());
    }
}
