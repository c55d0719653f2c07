//! Token streams as a hostile server may send them: reading by shape and reading by parsing must say the same of every
//! event, in any split of the bytes, and neither may panic.
//!
//! Input: a byte that picks the protocol, four bytes of seed for the split, then the stream.

#![no_main]

mod pieces;

use libfuzzer_sys::fuzz_target;
use pieces::{Cut, pieces};
use prony_model::{FinishReason, StreamProtocol, TokenUsage};
use prony_wire::sse::SseDecoder;
use prony_wire::tokens::{Meaning, TokenDecoder};

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Seen {
    meanings: Vec<Meaning>,
    usage: TokenUsage,
    finish: FinishReason,
    terminal: bool,
    error: Option<String>,
    malformed: Option<String>,
}

fn read(mut tokens: TokenDecoder, stream: &[u8], cut: Cut) -> Seen {
    let mut sse = SseDecoder::default();
    let mut meanings = Vec::new();
    for piece in pieces(stream, cut) {
        if sse.feed(piece, &mut |event| meanings.push(tokens.event(event))).is_err() {
            break;
        }
    }
    for meaning in &meanings {
        assert_eq!(meaning.kind.is_token(), meaning.tokens > 0);
    }
    Seen {
        meanings,
        usage: tokens.usage(),
        finish: tokens.finish(),
        terminal: tokens.is_terminal(),
        error: tokens.error().map(str::to_owned),
        malformed: tokens.malformed().map(str::to_owned),
    }
}

fuzz_target!(|input: &[u8]| {
    let [which, a, b, c, d, stream @ ..] = input else {
        return;
    };
    let protocol = StreamProtocol::ALL[usize::from(*which) % StreamProtocol::ALL.len()];
    let seed = u32::from_le_bytes([*a, *b, *c, *d]);
    let whole = read(TokenDecoder::new(protocol), stream, Cut::Whole);
    assert_eq!(whole, read(TokenDecoder::parsing_all(protocol), stream, Cut::Whole));
    assert_eq!(whole, read(TokenDecoder::new(protocol), stream, Cut::Seeded(seed)));
});
