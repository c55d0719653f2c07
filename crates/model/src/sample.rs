//! One request as it is stored: fixed size, no heap, everything a verdict may need.

use crate::{Nanos, Outcome};

/// Encoded size of a [`Sample`] in bytes.
pub const SAMPLE_BYTES: usize = 80;

/// The record of one request.
///
/// Three durations, never mixed: response = done - intended (objectives use it), service = done - sent
/// (the target's part plus the wire), lag = sent - intended (our own error, and the wait for a new connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Position in the phase's schedule, from 0.
    pub seq: u64,
    /// When the schedule wanted it sent. In a closed loop, when the worker became free for it.
    pub intended: Nanos,
    /// When its first byte was handed to the socket; equals `intended` when it was never sent.
    pub sent: Nanos,
    /// When the first byte of the answer was read, of the last one where redirects were followed; zero when none came.
    pub first_byte: Nanos,
    /// When the answer was complete, or the failure known. A stream whose transport did not end in time after its terminal marker was
    /// complete with that.
    pub done: Nanos,
    /// XXH3-64 of the body where the phase asks for digests, else 0.
    pub digest: u64,
    /// Body bytes received, saturating.
    pub bytes_in: u32,
    /// Index into the scenario's items.
    pub item: u32,
    /// Time to connect (TCP and TLS) before it was first sent, in microseconds, saturating; 0 on a reused connection.
    pub connect_us: u32,
    /// The part of `connect_us` that the TLS handshake took; 0 without TLS.
    pub tls_us: u32,
    /// HTTP status; 0 when none came.
    pub status: u16,
    /// Index into the phase's scenarios.
    pub scenario: u16,
    /// Step of a ladder or stage list, from 0.
    pub step: u16,
    /// Index of the phase in the run.
    pub phase: u16,
    /// Worker thread.
    pub worker: u16,
    /// Which attempt at its arrival it is, from 0; above 0 only under a retry policy.
    pub attempt: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Circumstances, see [`SampleFlags`].
    pub flags: SampleFlags,
}

impl Default for Sample {
    /// A good answer at time zero, of no bytes: a base for records made by hand.
    fn default() -> Self {
        Self {
            seq: 0,
            intended: Nanos::ZERO,
            sent: Nanos::ZERO,
            first_byte: Nanos::ZERO,
            done: Nanos::ZERO,
            digest: 0,
            bytes_in: 0,
            item: 0,
            connect_us: 0,
            tls_us: 0,
            status: 200,
            scenario: 0,
            step: 0,
            phase: 0,
            worker: 0,
            attempt: 0,
            outcome: Outcome::Ok,
            flags: SampleFlags::default(),
        }
    }
}

/// Circumstances of one request, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleFlags(pub u16);

