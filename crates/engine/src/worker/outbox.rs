//! What a worker makes of its finished requests: the first of them go to the collector whole, in chunks over a bounded
//! channel; the rest are added to the worker's own account. A full channel never stops the load, except in simulated time, which
//! stands still meanwhile: there nothing may depend on how fast the collector is.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use prony_model::{Captured, Nanos, Outcome, Sample, StreamRecord, Timeline};

use super::watch::Seen;
use crate::books::Books;
use crate::streams::StreamBooks;

/// Samples per chunk: what a worker does with them at once must not hold up its next request.
const CHUNK: usize = 256;

/// Response times per message that the live view may look at.
const GLIMPSE: usize = 256;

/// Records of streams per message.
const RECORDS: usize = 32;

/// Chunks that wait for a full channel before samples are dropped and counted.
const WAITING_MAX: usize = 256;

/// What a worker tells the collector.
#[derive(Debug)]
pub(crate) enum Message {
    /// Its connections for the leg are open, or have failed to open.
    Ready,
    /// Finished requests; `keep` tells that they are not in the worker's own account.
    Samples { samples: Vec<Sample>, keep: bool },
    /// Finished streamed answers; `keep` tells how many of the first are to be kept.
    Streams { records: Vec<StreamRecord>, keep: usize },
    /// How far a worker is.
    Progress {
        worker: u16,
        /// When; zero for the last of a worker.
        at: Nanos,
        in_flight: u32,
        /// Finished since the last message, and how many of them failed.
        done: u64,
        failed: u64,
        /// Some of the response times of good answers since then.
        responses: Vec<Nanos>,
    },
    /// A response kept whole.
    Captured(Box<Captured>),
    /// The worker ends.
    Ended(Box<Report>),
}

/// What a worker knows about itself at the end of a leg.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// When it ended.
    pub(crate) ended: Nanos,
    /// CPU time of its thread over the leg; zero in simulated time.
    pub(crate) cpu: Nanos,
    /// Wall time of the leg.
    pub(crate) wall: Nanos,
    /// Integral of requests in flight over time, in request-nanoseconds, counted as they start and end.
    pub(crate) flight: u128,
    /// Most requests in flight at once.
    pub(crate) flight_max: u32,
    /// How late the timer fired, each time an arrival was due.
    pub(crate) timer_late: Vec<Nanos>,
    /// Samples that found no room on their way to the recording.
    pub(crate) dropped: u64,
    /// Samples that it handed over to be kept.
    pub(crate) kept: u64,
    /// The account of those that it did not.
    pub(crate) books: Option<Box<Books>>,
    /// Records of streams that it handed over to be kept, and the bytes of their timelines.
    pub(crate) streams_kept: u64,
    pub(crate) timeline_bytes: u64,
    /// Whose clock stamped events and how late it read what came, where it read streams.
    pub(crate) seen: Option<Box<Seen>>,
    /// The account of all its streams.
    pub(crate) streams: Option<Box<StreamBooks>>,
    /// The number after the last arrival it issued.
    pub(crate) next_seq: u64,
    /// Captures it took.
    pub(crate) captures: u32,
    /// Connections it opened.
    pub(crate) connections: u64,
    /// Fewest streams that the target allowed on a connection, where these were fewer than was asked for.
    pub(crate) streams_allowed: Option<u32>,
    /// Whether it gave up on a target that no connection ever reached.
    pub(crate) dead: bool,
    /// Whether the stop flag ended it.
    pub(crate) stopped: bool,
    /// What the first failure of each kind said.
    pub(crate) first_errors: Vec<(Outcome, String)>,
    /// A refusal of the operating system that ended it.
    pub(crate) error: Option<prony_wire::WireError>,
}

impl Report {
    /// Keeps the words of a failure if it is the first of its kind that has any.
    pub(crate) fn failed(&mut self, outcome: Outcome, error: &str) {
        if !error.is_empty() && self.first_errors.iter().all(|(kind, _)| *kind != outcome) {
            self.first_errors.push((outcome, error.to_owned()));
        }
    }
}

/// What the collector wants of a worker's samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// So many are to be kept.
    pub(crate) kept: u64,
    /// So many records of streams are to be kept, and so many bytes of their timelines.
    pub(crate) streams_kept: u64,
    pub(crate) timeline_bytes: u64,
    /// Whether someone wants to see all the others too.
    pub(crate) all: bool,
    /// Whether a worker waits for the collector: in simulated time that costs nothing, and nothing is lost.
    pub(crate) waits: bool,
}

/// Collects samples into chunks and hands them over, or adds them up.
#[derive(Debug)]
pub(super) struct Outbox {
    worker: u16,
    sender: SyncSender<Message>,
    chunk: Vec<Sample>,
    waiting: VecDeque<Message>,
    wanted: Wanted,
    kept: u64,
    dropped: u64,
    books: Option<Box<Books>>,
    /// When answers end too late to count in a rate, where a schedule ends the load.
    pub(super) until: Option<Nanos>,
    done: u64,
    failed: u64,
    responses: Vec<Nanos>,
    streams: Option<Box<StreamBooks>>,
    records: Vec<StreamRecord>,
    records_kept: usize,
    streams_kept: u64,
    timeline_bytes: u64,
}

