//! A watch over folders in which the target says that it writes, where they are on this machine: which files change, and how
//! long they are meanwhile. It opens nothing that was there before and did not change, and writes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use prony_model::{Nanos, Reading};
use sha2::{Digest as _, Sha256};

use crate::text;

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(2);
/// Most folders, files in one, readings, and bytes of a file that is read.
const FOLDERS_MAX: usize = 4;
const FILES_MAX: usize = 5_000;
const READINGS_MAX: usize = 20_000;
const READ_BYTES_MAX: u64 = 256 << 20;

/// Length and time of change.
type Stamp = (u64, Option<SystemTime>);

/// A watch that goes on until it is stopped.
pub(super) struct FolderWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Reading>>>,
}

impl FolderWatch {
    /// Watches the folders of those files that are here; `None` when none is.
    pub(super) fn start(files: &[PathBuf], epoch: Instant) -> Option<Self> {
        let mut folders: Vec<PathBuf> = files
            .iter()
            .filter(|path| fs::symlink_metadata(path).is_ok_and(|m| m.is_file()))
            .filter_map(|path| path.parent().map(Path::to_path_buf))
            .collect();
        folders.sort();
        folders.dedup();
        folders.truncate(FOLDERS_MAX);
        if folders.is_empty() {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // What is there now is known before anything is sent.
        let mut watched = Watched::new(folders, epoch);
        let thread = thread::Builder::new()
            .name("prony-files".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    watched.look();
                    thread::sleep(EVERY);
                }
                watched.end()
            });
        Some(Self {
            stop,
            thread: thread.ok(),
        })
    }

    /// What was seen.
    pub(super) fn stop(mut self) -> Vec<Reading> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Watched {
    folders: Vec<PathBuf>,
    epoch: Instant,
    known: BTreeMap<PathBuf, Stamp>,
    changed: BTreeMap<PathBuf, u64>,
    readings: Vec<Reading>,
    looks: u64,
}

impl Watched {
    fn new(folders: Vec<PathBuf>, epoch: Instant) -> Self {
        let mut watched = Self {
            folders,
            epoch,
            known: BTreeMap::new(),
            changed: BTreeMap::new(),
            readings: Vec::new(),
            looks: 0,
        };
        watched.known = watched.files().into_iter().collect();
        watched
    }

    fn files(&self) -> Vec<(PathBuf, Stamp)> {
        let listed = self.folders.iter().filter_map(|folder| fs::read_dir(folder).ok());
        listed
            .flat_map(|entries| entries.take(FILES_MAX).filter_map(Result::ok))
            .filter_map(|entry| {
                let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((entry.path(), (meta.len(), meta.modified().ok())))
            })
            .collect()
    }

    fn look(&mut self) {
        self.looks += 1;
        let at = Nanos::from(self.epoch.elapsed());
        for (path, stamp) in self.files() {
            if self.known.get(&path) == Some(&stamp) {
                continue;
            }
            let before = self.changed.insert(path.clone(), stamp.0);
            if before != Some(stamp.0) && self.readings.len() < READINGS_MAX {
                self.readings.push(reading(at, &path, stamp.0, None));
            }
            self.known.insert(path, stamp);
        }
    }

    /// The last look, with the contents of what changed.
    fn end(mut self) -> Vec<Reading> {
        self.look();
        let at = Nanos::from(self.epoch.elapsed());
        let changed = std::mem::take(&mut self.changed);
        for path in changed.keys() {
            if let Ok((bytes, digest)) = contents(path) {
                self.readings.push(reading(at, path, bytes, Some(digest)));
            }
        }
        self.readings.push(Reading {
            at,
            monitor: "files".to_owned(),
            values: BTreeMap::from([
                ("looks".to_owned(), self.looks as f64),
                ("changed".to_owned(), changed.len() as f64),
            ]),
        });
        self.readings
    }
}

fn reading(at: Nanos, path: &Path, bytes: u64, sha256: Option<(u32, u32)>) -> Reading {
    let mut values = BTreeMap::from([("bytes".to_owned(), bytes as f64)]);
    if let Some((high, low)) = sha256 {
        values.insert("sha256_high".to_owned(), f64::from(high));
        values.insert("sha256_low".to_owned(), f64::from(low));
    }
    Reading {
        at,
        monitor: format!("file {}", text::clean(&path.to_string_lossy(), 4096)),
        values,
    }
}

/// Length and the first eight bytes of the SHA-256 of a file.
fn contents(path: &Path) -> io::Result<(u64, (u32, u32))> {
    let mut file = File::open(path)?.take(READ_BYTES_MAX);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                digest.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
    let digest = digest.finalize();
    let part = |from: usize| {
        u32::from_be_bytes([digest[from], digest[from + 1], digest[from + 2], digest[from + 3]])
    };
    Ok((bytes, (part(0), part(4))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::Watched;

    #[test]
    fn only_what_changes_is_seen_with_every_length() {
        let folder = std::env::temp_dir().join(format!("prony-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("old"), "before").unwrap();
        let mut watched = Watched::new(vec![folder.clone()], Instant::now());
        watched.look();
        fs::write(folder.join("new"), "a").unwrap();
        watched.look();
        fs::write(folder.join("new"), "abc").unwrap();
        let seen = watched.end();
        fs::remove_dir_all(&folder).unwrap();
        let lengths: Vec<f64> = seen
            .iter()
            .filter(|r| r.monitor.ends_with("/new"))
            .map(|r| r.values["bytes"])
            .collect();
        assert_eq!(lengths, [1.0, 3.0, 3.0]);
        assert!(!seen.iter().any(|r| r.monitor.ends_with("/old")), "{seen:?}");
        // SHA-256 of "abc" begins with ba7816bf 8f01cfea.
        let last = seen.iter().rfind(|r| r.monitor.ends_with("/new")).unwrap();
        assert_eq!(
            (last.values["sha256_high"], last.values["sha256_low"]),
            (f64::from(0xba78_16bf_u32), f64::from(0x8f01_cfea_u32))
        );
    }
}
