//! Signature Version 4, by header and by query: whether a request was signed with the secret key, and how its body is to be checked.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::errors::S3Error;
use crate::fastapi::params::percent_decode;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a client's clock may be off.
const SKEW_MAX_S: i64 = 15 * 60;
/// The longest that a presigned address may live.
const EXPIRES_MAX_S: i64 = 7 * 24 * 3600;

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The public half.
    pub(crate) access: String,
    /// The other one.
    pub(crate) secret: String,
}

/// A request whose signature is right.
#[derive(Debug)]
pub(crate) struct Signed {
    /// How its body is sent.
    pub(crate) payload: Payload,
    /// What the chunks of its body are signed with.
    pub(crate) chain: Chain,
}

/// How a body is sent, by `x-amz-content-sha256`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// As it is, with this SHA-256.
    Digest(String),
    /// As it is, unsigned.
    Unsigned,
    /// In chunks, each signed or not, with trailing headers or without.
    Chunks { signed: bool, trailer: bool },
}

/// The chain of signatures over the chunks of a body.
#[derive(Debug)]
pub(crate) struct Chain {
    key: Vec<u8>,
    timestamp: String,
    scope: String,
    last: String,
}

/// What a signature is made over, and what it says.
struct Claim {
    access: String,
    scope: Vec<String>,
    headers: Vec<String>,
    signature: String,
    timestamp: String,
    presigned: bool,
    payload: String,
}

impl Keys {
    /// Checks a request as it was received.
    pub(crate) fn verify(&self, parts: &Parts, now: Timestamp) -> Result<Signed, S3Error> {
        let pairs = query(parts.uri.query().unwrap_or_default());
        let claim = Claim::read(parts, &pairs)?;
        let (date, region) = claim.scope()?;
        claim.in_time(&pairs, date, now)?;
        if claim.access != self.access {
            return Err(S3Error::forbidden(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
            ));
        }
        let request = claim.canonical(parts, &pairs)?;
        let scope = claim.scope.join("/");
        let secret = format!("AWS4{}", self.secret).into_bytes();
        let key = [date, region, "s3", "aws4_request"]
            .iter()
            .fold(secret, |key, word| sign(&key, word));
        let text = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            claim.timestamp,
            sha256(request.as_bytes())
        );
        if !equal(&hex::encode(sign(&key, &text)), &claim.signature) {
            return Err(S3Error::forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
            ));
        }
        Ok(Signed {
            payload: Payload::read(&claim.payload)?,
            chain: Chain {
                key,
                timestamp: claim.timestamp,
                scope,
                last: claim.signature,
            },
        })
    }
}

