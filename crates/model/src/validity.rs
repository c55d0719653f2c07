//! Whether the generator kept its promise. INVALID is neither PASS nor FAIL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Nanos;

/// The generator's own figures for one phase, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// 99th percentile of sent - intended less connect time.
    pub lag_p99: Nanos,
    /// Share of arrivals sent late by more than max(1 ms, 10 % of the median response).
    pub late_share: f64,
    /// Share of scheduled arrivals never sent because of the in-flight cap or local exhaustion.
    pub shed_share: f64,
    /// Relative difference between scheduled and sent arrivals, worst 10 s window with at least 100 sends.
    pub rate_error: f64,
    /// Busiest worker thread's CPU time over wall time, 0 to 1.
    pub worker_busy_max: f64,
    /// Share of CPU time stolen by the hypervisor, 0 to 1.
    pub steal_share: f64,
    /// 99th percentile of the timer's own lateness on the worker threads.
    pub timer_p99: Nanos,
    /// How late answers were read at the 99th percentile, where streams were. It is in the times of those events only that have the
    /// stamp of their read.
    #[serde(default)]
    pub read_late_p99: Nanos,
    /// Events of streams that have the kernel's stamp of their arrival.
    #[serde(default)]
    pub stamped_by_kernel: u64,
    /// Events of streams that have the stamp of the read that brought them.
    #[serde(default)]
    pub stamped_by_read: u64,
    /// Share of those events whose stamp is wrong because they were read late, beyond the bound that `late-reads` names: stamped
    /// by a late read, or together with a later event.
    #[serde(default)]
    pub misread_share: f64,
    /// Samples or chunks that could not be stored.
    pub dropped: u64,
    /// Relative difference between the mean in flight and rate x mean response (Little's law).
    pub little_error: f64,
    /// What makes the phase invalid.
    pub invalid: Vec<ValidityIssue>,
    /// What deserves a warning.
    pub warnings: Vec<ValidityIssue>,
}

impl Validity {
    /// Name of the warning that a phase was ended because its backlog went on growing.
    pub const SATURATED: &'static str = "saturated";

    /// Whether it was ended for that.
    pub fn is_saturated(&self) -> bool {
        self.warnings.iter().any(|issue| issue.name == Self::SATURATED)
    }

    /// Whether its numbers may be trusted.
    pub fn is_valid(&self) -> bool {
        self.invalid.is_empty()
    }

    /// Notes that a bound was passed: one that makes the phase invalid, or one that deserves a warning.
    pub fn tell(&mut self, condemns: bool, name: &str, says: String) {
        let list = if condemns {
            &mut self.invalid
        } else {
            &mut self.warnings
        };
        list.push(ValidityIssue {
            name: name.to_owned(),
            says,
        });
    }
}

/// One bound that was passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidityIssue {
    /// Stable name: `late-sends`, `shed`, `rate`, `worker-busy`, `steal`, `timer`, `dropped`, `little`, `late-reads`,
    /// `streams`, `coordinated-omission`, `shared-host`, `saturated`.
    pub name: String,
    /// What was measured against which bound, in words.
    pub says: String,
}
