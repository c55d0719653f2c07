//! Which streams have something new: every stream has a waker that puts its key into one list, once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The bells of a connection's streams. All are rung and heard on one thread; the lock is never contended.
#[derive(Debug, Default)]
pub(super) struct Bells {
    rung: Arc<Mutex<VecDeque<u32>>>,
    bells: Vec<(Arc<Bell>, Waker)>,
}

#[derive(Debug)]
struct Bell {
    key: u32,
    waits: AtomicBool,
    rung: Arc<Mutex<VecDeque<u32>>>,
}

impl Bells {
    /// The waker of a key.
    pub(super) fn waker(&mut self, key: u32) -> &Waker {
        self.grow(key);
        &self.bells[key as usize].1
    }

    /// Rings a key's bell.
    pub(super) fn ring(&mut self, key: u32) {
        self.waker(key).wake_by_ref();
    }

    /// The key whose bell rang first, and is silent again.
    pub(super) fn next(&mut self) -> Option<u32> {
        let key = self
            .rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()?;
        self.bells[key as usize].0.waits.store(false, Ordering::Relaxed);
        Some(key)
    }

    fn grow(&mut self, key: u32) {
        while self.bells.len() <= key as usize {
            let bell = Arc::new(Bell {
                key: self.bells.len() as u32,
                waits: AtomicBool::new(false),
                rung: Arc::clone(&self.rung),
            });
            let waker = Waker::from(Arc::clone(&bell));
            self.bells.push((bell, waker));
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.waits.swap(true, Ordering::Relaxed) {
            self.rung
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bells;

    #[test]
    fn a_bell_is_heard_once_however_often_it_rings() {
        let mut bells = Bells::default();
        for key in [3, 1, 3, 3] {
            bells.ring(key);
        }
        assert_eq!(
            (bells.next(), bells.next(), bells.next()),
            (Some(3), Some(1), None)
        );
        let kept = bells.waker(3).clone();
        kept.wake();
        assert_eq!((bells.next(), bells.next()), (Some(3), None));
    }
}
