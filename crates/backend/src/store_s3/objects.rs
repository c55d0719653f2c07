//! The objects as files of a folder. What else may write there is seen; what S3 knows beside the bytes (type, own headers,
//! checksums) is kept in memory for as long as the file is the one that was put. It knows no HTTP beyond names of headers.

use std::collections::HashMap;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;

use super::checksums;
use super::errors::S3Error;

/// Files that begin so are being written and are no objects.
const UNFINISHED: &str = ".~";
const KEY_MAX_BYTES: usize = 1024;
/// Objects at most.
const COUNT_MAX: usize = 20_000;

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// When it was written.
    pub(crate) modified: SystemTime,
    /// With the quotes.
    pub(crate) etag: String,
    /// Headers that were put with it, `content-type` among them.
    pub(crate) headers: Vec<(String, String)>,
    /// `x-amz-checksum-...` of the whole.
    pub(crate) checksums: Vec<(String, String)>,
}

/// An entry of a listing.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its key.
    pub(crate) key: String,
    /// What is known of it.
    pub(crate) meta: Meta,
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Objects {
    root: PathBuf,
    /// For what is being written: on the same file system.
    workshop: PathBuf,
    bytes_max: u64,
    known: Mutex<HashMap<String, Meta>>,
    next: AtomicU64,
}

