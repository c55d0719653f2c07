//! The host's own CPU time, for the share that a hypervisor took.

use procfs::{CurrentSI, KernelStats};

/// CPU time of all cores since boot, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTimes {
    total: u64,
    steal: u64,
}

impl CpuTimes {
    /// Now; `None` where it cannot be read.
    pub(crate) fn now() -> Option<Self> {
        let cpu = KernelStats::current().ok()?.total;
        let steal = cpu.steal.unwrap_or_default();
        let waiting =
            cpu.iowait.unwrap_or_default() + cpu.irq.unwrap_or_default() + cpu.softirq.unwrap_or_default();
        Some(Self {
            total: cpu.user + cpu.nice + cpu.system + cpu.idle + waiting + steal,
            steal,
        })
    }

    /// Share of CPU time stolen since an earlier reading, 0 to 1.
    pub(crate) fn steal_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        if total == 0 {
            0.0
        } else {
            self.steal.saturating_sub(before.steal) as f64 / total as f64
        }
    }
}