impl SampleFlags {
    /// A new connection was opened for it.
    pub const NEW_CONNECTION: Self = Self(1);
    /// A reused connection turned out closed and the request was sent again on a new one.
    pub const RESENT: Self = Self(2);
    /// One or more redirects were followed.
    pub const REDIRECTED: Self = Self(4);
    /// The target had it wait: for a connection that was being opened for another request, or for a free stream.
    pub const WAITED: Self = Self(16);
    /// Its response was captured.
    pub const CAPTURED: Self = Self(8);
    /// It failed, and the request was sent again under a retry policy: `attempt` counts on.
    pub const RETRIED: Self = Self(32);
    /// One attempt of an arrival that may take several; the arrival has a record of its own.
    pub const ATTEMPT: Self = Self(64);
    /// One step of a flow (`item` tells which); the flow has a record of its own.
    pub const STEP: Self = Self(128);
    /// The record of a whole arrival that may take several requests, from the intended start of its first to the end of
    /// its last. `item` is the last step reached, `attempt` counts all superseded attempts.
    pub const WHOLE: Self = Self(256);
    /// It was to be given up at a random moment, and was if its outcome is `interrupted`.
    pub const ABANDONED: Self = Self(512);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Sample {
    /// Whether it stands for an arrival: all of them are offered = ok + failed + own.
    pub fn is_arrival(&self) -> bool {
        self.part() == 0
    }

    /// Whether it stands for one request on the wire (or for one that was never sent).
    pub fn is_request(&self) -> bool {
        !self.flags.contains(SampleFlags::WHOLE)
    }

    /// Which part of its arrival it is: 0 for the arrival itself, `item + 1` for a step of a flow, 1 for an attempt.
    pub fn part(&self) -> u16 {
        if self.flags.contains(SampleFlags::STEP) {
            u16::try_from(self.item + 1).unwrap_or(u16::MAX)
        } else {
            u16::from(self.flags.contains(SampleFlags::ATTEMPT))
        }
    }

    /// From the intended start to the end: what a user waits.
    pub fn response(&self) -> Nanos {
        self.done - self.intended
    }

    /// From the first byte sent to the end.
    pub fn service(&self) -> Nanos {
        self.done - self.sent
    }

    /// How late it was sent. Includes the wait for a connection that was asked for in time.
    pub fn lag(&self) -> Nanos {
        self.sent - self.intended
    }

    /// The part of the lag that is our own: without the time that the target took to accept a connection. None of it
    /// is when the target had the request wait ([`SampleFlags::WAITED`]).
    pub fn own_lag(&self) -> Nanos {
        if self.flags.contains(SampleFlags::WAITED) {
            return Nanos::ZERO;
        }
        self.lag() - Nanos(u64::from(self.connect_us) * 1000)
    }

    /// From the first byte received to the end; `None` when no byte came.
    pub fn transfer(&self) -> Option<Nanos> {
        (self.first_byte.0 != 0).then(|| self.done - self.first_byte)
    }

    /// From the first byte sent to the first byte received; `None` when no byte came.
    pub fn ttfb(&self) -> Option<Nanos> {
        (self.first_byte.0 != 0).then(|| self.first_byte - self.sent)
    }

    /// Little-endian encoding, for the store. The last two bytes are zero.
    pub fn encode(&self) -> [u8; SAMPLE_BYTES] {
        let mut out = [0; SAMPLE_BYTES];
        out[0..8].copy_from_slice(&self.seq.to_le_bytes());
        out[8..16].copy_from_slice(&self.intended.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.sent.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_byte.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.done.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.digest.to_le_bytes());
        out[48..52].copy_from_slice(&self.bytes_in.to_le_bytes());
        out[52..56].copy_from_slice(&self.item.to_le_bytes());
        out[56..60].copy_from_slice(&self.connect_us.to_le_bytes());
        out[60..62].copy_from_slice(&self.status.to_le_bytes());
        out[62..64].copy_from_slice(&self.scenario.to_le_bytes());
        out[64..66].copy_from_slice(&self.step.to_le_bytes());
        out[66..68].copy_from_slice(&self.phase.to_le_bytes());
        out[68..70].copy_from_slice(&self.worker.to_le_bytes());
        out[70] = self.outcome as u8;
        let [low, high] = self.flags.0.to_le_bytes();
        out[71] = low;
        out[77] = high;
        out[72..76].copy_from_slice(&self.tls_us.to_le_bytes());
        out[76] = self.attempt;
        out
    }

    /// The reverse of [`Sample::encode`]; `None` when the outcome code is unknown.
    pub fn decode(bytes: &[u8; SAMPLE_BYTES]) -> Option<Self> {
        let u64_at = |i: usize| u64::from_le_bytes(bytes[i..i + 8].try_into().expect("8 bytes"));
        let u32_at = |i: usize| u32::from_le_bytes(bytes[i..i + 4].try_into().expect("4 bytes"));
        let u16_at = |i: usize| u16::from_le_bytes(bytes[i..i + 2].try_into().expect("2 bytes"));
        Some(Self {
            seq: u64_at(0),
            intended: Nanos(u64_at(8)),
            sent: Nanos(u64_at(16)),
            first_byte: Nanos(u64_at(24)),
            done: Nanos(u64_at(32)),
            digest: u64_at(40),
            bytes_in: u32_at(48),
            item: u32_at(52),
            connect_us: u32_at(56),
            status: u16_at(60),
            scenario: u16_at(62),
            step: u16_at(64),
            phase: u16_at(66),
            worker: u16_at(68),
            tls_us: u32_at(72),
            attempt: bytes[76],
            outcome: Outcome::from_code(bytes[70])?,
            flags: SampleFlags(u16::from_le_bytes([bytes[71], bytes[77]])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, SampleFlags};
    use crate::{Nanos, Outcome};

    #[test]
    fn a_wait_for_the_target_is_not_our_lag() {
        let sample = Sample {
            intended: Nanos(1_000_000),
            sent: Nanos(9_000_000),
            done: Nanos(10_000_000),
            connect_us: 7_000,
            ..Sample::default()
        };
        assert_eq!(
            (sample.lag(), sample.own_lag()),
            (Nanos(8_000_000), Nanos(1_000_000))
        );
        let waited = Sample {
            flags: SampleFlags::WAITED,
            ..sample
        };
        assert_eq!((waited.lag(), waited.own_lag()), (Nanos(8_000_000), Nanos::ZERO));
    }

    #[test]
    fn encoding_round_trips() {
        let sample = Sample {
            seq: 1,
            intended: Nanos(2),
            sent: Nanos(3),
            first_byte: Nanos(5),
            done: Nanos(8),
            digest: u64::MAX - 1,
            bytes_in: 13,
            item: 21,
            connect_us: 34,
            tls_us: 21,
            attempt: 2,
            status: 404,
            scenario: 55,
            step: 89,
            phase: 144,
            worker: 233,
            outcome: Outcome::Status4xx,
            flags: SampleFlags(0x0103),
        };
        let mut bytes = sample.encode();
        assert_eq!(Sample::decode(&bytes), Some(sample));
        bytes[70] = 250;
        assert_eq!(Sample::decode(&bytes), None);
    }
}
