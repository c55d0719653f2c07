//! The control group (version 2) of a containerised target: what counts against its memory limit.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Monitor, Seen};

/// The target's control group.
pub(super) const MONITOR: Monitor = Monitor {
    name: "cgroup",
    subject: "target",
    about: "working set of the target's control group (memory.current less inactive_file), its limit and throttling",
    read,
};

const ROOT: &str = "/sys/fs/cgroup";

fn read(pid: Option<u32>) -> Seen {
    let mut seen = Seen::default();
    // A process in the root group is in no container: there is nothing of its own to see, and nothing amiss.
    let Some(group) = pid.and_then(group_of) else {
        return seen;
    };
    let number = |file: &str| {
        fs::read_to_string(group.join(file))
            .ok()?
            .trim()
            .parse::<f64>()
            .ok()
    };
    let stat = |file: &str, key: &str| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.lines().find_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix(' ')?
                .trim()
                .parse::<f64>()
                .ok()
        })
    };
    match number("memory.current").zip(stat("memory.stat", "inactive_file")) {
        Some((current, inactive)) => seen.put("working_set_bytes", (current - inactive).max(0.0)),
        None => seen.miss("working_set_bytes", "the control group's memory may not be read"),
    }
    for (name, value) in [
        ("memory_limit_bytes", number("memory.max")),
        ("oom_kills", stat("memory.events", "oom_kill")),
        ("throttled_periods", stat("cpu.stat", "nr_throttled")),
    ] {
        if let Some(value) = value {
            seen.put(name, value);
        }
    }
    seen
}

/// The directory of a process's group, when it has one of its own.
fn group_of(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?.trim();
    let contained = ["docker", "libpod", "kubepods", "containerd", "lxc"]
        .iter()
        .any(|word| path.contains(word));
    let group = Path::new(ROOT).join(path);
    (contained && !path.contains("..") && group.is_dir()).then_some(group)
}

/// The first process of a container, by its full or abbreviated hexadecimal id.
pub fn container_pid(id: &str) -> Option<u32> {
    if id.len() < 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    find(Path::new(ROOT), id, 6)
}

fn find(directory: &Path, id: &str, depth: u32) -> Option<u32> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(id) {
            let pids = fs::read_to_string(path.join("cgroup.procs")).ok()?;
            return pids.lines().next()?.parse().ok();
        }
        if depth > 0
            && let Some(found) = find(&path, id, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::container_pid;

    #[test]
    fn only_ids_are_looked_for() {
        assert_eq!(container_pid(""), None);
        assert_eq!(container_pid("../../etc"), None);
        assert_eq!(container_pid("0123456789abcdef0123"), None);
    }
}
