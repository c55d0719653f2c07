//! What phases hold of the life of the target's process: when it was started, and how it ended. It judges nothing.

use prony_model::{Endpoint, Nanos, PhaseResult, Reading};

use crate::RunView;
use crate::primary::{no_work, restartable};

/// A start of the process, with the phase that came next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    /// The phase.
    pub(crate) phase: &'a PhaseResult,
    reading: &'a Reading,
}

impl<'a> Start<'a> {
    /// Every start that was followed, in order.
    pub(crate) fn all(run: &RunView<'a>) -> Vec<Self> {
        let of = |phase: &'a PhaseResult| {
            let starts = phase.readings.iter().filter(|r| r.monitor == "start");
            starts.map(move |reading| Self { phase, reading })
        };
        run.phases.iter().flat_map(of).collect()
    }

    /// When it was started.
    pub(crate) fn at(self) -> Nanos {
        self.reading.at
    }

    /// Milliseconds from the start to that, where it was seen: `listen`, `answer`, `startup`, `live`, `ready`.
    pub(crate) fn ms(self, what: &str) -> Option<f64> {
        self.reading.values.get(&format!("{what}_ms")).copied()
    }

    /// Milliseconds from the start until it said that it is ready: by the probe that says most, or by any answer at all.
    pub(crate) fn ready_ms(self) -> Option<f64> {
        ["ready", "live", "startup", "answer"]
            .into_iter()
            .find_map(|what| self.ms(what))
    }
}

/// The end of the process in the middle of a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop<'a> {
    /// When it was told to stop.
    pub(crate) at: Nanos,
    values: &'a std::collections::BTreeMap<String, f64>,
}

impl<'a> Stop<'a> {
    /// That of a phase.
    pub(crate) fn of(phase: &'a PhaseResult) -> Option<Self> {
        let reading = phase.readings.iter().find(|r| r.monitor == "stop")?;
        Some(Self {
            at: reading.at,
            values: &reading.values,
        })
    }

    /// Milliseconds until it had ended; `None` when it did not, and was killed.
    pub(crate) fn took_ms(self) -> Option<f64> {
        self.values.get("exit_ms").copied()
    }

    /// How long it was given, in milliseconds.
    pub(crate) fn given_ms(self) -> f64 {
        self.values.get("timeout_ms").copied().unwrap_or_default()
    }

    /// The code that it ended with by itself.
    pub(crate) fn code(self) -> Option<i32> {
        self.values.get("exit_code").map(|&code| code as i32)
    }

    /// The signal that ended it.
    pub(crate) fn signal(self) -> Option<i32> {
        self.values.get("exit_signal").map(|&signal| signal as i32)
    }

    /// Whether it had ended before it was told to.
    pub(crate) fn is_early(self) -> bool {
        self.values.get("early").is_some_and(|&early| early > 0.0)
    }
}

/// The endpoint that is asked when a process is new or near its end: the main work, else one that does none.
pub(crate) fn asked<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    restartable(run).or_else(|| no_work(run))
}
