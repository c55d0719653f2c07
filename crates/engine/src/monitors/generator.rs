//! Ourselves: what the generator costs the host that it may share with its target.

use std::time::Duration;

use procfs::process::Process;

use super::process::{page_bytes, ticks_per_s};
use super::waits::Waits;
use super::{Monitor, Seen};

/// The generator.
pub(super) const MONITOR: Monitor = Monitor {
    name: "generator",
    subject: "generator",
    about: "resident memory and CPU time of Prony itself, and how long its threads waited for a core",
    every: Duration::ZERO,
    open: |_| {
        let mut waits = Waits::default();
        Box::new(move || read(&mut waits))
    },
};

fn read(waits: &mut Waits) -> Seen {
    let mut seen = Seen::default();
    match Process::myself().and_then(|own| Ok((own.stat()?, own))) {
        Ok((stat, own)) => {
            seen.put("rss_bytes", (stat.rss * page_bytes()) as f64);
            seen.put("cpu_s", (stat.utime + stat.stime) as f64 / ticks_per_s());
            waits.put(&mut seen, [&own]);
        }
        Err(e) => seen.miss("rss_bytes", e),
    }
    seen
}
