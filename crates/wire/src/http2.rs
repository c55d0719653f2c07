//! HTTP/2 as a client speaks it: many requests at once on one connection, on the `h2` crate. Bytes in, bytes out: no
//! sockets, no clock, no runtime. `h2` needs only tokio's reading and writing traits, which `pipe` gives it in memory.

mod pipe;
mod request;
mod stream;
mod waking;

pub use request::Request;
pub use stream::{Ended, Fault, Progress};

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use h2::client::{Builder, Connection, SendRequest};

use crate::http1::Events;
use pipe::{Outgoing, Pipe};
use stream::Stream;
use waking::Bells;

/// What the peer may send on one stream before we say that more may come: the whole of all but the largest bodies.
/// Every read is consumed before the next, so what is held does not grow with the window.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// The same for all streams of a connection together: flow control is not to hold a stream up because of another.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// `h2` breaks off heads over its own limit without saying so. Its limit is four times ours and at least this, so that
/// ours is the one that is met and named.
const HEAD_BYTES_MAX_LEAST: u64 = 256 << 10;

/// Streams that were cancelled and whose late frames are still expected.
const CANCELLED_MAX: usize = 1024;

/// Bytes of a frame's head (RFC 9113, section 4.1).
const FRAME_HEAD_BYTES: usize = 9;

/// The frame type that a peer must send first.
const SETTINGS: u8 = 4;

/// Sizes that a response may have.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Header list, counted as in RFC 9113, section 6.5.2: name, value and 32 bytes for each line. Interim heads
    /// count too.
    pub head_bytes_max: u64,
    /// Body.
    pub body_bytes_max: u64,
}

/// How the peer answered the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Not yet.
    Awaited,
    /// With its settings: it speaks HTTP/2, and how many streams it allows is known.
    Answered,
    /// With the start of a TLS record.
    Tls,
    /// With something else.
    Other,
}

/// A request that could not be started on this connection. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// All streams that the peer allows are taken.
    Full,
    /// The connection takes no further requests.
    Leaving,
}

/// One HTTP/2 connection.
///
/// Give it what comes from the peer with [`Session::receive`], send the peer what [`Session::output`] holds, and let
/// every stream go on that [`Session::next_woken`] names.
pub struct Session {
    pipe: Pipe,
    connection: Connection<Pipe, Outgoing>,
    requests: SendRequest<Outgoing>,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    bells: Bells,
    greeting: Greeting,
    /// The first bytes of the peer, and how many are still missing of its settings.
    greeted: Vec<u8>,
    settings_left: usize,
    leaving: bool,
    over: bool,
    sizes: Sizes,
}

