//! The HTTP/2 session against frames written by hand from RFC 9113: what each of them comes to, however it is cut.

use prony_wire::http1::{Events, Head, header_lines};
use prony_wire::http2::{Ended, Fault, Greeting, Progress, Refused, Request, Session, Sizes};
use proptest::prelude::*;

const SIZES: Sizes = Sizes {
    head_bytes_max: 4096,
    body_bytes_max: 100_000,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in pairs {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// A header block: a status, then literal fields that are not indexed.
fn block(status: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    // Name 8 of the static table is `:status` (RFC 7541, appendix A).
    let mut out = vec![0x08, status.len() as u8];
    out.extend(status.as_bytes());
    literals(fields, &mut out);
    out
}

fn literals(fields: &[(&str, &str)], out: &mut Vec<u8>) {
    for (name, value) in fields {
        out.push(0);
        for part in [name, value] {
            // A length of 127 or more takes further bytes (RFC 7541, section 5.1).
            if part.len() < 127 {
                out.push(part.len() as u8);
            } else {
                out.push(127);
                let mut rest = part.len() - 127;
                while rest >= 128 {
                    out.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                out.push(rest as u8);
            }
            out.extend(part.as_bytes());
        }
    }
}

/// Trailers, which end their stream.
fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    literals(fields, &mut out);
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &out)
}

fn head(stream: u32, status: &str, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(status, fields))
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    raw: Vec<u8>,
    body: Vec<u8>,
    trailers: Option<Vec<u8>>,
}

impl Events for Seen {
    fn head(&mut self, _: &Head, raw: &[u8]) {
        self.raw.extend_from_slice(raw);
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    fn trailers(&mut self, lines: &[u8]) {
        assert!(self.trailers.replace(lines.to_vec()).is_none());
    }
}

fn request(text: &str) -> Request {
    Request::from_http1(text.as_bytes(), false).unwrap()
}

fn get() -> Request {
    request("GET /path HTTP/1.1\r\nhost: here\r\nx-mine: 1\r\n\r\n")
}

/// Takes all output, as a socket with room would.
fn drain(session: &mut Session) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let n = {
            let output = session.output();
            all.extend_from_slice(output.as_ref());
            output.as_ref().len()
        };
        if n == 0 {
            return all;
        }
        session.sent(n);
    }
}

fn feed(session: &mut Session, bytes: &[u8]) {
    let mut buffer = bytes.to_vec().into_boxed_slice();
    session.receive(&mut buffer, bytes.len());
    assert_eq!(*buffer, *bytes, "the buffer comes back");
}

/// A session that was greeted, with no output left.
fn greeted(pairs: &[(u16, u32)]) -> Session {
    let mut session = Session::new(SIZES);
    feed(&mut session, &settings(pairs));
    // Ours hold once they are acknowledged.
    feed(&mut session, &frame(SETTINGS, ACK, 0, &[]));
    drain(&mut session);
    session
}

/// Lets the woken streams go on; what ended, by key.
fn ended(session: &mut Session, seen: &mut [Seen]) -> Vec<(u32, Ended)> {
    let mut all = Vec::new();
    while let Some(key) = session.next_woken() {
        if let Progress::Ended(end) = session.advance(key, &mut seen[key as usize]) {
            all.push((key, end));
        }
    }
    all
}

/// One request, answered by `bytes`: how it ended, unless it goes on.
fn answer(bytes: &[u8]) -> (Option<Ended>, Seen, Session) {
    let mut session = greeted(&[]);
    session.open(&get()).unwrap();
    let mut seen = [Seen::default()];
    assert!(ended(&mut session, &mut seen).is_empty());
    drain(&mut session);
    feed(&mut session, bytes);
    let end = ended(&mut session, &mut seen).pop().map(|(_, end)| end);
    let [seen] = seen;
    (end, seen, session)
}

fn fault(bytes: &[u8]) -> Fault {
    answer(bytes).0.unwrap().fault.unwrap()
}