impl Claim {
    fn read(parts: &Parts, pairs: &[(String, String)]) -> Result<Self, S3Error> {
        let header = |name: &str| header(&parts.headers, name);
        let of_query = |name: &str| {
            pairs
                .iter()
                .find(|(held, _)| held == name)
                .map(|(_, value)| value.clone())
        };
        if let Some(text) = header("authorization") {
            let malformed = || {
                S3Error::bad(
                    "AuthorizationHeaderMalformed",
                    "The authorization header is malformed.",
                )
            };
            let fields = text
                .strip_prefix(ALGORITHM)
                .ok_or_else(|| S3Error::bad("InvalidRequest", format!("Please use {ALGORITHM}.")))?;
            let field = |name: &str| {
                fields
                    .split(',')
                    .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                    .map(str::to_owned)
            };
            let credential = field("Credential").ok_or_else(malformed)?;
            let (access, scope) = credential.split_once('/').ok_or_else(malformed)?;
            return Ok(Self {
                access: access.to_owned(),
                scope: scope.split('/').map(str::to_owned).collect(),
                headers: field("SignedHeaders")
                    .ok_or_else(malformed)?
                    .split(';')
                    .map(str::to_owned)
                    .collect(),
                signature: field("Signature").ok_or_else(malformed)?,
                timestamp: header("x-amz-date").ok_or_else(|| {
                    S3Error::forbidden(
                        "AccessDenied",
                        "AWS authentication requires a valid Date or x-amz-date header",
                    )
                })?,
                presigned: false,
                payload: header("x-amz-content-sha256").ok_or_else(|| {
                    S3Error::bad(
                        "InvalidRequest",
                        "Missing required header for this request: x-amz-content-sha256",
                    )
                })?,
            });
        }
        let Some(algorithm) = of_query("X-Amz-Algorithm") else {
            return Err(S3Error::forbidden("AccessDenied", "Access Denied"));
        };
        let wanted = |name: &str| {
            of_query(name).ok_or_else(|| {
                S3Error::bad(
                    "AuthorizationQueryParametersError",
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
                )
            })
        };
        if algorithm != ALGORITHM {
            return Err(S3Error::bad(
                "AuthorizationQueryParametersError",
                format!("X-Amz-Algorithm only supports \"{ALGORITHM}\""),
            ));
        }
        let credential = wanted("X-Amz-Credential")?;
        let (access, scope) = credential.split_once('/').unwrap_or((&credential, ""));
        Ok(Self {
            access: access.to_owned(),
            scope: scope.split('/').map(str::to_owned).collect(),
            headers: wanted("X-Amz-SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: wanted("X-Amz-Signature")?,
            timestamp: wanted("X-Amz-Date")?,
            presigned: true,
            payload: header("x-amz-content-sha256").unwrap_or_else(|| "UNSIGNED-PAYLOAD".to_owned()),
        })
    }

    /// Date and region of the scope, which must be S3's.
    fn scope(&self) -> Result<(&str, &str), S3Error> {
        match self.scope.as_slice() {
            [date, region, service, end] if service == "s3" && end == "aws4_request" => Ok((date, region)),
            _ => Err(S3Error::bad(
                "AuthorizationHeaderMalformed",
                "The authorization is malformed; the Credential must be ACCESS-KEY/DATE/REGION/s3/aws4_request.",
            )),
        }
    }

    fn in_time(&self, pairs: &[(String, String)], date: &str, now: Timestamp) -> Result<(), S3Error> {
        let denied = |why: &str| S3Error::forbidden("AccessDenied", why);
        let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.timestamp)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| denied("AWS authentication requires a valid Date or x-amz-date header"))?;
        if !self.timestamp.starts_with(date) {
            return Err(denied("The date of the credential is not that of the request"));
        }
        let age_s = now.as_second() - signed.timestamp().as_second();
        if !self.presigned {
            return if age_s.abs() <= SKEW_MAX_S {
                Ok(())
            } else {
                Err(S3Error::forbidden(
                    "RequestTimeTooSkewed",
                    "The difference between the request time and the current time is too large.",
                ))
            };
        }
        let expires = pairs
            .iter()
            .find(|(name, _)| name == "X-Amz-Expires")
            .and_then(|(_, value)| value.parse::<i64>().ok())
            .filter(|seconds| (0..=EXPIRES_MAX_S).contains(seconds));
        match expires {
            None => Err(S3Error::bad(
                "AuthorizationQueryParametersError",
                "X-Amz-Expires should be a number of at most a week (in seconds)",
            )),
            Some(_) if age_s < -SKEW_MAX_S => Err(denied("Request is not valid yet")),
            Some(seconds) if age_s > seconds => Err(denied("Request has expired")),
            Some(_) => Ok(()),
        }
    }

    fn canonical(&self, parts: &Parts, pairs: &[(String, String)]) -> Result<String, S3Error> {
        if !self.headers.iter().any(|name| name == "host") {
            return Err(S3Error::forbidden(
                "AccessDenied",
                "The host header must be signed",
            ));
        }
        let unsigned = parts.headers.keys().find(|name| {
            name.as_str().starts_with("x-amz-") && !self.headers.iter().any(|held| held == name.as_str())
        });
        if let Some(name) = unsigned {
            return Err(S3Error::forbidden(
                "AccessDenied",
                format!("There were headers present in the request which were not signed: {name}"),
            ));
        }
        let mut query: Vec<String> = pairs
            .iter()
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| format!("{}={}", encode(name, true), encode(value, true)))
            .collect();
        query.sort_unstable();
        let mut headers = String::new();
        for name in &self.headers {
            // Writing to a string cannot fail.
            let _ = writeln!(
                headers,
                "{name}:{}",
                header(&parts.headers, name).unwrap_or_default()
            );
        }
        Ok(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            parts.method,
            encode(&percent_decode(parts.uri.path(), false), false),
            query.join("&"),
            self.headers.join(";"),
            self.payload,
        ))
    }
}

