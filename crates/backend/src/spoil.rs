//! Answers made wrong on purpose: cut short or with a wrong bit. It knows neither when nor why.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, header};
use http_body::{Frame, SizeHint};

/// A body to be sent, and the length to be announced.
#[derive(Debug)]
pub(crate) struct Served {
    /// What is sent.
    body: Bytes,
    /// The length announced; beyond that of the body when the connection is to be cut.
    length: usize,
}

impl Served {
    /// As it is.
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            length: body.len(),
            body,
        }
    }

    /// The first half. `honest` announces its length, so that only the content tells; otherwise the whole length is announced
    /// and the connection is cut.
    pub(crate) fn halved(mut body: Bytes, honest: bool) -> Self {
        let whole = body.len();
        body.truncate(whole / 2);
        Self {
            length: if honest { body.len() } else { whole },
            body,
        }
    }

    /// With the lowest bit of one byte turned over; `position` chooses the byte.
    pub(crate) fn flipped(body: &Bytes, position: u64) -> Self {
        let mut bytes = body.to_vec();
        if !bytes.is_empty() {
            let at = (position % bytes.len() as u64) as usize;
            bytes[at] ^= 1;
        }
        Self::whole(bytes.into())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_body_and_a_wrong_bit() {
        let body = Bytes::from_static(b"12345678");
        let cut = Served::halved(body.clone(), false);
        assert_eq!((cut.body.as_ref(), cut.length), (b"1234".as_ref(), 8));
        assert_eq!(Served::halved(body.clone(), true).length, 4);
        assert_eq!(Served::flipped(&body, 9).body.as_ref(), b"13345678");
        assert_eq!(Served::flipped(&Bytes::new(), 9).length, 0);
    }
}
