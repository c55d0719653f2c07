//! A request as HTTP/2 sends it, made from the bytes that HTTP/1.1 would send: both protocols carry the same headers.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};

use crate::WireError;

/// Most header lines of one request.
const LINES_MAX: usize = 256;

/// Headers that belong to a connection of HTTP/1.1 and mean nothing in HTTP/2 (RFC 9113, section 8.2.2), and the host,
/// which travels as `:authority`. Of `te` only `trailers` is allowed.
const DROPPED: [&str; 6] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "upgrade",
];

/// A request, made once and sent many times.
#[derive(Clone)]
pub struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// The request in `bytes`, a whole HTTP/1.1 request, for a target reached over TLS or not. Names are written in
    /// lower case, the host becomes `:authority`, headers of the connection are dropped. Refuses what HTTP/2 cannot
    /// say: CONNECT, a body with a transfer coding, a path that is no path.
    pub fn from_http1(bytes: &[u8], tls: bool) -> Result<Self, WireError> {
        let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
        let mut parsed = httparse::Request::new(&mut lines);
        let head_bytes = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(n)) => n,
            Ok(httparse::Status::Partial) => return Err(refused("request", "", "its head has no end")),
            Err(e) => return Err(refused("request", &e.to_string(), "its head is not valid")),
        };
        let name = parsed.method.unwrap_or_default();
        if name == "CONNECT" {
            return Err(refused(
                "method",
                name,
                "HTTP/2 is not used for tunnels here: drop --http2",
            ));
        }
        let method = Method::from_bytes(name.as_bytes())
            .map_err(|_| refused("method", name, "it is no method of HTTP"))?;
        let named: Vec<&str> = lines_of(parsed.headers, "connection")
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let mut headers = HeaderMap::new();
        for line in parsed.headers.iter() {
            let dropped = |known: &&str| known.eq_ignore_ascii_case(line.name);
            if line.name.eq_ignore_ascii_case("transfer-encoding") {
                let why = "HTTP/2 has no transfer codings: leave the header out";
                return Err(refused("header", line.name, why));
            }
            let te = line.name.eq_ignore_ascii_case("te") && !line.value.eq_ignore_ascii_case(b"trailers");
            if te || DROPPED.iter().any(dropped) || named.iter().any(dropped) {
                continue;
            }
            // The value may be a secret, so the message names the header instead.
            let no_header = || refused("value of header", line.name, "HTTP/2 does not allow it");
            headers.append(
                HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| no_header())?,
                HeaderValue::from_bytes(line.value).map_err(|_| no_header())?,
            );
        }
        let path = parsed.path.unwrap_or_default();
        let uri = Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(lines_of(parsed.headers, "host").next().unwrap_or_default())
            .path_and_query(path)
            .build()
            .map_err(|e| refused("path", path, why(&e)))?;
        Ok(Self {
            method,
            uri,
            headers,
            body: Bytes::copy_from_slice(&bytes[head_bytes..]),
        })
    }

    /// The body; empty when there is none.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The head, as `h2` takes it.
    pub(super) fn head(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().clone_from(&self.headers);
        request
    }
}

impl std::fmt::Debug for Request {
    /// Without the values of headers: they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

fn lines_of<'h>(lines: &'h [httparse::Header<'h>], name: &'static str) -> impl Iterator<Item = &'h str> {
    lines
        .iter()
        .filter(move |line| line.name.eq_ignore_ascii_case(name))
        .filter_map(|line| std::str::from_utf8(line.value).ok())
}

fn why(error: &http::Error) -> &'static str {
    if error.is::<http::uri::InvalidUri>() || error.is::<http::uri::InvalidUriParts>() {
        "it, or the host header, is not one that HTTP/2 can carry: percent-encode it"
    } else {
        "HTTP/2 cannot carry it"
    }
}

fn refused(what: &'static str, value: &str, why: &'static str) -> WireError {
    WireError::Unsendable {
        what,
        value: value.chars().take(80).collect(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    fn made(text: &str) -> Request {
        Request::from_http1(text.as_bytes(), false).unwrap()
    }

    #[test]
    fn the_connection_s_headers_stay_behind() {
        let request = made(
            "POST /a?b=1 HTTP/1.1\r\nHost: here:80\r\nX-Key: v\r\nConnection: close, X-Hop\r\nx-hop: 1\r\n\
             Keep-Alive: 1\r\nUpgrade: h2c\r\nTE: trailers\r\ncontent-length: 3\r\n\r\nabc",
        );
        let head = request.head();
        assert_eq!(head.uri().to_string(), "http://here:80/a?b=1");
        assert_eq!(
            (head.method().as_str(), request.body().as_ref()),
            ("POST", &b"abc"[..])
        );
        let names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["x-key", "te", "content-length"]);
    }

    #[test]
    fn what_http2_cannot_say_is_refused_with_a_reason() {
        for text in [
            "CONNECT here:80 HTTP/1.1\r\nhost: here:80\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: not a host\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n",
        ] {
            assert!(Request::from_http1(text.as_bytes(), false).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let shown = format!(
            "{:?}",
            made("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: hunter2\r\n\r\n")
        );
        assert!(
            shown.contains("x-api-key") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
