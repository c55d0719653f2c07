//! Checks of a response against its expectation. Pure; reads no socket.

use std::fmt::Write as _;
use std::sync::Arc;

use jsonschema::Validator;
use md5::{Digest as _, Md5};
use prony_model::{BodyCheck, Expect, Outcome, StreamExpect};
use prony_wire::{grpc, kserve};
use regex::Regex;

use crate::unary;

/// Largest body that is held for checks; a longer one fails those that need all of it.
pub(crate) const CHECKED_BYTES_MAX: usize = 64 << 20;

/// An expectation, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    expect: Expect,
    compiled: Vec<Compiled>,
    /// Whether the body must be held to be checked.
    pub(crate) needs_body: bool,
    /// Whether the body must be digested.
    pub(crate) needs_digest: bool,
    /// Whether header lines are needed: `ETag`, or the status of a call.
    pub(crate) needs_lines: bool,
    /// Whether the answer is to be one of gRPC.
    is_call: bool,
}

/// What a check needs beside itself.
#[derive(Clone, Debug)]
enum Compiled {
    Nothing,
    Regex(Regex),
    /// All marks, and the place of the request's own among [`Answer::marks`].
    Own(Regex, usize),
    Schema(Arc<Validator>),
}

/// What there is to check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a [u8],
    /// The body as far as it was held.
    pub(crate) body: &'a [u8],
    /// Its whole length.
    pub(crate) body_bytes: u64,
    pub(crate) digest: u64,
    /// Its header lines, those of its trailers last, where a check asks for them.
    pub(crate) lines: &'a [(String, Vec<u8>)],
    /// Whether there were trailers.
    pub(crate) has_trailers: bool,
    /// The request's own marks, one for each check that asks for one, with nothing left to fill in.
    pub(crate) marks: &'a [String],
}

