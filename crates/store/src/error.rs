//! What can go wrong with a run on disk, each with what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to write or read a run. Damage that leaves something readable is no error: see `StoredRun::damage`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder already holds a run.
    #[error(
        "{} already holds a run; choose another folder, or remove this one if you do not need it",
        .dir.display()
    )]
    AlreadyARun {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder holds something that is not ours.
    #[error(
        "{} is not empty and is not a run of Prony (it holds {found:?}); choose a new or an empty folder",
        .dir.display()
    )]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// Name of something in it.
        found: String,
    },
    /// There is no run at that path.
    #[error("{} is not a run: {why}; give the folder that holds {}", .path.display(), crate::EVENTS_FILE)]
    NotARun {
        /// The path as given.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The run was written by a newer version.
    #[error(
        "{} has format version {found}, this Prony reads up to {known}; read it with the version that wrote it{}",
        .path.display(),
        written_by.as_ref().map(|v| format!(" ({v})")).unwrap_or_default()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        known: u32,
        /// The Prony that wrote it, where it says so.
        written_by: Option<String>,
    },
    /// An event holds a number that is not finite, so that it could not be read back. A bug of its maker.
    #[error("an event cannot be stored, because it could not be read back: {why}")]
    Unstorable {
        /// What the reader would say.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried: `write`, `read`, `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: an I/O failure of an action on a path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
