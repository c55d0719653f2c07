//! A worker's eye on itself where streams are read: whose clock stamped their events, and how late it read what came.
//!
//! Where the kernel says when bytes arrived, a late read spoils nothing by itself: only what it brought together has one stamp, that of
//! the last. How late the others were read the kernel does not tell; but what the loop did not see when it looked before was not there
//! then. A look that had to wait tells nothing of the kind: the first event may have ended the wait.
//!
//! Elsewhere an event has the stamp of its read, and the timer of the loop serves as the probe. It becomes ready in the
//! same queue as the sockets, at times that have nothing to do with what they bring; how late the round is over that it is
//! part of is how late a read may have been. It costs one reading of the clock every few milliseconds.

use prony_model::Nanos;
use prony_wire::{Arrivals, Clock};

use super::TICK;
use super::meter::{Heard, Meter};
use crate::books::{self, Times};

/// A look for events that took no longer did not wait for any.
const LOOK_MAX: Nanos = Nanos(20_000);

/// What it sees.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What the kernel says; `None` where there are no streams to be read in time.
    arrivals: Option<Box<Arrivals>>,
    /// When the loop last saw all that there was to be read.
    looked: Nanos,
    /// When it did so before that, where it did not wait for what it reads now: none of it was there then.
    since: Option<Nanos>,
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
    /// How late an event may have been read that has the stamp of a later one, since a read brought both.
    pub(crate) shared: Option<Times>,
    /// The same for first tokens that have the stamp of a later event.
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
            ..Self::default()
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

    /// The loop looked for events from `asked` to `told`, and there may be more of them than it was told (`full`).
    pub(super) fn looked(&mut self, asked: Nanos, told: Nanos, full: bool) {
        self.since = (told - asked <= LOOK_MAX).then_some(self.looked);
        if !full {
            self.looked = told;
        }
    }

    /// What a read came to that returned at `read`, and that a meter has just heard.
    pub(super) fn heard(&mut self, meter: &mut Meter, read: Nanos) {
        let Heard {
            late: Some(late),
            oldest,
            shared,
            first_shared,
        } = meter.heard()
        else {
            return;
        };
        books::record(&mut self.seen.reads, late);
        let late = late.max(self.since.map_or(late, |since| oldest.min(read - since)));
        if shared > 0 {
            books::record_n(&mut self.seen.shared, late, u64::from(shared));
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

    use prony_model::{Nanos, StreamExpect, StreamProtocol};
    use prony_wire::Clock;
    use prony_wire::http1::{HeadCache, ResponseParser};

    use super::{Seen, TICK, Watch};
    use crate::worker::call::Answer;

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

    /// How late in tens of microseconds a first token may have been read, at `read` with another that arrived at `arrived`.
    fn first_token_late(watch: &mut Watch, arrived: u64, read: u64) -> u64 {
        let mut answer = Answer::default();
        answer.measure(StreamExpect::new(StreamProtocol::Sse));
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let mut parser = ResponseParser::new(1 << 10, 1 << 20);
        parser.feed(head, &mut HeadCache::default(), &mut answer).unwrap();
        let mut meter = answer.meter.unwrap();
        meter.read_at(Nanos(1), Nanos(read), Some(Nanos(arrived)));
        meter.body(b"data: a\n\ndata: b\n\n");
        watch.seen = Seen::default();
        watch.heard(&mut meter, Nanos(read));
        (watch.seen.shared_first.as_ref().unwrap().max() + 5000) / 10_000
    }

    #[test]
    fn a_token_that_shares_a_stamp_may_have_come_since_the_last_look() {
        let mut watch = Watch::over_streams(Clock::since(Instant::now()));
        watch.looked(Nanos(0), Nanos(1_000_000), false);
        // The second look waited: the first event may have ended the wait.
        watch.looked(Nanos(2_000_000), Nanos(5_000_000), false);
        assert_eq!(first_token_late(&mut watch, 5_090_000, 5_100_000), 1);
        // The third found what it found at once: it may have come any time since the second.
        watch.looked(Nanos(9_000_000), Nanos(9_001_000), false);
        assert_eq!(first_token_late(&mut watch, 9_090_000, 9_100_000), 410);
        // What a full look could not tell may be as old as the look before it.
        watch.looked(Nanos(10_000_000), Nanos(10_001_000), true);
        watch.looked(Nanos(11_000_000), Nanos(11_001_000), false);
        assert_eq!(first_token_late(&mut watch, 11_090_000, 11_100_000), 210);
    }

    #[test]
    fn without_streams_there_is_nothing_to_see() {
        assert!(!Watch::default().reads());
        assert!(Watch::default().seen().is_none());
    }
}
