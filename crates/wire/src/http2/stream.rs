//! One request on a connection: its answer as it comes, and every way it can go wrong.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method};

use super::pipe::Outgoing;
use super::{Request, Sizes};
use crate::http1::{Events, Framing, Head, Span};

/// Most header lines of one head.
const LINES_MAX: usize = 256;

/// What RFC 9113, section 6.5.2, adds to each header line.
const LINE_BYTES: usize = 32;

/// How a stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More will come.
    Waits,
    /// It ended.
    Ended(Ended),
}

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The final head, if it came.
    pub head: Option<Head>,
    /// Body bytes.
    pub body_bytes: u64,
    /// Whether a part of the answer came.
    pub begun: bool,
    /// Why it is not complete.
    pub fault: Option<Fault>,
}

/// Why an answer is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer reset the stream, or ended the connection, with this code.
    Reset(String),
    /// The peer is leaving in good order and says that it did not look at the request: it may be sent elsewhere.
    Unprocessed,
    /// The peer broke the rules.
    Malformed(String),
    /// The head or the trailers passed the limit.
    HeadTooLarge,
    /// The body passed the limit, or declared that it would.
    BodyTooLarge,
    /// The connection ended.
    Lost,
}

/// One request under way.
pub(super) struct Stream {
    response: ResponseFuture,
    request: SendStream<Outgoing>,
    /// Bytes of the request's body that were not yet written.
    left: Option<Rc<Cell<usize>>>,
    body: Option<RecvStream>,
    /// Whether an answer has no body whatever it says: a HEAD request.
    no_body: bool,
    in_trailers: bool,
    head: Option<Head>,
    head_bytes: u64,
    body_bytes: u64,
    begun: bool,
}

impl Stream {
    /// Hands a request to `h2`.
    pub(super) fn start(requests: &mut SendRequest<Outgoing>, request: &Request) -> Result<Self, h2::Error> {
        let (head, body) = (request.head(), request.body());
        let no_body = head.method() == Method::HEAD;
        let (response, mut sender) = requests.send_request(head, body.is_empty())?;
        let left = if body.is_empty() {
            None
        } else {
            let (outgoing, left) = Outgoing::new(body.clone());
            sender.send_data(outgoing, true)?;
            Some(left)
        };
        Ok(Self {
            response,
            request: sender,
            left,
            body: None,
            no_body,
            in_trailers: false,
            head: None,
            head_bytes: 0,
            body_bytes: 0,
            begun: false,
        })
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn is_written(&self) -> bool {
        self.left.as_ref().is_none_or(|left| left.get() == 0)
    }

    pub(super) fn so_far(&self) -> Ended {
        Ended {
            head: self.head,
            body_bytes: self.body_bytes,
            begun: self.begun,
            fault: None,
        }
    }

    pub(super) fn cancel(&mut self) {
        self.request.send_reset(Reason::CANCEL);
    }

    /// Takes what came.
    pub(super) fn advance(&mut self, waker: &Waker, sizes: &Sizes, events: &mut impl Events) -> Progress {
        let mut context = Context::from_waker(waker);
        match self.poll(&mut context, sizes, events) {
            Poll::Pending => Progress::Waits,
            Poll::Ready(end) => {
                if matches!(end, Err(Fault::HeadTooLarge | Fault::BodyTooLarge)) {
                    self.cancel();
                }
                Progress::Ended(Ended {
                    fault: end.err().map(|fault| self.explain(fault)),
                    ..self.so_far()
                })
            }
        }
    }

    /// Says more of a broken answer than `h2` does.
    fn explain(&self, fault: Fault) -> Fault {
        match (fault, self.head) {
            (Fault::Malformed(why), None) => Fault::Malformed(format!(
                "{why}: its head is not valid, or far over the size limit"
            )),
            (Fault::Malformed(why), Some(head)) if matches!(head.framing, Framing::Length(_)) => {
                Fault::Malformed(format!("{why}: its body may not have the declared length"))
            }
            (fault, _) => fault,
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        sizes: &Sizes,
        events: &mut impl Events,
    ) -> Poll<Result<(), Fault>> {
        while self.body.is_none() {
            match self.response.poll_informational(context) {
                Poll::Ready(Some(Ok(interim))) => {
                    self.begun = true;
                    self.count_head(interim.headers(), sizes)?;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(fault(&error))),
                Poll::Ready(None) => {}
                // It waits for the same frames as the response.
                Poll::Pending => return Poll::Pending,
            }
            match Pin::new(&mut self.response).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                Poll::Ready(Ok(response)) => {
                    self.begun = true;
                    let (parts, body) = response.into_parts();
                    self.count_head(&parts.headers, sizes)?;
                    self.take_head(parts.status.as_u16(), &parts.headers, sizes, events)?;
                    self.body = Some(body);
                }
            }
        }
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        while !self.in_trailers {
            match body.poll_data(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => {
                    // It fails only for more bytes than came.
                    let _ = body.flow_control().release_capacity(bytes.len());
                    self.body_bytes += bytes.len() as u64;
                    if self.body_bytes > sizes.body_bytes_max {
                        return Poll::Ready(Err(Fault::BodyTooLarge));
                    }
                    if !bytes.is_empty() {
                        events.body(&bytes);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(fault(&error))),
                Poll::Ready(None) => self.in_trailers = true,
            }
        }
        match body.poll_trailers(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(Some(trailers))) => {
                self.count_head(&trailers, sizes)?;
                let mut lines = Vec::with_capacity(128);
                for (name, value) in &trailers {
                    render_line(&mut lines, name, value);
                }
                events.trailers(&lines);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(fault(&error))),
        }
    }

    fn count_head(&mut self, headers: &HeaderMap, sizes: &Sizes) -> Result<(), Fault> {
        let lines = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES);
        self.head_bytes += (":status".len() + 3 + LINE_BYTES + lines.sum::<usize>()) as u64;
        if self.head_bytes > sizes.head_bytes_max || headers.len() > LINES_MAX {
            return Err(Fault::HeadTooLarge);
        }
        Ok(())
    }

