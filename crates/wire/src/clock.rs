//! The one clock of the load path: `CLOCK_MONOTONIC`, counted from the run's epoch; or a simulated one, which stands
//! still until it is moved.

use std::cell::Cell;
use std::time::Instant;

use prony_model::Nanos;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since an epoch, and the same instants as the absolute times that a timer wants.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch_ns: u64,
    simulated: bool,
}

/// Readings of both clocks, of which the narrowest counts.
const COMPARISONS: usize = 8;

thread_local! {
    /// The time of simulated clocks on this thread, in nanoseconds.
    static SIMULATED: Cell<u64> = const { Cell::new(0) };
}

impl Clock {
    /// A clock that counts from `epoch`. Accurate to the time between two clock reads (tens of nanoseconds), unless the thread is
    /// interrupted at each of several tries.
    pub fn since(epoch: Instant) -> Self {
        let compared = || {
            let before = monotonic_ns();
            let passed = u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let width = monotonic_ns() - before;
            (width, (before + width / 2).saturating_sub(passed))
        };
        let narrowest = (0..COMPARISONS).map(|_| compared()).min();
        Self {
            epoch_ns: narrowest.map_or(0, |(_, epoch_ns)| epoch_ns),
            simulated: false,
        }
    }

    /// A clock that begins at zero and moves only by [`Clock::advance_to`]. Each thread has one time for all of its
    /// simulated clocks.
    pub fn simulated() -> Self {
        SIMULATED.set(0);
        Self {
            epoch_ns: 0,
            simulated: true,
        }
    }

    /// Whether time is simulated.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Moves a simulated clock of this thread forward; does nothing to a real one.
    pub fn advance_to(&self, at: Nanos) {
        if self.simulated {
            SIMULATED.set(SIMULATED.get().max(at.0));
        }
    }

    /// Now, since the epoch.
    pub fn now(&self) -> Nanos {
        if self.simulated {
            return Nanos(SIMULATED.get());
        }
        Nanos(monotonic_ns().saturating_sub(self.epoch_ns))
    }

    /// An instant of this clock as an absolute monotonic time.
    pub(crate) fn absolute(self, at: Nanos) -> Timespec {
        let ns = self.epoch_ns.saturating_add(at.0).max(1);
        Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        }
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Clock;

    #[test]
    fn agrees_with_the_standard_clock() {
        let epoch = Instant::now();
        let clock = Clock::since(epoch);
        let before = epoch.elapsed().as_nanos();
        let seen = u128::from(clock.now().0);
        let after = epoch.elapsed().as_nanos();
        // The epoch conversion itself may be off by the time between its two clock reads.
        let slack = 5_000_000;
        assert!(
            before <= seen + slack && seen <= after + slack,
            "{before} {seen} {after}"
        );
    }
}
