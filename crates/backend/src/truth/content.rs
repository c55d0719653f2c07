//! Answers made wrong on purpose: swapped, cut short, or with a wrong byte, one in so many, and the list of those.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use super::service::mix;
use crate::error::BackendError;
use crate::settings::Settings;

/// Bad answers listed; beyond it they are only counted.
const LISTED_MAX: usize = 10_000;

/// What is done to answers.
#[derive(Debug)]
pub(crate) struct Spoiler {
    swap_n: u64,
    truncate_n: u64,
    corrupt_n: u64,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: u64,
    /// The last good answer, for the next swap.
    last: Option<Bytes>,
    bad: Vec<Value>,
    bad_count: u64,
}

/// One answer, perhaps spoilt.
#[derive(Debug)]
pub(crate) struct Served {
    /// What is sent.
    body: Bytes,
    /// The length announced; beyond that of the body when the connection is to be cut.
    length: usize,
}

impl Spoiler {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let one_in = |name| settings.count(name, 0, 1_000_000_000);
        Ok(Self {
            swap_n: one_in("swap_n")?,
            truncate_n: one_in("truncate_n")?,
            corrupt_n: one_in("corrupt_n")?,
            seed,
            state: Mutex::default(),
        })
    }

    /// The answer to the next request, whose client knows it by `id`. Which are spoilt depends on the seed and the count alone:
    /// each with one chance in n. Of those cut short every other one has the shorter length in its head, so that only its
    /// content tells.
    pub(crate) fn serve(&self, id: &str, body: Bytes, may_swap: bool) -> Served {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let k = state.answers;
        state.answers += 1;
        let hit = |n: u64, salt: u64| n > 0 && mix(self.seed ^ salt, k).is_multiple_of(n);
        let other = state
            .last
            .replace(body.clone())
            .filter(|other| may_swap && *other != body);
        let mut served = Served {
            length: body.len(),
            body,
        };
        let kind = if let Some(other) = other.filter(|_| hit(self.swap_n, 1)) {
            served.length = other.len();
            served.body = other;
            "swapped"
        } else if hit(self.truncate_n, 2) {
            let cut = served.body.len() / 2;
            served.body.truncate(cut);
            if state.bad_count.is_multiple_of(2) {
                "cut connection"
            } else {
                served.length = cut;
                "cut content"
            }
        } else if hit(self.corrupt_n, 3) && !served.body.is_empty() {
            let mut bytes = served.body.to_vec();
            let at = (mix(self.seed ^ 4, k) % bytes.len() as u64) as usize;
            bytes[at] ^= 1;
            served.body = bytes.into();
            "corrupted"
        } else {
            return served;
        };
        state.bad_count += 1;
        if state.bad.len() < LISTED_MAX {
            state.bad.push(json!({ "answer": k, "id": id, "kind": kind }));
        }
        served
    }

    /// How many answers there were, and the bad ones.
    pub(crate) fn to_json(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "answers": state.answers, "bad_count": state.bad_count, "bad": state.bad })
    }
}

impl Served {
    /// Puts it into a response, whose other headers stay.
    pub(crate) fn into_response(self, mut response: Response<Body>) -> Response<Body> {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, self.length.into());
        *response.body_mut() = if self.body.len() < self.length {
            Body::new(CutBody::Start(self.body))
        } else {
            Body::from(self.body)
        };
        response
    }
}

/// A body whose connection is cut before its announced end.
enum CutBody {
    /// To be sent.
    Start(Bytes),
    /// To reach the wire: what is cut before that never left.
    Flush,
    /// To be cut.
    Cut,
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match std::mem::replace(&mut *self, Self::Cut) {
            Self::Start(bytes) => {
                *self = Self::Flush;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Flush => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Cut => Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
