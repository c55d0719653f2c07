//! The response reader against good, odd and broken responses, and against any split of their bytes.

use prony_wire::http1::{Broken, Events, Fed, Framing, Head, HeadCache, ResponseParser, header_lines};
use proptest::prelude::*;

#[derive(Debug, Default, PartialEq, Clone)]
struct Seen {
    head: Option<Head>,
    body: Vec<u8>,
}

impl Events for Seen {
    fn head(&mut self, head: &Head, _: &[u8]) {
        assert!(self.head.is_none(), "one head per response");
        self.head = Some(*head);
    }
    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

type Result = (Seen, std::result::Result<Option<usize>, Broken>);

/// Feeds the pieces, then closes. `Ok(Some(n))`: done after n bytes; `Ok(None)`: done by the close.
fn read(pieces: &[&[u8]], no_body: bool, head_max: u64, body_max: u64) -> Result {
    let mut parser = ResponseParser::new(head_max, body_max);
    parser.reset(no_body);
    let (mut seen, mut cache, mut total) = (Seen::default(), HeadCache::default(), 0);
    for piece in pieces {
        match parser.feed(piece, &mut cache, &mut seen) {
            Ok(Fed::More) => total += piece.len(),
            Ok(Fed::Done { used }) => return (seen, Ok(Some(total + used))),
            Err(e) => return (seen, Err(e)),
        }
    }
    let end = parser.close().map(|()| None);
    (seen, end)
}

fn whole(bytes: &[u8]) -> Result {
    read(&[bytes], false, 1 << 16, 1 << 20)
}

#[test]
fn the_framings() {
    let (seen, end) = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloXX");
    assert_eq!((seen.body.as_slice(), end), (b"hello".as_slice(), Ok(Some(43))));
    assert!(seen.head.unwrap().keep_alive);

    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n06\r\n world\r\n0\r\nT: v\r\n\r\n";
    let (seen, end) = whole(chunked);
    assert_eq!(
        (seen.body.as_slice(), end),
        (b"hello world".as_slice(), Ok(Some(chunked.len())))
    );

    let (seen, end) = whole(b"HTTP/1.1 200 OK\r\n\r\nuntil close");
    assert_eq!((seen.body.as_slice(), end), (b"until close".as_slice(), Ok(None)));
    assert!(!seen.head.unwrap().keep_alive);

    for bytes in [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n".as_slice(),
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (seen, end) = whole(bytes);
        assert_eq!((seen.body.len(), end), (0, Ok(Some(bytes.len()))));
    }
    let (seen, end) = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], true, 999, 999);
    assert_eq!((seen.head.unwrap().framing, end), (Framing::None, Ok(Some(38))));
}

