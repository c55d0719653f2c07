//! The corpus cut at every place: through the parser without exception, and a few answers through the engine.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use prony_model::{Expect, Outcome, OutcomeClass, PhaseResult, Request};
use prony_wire::http1::{Broken, Events, Fed, Head, HeadCache, ResponseParser};

use crate::corpus::{Case, cases};
use crate::server::{limits, phase, request, rogue, run, sequential};

const HEAD_MAX: u64 = 4096;
const BODY_MAX: u64 = 1 << 20;

#[derive(Debug, Default, PartialEq)]
struct Seen {
    status: u16,
    body: Vec<u8>,
    end: Option<Outcome>,
}

impl Events for Seen {
    fn head(&mut self, head: &Head, _: &[u8]) {
        assert_eq!(self.status, 0, "one head per answer");
        self.status = head.status;
    }
    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

/// What the pieces of one answer come to; `end` is none while more is wanted and the peer has not closed.
fn read(case: &Case, pieces: &[&[u8]], closes: bool) -> Seen {
    let mut parser = ResponseParser::new(HEAD_MAX, BODY_MAX);
    parser.reset(case.method == "HEAD");
    let (mut seen, mut cache) = (Seen::default(), HeadCache::default());
    for (i, piece) in pieces.iter().enumerate() {
        let fed = parser.feed(piece, &mut cache, &mut seen);
        assert!(parser.held_bytes() as u64 <= HEAD_MAX + 1, "{}", case.name);
        match fed {
            Ok(Fed::More) => {}
            Ok(Fed::Done { used }) => {
                let more = used < piece.len() || pieces[i + 1..].iter().any(|p| !p.is_empty());
                seen.end = Some(if more { Outcome::TrailingBytes } else { Outcome::Ok });
                return seen;
            }
            Err(broken) => {
                seen.end = Some(named(broken));
                return seen;
            }
        }
    }
    if closes {
        seen.end = Some(parser.close().map_or_else(named, |()| Outcome::Ok));
    }
    seen
}

fn named(broken: Broken) -> Outcome {
    match broken {
        Broken::Malformed(_) => Outcome::Malformed,
        Broken::HeadTooLarge => Outcome::HeadersTooLarge,
        Broken::BodyTooLarge => Outcome::BodyTooLarge,
        Broken::Truncated => Outcome::Truncated,
        Broken::Nothing => Outcome::Reset,
    }
}

/// What the corpus expects of the parser: a status is none of its business.
fn expected(case: &Case) -> Outcome {
    match case.outcome.class() {
        OutcomeClass::Protocol => case.outcome,
        _ => Outcome::Ok,
    }
}

#[test]
fn every_split_of_every_case() {
    let mut splits = 0;
    for case in &cases() {
        let Some((bytes, closes)) = case.answer() else {
            continue;
        };
        let whole = read(case, &[bytes], closes);
        assert_eq!(
            (whole.end, whole.status, whole.body.len() as u64),
            (Some(expected(case)), case.status, case.body_bytes),
            "{}",
            case.name
        );
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(case, &singles, closes), whole, "{} byte by byte", case.name);
        // Long ones are long by repetition.
        let every = if bytes.len() > 4096 { 97 } else { 1 };
        for at in (0..=bytes.len()).step_by(every) {
            let (a, b) = bytes.split_at(at);
            assert_eq!(read(case, &[a, b], closes), whole, "{} split at {at}", case.name);
            splits += 1;
        }
        if bytes.len() > 120 {
            continue;
        }
        for at in 0..=bytes.len() {
            let (a, rest) = bytes.split_at(at);
            for second in 0..=rest.len() {
                let (b, c) = rest.split_at(second);
                assert_eq!(
                    read(case, &[a, b, c], closes),
                    whole,
                    "{} split at {at} and {second}",
                    case.name
                );
                splits += 1;
            }
        }
    }
    assert!(splits > 100_000, "{splits} splits");
}

#[test]
fn every_good_case_cut_short() {
    for case in &cases() {
        let Some((bytes, closes)) = case.answer() else {
            continue;
        };
        if expected(case) != Outcome::Ok {
            continue;
        }
        for at in 0..bytes.len() {
            let cut = read(case, &[&bytes[..at]], true);
            let outcome = cut.end.unwrap();
            if at == 0 {
                assert_eq!(outcome, Outcome::Reset, "{}", case.name);
            } else if closes && cut.status != 0 && cut.body.len() < case.body_bytes as usize {
                // Without a length nobody can know that there was to be more.
                assert!(
                    matches!(outcome, Outcome::Ok | Outcome::Truncated),
                    "{} cut at {at}",
                    case.name
                );
            } else if !(closes && outcome == Outcome::Ok) {
                assert_eq!(outcome, Outcome::Truncated, "{} cut at {at}", case.name);
            }
        }
    }
}

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nt: v\r\n\r\n";
const INTERIM: &[u8] = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// What comes of so many requests, one after the other.
fn one_by_one(url: &str, requests: u64) -> PhaseResult {
    let limits = limits(60_000);
    run(
        url,
        phase(Request::get("/"), Expect::default(), limits, sequential(requests)),
    )
}

#[test]
fn every_split_through_the_engine() {
    for answer in [PLAIN, CHUNKED, INTERIM] {
        let server = rogue(move |stream, _| {
            stream.set_nodelay(true).unwrap();
            for at in (0..=answer.len()).cycle() {
                if request(stream).is_none() || stream.write_all(&answer[..at]).is_err() {
                    return;
                }
                // Long enough for the client to meet the first part alone, most times.
                thread::sleep(Duration::from_millis(1));
                if stream.write_all(&answer[at..]).is_err() {
                    return;
                }
            }
        });
        let requests = answer.len() as u64 + 1;
        let result = one_by_one(&server.url, requests);
        assert_eq!(
            (result.summary.ok, result.summary.connections),
            (requests, 1),
            "{:?}",
            result.captures
        );
        assert!(result.captures.iter().all(|c| c.body == "hello"));
    }
}

#[test]
fn every_cut_through_the_engine() {
    for answer in [PLAIN, CHUNKED, INTERIM] {
        let cuts = AtomicUsize::new(0);
        let server = rogue(move |stream, _| {
            if request(stream).is_some() {
                let at = cuts.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&answer[..at.min(answer.len())]);
            }
        });
        let requests = answer.len() as u64 + 1;
        let result = one_by_one(&server.url, requests);
        let outcomes: Vec<Outcome> = result.samples.iter().map(|s| s.outcome).collect();
        let mut expected = vec![Outcome::Truncated; answer.len() + 1];
        expected[0] = Outcome::Reset;
        expected[answer.len()] = Outcome::Ok;
        assert_eq!(outcomes, expected);
    }
}
