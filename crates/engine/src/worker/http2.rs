//! HTTP/2 in a worker: which connection a request goes to, how it leaves and comes back, and what every way it can go
//! wrong is called. The protocol itself is [`prony_wire::http2`].
//!
//! A request goes to a connection with a free stream, else it waits for one that is being opened, else a new one is
//! opened. In a closed loop there are no more connections than were asked for: where the target allows fewer streams
//! than that, requests wait for a free one. Whoever waits for the target is marked as such: it is not our lag.

mod multiplex;

use std::collections::VecDeque;

use prony_model::{HttpVersion, Nanos, Outcome, SampleFlags};
use prony_wire::http2::{Ended, Fault, Greeting, Sizes};
use prony_wire::{LinkError, Received};
use rustix::io::Errno;

use super::Worker;
use super::call::Call;
use super::capture::Ending;
use super::connection::{Connection, Stage};
use super::exchange::micros;

/// How often a request that no peer looked at is sent again.
const RESENT_MAX: u8 = 5;

pub(super) use multiplex::Multiplex;

/// Reads of one connection before others get their turn.
const READS_MAX: u32 = 16;

/// What a worker knows of its HTTP/2 connections as a whole.
#[derive(Debug)]
pub(super) struct Streams {
    /// Most connections that take requests at once.
    connections_max: u32,
    /// Connections that take requests, now or once they are open.
    connections: u32,
    /// Connections that may have room, the most recently used last.
    roomy: Vec<u32>,
    /// Connections on their way that may have room once they are open.
    opening: Vec<u32>,
    /// Calls that wait for any stream.
    queue: VecDeque<Box<Call>>,
    /// Connections that have something to write.
    departing: Vec<u32>,
    /// An open connection on which the peer allowed no stream when it was looked at last.
    barred: Option<u32>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            connections_max: u32::MAX,
            connections: 0,
            roomy: Vec::new(),
            opening: Vec::new(),
            queue: VecDeque::new(),
            departing: Vec::new(),
            barred: None,
        }
    }
}

