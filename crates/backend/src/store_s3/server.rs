//! The store on its port: which operation a request is, who may ask, and the answer with its headers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::auth::{self, Keys, Signed, query};
use super::conditions::{self, Verdict, http_date, iso_date};
use super::errors::S3Error;
use super::listing;
use super::multipart::Uploads;
use super::objects::{Meta, Objects};
use super::writing::{self, Received};
use super::xml::{self, Writer};
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::params::percent_decode;
use crate::gate::Gate;
use crate::system::{Answering, Start};

const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest body that is no object.
const DOCUMENT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Chunks and trailers take some room beside the object.
const FRAMING: usize = 1024 * 1024;
/// The object that a copy is made of.
const COPY_SOURCE: &str = "x-amz-copy-source";
/// Headers of an answer that a client may choose.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    bucket: String,
    keys: Keys,
    objects: Objects,
    uploads: Uploads,
    object_max: usize,
    latency: Duration,
    alarm: Alarm,
    gate: Gate,
    next_id: AtomicU64,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    operations: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    bytes_in: u64,
    bytes_out: u64,
    at_once: usize,
    at_once_max: usize,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn xml(body: Vec<u8>) -> Self {
        Self::empty(StatusCode::OK)
            .body(body)
            .with("content-type", "application/xml")
    }

    fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A request that may come in.
struct Asked {
    parts: Parts,
    pairs: Vec<(String, String)>,
    key: String,
    operation: &'static str,
}

impl Asked {
    fn get(&self, name: &str) -> &str {
        self.pairs
            .iter()
            .find(|(held, _)| held == name)
            .map_or("", |(_, value)| value.as_str())
    }
}

impl Store {
    /// From the knobs, over a folder that is there.
    pub(crate) fn new(start: &Start<'_>, folder: PathBuf) -> Result<Self, BackendError> {
        let settings = start.settings;
        let workshop = folder.with_file_name("uploads");
        let latency_s = settings.number("store_latency_s", 0.0, 3600.0)?;
        Ok(Self {
            bucket: settings.word("store_bucket").to_owned(),
            keys: Keys {
                access: settings.word("store_access_key").to_owned(),
                secret: settings.word("store_secret_key").to_owned(),
            },
            objects: Objects::new(
                folder,
                workshop,
                settings.count("store_mb", 1, 65_536)? * 1024 * 1024,
            )?,
            uploads: Uploads::default(),
            object_max: settings.count("store_object_mb", 1, 4096)? as usize * 1024 * 1024,
            latency: Duration::from_secs_f64(latency_s * start.time_scale),
            alarm: Alarm::start()?,
            gate: Gate::new(
                settings.count("store_connections", 1, 4096)? as usize,
                settings.count("store_waiting", 0, 1_000_000)? as usize,
            ),
            next_id: AtomicU64::new(1),
            account: Mutex::default(),
        })
    }

