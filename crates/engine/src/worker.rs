//! One worker: a thread with its own edge-triggered loop, connections and share of a leg. Nothing is shared with
//! other workers but the read-only phase and two flags.
//!
//! In the steady state of a closed loop a request costs one `recv`, one `send`, two clock reads and no allocation:
//! answers are read and the next requests written in the same turn of the loop.

mod call;
mod capture;
mod conclude;
mod connection;
mod exchange;
mod flow;
mod http2;
mod linger;
mod listen;
mod meter;
mod outbox;
mod rest;
mod retry;
mod sign;
mod source;
mod watch;

use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use prony_model::{HttpVersion, Nanos, Outcome, OutcomeClass, Sample, SampleFlags};
use prony_wire::http1::HeadCache;
use prony_wire::{Clock, Timer, Waits, WireError, sleep_until};
use rustix::time::{ClockId, clock_gettime};

use crate::choice::{Chooser, Pick};
use crate::inner::Server;
use crate::leg::{Leg, LegKind};
use crate::prepared::Prepared;
use call::Call;
use capture::{Ending, captured};
use connection::Connections;
use flow::Later;
use http2::Streams;
use outbox::Outbox;
use rest::Rest;
use source::Source;
use watch::Watch;

pub(crate) use linger::LINGERING_MAX;
pub(crate) use outbox::{Message, Report, Wanted};
pub(crate) use source::Share;
pub(crate) use watch::Seen;

/// Read buffer: large reads cost a third of small ones on large bodies.
const BUFFER_BYTES: usize = 256 << 10;

/// Events per wait.
const BATCH: usize = 256;

/// Answers that are read before the next requests are written. A few at a time wake the target less often, which
/// costs both sides less; many would make the first of them late.
const READS_FIRST: u32 = 16;

/// How often timeouts are looked for while requests are in flight.
const TICK: Nanos = Nanos(5_000_000);

/// How often the stop flag is looked at otherwise, and samples are handed over.
const IDLE_TICK: Nanos = Nanos(20_000_000);

/// Failed connections per user after which a target that was never reached is given up.
const DEAD_AFTER: u64 = 20;

/// The same in an open loop, in all.
const DEAD_AFTER_OPEN: u64 = 200;

const TIMER: u64 = u64::MAX;

/// What all workers of a leg share.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) leg: &'a Leg,
    pub(crate) stop: &'a AtomicBool,
    /// Set once the backlog is known to grow for good.
    pub(crate) saturated: &'a AtomicBool,
    /// When the workers were started.
    pub(crate) begun: Nanos,
    /// Start of the leg in nanoseconds; 0 until it is known.
    pub(crate) start: &'a AtomicU64,
    pub(crate) rate_max: f64,
}

impl Shared<'_> {
    /// Whether the phase is to end now.
    fn is_ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.saturated.load(Ordering::Relaxed)
    }
}

/// Runs a worker's share of a leg on the current thread, to its end.
pub(crate) fn run(
    shared: &Shared<'_>,
    share: Share,
    chooser: Chooser,
    captures: u32,
    wanted: Wanted,
    sender: SyncSender<Message>,
) {
    let outbox = Outbox::new(share.worker as u16, sender, wanted);
    match loop_parts(shared.prepared.clock) {
        Ok((waits, timer)) => {
            let mut worker = Worker::new(shared, share, chooser, captures, outbox, waits, timer);
            if shared.prepared.streams() && !shared.prepared.clock.is_simulated() {
                worker.watch = Watch::over_streams(shared.prepared.clock);
            } else if matches!(shared.leg.kind, LegKind::Timed { .. }) && shared.prepared.answers_may_rest() {
                worker.rest = Rest::on(shared.prepared.clock);
            }
            worker.run();
        }
        Err(error) => {
            outbox.finish(Report {
                error: Some(error),
                next_seq: share.first_seq,
                ..Report::default()
            });
        }
    }
}

fn loop_parts(clock: Clock) -> Result<(Waits, Timer), WireError> {
    let waits = Waits::new(BATCH)?;
    let timer = Timer::new(clock)?;
    waits.add_timer(&timer, TIMER)?;
    Ok((waits, timer))
}