impl Session {
    /// A session with the client's greeting in its output.
    pub fn new(sizes: Sizes) -> Self {
        let pipe = Pipe::default();
        let head_bytes = sizes.head_bytes_max.saturating_mul(4).max(HEAD_BYTES_MAX_LEAST);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_reset_streams(CANCELLED_MAX)
            // What these would protect is bounded by the size of a read; a target that misbehaves is data here, and
            // no reason to drop the connection.
            .max_local_error_reset_streams(None)
            .data_frame_budget(usize::MAX);
        let handshake = pin!(builder.handshake(pipe.clone()));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok((requests, connection))) = handshake.poll(&mut context) else {
            unreachable!("an empty pipe takes the greeting at once");
        };
        let mut session = Self {
            pipe,
            connection,
            requests,
            streams: Vec::new(),
            free: Vec::new(),
            bells: Bells::default(),
            greeting: Greeting::Awaited,
            greeted: Vec::new(),
            settings_left: 0,
            leaving: false,
            over: false,
            sizes,
        };
        session.drive();
        session
    }

    /// How the peer answered the greeting.
    pub fn greeting(&self) -> Greeting {
        self.greeting
    }

    /// Whether it takes more input. It does not while the peer leaves what it must be told unread: send the output.
    pub fn takes_input(&self) -> bool {
        self.pipe.is_drained()
    }

    /// Takes the first `n` bytes of `buffer` as they came from the peer. The buffer is lent for the time of the call.
    pub fn receive(&mut self, buffer: &mut Box<[u8]>, n: usize) {
        if self.greeting == Greeting::Awaited {
            self.greet(&buffer[..n]);
        }
        if matches!(self.greeting, Greeting::Awaited | Greeting::Answered) {
            self.pipe.lend(buffer, n);
            self.drive();
            self.pipe.give_back(buffer);
        }
    }

    /// The peer closed its side, or the connection was lost: what is unfinished ends.
    pub fn close(&mut self) {
        self.pipe.close();
        self.leaving = true;
        self.drive();
    }

    /// Starts a request; returns the key of its stream. It leaves with the next [`Session::output`].
    pub fn open(&mut self, request: &Request) -> Result<u32, Refused> {
        if self.leaving || self.over {
            return Err(Refused::Leaving);
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut ready = self.requests.poll_ready(&mut context);
        if ready.is_pending() {
            // A stream that was started just now may only have to be written.
            self.drive();
            ready = self.requests.poll_ready(&mut context);
        }
        match ready {
            Poll::Pending => return Err(Refused::Full),
            Poll::Ready(Err(_)) => {
                self.leaving = true;
                return Err(Refused::Leaving);
            }
            Poll::Ready(Ok(())) => {}
        }
        let Ok(stream) = Stream::start(&mut self.requests, request) else {
            self.leaving = true;
            return Err(Refused::Leaving);
        };
        let key = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            (self.streams.len() - 1) as u32
        });
        self.streams[key as usize] = Some(stream);
        // Nothing has come for it yet: this only says who is to be woken.
        self.bells.ring(key);
        Ok(key)
    }

    /// Streams under way.
    pub fn active(&self) -> u32 {
        (self.streams.len() - self.free.len()) as u32
    }

    /// How many streams the peer allows at once; meaningful once its greeting is there.
    pub fn streams_max(&self) -> u32 {
        u32::try_from(self.requests.current_max_send_streams()).unwrap_or(u32::MAX)
    }

    /// Whether it takes no further requests: the peer said goodbye, or the connection is over.
    pub fn is_leaving(&self) -> bool {
        self.leaving || self.over
    }

    /// The next stream for which something came.
    pub fn next_woken(&mut self) -> Option<u32> {
        loop {
            let key = self.bells.next()?;
            if matches!(self.streams.get(key as usize), Some(Some(_))) {
                return Some(key);
            }
        }
    }

    /// Lets a stream go on: what came for it goes to `events`. A stream that ended is forgotten, and its key may be
    /// given out again.
    pub fn advance(&mut self, key: u32, events: &mut impl Events) -> Progress {
        let Some(Some(stream)) = self.streams.get_mut(key as usize) else {
            return Progress::Waits;
        };
        let progress = stream.advance(self.bells.waker(key), &self.sizes, events);
        if matches!(progress, Progress::Ended(_)) {
            self.forget(key);
        }
        progress
    }

    /// Whether a part of the answer came.
    pub fn has_begun(&self, key: u32) -> bool {
        self.stream(key).is_some_and(Stream::has_begun)
    }

    /// Whether the whole request was handed to the output.
    pub fn is_written(&self, key: u32) -> bool {
        self.stream(key).is_some_and(Stream::is_written)
    }

    /// What came of the answer so far.
    pub fn so_far(&self, key: u32) -> Option<Ended> {
        self.stream(key).map(Stream::so_far)
    }

    /// Gives a stream up (RST_STREAM, CANCEL); the connection goes on.
    pub fn cancel(&mut self, key: u32) {
        if let Some(Some(stream)) = self.streams.get_mut(key as usize) {
            stream.cancel();
            self.forget(key);
        }
    }

    /// What waits to be sent to the peer. Say with [`Session::sent`] how much of it was, and ask again.
    pub fn output(&mut self) -> impl AsRef<[u8]> + '_ {
        if self.pipe.has_room() {
            self.drive();
        }
        self.pipe.output()
    }

    /// So many bytes of the output were sent.
    pub fn sent(&mut self, n: usize) {
        self.pipe.sent(n);
    }

    fn stream(&self, key: u32) -> Option<&Stream> {
        self.streams.get(key as usize)?.as_ref()
    }

    fn forget(&mut self, key: u32) {
        self.streams[key as usize] = None;
        self.free.push(key);
    }

    /// Lets `h2` read what is there and write what it has.
    fn drive(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if !self.over && Pin::new(&mut self.connection).poll(&mut context).is_ready() {
            self.over = true;
        }
        // An error here is how a goodbye shows when no stream is hit by it.
        self.leaving |= matches!(self.requests.poll_ready(&mut context), Poll::Ready(Err(_)));
    }

    /// Looks at the first bytes of the peer.
    fn greet(&mut self, bytes: &[u8]) {
        let missing = FRAME_HEAD_BYTES - self.greeted.len();
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        let was_incomplete = missing > 0;
        self.greeted.extend_from_slice(head);
        let sane = match self.greeted.as_slice() {
            [0x15, 0x03, ..] => {
                self.greeting = Greeting::Tls;
                return;
            }
            [l1, l2, l3, kind, flags, _, _, _, _] => {
                if was_incomplete {
                    self.settings_left = usize::from(*l1) << 16 | usize::from(*l2) << 8 | usize::from(*l3);
                }
                *kind == SETTINGS && flags & 1 == 0
            }
            // What is known of settings fits into 64 KiB; 0x15 may become a TLS alert.
            [0x15] | [] => true,
            [first, ..] => *first == 0,
        };
        if !sane {
            self.greeting = Greeting::Other;
        } else if self.greeted.len() == FRAME_HEAD_BYTES {
            if rest.len() >= self.settings_left {
                self.greeting = Greeting::Answered;
                self.greeted = Vec::new();
            } else {
                self.settings_left -= rest.len();
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("greeting", &self.greeting)
            .field("active", &self.active())
            .field("leaving", &self.leaving)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
