//! What the scheduler tells of one request and its handler waits for: admitted, a token, the end. There is one slot per request and no
//! message per token; a handler that wants no tokens is woken twice. It knows no formats.

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
            wake(seen);
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
    pub(super) fn poll<T>(&self, context: &Context<'_>, ready: impl FnOnce(&Seen) -> Option<T>) -> Poll<T> {
        let mut seen = self.lock();
        if let Some(value) = ready(&seen) {
            return Poll::Ready(value);
        }
        seen.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for what `ready` looks for.
    pub(super) async fn wait<T>(&self, ready: impl Fn(&Seen) -> Option<T>) -> T {
        std::future::poll_fn(|context| self.poll(context, &ready)).await
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