impl Payload {
    fn read(text: &str) -> Result<Self, S3Error> {
        Ok(match text {
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Chunks {
                signed: false,
                trailer: true,
            },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Chunks {
                signed: true,
                trailer: false,
            },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Self::Chunks {
                signed: true,
                trailer: true,
            },
            _ if text.starts_with("STREAMING-") => return Err(S3Error::not_implemented()),
            _ if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Self::Digest(text.to_ascii_lowercase())
            }
            _ => {
                return Err(S3Error::bad(
                    "InvalidArgument",
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-... or a valid sha256 value.",
                ));
            }
        })
    }
}

impl Chain {
    /// Whether this is the signature of the next chunk.
    pub(crate) fn chunk(&mut self, data: &[u8], signature: &str) -> bool {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.timestamp,
            self.scope,
            self.last,
            sha256(b""),
            sha256(data),
        );
        self.next(&text, signature)
    }

    /// Whether this is the signature of the trailing headers.
    pub(crate) fn trailer(&mut self, lines: &str, signature: &str) -> bool {
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.timestamp,
            self.scope,
            self.last,
            sha256(lines.as_bytes()),
        );
        self.next(&text, signature)
    }

    fn next(&mut self, text: &str, signature: &str) -> bool {
        self.last = hex::encode(sign(&self.key, text));
        equal(&self.last, signature)
    }
}

/// The SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The parameters of a query, decoded.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, false), percent_decode(value, false))
        })
        .collect()
}

/// Percent-encoding as S3 signs it.
pub(crate) fn encode(text: &str, slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (byte == b'/' && !slash) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// All values of a header, their space folded.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// Compares without telling by its time where they differ.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, StatusCode};

    /// The example of a GET in "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference.
    fn example() -> (Keys, Parts, Timestamp) {
        let keys = Keys {
            access: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let request = Request::get("/test.txt")
            .header("host", "examplebucket.s3.amazonaws.com")
            .header("range", "bytes=0-9")
            .header("x-amz-content-sha256", sha256(b""))
            .header("x-amz-date", "20130524T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            )
            .body(())
            .unwrap();
        let at: Timestamp = "2013-05-24T00:00:10Z".parse().unwrap();
        (keys, request.into_parts().0, at)
    }

    #[test]
    fn the_published_example_of_a_header_holds() {
        let (keys, parts, at) = example();
        assert_eq!(
            keys.verify(&parts, at).unwrap().payload,
            Payload::Digest(sha256(b""))
        );
        let (_, mut other, _) = example();
        other.headers.insert("range", "bytes=0-8".parse().unwrap());
        assert_eq!(keys.verify(&other, at).unwrap_err().code, "SignatureDoesNotMatch");
        let late: Timestamp = "2013-05-24T00:20:00Z".parse().unwrap();
        assert_eq!(
            keys.verify(&parts, late).unwrap_err().code,
            "RequestTimeTooSkewed"
        );
    }

    /// The example of a presigned address in the same reference.
    #[test]
    fn the_published_example_of_a_query_holds() {
        let (keys, _, at) = example();
        let signed = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let parts = |uri: &str| {
            let request = Request::get(uri).header("host", "examplebucket.s3.amazonaws.com");
            request.body(()).unwrap().into_parts().0
        };
        assert_eq!(
            keys.verify(&parts(signed), at).unwrap().payload,
            Payload::Unsigned
        );
        let code = |uri: &str, at| keys.verify(&parts(uri), at).unwrap_err().code;
        assert_eq!(
            code(&signed.replace("86400", "86401"), at),
            "SignatureDoesNotMatch"
        );
        assert_eq!(
            code(signed, "2013-05-25T00:00:01Z".parse().unwrap()),
            "AccessDenied"
        );
        assert_eq!(code("/test.txt", at), "AccessDenied");
        assert_eq!(
            keys.verify(&parts("/test.txt"), at).unwrap_err().status,
            StatusCode::FORBIDDEN
        );
    }

    /// The example of a body in chunks in the same reference.
    #[test]
    fn the_published_chain_of_chunks_holds() {
        let key = ["20130524", "us-east-1", "s3", "aws4_request"].iter().fold(
            b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_vec(),
            |key, word| sign(&key, word),
        );
        let mut chain = Chain {
            key,
            timestamp: "20130524T000000Z".to_owned(),
            scope: "20130524/us-east-1/s3/aws4_request".to_owned(),
            last: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".to_owned(),
        };
        let block = vec![b'a'; 65536];
        assert!(chain.chunk(
            &block,
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
        ));
        assert!(chain.chunk(
            &block[..1024],
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
        ));
        assert!(chain.chunk(
            b"",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
        ));
        assert!(!chain.chunk(
            b"",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
        ));
    }
}
