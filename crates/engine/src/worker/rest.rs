//! Answers that rest in the kernel until the next request leaves. In an open loop a thread that wakes for every departure need not
//! wake for every answer too, as long as the kernel says when each arrived: half the wake-ups, which is most of what a request
//! costs at a moderate rate. Knows nothing of requests ([note 022](../../../../docs/design/022-resting-answers.md)).

use prony_model::Nanos;
use prony_wire::{Arrivals, Clock, no_timer_slack};

use super::meter::credible;

/// Longest that an answer may lie there unread.
const LONGEST: Nanos = Nanos(1_000_000);

/// Most requests in flight: their answers are read before the next request leaves, and must not make it late.
const IN_FLIGHT_MAX: u32 = 16;

/// How long answers are read at once after something whose time is measured by wake-ups: a connection that is made, or one that ends.
const AWAKE: Nanos = Nanos(100_000_000);

/// Reads without a stamp after which none is asked for any more.
const DOUBTS_MAX: u8 = 16;

/// Whether answers may rest, and what the kernel says of those that did.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// `None` where answers never rest.
    arrivals: Option<Box<Arrivals>>,
    /// Whether the last stamp that was asked for came.
    trusted: bool,
    doubts: u8,
    /// Whether what is read now may have rested.
    rested: bool,
    /// When such a thing happened last.
    awake: Nanos,
}

impl Rest {
    /// For a leg whose answers may rest, on the thread that runs it.
    pub(super) fn on(clock: Clock) -> Self {
        no_timer_slack();
        Self {
            arrivals: Some(Box::new(Arrivals::new(clock))),
            ..Self::default()
        }
    }

    /// Whether connections have to ask for stamps.
    pub(super) fn is_on(&self) -> bool {
        self.arrivals.is_some()
    }

    /// A connection was begun, or ended: what comes next is read at once.
    pub(super) fn awake(&mut self, now: Nanos) {
        self.awake = now;
    }

    /// An answer was large. The window of one that rests fills up, and what nobody wants of it has no stamp: none rests any more.
    pub(super) fn saw_large(&mut self) {
        self.arrivals = None;
        self.trusted = false;
    }

    /// Whether to sleep until `due`, the next departure, whatever is answered before; so many are `in_flight`.
    pub(super) fn may(&mut self, now: Nanos, due: Nanos, in_flight: u32) -> bool {
        self.rested = self.trusted
            && due > now
            && due - now <= LONGEST
            && (1..=IN_FLIGHT_MAX).contains(&in_flight)
            && now - self.awake > AWAKE;
        self.rested
    }

    /// What tells when the bytes of the next read arrived; `None` where the instant of the read is as good.
    pub(super) fn arrivals(&mut self) -> Option<&mut Arrivals> {
        let asks = self.rested || (!self.trusted && self.doubts < DOUBTS_MAX);
        self.arrivals.as_deref_mut().filter(|_| asks)
    }

    /// When what was read with the help of [`Rest::arrivals`] arrived; the read returned at `read`, and it cannot have been
    /// there at `earliest`.
    pub(super) fn arrived(&mut self, earliest: Nanos, read: Nanos) -> Nanos {
        let latest = self.arrivals.as_deref_mut().and_then(|a| a.latest(read));
        let arrived = credible(latest, earliest, read);
        self.trusted = arrived.is_some();
        if !self.trusted {
            self.doubts = self.doubts.saturating_add(1);
        }
        arrived.unwrap_or(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use prony_model::Nanos;
    use prony_wire::Clock;

    use super::{AWAKE, DOUBTS_MAX, LONGEST, Rest};

    fn trusted() -> Rest {
        let mut rest = Rest::on(Clock::since(Instant::now()));
        rest.trusted = true;
        rest
    }

    #[test]
    fn rests_only_until_a_departure_that_is_near() {
        let now = AWAKE + Nanos(1);
        let near = now + Nanos(100_000);
        assert!(trusted().may(now, near, 1));
        assert!(!trusted().may(now, now, 1), "due already");
        assert!(!trusted().may(now, now + LONGEST + Nanos(1), 1), "too far");
        assert!(!trusted().may(now, near, 0), "nothing to come");
        assert!(!trusted().may(now, near, 17), "too many to read before it");
        let mut rest = trusted();
        rest.awake(now);
        assert!(!rest.may(now, near, 1), "a connection is being made");
        assert!(!Rest::default().may(now, near, 1));
    }

    #[test]
    fn asks_until_the_kernel_has_told_and_gives_up_where_it_never_does() {
        let mut rest = Rest::on(Clock::since(Instant::now()));
        assert!(!rest.may(Nanos(u64::MAX / 2), Nanos(u64::MAX / 2 + 9), 1));
        for _ in 0..DOUBTS_MAX {
            assert!(rest.arrivals().is_some());
            assert_eq!(
                rest.arrived(Nanos(5), Nanos(9)),
                Nanos(9),
                "no stamp: the read's own"
            );
        }
        assert!(rest.arrivals().is_none());
        assert!(Rest::default().arrivals().is_none());
    }

    #[test]
    fn reads_of_answers_that_did_not_rest_ask_for_nothing() {
        let mut rest = trusted();
        assert!(rest.arrivals().is_none());
        assert!(rest.may(Nanos(200_000_000), Nanos(200_000_100), 1));
        assert!(rest.arrivals().is_some());
        assert!(!rest.may(Nanos(200_000_000), Nanos(900_000_000), 1));
        assert!(rest.arrivals().is_none());
    }
}
