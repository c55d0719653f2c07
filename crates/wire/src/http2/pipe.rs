//! The two directions of a connection in memory, as `h2` wants to see them. Never waits on anything but its own bounds.

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may wait for the socket before `h2` has to stop writing.
const OUTPUT_BYTES_MAX: usize = 256 << 10;

/// Output memory that is kept when everything was sent.
const OUTPUT_BYTES_KEPT: usize = 16 << 10;

/// Shared by the session, which fills and empties it, and by `h2`.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe(Rc<RefCell<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    /// What was not taken in an earlier turn; comes before what is lent.
    left: Vec<u8>,
    lent: Box<[u8]>,
    start: usize,
    end: usize,
    closed: bool,
    output: Vec<u8>,
    sent: usize,
}

impl Pipe {
    /// Makes the first `n` bytes of a buffer readable.
    pub(super) fn lend(&self, buffer: &mut Box<[u8]>, n: usize) {
        let mut ends = self.0.borrow_mut();
        ends.lent = std::mem::take(buffer);
        (ends.start, ends.end) = (0, n);
    }

    /// Gives the buffer back; bytes that were not taken are kept.
    pub(super) fn give_back(&self, buffer: &mut Box<[u8]>) {
        let ends = &mut *self.0.borrow_mut();
        if ends.start < ends.end {
            ends.left.extend_from_slice(&ends.lent[ends.start..ends.end]);
        }
        (ends.start, ends.end) = (0, 0);
        *buffer = std::mem::take(&mut ends.lent);
    }

    /// No more bytes will come.
    pub(super) fn close(&self) {
        self.0.borrow_mut().closed = true;
    }

    /// Whether everything that was lent was taken.
    pub(super) fn is_drained(&self) -> bool {
        self.0.borrow().left.is_empty()
    }

    /// What was written and not yet sent.
    pub(super) fn output(&self) -> Output<'_> {
        Output(self.0.borrow())
    }

    /// Whether more can be written.
    pub(super) fn has_room(&self) -> bool {
        self.0.borrow().room() > 0
    }

    /// So many bytes of the output are on their way.
    pub(super) fn sent(&self, n: usize) {
        let ends = &mut *self.0.borrow_mut();
        ends.sent += n;
        if ends.sent >= ends.output.len() {
            ends.sent = 0;
            ends.output.clear();
            ends.output.shrink_to(OUTPUT_BYTES_KEPT);
        }
    }
}

/// The output while it is looked at.
pub(super) struct Output<'a>(Ref<'a, Ends>);

impl AsRef<[u8]> for Output<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.0.output[self.0.sent..]
    }
}

impl Ends {
    fn room(&self) -> usize {
        OUTPUT_BYTES_MAX.saturating_sub(self.output.len() - self.sent)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ends = &mut *self.0.borrow_mut();
        if !ends.left.is_empty() {
            let n = ends.left.len().min(into.remaining());
            into.put_slice(&ends.left[..n]);
            ends.left.drain(..n);
            if ends.left.is_empty() {
                ends.left = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let n = (ends.end - ends.start).min(into.remaining());
        if n > 0 {
            into.put_slice(&ends.lent[ends.start..ends.start + n]);
            ends.start += n;
            return Poll::Ready(Ok(()));
        }
        if ends.closed {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let ends = &mut *self.0.borrow_mut();
        let n = bytes.len().min(ends.room());
        if n == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        ends.output.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request body on its way, which tells how much of it is left.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Bytes,
    left: Rc<Cell<usize>>,
}

impl Outgoing {
    /// The body, and the count of bytes that were not yet written.
    pub(super) fn new(bytes: Bytes) -> (Self, Rc<Cell<usize>>) {
        let left = Rc::new(Cell::new(bytes.len()));
        (
            Self {
                bytes,
                left: Rc::clone(&left),
            },
            left,
        )
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
        self.left.set(self.bytes.len());
    }
}
