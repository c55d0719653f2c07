//! What is done to an answer that a preset has made: another body, a shorter one, a wrong bit, another envelope. Bodies of known length
//! are changed as a whole; of streams only the first piece is.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use super::plan::{Chance, Envelope, Plan};
use crate::spoil::Served;

/// Longest body that is changed as a whole.
const BODY_MAX: u64 = 64 * 1024 * 1024;
/// Longest body that is remembered, and of how many routes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
const KEPT_ROUTES_MAX: usize = 1000;

/// Answers remembered, by route.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    first: HashMap<String, Remembered>,
    last: HashMap<String, Remembered>,
    truncated: u64,
}

#[derive(Debug, Clone)]
struct Remembered {
    body: Bytes,
    content_type: Option<HeaderValue>,
}

/// One answer to be changed.
pub(crate) struct Answer<'a> {
    /// The route that it belongs to.
    pub(crate) route: &'a str,
    /// The method of its request.
    pub(crate) method: &'a Method,
    /// The number of its request.
    pub(crate) number: u64,
    /// As the preset made it.
    pub(crate) response: Response<Body>,
}

impl Memories {
    /// Nothing is remembered any more.
    pub(crate) fn forget(&self) {
        *self.lock() = Kept::default();
    }

    /// Changes an answer as the plan says; what was done is added to `applied`.
    pub(crate) async fn change(
        &self,
        plan: &Plan,
        answer: Answer<'_>,
        applied: &mut Vec<&'static str>,
    ) -> Response<Body> {
        let Answer {
            route,
            method,
            number,
            response,
        } = answer;
        let status = response.status();
        if method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return response;
        }
        let wrong_bit = plan.hits(Chance::Corrupt, number);
        let cut = plan.hits(Chance::Truncate, number);
        let good = status.is_success();
        let whole = response
            .body()
            .size_hint()
            .exact()
            .is_some_and(|length| length <= BODY_MAX);
        if !whole {
            return if good && (wrong_bit || cut) {
                applied.push(if cut { "truncate" } else { "corrupt" });
                response.map(|body| {
                    Body::new(Piece {
                        inner: body,
                        flip: (!cut).then(|| plan.choice(number)),
                        cut,
                        begun: false,
                    })
                })
            } else {
                response
            };
        }
        let (mut head, body) = response.into_parts();
        let Ok(mut body) = to_bytes(body, BODY_MAX as usize).await else {
            return Response::from_parts(head, Body::empty());
        };
        if status.as_u16() >= 400 && plan.envelope != Envelope::Own {
            applied.push("envelope");
            let (status, content_type, text) = dress(plan.envelope, status, &body);
            head.status = status;
            head.headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            return Served::whole(text.into()).into_response(Response::from_parts(head, Body::empty()));
        }
        if good {
            body = self.replace(plan, route, number, body, &mut head.headers, applied);
        }
        let may_harm = good && !body.is_empty();
        let served = if cut && may_harm {
            applied.push("truncate");
            Served::halved(body, self.in_turn())
        } else if wrong_bit && may_harm {
            applied.push("corrupt");
            Served::flipped(&body, plan.choice(number))
        } else {
            Served::whole(body)
        };
        served.into_response(Response::from_parts(head, Body::empty()))
    }

    /// The first good answer instead of this one, or an earlier one.
    fn replace(
        &self,
        plan: &Plan,
        route: &str,
        number: u64,
        body: Bytes,
        headers: &mut HeaderMap,
        applied: &mut Vec<&'static str>,
    ) -> Bytes {
        let own = Remembered {
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            body,
        };
        let mut kept = self.lock();
        let other = if plan.constant {
            let first = remember(&mut kept.first, route, &own, false);
            first
                .filter(|first| first.body != own.body)
                .map(|first| ("constant", first))
        } else {
            let last = remember(&mut kept.last, route, &own, true);
            last.filter(|last| plan.hits(Chance::Swap, number) && last.body != own.body)
                .map(|last| ("M3", last))
        };
        drop(kept);
        let Some((kind, other)) = other else {
            return own.body;
        };
        applied.push(kind);
        if let Some(content_type) = other.content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        other.body
    }

    fn in_turn(&self) -> bool {
        let mut kept = self.lock();
        kept.truncated += 1;
        kept.truncated.is_multiple_of(2)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was remembered of a route; then this one is, if it is the first or the last counts.
fn remember(
    kept: &mut HashMap<String, Remembered>,
    route: &str,
    own: &Remembered,
    last: bool,
) -> Option<Remembered> {
    let before = kept.get(route).cloned();
    let new = last || before.is_none();
    if new && own.body.len() <= KEPT_BYTES_MAX {
        if kept.len() >= KEPT_ROUTES_MAX && before.is_none() {
            kept.clear();
        }
        kept.insert(route.to_owned(), own.clone());
    }
    before
}

fn dress(envelope: Envelope, status: StatusCode, body: &[u8]) -> (StatusCode, &'static str, String) {
    let reason = status.canonical_reason().unwrap_or("Error");
    match envelope {
        Envelope::Ok => {
            let said = serde_json::from_slice::<Value>(body)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
            let text = json!({ "success": false, "error": said }).to_string();
            (StatusCode::OK, "application/json", text)
        }
        Envelope::Html => {
            let code = status.as_u16();
            let text = format!(
                "<html>\n<head><title>{code} {reason}</title></head>\n<body><h1>{code} {reason}</h1></body>\n</html>\n"
            );
            (status, "text/html; charset=utf-8", text)
        }
        Envelope::Text | Envelope::Own => (status, "text/plain; charset=utf-8", reason.to_owned()),
    }
}

/// A stream whose first piece has a wrong bit, or is the last one.
struct Piece {
    inner: Body,
    flip: Option<u64>,
    cut: bool,
    begun: bool,
}

impl HttpBody for Piece {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.cut && self.begun {
            let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            return Poll::Ready(Some(Err(axum::Error::new(gone))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let flip = self.flip.filter(|_| !self.begun);
        let frame = frame?.map_data(|bytes| {
            let mut bytes = bytes.to_vec();
            if let (Some(position), false) = (flip, bytes.is_empty()) {
                let at = (position % bytes.len() as u64) as usize;
                bytes[at] ^= 1;
            }
            Bytes::from(bytes)
        });
        self.begun = true;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
