//! Conditional requests and ranges: what of an object a client gets. It knows no files.

use axum::http::HeaderMap;

use super::auth::header;
use super::errors::S3Error;

/// What the conditions say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it.
    Whole,
    /// These bytes, both ends included.
    Part(u64, u64),
    /// The client has it already.
    NotModified,
}

/// Holds the headers of a GET or HEAD against an object: `etag` with its quotes, `modified_s` since 1970.
pub(crate) fn judge(
    headers: &HeaderMap,
    etag: &str,
    modified_s: u64,
    length: u64,
) -> Result<Verdict, S3Error> {
    let time = |name: &str| header(headers, name).and_then(|text| date_s(&text));
    if let Some(wanted) = header(headers, "if-match") {
        if !names(&wanted, etag) {
            return Err(S3Error::precondition());
        }
    } else if time("if-unmodified-since").is_some_and(|since| modified_s > since) {
        return Err(S3Error::precondition());
    }
    if let Some(held) = header(headers, "if-none-match") {
        if names(&held, etag) {
            return Ok(Verdict::NotModified);
        }
    } else if time("if-modified-since").is_some_and(|since| modified_s <= since) {
        return Ok(Verdict::NotModified);
    }
    let Some(range) = header(headers, "range") else {
        return Ok(Verdict::Whole);
    };
    if let Some(held) = header(headers, "if-range") {
        let same = if held.starts_with('"') {
            held == etag
        } else {
            date_s(&held) == Some(modified_s)
        };
        if !same {
            return Ok(Verdict::Whole);
        }
    }
    part(&range, length)
}

/// Whether an object may be written over: `etag` of the one that is there.
pub(crate) fn may_write(headers: &HeaderMap, etag: Option<&str>) -> Result<(), S3Error> {
    if let Some(held) = header(headers, "if-none-match") {
        if held != "*" {
            return Err(S3Error::not_implemented());
        }
        if etag.is_some() {
            return Err(S3Error::precondition());
        }
    }
    if let Some(wanted) = header(headers, "if-match") {
        let etag = etag.ok_or_else(S3Error::no_such_key)?;
        if !names(&wanted, etag) {
            return Err(S3Error::precondition());
        }
    }
    Ok(())
}

fn names(list: &str, etag: &str) -> bool {
    let bare = etag.trim_matches('"');
    list.split(',').any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one).trim_matches('"') == bare
    })
}

/// One range of bytes. What is no such thing is ignored, as HTTP has it; several ranges get the whole object, as S3 has it.
fn part(range: &str, length: u64) -> Result<Verdict, S3Error> {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .filter(|spec| !spec.contains(','))
        .and_then(|spec| spec.split_once('-'))
    else {
        return Ok(Verdict::Whole);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (first.trim().is_empty(), number(first), number(last)) {
        (true, _, Some(0)) => return Err(S3Error::range(length)),
        (true, _, Some(count)) => (length.saturating_sub(count), length.saturating_sub(1)),
        (false, Some(from), Some(to)) if from <= to => (from, to.min(length.saturating_sub(1))),
        (false, Some(from), None) if last.trim().is_empty() => (from, length.saturating_sub(1)),
        _ => return Ok(Verdict::Whole),
    };
    if from >= length {
        return Err(S3Error::range(length));
    }
    Ok(Verdict::Part(from, to))
}

/// An HTTP date in seconds since 1970.
fn date_s(text: &str) -> Option<u64> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(date.timestamp().as_second()).ok()
}

/// Seconds since 1970 as an HTTP date.
pub(crate) fn http_date(modified_s: u64) -> String {
    at(modified_s).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Seconds since 1970 as XML has it.
pub(crate) fn iso_date(modified_s: u64) -> String {
    at(modified_s).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn at(modified_s: u64) -> jiff::Timestamp {
    i64::try_from(modified_s)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &str)]) -> Result<Verdict, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        judge(&headers, "\"abc\"", 1_700_000_000, 10).map_err(|error| error.code)
    }

    #[test]
    fn ranges() {
        for (range, wanted) in [
            ("bytes=0-3", Ok(Verdict::Part(0, 3))),
            ("bytes=4-", Ok(Verdict::Part(4, 9))),
            ("bytes=-3", Ok(Verdict::Part(7, 9))),
            ("bytes=-30", Ok(Verdict::Part(0, 9))),
            ("bytes=0-99", Ok(Verdict::Part(0, 9))),
            ("bytes=10-", Err("InvalidRange")),
            ("bytes=-0", Err("InvalidRange")),
            ("bytes=5-4", Ok(Verdict::Whole)),
            ("bytes=0-1,3-4", Ok(Verdict::Whole)),
            ("lines=0-1", Ok(Verdict::Whole)),
            ("bytes=a-b", Ok(Verdict::Whole)),
        ] {
            assert_eq!(verdict(&[("range", range)]), wanted, "{range}");
        }
    }

    #[test]
    fn conditions() {
        let before = http_date(1_600_000_000);
        let same = http_date(1_700_000_000);
        for (pairs, wanted) in [
            (vec![("if-match", "\"abc\"")], Ok(Verdict::Whole)),
            (vec![("if-match", "\"x\"")], Err("PreconditionFailed")),
            (vec![("if-none-match", "\"abc\"")], Ok(Verdict::NotModified)),
            (vec![("if-none-match", "\"x\"")], Ok(Verdict::Whole)),
            (
                vec![("if-modified-since", same.as_str())],
                Ok(Verdict::NotModified),
            ),
            (vec![("if-modified-since", before.as_str())], Ok(Verdict::Whole)),
            (
                vec![("if-unmodified-since", before.as_str())],
                Err("PreconditionFailed"),
            ),
            (
                vec![("range", "bytes=0-1"), ("if-range", "\"abc\"")],
                Ok(Verdict::Part(0, 1)),
            ),
            (
                vec![("range", "bytes=0-1"), ("if-range", "\"x\"")],
                Ok(Verdict::Whole),
            ),
            (
                vec![("range", "bytes=0-1"), ("if-range", same.as_str())],
                Ok(Verdict::Part(0, 1)),
            ),
        ] {
            assert_eq!(verdict(&pairs), wanted, "{pairs:?}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date_s("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(iso_date(784_111_777), "1994-11-06T08:49:37.000Z");
    }
}
