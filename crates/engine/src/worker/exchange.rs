//! One exchange on one connection: dial, send, receive, and what every way it can go wrong is called.

use std::net::IpAddr;

use prony_model::{Nanos, Outcome, SampleFlags};
use prony_wire::http1::{Broken, Fed, ResponseParser};
use prony_wire::{LinkError, Peer, Received, Stream, dial};
use rustix::io::Errno;

use super::Worker;
use super::call::{Call, Order};
use super::capture::Ending;
use super::connection::{Connection, Stage};
use super::flow::Journey;
use super::sign;
use crate::choice::Pick;
use crate::inner::Coming;
use crate::{bodies, descriptors};

/// Reads of one connection before others get their turn.
pub(super) const READS_MAX: u32 = 16;

/// What is left of an unwanted body from which the kernel is asked to throw it away.
const DISCARD_LEAST: usize = 16 << 10;

/// First read of an answer whose body is large and unwanted.
const HEAD_READ: usize = 4 << 10;

/// How reading an answer stands.
pub(super) enum Reading {
    /// More will come; an edge will tell.
    Waits,
    /// More may be there already.
    Again,
    /// Complete.
    Done { trailing: bool },
    /// Cannot become complete.
    Failed { outcome: Outcome, error: String },
    /// The connection ended before the first byte of the answer.
    Nothing { error: String },
}

