//! The system around the target at one moment: every monitor asked, shares of processor time over a short while. Keeps nothing.

use std::thread;
use std::time::Duration;

use prony_model::{Nanos, SystemSnapshot};

use super::{MONITORS, Seen, Source, Watched};

/// Over how long a snapshot measures shares of CPU time.
const SHARE_WINDOW: Duration = Duration::from_millis(100);

/// The system around the target now: the process tree of the target and its control group, its metrics, the host and
/// ourselves. Takes a tenth of a second, over which CPU shares (1 is one core, for the host all cores) and the number of threads that
/// waited for a core are measured.
pub fn snapshot(watched: &Watched, label: &str, at: Nanos) -> SystemSnapshot {
    let mut sources: Vec<Source> = MONITORS.iter().map(|m| (m.open)(watched)).collect();
    let before: Vec<Seen> = sources.iter_mut().map(|source| source()).collect();
    let begun = std::time::Instant::now();
    thread::sleep(SHARE_WINDOW);
    let window_s = begun.elapsed().as_secs_f64();
    let mut snapshot = SystemSnapshot {
        label: label.to_owned(),
        at,
        ..SystemSnapshot::default()
    };
    for ((monitor, source), before) in MONITORS.iter().zip(&mut sources).zip(before) {
        // Shares need two looks; of the target's own metrics, one is asked for.
        let seen = if monitor.every > SHARE_WINDOW {
            before.clone()
        } else {
            source()
        };
        for (name, value) in &seen.values {
            let grown = || before.values.get(name).map(|b| (value - b).max(0.0));
            let share = match name.as_str() {
                "cpu_s" if monitor.every <= SHARE_WINDOW => grown().map(|s| ("cpu_share", s / window_s)),
                "steal_s" => grown().map(|s| ("steal_share", s / window_s)),
                "run_queue_wait_s" => grown().map(|s| ("threads_waiting", s / window_s)),
                _ => None,
            };
            // Waits are counted from the first look on, so that their sum says nothing.
            let whole = Some((name.as_str(), *value)).filter(|(name, _)| *name != "run_queue_wait_s");
            for (name, value) in whole.into_iter().chain(share) {
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
    use super::super::Watched;
    use super::snapshot;
    use prony_model::Nanos;

    fn of(pid: Option<u32>) -> Watched {
        Watched {
            pid,
            ..Watched::default()
        }
    }

    #[test]
    fn sees_itself_and_the_host() {
        let seen = snapshot(&of(Some(std::process::id())), "before", Nanos(5));
        let value = |name: &str| {
            *seen
                .values
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {seen:?}"))
        };
        assert!(value("target.pss_bytes") > 100_000.0);
        assert!(value("target.rss_bytes") >= value("target.pss_bytes"));
        assert!(value("target.threads") >= 2.0);
        assert!(value("target.processes") >= 1.0);
        assert!(value("target.fds") >= 3.0);
        assert!(value("target.newest_started_s") >= value("target.started_s"));
        assert!(value("host.memory_used_bytes") < value("host.memory_total_bytes"));
        assert!(value("generator.rss_bytes") > 100_000.0);
        assert!(value("host.steal_share") <= 1.0);
        assert!(value("target.threads_waiting") >= 0.0);
        assert!(!seen.values.contains_key("target.run_queue_wait_s"), "{seen:?}");
        assert_eq!((seen.label.as_str(), seen.at), ("before", Nanos(5)));
    }

    #[test]
    fn what_is_gone_is_missing_and_not_zero() {
        // Above the largest process number of Linux.
        let seen = snapshot(&of(Some(0x7fff_ffff)), "after", Nanos(0));
        assert!(!seen.values.keys().any(|k| k.starts_with("target.")), "{seen:?}");
        assert!(seen.missing.iter().any(|m| m.starts_with("target.")), "{seen:?}");
        let unwatched = snapshot(&of(None), "after", Nanos(0));
        assert!(
            unwatched.missing.iter().any(|m| m.contains("no process")),
            "{unwatched:?}"
        );
    }
}
