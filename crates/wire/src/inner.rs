//! A connection to a server that exists only in this process: it is made at once, takes every request whole, and answers
//! when its owner says so. No system call. Knows no HTTP and no server.

use std::borrow::Cow;

use prony_model::Nanos;

use crate::{Clock, Received};

/// One such connection.
#[derive(Debug, Default)]
pub struct InnerStream {
    /// The answer under way, and when it arrives.
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    answer: Cow<'static, [u8]>,
    /// Bytes that were read already.
    read: usize,
    clock: Clock,
    at: Nanos,
    /// Whether the connection ends after it.
    closes: bool,
}

impl InnerStream {
    /// The last request is answered with `answer` at `at`.
    pub fn answer(&mut self, answer: Cow<'static, [u8]>, clock: Clock, at: Nanos) {
        self.coming = Some(Coming {
            answer,
            read: 0,
            clock,
            at,
            closes: false,
        });
    }

    /// The connection ends at `at`, after `answer`, which may be nothing.
    pub fn close(&mut self, answer: Cow<'static, [u8]>, clock: Clock, at: Nanos) {
        self.answer(answer, clock, at);
        if let Some(coming) = &mut self.coming {
            coming.closes = true;
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        let Some(coming) = &mut self.coming else {
            return Received::Blocked;
        };
        if coming.clock.now() < coming.at {
            return Received::Blocked;
        }
        let rest = &coming.answer[coming.read..];
        if coming.closes && rest.is_empty() {
            return Received::Closed;
        }
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        coming.read += n;
        if coming.read == coming.answer.len() && !coming.closes {
            self.coming = None;
        }
        Received::Bytes(n)
    }
}
