//! A request as bytes, rendered once and sent many times.

use prony_model::{Header, Secret};

use crate::WireError;

/// What a request is made of.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// Method.
    pub method: &'a str,
    /// Request target: path and query.
    pub target: &'a str,
    /// Host header, unless one of the headers replaces it.
    pub authority: &'a str,
    /// Headers of every request of the run.
    pub common: &'a [(String, Secret)],
    /// Headers of this request; they replace common ones of the same name.
    pub headers: &'a [Header],
    /// Body, if any.
    pub body: Option<&'a [u8]>,
    /// Whether the connection shall stay open.
    pub keep_alive: bool,
}

/// The bytes of a request. Refuses what would not be one request: control characters in the parts.
pub fn render(parts: &RequestParts<'_>) -> Result<Vec<u8>, WireError> {
    check(
        "method",
        parts.method,
        !parts.method.is_empty() && parts.method.bytes().all(is_token),
    )?;
    check(
        "path",
        parts.target,
        parts.target.bytes().all(|b| b > b' ' && b != 0x7f),
    )?;
    let named = |name: &str| {
        parts.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name))
            || parts.common.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    let mut out = Vec::with_capacity(256 + parts.body.map_or(0, <[u8]>::len));
    for part in [parts.method, " ", parts.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if !named("host") {
        line(&mut out, "host", parts.authority)?;
    }
    if !named("user-agent") {
        line(
            &mut out,
            "user-agent",
            concat!("prony/", env!("CARGO_PKG_VERSION")),
        )?;
    }
    if !named("accept") {
        line(&mut out, "accept", "*/*")?;
    }
    for (name, value) in parts.common {
        if !parts.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name)) {
            line(&mut out, name, value.reveal())?;
        }
    }
    for header in parts.headers {
        line(&mut out, &header.name, &header.value)?;
    }
    if !named("content-length") && !named("transfer-encoding") {
        match parts.body {
            Some(body) => line(&mut out, "content-length", &body.len().to_string())?,
            None if matches!(parts.method, "POST" | "PUT" | "PATCH") => {
                line(&mut out, "content-length", "0")?;
            }
            None => {}
        }
    }
    if !parts.keep_alive && !named("connection") {
        line(&mut out, "connection", "close")?;
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(parts.body.unwrap_or_default());
    Ok(out)
}

fn line(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), WireError> {
    check(
        "header name",
        name,
        !name.is_empty() && name.bytes().all(is_token),
    )?;
    // The value may be a secret, so the message names the header instead.
    check(
        "value of header",
        name,
        value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)),
    )?;
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

fn check(what: &'static str, value: &str, good: bool) -> Result<(), WireError> {
    if good {
        return Ok(());
    }
    let why = "it is empty or holds a blank, line break or control character that HTTP does not allow there";
    Err(WireError::Unsendable {
        what,
        value: value.chars().take(80).collect(),
        why,
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{RequestParts, render};
    use prony_model::{Header, Secret};

    fn parts<'a>() -> RequestParts<'a> {
        RequestParts {
            method: "GET",
            target: "/a?b=1",
            authority: "localhost:1",
            common: &[],
            headers: &[],
            body: None,
            keep_alive: true,
        }
    }

    fn text(parts: &RequestParts<'_>) -> String {
        String::from_utf8(render(parts).unwrap()).unwrap()
    }

    #[test]
    fn plain_get() {
        let got = text(&parts());
        assert!(
            got.starts_with("GET /a?b=1 HTTP/1.1\r\nhost: localhost:1\r\n"),
            "{got}"
        );
        assert!(got.ends_with("\r\n\r\n") && !got.contains("content-length") && !got.contains("connection"));
    }

    #[test]
    fn bodies_have_a_length() {
        let got = text(&RequestParts {
            method: "POST",
            body: Some(b"hello"),
            ..parts()
        });
        assert!(
            got.contains("content-length: 5\r\n") && got.ends_with("\r\n\r\nhello"),
            "{got}"
        );
        let got = text(&RequestParts {
            method: "POST",
            keep_alive: false,
            ..parts()
        });
        assert!(
            got.contains("content-length: 0\r\n") && got.contains("connection: close\r\n"),
            "{got}"
        );
    }

    #[test]
    fn a_request_header_replaces_a_common_one() {
        let common = [("x-key".to_owned(), Secret::new("run"))];
        let headers = [Header::new("X-Key", "mine"), Header::new("Host", "other")];
        let got = text(&RequestParts {
            common: &common,
            headers: &headers,
            ..parts()
        });
        assert!(got.contains("X-Key: mine") && !got.contains("run"), "{got}");
        assert!(got.contains("Host: other") && !got.contains("localhost"), "{got}");
    }

    #[test]
    fn nothing_smuggles_a_second_request() {
        let headers = [Header::new("x", "a\r\nb: c")];
        assert!(
            render(&RequestParts {
                headers: &headers,
                ..parts()
            })
            .is_err()
        );
        assert!(
            render(&RequestParts {
                target: "/a b",
                ..parts()
            })
            .is_err()
        );
        assert!(
            render(&RequestParts {
                method: "GE T",
                ..parts()
            })
            .is_err()
        );
        let common = [("x-key".to_owned(), Secret::new("bad\nsecret"))];
        let error = render(&RequestParts {
            common: &common,
            ..parts()
        })
        .unwrap_err()
        .to_string();
        assert!(!error.contains("secret") && error.contains("x-key"), "{error}");
    }
}
