//! Runs phases against one target: legs, workers, collector, summary. Knows no experiment and stores nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prony_model::{
    Capture, Captured, Expect, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Request, Scenario, Shape,
    Validity,
};
use prony_wire::{Clock, Peer};

use crate::backlog::Backlog;
use crate::choice::{Chooser, mix};
use crate::collector::{Collector, NoSink, Sink};
use crate::leg::{Leg, legs};
use crate::mask::Masks;
use crate::prepared::{Prepared, Route};
use crate::summary::{summarise, summarise_long};
use crate::worker::{self, LINGERING_MAX, Message, Share, Shared, Wanted};
use crate::{EngineError, Inner, Target, Trace, descriptors, host, priority, validity};

/// Messages that the collector may be behind before workers have to wait.
const CHANNEL: usize = 256;

/// Records of streams of a phase that are kept, and bytes of their timelines: those beyond are in its summary only, and in
/// the recording.
const STREAMS_MAX: u64 = 8_192;
const TIMELINE_BYTES_MAX: u64 = 8 << 20;

/// From all workers being ready to the start of a leg: each has seen it before it comes, so that none begins late.
const START_LEAD: Nanos = Nanos(2_000_000);

/// How long before a burst its connections are opened, at the latest.
const OPEN_LEAD: Nanos = Nanos(50_000_000);

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Seed of every random choice.
    pub seed: u64,
    /// Worker threads; 0 means one.
    pub threads: u32,
    /// Most requests per second in any phase; 0 means no bound.
    pub rate_max: f64,
    /// So many samples of a phase are kept whole, and its quantiles are exact. Those beyond are added up in histograms
    /// of three digits.
    pub samples_max: u64,
    /// Threads that keep a schedule, or send one request at a time, ask for real-time priority; without permission they go on as
    /// they are.
    pub real_time: bool,
    /// Set it to end the current phase at once. What was recorded is kept.
    pub stop: Arc<AtomicBool>,
    /// The instant that times count from.
    pub epoch: Instant,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            threads: 0,
            rate_max: 0.0,
            samples_max: 1_000_000,
            real_time: true,
            stop: Arc::new(AtomicBool::new(false)),
            epoch: Instant::now(),
        }
    }
}

/// A generator aimed at one target.
#[derive(Debug)]
pub struct Engine {
    route: Route,
    others: Vec<(String, Route)>,
    options: EngineOptions,
    clock: Clock,
    first_errors: Vec<(Outcome, String)>,
}

impl Engine {
    /// Resolves the target and refuses one that is neither on this machine nor allowed by name.
    pub fn new(target: &Target, options: EngineOptions) -> Result<Self, EngineError> {
        let route = target.route()?;
        let clock = match route.inner {
            Some(Inner::Sim(_) | Inner::Scripted(_)) => Clock::simulated(),
            _ => Clock::since(options.epoch),
        };
        Ok(Self {
            route,
            others: target.others()?,
            options,
            clock,
            first_errors: Vec::new(),
        })
    }

    /// Now, since the epoch.
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Where connections go.
    pub fn peer(&self) -> &Peer {
        &self.route.peer
    }

    /// Where another origin is, by its name.
    pub fn other(&self, name: &str) -> Option<&Peer> {
        let other = self.others.iter().find(|(known, _)| known == name);
        other.map(|(_, route)| &route.peer)
    }

    /// How long the resolver took to find the target; `None` when there was nothing to ask it. It is asked once,
    /// before any load, so that no request's time holds a part of it.
    pub fn dns(&self) -> Option<Nanos> {
        self.route.dns
    }

    /// What the first failure of each kind in the last phase said, bounded and without secrets.
    pub fn first_errors(&self) -> &[(Outcome, String)] {
        &self.first_errors
    }

    /// Whether the target is reached without leaving this machine: it shares its cores.
    pub fn shares_host(&self) -> bool {
        self.route.peer.is_here()
    }

