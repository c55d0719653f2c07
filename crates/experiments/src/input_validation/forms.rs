//! Bad forms and bad bytes: a part that is missing, a file that is empty, of another kind or cut short. Pure; it must not know what
//! a target does with a file.

use prony_model::{Body, Request};

use super::case::{Class, Wanted};
use super::generate::List;
use crate::dzi::mix;
use crate::mutation::json_body;

/// What stands in a file whose name and type say something else.
const TEXT: &[u8] = b"This is a text, whatever the name of the file says.\n";
/// Bytes that no format begins with, and that are no UTF-8. Random ones follow.
const NO_FORMAT: [u8; 2] = [0x00, 0xff];
/// How many follow.
const RANDOM_BYTES: u64 = 1022;

/// One part of a form.
#[derive(Clone)]
struct Part {
    /// Its header lines as they stand.
    head: String,
    bytes: Vec<u8>,
}

/// A form that can be taken apart and put together again.
struct Form {
    boundary: String,
    parts: Vec<Part>,
}

/// Adds the bad bodies for an endpoint whose good request carries a form with parts, or a body that is no JSON.
pub(super) fn add(list: &mut List<'_>) {
    let good = &list.base.request;
    if let Some(form) = Form::of(good) {
        parts(list, &form);
    } else if is_opaque(good) {
        opaque(list);
    }
}

/// Whether a request carries a form with parts.
pub(super) fn is_form(request: &Request) -> bool {
    boundary(request).is_some()
}

/// Whether a request carries a body that is neither JSON nor a form with parts.
pub(super) fn is_opaque(request: &Request) -> bool {
    !request.body.is_empty() && json_body(request).is_none() && !is_form(request)
}

/// Each file, and each other part that the document asks for, left out; each file empty, of another kind and cut short.
fn parts(list: &mut List<'_>, form: &Form) {
    let schema = list.endpoint.body_schema.as_ref().map(|s| &s.0);
    let required: Vec<String> = schema
        .and_then(|s| s.get("required")?.as_array())
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let mut names: Vec<&str> = form.parts.iter().filter_map(Part::name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let first_file = form
            .parts
            .iter()
            .find(|part| part.name() == Some(name) && part.is_file());
        let is_required = required.iter().any(|wanted| wanted == name);
        if first_file.is_some() || is_required {
            let what = if first_file.is_some() { "file " } else { "" };
            let wanted = if is_required {
                Wanted::Refused
            } else {
                Wanted::Harmless
            };
            let without = form
                .parts
                .iter()
                .filter(|part| part.name() != Some(name))
                .cloned()
                .collect();
            let said = format!("a missing {what}`{name}`");
            let request = form.request(&list.base.request, without);
            list.add(Class::MissingField, name, said, wanted, Some(request));
        }
        if let Some(file) = first_file {
            files(list, form, name, file);
        }
    }
}

/// The bad files in place of those of that name.
fn files(list: &mut List<'_>, form: &Form, name: &str, good: &Part) {
    let told = good.parameter("filename").unwrap_or_default();
    let (wrong, kind) = if is_text(&good.bytes) {
        (garbage(), "bytes that are no text")
    } else {
        (TEXT.to_vec(), "a text")
    };
    let with = |change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut parts = form.parts.clone();
        for part in parts
            .iter_mut()
            .filter(|part| part.name() == Some(name) && part.is_file())
        {
            part.bytes = change(&part.bytes);
        }
        form.request(&list.base.request, parts)
    };
    let cases = [
        (
            Class::EmptyFile,
            format!("an empty file as `{name}`"),
            with(&|_| Vec::new()),
        ),
        (
            Class::WrongFile,
            format!("{kind} in the file `{told}` as `{name}`"),
            with(&|_| wrong.clone()),
        ),
        (
            Class::CutFile,
            format!("the first half of the file as `{name}`"),
            with(&half),
        ),
    ];
    for (class, said, request) in cases {
        list.add(class, name, said, Wanted::Harmless, Some(request));
    }
}