#[test]
fn the_greeting_and_the_request_are_frames() {
    let mut session = Session::new(SIZES);
    let hello = drain(&mut session);
    assert!(hello.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"));
    assert_eq!(session.greeting(), Greeting::Awaited);
    feed(&mut session, &settings(&[(3, 7)]));
    assert_eq!(
        (session.greeting(), session.streams_max()),
        (Greeting::Answered, 7)
    );
    drain(&mut session);
    let key = session.open(&request(
        "POST /p HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\nhello",
    ));
    assert!(!session.is_written(key.unwrap()));
    let sent = drain(&mut session);
    assert!(session.is_written(key.unwrap()));
    // HEADERS of stream 1 that do not end it, then DATA that does.
    assert_eq!(sent[3..9], [HEADERS, END_HEADERS, 0, 0, 0, 1]);
    assert!(sent.ends_with(&frame(DATA, END_STREAM, 1, b"hello")), "{sent:?}");
}

#[test]
fn trailers_are_told_and_bounded_as_the_head_is() {
    let begun = [head(1, "200", &[], 0), frame(DATA, 0, 1, b"abc")].concat();
    let with = |fields: &[(&str, &str)]| answer(&[&begun[..], &trailers(1, fields)].concat());
    let (end, seen, _) = with(&[("grpc-status", "14"), ("grpc-message", "full")]);
    assert_eq!(end.unwrap().fault, None);
    let told = b"grpc-status: 14\r\ngrpc-message: full\r\n".to_vec();
    assert_eq!((&seen.body[..], seen.trailers), (&b"abc"[..], Some(told)));
    let (end, seen, _) = with(&[("x", &"y".repeat(5000))]);
    assert_eq!(end.unwrap().fault, Some(Fault::HeadTooLarge));
    assert_eq!(seen.trailers, None);
    let (_, seen, _) = answer(&[&begun[..], &frame(DATA, END_STREAM, 1, b"d")].concat());
    assert_eq!(seen.trailers, None);
}

#[test]
fn frames_of_one_byte_are_taken_and_very_many_empty_ones_are_named() {
    let begun = head(1, "200", &[], 0);
    let of = |bytes: &[u8], n: usize| {
        [
            &begun[..],
            &frame(DATA, 0, 1, bytes).repeat(n),
            &frame(DATA, END_STREAM, 1, b""),
        ]
        .concat()
    };
    let (end, seen, _) = answer(&of(b"x", 1000));
    assert_eq!((end.unwrap().fault, seen.body.len()), (None, 1000));
    let (end, ..) = answer(&of(b"", 100));
    assert_eq!(end.unwrap().fault, None);
    let (end, ..) = answer(&of(b"", 101));
    let Some(Fault::Malformed(why)) = end.unwrap().fault else {
        panic!("taken for something else")
    };
    assert!(why.contains("empty frames"), "{why}");
}

#[test]
fn a_peer_that_speaks_something_else_is_known_by_its_first_bytes() {
    for (bytes, greeting) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Greeting::Other),
        (b"<html>", Greeting::Other),
        (&[0x15, 0x03, 0x01, 0, 2, 2, 0x16], Greeting::Tls),
        (&frame(GOAWAY, 0, 0, &[0; 8]), Greeting::Other),
        (&frame(SETTINGS, ACK, 0, &[]), Greeting::Other),
        (&settings(&[(3, 100), (4, 70_000)]), Greeting::Answered),
    ] {
        for step in [1, bytes.len()] {
            let mut session = Session::new(SIZES);
            for (i, part) in bytes.chunks(step).enumerate() {
                let whole = (i + 1) * step >= bytes.len();
                feed(&mut session, part);
                assert!(
                    session.greeting() == greeting || (!whole && session.greeting() == Greeting::Awaited),
                    "{bytes:?}"
                );
            }
            assert_eq!(session.greeting(), greeting, "{bytes:?}");
        }
    }
}

#[test]
fn an_answer_with_everything() {
    let bytes = [
        head(1, "103", &[("link", "</a>")], 0),
        head(1, "200", &[("content-type", "text/plain"), ("x-a", "1")], 0),
        frame(DATA, 0, 1, b"first "),
        frame(DATA, 0, 1, b"second"),
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &[0, 3, b'x', b'-', b't', 1, b'9'],
        ),
    ];
    let (end, seen, _) = answer(&bytes.concat());
    let end = end.unwrap();
    let head = end.head.unwrap();
    assert_eq!((head.status, end.body_bytes, end.fault), (200, 12, None));
    assert_eq!(seen.body, b"first second");
    assert_eq!(head.content_type.unwrap().of(&seen.raw), b"text/plain");
    assert_eq!(
        header_lines(&seen.raw),
        [
            ("content-type".to_owned(), b"text/plain".to_vec()),
            ("x-a".to_owned(), b"1".to_vec()),
        ]
    );
}

