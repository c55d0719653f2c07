//! The thread: one loop that accepts, reads requests and sends every event when its time comes. Before an event it waits actively for the
//! last few microseconds. It knows no preset.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::SocketFlags;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::account::{Account, Record};
use super::answers::Answer;
use super::asked::{Asked, Dialect};
use super::clock::{now_ns, span};
use super::flow::{Flow, Gone};
use super::live::{Live, Progress};
use super::pacing::Pacing;
use super::request::{self, Read, Request};
use super::timers::{Due, Timers};
use crate::stream_fault::Orders;

/// Sockets told of at once.
const READY_MAX: usize = 256;
/// Events sent before sockets are looked at again.
const FIRED_MAX: usize = 64;
/// Connections whose next request is taken up before sockets are looked at again.
const TAKEN_MAX: usize = 64;
/// Turns of active waiting for one look at the sockets.
const TURNS: u32 = 4;
/// Turns after which a connection that is over is closed though something is due.
const CLOSE_TURNS: u32 = 64;
/// How long it may stay awake when it could wait, and how long it sleeps then, at most until the next event and not at all where that is
/// so near that the sleep would cost more than it gives back.
const AWAKE_NS: u64 = 100_000;
const NAP_NS: u64 = 50_000;
const NAP_MIN_NS: u64 = 20_000;
/// After so long without a rest it takes one, though an event becomes as late as that: a thread that never sleeps loses its place on a
/// busy machine, and is stopped for up to 50 ms in every second where it has real-time priority.
const RESTLESS_NS: u64 = 500_000;
/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;
/// How long nothing is accepted after that failed for want of descriptors.
const ACCEPT_PAUSE_NS: u64 = 50_000_000;
/// How long streams may go on after the end was asked for.
const DRAIN_NS: u64 = 5_000_000_000;
/// What the poller tells of the listener, and of whoever wants the thread; connections come after.
const LISTENER: u64 = 0;
const WAKE: u64 = 1;
const TIMER: u64 = 2;
const FIRST: u64 = 3;

/// What the thread and everybody else see.
#[derive(Debug)]
pub(super) struct Shared {
    /// What is in force for the next request.
    pub(super) pacing: Mutex<Arc<Pacing>>,
    /// The truth.
    pub(super) account: Account,
    /// Requests so far, and those before the account began anew: the faults of a share of the answers begin anew with it.
    pub(super) requests: AtomicU64,
    /// See `requests`.
    pub(super) requests_before: AtomicU64,
    /// The end was asked for.
    pub(super) stop: AtomicBool,
    /// Written to when the thread is to look.
    pub(super) wake: OwnedFd,
}

/// The thread's state.
pub(super) struct Pacer {
    epoll: OwnedFd,
    /// Ends a sleep: the poller's own timeout has a grain of a millisecond.
    timer: OwnedFd,
    listener: TcpListener,
    /// Until when nothing is accepted.
    paused_ns: Option<u64>,
    flows: Vec<Option<Flow>>,
    free: Vec<usize>,
    running: usize,
    /// Connections that are over, to be closed when nothing is due.
    over: Vec<usize>,
    /// Connections whose client may have sent its next request while the last one was answered.
    pending: VecDeque<usize>,
    timers: Timers,
    shared: Arc<Shared>,
    spin_ns: u64,
    seed: u64,
    seq: u64,
    out: Vec<u8>,
    text: String,
    scratch: Vec<u8>,
}