impl Worker<'_> {
    /// Starts a request: on an idle connection, or on a new one.
    pub(super) fn issue(&mut self, order: Order, pick: Pick, journey: Option<Box<Journey>>) {
        let prepared = self.prepared;
        let plan = prepared.item(pick.scenario, pick.item);
        let deadline = order.intended + Nanos(prepared.limits.timeout_ms.saturating_mul(1_000_000));
        let patience = prepared.patience(pick.scenario, order.seq);
        let deadline = patience.map_or(deadline, |patience| deadline.min(order.intended + patience));
        let mut call = Call::start(self.spare.pop(), order, pick, deadline);
        if patience.is_some() {
            call.flags.insert(SampleFlags::ABANDONED);
        }
        if let Some(journey) = journey {
            call.attempt = journey.attempt();
            call.journey = Some(journey);
        }
        call.route = plan.route;
        let mut head =
            plan.checks.needs_content_type() || plan.needs_head || prepared.limits.redirects_max > 0;
        let mut body_keep = if plan.checks.needs_body || plan.needs_body {
            bodies::CHECKED_BYTES_MAX
        } else {
            0
        };
        let mut digest = prepared.capture.digests || plan.checks.needs_digest;
        if plan.signed {
            body_keep = body_keep.max(sign::REFUSAL_BYTES_MAX);
        }
        if self.captures_left > 0 {
            self.captures_left -= 1;
            call.flags.insert(SampleFlags::CAPTURED);
            body_keep = body_keep.max(prepared.capture.body_bytes_max as usize);
            (head, digest) = (true, true);
        }
        call.answer.keep(head, body_keep, digest);
        if let Some(expect) = plan.checks.stream() {
            call.answer.measure(expect);
        }
        if plan.template.is_some() {
            self.fill(&mut call);
        }
        if call.journey.is_some() {
            self.add_cookies(&mut call);
        }
        if plan.signed
            && let Err(ending) = self.sign(&mut call)
        {
            let now = self.now();
            return self.end(call, &ending, now);
        }
        self.place(call);
    }

    /// Idle connections of a way.
    fn idle_of(&mut self, route: u16) -> &mut Vec<u32> {
        match route.checked_sub(1) {
            None => &mut self.idle,
            Some(other) => &mut self.idle_others[usize::from(other)],
        }
    }

    /// Gives a call a connection.
    pub(super) fn place(&mut self, call: Box<Call>) {
        let route = call.route;
        while let Some(slot) = self.idle_of(route).pop() {
            if let Some(connection) = self.connections.at(slot)
                && connection.stage == Stage::Idle
                && connection.route == route
            {
                connection.stage = Stage::Busy;
                connection.call = Some(call);
                self.send(slot);
                return;
            }
        }
        if route != 0 {
            self.dial(route, Some(call));
        } else if let Some(call) = self.place_on_stream(call) {
            self.dial(route, Some(call));
        }
    }

    /// Opens a connection ahead of a burst.
    pub(super) fn open_ahead(&mut self) {
        self.opening += 1;
        self.dial(self.prepared.first_route(), None);
    }

    fn dial(&mut self, way: u16, call: Option<Box<Call>>) {
        let dialled = self.now();
        self.rest.awake(dialled);
        let (slot, token) = self.connections.next_slot();
        let route = self.prepared.route(way);
        let made = Stream::dial(&route.peer, self.source_address(way), &route.link).and_then(|stream| {
            match stream.descriptor() {
                Some(fd) => {
                    self.waits.add(fd, token).map_err(LinkError::Io)?;
                    if self.watch.reads() || self.rest.is_on() {
                        stream.ask_for_stamps();
                    }
                }
                None => self.waits.expect(token, dialled),
            }
            Ok(stream)
        });
        let limits = &self.prepared.limits;
        match made {
            Ok(stream) => {
                let parser = ResponseParser::new(limits.head_bytes_max, limits.body_bytes_max);
                let connection = Connection {
                    stream,
                    stage: Stage::Connecting,
                    route: way,
                    parser,
                    dialled,
                    shaking: Nanos::ZERO,
                    requests: 0,
                    hung_up: false,
                    used: false,
                    call,
                    streams: if way == 0 {
                        self.multiplex_from_start(slot)
                    } else {
                        None
                    },
                };
                self.connections.put(slot, connection);
            }
            Err(error) => {
                self.connections.give_back(slot);
                self.unconnected(call, &error);
            }
        }
    }

    /// The address that the next connection starts from: each in turn, so that each has its own range of ports.
    fn source_address(&mut self, way: u16) -> Option<IpAddr> {
        let sources = &self.prepared.route(way).sources;
        let turn = self.connections.dials();
        (!sources.is_empty()).then(|| sources[turn % sources.len()])
    }

    /// A connection could not be made.
    fn unconnected(&mut self, call: Option<Box<Call>>, error: &LinkError) {
        let (outcome, error) = connect_failure(error);
        self.connect_failures += u64::from(outcome != Outcome::LocalExhausted);
        match call {
            Some(call) => {
                let ending = Ending {
                    outcome,
                    status: 0,
                    body_bytes: 0,
                    error,
                    unconnected: true,
                };
                let now = self.now();
                self.end(call, &ending, now);
            }
            // Opened ahead: the request that wanted it will try again and meet the failure itself.
            None => self.opening -= 1,
        }
    }

    /// Something happened on a connection.
    pub(super) fn on_edge(&mut self, token: u64, hung_up: bool) {
        let Some(slot) = self.connections.live(token) else {
            return;
        };
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        connection.hung_up |= hung_up;
        match connection.stage {
            Stage::Busy => self.advance(slot),
            Stage::Greeting | Stage::Multiplexed => self.go_on(slot),
            Stage::Connecting | Stage::Handshaking => self.connect(slot),
            // An idle connection has nothing to say: whatever it says, it is of no further use. One that lingers was
            // waiting for this.
            Stage::Idle | Stage::Lingering => {
                let quiet = connection.stream.read(&mut self.buffer) == Ok(Received::Blocked);
                if !quiet {
                    self.connections.take(slot);
                }
            }
        }
    }

    /// Goes on connecting.
    fn connect(&mut self, slot: u32) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        if connection.stage == Stage::Connecting {
            match connection.stream.connected() {
                Ok(false) => {
                    // A socket that is not connected yet says that it hangs.
                    connection.hung_up = false;
                    return;
                }
                Ok(true) => {
                    connection.stage = Stage::Handshaking;
                    if self.prepared.route(connection.route).origin.is_tls() {
                        connection.shaking = self.prepared.clock.now();
                    }
                }
                Err(error) => return self.drop_unconnected(slot, &error),
            }
        }
        match connection.stream.ready() {
            Ok(false) => {}
            Ok(true) => self.connected(slot),
            Err(error) => self.drop_unconnected(slot, &error),
        }
    }

    /// Tries connections that wait for room in a Unix domain socket's queue: no edge will tell of it.
    pub(super) fn connect_again(&mut self) {
        let peer = &self.prepared.route.peer;
        if !matches!(peer, Peer::Unix(_)) {
            return;
        }
        let waiting: Vec<u32> = self
            .connections
            .slots()
            .filter(|(_, c)| c.stage == Stage::Connecting && c.route == 0)
            .map(|(slot, _)| slot)
            .collect();
        for slot in waiting {
            let Some(connection) = self.connections.at(slot) else {
                continue;
            };
            match connection.stream.connect_again(peer) {
                Ok(true) => self.connect(slot),
                // The queue is still full, so the others need not ask.
                Ok(false) => return,
                Err(error) => self.drop_unconnected(slot, &error),
            }
        }
    }

    pub(super) fn drop_unconnected(&mut self, slot: u32, error: &LinkError) {
        let Some(mut connection) = self.connections.take(slot) else {
            return;
        };
        if connection.call.is_none() {
            self.unconnected(None, error);
        }
        for call in self.dissolve(&mut connection) {
            self.unconnected(Some(call), error);
        }
    }

    fn connected(&mut self, slot: u32) {
        if self.goes_on_in_http2(slot) {
            return;
        }
        self.reached = true;
        self.report.connections += 1;
        let now = self.now();
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        if let Some(call) = &mut connection.call {
            // What was sent before, to be led elsewhere or to be lost, did not wait for this connection.
            if call.sent == Nanos::ZERO {
                call.connect_us = micros(now - connection.dialled);
                if connection.shaking != Nanos::ZERO {
                    call.tls_us = micros(now - connection.shaking);
                }
            }
            call.flags.insert(SampleFlags::NEW_CONNECTION);
            connection.stage = Stage::Busy;
            self.send(slot);
            // A hasty answer may lie there already, and its edge be the one that told of the connection.
            let token = self.connections.token(slot);
            self.again.push(token);
        } else {
            connection.stage = Stage::Idle;
            let route = connection.route;
            self.idle_of(route).push(slot);
            self.opening -= 1;
        }
    }

    /// Starts to write the request of a busy connection.
    fn send(&mut self, slot: u32) {
        let now = self.prepared.clock.now();
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let Some(call) = &mut connection.call else { return };
        let no_body = match &call.detour {
            Some(detour) => detour.no_body,
            None => self.prepared.item(call.scenario, call.item).no_body,
        };
        connection.parser.reset(no_body);
        if !connection.used && call.connect_us == 0 {
            call.flags.insert(SampleFlags::NEW_CONNECTION);
        }
        connection.requests += 1;
        let most = self.prepared.limits.requests_on_one();
        call.last = most.is_some_and(|most| connection.requests >= most);
        call.written = 0;
        call.deaf = false;
        if call.sent == Nanos::ZERO {
            call.sent = now;
            self.flight.up(now);
        }
        self.write(slot);
    }

    /// Writes what fits. A peer that does not listen any more may still answer, so errors wait for the read.
    fn write(&mut self, slot: u32) {
        let prepared = self.prepared;
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let Some(call) = &mut connection.call else { return };
        let bytes = match &call.detour {
            Some(detour) => detour.bytes.as_slice(),
            None => prepared.item(call.scenario, call.item).bytes(call.last),
        };
        while call.written < bytes.len() && !call.deaf {
            match connection.stream.write(&bytes[call.written..]) {
                Ok(0) => return,
                Ok(n) => call.written += n,
                Err(_) => call.deaf = true,
            }
        }
        if let (Stream::Inner(stream), Some(server)) = (&mut connection.stream, &mut self.server) {
            let clock = prepared.clock;
            let Coming { answer, at, closes } = server.take(clock.now(), bytes);
            if closes {
                stream.close(answer, clock, at);
            } else if answer.is_empty() {
                return;
            } else {
                stream.answer(answer, clock, at);
            }
            self.waits.expect(self.connections.token(slot), at);
            return;
        }
        if connection.stream.flush().is_err() {
            call.deaf = true;
        }
        if call.deaf {
            // No edge may follow an error that was already reported.
            let token = self.connections.token(slot);
            self.again.push(token);
        }
    }

    /// An edge on a busy connection: go on writing, then read.
    fn advance(&mut self, slot: u32) {
        let prepared = self.prepared;
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let Some(call) = &connection.call else { return };
        let length = match &call.detour {
            Some(detour) => detour.bytes.len(),
            None => prepared.item(call.scenario, call.item).bytes(call.last).len(),
        };
        if call.written < length && !call.deaf {
            self.write(slot);
        } else {
            // If this fails the read below meets the same error, with more to say.
            let _ = connection.stream.flush();
        }
        let reading = self.read(slot);
        let now = self.stamp;
        match reading {
            Reading::Waits => {}
            Reading::Again => {
                let token = self.connections.token(slot);
                self.again.push(token);
            }
            Reading::Done { trailing } => self.answered(slot, trailing, now),
            Reading::Failed { outcome, error } => self.failed(slot, outcome, error, now),
            Reading::Nothing { error } => self.nothing(slot, error, now),
        }
    }

    fn read(&mut self, slot: u32) -> Reading {
        let Some(connection) = self.connections.at(slot) else {
            return Reading::Waits;
        };
        let Connection {
            stream,
            parser,
            call,
            hung_up,
            ..
        } = connection;
        let Some(call) = call else { return Reading::Waits };
        if call.answer.meter.is_some() {
            return self.read_stream(slot);
        }
        for _ in 0..READS_MAX {
            // Of a body that nobody looks at the kernel throws the rest away; the head of such an answer is read in
            // a small piece, so that most of the body is still there to be thrown away.
            let awaited = usize::try_from(parser.awaited()).unwrap_or(usize::MAX);
            let unwanted = !call.answer.wants_more();
            let discards = unwanted && awaited >= DISCARD_LEAST;
            let most = if discards {
                awaited.min(self.buffer.len())
            } else if unwanted && self.large_bodies && parser.head().is_none() {
                HEAD_READ
            } else {
                self.buffer.len()
            };
            let buffer = &mut self.buffer[..most];
            let (received, stamped) = if discards {
                (stream.discard(buffer), false)
            } else if let Some(arrivals) = self.rest.arrivals() {
                (stream.read_stamped(buffer, arrivals), true)
            } else {
                (stream.read(buffer), false)
            };
            match received {
                Ok(Received::Blocked) => return Reading::Waits,
                Ok(Received::Bytes(n)) => {
                    self.stamp = self.prepared.clock.now();
                    if stamped {
                        let earliest = call.first_byte.max(call.sent);
                        self.stamp = self.rest.arrived(earliest, self.stamp);
                    }
                    if call.first_byte == Nanos::ZERO {
                        call.first_byte = self.stamp;
                    }
                    let fed = if discards {
                        Ok(parser.skip(n as u64))
                    } else {
                        parser.feed(&buffer[..n], &mut self.cache, &mut call.answer)
                    };
                    match fed {
                        Ok(Fed::Done { used }) => {
                            self.large_bodies = parser.body_bytes() >= DISCARD_LEAST as u64;
                            if self.large_bodies {
                                self.rest.saw_large();
                            }
                            return Reading::Done {
                                trailing: !discards && used < n,
                            };
                        }
                        Ok(Fed::More) => {
                            if n < most && stream.short_read_drains() && !*hung_up {
                                return Reading::Waits;
                            }
                        }
                        Err(broken) => return failed(broken),
                    }
                }
                Ok(Received::Closed) => {
                    self.stamp = self.prepared.clock.now();
                    self.rest.awake(self.stamp);
                    return match parser.close() {
                        Ok(()) => Reading::Done { trailing: false },
                        Err(Broken::Nothing) => closed_early(),
                        Err(broken) => failed(broken),
                    };
                }
                Err(error) => {
                    self.stamp = self.prepared.clock.now();
                    self.rest.awake(self.stamp);
                    return lost(&error, call.first_byte != Nanos::ZERO);
                }
            }
        }
        Reading::Again
    }

    /// A complete response: follow it, or judge it.
    fn answered(&mut self, slot: u32, trailing: bool, now: Nanos) {
        let prepared = self.prepared;
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let (Some(call), Some(head)) = (connection.call.take(), connection.parser.head().copied()) else {
            return;
        };
        let body_bytes = connection.parser.body_bytes();
        connection.used = true;
        let unsent = call.deaf
            || call.written
                < call.detour.as_ref().map_or(
                    prepared.item(call.scenario, call.item).bytes(call.last).len(),
                    |d| d.bytes.len(),
                );
        let intact = !trailing && !unsent && !connection.hung_up;
        let reusable = intact && head.keep_alive && !call.last;
        // Whether either side has said that the connection ends here; a redirected request does not say so.
        let parting =
            !head.keep_alive || (call.last && (call.detour.is_none() || !prepared.limits.keep_alive));
        if reusable {
            connection.stage = Stage::Idle;
            let route = connection.route;
            self.idle_of(route).push(slot);
        } else if intact && parting {
            self.linger(slot, now);
        } else {
            self.connections.take(slot);
        }
        let mut ending = Ending {
            outcome: Outcome::Ok,
            status: head.status,
            body_bytes,
            error: String::new(),
            unconnected: false,
        };
        if trailing {
            ending.outcome = Outcome::TrailingBytes;
            "bytes followed the declared end of the answer".clone_into(&mut ending.error);
            return self.end(call, &ending, now);
        }
        self.conclude(call, &head, ending, now);
    }

    /// The answer broke off or broke the rules.
    fn failed(&mut self, slot: u32, outcome: Outcome, error: String, now: Nanos) {
        let Some(mut connection) = self.connections.take(slot) else {
            return;
        };
        let Some(call) = connection.call.take() else {
            return;
        };
        let ending = Ending {
            outcome,
            status: connection.parser.head().map_or(0, |h| h.status),
            body_bytes: connection.parser.body_bytes(),
            error,
            unconnected: false,
        };
        let head = connection.parser.head().copied();
        drop(connection);
        self.broke_off(call, head, ending, now);
    }

    /// The connection ended before the first byte. One that had served before may just have been closed for being
    /// idle: a request that may be repeated is sent again, once, on a new connection (RFC 9110, section 9.2.2, and note 004 on streams).
    fn nothing(&mut self, slot: u32, error: String, now: Nanos) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let stale = connection.used;
        let again = connection.call.as_ref().is_some_and(|call| {
            let repeatable = self.prepared.item(call.scenario, call.item).repeatable;
            stale && repeatable && call.resent == 0
        });
        if !again {
            return self.failed(slot, Outcome::Reset, error, now);
        }
        if let Some(mut call) = self.connections.take(slot).and_then(|mut c| c.call.take()) {
            call.resent += 1;
            call.flags.insert(SampleFlags::RESENT);
            call.answer.clear();
            self.dial(call.route, Some(call));
        }
    }

    /// Ends what is out of time.
    pub(super) fn expire(&mut self, now: Nanos) {
        self.expire_streams(now);
        let connect_timeout = Nanos(self.prepared.limits.connect_timeout_ms.saturating_mul(1_000_000));
        let late = |c: &Connection| {
            let connecting = matches!(c.stage, Stage::Connecting | Stage::Handshaking);
            c.streams.is_none()
                && ((connecting && now >= c.dialled + connect_timeout)
                    || c.call.as_ref().is_some_and(|call| now >= call.deadline))
        };
        let late: Vec<u32> = self
            .connections
            .slots()
            .filter(|(_, c)| late(c))
            .map(|(slot, _)| slot)
            .collect();
        for slot in late {
            let Some(connection) = self.connections.at(slot) else {
                continue;
            };
            let Some(call) = &connection.call else {
                self.connections.take(slot);
                self.opening -= 1;
                continue;
            };
            let length = match &call.detour {
                Some(detour) => detour.bytes.len(),
                None => self
                    .prepared
                    .item(call.scenario, call.item)
                    .bytes(call.last)
                    .len(),
            };
            let (outcome, error) = match connection.stage {
                Stage::Connecting => (Outcome::ConnectTimeout, "no connection in time"),
                Stage::Handshaking => (Outcome::ConnectTimeout, "the TLS handshake did not end in time"),
                _ if connection.parser.head().is_some() => {
                    (Outcome::BodyTimeout, "the body did not end in time")
                }
                _ if call.written < length => (
                    Outcome::WriteTimeout,
                    "the request could not be written in time: the peer does not read",
                ),
                _ => (Outcome::HeadersTimeout, "no complete response head in time"),
            };
            if outcome == Outcome::ConnectTimeout {
                self.connect_failures += 1;
            }
            self.failed(slot, outcome, error.to_owned(), now);
        }
    }

    /// Cuts off everything that is still under way.
    pub(super) fn cut_off(&mut self, now: Nanos) {
        self.cut_waiting(now);
        self.cut_off_streams(now);
        let busy: Vec<u32> = self
            .connections
            .slots()
            .filter(|(_, c)| c.call.is_some())
            .map(|(slot, _)| slot)
            .collect();
        for slot in busy {
            self.failed(
                slot,
                Outcome::Interrupted,
                "cut off by the end of the phase".to_owned(),
                now,
            );
        }
    }
}

