//! A worker's eye on itself where streams are read: whose clock stamped their events, and how late it read what came.
//!
//! Where the kernel says when bytes arrived, a late read spoils nothing by itself: only what it brought together has one stamp, that of
//! the last. Elsewhere an event has the stamp of its read, and the timer of the loop serves as the probe. It becomes ready in the
//! same queue as the sockets, at times that have nothing to do with what they bring; how late the round is over that it is
//! part of is how late a read may have been. It costs one reading of the clock every few milliseconds.

use prony_model::Nanos;
use prony_wire::{Arrivals, Clock};

use super::TICK;
use super::meter::{Heard, Meter};
use crate::books::{self, Times};

/// What it sees.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What the kernel says; `None` where there are no streams to be read in time.
    arrivals: Option<Box<Arrivals>>,
    seen: Seen,
}

/// What a worker saw of its own reading. Accounts add up without loss.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Events with the kernel's stamp.
    pub(crate) by_kernel: u64,
    /// Events with the stamp of their read, since the kernel gave none or none that can be.
    pub(crate) by_read: u64,
    /// How late rounds of the loop were over.
    pub(crate) rounds: Option<Times>,
    /// How late reads were whose bytes have the kernel's stamp.
    pub(crate) reads: Option<Times>,
    /// The same for each event that has the stamp of a later one, since a read brought both.
    pub(crate) shared: Option<Times>,
    /// The same for each first token that has the stamp of a later event.
    pub(crate) shared_first: Option<Times>,
}

impl Seen {
    /// Adds another account.
    pub(crate) fn merge(&mut self, from: &Self) {
        self.by_kernel += from.by_kernel;
        self.by_read += from.by_read;
        for (into, from) in [
            (&mut self.rounds, &from.rounds),
            (&mut self.reads, &from.reads),
            (&mut self.shared, &from.shared),
            (&mut self.shared_first, &from.shared_first),
        ] {
            books::merge(into, from.as_ref());
        }
    }
}

impl Watch {
    /// A watch over streams that are read on this clock.
    pub(super) fn over_streams(clock: Clock) -> Self {
        Self {
            arrivals: Some(Box::new(Arrivals::new(clock))),
            seen: Seen::default(),
        }
    }

    /// Whether there are streams to be read in time.
    pub(super) fn reads(&self) -> bool {
        self.arrivals.is_some()
    }

    /// What the kernel says about reads.
    pub(super) fn arrivals(&mut self) -> Option<&mut Arrivals> {
        self.arrivals.as_deref_mut()
    }

    /// When what the last read brought arrived; it returned at `read`.
    pub(super) fn arrived(&mut self, read: Nanos) -> Option<Nanos> {
        self.arrivals.as_deref_mut()?.latest(read)
    }

    /// What a read came to that a meter has just heard.
    pub(super) fn heard(&mut self, meter: &mut Meter) {
        let Heard {
            late: Some(late),
            shared,
            first_shared,
        } = meter.heard()
        else {
            return;
        };
        books::record(&mut self.seen.reads, late);
        if shared > 0 {
            self.seen
                .shared
                .get_or_insert_with(books::new_times)
                .saturating_record_n(late.0, u64::from(shared));
        }
        if first_shared {
            books::record(&mut self.seen.shared_first, late);
        }
    }

    /// An answer ended: so many of its events were stamped by the kernel, so many by their reads.
    pub(super) fn ended(&mut self, by_kernel: u32, by_read: u32) {
        self.seen.by_kernel += u64::from(by_kernel);
        self.seen.by_read += u64::from(by_read);
    }

    /// The timer was to fire at `due`, and the round that it was part of is over. A round that came so late that others
    /// were due meanwhile stands for those too.
    pub(super) fn round_over(&mut self, due: Nanos, now: Nanos) {
        let rounds = self.seen.rounds.get_or_insert_with(books::new_times);
        // A histogram that grows takes every value.
        let _ = rounds.record_correct((now - due).0, TICK.0);
    }

    /// What it saw; `None` where there was nothing to see.
    pub(super) fn seen(self) -> Option<Box<Seen>> {
        self.arrivals.is_some().then(|| Box::new(self.seen))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{TICK, Watch};
    use prony_model::Nanos;
    use prony_wire::Clock;

    #[test]
    fn a_round_that_is_late_stands_for_those_that_it_held_up() {
        let mut watch = Watch::over_streams(Clock::since(Instant::now()));
        for _ in 0..10 {
            watch.round_over(Nanos(7), Nanos(20_007));
        }
        watch.round_over(Nanos(0), Nanos(100 * TICK.0));
        let rounds = watch.seen().unwrap().rounds.unwrap();
        assert_eq!(rounds.len(), 110);
        assert!(rounds.value_at_quantile(0.5) > 40 * TICK.0);
    }

    #[test]
    fn without_streams_there_is_nothing_to_see() {
        assert!(!Watch::default().reads());
        assert!(Watch::default().seen().is_none());
    }
}
