//! The memory of the target's process and everything it started, each page shared among those that have it (PSS). The kernel looks at
//! every page for that, a tenth of a second for some gigabytes, so it is a monitor of its own: it is read less often then, and
//! holds up nothing else.

use std::time::Duration;

use procfs::process::Process;

use super::process::{Followed, page_bytes};
use super::{Monitor, Seen, Source, Watched};

/// Memory of the target's process tree.
pub(super) const MONITOR: Monitor = Monitor {
    name: "memory",
    subject: "target",
    about: "memory of the target's process and its descendants as PSS, which shares what forked workers share; seldom where it is large",
    every: Duration::ZERO,
    open,
};

fn open(watched: &Watched) -> Source {
    // That there is no process, or none any more, is told once, by the monitor `process`.
    let Some(mut followed) = Followed::of(watched) else {
        return Box::new(Seen::default);
    };
    Box::new(move || {
        let tree = followed.tree();
        if tree.is_empty() {
            return Seen::default();
        }
        let mut seen = Seen::default();
        let (mut pss, mut hidden) = (0, 0);
        for (process, stat) in &tree {
            pss += pss_bytes(process).unwrap_or_else(|| {
                hidden += 1;
                stat.rss * page_bytes()
            });
        }
        seen.put("pss_bytes", pss as f64);
        if hidden > 0 {
            let of = tree.len();
            seen.miss(
                "pss_bytes",
                format!("{hidden} of {of} processes give no PSS; their RSS is counted"),
            );
        }
        seen
    })
}

fn pss_bytes(process: &Process) -> Option<u64> {
    let rollup = process.smaps_rollup().ok()?;
    rollup
        .memory_map_rollup
        .iter()
        .find_map(|map| map.extension.map.get("Pss").copied())
}