impl Answer<'_> {
    /// The last header line of a name.
    pub(crate) fn line(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.lines.iter().rev();
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

impl Checks {
    /// Compiles an expectation; the error says which check is wrong.
    pub(crate) fn new(expect: &Expect) -> Result<Self, String> {
        let regex = |pattern: &String| {
            Regex::new(pattern).map_err(|e| format!("regular expression {pattern:?}: {e}"))
        };
        let mut marks = 0;
        let mut compile = |check: &BodyCheck| match check {
            BodyCheck::Regex(pattern) => regex(pattern).map(Compiled::Regex),
            BodyCheck::Own { any, .. } => {
                marks += 1;
                regex(any).map(|any| Compiled::Own(any, marks - 1))
            }
            BodyCheck::Schema(schema) => jsonschema::validator_for(&schema.0)
                .map(|validator| Compiled::Schema(Arc::new(validator)))
                .map_err(|e| format!("JSON Schema: {e}")),
            BodyCheck::Xxh3(digits) if u64::from_str_radix(digits, 16).is_err() || digits.len() != 16 => {
                Err(format!("xxh3 {digits:?}: write 16 hexadecimal digits"))
            }
            _ => Ok(Compiled::Nothing),
        };
        let held = |c: &BodyCheck| {
            !matches!(
                c,
                BodyCheck::MinBytes(_) | BodyCheck::MaxBytes(_) | BodyCheck::Xxh3(_)
            )
        };
        Ok(Self {
            compiled: expect.body.iter().map(&mut compile).collect::<Result<_, _>>()?,
            needs_body: expect.body.iter().any(held),
            needs_digest: expect.body.iter().any(|c| matches!(c, BodyCheck::Xxh3(_))),
            needs_lines: expect
                .body
                .iter()
                .any(|c| matches!(c, BodyCheck::Etag | BodyCheck::Grpc)),
            is_call: expect.body.contains(&BodyCheck::Grpc),
            expect: expect.clone(),
        })
    }

    /// Whether the status is expected.
    pub(crate) fn accepts(&self, status: u16) -> bool {
        self.expect.accepts(status)
    }

    /// The stream of tokens that is expected.
    pub(crate) fn stream(&self) -> Option<StreamExpect> {
        self.expect.stream
    }

    /// Whether the content type matters.
    pub(crate) fn needs_content_type(&self) -> bool {
        self.is_call || self.expect.content_type.is_some()
    }

    /// Whether nothing but the status matters.
    pub(crate) fn are_of_status_alone(&self) -> bool {
        self.expect.body.is_empty() && self.expect.content_type.is_none()
    }

    /// How a complete response ended by its status, and in words why not as expected.
    pub(crate) fn judge_status(&self, status: u16) -> (Outcome, String) {
        if self.accepts(status) {
            (Outcome::Ok, String::new())
        } else {
            (by_status(status), format!("status {status} was not expected"))
        }
    }

    /// How a complete response ended, and in words why not as expected.
    pub(crate) fn judge(&self, answer: &Answer<'_>) -> (Outcome, String) {
        let by_status = self.judge_status(answer.status);
        if by_status.0 != Outcome::Ok {
            return by_status;
        }
        if let Some(start) = &self.expect.content_type {
            let got = String::from_utf8_lossy(answer.content_type).to_ascii_lowercase();
            if !got.starts_with(start) {
                let shown: String = got.chars().take(80).collect();
                return (
                    Outcome::WrongBody,
                    format!("content type {shown:?} does not start with {start:?}"),
                );
            }
        }
        let json = std::cell::OnceCell::new();
        let parsed = || json.get_or_init(|| prony_model::json_in(answer.body)).as_ref();
        for (check, compiled) in self.expect.body.iter().zip(&self.compiled) {
            if let Compiled::Own(any, at) = compiled
                && let Some(failed) = foreign(any, answer.marks.get(*at), answer.body)
            {
                return failed;
            }
            if matches!(check, BodyCheck::Grpc) {
                match unary::message(answer) {
                    Ok(_) => continue,
                    Err(failed) => return failed,
                }
            }
            if matches!(check, BodyCheck::Rpc) {
                match prony_model::rpc_failure(parsed()) {
                    Some(why) => return (Outcome::RpcError, why),
                    None => continue,
                }
            }
            if let Some(why) = failure(check, compiled, answer, &parsed) {
                let digest = matches!(check, BodyCheck::Xxh3(_) | BodyCheck::Etag);
                return (
                    if digest {
                        Outcome::Checksum
                    } else {
                        Outcome::WrongBody
                    },
                    why,
                );
            }
        }
        (Outcome::Ok, String::new())
    }
}

/// The outcome of a status that was not expected.
fn by_status(status: u16) -> Outcome {
    match status {
        429 => Outcome::Status429,
        503 => Outcome::Status503,
        300..400 => Outcome::Status3xx,
        400..500 => Outcome::Status4xx,
        500..600 => Outcome::Status5xx,
        _ => Outcome::StatusOther,
    }
}

/// What is wrong with the marks in a body; `None` when its own is there and no other.
fn foreign(any: &Regex, own: Option<&String>, body: &[u8]) -> Option<(Outcome, String)> {
    let text = String::from_utf8_lossy(body);
    let own = own.map_or("", String::as_str);
    let other = any.find_iter(&text).find(|found| found.as_str() != own);
    if let Some(other) = other {
        let shown: String = other.as_str().chars().take(80).collect();
        return Some((
            Outcome::Foreign,
            format!("the body carries {shown:?}, the mark of another request"),
        ));
    }
    (!text.contains(own)).then(|| {
        (
            Outcome::Unmarked,
            "the body does not carry the mark of its request".to_owned(),
        )
    })
}

/// Why a check fails; `None` when it holds.
fn failure<'j>(
    check: &BodyCheck,
    compiled: &Compiled,
    answer: &Answer<'_>,
    json: &impl Fn() -> Option<&'j serde_json::Value>,
) -> Option<String> {
    let text = || String::from_utf8_lossy(answer.body);
    let n = answer.body_bytes;
    match check {
        BodyCheck::MinBytes(least) => (n < *least).then(|| format!("{n} bytes, expected at least {least}")),
        BodyCheck::MaxBytes(most) => (n > *most).then(|| format!("{n} bytes, expected at most {most}")),
        BodyCheck::Contains(part) => {
            (!text().contains(part.as_str())).then(|| format!("the body does not contain {part:?}"))
        }
        BodyCheck::Regex(pattern) => (!matches!(compiled, Compiled::Regex(r) if r.is_match(&text())))
            .then(|| format!("the body does not match {pattern:?}")),
        // Told before: it has outcomes of its own.
        BodyCheck::Own { .. } | BodyCheck::Rpc | BodyCheck::Grpc => None,
        BodyCheck::Tensors(declared) => match grpc::message(answer.body) {
            Ok(message) => kserve::check(message, declared).err(),
            Err(error) => Some(error.to_string()),
        },
        BodyCheck::Json(pointer) => match json() {
            None => Some("the body is not JSON".to_owned()),
            Some(value) => value
                .pointer(pointer)
                .is_none()
                .then(|| format!("the JSON body has nothing at {pointer:?}")),
        },
        BodyCheck::JsonEquals {
            pointer,
            value: expected,
        } => match json().map(|v| v.pointer(pointer)) {
            None => Some("the body is not JSON".to_owned()),
            Some(None) => Some(format!("the JSON body has nothing at {pointer:?}")),
            Some(Some(found)) => {
                let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                (found != *expected).then(|| {
                    let shown: String = found.chars().take(80).collect();
                    format!("the JSON body has {shown:?} at {pointer:?}, expected {expected:?}")
                })
            }
        },
        BodyCheck::Schema(_) => match (json(), compiled) {
            (Some(value), Compiled::Schema(schema)) => {
                schema.validate(value).err().map(|e| against_schema(&e))
            }
            _ => Some("the body is not JSON".to_owned()),
        },
        BodyCheck::Xxh3(digits) => {
            let found = format!("{:016x}", answer.digest);
            (!found.eq_ignore_ascii_case(digits))
                .then(|| format!("the body's digest is {found}, expected {digits}"))
        }
        BodyCheck::Etag => against_etag(answer),
        BodyCheck::SentBy(step) => Some(format!("what step {step:?} sent is not known")),
    }
}

