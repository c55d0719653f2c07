//! The target's process and everything it started, summed. When the process ends and another takes over its port, that one is
//! watched: a restart shows in the time of its start.

use std::collections::BTreeMap;
use std::time::Duration;

use procfs::process::{Process, Stat, all_processes};
use procfs::{Current, Uptime};

use super::waits::Waits;
use super::{Monitor, Seen, Source, Watched, listening_pid};

/// The target's process tree.
pub(super) const MONITOR: Monitor = Monitor {
    name: "process",
    subject: "target",
    about: "memory (RSS, and the part that no file is behind), CPU time (that of descendants which ended, too), waits for a core, threads, \
            descriptors and starts of the target's process and its descendants",
    every: Duration::ZERO,
    open,
};

/// Most processes of a tree that are looked at.
const PROCESSES_MAX: usize = 512;

/// A process that lived so long is a worker of the target and not something that it starts for one request.
const LASTING_S: f64 = 10.0;

/// Bytes of a page, and ticks of CPU time per second, as procfs reports them.
pub(super) fn page_bytes() -> u64 {
    procfs::page_size()
}

pub(super) fn ticks_per_s() -> f64 {
    procfs::ticks_per_second() as f64
}

fn open(watched: &Watched) -> Source {
    let Some(mut followed) = Followed::of(watched) else {
        return Box::new(|| {
            let mut seen = Seen::default();
            seen.miss("process", "no process to watch is known");
            seen
        });
    };
    let mut members = Members::default();
    let mut waits = Waits::default();
    Box::new(move || {
        let tree = followed.tree();
        if tree.is_empty() {
            let mut seen = Seen::default();
            let pid = followed.pid;
            seen.miss(
                "process",
                format!("process {pid} does not exist or may not be read"),
            );
            return seen;
        }
        let mut seen = read(followed.pid, &tree, &mut members);
        waits.put(&mut seen, tree.iter().map(|(process, _)| process));
        seen
    })
}

/// The target's process, or whoever took over its port.
pub(super) struct Followed {
    pid: i32,
    port: Option<u16>,
}

impl Followed {
    /// `None` where no process is known.
    pub(super) fn of(watched: &Watched) -> Option<Self> {
        let pid = watched.pid.and_then(|pid| i32::try_from(pid).ok())?;
        let port = watched.port;
        Some(Self { pid, port })
    }

    /// The process and its descendants; empty when it is gone and nobody else listens on its port.
    pub(super) fn tree(&mut self) -> Vec<(Process, Stat)> {
        let tree = tree(self.pid);
        if !tree.is_empty() {
            return tree;
        }
        let heir = self.port.and_then(listening_pid);
        match heir.and_then(|pid| i32::try_from(pid).ok()) {
            None => tree,
            Some(heir) => {
                self.pid = heir;
                self::tree(heir)
            }
        }
    }
}

fn read(pid: i32, tree: &[(Process, Stat)], members: &mut Members) -> Seen {
    let mut seen = Seen::default();
    let (mut cpu, mut threads, mut fds, mut rss, mut newest) = (0, 0, 0, 0, 0);
    let (mut anonymous, mut hidden) = (Some(0), 0);
    for (process, stat) in tree {
        // A process that ends leaves its time to the parent that waits for it.
        let of_ended = (stat.cutime + stat.cstime).max(0).cast_unsigned();
        cpu += stat.utime + stat.stime + of_ended;
        threads += stat.num_threads;
        rss += stat.rss * page_bytes();
        anonymous = anonymous
            .zip(anonymous_bytes(process))
            .map(|(sum, one)| sum + one);
        match process.fd_count() {
            Ok(count) => fds += count,
            Err(_) => hidden += 1,
        }
        newest = newest.max(stat.starttime);
        if process.pid == pid {
            seen.put("started_s", stat.starttime as f64 / ticks_per_s());
        }
    }
    if let Ok(uptime) = Uptime::current() {
        let now = tree
            .iter()
            .map(|(process, stat)| (process.pid, stat.starttime))
            .map(|member| (member, uptime.uptime - member.1 as f64 / ticks_per_s()));
        members.see(now.collect());
        seen.put("workers_lost", f64::from(members.lost));
    }
    seen.put("newest_started_s", newest as f64 / ticks_per_s());
    seen.put("cpu_s", cpu as f64 / ticks_per_s());
    seen.put("threads", threads as f64);
    seen.put("processes", tree.len() as f64);
    seen.put("rss_bytes", rss as f64);
    match anonymous {
        Some(bytes) => seen.put("anonymous_bytes", bytes as f64),
        None => seen.miss(
            "anonymous_bytes",
            "the kernel does not tell of every process what no file is behind",
        ),
    }
    if hidden == 0 {
        seen.put("fds", fds as f64);
    } else {
        seen.miss("fds", "the descriptors may not be read");
    }
    seen
}

