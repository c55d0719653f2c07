//! Whose clock stamps events: the kernel's where it says when bytes arrived, so that a client that reads late is right all the
//! same; else that of the read.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{
    BodyCheck, Expect, Item, Nanos, Outcome, PhaseResult, Request, Shape, StreamExpect, StreamProtocol,
    StreamRecord,
};

use super::server::{HEAD, Heard, phase};
use super::{done, role, stop, token};

/// Bodies that the client is busy with while events arrive.
const ROUNDS: usize = 6;

/// Numbers in such a body.
const NUMBERS: usize = 1_000_000;

/// How far apart the two clocks may seem.
const SLACK: Nanos = Nanos(40_000);

/// Between these instants an event left.
#[derive(Clone, Copy, Debug)]
struct Left {
    before: Nanos,
    after: Nanos,
    /// When the client was next heard to do anything.
    answered: Nanos,
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Reads one head; its first line.
fn asked(stream: &mut impl Read) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the client left");
        text.push(byte[0]);
    }
    String::from_utf8(text)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

/// Keeps the client's one thread busy with a large body, sends an event meanwhile, and waits until the client is heard again.
fn keep_busy(listener: &TcpListener, epoch: Instant) -> Vec<Left> {
    let now = || Nanos::from(epoch.elapsed());
    let body = format!("[{}0]", "0,".repeat(NUMBERS));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let heavy = [head.as_bytes(), body.as_bytes()].concat();
    let (mut chat, mut other): (Option<TcpStream>, Option<TcpStream>) = (None, None);
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        if asked(&mut stream).starts_with("GET /chat ") {
            chat = Some(stream);
        } else {
            other = Some(stream);
        }
    }
    let (mut chat, mut other) = (chat.unwrap(), other.unwrap());
    chat.write_all(&[HEAD.as_bytes(), &chunk(&role())].concat())
        .unwrap();
    let mut left = Vec::new();
    for round in 0..ROUNDS {
        other.write_all(&heavy).unwrap();
        thread::sleep(Duration::from_millis(5));
        let before = now();
        chat.write_all(&chunk(&token("a"))).unwrap();
        let after = now();
        if round + 1 < ROUNDS {
            asked(&mut other);
        }
        let answered = now();
        left.push(Left {
            before,
            after,
            answered,
        });
    }
    let end = [chunk(&stop()), chunk(&done()), b"0\r\n\r\n".to_vec()].concat();
    chat.write_all(&end).unwrap();
    // Until the client is done with everything.
    while chat.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
    left
}

