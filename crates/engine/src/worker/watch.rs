//! A worker's eye on itself where streams are read: how late it reads what came.
//!
//! The timer of the loop serves as the probe. It becomes ready in the same queue as the sockets, at times that have nothing to
//! do with what they bring; how late the round is over that it is part of is how late a read may have been. It costs
//! one reading of the clock every few milliseconds.

use prony_model::Nanos;

use super::TICK;
use crate::books::{self, Times};

/// What it sees.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether there are streams to be read in time.
    reads: bool,
    late: Option<Times>,
}

impl Watch {
    /// `reads` tells whether lateness matters.
    pub(super) fn new(reads: bool) -> Self {
        Self { reads, late: None }
    }

    /// Whether the probe is wanted.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// The timer was to fire at `due`, and the round that it was part of is over. A round that came so late that others
    /// were due meanwhile stands for those too.
    pub(super) fn round_over(&mut self, due: Nanos, now: Nanos) {
        let late = self.late.get_or_insert_with(books::new_times);
        // A histogram that grows takes every value.
        let _ = late.record_correct((now - due).0, TICK.0);
    }

    /// How late reads were.
    pub(super) fn late(self) -> Option<Box<Times>> {
        self.late.map(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::{TICK, Watch};
    use prony_model::Nanos;

    #[test]
    fn a_round_that_is_late_stands_for_those_that_it_held_up() {
        let mut watch = Watch::new(true);
        for _ in 0..10 {
            watch.round_over(Nanos(7), Nanos(20_007));
        }
        watch.round_over(Nanos(0), Nanos(100 * TICK.0));
        let late = watch.late().unwrap();
        assert_eq!(late.len(), 110);
        assert!(late.value_at_quantile(0.5) > 40 * TICK.0);
    }
}