    fn take_head(
        &mut self,
        status: u16,
        headers: &HeaderMap,
        sizes: &Sizes,
        events: &mut impl Events,
    ) -> Result<(), Fault> {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let mut head = Head {
            status,
            framing: length.map_or(Framing::Chunked, Framing::Length),
            keep_alive: true,
            content_type: None,
            location: None,
        };
        if events.wants_head() {
            let raw = render(&mut head, headers);
            events.head(&head, &raw);
        } else {
            events.head(&head, &[]);
        }
        self.head = Some(head);
        // There it is the length of what a GET would bring (RFC 9110, section 8.6).
        let no_body = self.no_body || matches!(status, 204 | 304);
        match length {
            Some(length) if length > sizes.body_bytes_max && !no_body => Err(Fault::BodyTooLarge),
            _ => Ok(()),
        }
    }
}

/// The head as HTTP/1.1 writes it, so that those who keep it need not know how it came.
fn render(head: &mut Head, headers: &HeaderMap) -> Vec<u8> {
    let mut raw = Vec::with_capacity(512);
    raw.extend_from_slice(format!("HTTP/1.1 {}\r\n", head.status).as_bytes());
    for (name, value) in headers {
        let span = render_line(&mut raw, name, value);
        if name == CONTENT_TYPE {
            head.content_type = Some(span);
        } else if name == LOCATION {
            head.location = Some(span);
        }
    }
    raw.extend_from_slice(b"\r\n");
    raw
}

/// Appends a header line; returns where its value is.
fn render_line(raw: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) -> Span {
    raw.extend_from_slice(name.as_str().as_bytes());
    raw.extend_from_slice(b": ");
    let start = raw.len();
    raw.extend_from_slice(value.as_bytes());
    let span = Span::new(start, raw.len());
    raw.extend_from_slice(b"\r\n");
    span
}

/// What an error of `h2` means to the one who asked.
fn fault(error: &h2::Error) -> Fault {
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    let code = name(reason);
    if error.is_go_away() && error.is_remote() {
        if reason == Reason::NO_ERROR {
            return Fault::Unprocessed;
        }
        return Fault::Reset(format!("the peer ended the connection (GOAWAY, {code})"));
    }
    if error.is_reset() && error.is_remote() {
        return Fault::Reset(format!("the peer reset the stream (RST_STREAM, {code})"));
    }
    if error.is_library() {
        return match reason {
            // Of frames that are nearly empty only those without any byte are bounded.
            Reason::ENHANCE_YOUR_CALM if error.to_string().contains("too_many_data_frames") => {
                Fault::Malformed(
                    "the connection brought more empty frames of DATA than h2 takes for harmless (100)"
                        .to_owned(),
                )
            }
            // How it calls a head far over its own limit, and one in very many pieces.
            Reason::ENHANCE_YOUR_CALM => Fault::HeadTooLarge,
            // The connection had ended when the error was noticed.
            Reason::NO_ERROR => Fault::Lost,
            _ => Fault::Malformed(format!("the answer breaks the rules of HTTP/2 ({code})")),
        };
    }
    if error.is_io() {
        return Fault::Lost;
    }
    Fault::Malformed(format!("the answer breaks the rules of HTTP/2 ({code})"))
}

/// The name of an error code (RFC 9113, section 7).
fn name(reason: Reason) -> String {
    let known = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = u32::from(reason);
    known
        .get(code as usize)
        .map_or_else(|| format!("code {code:#x}"), |name| (*name).to_owned())
}
