//! Listings of the bucket, version 2 and 1: prefix, delimiter, pages. It reads no files itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::auth::encode;
use super::conditions::iso_date;
use super::errors::S3Error;
use super::objects::{Entry, Objects};
use super::xml::Writer;

const PAGE_MAX: usize = 1000;

/// What is asked for.
struct Wanted<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    /// Only what comes after it.
    after: String,
    max: usize,
    encoded: bool,
}

/// One line of a page.
enum Line {
    Object(Entry),
    Prefix(String),
}

/// The listing that the query asks for.
pub(crate) fn list(objects: &Objects, bucket: &str, pairs: &[(String, String)]) -> Result<Vec<u8>, S3Error> {
    let get = |name: &str| {
        pairs
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value.as_str())
    };
    let second = get("list-type") == Some("2");
    let token = get("continuation-token");
    let after = match (second, token) {
        (true, Some(token)) => from_token(token)?,
        (true, None) => get("start-after").unwrap_or_default().to_owned(),
        (false, _) => get("marker").unwrap_or_default().to_owned(),
    };
    let max = match get("max-keys") {
        None => PAGE_MAX,
        Some(text) => text
            .parse::<i32>()
            .ok()
            .and_then(|max| usize::try_from(max).ok())
            .ok_or_else(|| {
                S3Error::bad(
                    "InvalidArgument",
                    "Provided max-keys not an integer or within integer range",
                )
            })?,
    };
    let encoded = match get("encoding-type") {
        None => false,
        Some("url") => true,
        Some(_) => {
            return Err(S3Error::bad(
                "InvalidArgument",
                "Invalid Encoding Method specified in Request",
            ));
        }
    };
    let wanted = Wanted {
        prefix: get("prefix").unwrap_or_default(),
        delimiter: get("delimiter").unwrap_or_default(),
        after,
        max: max.min(PAGE_MAX),
        encoded,
    };
    let (lines, more) = wanted.page(objects)?;
    let name = |text: &str| {
        if wanted.encoded {
            encode(text, false)
        } else {
            text.to_owned()
        }
    };
    let mut out = Writer::new("ListBucketResult");
    out.leaf("Name", bucket);
    out.leaf("Prefix", name(wanted.prefix));
    if !wanted.delimiter.is_empty() {
        out.leaf("Delimiter", name(wanted.delimiter));
    }
    out.leaf("MaxKeys", max.to_string());
    if wanted.encoded {
        out.leaf("EncodingType", "url");
    }
    if second {
        out.leaf("KeyCount", lines.len().to_string());
        if let Some(start) = get("start-after") {
            out.leaf("StartAfter", name(start));
        }
        if let Some(token) = token {
            out.leaf("ContinuationToken", token);
        }
    } else {
        out.leaf("Marker", name(&wanted.after));
    }
    out.leaf("IsTruncated", more.to_string());
    if let (true, Some(last)) = (more, lines.last()) {
        let last = match last {
            Line::Object(entry) => &entry.key,
            Line::Prefix(prefix) => prefix,
        };
        if second {
            out.leaf("NextContinuationToken", URL_SAFE_NO_PAD.encode(last));
        } else {
            out.leaf("NextMarker", name(last));
        }
    }
    write(&mut out, &lines, name);
    Ok(out.finish())
}

fn write(out: &mut Writer, lines: &[Line], name: impl Fn(&str) -> String) {
    for line in lines {
        match line {
            Line::Object(entry) => {
                out.begin("Contents");
                out.leaf("Key", name(&entry.key));
                out.leaf("LastModified", iso_date(entry.meta.modified_s()));
                out.leaf("ETag", &entry.meta.etag);
                out.leaf("Size", entry.meta.length.to_string());
                out.leaf("StorageClass", "STANDARD");
                out.end();
            }
            Line::Prefix(prefix) => {
                out.begin("CommonPrefixes");
                out.leaf("Prefix", name(prefix));
                out.end();
            }
        }
    }
}

impl Wanted<'_> {
    /// The lines of the page, and whether there are more.
    fn page(&self, objects: &Objects) -> Result<(Vec<Line>, bool), S3Error> {
        let mut lines: Vec<Line> = Vec::new();
        let mut last_prefix = None;
        for key in objects.keys(self.prefix)? {
            let rest = &key[self.prefix.len()..];
            let prefix = (!self.delimiter.is_empty())
                .then(|| rest.find(self.delimiter))
                .flatten()
                .map(|at| key[..self.prefix.len() + at + self.delimiter.len()].to_owned());
            let line = prefix.as_ref().unwrap_or(&key);
            // A prefix that was told on the page before is not told again.
            if *line <= self.after
                || (prefix.is_some() && self.after.starts_with(line))
                || prefix == last_prefix && prefix.is_some()
            {
                continue;
            }
            if lines.len() == self.max {
                return Ok((lines, self.max > 0));
            }
            if let Some(prefix) = prefix {
                lines.push(Line::Prefix(prefix.clone()));
                last_prefix = Some(prefix);
                continue;
            }
            // Whoever else writes there may have removed it in this moment.
            if let Ok(meta) = objects.head(&key) {
                lines.push(Line::Object(Entry { key, meta }));
            }
        }
        Ok((lines, false))
    }
}

fn from_token(token: &str) -> Result<String, S3Error> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| S3Error::bad("InvalidArgument", "The continuation token provided is incorrect"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store_s3::xml::children;

    fn listing(objects: &Objects, pairs: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let read = children(&list(objects, "b", &pairs).unwrap(), "ListBucketResult").unwrap();
        let names = read
            .iter()
            .filter_map(|child| child.field("Key").or(child.field("Prefix")))
            .map(str::to_owned)
            .collect();
        let next = read
            .into_iter()
            .find(|child| child.name.starts_with("Next"))
            .map(|child| child.text);
        (names, next)
    }

    #[test]
    fn pages_tell_each_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let objects = Objects::new(root, folder.path().join("workshop"), 1000).unwrap();
        for key in ["a", "b/1", "b/2", "b/3", "c", "d/1", "é &"] {
            objects.put(key, b"x", "", Vec::new(), Vec::new()).unwrap();
        }
        for (list_type, parameter) in [("2", "continuation-token"), ("1", "marker")] {
            let mut told = Vec::new();
            let mut token: Option<String> = None;
            loop {
                let mut pairs = vec![("list-type", list_type), ("delimiter", "/"), ("max-keys", "2")];
                if let Some(token) = &token {
                    pairs.push((parameter, token));
                }
                let (names, next) = listing(&objects, &pairs);
                told.extend(names);
                token = next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(told, ["a", "b/", "c", "d/", "é &"]);
        }
        assert_eq!(listing(&objects, &[("prefix", "b/")]).0, ["b/1", "b/2", "b/3"]);
        assert_eq!(
            listing(
                &objects,
                &[
                    ("list-type", "2"),
                    ("start-after", "d/1"),
                    ("encoding-type", "url")
                ]
            )
            .0,
            ["%C3%A9%20%26"]
        );
        assert_eq!(listing(&objects, &[("max-keys", "0")]), (Vec::new(), None));
    }
}