#[test]
fn interim_answers_are_skipped() {
    let (seen, end) =
        whole(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nz");
    assert_eq!(
        (seen.head.unwrap().status, seen.body.as_slice()),
        (201, b"z".as_slice())
    );
    assert!(matches!(end, Ok(Some(_))));
}

#[test]
fn keep_alive_follows_version_and_header() {
    let keep = |bytes: &[u8]| whole(bytes).0.head.unwrap().keep_alive;
    assert!(!keep(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert!(keep(
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n"
    ));
    assert!(!keep(
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n"
    ));
}

#[test]
fn each_fault_has_its_name() {
    let fault = |bytes: &[u8]| whole(bytes).1.unwrap_err();
    assert_eq!(fault(b""), Broken::Nothing);
    assert_eq!(fault(b"HTTP/1.1 200 OK\r\ncontent-len"), Broken::Truncated);
    assert_eq!(
        fault(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
        Broken::Truncated
    );
    assert_eq!(
        fault(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"),
        Broken::Truncated
    );
    for bytes in [
        b"SSH-2.0-OpenSSH_9.6\r\n".as_slice(),
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    ] {
        assert!(
            matches!(fault(bytes), Broken::Malformed(_)),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn limits_hold_before_memory_does() {
    let mut parser = ResponseParser::new(1000, 1000);
    let (mut seen, mut cache) = (Seen::default(), HeadCache::default());
    let mut result = parser.feed(b"HTTP/1.1 200 OK\r\nx: ", &mut cache, &mut seen);
    let mut fed = 0;
    while result == Ok(Fed::More) && fed < 100 {
        result = parser.feed(&vec![b'a'; 100_000], &mut cache, &mut seen);
        fed += 1;
    }
    assert_eq!((result, fed), (Err(Broken::HeadTooLarge), 1));
    let big = |bytes: &[u8]| read(&[bytes], false, 1000, 10).1.unwrap_err();
    assert_eq!(
        big(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"),
        Broken::BodyTooLarge
    );
    assert_eq!(big(b"HTTP/1.1 200 OK\r\n\r\n12345678901"), Broken::BodyTooLarge);
    // What fits below the limit is handed on, however the bytes come.
    let (seen, _) = read(&[b"HTTP/1.1 200 OK\r\n\r\n12345678901"], false, 1000, 10);
    assert_eq!(seen.body, b"1234567890");
    assert_eq!(
        big(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n"),
        Broken::BodyTooLarge
    );
}

#[test]
fn invalid_utf8_in_a_header_is_tolerated() {
    let raw = b"HTTP/1.1 200 OK\r\nx-name: \xff\xfe\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n";
    let (seen, end) = whole(raw);
    assert!(matches!(end, Ok(Some(_))));
    assert_eq!(seen.head.unwrap().content_type.unwrap().of(raw), b"text/plain");
    assert_eq!(header_lines(raw)[0], ("x-name".to_owned(), vec![0xff, 0xfe]));
}

#[test]
fn the_head_cache_changes_nothing() {
    let first = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab";
    let second = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
    let mut parser = ResponseParser::new(1000, 1000);
    let mut cache = HeadCache::default();
    for (bytes, no_body) in [
        (first.as_slice(), false),
        (first, false),
        (second, false),
        (first, false),
        (&first[..38], true),
    ] {
        parser.reset(no_body);
        let mut seen = Seen::default();
        let fed = parser.feed(bytes, &mut cache, &mut seen).unwrap();
        assert_eq!(fed, Fed::Done { used: bytes.len() });
        assert_eq!(seen.body, if no_body { b"" } else { &bytes[38..] });
    }
}

#[test]
fn a_remembered_head_counts_towards_the_limit() {
    let last = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let long = [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), last].concat();
    let mut parser = ResponseParser::new(last.len() as u64, 1000);
    let mut cache = HeadCache::default();
    let mut feed = |bytes: &[u8]| {
        parser.reset(false);
        parser.feed(bytes, &mut cache, &mut Seen::default())
    };
    assert_eq!(feed(&long), Err(Broken::HeadTooLarge));
    assert_eq!(feed(last), Ok(Fed::Done { used: last.len() }));
    assert_eq!(feed(&long), Err(Broken::HeadTooLarge));
}

#[test]
fn chunks_from_an_old_server_end_the_connection() {
    let head = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let (seen, end) = whole(head);
    assert_eq!(
        (seen.body.as_slice(), end),
        (b"ab".as_slice(), Ok(Some(head.len())))
    );
    assert!(!seen.head.unwrap().keep_alive);
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..200);
    let junk = prop::collection::vec(any::<u8>(), 0..80);
    (
        body,
        prop::collection::vec(1_usize..40, 1..6),
        0_u8..6,
        junk,
        any::<bool>(),
    )
        .prop_map(|(body, sizes, kind, junk, interim)| {
            let mut out = Vec::new();
            if interim {
                out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            match kind {
                0 | 1 => {
                    let declared = body.len() + usize::from(kind);
                    out.extend_from_slice(
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {declared}\r\n\r\n").as_bytes(),
                    );
                    out.extend_from_slice(&body);
                }
                2 => {
                    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                    let (mut rest, mut i) = (body.as_slice(), 0);
                    while !rest.is_empty() {
                        let n = sizes[i % sizes.len()].min(rest.len());
                        out.extend_from_slice(format!("{n:x}\r\n").as_bytes());
                        out.extend_from_slice(&rest[..n]);
                        out.extend_from_slice(b"\r\n");
                        rest = &rest[n..];
                        i += 1;
                    }
                    out.extend_from_slice(b"0\r\nx: y\r\n\r\n");
                }
                3 => {
                    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                    out.extend_from_slice(&junk);
                }
                4 => {
                    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
                    out.extend_from_slice(&junk);
                    out.extend_from_slice(b"\r\n\r\n");
                }
                _ => out.extend_from_slice(&junk),
            }
            out
        })
}

proptest! {
    #[test]
    fn any_split_gives_the_same(bytes in response(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut at: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).filter(|p| !p.is_empty()).collect();
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        let expected = whole(&bytes);
        prop_assert_eq!(&read(&pieces, false, 1 << 16, 1 << 20), &expected);
        prop_assert_eq!(&read(&singles, false, 1 << 16, 1 << 20), &expected);
    }
}
