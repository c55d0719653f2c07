//! Reads an answer that is a stream of tokens: every read with the instant at which its bytes arrived, by the kernel. What becomes of
//! the answer is decided elsewhere.

use prony_model::Nanos;
use prony_wire::Received;
use prony_wire::http1::{Broken, Fed};

use super::Worker;
use super::connection::Connection;
use super::exchange::{READS_MAX, Reading, closed_early, failed, lost};

impl Worker<'_> {
    /// Reads what came of a stream.
    pub(super) fn read_stream(&mut self, slot: u32) -> Reading {
        let Some(Connection {
            stream,
            parser,
            call: Some(call),
            hung_up,
            ..
        }) = self.connections.at(slot)
        else {
            return Reading::Waits;
        };
        for _ in 0..READS_MAX {
            let received = match self.watch.arrivals() {
                Some(arrivals) => stream.read_stamped(&mut self.buffer, arrivals),
                None => stream.read(&mut self.buffer),
            };
            if received == Ok(Received::Blocked) {
                return Reading::Waits;
            }
            self.stamp = self.prepared.clock.now();
            let n = match received {
                Ok(Received::Bytes(n)) => n,
                Ok(Received::Blocked | Received::Closed) => {
                    return match parser.close() {
                        Ok(()) => Reading::Done { trailing: false },
                        Err(Broken::Nothing) => closed_early(),
                        Err(broken) => failed(broken),
                    };
                }
                Err(error) => return lost(&error, call.first_byte != Nanos::ZERO),
            };
            let arrived = self.watch.arrived(self.stamp);
            call.read_at(self.stamp, arrived);
            let fed = parser.feed(&self.buffer[..n], &mut self.cache, &mut call.answer);
            if let Some(meter) = &mut call.answer.meter {
                self.watch.heard(meter, self.stamp);
            }
            match fed {
                Ok(Fed::Done { used }) => {
                    call.is_complete();
                    return Reading::Done { trailing: used < n };
                }
                Ok(Fed::More) => {
                    call.goes_on(self.stamp);
                    if n < self.buffer.len() && stream.short_read_drains() && !*hung_up {
                        return Reading::Waits;
                    }
                }
                Err(broken) => return failed(broken),
            }
        }
        Reading::Again
    }
}
