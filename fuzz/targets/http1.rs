//! Responses as a hostile server may send them, one after the other on one connection: any split of the bytes must give
//! the same answers, none may panic, and the parser must hold no more than its limits.
//!
//! Input: a byte of flags (1: answers to HEAD, 2: small limits), four bytes of seed for the split, then the stream.

#![no_main]

mod pieces;

use libfuzzer_sys::fuzz_target;
use pieces::{Cut, pieces};
use prony_wire::http1::{Broken, Events, Fed, Head, HeadCache, ResponseParser, header_lines};

/// What one answer came to.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    head: Option<Head>,
    raw: Vec<u8>,
    body: Vec<u8>,
    broken: Option<Broken>,
}

impl Events for Answer {
    fn head(&mut self, head: &Head, raw: &[u8]) {
        assert!(self.head.is_none(), "one head per answer");
        assert!(!header_lines(raw).iter().any(|(name, _)| name.is_empty()));
        self.head = Some(*head);
        self.raw = raw.to_vec();
    }

    fn body(&mut self, bytes: &[u8]) {
        assert!(self.head.is_some() && !bytes.is_empty());
        self.body.extend_from_slice(bytes);
    }
}

#[derive(Clone, Copy)]
struct Limits {
    no_body: bool,
    head_bytes_max: u64,
    body_bytes_max: u64,
}

/// Reads answers until the stream ends, breaks or may not be used again.
fn read(stream: &[u8], cut: Cut, limits: Limits) -> Vec<Answer> {
    let mut parser = ResponseParser::new(limits.head_bytes_max, limits.body_bytes_max);
    parser.reset(limits.no_body);
    let mut cache = HeadCache::default();
    let mut answers = vec![Answer::default()];
    for piece in pieces(stream, cut) {
        let mut rest = piece;
        loop {
            let answer = answers.last_mut().expect("never empty");
            let fed = parser.feed(rest, &mut cache, answer);
            assert!(parser.held_bytes() as u64 <= limits.head_bytes_max + 1);
            assert!(answer.body.len() as u64 <= limits.body_bytes_max);
            assert_eq!(answer.body.len() as u64, parser.body_bytes());
            match fed {
                Ok(Fed::More) => break,
                Ok(Fed::Done { used }) => {
                    let keep_alive = parser.head().expect("a complete answer has a head").keep_alive;
                    if !keep_alive {
                        return answers;
                    }
                    answers.push(Answer::default());
                    parser.reset(limits.no_body);
                    rest = &rest[used..];
                    if rest.is_empty() {
                        break;
                    }
                }
                Err(broken) => {
                    answer.broken = Some(broken);
                    return answers;
                }
            }
        }
    }
    answers.last_mut().expect("never empty").broken = parser.close().err();
    answers
}

fuzz_target!(|input: &[u8]| {
    let [flags, a, b, c, d, stream @ ..] = input else {
        return;
    };
    let (head_bytes_max, body_bytes_max) = if flags & 2 == 0 {
        (1 << 16, 1 << 20)
    } else {
        (80, 20)
    };
    let limits = Limits {
        no_body: flags & 1 == 1,
        head_bytes_max,
        body_bytes_max,
    };
    let whole = read(stream, Cut::Whole, limits);
    let seed = u32::from_le_bytes([*a, *b, *c, *d]);
    assert_eq!(whole, read(stream, Cut::Seeded(seed), limits));
    assert_eq!(whole, read(stream, Cut::Single, limits));
});