    /// Runs a phase to its end and returns what it left. Blocks.
    pub fn run(&mut self, index: u16, phase: Phase, sink: &mut dyn Sink) -> Result<PhaseResult, EngineError> {
        let prepared = Prepared::new(
            index,
            &phase,
            (self.route.clone(), self.others.clone()),
            self.clock,
            mix(self.options.seed, u64::from(index)).rotate_left(29),
        )?;
        let names: Vec<&str> = phase.scenarios.iter().map(|s| s.name.as_str()).collect();
        let trace =
            Trace::load(&phase.shape, &names)?.map(|trace| Arc::new(trace.capped(self.options.rate_max)));
        let legs = legs(
            &phase,
            trace.clone(),
            self.options.rate_max,
            mix(self.options.seed, u64::from(index)),
        )?;
        let lingering = match phase.limits.requests_on_one() {
            Some(_) => LINGERING_MAX as u64 * u64::from(self.options.threads.max(1)),
            None => 0,
        };
        let streams = self.route.streams;
        let legs: Vec<Leg> = match phase.shape {
            // So many connections, all their streams in use. Elsewhere the numbers are of requests.
            Shape::Closed { .. } => legs.into_iter().map(|leg| leg.times(streams)).collect(),
            _ => legs,
        };
        descriptors::provide(&legs, streams, prepared.servers(), lingering)?;
        let steal = host::CpuTimes::now();
        let started = self.now();
        let mut course = Course::new(
            self,
            &prepared,
            &phase,
            &legs,
            trace,
            Collector::new(index, self.clock, sink, Backlog::of(&phase)),
        );
        course.run()?;
        let Course {
            mut collector,
            stopped,
            dead,
            ..
        } = course;
        let ended = self.now();
        let books = collector.take_books();
        let stream_books = collector.take_stream_books();
        let Collector {
            mut samples,
            captures,
            streams: records,
            reports,
            backlog,
            ..
        } = collector;
        samples.sort_unstable_by_key(|s| (s.intended, s.seq));
        let partial = stopped || dead;
        let mut summary = match books {
            None => summarise(index, &phase, &samples, started, ended, partial),
            Some(mut books) => {
                books.add_all(&samples);
                let most = reports.iter().map(|r| r.flight_max).sum();
                summarise_long(index, &phase, &samples, (&books, most), (started, ended), partial)
            }
        };
        if let Some(books) = &stream_books {
            summary.streams = books.summaries(&phase, &records);
        }
        summary.connections = reports.iter().map(|r| r.connections).sum();
        let told = reports.iter().flat_map(|r| &r.first_errors);
        self.first_errors = first_of_each(told, &self.route.masks);
        let stolen = steal
            .filter(|_| !self.clock.is_simulated())
            .zip(host::CpuTimes::now())
            .map_or(0.0, |(before, after)| after.steal_since(&before));
        validity::add_reports(&mut summary.validity, &phase, &reports, stolen);
        validity::add_reading(&mut summary.validity, &summary.streams, &reports);
        let spans = (summary.in_flight_mean * (ended - started).0 as f64) as u128;
        let counted = reports.iter().map(|r| r.flight).sum();
        validity::add_little(&mut summary.validity, counted, spans, summary.ok + summary.failed);
        if let Some(found) = backlog.and_then(|b| b.found()) {
            summary.validity.tell(false, Validity::SATURATED, found.says());
        }
        if dead {
            let says = "no connection to the target succeeded; the phase was ended early".to_owned();
            summary.validity.tell(false, "dead-target", says);
        }
        Ok(PhaseResult {
            index,
            phase,
            samples_cut: (samples.len() as u64) < summary.offered,
            summary,
            samples,
            captures,
            streams: records,
            readings: Vec::new(),
        })
    }

    /// One request outside of any phase, kept whole up to `body_bytes_max`. What cannot be sent at all is told in the
    /// `error` of an interrupted outcome.
    pub fn fetch(&mut self, request: &Request, limits: &Limits, body_bytes_max: u32) -> Captured {
        let expect = Expect {
            status: (100..=999).collect(),
            ..Expect::default()
        };
        let expect = if limits.redirects_max > 0 {
            Expect {
                status: expect
                    .status
                    .into_iter()
                    .filter(|s| !(301..=308).contains(s))
                    .collect(),
                ..expect
            }
        } else {
            expect
        };
        let phase = Phase {
            name: "fetch".to_owned(),
            experiment: "fetch".to_owned(),
            scenarios: vec![Scenario::new(
                "fetch",
                vec![Item {
                    request: request.clone(),
                    expect,
                }],
            )],
            shape: Shape::Sequential {
                requests: 1,
                duration_s: None,
            },
            limits: limits.clone(),
            capture: Capture {
                responses_max: 1,
                body_bytes_max,
                digests: true,
            },
        };
        let result = self.run(0, phase, &mut NoSink);
        match result {
            Ok(mut result) => result
                .captures
                .pop()
                .unwrap_or_else(|| Captured::unsent("stopped before it was sent")),
            Err(error) => Captured::unsent(error.to_string()),
        }
    }
}

/// Longest error text that is kept, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// The first words of each kind of failure. They may quote the target.
fn first_of_each<'a>(
    told: impl Iterator<Item = &'a (Outcome, String)>,
    masks: &Masks,
) -> Vec<(Outcome, String)> {
    let mut first: Vec<(Outcome, String)> = Vec::new();
    for (outcome, error) in told {
        if first.iter().all(|(kind, _)| kind != outcome) {
            let whole = masks.apply(error.clone(), false);
            first.push((*outcome, whole.chars().take(ERROR_CHARS_MAX).collect()));
        }
    }
    first
}

/// The course of one phase over its legs.
struct Course<'a, 's> {
    engine: &'a Engine,
    prepared: &'a Prepared,
    legs: &'a [Leg],
    chooser: Chooser,
    /// Where a feed is used up.
    seq_end: u64,
    collector: Collector<'s>,
    captures_left: u32,
    kept_left: u64,
    streams_left: u64,
    timeline_bytes_left: u64,
    next_seq: u64,
    stopped: bool,
    dead: bool,
}

