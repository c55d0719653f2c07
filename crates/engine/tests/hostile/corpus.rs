//! The corpus: what a server does, and the outcome that it must come to. Pure data.

use prony_model::Outcome;

use crate::server::Step;

/// One misdeed, or one oddity that is none.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    pub(crate) script: Vec<Step>,
    pub(crate) outcome: Outcome,
    /// Of the final head; 0 when none came.
    pub(crate) status: u16,
    /// Body bytes that were received.
    pub(crate) body_bytes: u64,
    /// Whether the connection serves the next request as well.
    pub(crate) reusable: bool,
}

impl Case {
    /// Bytes that answer one request, and whether the server closes after them; `None` when timing is part of it.
    pub(crate) fn answer(&self) -> Option<(&[u8], bool)> {
        match self.script.as_slice() {
            [Step::Hear, Step::Say(bytes)] => Some((bytes, false)),
            [Step::Hear, Step::Say(bytes), Step::Close] => Some((bytes, true)),
            _ => None,
        }
    }
}

struct Corpus(Vec<Case>);

impl Corpus {
    fn add(&mut self, name: &'static str, script: Vec<Step>, outcome: Outcome, status: u16, body_bytes: u64) {
        self.0.push(Case {
            name,
            method: "GET",
            script,
            outcome,
            status,
            body_bytes,
            reusable: false,
        });
    }

    /// A good answer after which the connection goes on.
    fn good(&mut self, name: &'static str, answer: impl Into<Vec<u8>>, body_bytes: u64) {
        self.add(name, said(answer), Outcome::Ok, 200, body_bytes);
        self.last().reusable = true;
    }

    /// A good answer that ends its connection.
    fn last_good(&mut self, name: &'static str, answer: impl Into<Vec<u8>>, body_bytes: u64) {
        self.add(name, closed(answer), Outcome::Ok, 200, body_bytes);
    }

    /// An answer that is not HTTP. The status is known where the head was good.
    fn malformed(&mut self, name: &'static str, status: u16, body_bytes: u64, answer: impl Into<Vec<u8>>) {
        self.add(name, said(answer), Outcome::Malformed, status, body_bytes);
    }

    fn last(&mut self) -> &mut Case {
        self.0.last_mut().expect("a case was added")
    }
}

fn said(answer: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Hear, Step::Say(answer.into())]
}

fn closed(answer: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Hear, Step::Say(answer.into()), Step::Close]
}

fn held(answer: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Hear, Step::Say(answer.into()), Step::Hold]
}

/// A 200 with these header lines, and what follows its head.
fn with(lines: &str, rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}").into_bytes()
}

fn chunks(rest: &str) -> Vec<u8> {
    with("transfer-encoding: chunked\r\n", rest)
}

/// Every case. The limits of a test: heads of 4 KiB, bodies of 1 MiB.
pub(crate) fn cases() -> Vec<Case> {
    let mut corpus = Corpus(Vec::new());
    good_answers(&mut corpus);
    odd_beginnings_and_ends(&mut corpus);
    bodiless(&mut corpus);
    lengths(&mut corpus);
    bad_chunks(&mut corpus);
    bad_heads(&mut corpus);
    endless(&mut corpus);
    too_slow(&mut corpus);
    lost_connections(&mut corpus);
    corpus.0
}

