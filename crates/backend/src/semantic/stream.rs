//! An answer as server-sent events. Its task is woken when the scheduler made a token, writes what is there and sleeps again; it is the
//! body of the response, so that a client that leaves ends it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use http_body::Frame;

use super::anthropic;
use super::app::{Semantic, Stay};
use super::fault::Fault;
use super::inference::Begun;
use super::openai::Head;
use super::progress::End;
use super::serving;
use crate::stream_fault::{self as fault, Act, Kind, Mangler, Orders, Zip};
use crate::wire::{Line, Order};

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
    /// Chunks of a plain completion.
    Completions(Head),
    /// Named events of a response.
    Responses(Head),
}

impl Format {
    fn dialect(&self) -> fault::Dialect {
        match self {
            Self::Anthropic { .. } => fault::Dialect::Messages,
            Self::OpenAi(_) => fault::Dialect::Chat,
            Self::Completions(_) => fault::Dialect::Completions,
            Self::Responses(_) => fault::Dialect::Responses,
        }
    }
}

/// The faults of one answer, and the way to its connection.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    /// What was ordered.
    pub(super) orders: Orders,
    /// Where a connection is cut; none where there is no connection.
    pub(super) line: Option<Arc<Line>>,
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
    /// Tokens in one event.
    interval: usize,
    sent: Vec<Instant>,
    before: Option<(Instant, Instant)>,
    faulty: Option<Faulty>,
}

/// What is done to an answer on purpose.
struct Faulty {
    mangler: Mangler,
    zip: Option<Zip>,
    acts: VecDeque<Act>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    line: Option<Arc<Line>>,
    /// What was written before a cut has left.
    flushed: bool,
}