impl Pacer {
    /// On this listener, which does not block.
    pub(super) fn new(listener: TcpListener, shared: Arc<Shared>, seed: u64) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &shared.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        // Told of at its edge, it need not be read.
        epoll::add(
            &epoll,
            &timer,
            EventData::new_u64(TIMER),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Self {
            epoll,
            timer,
            listener,
            paused_ns: None,
            flows: Vec::new(),
            free: Vec::new(),
            running: 0,
            over: Vec::new(),
            pending: VecDeque::new(),
            timers: Timers::default(),
            shared,
            spin_ns: 0,
            seed,
            seq: 0,
            out: Vec::new(),
            text: String::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    /// Until the end is asked for and the streams have ended.
    pub(super) fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_MAX);
        let mut turn = 0_u32;
        let mut until_ns = None;
        let mut rest = Rest::default();
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                let until_ns = *until_ns.get_or_insert_with(|| now_ns() + DRAIN_NS);
                if self.running == 0 || now_ns() > until_ns {
                    return;
                }
            }
            let fired = self.fire(FIRED_MAX);
            self.take_up();
            turn = turn.wrapping_add(1);
            if (fired == 0 || turn.is_multiple_of(CLOSE_TURNS))
                && let Some(slot) = self.over.pop()
            {
                self.close_over(slot);
                continue;
            }
            let mut wait_ns = self.wait_ns();
            if !self.over.is_empty() || !self.pending.is_empty() {
                wait_ns = Some(0);
            } else if fired < FIRED_MAX && wait_ns.is_some_and(|ns| ns < NAP_NS) {
                if let Some(nap_ns) = rest.nap_ns(self.timers.next_ns(), now_ns()) {
                    wait_ns = Some(nap_ns);
                } else if wait_ns == Some(0) && !turn.is_multiple_of(TURNS) {
                    std::hint::spin_loop();
                    continue;
                }
            }
            ready.clear();
            let asleep_ns = now_ns();
            let timeout = match wait_ns {
                Some(0) => Some(span(0)),
                Some(wait_ns) => self.set_timer(wait_ns),
                None => None,
            };
            let spare = rustix::buffer::spare_capacity(&mut ready);
            if epoll::wait(&self.epoll, spare, timeout.as_ref()).is_err() {
                // A signal; anything else would come again and again, and ends with the next look.
                continue;
            }
            if wait_ns != Some(0) {
                rest.slept(asleep_ns, now_ns());
            }
            for event in ready.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    WAKE => self.woken(),
                    TIMER => {}
                    data => self.ready((data - FIRST) as usize, event.flags),
                }
                // Requests must not make events late.
                self.fire(usize::MAX);
            }
        }
    }

    /// Arms the timer; where that fails, gives a coarser time-out in its place.
    fn set_timer(&self, wait_ns: u64) -> Option<Timespec> {
        let at = Itimerspec {
            it_interval: span(0),
            it_value: span(now_ns() + wait_ns),
        };
        let armed = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &at);
        armed.is_err().then(|| span(wait_ns))
    }

    /// How long nothing is due; none where nothing is.
    fn wait_ns(&mut self) -> Option<u64> {
        let now = now_ns();
        if self.paused_ns.is_some_and(|until| until <= now) {
            self.paused_ns = None;
            // If it fails, nothing more is accepted, which whoever connects will notice.
            let _ = epoll::add(
                &self.epoll,
                &self.listener,
                EventData::new_u64(LISTENER),
                EventFlags::IN,
            );
        }
        let next = self
            .timers
            .next_ns()
            .map(|next| next.saturating_sub(self.spin_ns));
        let next = [next, self.paused_ns].into_iter().flatten().min()?;
        Some(next.saturating_sub(now))
    }

    /// Sends what is due, so many events at most.
    fn fire(&mut self, most: usize) -> usize {
        let mut fired = 0;
        while fired < most {
            let now = now_ns();
            let Some(due) = self.timers.pop(now) else {
                break;
            };
            fired += 1;
            self.speak(due, now);
        }
        fired
    }

    fn speak(&mut self, due: Due, now: u64) {
        let Some(flow) = self.flows.get_mut(due.slot).and_then(Option::as_mut) else {
            return;
        };
        let Some(live) = flow.live.as_mut().filter(|live| live.record.seq == due.seq) else {
            return;
        };
        if !flow.overdue && live.next_ns() > now {
            return;
        }
        self.out.clear();
        let progress = live.fire(now, &self.shared.account, &mut self.text, &mut self.out);
        let next = live.next_ns();
        let sent = flow.send(&self.out);
        match (sent, progress) {
            (Err(Gone), _) => self.lose(due.slot),
            (Ok(()), Progress::Ended(outcome)) => self.ended(due.slot, outcome),
            (Ok(()), Progress::Cut(reset)) => self.cut(due.slot, reset),
            (Ok(()), Progress::More) if flow.is_blocked() => {
                flow.overdue = true;
                self.watch(due.slot);
            }
            (Ok(()), Progress::More) => self.timers.push(Due { at_ns: next, ..due }),
        }
    }

    /// The answer in the making has said everything.
    fn ended(&mut self, slot: usize, outcome: &'static str) {
        self.write_down(slot, outcome);
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if flow.is_blocked() {
            self.watch(slot);
        } else {
            self.onward(slot);
        }
    }

    /// Everything has left: the connection ends, or what its client has sent meanwhile is taken up.
    fn onward(&mut self, slot: usize) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if flow.close {
            flow.over = true;
            self.over.push(slot);
        } else if !flow.unread().is_empty() && !flow.pending {
            // Not at once: who sends many requests together would have one answered inside the other.
            flow.pending = true;
            self.pending.push_back(slot);
        }
    }

    /// Takes up the next request of connections that were answered; what is due goes first.
    fn take_up(&mut self) {
        for _ in 0..TAKEN_MAX {
            let Some(slot) = self.pending.pop_front() else {
                return;
            };
            let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            if std::mem::take(&mut flow.pending) && flow.is_idle() {
                self.read(slot);
                self.fire(usize::MAX);
            }
        }
    }

    /// The connection ends in the middle of the answer.
    fn cut(&mut self, slot: usize, reset: bool) {
        if let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut)
            && reset
        {
            // Where the system refuses it, the connection ends with a FIN, which is a broken answer as well.
            let _ = set_socket_linger(&flow.socket, Some(Duration::ZERO));
        }
        self.write_down(slot, "faulted");
        self.close(slot);
    }

    /// The client is gone.
    fn lose(&mut self, slot: usize) {
        self.write_down(slot, "left");
        self.close(slot);
    }

    /// The answer in the making, if there is one, is over.
    fn write_down(&mut self, slot: usize, outcome: &'static str) {
        if let Some(live) = self
            .flows
            .get_mut(slot)
            .and_then(Option::as_mut)
            .and_then(|flow| flow.live.take())
        {
            let mut record = live.record;
            record.outcome = outcome;
            record.ended_ns = now_ns().saturating_sub(record.arrived_ns);
            self.running -= 1;
            self.shared.account.end(record);
        }
    }

    /// Closes a connection that was over, unless its client was faster.
    fn close_over(&mut self, slot: usize) {
        if self
            .flows
            .get(slot)
            .and_then(Option::as_ref)
            .is_some_and(|flow| flow.over)
        {
            self.close(slot);
        }
    }

    fn close(&mut self, slot: usize) {
        // Closing the descriptor takes it out of the poller too.
        if self.flows.get_mut(slot).and_then(Option::take).is_some() {
            self.free.push(slot);
        }
    }

    /// Asks to be told when the socket takes more.
    fn watch(&mut self, slot: usize) {
        if let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut)
            && !flow.watched
        {
            flow.watched = true;
            let data = EventData::new_u64(slot as u64 + FIRST);
            if epoll::modify(&self.epoll, &flow.socket, data, EventFlags::IN | EventFlags::OUT).is_err() {
                self.lose(slot);
            }
        }
    }

    fn woken(&self) {
        let mut count = [0; 8];
        // Whatever it says: the flags tell what is wanted.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
    }

    fn accept(&mut self) {
        use rustix::io::Errno;
        loop {
            match rustix::net::accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    // Without it events would wait for acknowledgements; a socket that refuses it still works.
                    let _ = set_tcp_nodelay(&socket, true);
                    let slot = self.free.pop().unwrap_or_else(|| {
                        self.flows.push(None);
                        self.flows.len() - 1
                    });
                    let data = EventData::new_u64(slot as u64 + FIRST);
                    if epoll::add(&self.epoll, &socket, data, EventFlags::IN).is_ok() {
                        self.flows[slot] = Some(Flow::new(socket));
                    } else {
                        self.free.push(slot);
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    // No descriptors left: the next connection waits for a while.
                    if epoll::delete(&self.epoll, &self.listener).is_ok() {
                        self.paused_ns = Some(now_ns() + ACCEPT_PAUSE_NS);
                    }
                    return;
                }
            }
            self.fire(usize::MAX);
        }
    }

    fn ready(&mut self, slot: usize, flags: EventFlags) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if flags.contains(EventFlags::OUT) && flow.is_blocked() {
            if flow.drain().is_err() {
                return self.lose(slot);
            }
            if !flow.is_blocked() {
                self.drained(slot);
            }
        }
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        if flow.receive(&mut self.scratch).is_err() {
            return self.lose(slot);
        }
        if flow.is_idle() && !flow.pending {
            self.read(slot);
        }
    }

    /// The socket has taken everything.
    fn drained(&mut self, slot: usize) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        flow.watched = false;
        let data = EventData::new_u64(slot as u64 + FIRST);
        if epoll::modify(&self.epoll, &flow.socket, data, EventFlags::IN).is_err() {
            return self.lose(slot);
        }
        match &flow.live {
            Some(live) => {
                if std::mem::take(&mut flow.overdue) {
                    let due = Due {
                        at_ns: live.next_ns(),
                        seq: live.record.seq,
                        slot,
                    };
                    self.timers.push(due);
                }
            }
            None => self.onward(slot),
        }
    }

    /// Takes up the next request, where there is a whole one.
    fn read(&mut self, slot: usize) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let request = match request::read(flow.unread()) {
            Read::Whole(request) => request,
            Read::Partial(false) => return,
            Read::Partial(true) => {
                if flow.send(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
                    self.lose(slot);
                }
                return;
            }
            Read::Refused(status, why) => {
                flow.forget();
                flow.close = true;
                let answer = Answer::refused(None, status, why);
                return self.answer(slot, &answer, "none");
            }
        };
        flow.close = request.close;
        let body = flow.unread()[request.body.clone()].to_vec();
        flow.consume(request.body.end);
        self.seq += 1;
        self.shared.requests.store(self.seq, Ordering::Relaxed);
        let dialect = Dialect::of(&request.path).filter(|_| request.method == "POST");
        let id = request.id.clone().unwrap_or_else(|| format!("{:016x}", self.seq));
        match dialect.map(|dialect| Asked::read(dialect, &body)) {
            None => self.answer(slot, &Answer::to(&request), &id),
            Some(Err(why)) => self.answer(slot, &Answer::refused(dialect, 400, &why), &id),
            Some(Ok(asked)) => self.begin(slot, &request, &asked, id),
        }
    }

    /// Gives an answer that is no stream.
    fn answer(&mut self, slot: usize, answer: &Answer, id: &str) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        self.out.clear();
        answer.write(id, flow.close, &mut self.out);
        match flow.send(&self.out) {
            Err(Gone) => self.lose(slot),
            Ok(()) => self.ended(slot, "whole"),
        }
    }

    fn begin(&mut self, slot: usize, request: &Request, asked: &Asked, id: String) {
        let pacing = Arc::clone(&self.shared.pacing.lock().unwrap_or_else(PoisonError::into_inner));
        self.spin_ns = pacing.spin_ns;
        let before = self.shared.requests_before.load(Ordering::Relaxed);
        let number = self.seq.saturating_sub(before);
        let orders = match &request.faults {
            Some(text) => match Orders::read(text) {
                Ok(orders) => orders,
                Err(why) => return self.answer(slot, &Answer::refused(Some(asked.dialect), 400, &why), &id),
            },
            None => pacing.faults.draw(self.seed, number),
        };
        if let Some((status, after)) = orders.status() {
            let mut answer = Answer::refused(Some(asked.dialect), status, "ordered by a fault");
            answer.headers = after.map_or_else(String::new, |after| format!("retry-after: {after}\r\n"));
            return self.answer(slot, &answer, &id);
        }
        let now = now_ns();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // One that came while its connection was still being answered arrives when its turn does.
        let arrived_ns = self
            .flows
            .get_mut(slot)
            .and_then(Option::as_mut)
            .and_then(|flow| flow.arrived_ns.take())
            .map_or(now, |arrived| arrived.min(now));
        let record = Record {
            seq: self.seq,
            id,
            arrived_ns,
            arrived_unix_ms: unix.as_secs_f64() * 1000.0 - (now - arrived_ns) as f64 / 1e6,
            ..Record::default()
        };
        let mut live = Box::new(Live::new(
            asked,
            &pacing,
            record,
            &orders,
            self.seed,
            request.close,
        ));
        self.shared.account.begin(now - arrived_ns);
        self.running += 1;
        self.out.clear();
        live.begin(now, &self.shared.account, &mut self.out);
        let due = Due {
            at_ns: live.next_ns(),
            seq: self.seq,
            slot,
        };
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        flow.live = Some(live);
        flow.overdue = false;
        if flow.send(&self.out).is_err() {
            return self.lose(slot);
        }
        self.timers.push(due);
    }
}