#[test]
fn each_fault_has_its_name() {
    let ok = || head(1, "200", &[], 0);
    let code = |code: u32| code.to_be_bytes();
    let reset = fault(&frame(RST_STREAM, 0, 1, &code(8)));
    assert_eq!(
        reset,
        Fault::Reset("the peer reset the stream (RST_STREAM, CANCEL)".into())
    );
    let in_the_middle = [ok(), frame(DATA, 0, 1, b"x"), frame(RST_STREAM, 0, 1, &code(2))].concat();
    let (end, seen, _) = answer(&in_the_middle);
    let end = end.unwrap();
    assert!(end.begun && matches!(end.fault, Some(Fault::Reset(why)) if why.contains("INTERNAL_ERROR")));
    assert_eq!((end.body_bytes, seen.body), (1, b"x".to_vec()));

    let goaway = |last: u32, why: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code(why)].concat());
    assert_eq!(fault(&goaway(0, 0)), Fault::Unprocessed);
    assert!(matches!(fault(&goaway(0, 11)), Fault::Reset(why) if why.contains("ENHANCE_YOUR_CALM")));

    let long = "v".repeat(5000);
    assert_eq!(
        fault(&head(1, "200", &[("x-long", &long)], 0)),
        Fault::HeadTooLarge
    );
    let interim = head(1, "103", &[("x-long", &long[..3000])], 0);
    assert_eq!(fault(&[interim.clone(), interim].concat()), Fault::HeadTooLarge);
    assert_eq!(
        fault(&head(1, "200", &[("content-length", "100001")], 0)),
        Fault::BodyTooLarge
    );
    let mut flood = ok();
    for _ in 0..7 {
        flood.extend(frame(DATA, 0, 1, &[0; 16_000]));
    }
    assert_eq!(fault(&flood), Fault::BodyTooLarge);
    let short = [
        head(1, "200", &[("content-length", "9")], 0),
        frame(DATA, END_STREAM, 1, b"four"),
    ];
    assert!(matches!(fault(&short.concat()), Fault::Malformed(_)));
    assert!(matches!(
        fault(&frame(DATA, 0, 1, b"no head")),
        Fault::Malformed(_)
    ));
}

#[test]
fn the_length_of_a_body_that_does_not_come_is_over_no_limit() {
    let long = ("content-length", "100001");
    for status in ["204", "304"] {
        let (end, ..) = answer(&head(1, status, &[long], END_STREAM));
        assert_eq!(end.unwrap().fault, None, "{status}");
    }
    let mut session = greeted(&[]);
    session
        .open(&request("HEAD /path HTTP/1.1\r\nhost: here\r\n\r\n"))
        .unwrap();
    let mut seen = [Seen::default()];
    assert!(ended(&mut session, &mut seen).is_empty());
    drain(&mut session);
    feed(&mut session, &head(1, "200", &[long], END_STREAM));
    let (_, end) = ended(&mut session, &mut seen).pop().unwrap();
    assert_eq!((end.fault, end.body_bytes), (None, 0));
}