impl Stream {
    /// The response whose body this is.
    pub(super) fn respond(
        system: Arc<Semantic>,
        begun: Begun,
        format: Format,
        stay: Stay,
        ordered: Ordered,
    ) -> Response<Body> {
        let Ordered { orders, line } = ordered;
        let interval = orders
            .chunk()
            .map_or(system.config.stream_interval, |tokens| tokens as usize);
        let events = begun.script.len().div_ceil(interval) as u64;
        let faulty = Mangler::new(&orders, format.dialect(), events).map(|mangler| Faulty {
            mangler,
            zip: orders.has(&fault::Fault::Gzip).then(Zip::new),
            acts: VecDeque::new(),
            wait: None,
            line,
            flushed: false,
        });
        let zipped = faulty.as_ref().is_some_and(|faulty| faulty.zip.is_some());
        let body = Body::new(Self {
            system,
            begun,
            format,
            stay: Some(stay),
            opened: false,
            told: 0,
            interval,
            sent: Vec::new(),
            before: None,
            faulty,
        });
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        let kind = orders
            .content_type()
            .and_then(|kind| HeaderValue::from_str(&kind).ok())
            .unwrap_or(HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if zipped {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn opening(&self) -> String {
        match &self.format {
            Format::Anthropic { id, model } => anthropic::opening(id, model, &self.begun.usage),
            Format::OpenAi(head) => head.opening(),
            Format::Completions(_) => String::new(),
            Format::Responses(head) => serving::response_opening(head),
        }
    }

    fn delta(&self, from: usize, to: usize) -> String {
        let part = self.begun.script.part(from, to);
        match &self.format {
            _ if part.is_empty() => String::new(),
            Format::Anthropic { .. } => anthropic::delta(part),
            Format::OpenAi(head) => head.delta(part),
            Format::Completions(head) => serving::completion_delta(head, part, None),
            Format::Responses(head) => serving::response_delta(head, from, part),
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
                    Format::Completions(head) => serving::completion_closing(head, why, &used),
                    Format::Responses(head) => {
                        serving::response_closing(head, self.told, &self.begun.script.text, why, &used)
                    }
                };
            }
            End::Exhausted(blocks) => self.begun.exhausted(blocks),
            End::Cancelled | End::Stopped => Fault::capacity("the server is shutting down"),
        };
        match &self.format {
            Format::Anthropic { .. } => anthropic::event(&fault.anthropic()),
            Format::OpenAi(_) | Format::Completions(_) => format!("data: {}\n\n", fault.openai()),
            Format::Responses(_) => format!("event: error\ndata: {}\n\n", fault.openai()),
        }
    }

    /// The tokens up to `tokens` are handed over now.
    fn account(&mut self, dues: &[Instant], now: Instant) {
        self.system.ledger.tokens(dues, now, &mut self.before);
        let room = self.system.config.truth_events.saturating_sub(self.sent.len());
        self.sent.extend(std::iter::repeat_n(now, dues.len().min(room)));
    }

    /// It is over, for good or on purpose.
    fn over(&mut self) {
        self.begun.over(&self.system, &self.sent, self.stay.as_ref());
        if let Some(stay) = self.stay.take() {
            stay.finish(200);
        }
    }

    /// What is said next, as far as the scheduler has come.
    fn say(&mut self, context: &mut Context<'_>) -> Poll<String> {
        if !self.opened {
            self.opened = true;
            let text = self.opening();
            return Poll::Ready(self.through(Kind::Opening, text));
        }
        let (told, interval) = (self.told, self.interval);
        let (made, end, dues) = ready!(self.begun.progress.poll(context, |seen| {
            let whole = told + (seen.tokens - told) / interval * interval;
            let made = if seen.end.is_some() { seen.tokens } else { whole };
            if made == told && seen.end.is_none() {
                seen.wanted = told + interval;
                return None;
            }
            let dues: Vec<Instant> = seen.untold.drain(..made - told).collect();
            Some((made, seen.end, dues))
        }));
        let mut text = String::new();
        while self.told < made {
            // What was guessed right comes with the token before it.
            let to = if self.system.config.costs.spec_tokens > 0 {
                made
            } else {
                (self.told + interval).min(made)
            };
            let delta = self.delta(self.told, to);
            text.push_str(&self.through(Kind::Tokens, delta));
            self.told = to;
        }
        self.account(&dues, Instant::now());
        if let Some(end) = end {
            let ending = self.ending(end);
            text.push_str(&self.through(Kind::Closing, ending));
            match &mut self.faulty {
                None => self.over(),
                Some(faulty) if !faulty.mangler.is_over() => faulty.acts.push_back(Act::End),
                Some(_) => {}
            }
        }
        Poll::Ready(text)
    }

    /// The text as it is, or nothing where acts take its place.
    fn through(&mut self, kind: Kind, text: String) -> String {
        let Some(faulty) = &mut self.faulty else {
            return text;
        };
        let (acts, _) = faulty.mangler.pass(kind, &text);
        faulty.acts.extend(acts);
        String::new()
    }

    /// Carries out what was laid out; nothing where more must be laid out first.
    fn act(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Some(faulty) = &mut self.faulty else {
                return Poll::Ready(None);
            };
            if let Some(wait) = &mut faulty.wait {
                ready!(wait.as_mut().poll(context));
                faulty.wait = None;
            }
            let Some(act) = faulty.acts.pop_front() else {
                return Poll::Ready(None);
            };
            let cut = match act {
                Act::Write(bytes) => {
                    let bytes = match &mut faulty.zip {
                        Some(zip) => zip.piece(&bytes),
                        None => bytes,
                    };
                    return Poll::Ready(Some(Bytes::from(bytes)));
                }
                Act::Wait(ms) => {
                    let until = Instant::now() + Duration::from_millis(ms);
                    let system = Arc::clone(&self.system);
                    faulty.wait = Some(Box::pin(async move { system.alarm.sleep_until(until).await }));
                    continue;
                }
                Act::WaitForEver => {
                    faulty.wait = Some(Box::pin(std::future::pending()));
                    continue;
                }
                Act::End => {
                    let rest = faulty.zip.as_mut().map(Zip::end);
                    self.over();
                    return Poll::Ready(rest.map(Bytes::from));
                }
                Act::Fin(bytes) => (Order::Cut, bytes),
                Act::Reset => (Order::Refuse, b": \n".to_vec()),
            };
            if !std::mem::replace(&mut faulty.flushed, true) {
                // What was said before leaves first.
                let again = match cut {
                    (Order::Cut, bytes) => Act::Fin(bytes),
                    _ => Act::Reset,
                };
                faulty.acts.push_front(again);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (order, bytes) = cut;
            if let Some(line) = &faulty.line {
                line.order(order);
            }
            self.over();
            return Poll::Ready(Some(Bytes::from(bytes)));
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
        loop {
            if this.stay.is_none() {
                return Poll::Ready(None);
            }
            if let Some(bytes) = ready!(this.act(context)) {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.stay.is_none() {
                return Poll::Ready(None);
            }
            let text = ready!(this.say(context));
            if !text.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
            }
            // Everything made was cut away, or is to be acted on.
        }
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
