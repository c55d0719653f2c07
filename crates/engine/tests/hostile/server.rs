//! A raw server that follows a script on its first connection and is a good one on every other, and the engine pointed
//! at it. Knows no case.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{Capture, Expect, Item, Limits, Phase, PhaseResult, Request, Scenario, Shape};
use rustix::net::sockopt::set_socket_linger;

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads a request up to the end of its head.
    Hear,
    /// Writes.
    Say(Vec<u8>),
    /// Writes byte by byte, with so many milliseconds between.
    Drip(Vec<u8>, u64),
    /// Writes the same again and again until the client is gone.
    Repeat(Vec<u8>),
    /// Waits so many milliseconds.
    Pause(u64),
    /// Ends its own side and reads on.
    Fin,
    /// Closes, in peace when all was read.
    Close,
    /// Closes with a reset.
    Reset,
    /// Says nothing more until the client is gone.
    Hold,
}

pub(crate) const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server with one thread per connection, each handled by `serve` with the connection's number.
pub(crate) struct Rogue {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) fn rogue(serve: impl Fn(&mut TcpStream, usize) + Send + Sync + 'static) -> Rogue {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (serve, number) = (Arc::clone(&serve), count.fetch_add(1, Ordering::SeqCst));
            thread::spawn(move || {
                let mut stream = stream;
                serve(&mut stream, number);
            });
        }
    });
    Rogue { url, connections }
}

/// Follows the script on the first connection, then answers well.
pub(crate) fn scripted(script: Vec<Step>) -> Rogue {
    rogue(move |stream, number| {
        stream.set_nodelay(true).unwrap();
        if number == 0 && !follow(stream, &script) {
            return;
        }
        while request(stream).is_some() && stream.write_all(GOOD).is_ok() {}
    })
}

/// Whether the connection is still of use after the script.
fn follow(stream: &mut TcpStream, script: &[Step]) -> bool {
    for step in script {
        let goes_on = match step {
            Step::Hear => request(stream).is_some(),
            Step::Say(bytes) => stream.write_all(bytes).is_ok(),
            Step::Drip(bytes, pause_ms) => bytes.iter().all(|byte| {
                thread::sleep(Duration::from_millis(*pause_ms));
                stream.write_all(&[*byte]).is_ok()
            }),
            Step::Repeat(bytes) => {
                while stream.write_all(bytes).is_ok() {}
                false
            }
            Step::Pause(ms) => {
                thread::sleep(Duration::from_millis(*ms));
                true
            }
            Step::Fin => stream.shutdown(Shutdown::Write).is_ok(),
            Step::Close => false,
            Step::Reset => {
                set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
                false
            }
            Step::Hold => {
                while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
                false
            }
        };
        if !goes_on {
            return false;
        }
    }
    true
}

/// Reads one request head; `None` when the client is gone.
pub(crate) fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

pub(crate) fn limits(timeout_ms: u64) -> Limits {
    Limits {
        connect_timeout_ms: timeout_ms,
        timeout_ms,
        head_bytes_max: 4096,
        body_bytes_max: 1 << 20,
        ..Limits::default()
    }
}

pub(crate) fn phase(request: Request, expect: Expect, limits: Limits, shape: Shape) -> Phase {
    Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new("s", vec![Item { request, expect }])],
        shape,
        limits,
        capture: Capture::responses(1000),
    }
}

pub(crate) fn run(url: &str, phase: Phase) -> PhaseResult {
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    Engine::new(&Target::new(url).unwrap(), options)
        .unwrap()
        .run(0, phase, &mut NoSink)
        .unwrap()
}

pub(crate) fn sequential(requests: u64) -> Shape {
    Shape::Sequential {
        requests,
        duration_s: None,
    }
}
