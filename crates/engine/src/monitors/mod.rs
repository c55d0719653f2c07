//! What can be seen of a target and its host from outside, through `/proc` and `/sys`. Sends nothing to the target.
//!
//! A monitor is one file and one line in [`MONITORS`]. What cannot be read is told, never guessed.

mod cgroup;
mod generator;
mod host;
mod process;
mod sockets;
mod watch;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use prony_model::{Nanos, SystemSnapshot};

pub use cgroup::container_pid;
pub use sockets::listening_pid;
pub use watch::Watch;

/// One source of readings.
pub struct Monitor {
    /// Name in readings.
    pub name: &'static str,
    /// What its values are about; their prefix in a snapshot.
    pub subject: &'static str,
    /// What it reads, for help and reference pages.
    pub about: &'static str,
    /// Reads it now.
    read: fn(Option<u32>) -> Seen,
}

/// Every monitor, in the order of a snapshot.
pub static MONITORS: &[Monitor] = &[
    process::MONITOR,
    cgroup::MONITOR,
    host::MONITOR,
    generator::MONITOR,
];

/// What one monitor saw at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// Values by name, units last.
    values: BTreeMap<&'static str, f64>,
    /// What could not be seen, and why.
    missing: Vec<String>,
}

impl Seen {
    fn put(&mut self, name: &'static str, value: f64) {
        self.values.insert(name, value);
    }

    fn miss(&mut self, what: &str, why: impl std::fmt::Display) {
        self.missing.push(format!("{what}: {why}"));
    }
}

/// Over how long a snapshot measures shares of CPU time.
const SHARE_WINDOW: Duration = Duration::from_millis(100);

/// The system around the target now: the process tree of `pid` and its control group, the host and ourselves. Takes a
/// tenth of a second, over which CPU shares are measured (1 is one core, for the host all cores).
pub fn snapshot(pid: Option<u32>, label: &str, at: Nanos) -> SystemSnapshot {
    let before: Vec<Seen> = MONITORS.iter().map(|m| (m.read)(pid)).collect();
    let begun = std::time::Instant::now();
    thread::sleep(SHARE_WINDOW);
    let window_s = begun.elapsed().as_secs_f64();
    let mut snapshot = SystemSnapshot {
        label: label.to_owned(),
        at,
        ..SystemSnapshot::default()
    };
    for (monitor, before) in MONITORS.iter().zip(before) {
        let seen = (monitor.read)(pid);
        for (name, value) in &seen.values {
            let grown = || before.values.get(name).map(|b| (value - b).max(0.0));
            let share = match *name {
                "cpu_s" => grown().map(|s| ("cpu_share", s / window_s)),
                "steal_s" => grown().map(|s| ("steal_share", s / window_s)),
                _ => None,
            };
            for (name, value) in [(*name, *value)].into_iter().chain(share) {
                snapshot
                    .values
                    .insert(format!("{}.{name}", monitor.subject), value);
            }
        }
        snapshot.missing.extend(
            seen.missing
                .into_iter()
                .map(|m| format!("{}.{m}", monitor.subject)),
        );
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::{MONITORS, snapshot};
    use prony_model::Nanos;

    #[test]
    fn sees_itself_and_the_host() {
        let seen = snapshot(Some(std::process::id()), "before", Nanos(5));
        let value = |name: &str| {
            *seen
                .values
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {seen:?}"))
        };
        assert!(value("target.pss_bytes") > 100_000.0);
        assert!(value("target.threads") >= 2.0);
        assert!(value("target.processes") >= 1.0);
        assert!(value("target.fds") >= 3.0);
        assert!(value("host.memory_used_bytes") < value("host.memory_total_bytes"));
        assert!(value("generator.rss_bytes") > 100_000.0);
        assert!(value("host.steal_share") <= 1.0);
        assert_eq!((seen.label.as_str(), seen.at), ("before", Nanos(5)));
    }

    #[test]
    fn what_is_gone_is_missing_and_not_zero() {
        // Above the largest process number of Linux.
        let seen = snapshot(Some(0x7fff_ffff), "after", Nanos(0));
        assert!(!seen.values.keys().any(|k| k.starts_with("target.")), "{seen:?}");
        assert!(seen.missing.iter().any(|m| m.starts_with("target.")), "{seen:?}");
        let unwatched = snapshot(None, "after", Nanos(0));
        assert!(
            unwatched.missing.iter().any(|m| m.contains("no process")),
            "{unwatched:?}"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = MONITORS.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MONITORS.len());
    }
}
