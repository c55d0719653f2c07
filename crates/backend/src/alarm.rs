//! Waiting until an instant with the precision of the kernel's timers (tens of microseconds), which the async runtime's 1 ms wheel
//! cannot give. One timer descriptor stands at the earliest deadline; the runtime's own poller sees it and wakes the tasks that are
//! due, with no thread in between. It knows nothing of requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A clock that tasks can ask to be woken by. Dropping it ends its task.
#[derive(Debug)]
pub(crate) struct Alarm {
    shared: Arc<Shared>,
    ringing: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    timer: AsyncFd<OwnedFd>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BinaryHeap<Reverse<Entry>>,
    next_seq: u64,
}

#[derive(Debug)]
struct Entry {
    deadline: Instant,
    seq: u64,
    wake: oneshot::Sender<()>,
}

impl Alarm {
    /// Starts the clock. It lives in the runtime, inside which this must be called.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that could give away their descriptor, which an OwnedFd does not"
        )]
        let timer = AsyncFd::new(descriptor)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            timer,
        });
        let ringing = runtime.spawn(ring(Arc::clone(&shared)));
        Ok(Self { shared, ringing })
    }

    /// Returns at `deadline` or a little later, never earlier.
    pub(crate) async fn sleep_until(&self, deadline: Instant) {
        if deadline <= Instant::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            let seq = queue.next_seq;
            queue.next_seq += 1;
            let is_first = queue
                .waiting
                .peek()
                .is_none_or(|first| deadline < first.0.deadline);
            queue.waiting.push(Reverse(Entry { deadline, seq, wake }));
            if is_first {
                self.shared.set(deadline);
            }
        }
        // The sender is dropped only when the clock is, at shutdown: then nobody waits for the answer any more.
        let _ = woken.await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.ringing.abort();
    }
}

impl Shared {
    /// The timer rings then; at once if that is past.
    fn set(&self, deadline: Instant) {
        // A value of zero would disarm it.
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        // The descriptor is a timer and the time is in range, so there is nothing to refuse.
        let _ = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once);
    }

    /// Wakes those that are due and sets the timer for the next.
    fn wake(&self) {
        let mut queue = self.lock();
        let now = Instant::now();
        while queue.waiting.peek().is_some_and(|first| first.0.deadline <= now) {
            if let Some(Reverse(due)) = queue.waiting.pop() {
                // A receiver that went away no longer cares.
                let _ = due.wake.send(());
            }
        }
        if let Some(Reverse(next)) = queue.waiting.peek() {
            self.set(next.deadline);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ring(shared: Arc<Shared>) {
    // An error means that the runtime is ending.
    while let Ok(mut ready) = shared.timer.readable().await {
        // What is read is how often it rang; that it rang at all is enough, and if it did not there is nothing due.
        let _ = rustix::io::read(shared.timer.get_ref(), &mut [0_u8; 8]);
        ready.clear_ready();
        shared.wake();
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.deadline, self.seq) == (other.deadline, other.seq)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline, self.seq).cmp(&(other.deadline, other.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn wakes_in_deadline_order_and_never_early() {
        let alarm = Arc::new(Alarm::start().unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        let tasks: Vec<_> = [9_u64, 3, 6]
            .into_iter()
            .map(|ms| {
                let (alarm, order) = (Arc::clone(&alarm), Arc::clone(&order));
                tokio::spawn(async move {
                    alarm.sleep_until(start + Duration::from_millis(ms)).await;
                    assert!(start.elapsed() >= Duration::from_millis(ms));
                    order.lock().unwrap().push(ms);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [3, 6, 9]);
    }
}
