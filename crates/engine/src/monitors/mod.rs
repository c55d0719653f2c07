//! What can be seen of a target and its host from outside: through `/proc` and `/sys`, which costs the target nothing, and in
//! the metrics that the target itself tells, which costs it one request every few seconds.
//!
//! A monitor is one file and one line in [`MONITORS`]; a GPU's would be another. What cannot be read is told, never guessed.

mod cgroup;
mod exposition;
mod generator;
mod host;
mod memory;
mod pressure;
mod process;
mod scrape;
mod snapshot;
mod sockets;
mod waits;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use cgroup::container_pid;
pub use scrape::{EngineMetrics, Scrape};
pub use snapshot::snapshot;
pub use sockets::listening_pid;
pub use watch::Watch;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The target's process; its descendants are watched with it.
    pub pid: Option<u32>,
    /// The port of this machine on which the target listens: when the process ends, whoever takes the port over is watched.
    pub port: Option<u16>,
    /// Where the target tells its own metrics.
    pub metrics: Option<Scrape>,
}

/// One source of readings.
pub struct Monitor {
    /// Name in readings.
    pub name: &'static str,
    /// What its values are about; their prefix in a snapshot.
    pub subject: &'static str,
    /// What it reads, for help and reference pages.
    pub about: &'static str,
    /// Least time between two readings.
    every: Duration,
    /// Begins to watch.
    open: fn(&Watched) -> Source,
}

/// Something that can be read again and again.
type Source = Box<dyn FnMut() -> Seen + Send>;

/// Every monitor, in the order of a snapshot.
pub static MONITORS: &[Monitor] = &[
    process::MONITOR,
    memory::MONITOR,
    cgroup::MONITOR,
    scrape::MONITOR,
    host::MONITOR,
    generator::MONITOR,
];

/// What one monitor saw at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// Values by name, units last.
    values: BTreeMap<String, f64>,
    /// What could not be seen, and why.
    missing: Vec<String>,
}

impl Seen {
    fn put(&mut self, name: impl Into<String>, value: f64) {
        self.values.insert(name.into(), value);
    }

    fn miss(&mut self, what: &str, why: impl fmt::Display) {
        self.missing.push(format!("{what}: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::MONITORS;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = MONITORS.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MONITORS.len());
    }
}
