//! The host that the generator runs on.

use std::time::Duration;

use procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo};

use super::process::ticks_per_s;
use super::{Monitor, Seen, pressure};

/// The host.
pub(super) const MONITOR: Monitor = Monitor {
    name: "host",
    subject: "host",
    about: "memory in use, load average, cores, CPU time, time stolen by a hypervisor and pressure, of the whole host",
    every: Duration::ZERO,
    open: |_| Box::new(read),
};

fn read() -> Seen {
    let mut seen = Seen::default();
    match Meminfo::current() {
        Ok(memory) => {
            let available = memory.mem_available.unwrap_or(memory.mem_free);
            seen.put(
                "memory_used_bytes",
                memory.mem_total.saturating_sub(available) as f64,
            );
            seen.put("memory_total_bytes", memory.mem_total as f64);
        }
        Err(e) => seen.miss("memory_used_bytes", e),
    }
    match LoadAverage::current() {
        Ok(load) => seen.put("load1", f64::from(load.one)),
        Err(e) => seen.miss("load1", e),
    }
    match KernelStats::current() {
        Ok(stats) => {
            // Shares of all cores together, so that 1 is a host that is entirely busy.
            let cores = stats.cpu_time.len().max(1) as f64;
            let ticks = cores * ticks_per_s();
            let total = &stats.total;
            let busy =
                total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
            seen.put("cores", cores);
            seen.put("cpu_s", busy as f64 / ticks);
            seen.put("steal_s", total.steal.unwrap_or(0) as f64 / ticks);
        }
        Err(e) => seen.miss("cpu_s", e),
    }
    pressure::put(&mut seen, pressure::of_host);
    seen
}