impl Meta {
    /// Seconds since 1970 at which it was written.
    pub(crate) fn modified_s(&self) -> u64 {
        self.modified
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

impl Objects {
    /// The folder must be there; the workshop is made.
    pub(crate) fn new(root: PathBuf, workshop: PathBuf, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(&workshop)?;
        Ok(Self {
            root,
            workshop,
            bytes_max,
            known: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Where unfinished things may be put.
    pub(crate) fn workshop(&self) -> &Path {
        &self.workshop
    }

    /// Writes an object whole.
    pub(crate) fn put(
        &self,
        key: &str,
        bytes: &[u8],
        etag: &str,
        headers: Vec<(String, String)>,
        checksums: Vec<(String, String)>,
    ) -> Result<Meta, S3Error> {
        let path = self.path(key)?;
        self.make_room(bytes.len() as u64)?;
        let part = self
            .workshop
            .join(format!("put-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        if key.ends_with('/') {
            std::fs::create_dir_all(&path)?;
        } else {
            std::fs::write(&part, bytes)?;
            if let Err(error) = std::fs::rename(&part, &path) {
                // What cannot be put there is not left lying about.
                let _ = std::fs::remove_file(&part);
                return Err(error.into());
            }
        }
        let meta = Meta {
            length: bytes.len() as u64,
            modified: std::fs::metadata(&path)?.modified()?,
            etag: format!("\"{etag}\""),
            headers,
            checksums,
        };
        self.known().insert(key.to_owned(), meta.clone());
        Ok(meta)
    }

    /// What is known of an object; of a file that somebody else wrote it is found out.
    pub(crate) fn head(&self, key: &str) -> Result<Meta, S3Error> {
        let path = self.path(key)?;
        let told = std::fs::metadata(&path)?;
        let known = self.known().get(key).cloned();
        if told.is_dir() != key.ends_with('/') {
            return Err(S3Error::no_such_key());
        }
        if told.is_dir() {
            // A folder is an object only if somebody put it.
            return known.ok_or_else(S3Error::no_such_key);
        }
        let modified = told.modified()?;
        if let Some(known) = known.filter(|known| known.length == told.len() && known.modified == modified) {
            return Ok(known);
        }
        let bytes = std::fs::read(&path)?;
        let meta = Meta {
            length: bytes.len() as u64,
            modified,
            etag: format!("\"{}\"", checksums::etag(&bytes)),
            headers: vec![("content-type".to_owned(), guess(key).to_owned())],
            checksums: Vec::new(),
        };
        self.known().insert(key.to_owned(), meta.clone());
        Ok(meta)
    }

    /// Some bytes of an object.
    pub(crate) fn read(&self, key: &str, from: u64, length: u64) -> Result<Vec<u8>, S3Error> {
        if key.ends_with('/') {
            return Ok(Vec::new());
        }
        let mut file = std::fs::File::open(self.path(key)?)?;
        file.seek(io::SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Removes an object, and the folders that it leaves empty. One that is not there is as good as removed.
    pub(crate) fn delete(&self, key: &str) -> Result<(), S3Error> {
        let path = self.path(key)?;
        self.known().remove(key);
        let removed = if key.ends_with('/') {
            std::fs::remove_dir(&path)
        } else {
            std::fs::remove_file(&path)
        };
        if removed.is_err() {
            return Ok(());
        }
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.root) {
            let name = empty
                .strip_prefix(&self.root)
                .map(|name| format!("{}/", name.display()));
            let put = name.is_ok_and(|name| self.known().contains_key(&name));
            if put || std::fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    /// The keys with this prefix, in the order of their bytes.
    pub(crate) fn keys(&self, prefix: &str) -> Result<Vec<String>, S3Error> {
        let mut keys = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let path = entry.path();
                let Ok(inside) = path.strip_prefix(&self.root) else {
                    continue;
                };
                let key = inside.to_string_lossy().into_owned();
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    let marker = format!("{key}/");
                    if self.known().contains_key(&marker) {
                        keys.push(marker);
                    }
                    folders.push(path);
                } else {
                    keys.push(key);
                }
            }
        }
        keys.retain(|key| key.starts_with(prefix));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Number and bytes of all files, those being written as well.
    pub(crate) fn held(&self) -> io::Result<(usize, u64)> {
        let (mut count, mut bytes) = (0, 0);
        let mut folders = vec![self.root.clone(), self.workshop.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    count += 1;
                    bytes += entry.metadata().map_or(0, |told| told.len());
                }
            }
        }
        Ok((count, bytes))
    }

    /// Refuses what the store has no room for.
    pub(crate) fn make_room(&self, bytes: u64) -> Result<(), S3Error> {
        let (count, held) = self.held()?;
        if count >= COUNT_MAX || held + bytes > self.bytes_max {
            return Err(S3Error::new(
                "InsufficientStorage",
                StatusCode::INSUFFICIENT_STORAGE,
                "The volume is full.",
            ));
        }
        Ok(())
    }

    fn path(&self, key: &str) -> Result<PathBuf, S3Error> {
        if key.len() > KEY_MAX_BYTES {
            return Err(S3Error::bad("KeyTooLongError", "Your key is too long"));
        }
        let inner = key.strip_suffix('/').unwrap_or(key);
        let unfit = |part: &str| {
            matches!(part, "" | "." | "..") || part.starts_with(UNFINISHED) || part.contains('\0')
        };
        if inner.split('/').any(unfit) {
            return Err(S3Error::bad(
                "InvalidArgument",
                "On this volume a key must be a path without empty parts, '.' and '..'.",
            ));
        }
        Ok(self.root.join(inner))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Meta>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn guess(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, extension)| extension) {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("json") => "application/json",
        _ => "binary/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(folder: &Path) -> Objects {
        let root = folder.join("root");
        std::fs::create_dir(&root).unwrap();
        Objects::new(root, folder.join("workshop"), 100).unwrap()
    }

    #[test]
    fn what_others_write_is_seen_and_what_they_change_too() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        std::fs::create_dir(folder.path().join("root/results")).unwrap();
        std::fs::write(folder.path().join("root/results/a.png"), "one").unwrap();
        std::fs::write(folder.path().join("root/results/.~b.png"), "unfinished").unwrap();
        let first = objects.head("results/a.png").unwrap();
        assert_eq!(first.etag, format!("\"{}\"", checksums::etag(b"one")));
        assert_eq!(objects.keys("").unwrap(), ["results/a.png"]);
        std::fs::write(folder.path().join("root/results/a.png"), "three").unwrap();
        assert_ne!(objects.head("results/a.png").unwrap().etag, first.etag);
        objects.delete("results/a.png").unwrap();
        assert_eq!(objects.head("results/a.png").unwrap_err().code, "NoSuchKey");
    }

    #[test]
    fn keys_stay_inside_and_the_store_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let put = |key: &str, bytes: &[u8]| {
            objects
                .put(key, bytes, "", Vec::new(), Vec::new())
                .map(|_| ())
                .map_err(|error| error.code)
        };
        assert_eq!(put("../x", b"1"), Err("InvalidArgument"));
        assert_eq!(put("a//b", b"1"), Err("InvalidArgument"));
        assert_eq!(put(&"k".repeat(2000), b"1"), Err("KeyTooLongError"));
        assert_eq!(put(&"k".repeat(300), b"1"), Err("KeyTooLongError"));
        assert_eq!(put("a/b", b"1"), Ok(()));
        assert_eq!(put("a", b"1"), Err("InvalidRequest"));
        assert_eq!(put("a/b/c", b"1"), Err("InvalidRequest"));
        assert_eq!(put("big", &[0; 100]), Err("InsufficientStorage"));
        assert_eq!(objects.held().unwrap(), (1, 1));
    }
}
