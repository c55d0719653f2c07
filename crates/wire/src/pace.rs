//! Waking at an absolute time, and waiting for sockets: a timerfd and an epoll set. Where time is simulated neither
//! exists, and a wait moves the clock. Knows no schedule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};

use prony_model::Nanos;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::thread::{ClockId, clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::{Clock, WireError};

/// Has the calling thread woken from [`sleep_until`] as soon as it can be: the kernel gathers the sleeps of ordinary threads within
/// 50 microseconds (`PR_SET_TIMERSLACK`, prctl(2)). A kernel that refuses wakes as it always does.
pub fn no_timer_slack() {
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

/// Sleeps until `at`, whatever happens meanwhile; returns at once when it has passed, and early on a signal. Where time is
/// simulated it moves the clock.
pub fn sleep_until(clock: Clock, at: Nanos) {
    if clock.is_simulated() {
        clock.advance_to(at);
    } else {
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &clock.absolute(at));
    }
}

/// A timer on the absolute monotonic clock. No relative sleeps: an error of one wait does not move the next.
#[derive(Debug)]
pub struct Timer {
    /// None where time is simulated.
    fd: Option<OwnedFd>,
    clock: Clock,
    armed: Nanos,
}

impl Timer {
    /// A timer that is not armed.
    pub fn new(clock: Clock) -> Result<Self, WireError> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = if clock.is_simulated() {
            None
        } else {
            Some(timerfd_create(TimerfdClockId::Monotonic, flags).map_err(|e| system("timer", e))?)
        };
        Ok(Self {
            fd,
            clock,
            armed: Nanos(u64::MAX),
        })
    }

    /// Wakes at `at`, or at once when it has passed. One system call, and none when it is armed for that already.
    pub fn arm(&mut self, at: Nanos) -> Result<(), WireError> {
        if self.armed == at {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: self.clock.absolute(at),
        };
        if let Some(fd) = &self.fd {
            timerfd_settime(fd, TimerfdTimerFlags::ABSTIME, &spec).map_err(|e| system("timer", e))?;
        }
        self.armed = at;
        Ok(())
    }

    /// What it is armed for; the far future when it is not.
    pub fn armed(&self) -> Nanos {
        self.armed
    }

    /// Call after it fired, so that the same time can be armed again.
    pub fn fired(&mut self) {
        self.armed = Nanos(u64::MAX);
    }
}

/// An edge-triggered epoll set, and what is to come from servers in this process. A descriptor is registered once and
/// never touched again.
pub struct Waits {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// Tokens that [`Waits::expect`] announced: when, in which order, whose.
    expected: BinaryHeap<Reverse<(Nanos, u64, u64)>>,
    announced: u64,
    /// Those of them that the last wait reported.
    came: Vec<u64>,
}

impl Waits {
    /// A set that reports at most `batch` events per wait.
    pub fn new(batch: usize) -> Result<Self, WireError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| system("epoll", e))?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(batch.max(1)),
            expected: BinaryHeap::new(),
            announced: 0,
            came: Vec::new(),
        })
    }

    /// Registers a descriptor for every edge, under a token. It leaves the set when it is closed.
    pub fn add(&self, fd: impl AsFd, token: u64) -> Result<(), Errno> {
        let edges =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), edges)
    }

    /// Registers a timer under a token.
    pub fn add_timer(&self, timer: &Timer, token: u64) -> Result<(), WireError> {
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let Some(fd) = &timer.fd else { return Ok(()) };
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), edges).map_err(|e| system("epoll", e))
    }

    /// Something will happen to a connection without a descriptor at `at`: a wait then reports its token. Where time
    /// is real that must not lie in the future.
    pub fn expect(&mut self, token: u64, at: Nanos) {
        self.announced += 1;
        self.expected.push(Reverse((at, self.announced, token)));
    }

    /// Waits until something happens; a signal counts as nothing.
    pub fn wait(&mut self) -> Result<(), WireError> {
        if self.expected.is_empty() {
            return self.wait_for(None);
        }
        self.poll()?;
        self.take_expected(Nanos(u64::MAX));
        Ok(())
    }

    /// The same in simulated time: moves the clock to what is expected next, or to `until`, and then reports
    /// `timer`.
    pub fn advance(&mut self, clock: Clock, until: Nanos, timer: u64) {
        self.events.clear();
        self.came.clear();
        match self.expected.peek() {
            Some(Reverse((at, ..))) if *at <= until => {
                clock.advance_to(*at);
                self.take_expected(clock.now());
            }
            _ => {
                clock.advance_to(until);
                self.came.push(timer);
            }
        }
    }

    fn take_expected(&mut self, until: Nanos) {
        while let Some(Reverse((at, _, token))) = self.expected.peek()
            && *at <= until
        {
            self.came.push(*token);
            self.expected.pop();
        }
    }

    /// Looks what has happened, without waiting.
    pub fn poll(&mut self) -> Result<(), WireError> {
        self.wait_for(Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }))
    }

    fn wait_for(&mut self, timeout: Option<&Timespec>) -> Result<(), WireError> {
        self.events.clear();
        self.came.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            timeout,
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(system("epoll", e)),
        }
    }

    /// How many events the last wait reported.
    pub fn len(&self) -> usize {
        self.events.len() + self.came.len()
    }

    /// Whether the last wait reported nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Event `i` of the last wait: its token, and whether the peer closed its side or the connection failed.
    pub fn event(&self, i: usize) -> (u64, bool) {
        let Some(event) = self.events.get(i) else {
            return (self.came[i - self.events.len()], false);
        };
        let (data, flags) = (event.data, event.flags);
        let hang_up = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        (data.u64(), flags.intersects(hang_up))
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits")
            .field("epoll", &self.epoll)
            .finish_non_exhaustive()
    }
}

fn system(what: &'static str, errno: Errno) -> WireError {
    WireError::System {
        what,
        why: errno.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Timer, Waits};
    use crate::Clock;
    use prony_model::Nanos;

    #[test]
    fn wakes_no_earlier_than_asked_and_again() {
        let clock = Clock::since(Instant::now());
        let mut timer = Timer::new(clock).unwrap();
        let mut waits = Waits::new(4).unwrap();
        waits.add_timer(&timer, 7).unwrap();
        for _ in 0..3 {
            let at = clock.now() + Nanos(2_000_000);
            timer.arm(at).unwrap();
            waits.wait().unwrap();
            assert_eq!(waits.event(0).0, 7);
            assert!(clock.now() >= at);
            timer.fired();
        }
        timer.arm(Nanos(1)).unwrap();
        waits.wait().unwrap();
        assert_eq!(waits.len(), 1);
    }
}
