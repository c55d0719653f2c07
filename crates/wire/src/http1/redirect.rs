//! The request that follows a redirect, from the one that was sent. No sockets: where a `Location` leads is `Origin`'s to say.

use prony_model::Secret;

use crate::WireError;

/// Headers of a body (Fetch standard, "request-body-header name") and of its framing: a request that lost its body loses them.
const OF_BODY: [&str; 6] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "transfer-encoding",
];

/// Headers of a request that go along to another server, beside those of its body: all others may carry what is for the first alone.
const FOR_ANYONE: [&str; 5] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "range",
    "user-agent",
];

/// Another server than the one that redirects.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// Its Host header.
    pub authority: &'a str,
    /// The headers of every request to the other one.
    pub common: &'a [(String, Secret)],
}

/// Method and target of a rendered request.
pub fn request_line(sent: &[u8]) -> (&str, &str) {
    let line = sent.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// The request that follows a redirect with this status to `target`, and whether its answer has no body. 303 turns into GET, and
/// so do 301 and 302 after a POST (RFC 9110, section 15.4), without the body; 307 and 308 repeat the request. To another server
/// no header goes that may be for the first alone.
pub fn redirected(
    sent: &[u8],
    status: u16,
    target: &str,
    elsewhere: Option<Elsewhere<'_>>,
) -> Result<(Vec<u8>, bool), WireError> {
    let head_end = sent.windows(4).position(|w| w == b"\r\n\r\n");
    let (Some(head_end), true) = (head_end, target.bytes().all(|b| b > b' ' && b != 0x7f)) else {
        return Err(WireError::Unsendable {
            what: "path",
            value: target.chars().take(80).collect(),
            why: "a redirect leads to what HTTP does not allow there",
        });
    };
    let (method, _) = request_line(sent);
    let to_get = match status {
        303 => method != "HEAD",
        301 | 302 => method == "POST",
        _ => false,
    };
    let method = if to_get { "GET" } else { method };
    let mut out = Vec::with_capacity(sent.len() + target.len());
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(other) = elsewhere {
        for part in ["host: ", other.authority, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in other
            .common
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            for part in [name, ": ", value.reveal(), "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    let is_in = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let has = |list: &[(String, Secret)], name: &str| {
        list.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let mut lines = sent[..head_end + 2]
        .split_inclusive(|byte| *byte == b'\n')
        .skip(1);
    for line in lines.by_ref() {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default();
        let of_body = to_get && is_in(&OF_BODY, name);
        let stays = elsewhere.is_some_and(|other| {
            let goes = is_in(&FOR_ANYONE, name) || is_in(&OF_BODY, name);
            !goes || has(other.common, name)
        });
        if !of_body && !stays {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(b"\r\n");
    if !to_get {
        out.extend_from_slice(&sent[head_end + 4..]);
    }
    Ok((out, method == "HEAD"))
}

#[cfg(test)]
mod tests {
    use prony_model::Secret;

    use super::{Elsewhere, redirected, request_line};

    const POST: &str = "POST /a?b=1 HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\nX-Run: 7\r\nAuthorization: Bearer s3cr3t\r\n\
                        Content-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

    fn next(sent: &str, status: u16) -> (String, bool) {
        let (bytes, no_body) = redirected(sent.as_bytes(), status, "/c", None).unwrap();
        (String::from_utf8(bytes).unwrap(), no_body)
    }

    #[test]
    fn methods_and_bodies_as_the_standard_says() {
        let repeated = POST.replace("/a?b=1", "/c");
        let got =
            "GET /c HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\nX-Run: 7\r\nAuthorization: Bearer s3cr3t\r\n\r\n";
        for (status, expected) in [
            (301, got),
            (302, got),
            (303, got),
            (307, repeated.as_str()),
            (308, repeated.as_str()),
        ] {
            assert_eq!(next(POST, status).0, expected, "{status}");
        }
        let put = POST.replace("POST", "PUT");
        assert!(next(&put, 302).0.ends_with("\r\n\r\nhello"), "only POST changes");
        assert!(next(&put, 303).0.starts_with("GET /c"));
        let head = POST.replace("POST", "HEAD");
        assert!(next(&head, 303).1 && next(&head, 303).0.starts_with("HEAD /c"));
        // A chain goes on from what was sent last, and not from what was sent first.
        assert!(next(&next(POST, 303).0, 307).0.starts_with("GET /c"));
    }

    #[test]
    fn another_server_gets_nothing_that_was_for_the_first() {
        let common = [("x-store".to_owned(), Secret::new("1"))];
        let other = Elsewhere {
            authority: "store:9",
            common: &common,
        };
        let (bytes, _) = redirected(POST.as_bytes(), 307, "/k", Some(other)).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "POST /k HTTP/1.1\r\nhost: store:9\r\nx-store: 1\r\naccept: */*\r\nContent-Type: text/plain\r\n\
             content-length: 5\r\n\r\nhello"
        );
    }

    #[test]
    fn what_is_no_request_is_not_sent() {
        for target in ["/a b", "/a\r\nx: y", "/\u{7f}"] {
            assert!(
                redirected(POST.as_bytes(), 302, target, None).is_err(),
                "{target:?}"
            );
        }
        assert!(redirected(b"GET / HTTP/1.1\r\n", 302, "/", None).is_err());
        assert_eq!(request_line(POST.as_bytes()), ("POST", "/a?b=1"));
        assert_eq!(request_line(b""), ("", ""));
    }
}
