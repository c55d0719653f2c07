//! The media folder: which names are safe, and the two ways to write a file, in its final place or beside it. It knows nothing of
//! tools; its texts are those of the observed server.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::config::Config;
use super::ledger::Ledger;
use super::picture;
use crate::error::BackendError;

/// Files whose length and digest are remembered.
const KNOWN_MAX: usize = 20_000;
/// Names tried when one is taken.
const NAMES_MAX: u64 = 1_000_000;
/// Linux's number of "No space left on device".
const NO_SPACE: i32 = 28;

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    direct: bool,
    bytes_max: u64,
    partials: AtomicU64,
    stock: Mutex<Stock>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Stock {
    known: HashMap<PathBuf, Known>,
    bytes: u64,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    bytes: u64,
    sha256: String,
    /// The number to try next when the name is wanted again.
    next: u64,
}

/// A file being written.
pub(crate) struct Writing {
    folder: Arc<Folder>,
    place: PathBuf,
    partial: Option<PathBuf>,
    file: File,
    what: &'static str,
    digest: Sha256,
    bytes: u64,
    overwrote: bool,
}

/// A file in its place.
#[derive(Debug)]
pub(crate) struct Written {
    /// Where it is; not where it was wanted, if that was taken.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its digest.
    pub(crate) sha256: String,
}

