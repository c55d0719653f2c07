//! Connections: how many requests each takes, who closes it, where it starts and ends, and what it costs to make.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    Capture, Expect, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Request, SampleFlags, Scenario, Shape,
};
use rustls::{ServerConfig, ServerConnection};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The heads that came over each connection, in the order in which the connections were made.
type Seen = Arc<Mutex<Vec<Vec<String>>>>;

/// Answers requests on one connection until the client closes it, or says that it will and the server is `polite`.
fn serve(mut stream: impl Read + Write, polite: bool, mut saw: impl FnMut(String)) {
    let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(n) = stream.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..n]);
        if n == 0 {
            return;
        }
        if pending.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(std::mem::take(&mut pending)).unwrap();
            let last = head.contains("connection: close\r\n");
            saw(head);
            if stream.write_all(ANSWER).is_err() || (last && polite) {
                return;
            }
        }
    }
}

/// A TCP server, one thread per connection.
fn server(polite: bool) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let seen = Arc::clone(&shared);
            seen.lock().unwrap().push(Vec::new());
            thread::spawn(move || serve(stream, polite, |head| seen.lock().unwrap()[number].push(head)));
        }
    });
    (url, seen)
}

fn closed(connections: u32, requests: u64) -> Shape {
    Shape::Closed {
        connections,
        requests: Some(requests),
        duration_s: None,
        think_ms: 0.0,
    }
}

fn run(target: &Target, shape: Shape, limits: Limits) -> PhaseResult {
    let item = Item {
        request: Request::get("/x"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "connections".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new("s", vec![item])],
        shape,
        limits,
        capture: Capture::NONE,
    };
    let mut engine = Engine::new(target, EngineOptions::default()).unwrap();
    engine.run(0, phase, &mut NoSink).unwrap()
}

fn outcomes(result: &PhaseResult) -> BTreeSet<Outcome> {
    result.samples.iter().map(|s| s.outcome).collect()
}

fn all_ok(result: &PhaseResult, n: usize) {
    assert_eq!(result.samples.len(), n);
    assert_eq!(outcomes(result), BTreeSet::from([Outcome::Ok]));
}

/// Sockets in TIME_WAIT whose peer is the port of `url`: those that we closed first.
fn resting_here(url: &str) -> usize {
    let port = url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let peer = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_ours = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&peer) && fields[3] == "06"
    };
    table.lines().skip(1).filter(of_ours).count()
}

#[test]
fn a_connection_takes_so_many_requests_and_the_last_one_says_so() {
    let (url, seen) = server(true);
    let limits = Limits {
        requests_per_connection: 3,
        ..Limits::default()
    };
    let result = run(&Target::new(&url).unwrap(), closed(1, 10), limits);
    all_ok(&result, 10);
    assert_eq!(result.summary.connections, 4);
    let fresh: Vec<u64> = result
        .samples
        .iter()
        .filter(|s| s.flags.contains(SampleFlags::NEW_CONNECTION))
        .map(|s| s.seq)
        .collect();
    assert_eq!(fresh, [0, 3, 6, 9]);
    let seen = seen.lock().unwrap();
    let says: Vec<Vec<bool>> = seen
        .iter()
        .map(|heads| heads.iter().map(|h| h.contains("connection: close")).collect())
        .collect();
    let whole = vec![false, false, true];
    assert_eq!(says, [whole.clone(), whole.clone(), whole, vec![false]]);
    drop(seen);
    // The one connection that was still open at the end may be closed by us.
    assert!(resting_here(&url) <= 1);
}

#[test]
fn no_keep_alive_is_one_request_per_connection() {
    for limits in [
        Limits {
            keep_alive: false,
            ..Limits::default()
        },
        Limits {
            requests_per_connection: 1,
            ..Limits::default()
        },
    ] {
        let (url, seen) = server(true);
        let result = run(&Target::new(&url).unwrap(), closed(2, 20), limits);
        all_ok(&result, 20);
        assert_eq!(result.summary.connections, 20);
        let seen = seen.lock().unwrap();
        assert!(
            seen.iter()
                .all(|heads| heads.len() == 1 && heads[0].contains("connection: close"))
        );
        // The server closes first, but for the last of each user: the run may end before it has.
        assert!(resting_here(&url) <= 2, "we closed more than the last two");
    }
}

#[test]
fn a_server_that_does_not_close_holds_nobody_up() {
    let (url, seen) = server(false);
    let limits = Limits {
        requests_per_connection: 1,
        ..Limits::default()
    };
    let result = run(&Target::new(&url).unwrap(), closed(2, 1200), limits);
    all_ok(&result, 1200);
    assert_eq!(seen.lock().unwrap().len(), 1200);
}

