//! Checksums that clients send along: each must be that of the body. It knows no requests, only names and bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::errors::S3Error;

const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const CRC64: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);
const PREFIX: &str = "x-amz-checksum-";
/// What can be computed.
const NAMES: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// The checksum of that name in base64.
fn compute(name: &str, bytes: &[u8]) -> Option<String> {
    let raw = match name {
        "crc32" => CRC32.checksum(bytes).to_be_bytes().to_vec(),
        "crc32c" => CRC32C.checksum(bytes).to_be_bytes().to_vec(),
        "crc64nvme" => CRC64.checksum(bytes).to_be_bytes().to_vec(),
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        _ => return None,
    };
    Some(STANDARD.encode(raw))
}

/// Holds every checksum among these headers against the body; those that there are, for the object.
pub(crate) fn check<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    bytes: &[u8],
) -> Result<Vec<(String, String)>, S3Error> {
    let mut held = Vec::new();
    for (name, value) in headers {
        if name == "content-md5" {
            let given = STANDARD.decode(value).ok().filter(|given| given.len() == 16);
            let given = given
                .ok_or_else(|| S3Error::bad("InvalidDigest", "The Content-MD5 you specified was invalid."))?;
            if given != Md5::digest(bytes).as_slice() {
                return Err(S3Error::bad(
                    "BadDigest",
                    "The Content-MD5 you specified did not match what we received.",
                ));
            }
        }
        let Some(kind) = name.strip_prefix(PREFIX).filter(|kind| NAMES.contains(kind)) else {
            continue;
        };
        if compute(kind, bytes).as_deref() != Some(value) {
            return Err(S3Error::bad(
                "BadDigest",
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    kind.to_uppercase()
                ),
            ));
        }
        held.push((name.to_owned(), value.to_owned()));
    }
    Ok(held)
}

/// The MD5 as S3 makes an ETag of it, without the quotes.
pub(crate) fn etag(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The ETag of an object made of parts with these ETags.
pub(crate) fn etag_of_parts(etags: &[String]) -> String {
    let raw: Vec<u8> = etags
        .iter()
        .flat_map(|etag| hex::decode(etag).unwrap_or_default())
        .collect();
    format!("{}-{}", etag(&raw), etags.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of the catalogue of CRCs (of "123456789"), and what sha1sum and sha256sum say.
    #[test]
    fn known_values() {
        for (name, hexadecimal) in [
            ("crc32", "cbf43926"),
            ("crc32c", "e3069283"),
            ("crc64nvme", "ae8b14860a799888"),
            ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                "sha256",
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            let wanted = STANDARD.encode(hex::decode(hexadecimal).unwrap());
            assert_eq!(compute(name, b"123456789"), Some(wanted), "{name}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let crc = compute("crc32", b"body").unwrap();
        let code =
            |name, value: &str| check([(name, value)].into_iter(), b"body").map_err(|error| error.code);
        assert_eq!(code("x-amz-checksum-crc32", &crc).unwrap().len(), 1);
        assert_eq!(code("x-amz-checksum-crc32", "AAAAAA=="), Err("BadDigest"));
        assert_eq!(code("x-amz-checksum-type", "FULL_OBJECT").unwrap().len(), 0);
        assert_eq!(code("content-md5", "hello"), Err("InvalidDigest"));
        assert_eq!(code("content-md5", &STANDARD.encode([0; 16])), Err("BadDigest"));
        assert_eq!(
            code("content-md5", &STANDARD.encode(Md5::digest(b"body"))),
            Ok(vec![])
        );
    }

    /// As Python's hashlib computes it.
    #[test]
    fn an_etag_of_parts() {
        assert_eq!(
            etag_of_parts(&[etag(b"a"), etag(b"b")]),
            "96e024ba2074fe77e8e965ba43a704be-2"
        );
    }
}
