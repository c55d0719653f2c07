//! A raw server that answers every request with the same script, and the engine that reads it as a stream of tokens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, Sink, Target};
use prony_model::{
    Capture, Captured, Expect, Item, Limits, Phase, PhaseResult, Progress, Request, Sample, Scenario, Shape,
    StreamExpect, StreamProtocol, StreamRecord,
};
use rustix::net::sockopt::set_socket_linger;

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes a piece of the body, as a chunk of its own.
    Say(Vec<u8>),
    /// Writes bytes as they are.
    Raw(Vec<u8>),
    /// Waits so many milliseconds.
    Pause(u64),
    /// Ends the body as the transfer coding wants it.
    End,
    /// Closes.
    Fin,
    /// Closes with a reset.
    Reset,
    /// Says nothing more until the client is gone.
    Hold,
}

pub(crate) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server that says the head and then follows the script, once for each request. Returns its URL.
pub(crate) fn serve(head: &'static str, script: Vec<Step>) -> String {
    serve_some(head, script, usize::MAX)
}

/// The same, with so many answers on each connection: the next request is heard, and the connection closed.
pub(crate) fn serve_some(head: &'static str, script: Vec<Step>, answers: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            thread::spawn(move || {
                let mut stream = stream;
                stream.set_nodelay(true).unwrap();
                for _ in 0..answers {
                    let goes_on = heard(&mut stream)
                        && stream.write_all(head.as_bytes()).is_ok()
                        && follow(&mut stream, &script);
                    if !goes_on {
                        return;
                    }
                }
                heard(&mut stream);
            });
        }
    });
    url
}

/// Whether the connection is still of use after the script.
fn follow(stream: &mut TcpStream, script: &[Step]) -> bool {
    for step in script {
        let goes_on = match step {
            Step::Say(bytes) => {
                let whole = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                stream.write_all(&whole).is_ok()
            }
            Step::Raw(bytes) => stream.write_all(bytes).is_ok(),
            Step::Pause(ms) => {
                thread::sleep(Duration::from_millis(*ms));
                true
            }
            Step::End => stream.write_all(b"0\r\n\r\n").is_ok(),
            Step::Fin => false,
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

/// Reads one request head; whether there was one.
fn heard(stream: &mut TcpStream) -> bool {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if !stream.read(&mut byte).is_ok_and(|n| n > 0) {
            return false;
        }
        text.push(byte[0]);
    }
    true
}

/// A load of requests whose answers are streams.
pub(crate) fn phase(expect: StreamExpect, requests: u64, timeout_ms: u64) -> Phase {
    Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new(
            "chat",
            vec![Item {
                request: Request::get("/"),
                expect: Expect {
                    stream: Some(expect),
                    ..Expect::default()
                },
            }],
        )],
        shape: Shape::Sequential {
            requests,
            duration_s: None,
        },
        limits: Limits {
            timeout_ms,
            connect_timeout_ms: timeout_ms,
            ..Limits::default()
        },
        capture: Capture::responses(4),
    }
}

/// Hears every record.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) records: Vec<StreamRecord>,
}

impl Sink for Heard {
    fn samples(&mut self, _: &[Sample]) {}
    fn streams(&mut self, records: &[StreamRecord]) {
        self.records.extend_from_slice(records);
    }
    fn progress(&mut self, _: &Progress) {}
    fn captured(&mut self, _: u16, _: &Captured) {}
}

pub(crate) fn run(url: &str, phase: Phase, sink: &mut dyn Sink) -> PhaseResult {
    let options = EngineOptions {
        epoch: Instant::now(),
        threads: 1,
        ..EngineOptions::default()
    };
    Engine::new(&Target::new(url).unwrap(), options)
        .unwrap()
        .run(0, phase, sink)
        .unwrap()
}

/// One answer of a chat.
pub(crate) fn chat(script: Vec<Step>) -> (PhaseResult, StreamRecord) {
    answer(
        StreamExpect::new(StreamProtocol::OpenaiChat),
        HEAD,
        script,
        60_000,
    )
}

/// One answer, with its record.
pub(crate) fn answer(
    expect: StreamExpect,
    head: &'static str,
    script: Vec<Step>,
    timeout_ms: u64,
) -> (PhaseResult, StreamRecord) {
    let url = serve(head, script);
    let mut sink = Heard::default();
    let result = run(&url, phase(expect, 1, timeout_ms), &mut sink);
    assert_eq!(sink.records, result.streams, "what is kept is what is sink");
    assert_eq!(sink.records.len(), 1);
    let record = sink.records.remove(0);
    assert_eq!(record.outcome, result.samples[0].outcome);
    (result, record)
}
