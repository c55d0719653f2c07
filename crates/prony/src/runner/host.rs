//! Facts of this machine and this moment that a report must name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prony_model::RunSpec;

/// Cores that this process may use.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

/// Kernel, CPU, cores and memory, as far as the system tells, and with which priority the run sends.
pub(crate) fn facts(run: &RunSpec) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let sending = if run.normal_priority || !prony_engine::may_be_real_time() {
        "normal"
    } else {
        "real-time"
    };
    facts.insert("priority of sending".to_owned(), sending.to_owned());
    facts.insert("cores".to_owned(), cores().to_string());
    facts.insert(
        "os".to_owned(),
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    if let Ok(kernel) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        facts.insert("kernel".to_owned(), kernel.trim().to_owned());
    }
    if let Some(model) = field("/proc/cpuinfo", "model name") {
        facts.insert("cpu".to_owned(), model);
    }
    if let Some(bytes) = memory_bytes() {
        facts.insert("memory".to_owned(), format!("{:.1} GiB", bytes / 1024f64.powi(3)));
    }
    facts
}

/// Memory that this process may use: the machine's, or less where a control group (version 2) limits it.
pub(crate) fn memory_bytes() -> Option<f64> {
    let total = field("/proc/meminfo", "MemTotal").and_then(|t| t.strip_suffix(" kB")?.parse::<f64>().ok());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    total
        .map(|kib| 1024.0 * kib)
        .into_iter()
        .chain(group_limit(Path::new("/sys/fs/cgroup"), own.unwrap_or_default()))
        .reduce(f64::min)
}

/// The lowest `memory.max` of a control group and those that hold it.
fn group_limit(root: &Path, own: &str) -> Option<f64> {
    let limit = |group: &Path| {
        fs::read_to_string(group.join("memory.max"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let group = root.join(own);
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(limit).reduce(f64::min)
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|l| l.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Now, RFC 3339 in UTC with seconds.
pub(crate) fn wall_clock() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An identifier that sorts by time; the suffix tells apart runs of the same second.
pub(crate) fn run_id(seed: u64) -> String {
    let now = jiff::Timestamp::now();
    let mixed = (now.as_nanosecond() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ seed
        ^ u64::from(std::process::id());
    format!("{}-{:04x}", now.strftime("%Y%m%dT%H%M%SZ"), (mixed >> 48) as u16)
}

/// Columns of the terminal, within reason; 100 when there is none.
pub(crate) fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|s| usize::from(s.ws_col))
        .filter(|&w| w > 0)
        .map_or(100, |w| w.clamp(60, 140))
}

#[cfg(test)]
mod tests {
    use super::{group_limit, memory_bytes};

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let root = std::env::temp_dir().join(format!("prony-groups-{}", std::process::id()));
        let own = root.join("kubepods/pod1/main");
        std::fs::create_dir_all(&own).unwrap();
        assert_eq!(group_limit(&root, "kubepods/pod1/main"), None);
        std::fs::write(own.join("memory.max"), "max\n").unwrap();
        assert_eq!(group_limit(&root, "kubepods/pod1/main"), None);
        std::fs::write(root.join("kubepods/memory.max"), "2147483648\n").unwrap();
        std::fs::write(root.join("kubepods/pod1/memory.max"), "1073741824\n").unwrap();
        assert_eq!(group_limit(&root, "kubepods/pod1/main"), Some(1024f64.powi(3)));
        assert_eq!(group_limit(&root, "kubepods"), Some(2.0 * 1024f64.powi(3)));
        std::fs::remove_dir_all(&root).unwrap();
        assert!(memory_bytes().is_some_and(|bytes| bytes > 0.0));
    }
}
