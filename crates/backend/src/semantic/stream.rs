//! An answer as server-sent events. Its task is woken when the scheduler made a token, writes what is there and sleeps again; it is the
//! body of the response, so that a client that leaves ends it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use http_body::Frame;

use super::anthropic;
use super::app::{Semantic, Stay};
use super::fault::Fault;
use super::inference::Begun;
use super::openai::Head;
use super::progress::End;

/// Whose events.
#[derive(Debug)]
pub(super) enum Format {
    /// Named events.
    Anthropic {
        /// Of the message.
        id: String,
        /// As asked for.
        model: String,
    },
    /// Chunks, then `[DONE]`.
    OpenAi(Head),
}

/// The body.
pub(super) struct Stream {
    system: Arc<Semantic>,
    begun: Begun,
    format: Format,
    stay: Option<Stay>,
    opened: bool,
    /// Tokens told.
    told: usize,
    sent: Vec<Instant>,
    before: Option<(Instant, Instant)>,
}

impl Stream {
    /// The response whose body this is.
    pub(super) fn respond(system: Arc<Semantic>, begun: Begun, format: Format, stay: Stay) -> Response<Body> {
        let body = Body::new(Self {
            system,
            begun,
            format,
            stay: Some(stay),
            opened: false,
            told: 0,
            sent: Vec::new(),
            before: None,
        });
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    fn opening(&self) -> String {
        match &self.format {
            Format::Anthropic { id, model } => anthropic::opening(id, model, &self.begun.usage),
            Format::OpenAi(head) => head.opening(),
        }
    }

    fn delta(&self, token: usize) -> String {
        let part = self.begun.script.part(token, token + 1);
        match &self.format {
            _ if part.is_empty() => String::new(),
            Format::Anthropic { .. } => anthropic::delta(part),
            Format::OpenAi(head) => head.delta(part),
        }
    }

    fn ending(&self, end: End) -> String {
        let used = self.begun.usage.with_output(&self.system.config, self.told);
        let why = &self.begun.script.stop;
        let fault = match end {
            End::Done => {
                return match &self.format {
                    Format::Anthropic { .. } => anthropic::closing(why, &used),
                    Format::OpenAi(head) => head.closing(why, &used),
                };
            }
            End::Exhausted(blocks) => self.begun.exhausted(blocks),
            End::Cancelled | End::Stopped => Fault::capacity("the server is shutting down"),
        };
        match &self.format {
            Format::Anthropic { .. } => anthropic::event(&fault.anthropic()),
            Format::OpenAi(_) => format!("data: {}\n\n", fault.openai()),
        }
    }

    /// The tokens up to `tokens` are handed over now.
    fn account(&mut self, dues: &[Instant], now: Instant) {
        for due in dues {
            self.system.ledger.token(*due, now, self.before);
            self.before = Some((*due, now));
            if self.sent.len() < self.system.config.truth_events {
                self.sent.push(now);
            }
        }
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.stay.is_none() {
            return Poll::Ready(None);
        }
        if !this.opened {
            this.opened = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(this.opening())))));
        }
        let told = this.told;
        let (tokens, end, dues) = ready!(this.begun.progress.poll(context, |seen| {
            let due = |token: usize| seen.due.get(token).copied().or(seen.last);
            (seen.tokens > told || seen.end.is_some()).then(|| {
                let dues: Vec<Instant> = (told..seen.tokens).filter_map(due).collect();
                (seen.tokens, seen.end, dues)
            })
        }));
        let mut text = String::new();
        while this.told < tokens {
            text.push_str(&this.delta(this.told));
            this.told += 1;
        }
        this.account(&dues, Instant::now());
        if let Some(end) = end {
            text.push_str(&this.ending(end));
            this.begun.over(&this.system, &this.sent, this.stay.as_ref());
            if let Some(stay) = this.stay.take() {
                stay.finish(200);
            }
        }
        if text.is_empty() {
            // Everything made was cut away; the next token will wake the task.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.stay.is_some() {
            // The client left.
            self.begun.over(&self.system, &self.sent, self.stay.as_ref());
        }
    }
}
