//! Files of known bytes, with range requests that are right, off by one, or ignored.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::fastapi::reply::Reply;
use crate::law::mix;
use crate::settings::Settings;

/// The files there are.
pub(crate) const NAMES: [&str; 8] = [
    "aspen.bin",
    "birch.bin",
    "cedar.bin",
    "elm.bin",
    "fir.bin",
    "larch.bin",
    "maple.bin",
    "oak.bin",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Good,
    Bad,
    Ignored,
}

/// The files and how they are served.
#[derive(Debug)]
pub(crate) struct Files {
    bytes: usize,
    ranges: Ranges,
    etag: bool,
    seed: u64,
}

impl Files {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        Ok(Self {
            bytes: settings.count("file_kib", 1, 1024 * 1024)? as usize * 1024,
            ranges: match settings.choice("range", &["good", "bad", "none"])? {
                "good" => Ranges::Good,
                "bad" => Ranges::Bad,
                _ => Ranges::Ignored,
            },
            etag: settings.flag("etag")?,
            seed,
        })
    }

    /// Their names, sizes and tags.
    pub(crate) fn list(&self) -> Value {
        let files: Vec<Value> = NAMES
            .iter()
            .map(|name| json!({ "file_id": name, "bytes": self.bytes, "etag": self.tag(name) }))
            .collect();
        json!({ "files": files })
    }

    /// One file, whole or the range asked for; `None` when there is none of that name.
    pub(crate) fn get(&self, name: &str, asked: &HeaderMap) -> Option<Reply> {
        let name = NAMES.iter().find(|known| **known == name)?;
        let content = self.content(name);
        let text = |name| {
            asked
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let same = text(header::IF_RANGE).is_none_or(|tag| self.etag && tag == self.tag(name));
        let range = text(header::RANGE).filter(|_| self.ranges != Ranges::Ignored && same);
        let mut reply = match range.and_then(|range| bounds(range, content.len())) {
            None => Reply::new(StatusCode::OK, "application/octet-stream", content),
            Some(Err(())) => Reply::detail(StatusCode::RANGE_NOT_SATISFIABLE, "no such range").with(
                header::CONTENT_RANGE,
                value(&format!("bytes */{}", content.len())),
            ),
            Some(Ok((from, to))) => {
                let said = format!("bytes {from}-{to}/{}", content.len());
                let shift = usize::from(self.ranges == Ranges::Bad && from > 0);
                let part = content.slice(from - shift..=to - shift);
                Reply::new(StatusCode::PARTIAL_CONTENT, "application/octet-stream", part)
                    .with(header::CONTENT_RANGE, value(&said))
            }
        };
        if self.ranges != Ranges::Ignored {
            reply = reply.with(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if self.etag {
            reply = reply.with(header::ETAG, value(&self.tag(name)));
        }
        Some(reply)
    }

    /// Bytes that the seed and the name decide.
    fn content(&self, name: &str) -> Bytes {
        let start = name
            .bytes()
            .fold(self.seed, |hash, byte| mix(hash, u64::from(byte)));
        (0..self.bytes as u64 / 8)
            .flat_map(|k| mix(start, k).to_le_bytes())
            .collect()
    }

    fn tag(&self, name: &str) -> String {
        let hash = name
            .bytes()
            .fold(self.seed ^ 0xe7a6, |hash, byte| mix(hash, u64::from(byte)));
        format!("\"{hash:016x}\"")
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// First and last byte of a single range; `None` for what is to be ignored, an error for what cannot be satisfied.
fn bounds(range: &str, length: usize) -> Option<Result<(usize, usize), ()>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        let last: usize = to.parse().ok()?;
        return Some(if last == 0 {
            Err(())
        } else {
            Ok((length.saturating_sub(last), length - 1))
        });
    }
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() {
        usize::MAX
    } else {
        to.parse().ok()?
    };
    if to < from {
        return None;
    }
    Some(if from < length {
        Ok((from, to.min(length - 1)))
    } else {
        Err(())
    })
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(bounds("bytes=0-9", 100), Some(Ok((0, 9))));
        assert_eq!(bounds("bytes=90-", 100), Some(Ok((90, 99))));
        assert_eq!(bounds("bytes=90-400", 100), Some(Ok((90, 99))));
        assert_eq!(bounds("bytes=-10", 100), Some(Ok((90, 99))));
        assert_eq!(bounds("bytes=100-", 100), Some(Err(())));
        assert_eq!(bounds("bytes=9-1", 100), None);
        assert_eq!(bounds("bytes=0-1,5-6", 100), None);
        assert_eq!(bounds("lines=0-1", 100), None);
    }
}
