//! Gathers what the workers hand over while a phase runs: samples up to a bound, captures, progress. Opens no socket.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use prony_model::{Captured, Nanos, Progress, Sample, StreamRecord};
use prony_wire::Clock;

use crate::backlog::Backlog;
use crate::books::Books;
use crate::streams::StreamBooks;
use crate::worker::{Message, Report};

/// Hears what happens while a phase runs. All methods are called on the thread that called `run`.
pub trait Sink {
    /// Whether [`Sink::samples`] is to be called with every finished request. Otherwise it hears only of the first
    /// ones, and the load costs less.
    fn wants_all(&self) -> bool {
        true
    }
    /// Finished requests, in chunks, in no particular order.
    fn samples(&mut self, samples: &[Sample]);
    /// Finished streamed answers with their events, in chunks, in no particular order: all of them where
    /// [`Sink::wants_all`], else the first ones.
    fn streams(&mut self, records: &[StreamRecord]) {
        let _ = records;
    }
    /// Once a second.
    fn progress(&mut self, progress: &Progress);
    /// A response kept whole, of phase `index`.
    fn captured(&mut self, index: u16, captured: &Captured);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn wants_all(&self) -> bool {
        false
    }
    fn samples(&mut self, _: &[Sample]) {}
    fn progress(&mut self, _: &Progress) {}
    fn captured(&mut self, _: u16, _: &Captured) {}
}

/// What a phase has brought so far.
pub(crate) struct Collector<'s> {
    index: u16,
    clock: Clock,
    sink: &'s mut dyn Sink,
    pub(crate) samples: Vec<Sample>,
    pub(crate) captures: Vec<Captured>,
    pub(crate) streams: Vec<StreamRecord>,
    pub(crate) reports: Vec<Report>,
    progress: Progress,
    last_second: Vec<u64>,
    since: Nanos,
    in_flight: Vec<u32>,
    /// Watches for a backlog that grows for good, where that is to end the phase.
    pub(crate) backlog: Option<Backlog>,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(index: u16, clock: Clock, sink: &'s mut dyn Sink, backlog: Option<Backlog>) -> Self {
        Self {
            index,
            clock,
            sink,
            samples: Vec::new(),
            captures: Vec::new(),
            streams: Vec::new(),
            reports: Vec::new(),
            progress: Progress {
                index,
                ..Progress::default()
            },
            last_second: Vec::new(),
            since: clock.now(),
            in_flight: Vec::new(),
            backlog,
        }
    }

    /// Whether someone wants to see every sample.
    pub(crate) fn wants_all(&self) -> bool {
        self.sink.wants_all()
    }

    /// The accounts of the samples that were not kept, added up; `None` when all were. The reports have them no more.
    pub(crate) fn take_books(&mut self) -> Option<Books> {
        let mut accounts = self.reports.iter_mut().filter_map(|r| r.books.take());
        let mut sum = accounts.next()?;
        for account in accounts {
            sum.merge(&account);
        }
        Some(*sum)
    }

    /// The accounts of the streams, added up; `None` when there were none. The reports have them no more.
    pub(crate) fn take_stream_books(&mut self) -> Option<StreamBooks> {
        let mut accounts = self.reports.iter_mut().filter_map(|r| r.streams.take());
        let mut sum = accounts.next()?;
        for account in accounts {
            sum.merge(&account);
        }
        Some(*sum)
    }

    /// Receives until `workers` workers ended. `ready` is called when as many are ready as are alive, `enough` when the backlog
    /// is known to grow for good.
    pub(crate) fn gather(
        &mut self,
        receiver: &Receiver<Message>,
        workers: u32,
        mut ready: impl FnMut(),
        mut enough: impl FnMut(),
    ) {
        let (mut ended, mut told) = (0, 0);
        let mut started = false;
        self.in_flight = vec![0; workers as usize];
        while ended < workers {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Ready) => told += 1,
                Ok(Message::Samples { samples, keep }) => {
                    self.sink.samples(&samples);
                    if keep {
                        self.samples.extend_from_slice(&samples);
                    }
                }
                Ok(Message::Streams { mut records, keep }) => {
                    self.sink.streams(&records);
                    records.truncate(keep);
                    self.streams.append(&mut records);
                }
                Ok(Message::Progress {
                    worker,
                    at,
                    in_flight,
                    done,
                    failed,
                    responses,
                }) => {
                    if let Some(slot) = self.in_flight.get_mut(worker as usize) {
                        *slot = in_flight;
                    }
                    self.progress.done += done;
                    self.progress.failed += failed;
                    if let Some(backlog) = &mut self.backlog {
                        let waiting = self.in_flight.iter().sum();
                        if backlog.grows(at, waiting, &responses) {
                            enough();
                        }
                    }
                    self.last_second
                        .extend(responses.iter().map(|response| response.0));
                }
                Ok(Message::Captured(captured)) => {
                    self.sink.captured(self.index, &captured);
                    self.captures.push(*captured);
                }
                Ok(Message::Ended(report)) => {
                    self.reports.push(*report);
                    ended += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !started && told + ended >= workers {
                started = true;
                ready();
            }
            self.report_progress();
        }
    }

    fn report_progress(&mut self) {
        let now = self.clock.now();
        let passed = now - self.since;
        if passed < Nanos::SECOND {
            return;
        }
        let values = &mut self.last_second;
        let n = values.len() as u64;
        let mut at = |p: f64| {
            if n == 0 {
                return Nanos::ZERO;
            }
            let rank = prony_stats::order::nearest_rank(p, n) as usize - 1;
            Nanos(*values.select_nth_unstable(rank).1)
        };
        let (p50, p99) = (at(0.5), at(0.99));
        let before = self.progress.per_s;
        let done = self.progress.done;
        let progress = Progress {
            at: now,
            in_flight: self.in_flight.iter().sum(),
            per_s: (done as f64 - before) / passed.as_secs_f64(),
            p50,
            p99,
            ..self.progress
        };
        self.sink.progress(&progress);
        // Between reports the field holds the count at the last one.
        self.progress.per_s = done as f64;
        self.last_second.clear();
        self.since = now;
    }
}