fn good_answers(c: &mut Corpus) {
    c.good("a plain answer", with("Content-Length: 5\r\n", "hello"), 5);
    c.good("an empty body", with("content-length: 0\r\n", ""), 0);
    c.good(
        "a length with blanks around it",
        with("content-length: \t 2 \r\n", "ok"),
        2,
    );
    c.good(
        "a length with leading zeros",
        with("content-length: 0002\r\n", "ok"),
        2,
    );
    c.good(
        "line feeds alone",
        *b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        2,
    );
    c.good("no reason", *b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", 2);
    c.good(
        "a reason outside ASCII",
        *b"HTTP/1.1 200 \xc3\xa9\xff\r\ncontent-length: 2\r\n\r\nok",
        2,
    );
    c.good(
        "a header value outside ASCII",
        *b"HTTP/1.1 200 OK\r\nx: \xff\xfe\r\ncontent-length: 2\r\n\r\nok",
        2,
    );
    c.good("one chunk", chunks("5\r\nhello\r\n0\r\n\r\n"), 5);
    c.good("no chunk but the last", chunks("0\r\n\r\n"), 0);
    let odd = "5;name=value\r\nhello\r\n0A ;x=\"a;b\"\r\n 123456789\r\n000\r\nTrailer: x\r\nother: y\r\n\r\n";
    c.good("chunks with extensions and trailers", chunks(odd), 15);
    c.good("chunks with line feeds alone", chunks("2\nok\n0\n\n"), 2);
    c.good(
        "gzip within chunks",
        with("transfer-encoding: gzip, chunked\r\n", "2\r\n\x1f_\r\n0\r\n\r\n"),
        2,
    );
    c.good(
        "identity named beside a length",
        with("transfer-encoding: identity\r\ncontent-length: 2\r\n", "ok"),
        2,
    );
    let bomb = "\x1f_ pretends to be 10 GB".repeat(400);
    let lines = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    c.good(
        "a compressed bomb is counted, not decoded",
        with(&lines, &bomb),
        bomb.len() as u64,
    );
}

fn odd_beginnings_and_ends(c: &mut Corpus) {
    let last = with("content-length: 2\r\n", "ok");
    let interim = |heads: &[u8]| [heads, &last].concat();
    c.good(
        "100 before the answer",
        interim(b"HTTP/1.1 100 Continue\r\n\r\n"),
        2,
    );
    c.good(
        "103 before the answer",
        interim(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
        2,
    );
    c.good(
        "many interim answers",
        interim(&b"HTTP/1.1 102 Processing\r\n\r\n".repeat(50)),
        2,
    );
    c.last_good("until the close", with("", "until close"), 11);
    c.last_good("HTTP/1.0 until the close", *b"HTTP/1.0 200 OK\r\n\r\nold", 3);
    c.last_good(
        "HTTP/1.0 with a length",
        *b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold",
        3,
    );
    c.good(
        "HTTP/1.0 that keeps alive",
        *b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nold",
        3,
    );
    c.last_good(
        "chunks from HTTP/1.0",
        *b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        1,
    );
    c.last_good(
        "a coding that ends with the connection",
        with("transfer-encoding: gzip\r\n", "\x1f_"),
        2,
    );
    c.last_good(
        "a last answer",
        with("connection: close\r\ncontent-length: 2\r\n", "ok"),
        2,
    );
    c.add(
        "a whole answer, then a reset",
        vec![Step::Hear, Step::Say(last.clone()), Step::Reset],
        Outcome::Ok,
        200,
        2,
    );
    let early = vec![Step::Say(last.clone()), Step::Hear];
    c.add(
        "an answer before the request was read",
        early,
        Outcome::Ok,
        200,
        2,
    );
    c.last().reusable = true;
    let slow = vec![Step::Hear, Step::Drip(last, 1)];
    c.add("byte by byte, yet in time", slow, Outcome::Ok, 200, 2);
    c.last().reusable = true;
}

fn bodiless(c: &mut Corpus) {
    let head = |name, answer: Vec<u8>, outcome, c: &mut Corpus| {
        c.add(name, said(answer), outcome, 200, 0);
        c.last().method = "HEAD";
        c.last().reusable = outcome == Outcome::Ok;
    };
    head(
        "HEAD with the length of what it leaves out",
        with("content-length: 99\r\n", ""),
        Outcome::Ok,
        c,
    );
    head("HEAD with chunks left out", chunks(""), Outcome::Ok, c);
    head("HEAD of unknown length", with("", ""), Outcome::Ok, c);
    head(
        "HEAD with a body",
        with("content-length: 2\r\n", "ok"),
        Outcome::TrailingBytes,
        c,
    );
    c.add(
        "204",
        said(*b"HTTP/1.1 204 No Content\r\n\r\n"),
        Outcome::Ok,
        204,
        0,
    );
    c.last().reusable = true;
    c.add(
        "204 with a length",
        said(*b"HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n"),
        Outcome::Ok,
        204,
        0,
    );
    c.last().reusable = true;
    c.add(
        "204 with a body",
        said(*b"HTTP/1.1 204 No Content\r\n\r\nbody"),
        Outcome::TrailingBytes,
        204,
        0,
    );
    let unchanged = *b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n";
    c.add(
        "304 with the length of what it leaves out",
        said(unchanged),
        Outcome::Status3xx,
        304,
        0,
    );
    c.last().reusable = true;
    let told = *b"HTTP/1.1 304 Not Modified\r\n\r\nbody";
    c.add("304 with a body", said(told), Outcome::TrailingBytes, 304, 0);
    c.add(
        "101 to nobody's wish",
        said(*b"HTTP/1.1 101 Switching\r\n\r\n"),
        Outcome::StatusOther,
        101,
        0,
    );
    c.add(
        "101 and another protocol",
        said(*b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02"),
        Outcome::TrailingBytes,
        101,
        0,
    );
    let busy = *b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
    c.add("503", said(busy), Outcome::Status503, 503, 0);
    c.last().reusable = true;
    let unknown = *b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n";
    c.add(
        "a status of no class",
        said(unknown),
        Outcome::StatusOther,
        999,
        0,
    );
    c.last().reusable = true;
}

fn lengths(c: &mut Corpus) {
    c.add(
        "shorter than declared",
        closed(with("content-length: 50\r\n", "hello")),
        Outcome::Truncated,
        200,
        5,
    );
    c.add(
        "longer than declared",
        said(with("content-length: 5\r\n", "hello more")),
        Outcome::TrailingBytes,
        200,
        5,
    );
    let two = with("content-length: 2\r\n", "ok").repeat(2);
    c.add(
        "two answers to one request",
        said(two),
        Outcome::TrailingBytes,
        200,
        2,
    );
    let garbage = with("content-length: 2\r\n", "ok\0\x01\x02\r\n\r\n");
    c.add(
        "garbage after the answer",
        said(garbage),
        Outcome::TrailingBytes,
        200,
        2,
    );
    let more = with("connection: close\r\ncontent-length: 2\r\n", "okand more");
    c.add(
        "more after the last answer",
        closed(more),
        Outcome::TrailingBytes,
        200,
        2,
    );
    c.add(
        "more after the last chunk",
        said(chunks("0\r\n\r\nmore")),
        Outcome::TrailingBytes,
        200,
        0,
    );
    c.add(
        "a length over the limit",
        said(with("content-length: 1048577\r\n", "x")),
        Outcome::BodyTooLarge,
        200,
        0,
    );
    let most = with("content-length: 9999999999999999999\r\n", "x");
    c.add("a length of 19 digits", said(most), Outcome::BodyTooLarge, 200, 0);
    for (name, lines) in [
        (
            "lengths that differ",
            "content-length: 5\r\ncontent-length: 6\r\n",
        ),
        (
            "the same length twice",
            "content-length: 5\r\ncontent-length: 5\r\n",
        ),
        ("a list of lengths", "content-length: 5, 5\r\n"),
        ("a negative length", "content-length: -5\r\n"),
        ("a length with a sign", "content-length: +5\r\n"),
        ("a hexadecimal length", "content-length: 0x5\r\n"),
        ("a length that is no whole number", "content-length: 5.0\r\n"),
        ("an empty length", "content-length: \r\n"),
        (
            "a length of 20 digits",
            "content-length: 18446744073709551621\r\n",
        ),
        (
            "a length beside chunks",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        ),
        (
            "chunks beside a length",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        ),
        (
            "a coding beside a length",
            "transfer-encoding: gzip\r\ncontent-length: 5\r\n",
        ),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n"),
        ("a coding around chunked", "transfer-encoding: chunked, gzip\r\n"),
        (
            "chunked on two lines",
            "transfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
    ] {
        c.malformed(name, 0, 0, with(lines, "5\r\nhello\r\n0\r\n\r\n"));
    }
}

fn bad_chunks(c: &mut Corpus) {
    for (name, rest, body_bytes) in [
        ("a chunk without a size", "\r\nhello", 0),
        ("a chunk with an extension for a size", ";x\r\nhello", 0),
        ("a chunk size that is no number", "xyz\r\n", 0),
        ("a chunk size with a prefix", "0x5\r\nhello\r\n", 0),
        ("a negative chunk size", "-5\r\nhello\r\n", 0),
        ("a chunk size over 60 bits", "fffffffffffffffff\r\n", 0),
        ("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n", 3),
        ("a chunk shorter than its size", "7\r\nhello\r\n0\r\n\r\n", 7),
        ("a chunk size ended by a lone return", "5\rhello", 0),
        ("a chunk ended by a lone return", "5\r\nhello\r0\r\n\r\n", 5),
        ("trailers ended by a lone return", "0\r\n\rx", 0),
    ] {
        c.malformed(name, 200, body_bytes, chunks(rest));
    }
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000));
    c.malformed("an extension without end", 200, 0, chunks(&extension));
    let trailers = format!("0\r\nx: {}\r\n\r\n", "y".repeat(5000));
    c.add(
        "trailers over the limit",
        said(chunks(&trailers)),
        Outcome::HeadersTooLarge,
        200,
        0,
    );
    c.add(
        "a close within a chunk",
        closed(chunks("5\r\nhel")),
        Outcome::Truncated,
        200,
        3,
    );
    c.add(
        "a close between chunks",
        closed(chunks("5\r\nhello\r\n")),
        Outcome::Truncated,
        200,
        5,
    );
    c.add(
        "a close before the end of the trailers",
        closed(chunks("0\r\nx: y\r\n")),
        Outcome::Truncated,
        200,
        0,
    );
    c.add(
        "a close before the last line end",
        closed(chunks("0\r\n")),
        Outcome::Truncated,
        200,
        0,
    );
}

fn bad_heads(c: &mut Corpus) {
    let rest = "content-length: 2\r\n\r\nok";
    for (name, line) in [
        ("lower-case http", "http/1.1 200 OK"),
        ("HTTP/2.0", "HTTP/2.0 200 OK"),
        ("HTTP/1.2", "HTTP/1.2 200 OK"),
        ("HTTP/1.10", "HTTP/1.10 200 OK"),
        ("a version and nothing else", "HTTP/1.1"),
        ("a status below 100", "HTTP/1.1 099 Low"),
        ("a status of two digits", "HTTP/1.1 99 Low"),
        ("a status of four digits", "HTTP/1.1 1000 High"),
        ("a status that is no number", "HTTP/1.1 2x0 OK"),
        ("two blanks before the status", "HTTP/1.1  200 OK"),
        ("a tab before the status", "HTTP/1.1\t200 OK"),
        ("a NUL in the status line", "HTTP/1.1 200 O\0K"),
        ("an empty line before the status line", "\r\nHTTP/1.1 200 OK"),
        ("a blank before the status line", " HTTP/1.1 200 OK"),
        ("a NUL in a header value", "HTTP/1.1 200 OK\r\nx: a\0b"),
        ("a NUL in a header name", "HTTP/1.1 200 OK\r\nx\0y: a"),
        ("a lone return in a header value", "HTTP/1.1 200 OK\r\nx: a\rb"),
        ("a header folded over two lines", "HTTP/1.1 200 OK\r\nx: a\r\n b"),
        ("a header line without a colon", "HTTP/1.1 200 OK\r\nno colon"),
        ("a header line without a name", "HTTP/1.1 200 OK\r\n: nameless"),
        ("a blank before the colon", "HTTP/1.1 200 OK\r\nx : a"),
        ("a blank in a header name", "HTTP/1.1 200 OK\r\nx y: a"),
        ("the mail server", "220 mail.example ESMTP ready"),
        ("the shell", "SSH-2.0-OpenSSH_9.6"),
    ] {
        c.malformed(name, 0, 0, format!("{line}\r\n{rest}"));
    }
    c.malformed(
        "a request for an answer",
        0,
        0,
        *b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    c.malformed("a TLS alert", 0, 0, *b"\x15\x03\x01\x00\x02\x02\x28");
    c.malformed("binary noise", 0, 0, [0xff, 0x00, 0x80].repeat(100));
    c.malformed(
        "an interim answer with a body",
        0,
        0,
        *b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello",
    );
    let bare = closed(*b"<html>this was an answer in 1991</html>\n");
    c.add("HTTP/0.9", bare, Outcome::Malformed, 0, 0);
}

fn endless(c: &mut Corpus) {
    let after = |head: Vec<u8>, piece: Vec<u8>| vec![Step::Hear, Step::Say(head), Step::Repeat(piece)];
    let line = after(with("x: ", ""), vec![b'y'; 4096]);
    c.add("a header line without end", line, Outcome::HeadersTooLarge, 0, 0);
    let lines = after(with("x: y", ""), b"a: b\r\n".repeat(100));
    c.add("header lines without end", lines, Outcome::HeadersTooLarge, 0, 0);
    c.add(
        "more header lines than anyone needs",
        said(with(&"a:\r\n".repeat(300), "")),
        Outcome::HeadersTooLarge,
        0,
        0,
    );
    let long = with(&format!("x: {}\r\n", "a".repeat(100_000)), "");
    c.add(
        "a giant header in a whole head",
        said(long),
        Outcome::HeadersTooLarge,
        0,
        0,
    );
    let interims = vec![
        Step::Hear,
        Step::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10)),
    ];
    c.add(
        "interim answers without end",
        interims,
        Outcome::HeadersTooLarge,
        0,
        0,
    );
    let most = 1 << 20;
    c.add(
        "a body without end",
        after(with("", ""), vec![b'x'; 65536]),
        Outcome::BodyTooLarge,
        200,
        most,
    );
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
    c.add(
        "chunks without end",
        after(chunks(""), chunk),
        Outcome::BodyTooLarge,
        200,
        most,
    );
    let trailers = after(chunks("0\r\n"), b"a: b\r\n".repeat(100));
    c.add("trailers without end", trailers, Outcome::HeadersTooLarge, 200, 0);
    let noise = vec![Step::Hear, Step::Repeat(vec![b'z'; 4096])];
    c.add("noise without end", noise, Outcome::Malformed, 0, 0);
}

/// What only a timeout ends.
fn too_slow(c: &mut Corpus) {
    c.add(
        "silence",
        vec![Step::Hear, Step::Hold],
        Outcome::HeadersTimeout,
        0,
        0,
    );
    c.add(
        "half a head, then silence",
        held(*b"HTTP/1.1 200 OK\r\nx"),
        Outcome::HeadersTimeout,
        0,
        0,
    );
    let interim = held(*b"HTTP/1.1 100 Continue\r\n\r\n");
    c.add(
        "an interim answer, then silence",
        interim,
        Outcome::HeadersTimeout,
        0,
        0,
    );
    c.add(
        "half a body, then silence",
        held(with("content-length: 5\r\n", "hel")),
        Outcome::BodyTimeout,
        200,
        3,
    );
    c.add(
        "half a chunk, then silence",
        held(chunks("5\r\nhel")),
        Outcome::BodyTimeout,
        200,
        3,
    );
    c.add(
        "no last chunk, then silence",
        held(chunks("5\r\nhello\r\n")),
        Outcome::BodyTimeout,
        200,
        5,
    );
    c.add(
        "no length and no close",
        held(with("", "hello")),
        Outcome::BodyTimeout,
        200,
        5,
    );
    let endless_head = with(&format!("x: {}", "y".repeat(4000)), "");
    let drip = vec![Step::Hear, Step::Drip(endless_head, 20)];
    c.add("a head that drips", drip, Outcome::HeadersTimeout, 0, 0);
}

fn lost_connections(c: &mut Corpus) {
    c.add(
        "a close without an answer",
        vec![Step::Hear, Step::Close],
        Outcome::Reset,
        0,
        0,
    );
    c.add(
        "a reset without an answer",
        vec![Step::Hear, Step::Reset],
        Outcome::Reset,
        0,
        0,
    );
    c.add(
        "a close before the request",
        vec![Step::Close],
        Outcome::Reset,
        0,
        0,
    );
    c.add(
        "a reset before the request",
        vec![Step::Reset],
        Outcome::Reset,
        0,
        0,
    );
    c.add(
        "its side ended before the request",
        vec![Step::Fin, Step::Hold],
        Outcome::Reset,
        0,
        0,
    );
    c.add(
        "a close within the head",
        closed(*b"HTTP/1.1 200 O"),
        Outcome::Truncated,
        0,
        0,
    );
    c.add(
        "a close after an interim answer",
        closed(*b"HTTP/1.1 100 Continue\r\n\r\n"),
        Outcome::Truncated,
        0,
        0,
    );
    let half = with("content-length: 50\r\n", "hello");
    let reset = vec![Step::Hear, Step::Say(half.clone()), Step::Pause(20), Step::Reset];
    c.add("a reset within the body", reset, Outcome::Reset, 200, 5);
    let head = vec![
        Step::Hear,
        Step::Say(b"HTTP/1.1 200 O".to_vec()),
        Step::Pause(20),
        Step::Reset,
    ];
    c.add("a reset within the head", head, Outcome::Reset, 0, 0);
    let fin = vec![Step::Hear, Step::Say(half), Step::Fin, Step::Hold];
    c.add("its side ended within the body", fin, Outcome::Truncated, 200, 5);
}