/// Why a body is not what its `ETag` says, as an object store writes it: the MD5 of what was put in one piece.
fn against_etag(answer: &Answer<'_>) -> Option<String> {
    let Some(etag) = answer.line("etag").map(String::from_utf8_lossy) else {
        return Some("there is no header \"etag\" to hold the body against".to_owned());
    };
    let stated = etag.trim().trim_matches('"');
    if stated.len() != 32 || !stated.bytes().all(|b| b.is_ascii_hexdigit()) {
        let shown: String = stated.chars().take(80).collect();
        return Some(format!(
            "the ETag {shown:?} is no MD5: the object was put in several parts, or encrypted"
        ));
    }
    if (answer.body.len() as u64) < answer.body_bytes {
        return Some(format!(
            "{} bytes are too many to be held against an ETag",
            answer.body_bytes
        ));
    }
    let mut found = String::new();
    for byte in Md5::digest(answer.body) {
        // Writing to a String cannot fail.
        let _ = write!(found, "{byte:02x}");
    }
    (!found.eq_ignore_ascii_case(stated))
        .then(|| format!("the body's MD5 is {found}, its ETag says {stated}"))
}

/// What of a body breaks its schema, and where.
fn against_schema(error: &jsonschema::ValidationError<'_>) -> String {
    let says: String = error.to_string().chars().take(120).collect();
    match error.instance_path().as_str() {
        "" => format!("the JSON body breaks its schema: {says}"),
        pointer => format!("the JSON body breaks its schema at {pointer:?}: {says}"),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{BodyCheck, Expect, JsonText, Outcome};
    use serde_json::{Value, json};

    use super::{Answer, Checks};

    fn schema(schema: Value) -> BodyCheck {
        BodyCheck::Schema(JsonText(schema))
    }

    fn judge(expect: &Expect, status: u16, body: &[u8]) -> Outcome {
        let checks = Checks::new(expect).unwrap();
        let digest = twox_hash::XxHash3_64::oneshot(body);
        let answer = Answer {
            status,
            content_type: b"Application/JSON",
            body,
            body_bytes: body.len() as u64,
            digest,
            lines: &[],
            has_trailers: false,
            marks: &["prony-02".to_owned()],
        };
        checks.judge(&answer).0
    }

    #[test]
    fn statuses_have_their_outcomes() {
        let any = Expect::default();
        for (status, outcome) in [
            (200, Outcome::Ok),
            (204, Outcome::Ok),
            (101, Outcome::StatusOther),
            (302, Outcome::Status3xx),
            (404, Outcome::Status4xx),
            (429, Outcome::Status429),
            (500, Outcome::Status5xx),
            (503, Outcome::Status503),
            (700, Outcome::StatusOther),
        ] {
            assert_eq!(judge(&any, status, b""), outcome, "{status}");
        }
        assert_eq!(judge(&Expect::status(404), 404, b""), Outcome::Ok);
        assert_eq!(judge(&Expect::status(404), 200, b""), Outcome::StatusOther);
    }

    #[test]
    fn the_digest_is_the_published_one() {
        // XXH3-64 of nothing, from the reference implementation's tests.
        assert_eq!(twox_hash::XxHash3_64::oneshot(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn every_check_can_hold_and_fail() {
        let body = br#"{"a": {"b": [1, "two", null]}, "big": true}"#;
        let digest = format!("{:016x}", twox_hash::XxHash3_64::oneshot(body));
        let equals = |pointer: &str, value: &str| BodyCheck::JsonEquals {
            pointer: pointer.to_owned(),
            value: value.to_owned(),
        };
        for (check, outcome) in [
            (BodyCheck::MinBytes(10), Outcome::Ok),
            (BodyCheck::MinBytes(1000), Outcome::WrongBody),
            (BodyCheck::MaxBytes(1000), Outcome::Ok),
            (BodyCheck::MaxBytes(10), Outcome::WrongBody),
            (BodyCheck::Contains("two".into()), Outcome::Ok),
            (BodyCheck::Contains("three".into()), Outcome::WrongBody),
            (BodyCheck::Regex("big.*true".into()), Outcome::Ok),
            (BodyCheck::Regex("^big".into()), Outcome::WrongBody),
            (BodyCheck::Json("/a/b/2".into()), Outcome::Ok),
            (BodyCheck::Json("/a/b/3".into()), Outcome::WrongBody),
            (equals("/a/b/0", "1"), Outcome::Ok),
            (equals("/a/b/1", "two"), Outcome::Ok),
            (equals("/big", "false"), Outcome::WrongBody),
            (
                schema(json!({"required": ["a"], "properties": {"big": {"type": "boolean"}}})),
                Outcome::Ok,
            ),
            (
                schema(json!({"properties": {"big": {"type": "string"}}})),
                Outcome::WrongBody,
            ),
            (BodyCheck::Xxh3(digest), Outcome::Ok),
            (BodyCheck::Xxh3("0123456789abcdef".into()), Outcome::Checksum),
        ] {
            let expect = Expect {
                body: vec![check.clone()],
                ..Expect::default()
            };
            assert_eq!(judge(&expect, 200, body), outcome, "{check:?}");
        }
        for check in [BodyCheck::Json(String::new()), schema(json!({}))] {
            let expect = Expect {
                body: vec![check],
                ..Expect::default()
            };
            assert_eq!(judge(&expect, 200, b"not json"), Outcome::WrongBody);
        }
    }

    #[test]
    fn an_answer_must_carry_its_own_mark_and_no_other() {
        let expect = Expect {
            body: vec![BodyCheck::Own {
                mark: "prony-{{seq}}".into(),
                any: "prony-[0-9]{2}".into(),
            }],
            ..Expect::default()
        };
        for (body, outcome) in [
            ("your text: prony-02, prony-02", Outcome::Ok),
            ("your text: prony-02 prony-03", Outcome::Foreign),
            ("your text: prony-17", Outcome::Foreign),
            ("your text", Outcome::Unmarked),
            ("", Outcome::Unmarked),
        ] {
            assert_eq!(judge(&expect, 200, body.as_bytes()), outcome, "{body}");
        }
        assert_eq!(judge(&expect, 503, b"prony-17"), Outcome::Status503);
    }

    #[test]
    fn a_tool_that_fails_with_a_good_status_fails() {
        let rpc = Expect {
            body: vec![
                BodyCheck::Rpc,
                BodyCheck::Json("/result/structuredContent/path".into()),
            ],
            ..Expect::default()
        };
        let good = r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"path":"/a"},"isError":false}}"#;
        let failed =
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"no"}],"isError":true}}"#;
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool"}}"#;
        let other = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        for (body, outcome) in [
            (good, Outcome::Ok),
            (failed, Outcome::RpcError),
            (error, Outcome::RpcError),
            (other, Outcome::WrongBody),
            ("{}", Outcome::RpcError),
        ] {
            assert_eq!(judge(&rpc, 200, body.as_bytes()), outcome, "{body}");
            let stream = format!(": hello\n\nid: 0\ndata:\n\nevent: message\ndata: {body}\n\n");
            assert_eq!(judge(&rpc, 200, stream.as_bytes()), outcome, "{stream}");
        }
    }

    #[test]
    fn content_types_compare_by_their_start() {
        let expect = |t: &str| Expect {
            content_type: Some(t.into()),
            ..Expect::default()
        };
        assert_eq!(judge(&expect("application/json"), 200, b""), Outcome::Ok);
        assert_eq!(judge(&expect("image/"), 200, b""), Outcome::WrongBody);
    }

    #[test]
    fn broken_checks_are_user_errors() {
        let broken = |check| {
            Checks::new(&Expect {
                body: vec![check],
                ..Expect::default()
            })
            .is_err()
        };
        assert!(broken(BodyCheck::Regex("(".into())));
        assert!(broken(BodyCheck::Xxh3("12".into())));
        assert!(broken(schema(json!({"type": "nothing"}))));
        // A reference that would have to be fetched.
        assert!(broken(schema(json!({"$ref": "http://127.0.0.1:1/a.json"}))));
        assert!(broken(schema(json!({"$ref": "file:///etc/hostname"}))));
    }
}
