//! Multipart uploads: parts that are kept beside the objects until they are put together or given up. It knows no HTTP.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::checksums;
use super::errors::S3Error;
use super::objects::{Meta, Objects};
use super::xml::{Child, Writer};

/// The least length of a part that is not the last.
const PART_MIN_BYTES: u64 = 5 * 1024 * 1024;
const PART_NUMBER_MAX: u32 = 10_000;
/// Uploads at once.
const UPLOADS_MAX: usize = 1000;

#[derive(Debug)]
struct Upload {
    key: String,
    headers: Vec<(String, String)>,
    parts: BTreeMap<u32, Part>,
}

#[derive(Debug, Clone)]
struct Part {
    etag: String,
    length: u64,
    path: PathBuf,
}

/// All that are under way.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    uploads: HashMap<String, Upload>,
    begun: u64,
}

impl Uploads {
    /// Begins one; its id.
    pub(crate) fn begin(&self, key: &str, headers: Vec<(String, String)>) -> Result<String, S3Error> {
        let mut held = self.lock();
        if held.uploads.len() >= UPLOADS_MAX {
            return Err(S3Error::bad(
                "InvalidRequest",
                "Too many multipart uploads are under way.",
            ));
        }
        held.begun += 1;
        let id = format!("upload-{:016x}", held.begun);
        held.uploads.insert(
            id.clone(),
            Upload {
                key: key.to_owned(),
                headers,
                parts: BTreeMap::new(),
            },
        );
        Ok(id)
    }

    /// Keeps a part; its ETag without quotes.
    pub(crate) fn put(
        &self,
        objects: &Objects,
        id: &str,
        key: &str,
        number: &str,
        bytes: &[u8],
    ) -> Result<String, S3Error> {
        let number = number
            .parse::<u32>()
            .ok()
            .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
            .ok_or_else(|| {
                S3Error::bad(
                    "InvalidArgument",
                    "Part number must be an integer between 1 and 10000, inclusive",
                )
            })?;
        self.with(id, key, |_| ())?;
        objects.make_room(bytes.len() as u64)?;
        let path = objects.workshop().join(format!("{id}-{number}"));
        std::fs::write(&path, bytes)?;
        let etag = checksums::etag(bytes);
        let part = Part {
            etag: etag.clone(),
            length: bytes.len() as u64,
            path,
        };
        self.with(id, key, |upload| upload.parts.insert(number, part))?;
        Ok(etag)
    }

    /// Puts the parts together that the client lists.
    pub(crate) fn complete(
        &self,
        objects: &Objects,
        id: &str,
        key: &str,
        listed: &[Child],
    ) -> Result<Meta, S3Error> {
        let (headers, held) = self.with(id, key, |upload| (upload.headers.clone(), upload.parts.clone()))?;
        let mut parts = Vec::new();
        let mut before = 0;
        for child in listed.iter().filter(|child| child.name == "Part") {
            let number: u32 = child
                .field("PartNumber")
                .and_then(|text| text.parse().ok())
                .ok_or_else(S3Error::malformed)?;
            let etag = child
                .field("ETag")
                .ok_or_else(S3Error::malformed)?
                .trim_matches('"')
                .to_owned();
            if number <= before {
                return Err(S3Error::bad(
                    "InvalidPartOrder",
                    "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
                ));
            }
            before = number;
            match held.get(&number) {
                Some(part) if part.etag == etag => parts.push(part.clone()),
                _ => {
                    return Err(S3Error::bad(
                        "InvalidPart",
                        "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.",
                    ));
                }
            }
        }
        let Some((_, all_but_last)) = parts.split_last() else {
            return Err(S3Error::malformed());
        };
        if all_but_last.iter().any(|part| part.length < PART_MIN_BYTES) {
            return Err(S3Error::bad(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
            ));
        }
        let mut bytes = Vec::new();
        for part in &parts {
            bytes.extend(std::fs::read(&part.path)?);
        }
        let etags: Vec<String> = parts.into_iter().map(|part| part.etag).collect();
        // The parts make room for the whole.
        self.remove(id, key)?;
        objects.put(
            key,
            &bytes,
            &checksums::etag_of_parts(&etags),
            headers,
            Vec::new(),
        )
    }

    /// Gives an upload up, with its parts.
    pub(crate) fn abort(&self, id: &str, key: &str) -> Result<(), S3Error> {
        self.remove(id, key)
    }

    /// The parts of an upload so far.
    pub(crate) fn list(&self, bucket: &str, id: &str, key: &str) -> Result<Vec<u8>, S3Error> {
        let parts = self.with(id, key, |upload| upload.parts.clone())?;
        let mut out = Writer::new("ListPartsResult");
        out.leaf("Bucket", bucket);
        out.leaf("Key", key);
        out.leaf("UploadId", id);
        out.leaf("StorageClass", "STANDARD");
        out.leaf("MaxParts", PART_NUMBER_MAX.to_string());
        out.leaf("IsTruncated", "false");
        for (number, part) in parts {
            out.begin("Part");
            out.leaf("PartNumber", number.to_string());
            out.leaf("ETag", format!("\"{}\"", part.etag));
            out.leaf("Size", part.length.to_string());
            out.end();
        }
        Ok(out.finish())
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        self.lock().uploads.len()
    }

    fn remove(&self, id: &str, key: &str) -> Result<(), S3Error> {
        self.with(id, key, |_| ())?;
        let removed = self.lock().uploads.remove(id);
        for part in removed.into_iter().flat_map(|upload| upload.parts.into_values()) {
            // Gone is what is wanted.
            let _ = std::fs::remove_file(part.path);
        }
        Ok(())
    }

    fn with<T>(&self, id: &str, key: &str, look: impl FnOnce(&mut Upload) -> T) -> Result<T, S3Error> {
        let mut held = self.lock();
        let upload = held.uploads.get_mut(id).filter(|upload| upload.key == key);
        upload.map(look).ok_or_else(S3Error::no_such_upload)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
