//! Waiting until an instant with the precision of the kernel's timers (about 50 us), which the async runtime's 1 ms wheel cannot
//! give. One thread sleeps until the earliest deadline and wakes the tasks that are due. It knows nothing of requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

/// A clock that tasks can ask to be woken by. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Alarm {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BinaryHeap<Reverse<Entry>>,
    next_seq: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    deadline: Instant,
    seq: u64,
    wake: oneshot::Sender<()>,
}

impl Alarm {
    /// Starts the clock's thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ringing = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || ring(&ringing))?;
        Ok(Self { shared })
    }

    /// Returns at `deadline` or a little later, never earlier.
    pub(crate) async fn sleep_until(&self, deadline: Instant) {
        if deadline <= Instant::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let seq = queue.next_seq;
            queue.next_seq += 1;
            queue.waiting.push(Reverse(Entry { deadline, seq, wake }));
        }
        self.shared.changed.notify_one();
        // The sender is dropped only when the clock is, at shutdown: then nobody waits for the answer any more.
        let _ = woken.await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.shared.changed.notify_one();
    }
}

fn ring(shared: &Shared) {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    while !queue.closed {
        let now = Instant::now();
        while queue.waiting.peek().is_some_and(|entry| entry.0.deadline <= now) {
            if let Some(Reverse(due)) = queue.waiting.pop() {
                // A receiver that went away no longer cares.
                let _ = due.wake.send(());
            }
        }
        queue = match queue.waiting.peek().map(|entry| entry.0.deadline) {
            None => shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                shared
                    .changed
                    .wait_timeout(queue, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
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