struct Worker<'a> {
    prepared: &'a Prepared,
    shared: &'a Shared<'a>,
    share: Share,
    chooser: Chooser,
    outbox: Outbox,
    waits: Waits,
    timer: Timer,
    watch: Watch,
    rest: Rest,
    /// The server, where it is in this process.
    server: Option<Server>,
    buffer: Box<[u8]>,
    cache: HeadCache,
    connections: Connections,
    /// Slots of idle connections to the target, the most recently used last.
    idle: Vec<u32>,
    /// The same for each of the other ways.
    idle_others: Vec<Vec<u32>>,
    /// HTTP/2 connections and who waits for them.
    streams: Streams,
    /// Tokens of connections that may have more to read.
    again: Vec<u64>,
    /// Tokens of connections that the peer is to close, and until when it may.
    lingering: VecDeque<(u64, Nanos)>,
    /// Time spent waiting awake.
    spun: Nanos,
    source: Option<Source>,
    /// Requests not yet answered, sent or not.
    active: u32,
    /// Arrivals that wait for their next request.
    later: BinaryHeap<Later>,
    /// Ended calls, to be used again.
    #[expect(
        clippy::vec_box,
        reason = "calls move between here and connections; a box moves a pointer"
    )]
    spare: Vec<Box<Call>>,
    /// When the last read returned.
    stamp: Nanos,
    /// Whether the last answer's body was large.
    large_bodies: bool,
    /// Connections opened ahead of a burst that are not yet open.
    opening: u32,
    flight: Flight,
    /// Answers that are still kept, whatever they are.
    captures_left: u32,
    /// Requests that failed and are still kept, where only those are.
    failures_left: u32,
    report: Report,
    connect_failures: u64,
    reached: bool,
    slowest: Nanos,
    /// When unfinished requests are cut off; set when the source is over.
    cut_at: Nanos,
    next_tick: Nanos,
    next_hand_over: Nanos,
}

/// The integral of requests in flight over time.
#[derive(Debug, Default)]
struct Flight {
    now: u32,
    max: u32,
    since: Nanos,
    integral: u128,
}

impl Flight {
    fn advance(&mut self, at: Nanos) {
        self.integral += u128::from((at - self.since).0) * u128::from(self.now);
        self.since = self.since.max(at);
    }

    fn up(&mut self, at: Nanos) {
        self.advance(at);
        self.now += 1;
        self.max = self.max.max(self.now);
    }

    fn down(&mut self, at: Nanos) {
        self.advance(at);
        self.now = self.now.saturating_sub(1);
    }

    /// One that ended at `at` had been over for so long.
    fn was_over(&mut self, long: Nanos) {
        self.integral = self.integral.saturating_sub(u128::from(long.0));
    }
}

impl<'a> Worker<'a> {
    fn new(
        shared: &'a Shared<'a>,
        share: Share,
        chooser: Chooser,
        captures: u32,
        outbox: Outbox,
        waits: Waits,
        timer: Timer,
    ) -> Self {
        let (captures_left, failures_left) = if shared.prepared.capture.is_of_failures() {
            (0, captures)
        } else {
            (captures, 0)
        };
        Self {
            prepared: shared.prepared,
            shared,
            share,
            chooser,
            outbox,
            waits,
            timer,
            watch: Watch::default(),
            rest: Rest::default(),
            server: shared.prepared.route.inner.as_ref().map(Server::new),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            cache: HeadCache::default(),
            connections: Connections::default(),
            idle: Vec::new(),
            idle_others: vec![Vec::new(); shared.prepared.others()],
            streams: Streams::default(),
            again: Vec::new(),
            lingering: VecDeque::new(),
            spun: Nanos::ZERO,
            source: None,
            active: 0,
            later: BinaryHeap::new(),
            spare: Vec::new(),
            stamp: Nanos::ZERO,
            large_bodies: false,
            opening: 0,
            flight: Flight::default(),
            captures_left,
            failures_left,
            report: Report {
                captures,
                ..Report::default()
            },
            connect_failures: 0,
            reached: false,
            slowest: Nanos::ZERO,
            cut_at: Nanos(u64::MAX),
            next_tick: Nanos::ZERO,
            next_hand_over: Nanos::ZERO,
        }
    }