    /// Serves one request.
    pub(crate) fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let head = parts.method == Method::HEAD;
            let resource = percent_decode(parts.uri.path(), false);
            let (operation, outcome) = Arc::clone(&self).serve(parts, body).await;
            let mut answer = outcome.unwrap_or_else(|error| told(&error, &resource));
            if head {
                answer.body.clear();
            }
            self.note(operation, &answer);
            self.signed(answer)
        })
    }

    /// The account begins anew.
    pub(crate) fn reset(&self) {
        let mut account = self.account();
        let at_once = account.at_once;
        *account = Account {
            at_once,
            at_once_max: at_once,
            ..Account::default()
        };
    }

    /// What is true of it.
    pub(crate) fn to_json(&self) -> Value {
        let (count, bytes) = self.objects.held().unwrap_or_default();
        let account = self.account();
        let operations: serde_json::Map<String, Value> = account
            .operations
            .iter()
            .map(|(name, statuses)| {
                let statuses: serde_json::Map<String, Value> = statuses
                    .iter()
                    .map(|(status, count)| (status.to_string(), json!(count)))
                    .collect();
                ((*name).to_owned(), Value::Object(statuses))
            })
            .collect();
        json!({
            "bucket": self.bucket,
            "files": count,
            "bytes": bytes,
            "uploads": self.uploads.count(),
            "operations": operations,
            "bytes_in": account.bytes_in,
            "bytes_out": account.bytes_out,
            "at_once_max": account.at_once_max,
        })
    }

    async fn serve(self: Arc<Self>, parts: Parts, body: Body) -> (&'static str, Result<Answer, S3Error>) {
        let Ok(place) = self.gate.enter().await else {
            let slow = S3Error::new(
                "SlowDown",
                StatusCode::SERVICE_UNAVAILABLE,
                "Please reduce your request rate.",
            );
            return ("refused", Err(slow));
        };
        let inside = Inside::new(&self);
        if !self.latency.is_zero() {
            self.alarm.sleep_until(Instant::now() + self.latency).await;
        }
        let (asked, signed) = match self.admit(parts) {
            Ok(admitted) => admitted,
            Err(refused) => return ("refused", Err(refused)),
        };
        let operation = asked.operation;
        let limit = match operation {
            "PutObject" | "UploadPart" => self.object_max + FRAMING,
            _ => DOCUMENT_MAX_BYTES,
        };
        let bytes = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return (operation, Err(too_large())),
            Err(_) => {
                let late = S3Error::bad(
                    "RequestTimeout",
                    "Your socket connection to the server was not read from or written to within the timeout period.",
                );
                return (operation, Err(late));
            }
        };
        let store = Arc::clone(&self);
        let answer = tokio::task::spawn_blocking(move || store.answer(&asked, bytes, signed)).await;
        drop((place, inside));
        let failed = |_| {
            Err(S3Error::new(
                "InternalError",
                StatusCode::INTERNAL_SERVER_ERROR,
                "We encountered an internal error. Please try again.",
            ))
        };
        (operation, answer.unwrap_or_else(failed))
    }

    /// Who may ask, and for what.
    fn admit(&self, parts: Parts) -> Result<(Asked, Signed), S3Error> {
        let signed = self.keys.verify(&parts, jiff::Timestamp::now())?;
        let pairs = query(parts.uri.query().unwrap_or_default());
        let path = percent_decode(parts.uri.path(), false);
        let (bucket, key) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        if !bucket.is_empty() && bucket != self.bucket && parts.method != Method::PUT {
            return Err(S3Error::new(
                "NoSuchBucket",
                StatusCode::NOT_FOUND,
                "The specified bucket does not exist",
            ));
        }
        let has = |name: &str| pairs.iter().any(|(held, _)| held == name);
        let operation = match (parts.method.as_str(), bucket.is_empty(), key.is_empty()) {
            ("GET", true, _) => "ListBuckets",
            ("HEAD", false, true) => "HeadBucket",
            ("PUT", false, true) if pairs.is_empty() => "CreateBucket",
            ("GET", false, true) if has("location") => "GetBucketLocation",
            ("GET", false, true)
                if !["uploads", "versions", "acl", "policy", "versioning"]
                    .iter()
                    .any(|name| has(name)) =>
            {
                "ListObjects"
            }
            ("POST", false, true) if has("delete") => "DeleteObjects",
            ("PUT", false, false) if bucket != self.bucket => {
                return Err(S3Error::new(
                    "NoSuchBucket",
                    StatusCode::NOT_FOUND,
                    "The specified bucket does not exist",
                ));
            }
            ("PUT", false, false) if has("partNumber") && has("uploadId") => {
                if parts.headers.contains_key(COPY_SOURCE) {
                    "UploadPartCopy"
                } else {
                    "UploadPart"
                }
            }
            ("PUT", false, false) if parts.headers.contains_key(COPY_SOURCE) => "CopyObject",
            ("PUT", false, false) if !has("acl") && !has("tagging") => "PutObject",
            ("GET", false, false) if has("uploadId") => "ListParts",
            ("GET", false, false) if !has("acl") && !has("tagging") && !has("attributes") => "GetObject",
            ("HEAD", false, false) => "HeadObject",
            ("DELETE", false, false) if has("uploadId") => "AbortMultipartUpload",
            ("DELETE", false, false) => "DeleteObject",
            ("POST", false, false) if has("uploads") => "CreateMultipartUpload",
            ("POST", false, false) if has("uploadId") => "CompleteMultipartUpload",
            ("GET" | "HEAD" | "PUT" | "POST" | "DELETE", _, _) => return Err(S3Error::not_implemented()),
            _ => {
                return Err(S3Error::new(
                    "MethodNotAllowed",
                    StatusCode::METHOD_NOT_ALLOWED,
                    "The specified method is not allowed against this resource.",
                ));
            }
        };
        let key = key.to_owned();
        Ok((
            Asked {
                parts,
                pairs,
                key,
                operation,
            },
            signed,
        ))
    }

    fn answer(&self, asked: &Asked, body: Bytes, signed: Signed) -> Result<Answer, S3Error> {
        let received = writing::receive(&asked.parts.headers, body, signed)?;
        if received.bytes.len() > self.object_max {
            return Err(too_large());
        }
        self.account().bytes_in += received.bytes.len() as u64;
        let (key, id) = (asked.key.as_str(), asked.get("uploadId"));
        match asked.operation {
            "ListBuckets" => Ok(Answer::xml(self.list_buckets())),
            "HeadBucket" => Ok(Answer::empty(StatusCode::OK)),
            "CreateBucket" => Err(S3Error::new(
                "BucketAlreadyOwnedByYou",
                StatusCode::CONFLICT,
                "This store has one bucket, and it is there.",
            )),
            "GetBucketLocation" => Ok(Answer::xml(Writer::new("LocationConstraint").finish())),
            "ListObjects" => listing::list(&self.objects, &self.bucket, &asked.pairs).map(Answer::xml),
            "DeleteObjects" => self.delete_objects(&received.bytes),
            "PutObject" => self.put(asked, received),
            "CopyObject" => self.copy(asked),
            "GetObject" => self.get(asked, true),
            "HeadObject" => self.get(asked, false),
            "DeleteObject" => {
                self.objects.delete(key)?;
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
            "CreateMultipartUpload" => {
                let id = self.uploads.begin(key, writing::kept(&asked.parts.headers)?)?;
                let mut out = Writer::new("InitiateMultipartUploadResult");
                out.leaf("Bucket", &self.bucket);
                out.leaf("Key", key);
                out.leaf("UploadId", id);
                Ok(Answer::xml(out.finish()))
            }
            "UploadPart" => {
                let etag =
                    self.uploads
                        .put(&self.objects, id, key, asked.get("partNumber"), &received.bytes)?;
                let mut answer = Answer::empty(StatusCode::OK).with("etag", format!("\"{etag}\""));
                answer.headers.extend(received.checksums);
                Ok(answer)
            }
            "UploadPartCopy" => self.copy_part(asked),
            "CompleteMultipartUpload" => {
                let listed = xml::children(&received.bytes, "CompleteMultipartUpload")?;
                let meta = self.uploads.complete(&self.objects, id, key, &listed)?;
                let mut out = Writer::new("CompleteMultipartUploadResult");
                out.leaf("Location", format!("/{}/{key}", self.bucket));
                out.leaf("Bucket", &self.bucket);
                out.leaf("Key", key);
                out.leaf("ETag", meta.etag);
                Ok(Answer::xml(out.finish()))
            }
            "AbortMultipartUpload" => {
                self.uploads.abort(id, key)?;
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
            "ListParts" => self.uploads.list(&self.bucket, id, key).map(Answer::xml),
            _ => Err(S3Error::not_implemented()),
        }
    }

    fn put(&self, asked: &Asked, received: Received) -> Result<Answer, S3Error> {
        let there = self.objects.head(&asked.key).ok();
        conditions::may_write(
            &asked.parts.headers,
            there.as_ref().map(|meta| meta.etag.as_str()),
        )?;
        let etag = super::checksums::etag(&received.bytes);
        let kept = writing::kept(&asked.parts.headers)?;
        let meta = self
            .objects
            .put(&asked.key, &received.bytes, &etag, kept, received.checksums)?;
        let mut answer = Answer::empty(StatusCode::OK).with("etag", meta.etag);
        answer.headers.extend(meta.checksums);
        Ok(answer)
    }

    /// The key of what is to be copied.
    fn source(&self, asked: &Asked) -> Result<String, S3Error> {
        let source = auth::header(&asked.parts.headers, COPY_SOURCE).unwrap_or_default();
        let source = percent_decode(&source, false);
        let (bucket, from) = source.trim_start_matches('/').split_once('/').unwrap_or_default();
        if bucket != self.bucket {
            return Err(S3Error::bad(
                "InvalidArgument",
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ));
        }
        Ok(from.to_owned())
    }

    /// A part whose bytes are those of an object, or some of them.
    fn copy_part(&self, asked: &Asked) -> Result<Answer, S3Error> {
        let from = self.source(asked)?;
        let meta = self.objects.head(&from)?;
        let (first, length) = match auth::header(&asked.parts.headers, "x-amz-copy-source-range") {
            Some(range) => copied_range(&range, meta.length)?,
            None => (0, meta.length),
        };
        if length > self.object_max as u64 {
            return Err(too_large());
        }
        let bytes = self.objects.read(&from, first, length)?;
        let (id, number) = (asked.get("uploadId"), asked.get("partNumber"));
        let etag = self.uploads.put(&self.objects, id, &asked.key, number, &bytes)?;
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut out = Writer::new("CopyPartResult");
        out.leaf("LastModified", iso_date(now_s));
        out.leaf("ETag", format!("\"{etag}\""));
        Ok(Answer::xml(out.finish()))
    }

    fn copy(&self, asked: &Asked) -> Result<Answer, S3Error> {
        let from = &self.source(asked)?;
        let meta = self.objects.head(from)?;
        let bytes = self.objects.read(from, 0, meta.length)?;
        let replaced =
            auth::header(&asked.parts.headers, "x-amz-metadata-directive").as_deref() == Some("REPLACE");
        let kept = if replaced {
            writing::kept(&asked.parts.headers)?
        } else {
            meta.headers
        };
        let etag = super::checksums::etag(&bytes);
        let copied = self
            .objects
            .put(&asked.key, &bytes, &etag, kept, meta.checksums)?;
        let mut out = Writer::new("CopyObjectResult");
        out.leaf("LastModified", iso_date(copied.modified_s()));
        out.leaf("ETag", copied.etag);
        Ok(Answer::xml(out.finish()))
    }

    fn get(&self, asked: &Asked, with_body: bool) -> Result<Answer, S3Error> {
        let headers = &asked.parts.headers;
        let meta = self.objects.head(&asked.key)?;
        let verdict = conditions::judge(headers, &meta.etag, meta.modified_s(), meta.length)?;
        let (status, from, length) = match verdict {
            Verdict::Whole => (StatusCode::OK, 0, meta.length),
            Verdict::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to - from + 1),
            Verdict::NotModified => return Ok(described(StatusCode::NOT_MODIFIED, &meta)),
        };
        let mut answer = described(status, &meta).with("accept-ranges", "bytes");
        answer.headers.extend(meta.headers);
        for (parameter, name) in OVERRIDES {
            let value = asked.get(parameter);
            if !value.is_empty() {
                answer.headers.retain(|(held, _)| held != name);
                answer = answer.with(name, value);
            }
        }
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {from}-{}/{}", from + length - 1, meta.length);
            answer = answer.with("content-range", range);
        } else if auth::header(headers, "x-amz-checksum-mode").as_deref() == Some("ENABLED")
            && !meta.checksums.is_empty()
        {
            answer.headers.extend(meta.checksums);
            answer = answer.with("x-amz-checksum-type", "FULL_OBJECT");
        }
        if with_body {
            let bytes = self.objects.read(&asked.key, from, length)?;
            self.account().bytes_out += bytes.len() as u64;
            Ok(answer.body(bytes))
        } else {
            Ok(answer.with("content-length", length.to_string()))
        }
    }

    fn delete_objects(&self, document: &[u8]) -> Result<Answer, S3Error> {
        let listed = xml::children(document, "Delete")?;
        let quiet = listed
            .iter()
            .any(|child| child.name == "Quiet" && child.text == "true");
        let mut out = Writer::new("DeleteResult");
        for child in listed.iter().filter(|child| child.name == "Object") {
            let key = child.field("Key").ok_or_else(S3Error::malformed)?;
            match self.objects.delete(key) {
                Ok(()) if quiet => {}
                Ok(()) => {
                    out.begin("Deleted");
                    out.leaf("Key", key);
                    out.end();
                }
                Err(error) => {
                    out.begin("Error");
                    out.leaf("Key", key);
                    out.leaf("Code", error.code);
                    out.leaf("Message", error.message);
                    out.end();
                }
            }
        }
        Ok(Answer::xml(out.finish()))
    }

    fn list_buckets(&self) -> Vec<u8> {
        let mut out = Writer::new("ListAllMyBucketsResult");
        out.begin("Owner");
        out.leaf("ID", &self.keys.access);
        out.leaf("DisplayName", &self.keys.access);
        out.end();
        out.begin("Buckets");
        out.begin("Bucket");
        out.leaf("Name", &self.bucket);
        out.leaf("CreationDate", iso_date(0));
        out.finish()
    }

    fn signed(&self, answer: Answer) -> Response<Body> {
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        let id = format!("{:016X}", self.next_id.fetch_add(1, Ordering::Relaxed));
        let more = [("x-amz-request-id".to_owned(), id)];
        for (name, value) in answer.headers.into_iter().chain(more) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
            .headers_mut()
            .insert(header::SERVER, HeaderValue::from_static("object-store"));
        response
    }

    fn note(&self, operation: &'static str, answer: &Answer) {
        let mut account = self.account();
        let statuses = account.operations.entry(operation).or_default();
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
    }

    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in the store.
