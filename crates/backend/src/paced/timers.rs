//! Who is due when: a heap of absolute times. It knows no sockets; an entry that nobody claims any more is skipped by its owner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One entry: when, and for which stream in which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    /// Nanoseconds of the monotonic clock.
    pub(super) at_ns: u64,
    /// The number of the stream.
    pub(super) seq: u64,
    /// Its connection's place.
    pub(super) slot: usize,
}

/// All of them, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<Due>>);

impl Timers {
    /// One more, unless it is for the end of time.
    pub(super) fn push(&mut self, due: Due) {
        if due.at_ns < u64::MAX {
            self.0.push(Reverse(due));
        }
    }

    /// The earliest time.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.0.peek().map(|Reverse(due)| due.at_ns)
    }

    /// Takes the earliest one whose time has come.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<Due> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_nothing_before_its_time() {
        let mut timers = Timers::default();
        for (at_ns, seq) in [(30, 1), (10, 2), (20, 3)] {
            timers.push(Due { at_ns, seq, slot: 0 });
        }
        assert!(timers.pop(9).is_none());
        let order: Vec<u64> = std::iter::from_fn(|| timers.pop(25)).map(|due| due.seq).collect();
        assert_eq!(order, [2, 3]);
        assert_eq!(timers.next_ns(), Some(30));
    }
}
