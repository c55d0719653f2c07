//! A crash and the restart after it: every connection is cut, what was in the queue is lost, and for a while new connections are
//! cut at once. The process itself stays.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::BackendError;
use crate::settings::Settings;

/// The connections that a crash cuts.
#[derive(Debug)]
pub(crate) struct Crash {
    queue: usize,
    away: Duration,
    state: Mutex<State>,
    /// Counts crashes; whoever waits or works gives up when it changes.
    epoch: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    open: Vec<TcpStream>,
}

impl Crash {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        Ok(Self {
            queue: settings.count("crash_queue", 0, 1_000_000)? as usize,
            away: Duration::from_secs_f64(settings.number("restart_ms", 0.0, 1e8)? / 1000.0),
            state: Mutex::default(),
            epoch: watch::Sender::new(0),
        })
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self, stream: &tokio::net::TcpStream) {
        if self.queue == 0 {
            return;
        }
        // Without a second handle the connection merely survives a crash.
        let Ok(copy) = stream.as_fd().try_clone_to_owned() else {
            return;
        };
        let copy = TcpStream::from(copy);
        let mut state = self.lock();
        if state.until.is_some_and(|until| Instant::now() < until) {
            // One that is closed already is as good.
            let _ = copy.shutdown(Shutdown::Both);
            return;
        }
        state
            .open
            .retain(|open| open.take_error().is_ok() && open.peer_addr().is_ok());
        state.open.push(copy);
    }

    /// Whether it is away. What a connection brought before it was cut is then not even read.
    pub(crate) fn is_away(&self) -> bool {
        self.queue > 0 && self.lock().until.is_some_and(|until| Instant::now() < until)
    }

    /// So many wait: crashes if that is too many.
    pub(crate) fn look(&self, waiting: usize) {
        if self.queue == 0 || waiting < self.queue {
            return;
        }
        let mut state = self.lock();
        if state.until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        state.until = Some(Instant::now() + self.away);
        for open in state.open.drain(..) {
            // One that is closed already is as good.
            let _ = open.shutdown(Shutdown::Both);
        }
        drop(state);
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Completes at the next crash.
    pub(crate) async fn next(&self) {
        let mut epoch = self.epoch.subscribe();
        // The sender lives as long as this does.
        let _ = epoch.changed().await;
    }

    /// How often it crashed.
    pub(crate) fn count(&self) -> u64 {
        *self.epoch.borrow()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
