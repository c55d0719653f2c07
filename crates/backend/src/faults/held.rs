//! An answer that is not over with its head: its turn ends with its body, and the time that it takes longer comes before its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::alarm::Alarm;

/// The body of such an answer.
pub(super) struct Held {
    body: Body,
    /// Given back at the end, or when the client leaves.
    turn: Option<OwnedSemaphorePermit>,
    alarm: Arc<Alarm>,
    since: Instant,
    longer: f64,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    over: bool,
}

impl Held {
    /// A body that begins now and takes longer by this share of its time.
    pub(super) fn new(
        body: Body,
        turn: Option<OwnedSemaphorePermit>,
        longer: f64,
        alarm: &Arc<Alarm>,
    ) -> Self {
        Self {
            body,
            turn,
            alarm: Arc::clone(alarm),
            since: Instant::now(),
            longer,
            wait: None,
            over: false,
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if this.wait.is_none() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
            if frame.is_some() {
                return Poll::Ready(frame);
            }
            let done = Instant::now();
            let until = done + (done - this.since).mul_f64(this.longer);
            let alarm = Arc::clone(&this.alarm);
            this.wait = Some(Box::pin(async move { alarm.sleep_until(until).await }));
        }
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(context));
        }
        this.over = true;
        this.turn = None;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;

    use super::*;
    use crate::gate::Gate;

    #[tokio::test]
    async fn a_turn_ends_with_the_body_which_takes_longer() {
        let alarm = Arc::new(Alarm::start().unwrap());
        let gate = Gate::new(1, 1);
        let turn = gate.enter().await.ok();
        let begun = Instant::now();
        let held = Body::new(Held::new(Body::from("some"), turn, 1.0, &alarm));
        let next = tokio::time::timeout(Duration::from_millis(30), gate.enter()).await;
        assert!(next.is_err(), "the turn is not over");
        assert_eq!(to_bytes(held, 10).await.unwrap(), "some");
        assert!(begun.elapsed() >= Duration::from_millis(60));
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_leaves_gives_the_turn_back() {
        let alarm = Arc::new(Alarm::start().unwrap());
        let gate = Gate::new(1, 1);
        let turn = gate.enter().await.ok();
        drop(Held::new(Body::from("some"), turn, 0.0, &alarm));
        assert!(gate.enter().await.is_ok());
    }
}
