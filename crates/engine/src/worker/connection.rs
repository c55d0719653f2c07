//! The connections of one worker: a slab with generations, so that a late event never meets a new connection.

use prony_model::Nanos;
use prony_wire::Stream;
use prony_wire::http1::ResponseParser;

use super::call::Call;
use super::http2::Multiplex;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP on its way.
    Connecting,
    /// TLS on its way.
    Handshaking,
    /// Ready for a request.
    Idle,
    /// A request is under way.
    Busy,
    /// Done with: the peer is to close it.
    Lingering,
    /// HTTP/2: connected, the peer's settings on their way.
    Greeting,
    /// HTTP/2: ready, whether requests are under way or not.
    Multiplexed,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) stage: Stage,
    /// The way it takes: see [`crate::prepared::Prepared::route()`].
    pub(super) route: u16,
    pub(super) parser: ResponseParser,
    /// When it was asked for.
    pub(super) dialled: Nanos,
    /// When the handshake began; zero without one.
    pub(super) shaking: Nanos,
    /// Requests that were begun on it.
    pub(super) requests: u32,
    /// Whether the peer closed its side; what it sent before may still be unread.
    pub(super) hung_up: bool,
    /// Whether an answer came over it before.
    pub(super) used: bool,
    /// In HTTP/2 only while it is being opened: the call that it is opened for.
    pub(super) call: Option<Box<Call>>,
    /// Its streams, in HTTP/2.
    pub(super) streams: Option<Box<Multiplex>>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// The slab.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    dials: usize,
}

/// A slot and its generation, as an event token.
pub(super) fn token(slot: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(slot)
}

impl Connections {
    /// The slot that the next [`Connections::put`] fills, and its token.
    pub(super) fn next_slot(&mut self) -> (u32, u64) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        (slot, token(slot, self.slots[slot as usize].generation))
    }

    /// How many connections were begun before; counts this one.
    pub(super) fn dials(&mut self) -> usize {
        let before = self.dials;
        self.dials = before.wrapping_add(1);
        before
    }

    /// Gives a slot back that was not filled.
    pub(super) fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(super) fn put(&mut self, slot: u32, connection: Connection) {
        self.slots[slot as usize].connection = Some(connection);
    }

    /// The slot of a token, unless its connection is gone.
    pub(super) fn live(&self, token: u64) -> Option<u32> {
        let slot = token as u32;
        let entry = self.slots.get(slot as usize)?;
        (entry.generation == (token >> 32) as u32 && entry.connection.is_some()).then_some(slot)
    }

    /// The token of a slot.
    pub(super) fn token(&self, slot: u32) -> u64 {
        token(slot, self.slots[slot as usize].generation)
    }

    pub(super) fn at(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.connection.as_mut()
    }

    /// Takes a connection out; dropping it closes it.
    pub(super) fn take(&mut self, slot: u32) -> Option<Connection> {
        let entry = self.slots.get_mut(slot as usize)?;
        let connection = entry.connection.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(connection)
    }

    /// Every filled slot.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Connection)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.connection.as_ref().map(|c| (i as u32, c)))
    }
}
