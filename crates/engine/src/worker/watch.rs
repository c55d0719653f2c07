//! A worker's eye on itself where streams are read: how late it reads what came, and whether it takes so much processor time
//! that it must not go before others.
//!
//! The timer of the loop serves as the probe. It becomes ready in the same queue as the sockets, at times that have nothing to
//! do with what they bring; how late the round is over that it is part of is how late a read may have been. It costs
//! one reading of the clock every few milliseconds.

use prony_model::Nanos;

use super::thread_cpu;
use crate::books::{self, Times};
use crate::priority;

/// How often the processor time is looked at.
const LOOK: Nanos = Nanos(200_000_000);

/// Above this share of a core, real-time priority is given up.
const SHARE_MAX: f64 = 0.6;

/// What it sees.
#[derive(Debug)]
pub(super) struct Watch {
    /// Whether there are streams to be read in time.
    reads: bool,
    hurried: bool,
    since: Nanos,
    cpu: Nanos,
    late: Option<Times>,
}

impl Watch {
    /// `reads` tells whether lateness matters, `hurried` whether the thread has real-time priority that it must not keep
    /// at any cost.
    pub(super) fn new(reads: bool, hurried: bool) -> Self {
        Self {
            reads,
            hurried,
            since: Nanos::ZERO,
            cpu: Nanos::ZERO,
            late: None,
        }
    }

    /// Whether the probe is wanted.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// The timer was to fire at `due`, and the round that it was part of is over.
    pub(super) fn round_over(&mut self, due: Nanos, now: Nanos) {
        books::record(&mut self.late, now - due);
    }

    /// Looks at the processor time, now and then.
    pub(super) fn look(&mut self, now: Nanos) {
        if !self.hurried || now < self.since + LOOK {
            return;
        }
        let cpu = thread_cpu();
        let share = (cpu - self.cpu).0 as f64 / (now - self.since).0 as f64;
        if self.since > Nanos::ZERO && share > SHARE_MAX {
            priority::lower();
            self.hurried = false;
        }
        (self.since, self.cpu) = (now, cpu);
    }

    /// How late reads were.
    pub(super) fn late(self) -> Option<Box<Times>> {
        self.late.map(Box::new)
    }
}
