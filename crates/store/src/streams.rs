//! The payload of `streams.seg`: one [`StreamRecord`] after the other, each with its length before it.
//!
//! ```text
//! record  length u32 of what follows, fields of fixed length, flags u16, a u32 for each flag that is set, timeline
//! ```
//!
//! All numbers are little endian. Knows bytes only.

use prony_model::{FinishReason, Nanos, Outcome, StreamRecord, Timeline, TokenUsage};

use crate::segment::{Kind, Size};

/// Most records in a chunk.
pub(crate) const CHUNK_RECORDS_MAX: usize = 1024;
/// So many bytes of records fill a chunk; one record may be longer.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// Longest payload that is read.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// `streams.seg`.
pub const STREAMS: Kind = Kind {
    file_magic: *b"PRONYSTM",
    version: 1,
    chunk_magic: *b"stm\xA7",
    count_max: CHUNK_RECORDS_MAX,
    size: Size::Told(PAYLOAD_BYTES_MAX),
};

const TERMINAL: u16 = 1 << 15;

/// Appends a record.
pub fn encode(record: &StreamRecord, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.seq.to_le_bytes());
    for stamp in stamps(record) {
        out.extend_from_slice(&stamp.0.to_le_bytes());
    }
    for number in [
        record.item,
        record.token_events,
        record.event_tokens,
        record.first_tokens,
        record.joined,
        record.events,
        record.comments,
        record.text_bytes,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for number in [record.phase, record.scenario, record.step] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[record.attempt, record.outcome as u8, record.finish as u8, 0]);
    let counts = counts(record);
    let mut flags = if record.terminal { TERMINAL } else { 0 };
    for (bit, count) in counts.iter().enumerate() {
        flags |= u16::from(count.is_some()) << bit;
    }
    out.extend_from_slice(&flags.to_le_bytes());
    for count in counts.into_iter().flatten() {
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.extend_from_slice(record.timeline.bytes());
    let bytes = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
}

/// Every record of a payload, `None` for one that this version cannot read. Ends early where the lengths make no sense.
pub fn decode(payload: &[u8]) -> impl Iterator<Item = Option<StreamRecord>> + '_ {
    let mut rest = Bytes(payload);
    std::iter::from_fn(move || {
        let length = rest.u32()? as usize;
        let record = rest.take(length)?;
        Some(decode_one(&mut Bytes(record)))
    })
}

fn stamps(record: &StreamRecord) -> [Nanos; 9] {
    [
        record.intended,
        record.sent,
        record.first_byte,
        record.first_event,
        record.first_token,
        record.first_output,
        record.last_token,
        record.end,
        record.longest_gap,
    ]
}

fn counts(record: &StreamRecord) -> [Option<u32>; 7] {
    let usage = &record.usage;
    [
        usage.input,
        usage.output,
        usage.cached,
        usage.reasoning,
        record.max_tokens,
        record.prompt_tokens,
        record.shared_tokens,
    ]
}

fn decode_one(from: &mut Bytes<'_>) -> Option<StreamRecord> {
    let seq = from.u64()?;
    let mut stamps = [Nanos::ZERO; 9];
    for stamp in &mut stamps {
        *stamp = Nanos(from.u64()?);
    }
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = from.u32()?;
    }
    let (phase, scenario, step) = (from.u16()?, from.u16()?, from.u16()?);
    let small = from.take(4)?;
    let flags = from.u16()?;
    let mut counts = [None; 7];
    for (bit, count) in counts.iter_mut().enumerate() {
        if flags & (1 << bit) != 0 {
            *count = Some(from.u32()?);
        }
    }
    let [
        intended,
        sent,
        first_byte,
        first_event,
        first_token,
        first_output,
        last_token,
        end,
        longest_gap,
    ] = stamps;
    let [
        item,
        token_events,
        event_tokens,
        first_tokens,
        joined,
        events,
        comments,
        text_bytes,
    ] = numbers;
    let [
        input,
        output,
        cached,
        reasoning,
        max_tokens,
        prompt_tokens,
        shared_tokens,
    ] = counts;
    Some(StreamRecord {
        seq,
        phase,
        scenario,
        item,
        step,
        attempt: small[0],
        outcome: Outcome::from_code(small[1])?,
        intended,
        sent,
        first_byte,
        first_event,
        first_token,
        first_output,
        last_token,
        end,
        token_events,
        event_tokens,
        first_tokens,
        joined,
        events,
        comments,
        longest_gap,
        text_bytes,
        usage: TokenUsage {
            input,
            output,
            cached,
            reasoning,
        },
        finish: FinishReason::from_code(small[2])?,
        terminal: flags & TERMINAL != 0,
        max_tokens,
        prompt_tokens,
        shared_tokens,
        timeline: Timeline::from_bytes(from.0.to_vec()),
    })
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}