/// When the thread slept last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rest {
    /// End of the last sleep.
    slept_ns: u64,
    /// End of the last sleep that was a rest.
    rested_ns: u64,
}

impl Rest {
    /// How long to sleep now although it could wait actively; none where it stays awake.
    fn nap_ns(self, next_ns: Option<u64>, now_ns: u64) -> Option<u64> {
        if now_ns.saturating_sub(self.rested_ns) > RESTLESS_NS {
            return Some(NAP_NS);
        }
        if now_ns.saturating_sub(self.slept_ns) <= AWAKE_NS {
            return None;
        }
        let free_ns = next_ns.map_or(NAP_NS, |next| next.saturating_sub(now_ns).min(NAP_NS));
        (free_ns >= NAP_MIN_NS).then_some(free_ns)
    }

    fn slept(&mut self, from_ns: u64, until_ns: u64) {
        self.slept_ns = until_ns;
        if until_ns - from_ns >= NAP_NS {
            self.rested_ns = until_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_ends_with_the_next_event_unless_a_rest_is_due() {
        let mut rest = Rest::default();
        rest.slept(0, NAP_NS);
        let tired = NAP_NS + AWAKE_NS + 1;
        assert_eq!(rest.nap_ns(None, tired - 1), None, "awake for long enough only");
        assert_eq!(rest.nap_ns(None, tired), Some(NAP_NS));
        assert_eq!(rest.nap_ns(Some(tired + 2 * NAP_NS), tired), Some(NAP_NS));
        assert_eq!(rest.nap_ns(Some(tired + NAP_MIN_NS), tired), Some(NAP_MIN_NS));
        assert_eq!(rest.nap_ns(Some(tired + NAP_MIN_NS - 1), tired), None);
        // A short nap is no rest.
        rest.slept(tired, tired + NAP_MIN_NS);
        assert_eq!(rest.nap_ns(None, tired + NAP_MIN_NS + 1), None);
        let restless = NAP_NS + RESTLESS_NS + 1;
        assert_eq!(rest.nap_ns(Some(restless + 1), restless), Some(NAP_NS));
    }
}
