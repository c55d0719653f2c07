//! One request under way: its stamps, what is kept of its answer, how often it was sent. Does no I/O.

use std::fmt;
use std::hash::Hasher;

use prony_model::{Nanos, SampleFlags, StreamExpect};
use prony_wire::http1::{Events, Head, header_lines};
use prony_wire::http2;
use twox_hash::XxHash3_64;

use super::flow::Journey;
use super::meter::{LINGER, Meter};
use crate::choice::Pick;

/// What a leg asks to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) seq: u64,
    pub(super) intended: Nanos,
    pub(super) step: u16,
    /// Which user waits for it; 0 where nobody does.
    pub(super) user: u32,
}

/// A request that replaces the item's own after a redirect.
#[derive(Clone, Debug)]
pub(super) struct Detour {
    pub(super) bytes: Vec<u8>,
    /// The same as HTTP/2 sends it, where it may.
    pub(super) http2: Option<http2::Request>,
    pub(super) target: String,
    pub(super) no_body: bool,
    pub(super) hops: u32,
    /// The request without the cookies that its arrival added, where it did.
    pub(super) plain: Option<Vec<u8>>,
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) order: Order,
    pub(super) scenario: u16,
    pub(super) item: u32,
    /// The way that its request takes: see [`crate::prepared::Prepared::route()`].
    pub(super) route: u16,
    /// Number among the arrivals of its scenario.
    pub(super) turn: u64,
    /// The arrival it is part of, where that may take several requests.
    pub(super) journey: Option<Box<Journey>>,
    pub(super) flags: SampleFlags,
    pub(super) connect_us: u32,
    pub(super) tls_us: u32,
    pub(super) attempt: u8,
    /// Zero until its first byte was handed to the socket.
    pub(super) sent: Nanos,
    pub(super) first_byte: Nanos,
    pub(super) deadline: Nanos,
    /// How often it was sent again on another connection.
    pub(super) resent: u8,
    /// Bytes of the request handed to the socket.
    pub(super) written: usize,
    /// Whether it is the last on its connection, and says so.
    pub(super) last: bool,
    /// Whether the peer stopped reading: an answer may still come, but nothing more is written.
    pub(super) deaf: bool,
    pub(super) detour: Option<Box<Detour>>,
    pub(super) answer: Answer,
}

/// What is kept of an answer.
#[derive(Default)]
pub(super) struct Answer {
    want_head: bool,
    pub(super) head: Vec<u8>,
    /// Whether trailers came; their lines are the last of the head.
    has_trailers: bool,
    body_keep: usize,
    pub(super) body: Vec<u8>,
    want_digest: bool,
    hasher: Option<Box<XxHash3_64>>,
    /// Reads it as a stream of tokens.
    pub(super) meter: Option<Box<Meter>>,
    /// A meter that is not in use.
    spare_meter: Option<Box<Meter>>,
}

/// Largest head or body buffer that is kept for the next call.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// So many ended calls keep such buffers. The others keep little, so that thousands of idle connections cost little.
const SPARE_WHOLE_MAX: usize = 64;

/// Largest buffers that those others keep.
const SPARE_SLIM_BYTES_MAX: usize = 1 << 10;

impl Call {
    /// A call for an order, in the memory of an ended one where there is one.
    pub(super) fn start(spare: Option<Box<Self>>, order: Order, pick: Pick, deadline: Nanos) -> Box<Self> {
        match spare {
            None => Box::new(Self::fresh(order, pick, deadline, Answer::default())),
            Some(mut call) => {
                let mut answer = std::mem::take(&mut call.answer);
                answer.recycle();
                *call = Self::fresh(order, pick, deadline, answer);
                call
            }
        }
    }

    fn fresh(order: Order, pick: Pick, deadline: Nanos, answer: Answer) -> Self {
        Self {
            order,
            scenario: pick.scenario,
            item: pick.item,
            route: 0,
            turn: pick.turn,
            journey: None,
            flags: SampleFlags::default(),
            connect_us: 0,
            tls_us: 0,
            attempt: 0,
            sent: Nanos::ZERO,
            first_byte: Nanos::ZERO,
            deadline,
            resent: 0,
            written: 0,
            last: false,
            deaf: false,
            detour: None,
            answer,
        }
    }
}

impl Call {
    /// A read of its answer returned; what it brought `arrived` then, by the kernel. Only streams are told of that.
    pub(super) fn read_at(&mut self, read: Nanos, arrived: Option<Nanos>) {
        let at = match &mut self.answer.meter {
            Some(meter) => meter.read_at(self.sent, read, arrived),
            None => read,
        };
        if self.first_byte == Nanos::ZERO {
            self.first_byte = at;
        }
    }

    /// The last read brought the end of its answer.
    pub(super) fn is_complete(&mut self) {
        if let Some(meter) = &mut self.answer.meter {
            meter.is_complete();
        }
    }

