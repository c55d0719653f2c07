//! Starting the thread, and what others may ask of it while it runs.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Value, json};

use super::account::Account;
use super::pacer::{Pacer, Shared};
use super::pacing::Pacing;
use crate::error::BackendError;
use crate::settings::Settings;

/// The streams of one preset; when it is dropped, the thread ends with the streams that run.
#[derive(Debug)]
pub(crate) struct Paced {
    /// Where the listener is.
    pub(crate) at: SocketAddr,
    shared: Arc<Shared>,
}

impl Paced {
    /// Listens, and starts the thread.
    pub(crate) fn start(settings: &Settings, host: IpAddr, seed: u64) -> Result<Self, BackendError> {
        let pacing = Pacing::new(settings)?;
        let port = settings.count("stream_port", 0, 65_535)? as u16;
        let events_max = settings.count("stream_truth_events", 0, 1_000_000_000)? as usize;
        let address = SocketAddr::new(host, port);
        let refuse = |source| BackendError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        // The standard library asks for a queue of 128; thousands connect at once here.
        rustix::net::listen(&listener, 4096).map_err(|errno| refuse(errno.into()))?;
        let at = listener.local_addr().map_err(refuse)?;
        let shared = Arc::new(Shared {
            pacing: Mutex::new(Arc::new(pacing)),
            account: Account::new(events_max),
            requests: AtomicU64::new(0),
            requests_before: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(std::io::Error::from)?,
        });
        let pacer = Pacer::new(listener, Arc::clone(&shared), seed)?;
        std::thread::Builder::new()
            .name("streams".to_owned())
            .spawn(move || pacer.run())?;
        Ok(Self { at, shared })
    }

    /// Whether a knob can be turned for the requests to come.
    pub(crate) fn can_turn(name: &str) -> bool {
        name.starts_with("stream_") && !["stream_port", "stream_truth_events"].contains(&name)
    }

    /// Paces the requests to come by these knobs; where one of them does not do, nothing changes.
    pub(crate) fn turn(&self, turned: &Settings) -> Result<(), String> {
        let pacing = Pacing::new(turned).map_err(|error| error.to_string())?;
        *self.shared.pacing.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(pacing);
        Ok(())
    }

    /// What is true of them all.
    pub(crate) fn to_json(&self) -> Value {
        let pacing = Arc::clone(&self.shared.pacing.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told = self.shared.account.to_json();
        told["listener"] = json!(self.at.to_string());
        told["pacing"] = pacing.to_json();
        told
    }

    /// Single streams: those of an id, or the last so many.
    pub(crate) fn streams(&self, id: Option<&str>, recent: usize) -> Value {
        self.shared.account.streams(id, recent)
    }

    /// The account begins anew, and the numbering of those that are hit by faults.
    pub(crate) fn reset(&self) {
        let requests = self.shared.requests.load(Ordering::Relaxed);
        self.shared.requests_before.store(requests, Ordering::Relaxed);
        self.shared.account.reset();
    }

    /// Nothing new is taken up.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // If the thread cannot be woken it looks with its next event.
        let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop();
    }
}
