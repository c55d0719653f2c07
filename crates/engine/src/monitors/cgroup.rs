//! The control group (version 2) of a containerised target: what counts against its memory limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Monitor, Seen, Source, Watched, pressure};

/// The target's control group.
pub(super) const MONITOR: Monitor = Monitor {
    name: "cgroup",
    subject: "target",
    about: "working set of the target's control group (memory.current less inactive_file), its anonymous memory, limit, \
            throttling and pressure",
    every: Duration::ZERO,
    open,
};

const ROOT: &str = "/sys/fs/cgroup";

fn open(watched: &Watched) -> Source {
    // A process in the root group is in no container: there is nothing of its own to see, and nothing amiss.
    match watched.pid.and_then(group_of) {
        Some(group) => Box::new(move || read(&group)),
        None => Box::new(Seen::default),
    }
}

fn read(group: &Path) -> Seen {
    let mut seen = Seen::default();
    let number = |file: &str| {
        fs::read_to_string(group.join(file))
            .ok()?
            .trim()
            .parse::<f64>()
            .ok()
    };
    let memory = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let stat = |file: &str, key: &str| field(&fs::read_to_string(group.join(file)).ok()?, key);
    match number("memory.current").zip(field(&memory, "inactive_file")) {
        Some((current, inactive)) => seen.put("working_set_bytes", (current - inactive).max(0.0)),
        None => seen.miss("working_set_bytes", "the control group's memory may not be read"),
    }
    for (name, value) in [
        ("anon_bytes", field(&memory, "anon")),
        ("memory_limit_bytes", number("memory.max")),
        ("oom_kills", stat("memory.events", "oom_kill")),
        ("throttled_periods", stat("cpu.stat", "nr_throttled")),
    ] {
        if let Some(value) = value {
            seen.put(name, value);
        }
    }
    pressure::put(&mut seen, |resource| {
        fs::read_to_string(group.join(format!("{resource}.pressure"))).ok()
    });
    seen
}

/// The number after a key, in lines of key and number.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The directory of a process's group, when it has one of its own: a container's, or a service's.
fn group_of(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = own_group(&text)?;
    let group = Path::new(ROOT).join(path);
    group.is_dir().then_some(group)
}

/// The path of the group in `/proc/PID/cgroup` that belongs to one container or service alone.
fn own_group(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?.trim();
    let contained = ["docker", "libpod", "kubepods", "containerd", "lxc"]
        .iter()
        .any(|word| path.contains(word));
    let served = path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.ends_with(".service"));
    ((contained || served) && !path.contains("..")).then_some(path)
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
    use super::{container_pid, field, own_group, read};

    #[test]
    fn a_group_of_its_own_is_a_containers_or_a_services() {
        let group = |path: &str| own_group(&format!("4:memory:/x\n0::/{path}\n")).is_some();
        assert!(group("system.slice/docker-0123.scope"));
        assert!(group("kubepods.slice/kubepods-pod1.slice/cri-2.scope"));
        assert!(group("system.slice/api.service"));
        assert!(!group(""), "the root is everybody's");
        assert!(!group("user.slice/user-1000.slice/session-3.scope"));
        assert!(!group("docker/../other"));
        assert_eq!(own_group("4:memory:/docker/1\n"), None, "version 1");
    }

    #[test]
    fn the_working_set_leaves_out_what_can_be_dropped() {
        let group = std::env::temp_dir().join(format!("prony-cgroup-{}", std::process::id()));
        std::fs::create_dir_all(&group).unwrap();
        let write = |file: &str, text: &str| std::fs::write(group.join(file), text).unwrap();
        write("memory.current", "1000\n");
        write("memory.stat", "anon 600\nfile 400\ninactive_file 150\n");
        write("memory.max", "max\n");
        write(
            "memory.pressure",
            "some avg10=2.00 avg60=0.00 avg300=0.00 total=1000000\n",
        );
        let seen = read(&group);
        std::fs::remove_dir_all(&group).unwrap();
        let values: Vec<(&str, f64)> = seen.values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let expected = [
            ("anon_bytes", 600.0),
            ("memory_stalled_percent", 2.0),
            ("memory_stalled_s", 1.0),
            ("working_set_bytes", 850.0),
        ];
        assert_eq!(values, expected, "no limit is no value");
        assert_eq!(field("anon_thp 5\nanon 6", "anon"), Some(6.0));
    }

    #[test]
    fn only_ids_are_looked_for() {
        assert_eq!(container_pid(""), None);
        assert_eq!(container_pid("../../etc"), None);
        assert_eq!(container_pid("0123456789abcdef0123"), None);
    }
}