/// The connection ended before the first byte.
pub(super) fn closed_early() -> Reading {
    Reading::Nothing {
        error: "the connection was closed before the first byte of the answer".to_owned(),
    }
}

/// The connection was lost, before or after the first byte.
pub(super) fn lost(error: &LinkError, begun: bool) -> Reading {
    match error {
        LinkError::Tls(error) => Reading::Failed {
            outcome: Outcome::Tls,
            error: error.clone(),
        },
        LinkError::Protocol(error) => Reading::Failed {
            outcome: Outcome::WrongProtocol,
            error: error.clone(),
        },
        LinkError::Io(errno) if begun => {
            let error = format!("the connection was lost in the middle of the answer: {errno}");
            Reading::Failed {
                outcome: Outcome::Reset,
                error,
            }
        }
        LinkError::Io(errno) => Reading::Nothing {
            error: format!("the connection was lost: {errno}"),
        },
    }
}

/// What came is no valid response.
pub(super) fn failed(broken: Broken) -> Reading {
    let (outcome, error) = match broken {
        Broken::Malformed(why) => (Outcome::Malformed, format!("not valid HTTP: {why}")),
        Broken::HeadTooLarge => (
            Outcome::HeadersTooLarge,
            "the response head is over the size limit".to_owned(),
        ),
        Broken::BodyTooLarge => (
            Outcome::BodyTooLarge,
            "the body is over the size limit".to_owned(),
        ),
        Broken::Truncated => (
            Outcome::Truncated,
            "the connection was closed before the end of the answer".to_owned(),
        ),
        Broken::Nothing => (
            Outcome::Reset,
            "the connection was closed before an answer".to_owned(),
        ),
    };
    Reading::Failed { outcome, error }
}

