//! What comes with an upload: the body as it was meant, checked in every way that the client asked for, and the headers that are
//! kept with the object. It stores nothing.

use axum::body::Bytes;
use axum::http::HeaderMap;

use super::auth::{Payload, Signed, header, sha256};
use super::errors::S3Error;
use super::{checksums, chunked};

/// Headers that an object keeps.
const KEPT: [&str; 5] = [
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    "content-encoding",
];
const OWN: &str = "x-amz-meta-";
/// Bytes of an object's own headers.
const OWN_MAX_BYTES: usize = 2048;

/// A body that was checked.
pub(crate) struct Received {
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// Checksums of them that the client sent along.
    pub(crate) checksums: Vec<(String, String)>,
}

/// Takes the body apart and holds it against all that was said of it.
pub(crate) fn receive(headers: &HeaderMap, body: Bytes, mut signed: Signed) -> Result<Received, S3Error> {
    let (bytes, trailing) = match signed.payload {
        Payload::Unsigned => (body, Vec::new()),
        Payload::Digest(digest) => {
            if sha256(&body) != digest {
                return Err(S3Error::bad(
                    "XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.",
                ));
            }
            (body, Vec::new())
        }
        Payload::Chunks {
            signed: true,
            trailer,
        } => into_bytes(chunked::decode(&body, Some(&mut signed.chain), trailer)?),
        Payload::Chunks {
            signed: false,
            trailer,
        } => into_bytes(chunked::decode(&body, None, trailer)?),
    };
    let decoded = header(headers, "x-amz-decoded-content-length");
    if decoded.is_some_and(|told| told.parse() != Ok(bytes.len())) {
        return Err(S3Error::bad(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the x-amz-decoded-content-length header",
        ));
    }
    if let Some(announced) = header(headers, "x-amz-trailer") {
        let came = |name: &str| trailing.iter().any(|(held, _)| held.eq_ignore_ascii_case(name));
        if !announced.split(',').all(|name| came(name.trim())) {
            return Err(S3Error::bad(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            ));
        }
    }
    let sent = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let trailing = trailing
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let checksums = checksums::check(sent.chain(trailing), &bytes)?;
    Ok(Received { bytes, checksums })
}

fn into_bytes((bytes, trailing): chunked::Decoded) -> (Bytes, Vec<(String, String)>) {
    (bytes.into(), trailing)
}

/// The headers that are kept with an object.
pub(crate) fn kept(headers: &HeaderMap) -> Result<Vec<(String, String)>, S3Error> {
    let kind = header(headers, "content-type").unwrap_or_else(|| "binary/octet-stream".to_owned());
    let mut kept = vec![("content-type".to_owned(), kind)];
    for name in KEPT {
        let value = header(headers, name).map(|value| {
            // How it was sent is no property of the object.
            let parts = value
                .split(',')
                .map(str::trim)
                .filter(|part| *part != "aws-chunked");
            parts.collect::<Vec<_>>().join(",")
        });
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            kept.push((name.to_owned(), value));
        }
    }
    let mut own_bytes = 0;
    for name in headers.keys().filter(|name| name.as_str().starts_with(OWN)) {
        let value = header(headers, name.as_str()).unwrap_or_default();
        own_bytes += name.as_str().len() - OWN.len() + value.len();
        kept.push((name.as_str().to_owned(), value));
    }
    if own_bytes > OWN_MAX_BYTES {
        return Err(S3Error::bad(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
        ));
    }
    Ok(kept)
}