struct Inside(Arc<Store>);

impl Inside {
    fn new(store: &Arc<Store>) -> Self {
        let mut account = store.account();
        account.at_once += 1;
        account.at_once_max = account.at_once_max.max(account.at_once);
        drop(account);
        Self(Arc::clone(store))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.account().at_once -= 1;
    }
}

fn described(status: StatusCode, meta: &Meta) -> Answer {
    Answer::empty(status)
        .with("etag", &meta.etag)
        .with("last-modified", http_date(meta.modified_s()))
}

fn told(error: &S3Error, resource: &str) -> Answer {
    let mut out = Writer::bare("Error");
    out.leaf("Code", error.code);
    out.leaf("Message", &error.message);
    out.leaf("Resource", resource);
    if let Some(length) = error.length {
        out.leaf("ActualObjectSize", length.to_string());
    }
    let mut answer = Answer::xml(out.finish());
    answer.status = error.status;
    match error.length {
        Some(length) => answer.with("content-range", format!("bytes */{length}")),
        None => answer,
    }
}

/// The first byte and the number of bytes of `bytes=first-last`, both of which must be there.
fn copied_range(range: &str, length: u64) -> Result<(u64, u64), S3Error> {
    let bounds = range.trim().strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
    });
    match bounds {
        Some((first, last)) if first <= last && last < length => Ok((first, last - first + 1)),
        Some(_) => Err(S3Error::bad(
            "InvalidArgument",
            format!("Range specified is not valid for source object of size: {length}"),
        )),
        None => Err(S3Error::bad(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

fn too_large() -> S3Error {
    S3Error::bad(
        "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed size",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &std::path::Path) -> Store {
        let root = folder.join("root");
        std::fs::create_dir(&root).unwrap();
        Store {
            bucket: "volume".to_owned(),
            keys: Keys {
                access: "a".to_owned(),
                secret: "s".to_owned(),
            },
            objects: Objects::new(root, folder.join("workshop"), 1 << 20).unwrap(),
            uploads: Uploads::default(),
            object_max: 1 << 20,
            latency: Duration::ZERO,
            alarm: Alarm::start().unwrap(),
            gate: Gate::new(1, 1),
            next_id: AtomicU64::new(1),
            account: Mutex::default(),
        }
    }

    fn part(id: &str, number: u32, source: &str, range: Option<&str>) -> Asked {
        let mut request = Request::put("/volume/big").header(COPY_SOURCE, source);
        if let Some(range) = range {
            request = request.header("x-amz-copy-source-range", range);
        }
        Asked {
            parts: request.body(()).unwrap().into_parts().0,
            pairs: vec![
                ("uploadId".to_owned(), id.to_owned()),
                ("partNumber".to_owned(), number.to_string()),
            ],
            key: "big".to_owned(),
            operation: "UploadPartCopy",
        }
    }

    #[tokio::test]
    async fn a_part_is_copied_whole_or_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let put = store
            .objects
            .put("a b", b"0123456789", "", Vec::new(), Vec::new());
        put.unwrap();
        let id = store.uploads.begin("big", Vec::new()).unwrap();
        let etag = |bytes: &[u8]| format!("&quot;{}&quot;", super::super::checksums::etag(bytes));
        for (range, bytes) in [(None, "0123456789"), (Some("bytes=2-4"), "234")] {
            let answer = store.copy_part(&part(&id, 1, "/volume/a%20b", range)).unwrap();
            let text = String::from_utf8(answer.body).unwrap().replace('"', "&quot;");
            assert!(text.contains(&etag(bytes.as_bytes())), "{text}");
            let kept = std::fs::read(store.objects.workshop().join(format!("{id}-1"))).unwrap();
            assert_eq!(kept, bytes.as_bytes());
        }
        let refused = |source: &str, range: Option<&str>| match store.copy_part(&part(&id, 2, source, range))
        {
            Ok(_) => "none",
            Err(error) => error.code,
        };
        assert_eq!(refused("volume/a b", Some("bytes=2-10")), "InvalidArgument");
        assert_eq!(refused("volume/a b", Some("bytes=2-")), "InvalidArgument");
        assert_eq!(refused("other/a b", None), "InvalidArgument");
        assert_eq!(refused("volume/nope", None), "NoSuchKey");
    }
}
