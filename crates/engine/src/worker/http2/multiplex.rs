//! One HTTP/2 connection of a worker: its session and the calls on its streams. Does no I/O and judges nothing.

use std::collections::VecDeque;

use prony_model::Nanos;
use prony_wire::http2::{Ended, Progress, Request, Session, Sizes};

use crate::worker::call::Call;
use crate::worker::watch::Watch;

/// A session and its calls.
#[derive(Debug)]
pub(in crate::worker) struct Multiplex {
    pub(super) session: Session,
    /// The call of each stream, by its key.
    calls: Vec<Option<Box<Call>>>,
    /// Calls that wait until the connection is open, after the one that it is opened for.
    pub(super) reserved: VecDeque<Box<Call>>,
    /// Keys of requests that were not yet handed to the socket.
    pub(super) departing: Vec<u32>,
    /// Whether the worker has it in its list of those that must write.
    pub(super) in_departing: bool,
    /// Whether the worker has it in its list of those with room.
    pub(super) in_roomy: bool,
    /// Whether it counts among the connections that take requests, now or once they are open.
    pub(super) counted: bool,
    /// Requests that were started on it.
    started: u32,
    /// Most requests at once that we want on it, and most in all.
    each: u32,
    lifetime: u32,
    /// When the peer last sent something.
    pub(super) heard: Nanos,
}

impl Multiplex {
    pub(super) fn new(sizes: Sizes, each: u32, lifetime: u32) -> Box<Self> {
        Box::new(Self {
            session: Session::new(sizes),
            calls: Vec::new(),
            reserved: VecDeque::new(),
            departing: Vec::new(),
            in_departing: false,
            in_roomy: false,
            counted: true,
            started: 0,
            each,
            lifetime,
            heard: Nanos::ZERO,
        })
    }

    /// Whether another call may wait for it to open, beside the one that it is opened for.
    pub(super) fn may_reserve(&self) -> bool {
        (self.reserved.len() as u32) + 1 < self.each.min(self.lifetime)
    }

    /// Whether it takes another request now.
    pub(super) fn has_room(&self) -> bool {
        !self.is_leaving() && self.session.active() < self.each.min(self.session.streams_max())
    }

    /// Whether the peer allows no stream on it for now.
    pub(super) fn is_barred(&self) -> bool {
        !self.is_leaving() && self.session.streams_max() == 0
    }

    /// Whether it takes no further requests, ever.
    pub(super) fn is_leaving(&self) -> bool {
        self.session.is_leaving() || self.started >= self.lifetime
    }

    /// Starts a request; the key of its stream, unless it cannot. Give it its call with [`Multiplex::hold`].
    pub(super) fn open(&mut self, request: &Request) -> Option<u32> {
        let key = self.session.open(request).ok()?;
        self.started += 1;
        Some(key)
    }

    /// Whether just one request was started on it so far.
    pub(super) fn is_first(&self) -> bool {
        self.started == 1
    }

    /// Puts a call on the stream that was opened for it.
    pub(super) fn hold(&mut self, key: u32, call: Box<Call>) {
        let at = key as usize;
        if self.calls.len() <= at {
            self.calls.resize_with(at + 1, || None);
        }
        self.calls[at] = Some(call);
        self.departing.push(key);
    }

    /// Lets every woken stream go on, as of a read at `read` whose bytes `arrived` then, by the kernel, until one of them ends;
    /// `None` when no more are woken.
    pub(super) fn next_ended(
        &mut self,
        read: Nanos,
        arrived: Option<Nanos>,
        watch: &mut Watch,
    ) -> Option<(Box<Call>, Ended)> {
        while let Some(key) = self.session.next_woken() {
            let Some(Some(call)) = self.calls.get_mut(key as usize) else {
                continue;
            };
            // Only what came for a stream wakes it, but for the room to write that its request waits for.
            let at = match &mut call.answer.meter {
                Some(meter) => meter.read_at(call.sent, read, arrived),
                None => read,
            };
            let progress = self.session.advance(key, &mut call.answer);
            if let Some(meter) = &mut call.answer.meter {
                watch.heard(meter, read);
            }
            call.goes_on(read);
            let begun = match &progress {
                Progress::Waits => self.session.has_begun(key),
                Progress::Ended(ended) => ended.begun,
            };
            if begun && call.first_byte == Nanos::ZERO {
                call.first_byte = at;
            }
            if let Progress::Ended(ended) = progress {
                self.departing.retain(|departing| *departing != key);
                let mut call = self.calls[key as usize].take()?;
                if ended.fault.is_none() {
                    call.is_complete();
                }
                return Some((call, ended));
            }
        }
        None
    }

    /// The call of a stream.
    pub(super) fn call(&mut self, key: u32) -> Option<&mut Call> {
        self.calls.get_mut(key as usize)?.as_deref_mut()
    }

    /// Keys of the calls that `pick` picks.
    pub(super) fn keys(&self, pick: impl Fn(&Call) -> bool) -> Vec<u32> {
        let calls = (0_u32..).zip(&self.calls);
        calls
            .filter(|(_, call)| call.as_deref().is_some_and(&pick))
            .map(|(key, _)| key)
            .collect()
    }

    /// Gives a stream up: its call, what came of it, and whether its request was written.
    pub(super) fn give_up(&mut self, key: u32) -> Option<(Box<Call>, Ended, bool)> {
        let ended = self.session.so_far(key)?;
        let written = self.session.is_written(key);
        self.session.cancel(key);
        self.departing.retain(|departing| *departing != key);
        let call = self.calls.get_mut(key as usize)?.take()?;
        Some((call, ended, written))
    }
}