/// Microseconds, rounded up: what took time is never 0.
pub(super) fn micros(span: Nanos) -> u32 {
    u32::try_from(span.0.div_ceil(1000)).unwrap_or(u32::MAX)
}

fn connect_failure(error: &LinkError) -> (Outcome, String) {
    match error {
        LinkError::Tls(why) => (Outcome::Tls, why.clone()),
        LinkError::Protocol(why) => (Outcome::WrongProtocol, why.clone()),
        LinkError::Io(errno) => {
            let outcome = match *errno {
                Errno::CONNREFUSED => Outcome::Refused,
                Errno::CONNRESET | Errno::PIPE => Outcome::Reset,
                Errno::TIMEDOUT => Outcome::ConnectTimeout,
                errno if dial::is_local_exhaustion(errno) => Outcome::LocalExhausted,
                _ => Outcome::Unreachable,
            };
            (outcome, descriptors::explain(*errno))
        }
    }
}

#[cfg(test)]
mod tests {
    use prony_model::Outcome;
    use prony_wire::LinkError;
    use rustix::io::Errno;

    use super::connect_failure;

    #[test]
    fn what_runs_out_here_is_not_the_targets_failure() {
        for (errno, outcome) in [
            (Errno::ADDRNOTAVAIL, Outcome::LocalExhausted),
            (Errno::MFILE, Outcome::LocalExhausted),
            (Errno::NFILE, Outcome::LocalExhausted),
            (Errno::NOBUFS, Outcome::LocalExhausted),
            (Errno::CONNREFUSED, Outcome::Refused),
            (Errno::TIMEDOUT, Outcome::ConnectTimeout),
            (Errno::HOSTUNREACH, Outcome::Unreachable),
            (Errno::ACCESS, Outcome::Unreachable),
            (Errno::NOENT, Outcome::Unreachable),
        ] {
            let (found, words) = connect_failure(&LinkError::Io(errno));
            assert_eq!(found, outcome, "{errno}");
            assert_eq!(outcome.is_own(), says_what_to_do_here(&words), "{words}");
        }
    }

    /// Whether the words name something to do here.
    fn says_what_to_do_here(words: &str) -> bool {
        ["--bind", "ulimit", "fs.file-max", "fewer connections"]
            .iter()
            .any(|w| words.contains(w))
    }
}
