//! What the scheduler tells of one request and its handler waits for: admitted, a token, the end. There is one slot per request and no
//! message per token; a handler that wants no tokens is woken twice. It knows no formats.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::oneshot;

use super::pool::Found;

/// The slot of one request.
#[derive(Debug)]
pub(super) struct Progress {
    each_token: bool,
    events_max: usize,
    seen: Mutex<Seen>,
}

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When it was taken in, and what its prompt found.
    pub(super) admitted: Option<(Instant, Found)>,
    /// Tokens made.
    pub(super) tokens: usize,
    /// Times it had to make room for older ones.
    pub(super) preempted: usize,
    /// When the first and the last of them were due.
    pub(super) first: Option<Instant>,
    /// See `first`.
    pub(super) last: Option<Instant>,
    /// How it ended.
    pub(super) end: Option<End>,
    /// When the first tokens were due.
    pub(super) due: Vec<Instant>,
    /// When those were due that the handler has not taken yet, where it wants to be woken for tokens.
    pub(super) untold: VecDeque<Instant>,
    /// Tokens made before which the handler need not be woken.
    pub(super) wanted: usize,
    waker: Option<Waker>,
    /// Dropped at the end, which tells whoever waits for the turn.
    turn: Option<oneshot::Sender<()>>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With all its tokens.
    Done,
    /// So many blocks could not be had.
    Exhausted(usize),
    /// Its client left.
    Cancelled,
    /// The service stopped.
    Stopped,
}

impl Progress {
    /// `each_token`: the handler wants to be woken for tokens, too.
    pub(super) fn new(each_token: bool, events_max: usize, turn: Option<oneshot::Sender<()>>) -> Self {
        Self {
            each_token,
            events_max,
            seen: Mutex::new(Seen {
                turn,
                ..Seen::default()
            }),
        }
    }

    /// It was taken in.
    pub(super) fn admit(&self, found: Found) {
        let mut seen = self.lock();
        if seen.admitted.is_none() {
            seen.admitted = Some((Instant::now(), found));
            wake(seen);
        }
    }

    /// It had to make room.
    pub(super) fn preempt(&self) {
        self.lock().preempted += 1;
    }

    /// Tokens are ready that were due together at `due`.
    pub(super) fn tokens(&self, due: Instant, count: usize) {
        let mut seen = self.lock();
        seen.tokens += count;
        seen.first.get_or_insert(due);
        seen.last = Some(due);
        let room = self.events_max.saturating_sub(seen.due.len());
        seen.due.extend(std::iter::repeat_n(due, count.min(room)));
        if self.each_token {
            seen.untold.extend(std::iter::repeat_n(due, count));
            if seen.tokens >= seen.wanted {
                wake(seen);
            }
        }
    }

    /// It is over; the first end counts.
    pub(super) fn end(&self, end: End) {
        let mut seen = self.lock();
        if seen.end.is_none() {
            seen.end = Some(end);
            seen.turn = None;
            wake(seen);
        }
    }

    /// Looks until `ready` says what it was waiting for.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        ready: impl FnOnce(&mut Seen) -> Option<T>,
    ) -> Poll<T> {
        let mut seen = self.lock();
        if let Some(value) = ready(&mut seen) {
            return Poll::Ready(value);
        }
        seen.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for what `ready` looks for.
    pub(super) async fn wait<T>(&self, ready: impl Fn(&Seen) -> Option<T>) -> T {
        std::future::poll_fn(|context| self.poll(context, |seen| ready(seen))).await
    }

    /// Looks once.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the handler, the slot unlocked: it may look at once.
fn wake(mut seen: MutexGuard<'_, Seen>) {
    let waker = seen.waker.take();
    drop(seen);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_token_keeps_its_due_until_it_is_taken() {
        let progress = Progress::new(true, 2, None);
        let start = Instant::now();
        let dues: Vec<Instant> = (0..100).map(|at| start + Duration::from_millis(at)).collect();
        for due in &dues {
            progress.tokens(*due, 1);
        }
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let Poll::Ready(taken) =
            progress.poll(&context, |seen| Some(seen.untold.drain(..).collect::<Vec<_>>()))
        else {
            panic!("there are tokens")
        };
        assert_eq!(taken, dues);
        assert_eq!(progress.look(|seen| (seen.due.len(), seen.untold.len())), (2, 0));
        // Nobody is woken before there are as many as are wanted.
        let waiting = progress.poll(&context, |seen| {
            seen.wanted = 103;
            None::<()>
        });
        assert!(waiting.is_pending());
        for count in 0..3 {
            assert_eq!(woken.0.load(Ordering::Relaxed), 0, "{count}");
            progress.tokens(start, 1);
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