#[test]
fn gaps_are_the_servers_though_the_client_was_busy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let epoch = Instant::now();
    let server = thread::spawn(move || keep_busy(&listener, epoch));
    let mut load = phase(StreamExpect::new(StreamProtocol::OpenaiChat), 1, 600_000);
    let chat = Item {
        request: Request::get("/chat"),
        ..load.scenarios[0].items.remove(0)
    };
    let heavy = Item {
        request: Request::get("/heavy"),
        expect: Expect {
            body: vec![BodyCheck::Json("/7".to_owned())],
            ..Expect::default()
        },
    };
    load.scenarios[0].items = [vec![chat], vec![heavy; ROUNDS]].concat();
    load.shape = Shape::Closed {
        connections: 2,
        requests: Some(1 + ROUNDS as u64),
        duration_s: None,
        think_ms: 0.0,
    };
    load.limits.body_bytes_max = 1 << 30;
    let mut sink = Heard::default();
    let options = EngineOptions {
        epoch,
        threads: 1,
        ..EngineOptions::default()
    };
    let result = Engine::new(&target, options)
        .unwrap()
        .run(0, load, &mut sink)
        .unwrap();
    let left = server.join().unwrap();
    assert!(
        result.samples.iter().all(|s| s.outcome == Outcome::Ok),
        "{:?}",
        result.summary.rows
    );
    let [record] = sink.records.try_into().unwrap();
    let record: StreamRecord = record;
    let events = record
        .timeline
        .events(record.sent)
        .filter(|event| event.kind.is_token());
    let at: Vec<Nanos> = events.map(|event| event.at).collect();
    assert_eq!(at.len(), ROUNDS);
    // What was read together has the stamp of the last.
    let next = at[1..].iter().copied().chain([record.end]);
    let own: Vec<(Nanos, Left)> = at
        .iter()
        .copied()
        .zip(left.iter().copied())
        .zip(next)
        .filter(|((at, _), next)| at != next)
        .map(|(own, _)| own)
        .collect();
    assert!(own.len() >= ROUNDS / 2, "too many were read together: {at:?}");
    for pair in own.windows(2) {
        let [(from, first), (to, second)] = [pair[0], pair[1]];
        let gap = to - from;
        let least = second.before - first.after;
        let most = second.after - first.before;
        assert!(
            least <= gap + SLACK && gap <= most + SLACK,
            "{least} <= {gap} <= {most}: {left:?}"
        );
    }
    // Without the kernel's stamps that would not hold: the client was heard again only long after most events had left.
    let waited = left[..ROUNDS - 1]
        .iter()
        .filter(|l| l.answered - l.after > Nanos(20 * SLACK.0))
        .count();
    assert!(waited >= ROUNDS / 2, "the client was not kept busy: {left:?}");
    let validity = &result.summary.validity;
    assert!(validity.read_late_p99 > Nanos(20 * SLACK.0), "{validity:?}");
    assert!(validity.stamped_by_kernel >= ROUNDS as u64, "{validity:?}");
    assert!(
        validity.invalid.iter().all(|issue| issue.name != "late-reads"),
        "{validity:?}"
    );
}

/// Answers each request on a connection with a short stream.
fn talk(mut stream: impl Read + Write, answers: usize) {
    for _ in 0..answers {
        asked(&mut stream);
        stream.write_all(HEAD.as_bytes()).unwrap();
        for piece in [role(), token("a"), token(" b"), stop(), done()] {
            stream.write_all(&chunk(&piece)).unwrap();
            stream.flush().unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        stream.flush().unwrap();
    }
}

/// Loads a target with so many streams, one after the other.
fn load(target: &Target, requests: u64) -> PhaseResult {
    let expect = StreamExpect::new(StreamProtocol::OpenaiChat);
    let mut sink = Heard::default();
    let result = Engine::new(target, EngineOptions::default())
        .unwrap()
        .run(0, phase(expect, requests, 60_000), &mut sink)
        .unwrap();
    for record in &sink.records {
        assert_eq!(record.outcome, Outcome::Ok);
        let mut stamps = vec![record.sent, record.first_byte];
        stamps.extend(record.timeline.events(record.sent).map(|event| event.at));
        stamps.push(record.end);
        assert!(stamps.is_sorted(), "{stamps:?}");
    }
    for sample in &result.samples {
        assert!(
            sample.sent <= sample.first_byte && sample.first_byte <= sample.done,
            "{sample:?}"
        );
    }
    result
}

/// Who stamped the events of three answers of five each.
fn stamped(result: &PhaseResult) -> (u64, u64) {
    let validity = &result.summary.validity;
    let (kernel, read) = (validity.stamped_by_kernel, validity.stamped_by_read);
    assert_eq!(kernel + read, 15, "{validity:?}");
    (kernel, read)
}

#[test]
fn over_a_unix_socket_the_reads_stamp() {
    let path = std::env::temp_dir().join(format!("prony-stamps-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || talk(listener.accept().unwrap().0, 3));
    let mut target = Target::new("http://app.invalid").unwrap();
    target.unix_socket = Some(path.clone());
    assert_eq!(stamped(&load(&target, 3)), (0, 15));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn over_tls_the_kernel_stamps() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = Target::new(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    target.tls.insecure = true;
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let session = rustls::ServerConnection::new(config).unwrap();
        talk(rustls::StreamOwned::new(session, socket), 3);
    });
    let (kernel, _) = stamped(&load(&target, 3));
    // Those of the first answer may come before the kernel has begun to stamp.
    assert!(kernel >= 10, "{kernel} of 15");
}
