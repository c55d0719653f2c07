//! One connection below HTTP: what is written passes through, unless an order for the next answer says to stop for a while, to
//! break off, or to announce another length. It knows HTTP only as far as the end of a head.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::alarm::Alarm;

/// Bytes of gathered writes that are looked at together while an order is carried out.
const GATHERED_MAX: usize = 1024 * 1024;

/// What is to be done to the next answer on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop half-way through the head.
    StallHead(Duration),
    /// Stop half-way through what there is of the body.
    StallBody(Duration),
    /// A reset instead of an answer.
    Refuse,
    /// A reset half-way through the answer.
    Reset,
    /// Another Content-Length than the true one.
    Announce(u64),
    /// The connection ends half-way through what is written next.
    Cut,
}

/// The way to a connection from the requests that it brings.
#[derive(Debug)]
pub(crate) struct Line {
    given: AtomicBool,
    order: Mutex<Option<Order>>,
    alarm: Arc<Alarm>,
}

impl Line {
    /// Without an order.
    pub(crate) fn new(alarm: Arc<Alarm>) -> Self {
        Self {
            given: AtomicBool::new(false),
            order: Mutex::default(),
            alarm,
        }
    }

    /// For the next answer, which must not have begun.
    pub(crate) fn order(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = Some(order);
        self.given.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Order> {
        if !self.given.load(Ordering::Acquire) {
            return None;
        }
        self.given.store(false, Ordering::Relaxed);
        self.order.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    line: Arc<Line>,
    state: State,
}

enum State {
    /// Everything passes.
    Through,
    /// So many bytes pass, then this happens.
    Until(usize, Then),
    /// Nothing passes until the alarm.
    Stopped(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// These bytes are written in place of so many.
    Instead {
        bytes: Vec<u8>,
        written: usize,
        stands_for: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Stop(Duration),
    Reset,
    Fin,
}

impl Wire {
    /// A connection whose orders come by `line`.
    pub(crate) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self {
            stream,
            line,
            state: State::Through,
        }
    }

    fn is_plain(&self) -> bool {
        matches!(self.state, State::Through) && !self.line.given.load(Ordering::Acquire)
    }

    /// An order is carried out from the first bytes of the answer on.
    fn begin(&mut self, bytes: &[u8]) {
        let Some(order) = self.line.take() else {
            return;
        };
        let head = head_end(bytes);
        let middle = head + (bytes.len() - head) / 2;
        self.state = match order {
            Order::StallHead(time) => State::Until(head / 2, Then::Stop(time)),
            Order::StallBody(time) => State::Until(middle, Then::Stop(time)),
            Order::Refuse => State::Until(0, Then::Reset),
            Order::Cut => State::Until(bytes.len() / 2, Then::Fin),
            Order::Reset => State::Until(middle.min(bytes.len() - 1), Then::Reset),
            Order::Announce(length) => match with_length(&bytes[..head], length) {
                Some(bytes) => State::Instead {
                    bytes,
                    written: 0,
                    stands_for: head,
                },
                None => State::Through,
            },
        };
    }
}

/// Where the body begins; the whole where there is no end of a head.
fn head_end(bytes: &[u8]) -> usize {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 4)
}

/// A head with another Content-Length; `None` where it has none.
fn with_length(head: &[u8], length: u64) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"\r\ncontent-length:";
    let at = head
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME))?
        + NAME.len();
    let end = at + head[at..].iter().position(|byte| *byte == b'\r')?;
    Some([&head[..at], b" ", length.to_string().as_bytes(), &head[end..]].concat())
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match &mut this.state {
                State::Through => {
                    this.begin(bytes);
                    if matches!(this.state, State::Through) {
                        return Pin::new(&mut this.stream).poll_write(context, bytes);
                    }
                }
                State::Until(0, Then::Reset) => {
                    // Where the system refuses it, the connection ends with a FIN, which is a broken answer as well.
                    let _ = this.stream.set_zero_linger();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                State::Until(0, Then::Fin) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                State::Until(0, Then::Stop(time)) => {
                    let until = Instant::now() + *time;
                    let alarm = Arc::clone(&this.line.alarm);
                    this.state = State::Stopped(Box::pin(async move { alarm.sleep_until(until).await }));
                }
                State::Until(left, _) => {
                    let part = &bytes[..bytes.len().min(*left)];
                    let written = ready!(Pin::new(&mut this.stream).poll_write(context, part))?;
                    *left -= written;
                    return Poll::Ready(Ok(written));
                }
                State::Stopped(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    this.state = State::Through;
                }
                State::Instead {
                    bytes: other,
                    written,
                    stands_for,
                } => {
                    *written += ready!(Pin::new(&mut this.stream).poll_write(context, &other[*written..]))?;
                    if *written == other.len() {
                        let stands_for = *stands_for;
                        this.state = State::Through;
                        return Poll::Ready(Ok(stands_for));
                    }
                }
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_plain() {
            return Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        }
        let mut whole = Vec::new();
        for part in parts {
            whole.extend_from_slice(part);
            if whole.len() > GATHERED_MAX {
                break;
            }
        }
        self.poll_write(context, &whole)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_found_and_its_length_replaced() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\ndate: x\r\n\r\nbody";
        let head = head_end(answer);
        assert_eq!(&answer[head..], b"body");
        let other = with_length(&answer[..head], 9).unwrap();
        assert_eq!(other, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\ndate: x\r\n\r\n");
        assert_eq!(with_length(b"HTTP/1.1 200 OK\r\n\r\n", 9), None);
        assert_eq!(head_end(b"no end"), 6);
    }
}