impl<'a, 's> Course<'a, 's> {
    fn new(
        engine: &'a Engine,
        prepared: &'a Prepared,
        phase: &Phase,
        legs: &'a [Leg],
        trace: Option<Arc<Trace>>,
        collector: Collector<'s>,
    ) -> Self {
        let chooser = Chooser::new(&phase.scenarios, engine.options.seed, &phase.shape).following(trace);
        let seq_end = chooser.used_up(&prepared.lasts());
        Self {
            engine,
            prepared,
            legs,
            chooser,
            seq_end,
            collector,
            captures_left: phase.capture.responses_max,
            kept_left: engine.options.samples_max,
            streams_left: STREAMS_MAX,
            timeline_bytes_left: TIMELINE_BYTES_MAX,
            next_seq: 0,
            stopped: false,
            dead: false,
        }
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let mut previous: Option<(Nanos, Nanos)> = None;
        for leg in self.legs {
            let mut earliest = Nanos::ZERO;
            if let Some((start, end)) = previous {
                earliest = start + leg.after_start;
                self.rest_until((earliest - OPEN_LEAD).max(end + leg.after_end));
            }
            if self.stopped || self.dead {
                break;
            }
            let start = self.run_leg(leg, earliest)?;
            previous = Some((start, self.engine.now()));
        }
        Ok(())
    }

    /// Silence between legs, with an ear for the stop flag.
    fn rest_until(&mut self, at: Nanos) {
        loop {
            self.stopped |= self.engine.options.stop.load(Ordering::Relaxed);
            let left = at - self.engine.now();
            if self.stopped || left == Nanos::ZERO {
                return;
            }
            if self.engine.clock.is_simulated() {
                self.engine.clock.advance_to(at);
            } else {
                thread::sleep(left.as_duration().min(Duration::from_millis(20)));
            }
        }
    }

    /// Runs a leg that starts no earlier than `earliest`; returns when it started.
    fn run_leg(&mut self, leg: &Leg, earliest: Nanos) -> Result<Nanos, EngineError> {
        let clock = self.engine.clock;
        // Simulated time is one thread's.
        let threads = if clock.is_simulated() {
            1
        } else {
            self.engine.options.threads.clamp(1, 1024)
        };
        let streams = self.engine.route.streams;
        let workers = leg.workers(threads, streams);
        let start = AtomicU64::new(0);
        let saturated = AtomicBool::new(false);
        let shared = Shared {
            prepared: self.prepared,
            leg,
            stop: &self.engine.options.stop,
            saturated: &saturated,
            begun: clock.now(),
            start: &start,
            rate_max: self.engine.options.rate_max,
        };
        self.chooser.skip_to(self.next_seq);
        let (sender, receiver): (SyncSender<Message>, Receiver<Message>) = sync_channel(CHANNEL);
        let first_report = self.collector.reports.len();
        let all = self.collector.wants_all();
        thread::scope(|scope| -> Result<(), EngineError> {
            for worker in 0..workers {
                let share = Share {
                    first_seq: self.next_seq,
                    seq_end: self.seq_end,
                    worker,
                    workers,
                    streams,
                };
                let captures =
                    self.captures_left / workers + u32::from(self.captures_left % workers > worker);
                let wanted = Wanted {
                    kept: self.kept_left.div_ceil(u64::from(workers)),
                    streams_kept: self.streams_left.div_ceil(u64::from(workers)),
                    timeline_bytes: self.timeline_bytes_left / u64::from(workers),
                    all,
                    waits: clock.is_simulated(),
                };
                let (shared, chooser, sender) = (&shared, self.chooser.clone(), sender.clone());
                let hurries = self.engine.options.real_time && !clock.is_simulated() && leg.wakes_on_time();
                let spawned = thread::Builder::new()
                    .name(format!("prony-load-{worker}"))
                    .spawn_scoped(scope, move || {
                        // Not to be allowed to is no error: lateness is measured either way.
                        let _ = hurries && priority::raise();
                        worker::run(shared, share, chooser, captures, wanted, sender);
                    });
                if let Err(e) = spawned {
                    // Those that run already end at once: their start is in the past and nothing is left to send.
                    self.engine.options.stop.store(true, Ordering::Relaxed);
                    return Err(EngineError::Thread { why: e.to_string() });
                }
            }
            drop(sender);
            let ready = || {
                let at = (clock.now() + START_LEAD).max(earliest).max(Nanos(1));
                start.store(at.0, Ordering::Release);
            };
            let enough = || saturated.store(true, Ordering::Relaxed);
            self.collector.gather(&receiver, workers, ready, enough);
            Ok(())
        })?;
        for report in &self.collector.reports[first_report..] {
            self.next_seq = self.next_seq.max(report.next_seq);
            self.captures_left = self.captures_left.saturating_sub(report.captures);
            self.kept_left = self.kept_left.saturating_sub(report.kept);
            self.streams_left = self.streams_left.saturating_sub(report.streams_kept);
            self.timeline_bytes_left = self.timeline_bytes_left.saturating_sub(report.timeline_bytes);
            clock.advance_to(report.ended);
            self.stopped |= report.stopped;
            self.dead |= report.dead;
            if let Some(error) = &report.error {
                return Err(error.clone().into());
            }
        }
        Ok(Nanos(start.load(Ordering::Relaxed)))
    }
}