#[test]
fn a_fault_of_one_stream_leaves_the_others_alone() {
    let mut session = greeted(&[]);
    let mut seen: [Seen; 3] = Default::default();
    for _ in 0..3 {
        session.open(&get()).unwrap();
    }
    assert!(ended(&mut session, &mut seen).is_empty());
    drain(&mut session);
    session.cancel(0);
    let told = drain(&mut session);
    assert!(
        told.ends_with(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        "{told:?}"
    );
    let long = "v".repeat(5000);
    let bytes = [
        // Late for a stream that was given up.
        head(1, "200", &[], END_STREAM),
        head(3, "200", &[("x-long", &long)], 0),
        head(5, "204", &[], END_STREAM),
    ];
    feed(&mut session, &bytes.concat());
    let ends = ended(&mut session, &mut seen);
    assert_eq!(ends.len(), 2);
    assert_eq!(
        (ends[0].0, ends[0].1.fault.clone()),
        (1, Some(Fault::HeadTooLarge))
    );
    assert_eq!((ends[1].0, ends[1].1.head.map(|h| h.status)), (2, Some(204)));
    assert_eq!(session.active(), 0);
    // All three keys are free again.
    session.open(&get()).unwrap();
    assert!(!session.is_leaving());
}

#[test]
fn no_more_streams_than_the_peer_allows() {
    let mut session = greeted(&[(3, 2)]);
    let mut seen: [Seen; 2] = Default::default();
    session.open(&get()).unwrap();
    session.open(&get()).unwrap();
    assert!(ended(&mut session, &mut seen).is_empty());
    drain(&mut session);
    assert_eq!((session.active(), session.streams_max()), (2, 2));
    feed(&mut session, &head(3, "200", &[], END_STREAM));
    assert_eq!(ended(&mut session, &mut seen).len(), 1);
    session.open(&get()).unwrap();
    let sent = drain(&mut session);
    assert_eq!(sent[3..9], [HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 5]);
}

#[test]
fn a_goodbye_lets_the_rest_finish_and_nothing_new_start() {
    let mut session = greeted(&[]);
    let mut seen: [Seen; 2] = Default::default();
    session.open(&get()).unwrap();
    session.open(&get()).unwrap();
    assert!(ended(&mut session, &mut seen).is_empty());
    drain(&mut session);
    feed(&mut session, &frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    assert!(session.is_leaving());
    assert_eq!(session.open(&get()), Err(Refused::Leaving));
    let ends = ended(&mut session, &mut seen);
    assert_eq!(
        (ends.len(), ends[0].0, ends[0].1.fault.clone()),
        (1, 1, Some(Fault::Unprocessed))
    );
    feed(&mut session, &head(1, "200", &[], END_STREAM));
    let ends = ended(&mut session, &mut seen);
    assert_eq!((ends[0].0, ends[0].1.fault.clone()), (0, None));
}

#[test]
fn a_lost_connection_ends_what_is_unfinished() {
    let (end, _, mut session) = answer(&head(1, "200", &[], 0));
    assert_eq!(end, None);
    let whole = session.open(&get()).unwrap();
    session.close();
    let mut seen: [Seen; 2] = Default::default();
    let ends = ended(&mut session, &mut seen);
    assert!(
        ends.iter().all(|(_, end)| end.fault == Some(Fault::Lost)),
        "{ends:?}"
    );
    assert_eq!((ends.len(), whole), (2, 1));
    assert_eq!(session.open(&get()), Err(Refused::Leaving));
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from_without_end() {
    let mut session = greeted(&[]);
    // Every ping wants an answer of the same size.
    let pings = frame(6, 0, 0, &[1; 8]).repeat(15_000);
    for _ in 0..3 {
        if session.takes_input() {
            feed(&mut session, &pings);
        }
    }
    assert!(!session.takes_input());
    let answers = drain(&mut session);
    assert!(session.takes_input());
    assert_eq!(
        answers.len() % pings.len(),
        0,
        "every ping that was taken is answered"
    );
    assert!(answers.len() >= pings.len());
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_gives_the_same(cuts in prop::collection::vec(1_usize..400, 1..40)) {
        let bytes = [
            head(3, "404", &[("content-type", "a/b")], 0),
            head(1, "103", &[], 0),
            frame(DATA, 0, 3, &[7; 300]),
            head(1, "200", &[("content-length", "700")], 0),
            frame(DATA, 0, 1, &[1; 500]),
            frame(DATA, END_STREAM, 3, b"end"),
            frame(99, 0, 0, b"unknown frames are skipped"),
            frame(DATA, END_STREAM, 1, &[2; 200]),
            frame(RST_STREAM, 0, 5, &[0, 0, 0, 7]),
        ].concat();
        let run = |cuts: &mut dyn Iterator<Item = usize>| {
            let mut session = greeted(&[]);
            let mut seen: [Seen; 3] = Default::default();
            for _ in 0..3 {
                session.open(&get()).unwrap();
            }
            let mut ends = ended(&mut session, &mut seen);
            drain(&mut session);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (part, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                feed(&mut session, part);
                ends.extend(ended(&mut session, &mut seen));
                rest = after;
            }
            ends.sort_by_key(|(key, _)| *key);
            (ends, seen)
        };
        let whole = run(&mut std::iter::repeat(bytes.len()));
        prop_assert_eq!(whole.0.len(), 3);
        prop_assert_eq!(&run(&mut cuts.iter().copied().cycle()), &whole);
    }
}