/// Who was in the tree, by number and start, with age in seconds; and how many that lasted are gone.
#[derive(Debug, Default)]
struct Members {
    last: BTreeMap<(i32, u64), f64>,
    lost: u32,
}

impl Members {
    fn see(&mut self, now: BTreeMap<(i32, u64), f64>) {
        let gone = self
            .last
            .iter()
            .filter(|(member, age_s)| **age_s >= LASTING_S && !now.contains_key(member));
        self.lost += gone.count() as u32;
        self.last = now;
    }
}

/// The process and its descendants, itself first; empty when it is gone. Those that have ended and wait for their parent do
/// not count.
fn tree(pid: i32) -> Vec<(Process, Stat)> {
    let alive = |pid: i32| {
        let process = Process::new(pid).ok()?;
        let stat = process.stat().ok().filter(|stat| stat.state != 'Z')?;
        Some((process, stat))
    };
    let Some(root) = alive(pid) else {
        return Vec::new();
    };
    let mut everyone: Option<BTreeMap<i32, Vec<i32>>> = None;
    let mut found = vec![root];
    let mut next = 0;
    while let Some((process, _)) = found.get(next).filter(|_| found.len() < PROCESSES_MAX) {
        let children = children(process).unwrap_or_else(|| {
            let parent = process.pid;
            everyone
                .get_or_insert_with(parents)
                .remove(&parent)
                .unwrap_or_default()
        });
        found.extend(children.into_iter().filter_map(alive));
        next += 1;
    }
    found
}

/// The children of all threads of a process; `None` where the kernel does not list them.
fn children(process: &Process) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for task in process.tasks().ok()?.flatten() {
        children.extend(
            task.children()
                .ok()?
                .into_iter()
                .filter_map(|pid| i32::try_from(pid).ok()),
        );
    }
    Some(children)
}

/// The children of every process, by a look at all of them.
fn parents() -> BTreeMap<i32, Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in all_processes().into_iter().flatten().flatten() {
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid).or_default().push(process.pid);
        }
    }
    children
}

/// Resident memory that no file is behind, the shared part of it included (proc(5), `RssAnon` and `RssShmem`): cheap to read,
/// whatever the size, where PSS is summed up page by page.
fn anonymous_bytes(process: &Process) -> Option<u64> {
    let status = process.status().ok()?;
    Some(1024 * (status.rssanon? + status.rssshmem?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::{Child, Command};

    use super::{Members, children, parents, tree};

    /// A process that starts another and waits.
    fn family() -> Child {
        Command::new("sh")
            .args(["-c", "sleep 600 & wait"])
            .spawn()
            .unwrap()
    }

    #[test]
    fn finds_all_descendants() {
        let mut parent = family();
        let pid = parent.id().cast_signed();
        while tree(pid).len() < 2 {
            std::thread::yield_now();
        }
        let found = tree(pid);
        let (root, child) = (&found[0], &found[1]);
        assert_eq!((found.len(), root.0.pid, child.1.ppid), (2, pid, pid));
        assert_eq!(
            parents()[&pid],
            [child.0.pid],
            "the other way to find them agrees"
        );
        assert!(children(&root.0).is_none_or(|found| found == [child.0.pid]));
        // A child that has ended is not counted, though nobody has waited for it.
        Command::new("kill")
            .arg(child.0.pid.to_string())
            .status()
            .unwrap();
        parent.wait().unwrap();
        assert!(tree(pid).is_empty());
    }

    #[test]
    fn only_workers_that_lasted_are_missed() {
        let members = |list: &[(i32, f64)]| -> BTreeMap<(i32, u64), f64> {
            list.iter().map(|&(pid, age_s)| ((pid, 7), age_s)).collect()
        };
        let mut seen = Members::default();
        seen.see(members(&[(1, 100.0), (2, 100.0), (3, 0.5)]));
        seen.see(members(&[(1, 101.0), (2, 101.0), (4, 0.5)]));
        assert_eq!(seen.lost, 0, "something started for one request");
        seen.see(members(&[(1, 102.0), (5, 0.5)]));
        assert_eq!(seen.lost, 1, "a worker");
    }
}