#[test]
fn users_start_at_the_connect_rate() {
    let (url, _) = server(true);
    let limits = Limits {
        connect_rate: 250.0,
        ..Limits::default()
    };
    let options = || EngineOptions {
        threads: 2,
        ..EngineOptions::default()
    };
    // Each user waits for ever after its one answer: what starts is a user's first request.
    let shape = Shape::Closed {
        connections: 9,
        requests: Some(9),
        duration_s: None,
        think_ms: 60_000.0,
    };
    let mut phase = run(&Target::new(&url).unwrap(), closed(1, 1), Limits::default()).phase;
    (phase.shape, phase.limits) = (shape, limits);
    let mut engine = Engine::new(&Target::new(&url).unwrap(), options()).unwrap();
    let result = engine.run(0, phase, &mut NoSink).unwrap();
    all_ok(&result, 9);
    let first = result.samples[0].intended;
    let starts: Vec<Nanos> = result.samples.iter().map(|s| s.intended - first).collect();
    let wanted: Vec<Nanos> = (0..9).map(|k| Nanos(k * 4_000_000)).collect();
    assert_eq!(starts, wanted);
}

#[test]
fn connections_start_from_each_source_in_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        while let Ok((stream, from)) = listener.accept() {
            tell.send(from.ip()).unwrap();
            thread::spawn(move || serve(stream, true, drop));
        }
    });
    let mut target = Target::new(&url).unwrap();
    let source = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    target.sources = vec![source(2), source(3)];
    let limits = Limits {
        keep_alive: false,
        ..Limits::default()
    };
    all_ok(&run(&target, closed(1, 4), limits), 4);
    let from: Vec<IpAddr> = told.iter().take(4).collect();
    assert_eq!(from, [source(2), source(3), source(2), source(3)]);
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("prony-{}-{name}.sock", std::process::id()))
}

#[test]
fn load_goes_over_a_unix_socket() {
    let path = socket("load");
    let listener = UnixListener::bind(&path).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&shared);
            thread::spawn(move || serve(stream, true, |head| seen.lock().unwrap().push(head)));
        }
    });
    let mut target = Target::new("http://app.invalid/base").unwrap();
    target.unix_socket = Some(path.clone());
    let result = run(&target, closed(4, 100), Limits::default());
    all_ok(&result, 100);
    assert_eq!(result.summary.connections, 4);
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|head| head.starts_with("GET /base/x HTTP/1.1\r\nhost: app.invalid\r\n"))
    );
    let engine = Engine::new(&target, EngineOptions::default()).unwrap();
    assert!(engine.shares_host() && engine.dns().is_none());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_short_queue_of_a_unix_socket_delays_and_loses_nobody() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let path = socket("queue");
    let flags = SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    rustix::net::bind(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&fd, 1).unwrap();
    let listener = UnixListener::from(fd);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, true, drop));
        }
    });
    let mut target = Target::new("http://localhost").unwrap();
    target.unix_socket = Some(path.clone());
    let limits = Limits {
        connect_timeout_ms: 60_000,
        timeout_ms: 60_000,
        ..Limits::default()
    };
    let result = run(&target, closed(60, 60), limits);
    all_ok(&result, 60);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_socket_that_goes_away_is_unreachable_or_refused() {
    let path = socket("gone");
    let listener = UnixListener::bind(&path).unwrap();
    let mut target = Target::new("http://localhost").unwrap();
    target.unix_socket = Some(path.clone());
    let mut engine = Engine::new(&target, EngineOptions::default()).unwrap();
    drop(listener);
    let ends = |engine: &mut Engine| {
        let answer = engine.fetch(&Request::get("/"), &Limits::default(), 0);
        (answer.outcome, answer.error)
    };
    assert_eq!(ends(&mut engine).0, Outcome::Refused);
    std::fs::remove_file(&path).unwrap();
    let (outcome, error) = ends(&mut engine);
    assert_eq!(outcome, Outcome::Unreachable);
    assert!(error.contains("socket file"), "{error}");
}

#[test]
fn the_handshake_is_a_part_of_the_connection() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let session = ServerConnection::new(config).unwrap();
                serve(rustls::StreamOwned::new(session, stream), true, drop);
            });
        }
    });
    let mut target = Target::new(&url).unwrap();
    target.tls.insecure = true;
    let limits = Limits {
        requests_per_connection: 2,
        ..Limits::default()
    };
    let result = run(&target, closed(1, 6), limits);
    all_ok(&result, 6);
    for sample in &result.samples {
        let fresh = sample.flags.contains(SampleFlags::NEW_CONNECTION);
        assert_eq!(fresh, sample.seq % 2 == 0);
        assert_eq!(sample.tls_us > 0, fresh);
        assert!(sample.tls_us <= sample.connect_us, "{sample:?}");
    }
    let plain = run(
        &Target::new(&server(true).0).unwrap(),
        closed(1, 1),
        Limits::default(),
    );
    assert!(plain.samples[0].tls_us == 0 && plain.samples[0].connect_us > 0);
}

#[test]
fn more_connections_than_files_are_refused_before_the_load() {
    let (url, seen) = server(true);
    let mut engine = Engine::new(&Target::new(&url).unwrap(), EngineOptions::default()).unwrap();
    let mut phase = run(&Target::new(&url).unwrap(), closed(1, 1), Limits::default()).phase;
    phase.shape = closed(u32::MAX, u64::from(u32::MAX));
    let before = seen.lock().unwrap().len();
    let error = engine.run(0, phase, &mut NoSink).unwrap_err().to_string();
    assert!(error.contains("ulimit -n 4294967359"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), before);
}
