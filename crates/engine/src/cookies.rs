//! The cookies of one client: what answers set, and what its next requests send back. One jar for each server, bounded; what
//! a cookie is good for (RFC 6265: domain, path, expiry) is `cookie_store`'s to say. It knows no requests and keeps nothing.

use std::fmt;

use cookie_store::{Cookie, CookieStore};
use prony_model::Secret;
use prony_wire::Origin;
use prony_wire::http1::request_line;
use url::Url;

/// Longest `Set-Cookie` that is taken, as in browsers.
const LINE_BYTES_MAX: usize = 4096;

/// Most cookies of a jar; a further name is not taken.
const COOKIES_MAX: usize = 50;

/// Most replaced values that are remembered.
const RETIRED_MAX: usize = 100;

/// The cookies of one client, by the way that its requests take.
#[derive(Clone, Default)]
pub(crate) struct Cookies {
    jars: Vec<CookieStore>,
    /// Values that were replaced: a target may still repeat them.
    retired: Vec<Secret>,
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Cookies({})",
            self.jars.iter().flat_map(CookieStore::iter_any).count()
        )
    }
}

impl Cookies {
    /// Takes what the header lines of an answer from `url` set. What is too long or one too many is left out.
    pub(crate) fn take(&mut self, route: u16, url: &Url, lines: &[(String, Vec<u8>)]) {
        let route = usize::from(route);
        for (_, value) in lines
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            let text = std::str::from_utf8(value).unwrap_or_default();
            let Ok(cookie) = cookie_store::RawCookie::parse(text.to_owned()) else {
                continue;
            };
            // Nothing of it may begin another header.
            let is_plain = [cookie.name(), cookie.value()]
                .iter()
                .all(|part| !part.bytes().any(|b| b < b' ' || b == 0x7f));
            if text.len() > LINE_BYTES_MAX || !is_plain {
                continue;
            }
            if self.jars.len() <= route {
                self.jars.resize_with(route + 1, CookieStore::default);
            }
            let jar = &mut self.jars[route];
            let Ok(cookie) = Cookie::try_from_raw_cookie(&cookie, url) else {
                // It is not meant for this server.
                continue;
            };
            // As the store tells them apart: whether a path or domain was spelled out makes no difference.
            let identity = |one: &Cookie<'_>| {
                (
                    one.name().to_owned(),
                    String::from(&one.path),
                    String::from(&one.domain),
                )
            };
            let is_same = |known: &Cookie<'_>| identity(known) == identity(&cookie);
            let old = jar.iter_any().find(|known| is_same(known));
            if let Some(old) = old
                && old.value() != cookie.value()
            {
                if self.retired.len() >= RETIRED_MAX {
                    self.retired.remove(0);
                }
                self.retired.push(Secret::new(old.value()));
            }
            if old.is_some() || jar.iter_any().count() < COOKIES_MAX {
                // One that has expired is none.
                let _ = jar.insert(cookie, url);
            }
        }
    }

    /// A rendered request for `origin` with the cookies that it is to carry; `None` where there are none.
    pub(crate) fn carried(&self, route: u16, origin: &Origin, request: &[u8]) -> Option<Vec<u8>> {
        const NAME: &[u8] = b"\r\ncookie: ";
        let value = self.header(route, &origin.url(request_line(request).1)?)?;
        let head = request.windows(4).position(|w| w == b"\r\n\r\n")?;
        // A request has one such line (RFC 6265, section 5.4): what it says already comes first.
        let given = request[..head]
            .windows(NAME.len())
            .position(|w| w.eq_ignore_ascii_case(NAME))
            .map(|at| at + NAME.len());
        let (at, text) = match given {
            Some(start) => {
                let length = request[start..].iter().take_while(|byte| **byte != b'\r').count();
                (start + length, format!("; {value}"))
            }
            None => (head, format!("\r\ncookie: {value}")),
        };
        Some([&request[..at], text.as_bytes(), &request[at..]].concat())
    }

    /// The value of the `Cookie` header for a request to `url`; `None` where there is nothing to send. Longer paths come first.
    pub(crate) fn header(&self, route: u16, url: &Url) -> Option<String> {
        let mut found = self.jars.get(usize::from(route))?.matches(url);
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = found
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Every value, which an answer that is kept must not repeat.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> {
        let all = self.jars.iter().flat_map(CookieStore::iter_any);
        all.map(|cookie| Secret::new(cookie.value()))
            .chain(self.retired.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use prony_wire::Origin;
    use url::Url;

    use super::{COOKIES_MAX, Cookies, LINE_BYTES_MAX};

    fn url(path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:8000{path}")).unwrap()
    }

    fn set(lines: &[&str]) -> Vec<(String, Vec<u8>)> {
        lines
            .iter()
            .map(|line| ("Set-Cookie".to_owned(), line.as_bytes().to_vec()))
            .collect()
    }

    fn taken(lines: &[&str]) -> Cookies {
        let mut cookies = Cookies::default();
        cookies.take(0, &url("/login"), &set(lines));
        cookies
    }

    #[test]
    fn they_go_back_by_path_and_until_they_expire() {
        let mut cookies = taken(&[
            "sid=a1",
            "deep=b2; Path=/api/v1",
            "gone=c3; Max-Age=0",
            "old=d4; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "lasting=e5; Max-Age=3600; HttpOnly; Secure; SameSite=Strict",
        ]);
        assert_eq!(cookies.header(0, &url("/")).unwrap(), "sid=a1; lasting=e5");
        assert_eq!(
            cookies.header(0, &url("/api/v1/x?y=1")).unwrap(),
            "deep=b2; sid=a1; lasting=e5"
        );
        cookies.take(
            0,
            &url("/x"),
            &set(&["sid=a2; Path=/", "lasting=; Max-Age=0; Path=/"]),
        );
        assert_eq!(cookies.header(0, &url("/")).unwrap(), "sid=a2");
        let secrets: Vec<String> = cookies.secrets().map(|s| s.reveal().to_owned()).collect();
        assert!(
            ["a1", "a2", "e5"].iter().all(|v| secrets.iter().any(|s| s == v)),
            "{secrets:?}"
        );
        assert!(Cookies::default().header(0, &url("/")).is_none());
    }

    #[test]
    fn they_stay_with_their_server() {
        let cookies = taken(&["sid=a1", "other=b; Domain=example.org", "up=c; Domain=0.0.1"]);
        assert_eq!(cookies.header(0, &url("/")).unwrap(), "sid=a1");
        let elsewhere = Url::parse("http://localhost:8000/").unwrap();
        assert!(cookies.header(0, &elsewhere).is_none());
        assert!(
            cookies.header(1, &url("/")).is_none(),
            "another server on this host"
        );
    }

    #[test]
    fn what_a_target_sets_is_bounded_and_cannot_begin_a_header() {
        let long = format!("long={}", "x".repeat(LINE_BYTES_MAX));
        let cookies = taken(&[&long, "=", "", "noname", "bad=a\u{1}b", "good=1"]);
        assert_eq!(cookies.header(0, &url("/")).unwrap(), "good=1");
        let many: Vec<String> = (0..1000).map(|k| format!("c{k}={k}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut cookies = taken(&many);
        assert_eq!(cookies.secrets().count(), COOKIES_MAX);
        // Of the same name for ever other paths.
        for k in 0..1000 {
            cookies.take(0, &url("/"), &set(&[&format!("c0=v; Path=/{k}")]));
        }
        assert!(cookies.secrets().count() <= COOKIES_MAX);
    }

    #[test]
    fn a_request_has_one_line_of_them() {
        let origin = Origin::parse("http://127.0.0.1:8000").unwrap();
        let cookies = taken(&["sid=a1; Path=/in"]);
        let carried = |request: &str| {
            let bytes = cookies.carried(0, &origin, request.as_bytes());
            bytes.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(
            carried("POST /in/x HTTP/1.1\r\nhost: h\r\n\r\ncookie: no").unwrap(),
            "POST /in/x HTTP/1.1\r\nhost: h\r\ncookie: sid=a1\r\n\r\ncookie: no"
        );
        assert_eq!(
            carried("GET /in HTTP/1.1\r\nCookie: b=2\r\nhost: h\r\n\r\n").unwrap(),
            "GET /in HTTP/1.1\r\nCookie: b=2; sid=a1\r\nhost: h\r\n\r\n"
        );
        assert!(carried("GET /out HTTP/1.1\r\nhost: h\r\n\r\n").is_none());
    }

    #[test]
    fn they_do_not_print() {
        assert_eq!(format!("{:?}", taken(&["sid=hunter2"])), "Cookies(1)");
    }
}
