//! A content on its way out: at its pace, and to the end that it is meant to have.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::asset::Asset;
use super::weather::{End, Way};
use crate::alarm::Alarm;

/// Bytes sent at once, at most and at least; between them so many that they come every few milliseconds.
const PIECE: (f64, f64) = (4096.0, 65_536.0);
const PIECE_S: f64 = 0.008;
/// What was written before a cut must have left; so long is waited for that.
const BEFORE_CUT: Duration = Duration::from_millis(3);

/// What is to be sent.
pub(super) struct Plan {
    /// Of this content,
    pub(super) asset: Arc<Asset>,
    /// from this byte
    pub(super) from: u64,
    /// so many,
    pub(super) length: u64,
    /// in this way.
    pub(super) way: Way,
}

/// What was sent in the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Bytes handed over.
    pub(super) bytes: u64,
    /// Whether the client had gone before.
    pub(super) client_left: bool,
}

impl Plan {
    /// What the head says of the length.
    pub(super) fn declared(&self) -> u64 {
        if self.way.end == End::Short {
            self.length / 2
        } else {
            self.length
        }
    }

    /// Starts it; `done` is called once, at its end.
    pub(super) fn start(self, alarm: Arc<Alarm>, done: impl FnOnce(Sent) + Send + 'static) -> Body {
        let (pieces, incoming) = mpsc::channel(2);
        let left = self.declared();
        tokio::spawn(async move { done(self.send(&alarm, &pieces).await) });
        Body::new(Incoming {
            pieces: incoming,
            left,
        })
    }

    async fn send(self, alarm: &Alarm, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> Sent {
        let end = if self.way.end == End::Whole {
            self.length
        } else {
            self.length / 2
        };
        let piece =
            self.way
                .pace
                .map_or(PIECE.1, |pace| (pace * PIECE_S).clamp(PIECE.0, PIECE.1).floor()) as u64;
        let mut sent = Sent {
            bytes: 0,
            client_left: false,
        };
        let mut due = Instant::now();
        while sent.bytes < end {
            let length = piece.min(end - sent.bytes);
            if let Some(pace) = self.way.pace {
                due += Duration::from_secs_f64(length as f64 / pace);
                alarm.sleep_until(due).await;
            }
            let bytes = self.asset.slice(self.from + sent.bytes, length);
            if pieces.send(Ok(bytes)).await.is_err() {
                sent.client_left = true;
                return sent;
            }
            sent.bytes += length;
        }
        if self.way.end == End::Cut {
            while pieces.capacity() < pieces.max_capacity() && !pieces.is_closed() {
                alarm.sleep_until(Instant::now() + BEFORE_CUT).await;
            }
            alarm.sleep_until(Instant::now() + BEFORE_CUT).await;
            // A client that has gone needs no cutting.
            let _ = pieces.send(Err(std::io::ErrorKind::ConnectionReset.into())).await;
        }
        sent
    }
}

/// The body that the connection reads.
struct Incoming {
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    left: u64,
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        if let Some(Ok(bytes)) = &piece {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