impl Worker<'_> {
    /// Gives a call a stream, or a place where it waits for one. `None` when it must have a connection of its own.
    pub(super) fn place_on_stream(&mut self, mut call: Box<Call>) -> Option<Box<Call>> {
        while let Some(&slot) = self.streams.roomy.last() {
            match self.start_on(slot, call) {
                Ok(()) => return None,
                Err(back) => call = back,
            }
            self.streams.roomy.pop();
            if let Some(multiplex) = self.multiplex(slot) {
                multiplex.in_roomy = false;
            }
        }
        if self.prepared.route.http != HttpVersion::Http2 {
            return Some(call);
        }
        while let Some(&slot) = self.streams.opening.last() {
            let opening = self
                .connections
                .at(slot)
                .filter(|c| c.stage != Stage::Multiplexed);
            match opening.and_then(|c| c.streams.as_mut()) {
                Some(multiplex) if multiplex.may_reserve() => {
                    call.flags.insert(SampleFlags::WAITED);
                    multiplex.reserved.push_back(call);
                    return None;
                }
                _ => self.streams.opening.pop(),
            };
        }
        if self.may_dial() {
            return Some(call);
        }
        call.flags.insert(SampleFlags::WAITED);
        self.streams.queue.push_back(call);
        None
    }

    /// Whether another connection may be opened, and could be of use: not where the peer allows no stream on one that is open.
    fn may_dial(&mut self) -> bool {
        if self.streams.connections >= self.streams.connections_max {
            return false;
        }
        let Some(slot) = self.streams.barred else {
            return true;
        };
        let connection = self.connections.at(slot);
        let open = connection.filter(|c| c.stage == Stage::Multiplexed);
        if open.is_some_and(|c| c.streams.as_ref().is_some_and(|m| m.is_barred())) {
            return false;
        }
        self.streams.barred = None;
        true
    }

    /// What a new connection needs to speak HTTP/2 from its start; `None` where it does not.
    pub(super) fn multiplex_from_start(&mut self, slot: u32) -> Option<Box<Multiplex>> {
        if self.prepared.route.http != HttpVersion::Http2 {
            return None;
        }
        let multiplex = self.new_multiplex();
        self.streams.connections += 1;
        if multiplex.may_reserve() {
            self.streams.opening.push(slot);
        }
        Some(multiplex)
    }

    fn new_multiplex(&self) -> Box<Multiplex> {
        let limits = &self.prepared.limits;
        let sizes = Sizes {
            head_bytes_max: limits.head_bytes_max,
            body_bytes_max: limits.body_bytes_max,
        };
        Multiplex::new(sizes, self.prepared.route.streams, self.lifetime())
    }

    /// Most requests on one connection.
    fn lifetime(&self) -> u32 {
        self.prepared.limits.requests_on_one().unwrap_or(u32::MAX)
    }

    /// So many users share the connections of a closed loop.
    pub(super) fn share_connections(&mut self, users: u32) {
        let each = self.prepared.route.streams.min(self.lifetime());
        self.streams.connections_max = users.div_ceil(each).max(1);
    }

    /// How many connections are opened ahead of a burst.
    pub(super) fn connections_ahead(&self, requests: u32) -> u32 {
        requests.div_ceil(self.prepared.route.streams.min(self.lifetime()))
    }

    fn multiplex(&mut self, slot: u32) -> Option<&mut Multiplex> {
        self.connections.at(slot)?.streams.as_deref_mut()
    }

    /// A connection is made, and secured where it must be: whether it goes on in HTTP/2.
    pub(super) fn goes_on_in_http2(&mut self, slot: u32) -> bool {
        let Some(connection) = self.connections.at(slot) else {
            return false;
        };
        let http = self.prepared.route(connection.route).http;
        match (http, connection.stream.agreed_on_http2()) {
            (HttpVersion::Http1, _) | (HttpVersion::Auto, None | Some(false)) => return false,
            (HttpVersion::Http2, Some(false)) => {
                let why = self.other_protocol("did not agree to HTTP/2 in the TLS handshake");
                self.drop_unconnected(slot, &LinkError::Protocol(why));
                return true;
            }
            (HttpVersion::Http2, None | Some(true)) => {}
            (HttpVersion::Auto, Some(true)) => {
                let multiplex = self.new_multiplex();
                self.streams.connections += 1;
                if let Some(connection) = self.connections.at(slot) {
                    connection.streams = Some(multiplex);
                }
            }
        }
        let now = self.now();
        if let Some(connection) = self.connections.at(slot) {
            connection.stage = Stage::Greeting;
            if let Some(call) = &mut connection.call
                && connection.shaking != Nanos::ZERO
                && call.sent == Nanos::ZERO
            {
                call.tls_us = micros(now - connection.shaking);
            }
        }
        self.go_on(slot);
        true
    }

    /// An edge on an HTTP/2 connection: write, then read, and let every stream go on that something came for.
    pub(super) fn go_on(&mut self, slot: u32) {
        let mut unwritten = self.write_out(slot);
        for _ in 0..READS_MAX {
            let Some(connection) = self.connections.at(slot) else {
                return;
            };
            let Some(multiplex) = connection.streams.as_deref_mut() else {
                return;
            };
            if !multiplex.session.takes_input() {
                // The peer does not read what it must be told: an edge tells when it does, or that it never will. Nothing is
                // read meanwhile that would tell of its end.
                if unwritten.is_some() || connection.hung_up {
                    self.stamp = self.prepared.clock.now();
                    self.lose(slot, unwritten.as_ref());
                }
                return;
            }
            let received = match self.watch.arrivals() {
                Some(arrivals) => connection.stream.read_stamped(&mut self.buffer, arrivals),
                None => connection.stream.read(&mut self.buffer),
            };
            if received == Ok(Received::Blocked) {
                return;
            }
            self.stamp = self.prepared.clock.now();
            let n = match received {
                Ok(Received::Bytes(n)) => n,
                Ok(Received::Blocked | Received::Closed) => return self.lose(slot, None),
                Err(error) => return self.lose(slot, Some(&error)),
            };
            let drained =
                n < self.buffer.len() && connection.stream.short_read_drains() && !connection.hung_up;
            multiplex.heard = self.stamp;
            multiplex.session.receive(&mut self.buffer, n);
            if connection.stage == Stage::Greeting && !self.greeted(slot) {
                return;
            }
            let arrived = self.watch.arrived(self.stamp);
            self.harvest(slot, arrived, "its HTTP/2 session ended");
            unwritten = self.write_out(slot);
            if drained {
                return;
            }
        }
        let token = self.connections.token(slot);
        self.again.push(token);
    }

    /// Looks how the peer answered the greeting; whether it goes on.
    fn greeted(&mut self, slot: u32) -> bool {
        let greeting = self
            .multiplex(slot)
            .map_or(Greeting::Other, |m| m.session.greeting());
        let why = match greeting {
            Greeting::Awaited => return true,
            Greeting::Answered => {
                self.opened(slot);
                return true;
            }
            Greeting::Tls if self.prepared.route.origin.is_grpc() => {
                "the port speaks TLS: use grpcs://".to_owned()
            }
            Greeting::Tls => "the port speaks TLS: use https://".to_owned(),
            Greeting::Other => self.other_protocol("did not answer in HTTP/2"),
        };
        self.drop_unconnected(slot, &LinkError::Protocol(why));
        false
    }

    /// Why a connection is of no use, and what to do.
    fn other_protocol(&self, what: &str) -> String {
        let next = if self.prepared.route.origin.is_grpc() {
            "the port for gRPC is another than that for HTTP, and one with TLS takes grpcs://"
        } else {
            "drop --http2"
        };
        format!("the server {what}: {next}")
    }

    /// The peer answered the greeting: its requests may go.
    fn opened(&mut self, slot: u32) {
        let now = self.stamp;
        self.reached = true;
        self.report.connections += 1;
        let each = self.prepared.route.streams;
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        connection.stage = Stage::Multiplexed;
        let dialled = connection.dialled;
        let opener = connection.call.take();
        let reserved = match connection.streams.as_deref_mut() {
            Some(multiplex) => {
                let allowed = multiplex.session.streams_max();
                if allowed < each {
                    let least = self
                        .report
                        .streams_allowed
                        .map_or(allowed, |known| known.min(allowed));
                    self.report.streams_allowed = Some(least);
                }
                if multiplex.is_barred() {
                    self.streams.barred = Some(slot);
                }
                multiplex.in_roomy = true;
                std::mem::take(&mut multiplex.reserved)
            }
            None => return,
        };
        self.streams.roomy.push(slot);
        match opener {
            Some(mut call) => {
                if call.sent == Nanos::ZERO {
                    call.connect_us = micros(now - dialled);
                }
                call.flags.insert(SampleFlags::NEW_CONNECTION);
                if let Err(call) = self.start_on(slot, call) {
                    self.opened_in_vain(call);
                }
            }
            None => self.opening -= 1,
        }
        for call in reserved {
            self.place(call);
        }
    }

    /// The connection that was opened for a call does not take it. It may not open one after another without end.
    fn opened_in_vain(&mut self, mut call: Box<Call>) {
        if call.resent < RESENT_MAX {
            call.resent += 1;
            return self.place(call);
        }
        let why = "the peer took no request on one connection after another: it allowed no stream, or said goodbye (GOAWAY) at once";
        let ending = Ending {
            unconnected: true,
            ..failure(Outcome::Reset, why.to_owned())
        };
        let now = self.now();
        self.end(call, &ending, now);
    }

    /// Starts a call on a connection; gives it back when there is no room.
    fn start_on(&mut self, slot: u32, mut call: Box<Call>) -> Result<(), Box<Call>> {
        let prepared = self.prepared;
        let Some(connection) = self.connections.at(slot) else {
            return Err(call);
        };
        let (Stage::Multiplexed, Some(multiplex)) = (connection.stage, connection.streams.as_deref_mut())
        else {
            return Err(call);
        };
        if !multiplex.has_room() {
            return Err(call);
        }
        let request = match &call.detour {
            Some(detour) => detour.http2.as_ref(),
            None => prepared.item(call.scenario, call.item).http2.as_ref(),
        };
        let Some(request) = request else {
            let why = "a value that was filled in makes a request that HTTP/2 cannot carry".to_owned();
            let now = self.now();
            self.end(call, &failure(Outcome::Interrupted, why), now);
            return Ok(());
        };
        let Some(key) = multiplex.open(request) else {
            return Err(call);
        };
        // The first request on a connection that was opened ahead.
        if call.connect_us == 0 && multiplex.is_first() {
            call.flags.insert(SampleFlags::NEW_CONNECTION);
        }
        multiplex.hold(key, call);
        if !std::mem::replace(&mut multiplex.in_departing, true) {
            self.streams.departing.push(slot);
        }
        if multiplex.is_leaving() && std::mem::take(&mut multiplex.counted) {
            self.streams.connections -= 1;
        }
        Ok(())
    }

    /// Lets everything leave that was started since the last time, and finds streams for those that wait.
    pub(super) fn depart(&mut self) {
        while !self.streams.queue.is_empty()
            && self.may_dial()
            && let Some(call) = self.streams.queue.pop_front()
        {
            self.place(call);
        }
        while let Some(slot) = self.streams.departing.pop() {
            if let Some(multiplex) = self.multiplex(slot) {
                multiplex.in_departing = false;
                self.write_out(slot);
            }
        }
    }

    /// Stamps the requests that leave, and writes what fits. An error shows at the next read, with more to say: it is returned for
    /// where there is none.
    fn write_out(&mut self, slot: u32) -> Option<LinkError> {
        let now = self.prepared.clock.now();
        let connection = self.connections.at(slot)?;
        let multiplex = connection.streams.as_deref_mut()?;
        while let Some(key) = multiplex.departing.pop() {
            if let Some(call) = multiplex.call(key)
                && call.sent == Nanos::ZERO
            {
                call.sent = now;
                self.flight.up(now);
            }
        }
        let mut failed = None;
        loop {
            let wrote = {
                let output = multiplex.session.output();
                if output.as_ref().is_empty() {
                    break;
                }
                connection.stream.write(output.as_ref())
            };
            match wrote {
                Ok(0) => break,
                Ok(n) => multiplex.session.sent(n),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let flushed = connection.stream.flush();
        failed = failed.or(flushed.err());
        if failed.is_some() {
            // No edge may follow an error that was already reported.
            let token = self.connections.token(slot);
            self.again.push(token);
        }
        failed
    }

    /// Lets every woken stream go on, by what `arrived` then. `lost` says why the connection ended, if it did.
    fn harvest(&mut self, slot: u32, arrived: Option<Nanos>, lost: &str) {
        let now = self.stamp;
        loop {
            let multiplex = self.connections.at(slot).and_then(|c| c.streams.as_deref_mut());
            let Some((call, ended)) = multiplex.and_then(|m| m.next_ended(now, arrived, &mut self.watch))
            else {
                break;
            };
            self.stream_ended(slot, call, ended, lost, now);
        }
        self.tidy(slot);
    }

    /// What a connection with changed streams needs: a place in the list of those with room, calls that wait, or its
    /// end.
    fn tidy(&mut self, slot: u32) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let (Stage::Multiplexed, Some(multiplex)) = (connection.stage, connection.streams.as_deref_mut())
        else {
            return;
        };
        if multiplex.is_leaving() {
            if std::mem::take(&mut multiplex.counted) {
                self.streams.connections -= 1;
            }
            if multiplex.session.active() == 0 {
                self.write_out(slot);
                self.connections.take(slot);
            }
        } else if multiplex.has_room() {
            if !std::mem::replace(&mut multiplex.in_roomy, true) {
                self.streams.roomy.push(slot);
            }
            while self.multiplex(slot).is_some_and(|m| m.has_room())
                && let Some(call) = self.streams.queue.pop_front()
            {
                self.place(call);
            }
        }
    }

    /// A stream ended: its answer is judged, or its end named.
    fn stream_ended(&mut self, slot: u32, mut call: Box<Call>, ended: Ended, lost: &str, now: Nanos) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let stale = connection.used
            && !ended.begun
            && connection.streams.as_ref().is_some_and(|m| m.heard < call.sent);
        let Some(fault) = ended.fault else {
            connection.used = true;
            let Some(head) = ended.head else { return };
            let ending = Ending {
                outcome: Outcome::Ok,
                status: head.status,
                body_bytes: ended.body_bytes,
                error: String::new(),
                unconnected: false,
            };
            return self.conclude(call, &head, ending, now);
        };
        // What the peer says it did not look at may be sent again whatever it is (RFC 9113, section 8.7); what was lost
        // with a connection that may just have been closed for being idle, where that does no harm.
        let repeatable = self.prepared.item(call.scenario, call.item).repeatable;
        // A busy peer may say goodbye to one connection after another, so the first is worth several attempts.
        let may_go_again = match fault {
            Fault::Unprocessed => call.resent < RESENT_MAX,
            Fault::Lost => stale && repeatable && call.resent == 0,
            _ => false,
        };
        if may_go_again {
            call.resent += 1;
            call.flags.insert(SampleFlags::RESENT);
            call.answer.clear();
            return self.place(call);
        }
        let (outcome, error) = match fault {
            Fault::Reset(why) => (Outcome::Reset, why),
            Fault::Unprocessed => (
                Outcome::Reset,
                "the peer said goodbye (GOAWAY) on one connection after another before it looked at the request"
                    .to_owned(),
            ),
            Fault::Malformed(why) => (Outcome::Malformed, why),
            Fault::HeadTooLarge => (
                Outcome::HeadersTooLarge,
                "the response head is over the size limit".to_owned(),
            ),
            Fault::BodyTooLarge => (
                Outcome::BodyTooLarge,
                "the body is over the size limit".to_owned(),
            ),
            Fault::Lost if ended.begun => (
                Outcome::Reset,
                format!("the connection was lost in the middle of the answer: {lost}"),
            ),
            Fault::Lost => (Outcome::Reset, format!("the connection was lost: {lost}")),
        };
        let ending = Ending {
            status: ended.head.map_or(0, |head| head.status),
            body_bytes: ended.body_bytes,
            ..failure(outcome, error)
        };
        self.broke_off(call, ended.head, ending, now);
    }

    /// The connection ended: with an error, or closed by the peer.
    fn lose(&mut self, slot: u32, error: Option<&LinkError>) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        if connection.stage == Stage::Greeting {
            let why = self.other_protocol("closed the connection instead of answering in HTTP/2");
            let closed = LinkError::Protocol(why);
            // A server that closes before it has read all of the greeting resets the connection.
            let error = match error {
                None | Some(LinkError::Io(Errno::CONNRESET | Errno::PIPE)) => &closed,
                Some(error) => error,
            };
            return self.drop_unconnected(slot, error);
        }
        let lost = match error {
            None => "the peer closed it".to_owned(),
            Some(LinkError::Io(errno)) => errno.to_string(),
            Some(LinkError::Tls(why) | LinkError::Protocol(why)) => why.clone(),
        };
        if let Some(multiplex) = self.multiplex(slot) {
            multiplex.session.close();
        }
        self.harvest(slot, None, &lost);
        // Whatever it still holds has nowhere to go.
        self.abandon(slot, &failure(Outcome::Reset, lost), self.stamp);
    }

    /// Takes a connection away; every call on it, or waiting for it, ends so.
    pub(super) fn abandon(&mut self, slot: u32, ending: &Ending, now: Nanos) {
        let Some(mut connection) = self.connections.take(slot) else {
            return;
        };
        for call in self.dissolve(&mut connection) {
            self.end(call, ending, now);
        }
    }

    /// Every call on a connection that was taken away, or waiting for it, the one that it was opened for first.
    pub(super) fn dissolve(&mut self, connection: &mut Connection) -> VecDeque<Box<Call>> {
        let mut calls: VecDeque<Box<Call>> = connection.call.take().into_iter().collect();
        if let Some(mut multiplex) = connection.streams.take() {
            if multiplex.counted {
                self.streams.connections -= 1;
            }
            for key in multiplex.keys(|_| true) {
                calls.extend(multiplex.give_up(key).map(|(call, ..)| call));
            }
            calls.extend(multiplex.reserved);
        }
        calls
    }

    /// The slots of the connections that carry several requests at once.
    fn multiplexed(&self) -> Vec<u32> {
        let slots = self.connections.slots();
        slots
            .filter(|(_, c)| c.streams.is_some())
            .map(|(slot, _)| slot)
            .collect()
    }

    /// Ends the requests that are out of time; the connections go on.
    pub(super) fn expire_streams(&mut self, now: Nanos) {
        for slot in self.multiplexed() {
            self.expire_opening(slot, now);
            let Some(multiplex) = self.multiplex(slot) else {
                continue;
            };
            let late = multiplex.keys(|call| now >= call.deadline);
            if late.is_empty() {
                continue;
            }
            for key in late {
                let Some((call, ended, written)) = self.multiplex(slot).and_then(|m| m.give_up(key)) else {
                    continue;
                };
                let (outcome, error) = if ended.head.is_some() {
                    (Outcome::BodyTimeout, "the body did not end in time")
                } else if written {
                    (Outcome::HeadersTimeout, "no complete response head in time")
                } else {
                    (
                        Outcome::WriteTimeout,
                        "the request could not be written in time: the peer does not read",
                    )
                };
                let ending = Ending {
                    status: ended.head.map_or(0, |head| head.status),
                    body_bytes: ended.body_bytes,
                    ..failure(outcome, error.to_owned())
                };
                self.broke_off(call, ended.head, ending, now);
            }
            self.tidy(slot);
            self.write_out(slot);
        }
        // Those that came first are due first, but for the few that were sent on by a redirect.
        for _ in 0..self.streams.queue.len() {
            match self.streams.queue.pop_front() {
                Some(call) if now >= call.deadline => {
                    let why = "the request could not be sent in time: the peer allows no more streams";
                    self.end(call, &failure(Outcome::WriteTimeout, why.to_owned()), now);
                }
                Some(call) => self.streams.queue.push_back(call),
                None => return,
            }
        }
    }

    /// Ends what waits in vain for a connection that is being opened: all of it when the time to connect is over, else
    /// only the requests that are out of time themselves.
    fn expire_opening(&mut self, slot: u32, now: Nanos) {
        let timeout = Nanos(self.prepared.limits.connect_timeout_ms.saturating_mul(1_000_000));
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        let missing = match connection.stage {
            Stage::Connecting => "no connection in time",
            Stage::Handshaking => "the TLS handshake did not end in time",
            Stage::Greeting => "the HTTP/2 greeting was not answered in time",
            Stage::Idle | Stage::Busy | Stage::Multiplexed | Stage::Lingering => return,
        };
        let ending = failure(Outcome::ConnectTimeout, missing.to_owned());
        let ahead = connection.call.is_none();
        if now >= connection.dialled + timeout {
            let Some(mut connection) = self.connections.take(slot) else {
                return;
            };
            self.opening -= u32::from(ahead);
            for call in self.dissolve(&mut connection) {
                self.connect_failures += 1;
                self.end(call, &ending, now);
            }
            return;
        }
        let Some(multiplex) = connection.streams.as_deref_mut() else {
            return;
        };
        let mut late: Vec<Box<Call>> = Vec::new();
        let mut waiting: VecDeque<Box<Call>> = connection.call.take().into_iter().collect();
        waiting.append(&mut multiplex.reserved);
        for call in waiting {
            if now >= call.deadline {
                late.push(call);
            } else if connection.call.is_none() && !ahead {
                connection.call = Some(call);
            } else {
                multiplex.reserved.push_back(call);
            }
        }
        if connection.call.is_none() && !ahead {
            // Nobody is left who wants it.
            if multiplex.counted {
                self.streams.connections -= 1;
            }
            self.connections.take(slot);
        }
        for call in late {
            self.connect_failures += 1;
            self.end(call, &ending, now);
        }
    }

    /// Cuts off every request on a stream, or waiting for one.
    pub(super) fn cut_off_streams(&mut self, now: Nanos) {
        let cut = failure(Outcome::Interrupted, "cut off by the end of the phase".to_owned());
        for call in std::mem::take(&mut self.streams.queue) {
            self.end(call, &cut, now);
        }
        for slot in self.multiplexed() {
            self.abandon(slot, &cut, now);
        }
    }
}

fn failure(outcome: Outcome, error: String) -> Ending {
    Ending {
        outcome,
        status: 0,
        body_bytes: 0,
        error,
        unconnected: false,
    }
}