impl Outbox {
    pub(super) fn new(worker: u16, sender: SyncSender<Message>, wanted: Wanted) -> Self {
        Self {
            worker,
            sender,
            chunk: Vec::with_capacity(CHUNK),
            waiting: VecDeque::new(),
            wanted,
            kept: 0,
            dropped: 0,
            books: None,
            until: None,
            done: 0,
            failed: 0,
            responses: Vec::with_capacity(GLIMPSE),
            streams: None,
            records: Vec::new(),
            records_kept: 0,
            streams_kept: 0,
            timeline_bytes: 0,
        }
    }

    /// Adds a streamed answer to the account, and to what is handed over where that is wanted. Gives it back.
    pub(super) fn stream(&mut self, record: StreamRecord) -> StreamRecord {
        self.streams.get_or_insert_default().add(&record);
        let room = self.waiting.len() < WAITING_MAX;
        let keep = room && self.streams_kept < self.wanted.streams_kept;
        if !keep && !self.wanted.all {
            return record;
        }
        if !room {
            self.dropped += u64::from(self.wanted.all);
            return record;
        }
        let bytes = record.timeline.bytes().len() as u64;
        let whole = self.wanted.all || self.timeline_bytes + bytes <= self.wanted.timeline_bytes;
        if keep {
            self.streams_kept += 1;
            self.records_kept += 1;
            self.timeline_bytes += if whole { bytes } else { 0 };
        }
        self.records.push(StreamRecord {
            timeline: if whole {
                record.timeline.clone()
            } else {
                Timeline::default()
            },
            ..record.shell()
        });
        if self.records.len() >= RECORDS {
            self.settle_streams();
            self.offer();
        }
        record
    }

    fn settle_streams(&mut self) {
        if !self.records.is_empty() {
            self.waiting.push_back(Message::Streams {
                records: std::mem::take(&mut self.records),
                keep: std::mem::take(&mut self.records_kept),
            });
        }
    }

    pub(super) fn push(&mut self, sample: Sample) {
        let arrival = sample.is_arrival();
        self.done += u64::from(arrival && !sample.outcome.is_own());
        if !arrival {
            // Its arrival will be counted.
        } else if sample.outcome != Outcome::Ok {
            self.failed += u64::from(sample.outcome.is_failure());
        } else if self.responses.len() < GLIMPSE {
            self.responses.push(sample.response());
        }
        self.chunk.push(sample);
        if self.chunk.len() >= CHUNK {
            self.settle();
            self.offer();
        }
    }

    pub(super) fn capture(&mut self, captured: Captured) {
        self.waiting.push_back(Message::Captured(Box::new(captured)));
    }

    pub(super) fn ready(&mut self) {
        self.waiting.push_back(Message::Ready);
        self.offer();
    }

    /// Hands over what there is, without waiting, and says how far the worker is.
    pub(super) fn hand_over(&mut self, at: Nanos, in_flight: u32) {
        self.settle();
        self.settle_streams();
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(Message::Progress {
                worker: self.worker,
                at,
                in_flight,
                done: std::mem::take(&mut self.done),
                failed: std::mem::take(&mut self.failed),
                responses: self.responses.clone(),
            });
            self.responses.clear();
        }
        self.offer();
    }

    /// Empties the chunk: to the collector, into the account, or both.
    fn settle(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let n = self.chunk.len() as u64;
        let room = self.waiting.len() < WAITING_MAX;
        let keep = room && self.kept < self.wanted.kept;
        if keep {
            self.kept += n;
        } else {
            let until = self.until;
            let books = self.books.get_or_insert_with(|| Box::new(Books::until(until)));
            books.add_all(&self.chunk);
        }
        if keep || (room && self.wanted.all) {
            let samples = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
            self.waiting.push_back(Message::Samples { samples, keep });
        } else {
            self.dropped += if self.wanted.all { n } else { 0 };
            self.chunk.clear();
        }
    }

    fn offer(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            if self.wanted.waits {
                // The collector is gone: nobody will read anything any more.
                if self.sender.send(message).is_err() {
                    self.waiting.clear();
                }
                continue;
            }
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
        self.hand_over(Nanos::ZERO, 0);
        report.dropped = self.dropped;
        report.kept = self.kept;
        report.books = self.books.take();
        report.streams = self.streams.take();
        report.streams_kept = self.streams_kept;
        report.timeline_bytes = self.timeline_bytes;
        for message in self.waiting.drain(..).chain([Message::Ended(Box::new(report))]) {
            if self.sender.send(message).is_err() {
                return;
            }
        }
    }
}