/// The bad bodies in place of one that is no JSON.
fn opaque(list: &mut List<'_>) {
    let good = list.base.request.body.to_bytes().unwrap_or_default();
    let mut cases = vec![
        (Class::EmptyBody, "an empty body", Body::text("")),
        (
            Class::WrongFile,
            "a body of bytes that mean nothing",
            Body::Bytes(garbage()),
        ),
    ];
    if !is_text(&good) {
        let cut = Body::Bytes(half(&good));
        cases.push((Class::CutFile, "the first half of the body", cut));
    }
    for (class, said, body) in cases {
        let request = Request {
            body,
            ..list.base.request.clone()
        };
        list.add(class, "", said, Wanted::Harmless, Some(request));
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

fn garbage() -> Vec<u8> {
    let random = (0..RANDOM_BYTES).map(|k| mix(k).to_be_bytes()[0]);
    NO_FORMAT.into_iter().chain(random).collect()
}

/// What separates the parts, where the content type is that of a form with parts.
fn boundary(request: &Request) -> Option<&str> {
    let declared = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-type"))?;
    let (kind, parameters) = declared.value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|boundary| !boundary.is_empty())
}

impl Form {
    /// The form that a request carries; `None` when it carries none, or one that is broken.
    fn of(request: &Request) -> Option<Self> {
        let boundary = boundary(request)?.to_owned();
        let body = request.body.to_bytes()?;
        let delimiter = format!("--{boundary}");
        let between = format!("\r\n{delimiter}");
        let mut rest = after(&body, delimiter.as_bytes())?.1;
        let mut parts = Vec::new();
        while !rest.starts_with(b"--") {
            let (head, from) = after(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
            let (bytes, next) = after(from, between.as_bytes())?;
            parts.push(Part {
                head: String::from_utf8_lossy(head).into_owned(),
                bytes: bytes.to_vec(),
            });
            rest = next;
        }
        Some(Self { boundary, parts })
    }

    /// The request with these parts.
    fn request(&self, good: &Request, parts: Vec<Part>) -> Request {
        let mut body = Vec::new();
        for part in parts {
            body.extend(format!("--{}\r\n{}\r\n\r\n", self.boundary, part.head).into_bytes());
            body.extend(part.bytes);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{}--\r\n", self.boundary).into_bytes());
        Request {
            body: Body::Bytes(body),
            ..good.clone()
        }
    }
}

impl Part {
    /// Name of its field.
    fn name(&self) -> Option<&str> {
        self.parameter("name")
    }

    fn is_file(&self) -> bool {
        self.parameter("filename").is_some()
    }

    /// A parameter of its disposition.
    fn parameter(&self, wanted: &str) -> Option<&str> {
        self.head.split([';', '\r', '\n']).find_map(|text| {
            let value = text.trim().strip_prefix(wanted)?.strip_prefix('=')?;
            Some(value.trim_matches('"'))
        })
    }
}

/// What stands before the first place of a mark, and what after it.
fn after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use prony_model::{Body, Header, Request};

    use super::{Form, garbage, is_form, is_opaque, is_text};

    fn form(body: &str) -> Request {
        Request {
            method: "POST".to_owned(),
            path: "/predict".to_owned(),
            headers: vec![Header::new(
                "Content-Type",
                "multipart/form-data; boundary=\"b-1\"",
            )],
            body: Body::text(body),
        }
    }

    const GOOD: &str = "--b-1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\
                        \r\nbytes\r\n--b-1\r\nContent-Disposition: form-data; name=\"top\"\r\n\r\n\r\n--b-1--\r\n";

    #[test]
    fn a_form_is_taken_apart_and_put_together() {
        let good = form(GOOD);
        let read = Form::of(&good).unwrap();
        let seen: Vec<(Option<&str>, Option<&str>, &[u8])> = read
            .parts
            .iter()
            .map(|part| (part.name(), part.parameter("filename"), part.bytes.as_slice()))
            .collect();
        let wanted: [(Option<&str>, Option<&str>, &[u8]); 2] =
            [(Some("file"), Some("a.png"), b"bytes"), (Some("top"), None, b"")];
        assert_eq!(seen, wanted);
        let again = read.request(&good, read.parts.clone());
        assert_eq!(again.body.to_bytes().unwrap(), GOOD.as_bytes());
        let empty = read.request(&good, Vec::new());
        assert_eq!(empty.body.to_bytes().unwrap(), b"--b-1--\r\n");
        assert!(Form::of(&empty).unwrap().parts.is_empty());
        assert!(Form::of(&form(&GOOD[..GOOD.len() - 10])).is_none(), "cut off");
    }

    #[test]
    fn what_is_neither_json_nor_a_form_is_opaque() {
        let of = |kind: &str, body: Body| Request {
            headers: vec![Header::new("content-type", kind)],
            body,
            ..form("")
        };
        let picture = of("image/png", Body::Bytes(vec![0x89, b'P']));
        assert!(is_opaque(&picture) && !is_form(&picture));
        assert!(!is_opaque(&of("application/json", Body::text("{}"))));
        assert!(!is_opaque(&of("image/png", Body::Empty)));
        assert!(!is_opaque(&form(GOOD)) && is_form(&form(GOOD)));
        assert!(!is_text(&garbage()));
    }
}
