//! One connection: bytes that came and when, bytes that the socket does not take yet, and the answer in the making. It keeps no time.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::arrival;
use super::live::Live;
use super::request::BODY_MAX;

/// Most bytes kept of what a client sends.
const INPUT_MAX: usize = BODY_MAX + 128 * 1024;

/// The other side is gone, or went too far.
#[derive(Debug)]
pub(super) struct Gone;

/// One connection.
#[derive(Debug)]
pub(super) struct Flow {
    /// The socket.
    pub(super) socket: OwnedFd,
    /// Bytes that came, and how many of them were read as requests.
    input: Vec<u8>,
    consumed: usize,
    /// When the last of them arrived, unless an answer was in the making then.
    pub(super) arrived_ns: Option<u64>,
    /// The answer in the making.
    pub(super) live: Option<Box<Live>>,
    /// Whether the connection ends when everything has left.
    pub(super) close: bool,
    /// Whether everything has left and the connection is to be closed.
    pub(super) over: bool,
    /// Whether its next request waits to be taken up.
    pub(super) pending: bool,
    /// Whether an event came due while the socket took nothing.
    pub(super) overdue: bool,
    /// Whether the poller was told to say when the socket takes more.
    pub(super) watched: bool,
    backlog: Vec<u8>,
    left: usize,
}

impl Flow {
    /// A connection just accepted.
    pub(super) fn new(socket: OwnedFd) -> Self {
        arrival::ask_for_stamps(&socket);
        Self {
            socket,
            input: Vec::new(),
            consumed: 0,
            arrived_ns: None,
            live: None,
            close: false,
            over: false,
            pending: false,
            overdue: false,
            watched: false,
            backlog: Vec::new(),
            left: 0,
        }
    }

    /// Whether bytes wait for the socket.
    pub(super) fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether a request can be taken up.
    pub(super) fn is_idle(&self) -> bool {
        self.live.is_none() && !self.is_blocked() && !self.over
    }

    /// Bytes that came and were not read as requests yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.consumed..]
    }

    /// So many of them were a request. Their room is used again once they are the greater part: moving the rest each time would
    /// take the longer the more a client sends ahead.
    pub(super) fn consume(&mut self, count: usize) {
        self.consumed += count;
        if self.consumed * 2 >= self.input.len() {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// What came is never read.
    pub(super) fn forget(&mut self) {
        self.input.clear();
        self.consumed = 0;
    }

    /// Sends, and keeps what the socket does not take.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.is_blocked() {
            self.backlog.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = self.push(bytes)?;
        self.backlog.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Sends what waits.
    pub(super) fn drain(&mut self) -> Result<(), Gone> {
        let backlog = std::mem::take(&mut self.backlog);
        self.left += self.push(&backlog[self.left..])?;
        if self.left < backlog.len() {
            self.backlog = backlog;
        } else {
            self.left = 0;
        }
        Ok(())
    }

    fn push(&self, bytes: &[u8]) -> Result<usize, Gone> {
        let mut sent = 0;
        while sent < bytes.len() {
            match send(
                &self.socket,
                &bytes[sent..],
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Gone),
            }
        }
        Ok(sent)
    }

    /// Takes up what came.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Result<(), Gone> {
        loop {
            match arrival::receive(&self.socket, scratch) {
                Ok(read) if read.count == 0 => return Err(Gone),
                Ok(read) => {
                    let count = read.count;
                    self.input.extend_from_slice(&scratch[..count]);
                    self.arrived_ns = self.live.is_none().then_some(read.arrived_ns);
                    if self.unread().len() > INPUT_MAX {
                        return Err(Gone);
                    }
                    if count < scratch.len() {
                        return Ok(());
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
    }
}
