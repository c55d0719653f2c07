//! Who may be in service at once: one at a time like a blocked event loop, or a pool of slots with a bounded queue. First come,
//! first served. It knows neither requests nor times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A first-come-first-served gate of `slots` with at most `waiting_max` waiting.
#[derive(Debug)]
pub(crate) struct Gate {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// The queue was full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Gate {
    /// `waiting_max` of `usize::MAX` never refuses.
    pub(crate) fn new(slots: usize, waiting_max: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// Those that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits for a turn. The turn ends when the permit is dropped.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Full> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(Full);
        }
        let place = Waiting(&self.waiting);
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        drop(place);
        // The semaphore is never closed; were it, refusing is the safe answer.
        permit.map_err(|_| Full)
    }
}

/// A place in the queue, given up when this is dropped: one that waits may be dropped with its client.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refuses_beyond_the_queue() {
        let gate = Arc::new(Gate::new(1, 1));
        let first = gate.enter().await.unwrap();
        let waiter = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        while gate.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter().await.unwrap_err(), Full);
        drop(first);
        assert_eq!(waiter.await.unwrap(), Ok(()));
        assert!(gate.enter().await.is_ok());
    }
}
