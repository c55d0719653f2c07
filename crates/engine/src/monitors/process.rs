//! The target's process and everything it started, summed.

use std::collections::BTreeMap;

use procfs::process::{Process, all_processes};

use super::{Monitor, Seen};

/// The target's process tree.
pub(super) const MONITOR: Monitor = Monitor {
    name: "process",
    subject: "target",
    about: "memory (PSS, which shares what forked workers share), CPU time, threads and descriptors of the target's process and its children",
    read,
};

/// Bytes of a page, and ticks of CPU time per second, as procfs reports them.
pub(super) fn page_bytes() -> u64 {
    procfs::page_size()
}

pub(super) fn ticks_per_s() -> f64 {
    procfs::ticks_per_second() as f64
}

fn read(pid: Option<u32>) -> Seen {
    let mut seen = Seen::default();
    let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else {
        seen.miss("process", "no process to watch is known");
        return seen;
    };
    let tree = tree(pid);
    if tree.is_empty() {
        seen.miss(
            "process",
            format!("process {pid} does not exist or may not be read"),
        );
        return seen;
    }
    let (mut cpu, mut threads, mut fds, mut memory, mut processes) = (0, 0, 0, 0, 0);
    let mut hidden = (0, 0);
    for process in &tree {
        let Ok(stat) = process.stat() else { continue };
        processes += 1;
        cpu += stat.utime + stat.stime;
        threads += stat.num_threads;
        memory += pss_bytes(process).unwrap_or_else(|| {
            hidden.0 += 1;
            stat.rss * page_bytes()
        });
        match process.fd_count() {
            Ok(count) => fds += count,
            Err(_) => hidden.1 += 1,
        }
        if process.pid == pid {
            seen.put("started_s", stat.starttime as f64 / ticks_per_s());
        }
    }
    seen.put("cpu_s", cpu as f64 / ticks_per_s());
    seen.put("threads", threads as f64);
    seen.put("processes", f64::from(processes));
    seen.put("pss_bytes", memory as f64);
    if hidden.0 > 0 {
        seen.miss(
            "pss_bytes",
            format!(
                "{} of {processes} processes give no PSS; their RSS is counted",
                hidden.0
            ),
        );
    }
    if hidden.1 == 0 {
        seen.put("fds", fds as f64);
    } else {
        seen.miss("fds", "the descriptors may not be read");
    }
    seen
}

/// The process and its descendants, itself first; empty when it is gone.
fn tree(pid: i32) -> Vec<Process> {
    let Ok(root) = Process::new(pid) else {
        return Vec::new();
    };
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all_processes().into_iter().flatten().flatten() {
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid).or_default().push(process);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let pid = process.pid;
        found.extend(children.remove(&pid).into_iter().flatten());
        next += 1;
    }
    found
}

fn pss_bytes(process: &Process) -> Option<u64> {
    let rollup = process.smaps_rollup().ok()?;
    rollup
        .memory_map_rollup
        .iter()
        .find_map(|map| map.extension.map.get("Pss").copied())
}
