//! From a worker to the collector: chunks over a bounded channel. A full channel never stops the load.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use prony_model::{Captured, Nanos, Sample};

/// Samples per chunk.
const CHUNK: usize = 1024;

/// Chunks that wait for a full channel before samples are dropped and counted.
const WAITING_MAX: usize = 256;

/// What a worker tells the collector.
#[derive(Debug)]
pub(crate) enum Message {
    /// Its connections for the leg are open, or have failed to open.
    Ready,
    /// Finished requests, and how many are in flight.
    Samples {
        worker: u16,
        samples: Vec<Sample>,
        in_flight: u32,
    },
    /// A response kept whole.
    Captured(Box<Captured>),
    /// The worker ends.
    Ended(Box<Report>),
}

/// What a worker knows about itself at the end of a leg.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// CPU time of its thread over the leg.
    pub(crate) cpu: Nanos,
    /// Wall time of the leg.
    pub(crate) wall: Nanos,
    /// Integral of requests in flight over time, in request-nanoseconds, counted as they start and end.
    pub(crate) flight: u128,
    /// Most requests in flight at once.
    pub(crate) flight_max: u32,
    /// How late the timer fired, each time an arrival was due.
    pub(crate) timer_late: Vec<Nanos>,
    /// Samples that found no room.
    pub(crate) dropped: u64,
    /// The number after the last arrival it issued.
    pub(crate) next_seq: u64,
    /// Captures it took.
    pub(crate) captures: u32,
    /// Connections it opened.
    pub(crate) connections: u64,
    /// Whether it gave up on a target that no connection ever reached.
    pub(crate) dead: bool,
    /// Whether the stop flag ended it.
    pub(crate) stopped: bool,
    /// A refusal of the operating system that ended it.
    pub(crate) error: Option<prony_wire::WireError>,
}

/// Collects samples into chunks and hands them over when there is room.
#[derive(Debug)]
pub(super) struct Outbox {
    worker: u16,
    sender: SyncSender<Message>,
    chunk: Vec<Sample>,
    waiting: VecDeque<Message>,
    pub(super) dropped: u64,
}

impl Outbox {
    pub(super) fn new(worker: u16, sender: SyncSender<Message>) -> Self {
        Self {
            worker,
            sender,
            chunk: Vec::with_capacity(CHUNK),
            waiting: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, sample: Sample, in_flight: u32) {
        self.chunk.push(sample);
        if self.chunk.len() >= CHUNK {
            self.hand_over(in_flight);
        }
    }

    pub(super) fn capture(&mut self, captured: Captured) {
        self.waiting.push_back(Message::Captured(Box::new(captured)));
    }

    pub(super) fn ready(&mut self) {
        self.waiting.push_back(Message::Ready);
        self.offer();
    }

    /// Hands over what there is, without waiting.
    pub(super) fn hand_over(&mut self, in_flight: u32) {
        if !self.chunk.is_empty() {
            if self.waiting.len() >= WAITING_MAX {
                self.dropped += self.chunk.len() as u64;
                self.chunk.clear();
            } else {
                let samples = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
                self.waiting.push_back(Message::Samples {
                    worker: self.worker,
                    samples,
                    in_flight,
                });
            }
        }
        self.offer();
    }

    fn offer(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            match self.sender.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return;
                }
                // The collector is gone: nobody will read anything any more.
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }

    /// Hands over everything, waiting for room: the load is over.
    pub(super) fn finish(mut self, mut report: Report) {
        self.hand_over(0);
        report.dropped = self.dropped;
        for message in self.waiting.drain(..).chain([Message::Ended(Box::new(report))]) {
            if self.sender.send(message).is_err() {
                return;
            }
        }
    }
}