    fn run(mut self) {
        self.prepared.clock.advance_to(self.shared.begun);
        let (cpu, wall) = (thread_cpu(), self.now());
        self.flight.since = wall;
        if let LegKind::Burst { size } = self.shared.leg.kind {
            let mine = self.share.users(size);
            for _ in 0..self.connections_ahead(mine) {
                self.open_ahead();
            }
        }
        let mut told_ready = false;
        let end = loop {
            if !told_ready && self.opening == 0 {
                self.outbox.ready();
                told_ready = true;
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        let now = self.now();
        self.flight.advance(now);
        self.report.error = end.err();
        self.report.ended = now;
        if !self.prepared.clock.is_simulated() {
            self.report.cpu = Nanos((thread_cpu() - cpu).0.saturating_sub(self.spun.0));
        }
        self.report.wall = now - wall;
        self.report.flight = self.flight.integral;
        self.report.flight_max = self.flight.max;
        self.report.captures -= self.captures_left + self.failures_left;
        self.report.seen = self.watch.seen();
        let first = self.share.first_seq;
        self.report.next_seq = self.source.as_mut().map_or(first, Source::next_seq);
        self.outbox.finish(self.report);
    }

    fn now(&self) -> Nanos {
        self.prepared.clock.now()
    }

    /// One turn of the loop; whether there is another.
    fn turn(&mut self) -> Result<bool, WireError> {
        let mut now = self.now();
        if self.source.is_none() {
            self.look_for_start(now);
        }
        if let Some(source) = &mut self.source {
            if self.shared.is_ended() && self.cut_at > now {
                source.close();
                self.report.stopped = true;
                self.cut_at = now;
            }
            now = self.issue_due(now);
        } else if self.shared.is_ended() {
            self.report.stopped = true;
            return Ok(false);
        }
        if now >= self.next_tick {
            self.tick(now);
            self.next_tick = now + TICK;
            // The users whose requests ran out of time go on at once.
            if self.source.as_ref().is_some_and(Source::has_free_user) {
                now = self.issue_due(now);
            }
        }
        if self.is_over(now) {
            return Ok(false);
        }
        self.depart();
        if self.watch.reads() {
            let asked = self.now();
            self.sleep(now)?;
            let full = self.waits.len() == BATCH;
            self.watch.looked(asked, self.now(), full);
        } else {
            self.sleep(now)?;
        }
        let fired = self.handle_events();
        if fired {
            if self.watch.reads() {
                self.watch
                    .round_over(self.timer.armed(), self.prepared.clock.now());
            }
            self.timer.fired();
        }
        Ok(true)
    }

    fn look_for_start(&mut self, now: Nanos) {
        let start = self.shared.start.load(Ordering::Acquire);
        if start != 0 {
            let leg = self.shared.leg;
            let source = Source::new(
                &leg.kind,
                leg.step,
                self.share,
                self.shared.rate_max,
                self.prepared.limits.connect_rate,
                Nanos(start).max(Nanos(1)),
            );
            if matches!(leg.kind, LegKind::Loop { .. }) {
                self.share_connections(source.users());
            }
            self.outbox.until = source.ends_at();
            self.source = Some(source);
            self.next_tick = now;
        }
    }

    /// Issues everything that is due; returns the time after that.
    fn issue_due(&mut self, now: Nanos) -> Nanos {
        self.resume(now);
        let mut issued = false;
        while let Some(order) = self.source.as_mut().and_then(|s| s.due(now)) {
            issued = true;
            let full = matches!(&self.source, Some(Source::Timed(t)) if self.active >= t.in_flight_max);
            if full {
                self.shed(order);
            } else {
                // A user freed by an immediate failure rests before it tries again, so this ends.
                self.begin(order);
            }
        }
        if issued { self.now() } else { now }
    }

    /// Timeouts, the dead target, the end of the leg, the outbox.
    fn tick(&mut self, now: Nanos) {
        self.connect_again();
        self.expire(now);
        self.close_lingering(now);
        let users = self.source.as_ref().map_or(0, Source::users);
        let bound = if users > 0 {
            u64::from(users) * DEAD_AFTER
        } else {
            DEAD_AFTER_OPEN
        };
        let lasting = !matches!(self.shared.leg.kind, LegKind::Burst { .. });
        if lasting && !self.reached && self.connect_failures >= bound && !self.report.dead {
            self.report.dead = true;
            if let Some(source) = &mut self.source {
                source.close();
            }
        }
        if let Some(source) = &mut self.source
            && self.cut_at == Nanos(u64::MAX)
            && source.is_over(now)
        {
            self.cut_at = now + self.grace();
        }
        if now >= self.cut_at {
            self.cut_off(now);
        }
        if now >= self.next_hand_over {
            self.outbox.hand_over(now, self.flight.now);
            self.next_hand_over = now + IDLE_TICK;
        }
    }

    /// How long requests in flight may go on after a leg ended by time: their own timeout, but no more than two
    /// seconds or three times the slowest answer so far. Where the number of requests ends the leg, their timeout.
    fn grace(&self) -> Nanos {
        let longest = self.prepared.requests_max();
        let timeout = self.prepared.limits.timeout_ms.saturating_mul(1_000_000);
        let timeout = Nanos(timeout.saturating_mul(longest));
        let timed = match &self.shared.leg.kind {
            LegKind::Loop { duration, .. } => duration.is_some(),
            LegKind::Timed { .. } => true,
            LegKind::Burst { .. } => false,
        };
        if timed {
            timeout.min(Nanos(2_000_000_000).max(Nanos(self.slowest.0.saturating_mul(3))))
        } else {
            timeout + timeout
        }
    }

    fn is_over(&mut self, now: Nanos) -> bool {
        self.active == 0 && self.source.as_mut().is_some_and(|s| s.is_over(now))
    }

    /// Waits for the next event, arrival or tick.
    fn sleep(&mut self, now: Nanos) -> Result<(), WireError> {
        if !self.again.is_empty() {
            return self.waits.poll();
        }
        let clock = self.prepared.clock;
        if clock.is_simulated() && self.source.is_none() {
            // Simulated time waits for the real start.
            std::thread::yield_now();
            self.waits.advance(clock, now, TIMER);
            return Ok(());
        }
        let tick = match &self.source {
            None => now + Nanos(1_000_000),
            Some(_) if self.active > 0 => self.next_tick,
            Some(_) => now + IDLE_TICK,
        };
        let due = self.source.as_mut().and_then(Source::next_at);
        // What is still due now will not be issued any more (the leg is over): there is nothing to wake for.
        let due = due
            .into_iter()
            .chain(self.later.peek().map(|l| l.at))
            .filter(|due| *due > now)
            .min();
        let guard = self.prepared.limits.spin();
        if guard > Nanos::ZERO && due.is_some_and(|due| due - guard <= now) && !clock.is_simulated() {
            return self.spin(now);
        }
        if let Some(due) = due
            && guard == Nanos::ZERO
            && self.rest.may(now, due, self.active)
        {
            sleep_until(clock, due);
            self.woke_for(due);
            return self.waits.poll();
        }
        let at = due.map_or(tick, |due| (due - guard).min(tick));
        // A tick that is already armed is left alone: no system call while answers keep coming.
        if self.timer.armed() > at || self.timer.armed() <= now {
            self.timer.arm(at)?;
        }
        if clock.is_simulated() {
            self.waits.advance(clock, at, TIMER);
            return Ok(());
        }
        self.waits.wait()?;
        if let Some(due) = due
            && self.timer.armed() == due - guard
            && self.waits.len() == 1
            && self.waits.event(0).0 == TIMER
        {
            self.woke_for(due);
        }
        Ok(())
    }

    /// A sleep until `due` is over.
    fn woke_for(&mut self, due: Nanos) {
        let late = self.now() - due;
        if self.report.timer_late.len() < 10_000 {
            self.report.timer_late.push(late);
        }
    }

    /// Looks for events without sleeping: a request is due within the spin guard.
    fn spin(&mut self, now: Nanos) -> Result<(), WireError> {
        self.waits.poll()?;
        if self.waits.is_empty() {
            self.spun += self.now() - now;
        }
        Ok(())
    }

    /// Handles what the wait reported; whether the timer fired.
    fn handle_events(&mut self) -> bool {
        let mut fired = false;
        let mut read = 0;
        for token in std::mem::take(&mut self.again) {
            self.on_edge(token, false);
        }
        for i in 0..self.waits.len() {
            let (token, hung_up) = self.waits.event(i);
            if token == TIMER {
                fired = true;
            } else {
                self.on_edge(token, hung_up);
                // One edge of an HTTP/2 connection may bring as many answers as it has streams.
                let many = self.prepared.route.http != HttpVersion::Http1;
                read += if many { READS_FIRST } else { 1 };
                if read >= READS_FIRST {
                    read = 0;
                    self.issue_freed();
                    self.depart();
                }
            }
        }
        self.issue_freed();
        fired
    }

    /// The next requests of the users whose answers were just read.
    fn issue_freed(&mut self) {
        if self.source.as_ref().is_some_and(Source::has_free_user) {
            self.issue_due(self.stamp);
        }
    }

    fn shed(&mut self, order: call::Order) {
        let Pick { scenario, item, .. } = self.chooser.pick(order.seq);
        let composite = self.prepared.script(scenario).is_some_and(|s| s.composite);
        let sample = Sample {
            seq: order.seq,
            intended: order.intended,
            sent: order.intended,
            first_byte: Nanos::ZERO,
            done: order.intended,
            digest: 0,
            bytes_in: 0,
            item,
            connect_us: 0,
            tls_us: 0,
            attempt: 0,
            status: 0,
            scenario,
            step: order.step,
            phase: self.prepared.index,
            worker: self.share.worker as u16,
            outcome: Outcome::Shed,
            flags: if composite {
                SampleFlags::WHOLE
            } else {
                SampleFlags::default()
            },
        };
        self.outbox.push(sample);
    }

    /// Records the end of a request, and frees its user unless its arrival takes more requests.
    fn end(&mut self, mut call: Box<Call>, ending: &Ending, now: Nanos) {
        let given_up = call.flags.contains(SampleFlags::ABANDONED)
            && ending.outcome.class() == OutcomeClass::Timeout
            && now >= call.deadline;
        let abandoned = given_up.then(|| Ending {
            outcome: Outcome::Interrupted,
            error: "given up on purpose".to_owned(),
            ..ending.clone()
        });
        let ending = abandoned.as_ref().unwrap_or(ending);
        let weighed = call
            .journey
            .take()
            .map(|journey| self.weigh(&mut call, ending, journey, now));
        let ending = weighed.as_ref().map_or(ending, |(ending, _)| ending);
        if ending.outcome != Outcome::Ok {
            self.report.failed(ending.outcome, &ending.error);
            if self.failures_left > 0 && !ending.outcome.is_own() {
                self.failures_left -= 1;
                call.flags.insert(SampleFlags::CAPTURED);
            }
        }
        let never_sent = call.sent == Nanos::ZERO;
        if never_sent {
            // Its span counts from its intended start, as in its sample.
            self.flight.integral += u128::from((now - call.order.intended).0);
        } else {
            self.flight.down(now);
            self.slowest = self.slowest.max(now - call.sent);
        }
        let digest = call.answer.digest();
        let mut sample = Sample {
            seq: call.order.seq,
            intended: call.order.intended,
            sent: if never_sent {
                call.order.intended
            } else {
                call.sent
            },
            first_byte: call.first_byte,
            done: now,
            digest: if self.prepared.capture.digests { digest } else { 0 },
            bytes_in: u32::try_from(ending.body_bytes).unwrap_or(u32::MAX),
            item: call.item,
            connect_us: call.connect_us,
            tls_us: call.tls_us,
            attempt: call.attempt,
            status: ending.status,
            scenario: call.scenario,
            step: call.order.step,
            phase: self.prepared.index,
            worker: self.share.worker as u16,
            outcome: ending.outcome,
            flags: call.flags,
        };
        if let Some(meter) = &mut call.answer.meter {
            if let Some(over) = meter.over() {
                // What was read late was over before.
                self.flight.was_over(now - over);
                sample.done = over;
            }
            let (by_kernel, by_read) = meter.stamped();
            self.watch.ended(by_kernel, by_read);
            let record = self.outbox.stream(meter.record(&sample));
            meter.take_back(record.timeline);
        }
        self.outbox.push(sample);
        if call.flags.contains(SampleFlags::CAPTURED) {
            let script = self.prepared.script(call.scenario);
            let mut secrets = script.map_or_else(Vec::new, |script| {
                let carried = weighed.as_ref().map_or(&[][..], |(_, onward)| onward.carried());
                script.secrets(self.who(&call.order, call.turn), carried)
            });
            secrets.extend(weighed.iter().flat_map(|(_, onward)| onward.cookies()));
            self.outbox.capture(captured(
                &call,
                ending,
                digest,
                self.prepared.capture.body_bytes_max as usize,
                &self.prepared.route.masks.with(&secrets),
            ));
        }
        let user = call.order.user;
        call.rest(self.spare.len());
        self.spare.push(call);
        if let Some((ending, onward)) = weighed {
            return self.proceed(onward, &ending, now);
        }
        self.active -= 1;
        if let Some(source) = &mut self.source {
            source.freed(user, now, ending.unconnected);
        }
    }
}

pub(crate) fn thread_cpu() -> Nanos {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Nanos(t.tv_sec.cast_unsigned() * 1_000_000_000 + t.tv_nsec.cast_unsigned())
}