impl Folder {
    /// Makes the folders that are missing; a temporary one comes with its owner, who removes it when dropped.
    pub(crate) fn open(
        config: &Config,
        ledger: Arc<Ledger>,
    ) -> Result<(Self, Option<TempDir>), BackendError> {
        let (root, temporary) = if let Some(folder) = &config.folder {
            std::fs::create_dir_all(folder)?;
            (folder.canonicalize()?, None)
        } else {
            let temporary = tempfile::Builder::new().prefix("media-").tempdir()?;
            (temporary.path().canonicalize()?, Some(temporary))
        };
        for name in ["videos", "images", ".partial"] {
            std::fs::create_dir_all(root.join(name))?;
        }
        let folder = Self {
            root,
            direct: config.direct_write,
            bytes_max: config.disk_bytes_max,
            partials: AtomicU64::new(0),
            stock: Mutex::default(),
            ledger,
        };
        Ok((folder, temporary))
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where videos go.
    pub(crate) fn videos(&self) -> PathBuf {
        self.root.join("videos")
    }

    /// Where images are and go.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Begins to write a file at a place that [`safe`] gave.
    pub(crate) async fn create(
        self: &Arc<Self>,
        place: PathBuf,
        what: &'static str,
    ) -> Result<Writing, String> {
        let partial = (!self.direct).then(|| {
            let n = self.partials.fetch_add(1, Ordering::Relaxed);
            self.root
                .join(".partial")
                .join(format!("{}-{n}", std::process::id()))
        });
        if partial.is_some() && place.is_dir() {
            return Err(told(what, &place, "writing", &ErrorKind::IsADirectory.into()));
        }
        let overwrote = partial.is_none() && place.exists();
        let file = File::create(partial.as_ref().unwrap_or(&place))
            .await
            .map_err(|error| told(what, &place, "writing", &error))?;
        Ok(Writing {
            folder: Arc::clone(self),
            place,
            partial,
            file,
            what,
            digest: Sha256::new(),
            bytes: 0,
            overwrote,
        })
    }

    /// Counts bytes on the disk; an error when there are too many.
    fn take(&self, bytes: u64) -> std::io::Result<()> {
        let mut stock = self.stock();
        if stock.bytes + bytes > self.bytes_max {
            return Err(std::io::Error::from_raw_os_error(NO_SPACE));
        }
        stock.bytes += bytes;
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let mut stock = self.stock();
        stock.bytes = stock.bytes.saturating_sub(bytes);
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Appends.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let length = bytes.len() as u64;
        let outcome = match self.folder.take(length) {
            Ok(()) => self.file.write_all(bytes).await,
            Err(error) => Err(error),
        };
        outcome.map_err(|error| told(self.what, &self.place, "writing", &error))?;
        self.digest.update(bytes);
        self.bytes += length;
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest so far.
    pub(crate) fn sha256(&self) -> String {
        picture::hex(&self.digest.clone().finalize())
    }

    /// Begins again.
    pub(crate) async fn restart(&mut self) -> Result<(), String> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.rewind().await
        };
        emptied
            .await
            .map_err(|error| told(self.what, &self.place, "writing", &error))?;
        self.folder.give_back(self.bytes);
        self.digest = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    /// Puts it in its place. In the observed way it is there already, whatever was there before; otherwise it appears whole, and
    /// under another name if the name is taken by another content.
    pub(crate) async fn finish(mut self, request_id: &str) -> Result<Written, String> {
        self.file
            .flush()
            .await
            .map_err(|error| told(self.what, &self.place, "writing", &error))?;
        let sha256 = self.sha256();
        let (path, renamed) = match self.partial.take() {
            None => (self.place.clone(), false),
            Some(partial) => {
                let placed = self.settle(&partial, &sha256);
                // It has its name by now, or is of no use.
                let _ = std::fs::remove_file(&partial);
                let path = placed.map_err(|error| {
                    self.folder.give_back(self.bytes);
                    told(self.what, &self.place, "writing", &error)
                })?;
                let renamed = path != self.place;
                (path, renamed)
            }
        };
        let mut stock = self.folder.stock();
        if stock.known.len() >= KNOWN_MAX {
            stock.known.clear();
        }
        let next = stock.known.get(&path).map_or(2, |known| known.next);
        let known = Known {
            bytes: self.bytes,
            sha256: sha256.clone(),
            next,
        };
        if let Some(before) = stock.known.insert(path.clone(), known) {
            stock.bytes = stock.bytes.saturating_sub(before.bytes);
        }
        drop(stock);
        let entry = json!({
            "path": path,
            "bytes": self.bytes,
            "sha256": sha256,
            "request_id": request_id,
            "overwrote": self.overwrote,
            "renamed": renamed,
        });
        self.folder.ledger.wrote(entry, self.overwrote, renamed);
        Ok(Written {
            path,
            bytes: self.bytes,
            sha256,
        })
    }

    /// A name for the whole file that no other content has: a link is made or it is not, so that of two writers one must go on.
    fn settle(&self, partial: &Path, sha256: &str) -> std::io::Result<PathBuf> {
        let mut path = self.place.clone();
        let mut n = self
            .folder
            .stock()
            .known
            .get(&self.place)
            .map_or(2, |known| known.next);
        for _ in 0..NAMES_MAX {
            let same = self
                .folder
                .stock()
                .known
                .get(&path)
                .is_some_and(|known| known.bytes == self.bytes && known.sha256 == sha256);
            if same && path.is_file() {
                return Ok(path);
            }
            match std::fs::hard_link(partial, &path) {
                Ok(()) => {
                    if let Some(known) = self.folder.stock().known.get_mut(&self.place) {
                        known.next = known.next.max(n);
                    }
                    return Ok(path);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    path = numbered(&self.place, n);
                    n += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            // It is of no use any more; the folder is emptied at the end as well.
            let _ = std::fs::remove_file(partial);
            self.folder.give_back(self.bytes);
        }
    }
}

/// `name-2.ext` for `name.ext`.
fn numbered(path: &Path, n: u64) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (part(path.file_stem()), part(path.extension()));
    let dot = if extension.is_empty() { "" } else { "." };
    path.with_file_name(format!("{stem}-{n}{dot}{extension}"))
}

/// A file name as a place within a folder, links resolved, or why it cannot be.
pub(crate) fn safe(base: &Path, name: &str, may_be_new: bool) -> Result<PathBuf, String> {
    if name.contains('\0') {
        return Err(format!("Invalid filename '{name}': embedded null byte"));
    }
    let place = resolve(&base.join(name));
    if !place.starts_with(base) {
        return Err(format!("Invalid filename: path traversal detected in '{name}'"));
    }
    if !may_be_new && !place.exists() {
        return Err(format!("File not found: {name}"));
    }
    Ok(place)
}

/// Refuses a link, by the name that the person gave.
pub(crate) fn no_link(base: &Path, name: &str, what: &str) -> Result<(), String> {
    let path = base.join(name);
    if path.is_symlink() && path.exists() {
        let shown = path
            .file_name()
            .map_or(name.into(), |shown| shown.to_string_lossy());
        return Err(format!("{what} cannot be a symbolic link: {shown}"));
    }
    Ok(())
}

/// A path without links and dots; parts that do not exist stay as they are.
fn resolve(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => {
                out.push(other);
                if let Ok(real) = out.canonicalize() {
                    out = real;
                }
            }
        }
    }
    out
}

