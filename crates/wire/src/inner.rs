//! A connection to a server that exists only in this process: it is made at once, takes every request whole, and answers
//! when its owner says so. No system call. Knows no HTTP and no server.

use prony_model::Nanos;

use crate::{Clock, Received};

/// One such connection.
#[derive(Debug, Default)]
pub struct InnerStream {
    /// The answer under way, and when it arrives.
    coming: Option<(&'static [u8], Clock, Nanos)>,
}

impl InnerStream {
    /// The last request is answered with `answer` at `at`.
    pub fn answer(&mut self, answer: &'static [u8], clock: Clock, at: Nanos) {
        self.coming = Some((answer, clock, at));
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        let Some((answer, clock, at)) = self.coming else {
            return Received::Blocked;
        };
        if clock.now() < at {
            return Received::Blocked;
        }
        let n = answer.len().min(buffer.len());
        buffer[..n].copy_from_slice(&answer[..n]);
        self.coming = (n < answer.len()).then(|| (&answer[n..], clock, at));
        Received::Bytes(n)
    }
}
