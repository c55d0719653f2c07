//! Connections that have served their time: the peer closes them, so that the port stays in TIME_WAIT at its side and
//! not at ours, where ports are scarce. Knows nothing of requests.

use prony_model::Nanos;

use super::Worker;
use super::connection::Stage;

/// How long a peer that was told `connection: close` may take to close.
const LINGER: Nanos = Nanos(500_000_000);

/// Most connections that wait for it; beyond that the oldest is closed by us.
pub(crate) const LINGERING_MAX: usize = 512;

impl Worker<'_> {
    /// Leaves a connection to the peer to close.
    pub(super) fn linger(&mut self, slot: u32, now: Nanos) {
        let Some(connection) = self.connections.at(slot) else {
            return;
        };
        connection.stage = Stage::Lingering;
        if self.lingering.len() >= LINGERING_MAX
            && let Some((oldest, _)) = self.lingering.pop_front()
        {
            self.close_at(oldest);
        }
        let token = self.connections.token(slot);
        self.lingering.push_back((token, now + LINGER));
    }

    /// Closes those whose peers take too long, and forgets those that are closed.
    pub(super) fn close_lingering(&mut self, now: Nanos) {
        while let Some(&(token, until)) = self.lingering.front()
            && (now >= until || self.connections.live(token).is_none())
        {
            self.lingering.pop_front();
            self.close_at(token);
        }
    }

    fn close_at(&mut self, token: u64) {
        if let Some(slot) = self.connections.live(token) {
            self.connections.take(slot);
        }
    }
}
