//! The reader of event streams against the examples of the standard, against a second reading of it that is too
//! simple to be wrong, and against any split of the bytes.

use prony_wire::sse::{Event, SseDecoder, SseError, SseLimits};
use proptest::prelude::*;

/// Type, data, id.
type Owned = (String, Vec<u8>, String);

fn owned(event: Event<'_>) -> Owned {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(event.kind), event.data.to_vec(), text(event.id))
}

#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<Owned>,
    end: Result<(), SseError>,
    retry_ms: Option<u64>,
    comments: u64,
}

fn read_with<'a>(limits: SseLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut decoder = SseDecoder::new(limits);
    let mut events = Vec::new();
    let mut fed = Ok(());
    for piece in pieces {
        fed = decoder.feed(piece, &mut |event| events.push(owned(event)));
        let held_max = 3 * limits.line_bytes_max + limits.event_bytes_max;
        assert!(
            decoder.held_bytes() <= held_max,
            "{} bytes held",
            decoder.held_bytes()
        );
        if fed.is_err() {
            assert_eq!(decoder.feed(b"data: x\n\n", &mut |_| unreachable!()), fed);
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

fn read(bytes: &[u8]) -> Seen {
    read_with(SseLimits::default(), [bytes])
}

fn messages(bytes: &[u8]) -> Vec<String> {
    let text = |(_, data, _): Owned| String::from_utf8(data).unwrap();
    read(bytes).events.into_iter().map(text).collect()
}

/// The standard read word by word: whole text, lines, fields. No limits.
fn by_the_book(bytes: &[u8]) -> Seen {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = vec![Vec::new()];
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'\r', b'\n', ..] => {
                lines.push(Vec::new());
                at += 1;
            }
            [b'\r' | b'\n', ..] => lines.push(Vec::new()),
            [byte, ..] => lines.last_mut().unwrap().push(*byte),
            [] => unreachable!(),
        }
        at += 1;
    }
    let rest = lines.pop().unwrap();
    let mut seen = Seen {
        events: Vec::new(),
        end: Ok(()),
        retry_ms: None,
        comments: 0,
    };
    let (mut kind, mut data, mut id) = (Vec::new(), Vec::new(), Vec::new());
    let mut begun = false;
    for line in lines {
        if line.is_empty() {
            if data.pop().is_some() {
                let kind = if kind.is_empty() {
                    b"message".to_vec()
                } else {
                    kind.clone()
                };
                seen.events.push(owned(Event {
                    kind: &kind,
                    data: &data,
                    id: &id,
                }));
            }
            kind.clear();
            data.clear();
            begun = false;
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        if colon == Some(0) {
            seen.comments += 1;
            continue;
        }
        begun = true;
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(&[][..], |c| &line[c + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if name == b"event" {
            kind = value.to_vec();
        } else if name == b"data" {
            data.extend_from_slice(value);
            data.push(b'\n');
        } else if name == b"id" && !value.contains(&0) {
            id = value.to_vec();
        } else if name == b"retry" && !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            let digits = String::from_utf8(value.to_vec()).unwrap();
            seen.retry_ms = Some(digits.parse().unwrap_or(u64::MAX));
        }
    }
    if begun || !(rest.is_empty() || rest[0] == b':') {
        seen.end = Err(SseError::Incomplete);
    }
    seen
}

#[test]
fn the_examples_of_the_standard() {
    assert_eq!(messages(b"data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);

    let four = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event";
    let seen = read(four);
    let expected = [("first event", "1"), ("second event", "")];
    let got: Vec<(&str, &str)> = seen
        .events
        .iter()
        .map(|(_, data, id)| (std::str::from_utf8(data).unwrap(), id.as_str()))
        .collect();
    assert_eq!(got, expected);
    assert_eq!((seen.end, seen.comments), (Err(SseError::Incomplete), 1));
    let mut complete = four.to_vec();
    complete.extend_from_slice(b"\n\n");
    assert_eq!(messages(&complete)[2], " third event");

    assert_eq!(messages(b"data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(messages(b"data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn a_stream_of_a_chat_completion() {
    let stream = b"\xef\xbb\xbf: hello\n\nevent: delta\nid: a\ndata: {\"t\":\"Gr\xc3\xbc\xc3\x9fe\"}\n\nretry: 1500\n\n\
                   event: end\ndata: [DONE]\n\n";
    let seen = read(stream);
    assert_eq!(
        seen.events,
        [
            ("delta".into(), "{\"t\":\"Gr\u{fc}\u{df}e\"}".into(), "a".into()),
            ("end".into(), b"[DONE]".to_vec(), "a".into()),
        ]
    );
    assert_eq!((seen.end, seen.retry_ms, seen.comments), (Ok(()), Some(1500), 1));
    // Every place where a read may end, the middle of a character and of the byte order mark among them.
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(read_with(SseLimits::default(), [a, b]), seen, "split at {at}");
    }
    assert_eq!(read_with(SseLimits::default(), stream.chunks(1)), seen);
}

#[test]
fn the_three_line_ends_mean_the_same() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["event: a", "data: 1", "", "data: 2", "data: 3", "", ""].join(end);
        let seen = read(stream.as_bytes());
        let (message, data) = ("message".to_owned(), b"2\n3".to_vec());
        assert_eq!(
            seen.events,
            [
                ("a".into(), b"1".to_vec(), String::new()),
                (message, data, String::new())
            ],
            "{end:?}"
        );
        assert_eq!(read_with(SseLimits::default(), stream.as_bytes().chunks(1)), seen);
    }
    // An event ends with its carriage return: it does not wait for the line feed that may follow.
    assert_eq!(messages(b"data: now\r\n\r"), ["now"]);
}

#[test]
fn an_event_within_one_read_is_not_copied() {
    let stream = b"event: a\ndata: first\n\ndata: second\n\ndata: cut";
    let within = |part: &[u8]| stream.as_ptr_range().contains(&part.as_ptr());
    let mut lent = Vec::new();
    let mut decoder = SseDecoder::default();
    decoder
        .feed(stream, &mut |e| lent.push((within(e.data), within(e.kind))))
        .unwrap();
    assert_eq!(lent, [(true, true), (true, false)]);
    assert_eq!(decoder.held_bytes(), "data: cut".len());
}

#[test]
fn odd_fields() {
    // Only one blank after the colon goes; names are exact; unknown ones and a field without a colon are no error.
    assert_eq!(
        messages(b"data:  a \nData: b\n data: c\nwhat: d\ndatax\n\n"),
        [" a "]
    );
    // A type without data is no event, and does not last.
    let seen = read(b"event: gone\n\ndata: x\n\n");
    assert_eq!(seen.events, [("message".into(), b"x".to_vec(), String::new())]);
    // The last type counts, and an empty one is none.
    assert_eq!(read(b"event: a\nevent: b\ndata: x\n\n").events[0].0, "b");
    assert_eq!(read(b"event: a\nevent\ndata: x\n\n").events[0].0, "message");
    // An id lasts, one with a NUL is ignored, and an empty one ends it.
    let ids: Vec<String> = read(b"id: 7\ndata\n\nid: a\0b\ndata\n\ndata\n\nid\ndata\n\n")
        .events
        .into_iter()
        .map(|(_, _, id)| id)
        .collect();
    assert_eq!(ids, ["7", "7", "7", ""]);
    for (field, expected) in [
        ("retry: 10", Some(10)),
        ("retry:010", Some(10)),
        ("retry: 1e3", None),
        ("retry: -1", None),
        ("retry", None),
        ("retry: 99999999999999999999999", Some(u64::MAX)),
    ] {
        assert_eq!(
            read(format!("{field}\n\n").as_bytes()).retry_ms,
            expected,
            "{field}"
        );
    }
    // Only one byte order mark, and only at the start.
    assert_eq!(messages(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n"), ["b"]);
    assert_eq!(messages(b"data: a\n\n\xef\xbb\xbfdata: b\n\n"), ["a"]);
}

#[test]
fn an_unfinished_event_is_told() {
    for whole in [
        "",
        "\n",
        "data: a\n\n",
        ": only a comm",
        "\u{feff}",
        "\u{feff}: c",
        "data: a\n\n\r",
    ] {
        assert_eq!(read(whole.as_bytes()).end, Ok(()), "{whole:?}");
    }
    for cut in [
        "d",
        "data: a",
        "data: a\n",
        "data: a\n\ndata: b\n",
        "id: 3\n",
        "\u{feff}data",
        "event: x\n: c\n",
    ] {
        assert_eq!(read(cut.as_bytes()).end, Err(SseError::Incomplete), "{cut:?}");
    }
}

#[test]
fn a_decoder_starts_afresh() {
    let mut decoder = SseDecoder::new(SseLimits::default());
    let mut events = Vec::new();
    decoder
        .feed(
            b"id: 1\nretry: 5\n: c\ndata: a\n\nevent: x\ndata: half",
            &mut |e| events.push(owned(e)),
        )
        .unwrap();
    decoder.reset();
    assert_eq!((decoder.finish(), decoder.held_bytes()), (Ok(()), 0));
    assert_eq!((decoder.retry_ms(), decoder.comments()), (None, 0));
    decoder
        .feed(b"\xef\xbb\xbfdata: b\n\n", &mut |e| events.push(owned(e)))
        .unwrap();
    assert_eq!(events[1], ("message".into(), b"b".to_vec(), String::new()));
    let mut small = SseDecoder::new(SMALL);
    assert!(small.feed(&[b'x'; 100], &mut |_| ()).is_err());
    small.reset();
    assert_eq!(small.feed(b"data: b\n\n", &mut |_| ()), Ok(()));
}

const SMALL: SseLimits = SseLimits {
    line_bytes_max: 12,
    event_bytes_max: 10,
};

#[test]
fn limits_hold_before_memory_does() {
    let end = |bytes: &[u8]| read_with(SMALL, [bytes]).end;
    assert_eq!(end(b"data: 123456\n\n"), Ok(()));
    assert_eq!(
        end(b"data: 1234567\n\n"),
        Err(SseError::LineTooLong { bytes_max: 12 })
    );
    assert_eq!(
        end(b": a comment that is long\n"),
        Err(SseError::LineTooLong { bytes_max: 12 })
    );
    assert_eq!(end(&[b'x'; 13]), Err(SseError::LineTooLong { bytes_max: 12 }));
    assert_eq!(end(b"data: 12345\ndata: 1234\n\n"), Ok(()));
    assert_eq!(
        end(b"data: 12345\ndata: 12345\n\n"),
        Err(SseError::EventTooLarge { bytes_max: 10 })
    );
    // Empty lines of data take room as well.
    assert_eq!(end(&b"data\n".repeat(11)), Err(SseError::Incomplete));
    assert_eq!(
        end(&b"data\n".repeat(12)),
        Err(SseError::EventTooLarge { bytes_max: 10 })
    );
    // A stream of small events has no end that it must reach.
    let seen = read_with(SMALL, std::iter::repeat_n(b"data: 1\n\n".as_slice(), 10_000));
    assert_eq!((seen.events.len(), seen.end), (10_000, Ok(())));
}

/// Streams of the words that mean something, with a little of everything else.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"data",
        b"data:",
        b"data: ",
        b"event:",
        b"id: 1",
        b"id",
        b"retry: 20",
        b":",
        b" ",
        b"x",
        b"\0",
        b"\xc3\xbc",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"data: [DONE]\n\n",
        b"a longer run of text",
    ];
    let word = prop_oneof![
        6 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_gives_what_the_book_says(bytes in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let expected = by_the_book(&bytes);
        prop_assert_eq!(&read(&bytes), &expected);
        prop_assert_eq!(&read_with(SseLimits::default(), pieces(&bytes, &cuts)), &expected);
        prop_assert_eq!(&read_with(SseLimits::default(), bytes.chunks(1)), &expected);
    }

    #[test]
    fn any_split_meets_the_same_limit(bytes in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let expected = read_with(SMALL, [bytes.as_slice()]);
        prop_assert_eq!(&read_with(SMALL, pieces(&bytes, &cuts)), &expected);
        prop_assert_eq!(&read_with(SMALL, bytes.chunks(1)), &expected);
    }
}
