//! Bodies in `aws-chunked`: chunks with or without a signature each, and trailing headers with or without one. It stores nothing.

use std::fmt::Write as _;

use super::auth::Chain;
use super::errors::S3Error;

/// A body and the headers that followed it.
pub(crate) type Decoded = (Vec<u8>, Vec<(String, String)>);

/// Takes a body apart. `chain` checks the signatures, where chunks are signed.
pub(crate) fn decode(body: &[u8], mut chain: Option<&mut Chain>, trailer: bool) -> Result<Decoded, S3Error> {
    let mut rest = body;
    let mut out = Vec::with_capacity(body.len());
    loop {
        let line = take_line(&mut rest)?;
        let (length, extension) = line.split_once(';').unwrap_or((line, ""));
        let length = usize::from_str_radix(length.trim(), 16).map_err(|_| incomplete())?;
        let data = rest.get(..length).ok_or_else(incomplete)?;
        rest = &rest[length..];
        if let Some(chain) = &mut chain {
            let signature = extension
                .trim()
                .strip_prefix("chunk-signature=")
                .unwrap_or_default();
            if !chain.chunk(data, signature) {
                return Err(mismatch());
            }
        }
        if length == 0 {
            break;
        }
        out.extend_from_slice(data);
        rest = rest.strip_prefix(b"\r\n").ok_or_else(incomplete)?;
    }
    let trailing = if trailer {
        trailing(&mut rest, chain)?
    } else {
        Vec::new()
    };
    Ok((out, trailing))
}

fn trailing(rest: &mut &[u8], chain: Option<&mut Chain>) -> Result<Vec<(String, String)>, S3Error> {
    let (mut headers, mut signed, mut signature) = (Vec::new(), String::new(), None);
    while !rest.is_empty() {
        let line = take_line(rest)?.trim_end_matches('\n');
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(incomplete)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            signature = Some(value.to_owned());
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(signed, "{name}:{value}");
            headers.push((name, value.to_owned()));
        }
    }
    if let Some(chain) = chain
        && !chain.trailer(&signed, &signature.unwrap_or_default())
    {
        return Err(mismatch());
    }
    Ok(headers)
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, S3Error> {
    let end = rest
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or_else(incomplete)?;
    let (line, more) = rest.split_at(end);
    *rest = &more[2..];
    std::str::from_utf8(line).map_err(|_| incomplete())
}

fn incomplete() -> S3Error {
    S3Error::bad(
        "IncompleteBody",
        "The request body terminated unexpectedly or is no aws-chunked body",
    )
}

fn mismatch() -> S3Error {
    S3Error::forbidden(
        "SignatureDoesNotMatch",
        "The signature of a chunk does not match what we calculated.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_chunks_with_a_trailer() {
        let body = b"4\r\nWiki\r\n6\r\npedia \r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        let (bytes, trailing) = decode(body, None, true).unwrap();
        assert_eq!(bytes, b"Wikipedia ");
        assert_eq!(
            trailing,
            [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]
        );
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let whole = b"4\r\nWiki\r\n0\r\n\r\n";
        assert!(decode(whole, None, false).is_ok());
        for end in 0..12 {
            assert_eq!(
                decode(&whole[..end], None, false).unwrap_err().code,
                "IncompleteBody",
                "{end}"
            );
        }
        assert!(decode(b"zz\r\n", None, false).is_err());
        assert!(decode(b"4\r\nWikix0\r\n\r\n", None, false).is_err());
    }
}
