//! A request and what its answer must look like.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{StreamExpect, TensorSpec};

/// An HTTP request relative to the target: everything but the origin and the headers common to a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method, upper case.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query as sent, percent-encoded: `/api/slides?limit=3`.
    pub path: String,
    /// Headers of this request, after those of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The body.
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    pub body: Body,
}

impl Request {
    /// A GET without body or headers.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: get(),
            path: path.into(),
            headers: Vec::new(),
            body: Body::default(),
        }
    }

    /// A request with a JSON body and its content type.
    pub fn json(method: &str, path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            headers: vec![Header::new("content-type", "application/json")],
            body: Body::text(body.to_string()),
        }
    }

    /// `METHOD path`, for messages.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn get() -> String {
    "GET".to_owned()
}

/// One header line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Field name.
    pub name: String,
    /// Field value.
    pub value: String,
}

impl Header {
    /// From name and value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// A request body: empty, text, or bytes (written as base64 by those who serialise it: see `bytes`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// No body and no content-length.
    #[default]
    Empty,
    /// UTF-8 text.
    Text(String),
    /// Arbitrary bytes.
    Bytes(Vec<u8>),
    /// `unit` repeated `count` times: large bodies that need no memory in a plan.
    Repeat {
        /// The repeated text.
        unit: String,
        /// How often.
        count: u32,
    },
}

impl Body {
    /// A text body.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether there is no body at all (an empty text is a body of length 0).
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The bytes to send; `None` when there is no body.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Empty => None,
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Repeat { unit, count } => Some(unit.repeat(*count as usize).into_bytes()),
        }
    }
}

/// What a correct answer looks like. Anything else is a failure with its own outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Accepted statuses; empty means any 2xx.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// Required start of the content type, lower case: `image/`, `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Checks on the body; when there are none, the body is counted and thrown away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<BodyCheck>,
    /// That the body is a stream of tokens, and what it must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamExpect>,
}

impl Expect {
    /// Exactly this status.
    pub fn status(status: u16) -> Self {
        Self {
            status: vec![status],
            ..Self::default()
        }
    }

    /// Whether the status is one of the accepted.
    pub fn accepts(&self, status: u16) -> bool {
        if self.status.is_empty() {
            (200..300).contains(&status)
        } else {
            self.status.contains(&status)
        }
    }
}

/// One check of a response body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyCheck {
    /// At least so many bytes.
    MinBytes(u64),
    /// At most so many bytes.
    MaxBytes(u64),
    /// Contains this text.
    Contains(String),
    /// Matches this regular expression somewhere.
    Regex(String),
    /// Is JSON, and something exists at this JSON pointer (RFC 6901).
    Json(String),
    /// Is JSON, and the value at the pointer equals this scalar, compared as text.
    JsonEquals {
        /// JSON pointer.
        pointer: String,
        /// Expected scalar, as text without quotes.
        value: String,
    },
    /// Contains the mark of its own request and no mark of another. An answer with another's is a foreign answer, one with
    /// none an unmarked one.
    Own {
        /// The request's own mark. `{{...}}` is filled in as in the request: `prony-{{nonce}}` of a generated feed.
        mark: String,
        /// Regular expression of all marks; what it matches and is not the request's own is another's.
        any: String,
    },
    /// Is the answer of JSON-RPC to its request, alone or in an event stream, and a success: neither an error nor a tool's own
    /// failure (`isError`). Anything else is an RPC error, whatever the HTTP status says.
    Rpc,
    /// Is one whole message of gRPC, and the trailers after it say OK. Another status has an outcome of its own, and an answer
    /// without trailers is cut short.
    Grpc,
    /// Is the answer of KServe V2 over gRPC with these outputs, each of the declared type and shape, and as long as that takes; where
    /// none is named, whatever outputs it holds. Put `grpc` before it.
    Tensors(Vec<TensorSpec>),
    /// XXH3-64 of the body, 16 hexadecimal digits; a mismatch is a checksum failure.
    Xxh3(String),
    /// Is the body that an earlier step of the flow sent, by length and by digest; a mismatch is a checksum failure. Its body must
    /// be the same for every arrival.
    SentBy(String),
    /// Has the MD5 that its own `ETag` header states, as object stores state it for what was put in one piece; a mismatch, or a
    /// header that states none, is a checksum failure.
    Etag,
    /// Is JSON that satisfies this JSON Schema (draft 2020-12 unless `$schema` says otherwise; references lead nowhere
    /// outside of it).
    Schema(JsonText),
}

/// JSON that travels as text, so that it fits TOML (which has no null) and keeps its own order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonText(pub serde_json::Value);

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text)
            .map(Self)
            .map_err(|e| serde::de::Error::custom(format!("not valid JSON: {e}")))
    }
}

impl JsonSchema for JsonText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "contentMediaType": "application/json"})
    }
}

/// A secret: never printed, never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself; call it only where it goes on the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Expect, JsonText, Secret};

    #[test]
    fn any_success_unless_told() {
        assert!(Expect::default().accepts(204));
        assert!(!Expect::default().accepts(304));
        assert!(Expect::status(404).accepts(404));
        assert!(!Expect::status(404).accepts(200));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn json_travels_as_text() {
        let json = JsonText(serde_json::json!({"a": null}));
        let text = serde_json::to_string(&json).unwrap();
        assert_eq!(text, r#""{\"a\":null}""#);
        assert_eq!(serde_json::from_str::<JsonText>(&text).unwrap(), json);
    }

    #[test]
    fn repeated_bodies() {
        let body = Body::Repeat {
            unit: "ab".into(),
            count: 3,
        };
        assert_eq!(body.to_bytes().unwrap(), b"ababab");
        assert_eq!(Body::Empty.to_bytes(), None);
    }
}