/// What a person is told of a file's error.
pub(crate) fn told(what: &str, path: &Path, action: &str, error: &std::io::Error) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => format!("{what} not found: {name}"),
        ErrorKind::PermissionDenied => format!("Permission denied {action} {what}: {name}"),
        _ => format!("Error {action} {what}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(direct: bool) -> (Arc<Folder>, Option<TempDir>) {
        let settings = crate::settings::Settings::new(
            crate::preset::preset("media").unwrap(),
            &[("direct_write".to_owned(), direct.to_string())],
        )
        .unwrap();
        let config = Config::new(&settings, 1.0).unwrap();
        let (folder, temporary) = Folder::open(&config, Arc::new(Ledger::default())).unwrap();
        (Arc::new(folder), temporary)
    }

    async fn put(folder: &Arc<Folder>, name: &str, content: &[u8]) -> String {
        let place = safe(&folder.videos(), name, true).unwrap();
        let mut writing = folder.create(place, "video file").await.unwrap();
        writing.write(content).await.unwrap();
        let written = writing.finish("test").await.unwrap();
        written.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    #[tokio::test]
    async fn a_taken_name_is_overwritten_or_avoided() {
        let (direct, _held) = folder(true);
        assert_eq!(put(&direct, "a.mp4", b"one").await, "a.mp4");
        assert_eq!(put(&direct, "a.mp4", b"two").await, "a.mp4");
        assert_eq!(std::fs::read(direct.videos().join("a.mp4")).unwrap(), b"two");
        let (atomic, _held) = folder(false);
        assert_eq!(put(&atomic, "a.mp4", b"one").await, "a.mp4");
        assert_eq!(put(&atomic, "a.mp4", b"two").await, "a-2.mp4");
        assert_eq!(put(&atomic, "a.mp4", b"three").await, "a-3.mp4");
        assert_eq!(put(&atomic, "a.mp4", b"one").await, "a.mp4", "the same content");
        assert_eq!(std::fs::read(atomic.videos().join("a.mp4")).unwrap(), b"one");
        assert_eq!(std::fs::read(atomic.videos().join("a-2.mp4")).unwrap(), b"two");
        assert_eq!(
            std::fs::read_dir(atomic.root().join(".partial")).unwrap().count(),
            0
        );
    }

    #[tokio::test]
    async fn a_partial_file_is_seen_or_not() {
        for direct in [true, false] {
            let (folder, _held) = folder(direct);
            let place = safe(&folder.videos(), "a.mp4", true).unwrap();
            let mut writing = folder.create(place.clone(), "video file").await.unwrap();
            writing.write(b"half").await.unwrap();
            assert_eq!(place.exists(), direct);
            drop(writing);
            assert_eq!(
                std::fs::read_dir(folder.root().join(".partial")).unwrap().count(),
                0
            );
        }
    }

    #[test]
    fn names_stay_within_the_folder() {
        let temporary = TempDir::new().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        std::fs::write(base.join("real.png"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", base.join("out.png")).unwrap();
        std::os::unix::fs::symlink(base.join("real.png"), base.join("in.png")).unwrap();
        for name in ["../x.png", "a/../../x.png", "/etc/passwd", "out.png"] {
            let refused = safe(&base, name, true).unwrap_err();
            assert_eq!(
                refused,
                format!("Invalid filename: path traversal detected in '{name}'")
            );
        }
        assert_eq!(
            safe(&base, "none.png", false).unwrap_err(),
            "File not found: none.png"
        );
        assert_eq!(safe(&base, "./real.png", false).unwrap(), base.join("real.png"));
        assert_eq!(safe(&base, "new.png", true).unwrap(), base.join("new.png"));
        assert!(no_link(&base, "real.png", "Reference image").is_ok());
        assert_eq!(
            no_link(&base, "in.png", "Reference image").unwrap_err(),
            "Reference image cannot be a symbolic link: in.png"
        );
    }
}