    /// More of the answer came. One whose stream is over may take only a little longer to end.
    pub(super) fn goes_on(&mut self, at: Nanos) {
        if self.answer.is_over() {
            self.deadline = self.deadline.min(at + LINGER);
        }
    }

    /// Gives large buffers back before an ended call rests beside `others`.
    pub(super) fn rest(&mut self, others: usize) {
        if others >= SPARE_WHOLE_MAX {
            self.answer.slim();
        }
    }
}

impl Answer {
    fn slim(&mut self) {
        for buffer in [&mut self.head, &mut self.body] {
            if buffer.capacity() > SPARE_SLIM_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        if let Some(meter) = &mut self.spare_meter {
            meter.slim();
        }
    }

    /// Has it read as a stream of tokens.
    pub(super) fn measure(&mut self, expect: StreamExpect) {
        self.want_head = true;
        self.meter = Some(Meter::start(self.spare_meter.take(), expect));
    }

    /// Whether the terminal marker of a stream came.
    pub(super) fn is_over(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.is_over())
    }

    /// Nothing was heard after the terminal marker of its stream.
    pub(super) fn ended_with_its_marker(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.ended_with_its_marker();
        }
    }

    /// Says what shall be kept of the answer.
    pub(super) fn keep(&mut self, head: bool, body_bytes: usize, digest: bool) {
        self.want_head = head;
        self.body_keep = body_bytes;
        self.want_digest = digest;
        if digest && self.hasher.is_none() {
            self.hasher = Some(Box::new(XxHash3_64::new()));
        }
    }

    /// Whether anyone looks at the bytes of the body that are still to come, where it is no stream.
    pub(super) fn wants_more(&self) -> bool {
        self.want_digest || self.body.len() < self.body_keep
    }

    fn recycle(&mut self) {
        if let Some(meter) = self.meter.take() {
            self.spare_meter = Some(meter);
        }
        self.clear();
        for buffer in [&mut self.head, &mut self.body] {
            if buffer.capacity() > SPARE_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }

    /// Forgets an answer, to receive another.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.has_trailers = false;
        self.body.clear();
        if let Some(meter) = &mut self.meter {
            meter.clear();
        }
        if self.want_digest
            && let Some(hasher) = &mut self.hasher
        {
            **hasher = XxHash3_64::new();
        }
    }

    /// Whether there were trailers.
    pub(super) fn has_trailers(&self) -> bool {
        self.has_trailers
    }

    /// XXH3-64 of the body; 0 when it was not asked for.
    pub(super) fn digest(&self) -> u64 {
        if self.want_digest {
            self.hasher.as_ref().map_or(0, Hasher::finish)
        } else {
            0
        }
    }

    /// The header lines of the kept head, and of the trailers.
    pub(super) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        header_lines(&self.head)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, body) = (self.head.len(), self.body.len());
        f.debug_struct("Answer")
            .field("head_bytes", &head)
            .field("body_bytes", &body)
            .finish_non_exhaustive()
    }
}

impl Events for Answer {
    fn wants_head(&self) -> bool {
        self.want_head
    }

    fn head(&mut self, head: &Head, raw: &[u8]) {
        if let Some(meter) = &mut self.meter {
            meter.head(head, raw);
        }
        if self.want_head {
            self.head.extend_from_slice(raw);
        }
    }

    fn trailers(&mut self, lines: &[u8]) {
        self.has_trailers = true;
        // They go before the empty line at the end, so that who reads the head finds them.
        if let Some(end) = self.head.len().checked_sub(2) {
            self.head.truncate(end);
            self.head.extend_from_slice(lines);
            self.head.extend_from_slice(b"\r\n");
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if let Some(meter) = &mut self.meter {
            meter.body(bytes);
        }
        if self.want_digest
            && let Some(hasher) = &mut self.hasher
        {
            hasher.write(bytes);
        }
        let room = self.body_keep.saturating_sub(self.body.len());
        if room > 0 {
            self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use prony_model::Nanos;

    use super::{Call, Events, Order, Pick, SPARE_SLIM_BYTES_MAX, SPARE_WHOLE_MAX};

    #[test]
    fn only_some_ended_calls_keep_their_buffers() {
        let order = Order {
            seq: 0,
            intended: Nanos::ZERO,
            step: 0,
            user: 0,
        };
        let pick = Pick {
            scenario: 0,
            item: 0,
            turn: 0,
        };
        let mut call = Call::start(None, order, pick, Nanos::ZERO);
        call.answer.keep(false, 1 << 20, false);
        call.answer.body(&vec![b'x'; 100_000]);
        call.rest(SPARE_WHOLE_MAX - 1);
        assert!(call.answer.body.capacity() >= 100_000);
        call.rest(SPARE_WHOLE_MAX);
        assert!(call.answer.body.capacity() <= SPARE_SLIM_BYTES_MAX);
    }
}
