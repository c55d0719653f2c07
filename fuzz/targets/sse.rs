//! Event streams as a hostile server may send them: any split of the bytes must give the same events, none may panic,
//! and the decoder must hold no more than its limits.
//!
//! Input: a byte of flags (1: small limits), four bytes of seed for the split, then the stream.

#![no_main]

mod pieces;

use libfuzzer_sys::fuzz_target;
use pieces::{Cut, pieces};
use prony_wire::sse::{SseDecoder, SseError, SseLimits};

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Type, data and id of each event.
    events: Vec<[Vec<u8>; 3]>,
    end: Result<(), SseError>,
    retry_ms: Option<u64>,
    comments: u64,
}

fn read(decoder: &mut SseDecoder, stream: &[u8], cut: Cut, limits: SseLimits) -> Seen {
    decoder.reset();
    let mut events = Vec::new();
    let mut fed = Ok(());
    for piece in pieces(stream, cut) {
        fed = decoder.feed(piece, &mut |event| {
            assert!(event.data.len() <= limits.event_bytes_max && !event.kind.is_empty());
            events.push([event.kind.to_vec(), event.data.to_vec(), event.id.to_vec()]);
        });
        assert!(decoder.held_bytes() <= 3 * limits.line_bytes_max + limits.event_bytes_max);
        if fed.is_err() {
            break;
        }
    }
    Seen {
        events,
        end: fed.and(decoder.finish()),
        retry_ms: decoder.retry_ms(),
        comments: decoder.comments(),
    }
}

fuzz_target!(|input: &[u8]| {
    let [flags, a, b, c, d, stream @ ..] = input else {
        return;
    };
    let limits = if flags & 1 == 0 {
        SseLimits::default()
    } else {
        SseLimits {
            line_bytes_max: 12,
            event_bytes_max: 10,
        }
    };
    let mut decoder = SseDecoder::new(limits);
    let whole = read(&mut decoder, stream, Cut::Whole, limits);
    let seed = u32::from_le_bytes([*a, *b, *c, *d]);
    assert_eq!(whole, read(&mut decoder, stream, Cut::Seeded(seed), limits));
    assert_eq!(whole, read(&mut decoder, stream, Cut::Single, limits));
});
