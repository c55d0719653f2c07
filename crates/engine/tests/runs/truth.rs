//! What the engine reports against what the server knows, and the summary against its own samples.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::{Engine, EngineOptions, Sink, Target, summarise};
use prony_model::{
    Arrivals, Capture, Captured, Expect, Item, Limits, Nanos, Outcome, Phase, Progress, Request, Sample,
    Scenario, Shape,
};

/// Milliseconds asked for and nanoseconds taken, in order.
type Truth = Arc<Mutex<Vec<(u64, u64)>>>;

/// A server that takes as many milliseconds as the path says, and records how long it really took.
fn delaying() -> (String, Truth) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let truth = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&truth);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let truth = Arc::clone(&shared);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n) = stream.read(&mut buffer) {
                    if n == 0 {
                        return;
                    }
                    let begun = Instant::now();
                    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    let ms: u64 = text[5..].split(' ').next().unwrap().parse().unwrap();
                    thread::sleep(Duration::from_millis(ms));
                    truth
                        .lock()
                        .unwrap()
                        .push((ms, begun.elapsed().as_nanos() as u64));
                    if stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    (url, truth)
}

fn phase(delays_ms: &[u64], shape: Shape) -> Phase {
    let item = |ms: &u64| Item {
        request: Request::get(format!("/{ms}")),
        expect: Expect::default(),
    };
    Phase {
        name: "truth".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new("s", delays_ms.iter().map(item).collect())],
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

#[derive(Default)]
struct Heard {
    samples: Vec<Sample>,
    progress: Vec<Progress>,
}

impl Sink for Heard {
    fn samples(&mut self, samples: &[Sample]) {
        self.samples.extend_from_slice(samples);
    }
    fn progress(&mut self, progress: &Progress) {
        self.progress.push(*progress);
    }
    fn captured(&mut self, _: u16, _: &Captured) {}
}

#[test]
fn service_times_contain_the_servers_own() {
    let (url, truth) = delaying();
    let delays = [1, 5, 2, 9, 3];
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&Target::new(&url).unwrap(), options).unwrap();
    let mut heard = Heard::default();
    let result = engine
        .run(
            0,
            phase(
                &delays,
                Shape::Sequential {
                    requests: 40,
                    duration_s: None,
                },
            ),
            &mut heard,
        )
        .unwrap();
    let truth = truth.lock().unwrap();
    assert_eq!(truth.len(), 40);
    for (sample, (ms, took_ns)) in result.samples.iter().zip(truth.iter()) {
        assert_eq!(delays[sample.item as usize], *ms);
        assert!(sample.service() > Nanos(*took_ns), "{sample:?} {took_ns}");
    }
    let mut of_sink = heard.samples;
    of_sink.sort_by_key(|s| s.seq);
    assert_eq!(of_sink, result.samples);

    // The median of 40 is the 20th smallest: exactly one of the samples.
    let mut services: Vec<Nanos> = result.samples.iter().map(Sample::service).collect();
    services.sort_unstable();
    let row = &result.summary.rows[0];
    assert_eq!((row.outcome, row.n, row.connections), (Outcome::Ok, 40, 1));
    assert_eq!(row.service.at(0.5).unwrap().value, services[19]);
    assert_eq!((row.service.min, row.service.max), (services[0], services[39]));
    let p99 = row
        .service
        .quantiles
        .iter()
        .find(|q| q.p > 0.98 && q.p < 0.995)
        .unwrap();
    assert_eq!(p99.needs_n, 368);

    // The pure function makes the same rows from the same samples in any order.
    let mut shuffled = result.samples.clone();
    shuffled.reverse();
    let again = summarise(
        0,
        &result.phase,
        &shuffled,
        result.summary.started,
        result.summary.ended,
        false,
    );
    assert_eq!(again.rows, result.summary.rows);
}

#[test]
fn an_open_loop_counts_from_the_intended_start() {
    // Forty requests of 5 ms each are due within 40 ms, but only two may be under way: one connection waits for
    // nothing, the third arrival is shed rather than hidden.
    let (url, _) = delaying();
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&Target::new(&url).unwrap(), options).unwrap();
    let shape = Shape::Open {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        duration_s: 0.04,
        in_flight_max: 2,
    };
    let result = engine.run(0, phase(&[5], shape), &mut Heard::default()).unwrap();
    assert_eq!(result.summary.offered, 40);
    assert!(result.summary.own >= 20, "{}", result.summary.own);
    assert!(result.summary.in_flight_max <= 2);
    for sample in result.samples.iter().filter(|s| s.outcome == Outcome::Ok) {
        assert!(sample.response() >= sample.service() && sample.service() >= Nanos(5_000_000));
    }
}

/// A server whose answers to `/K` come in two pieces, and that records when it began to write the second of each. With `closes`, the
/// end of the connection ends every seventh.
fn in_pieces(closes: bool) -> (String, Arc<Mutex<HashMap<u32, Instant>>>) {
    const HALVES: [&[u8]; 2] = [b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", b"half"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let written = Arc::new(Mutex::new(HashMap::new()));
    let shared = Arc::clone(&written);
    let serve = move |mut stream: TcpStream, written: &Mutex<HashMap<u32, Instant>>| {
        let mut buffer = [0; 4096];
        while let Ok(n) = stream.read(&mut buffer)
            && n > 0
        {
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let k: u32 = text[5..].split(' ').next().unwrap().parse().unwrap();
            let is_last = closes && k.is_multiple_of(7);
            let first: &[u8] = if is_last {
                b"HTTP/1.1 200 OK\r\n\r\nhalf"
            } else {
                HALVES[0]
            };
            if stream.write_all(first).is_err() {
                return;
            }
            thread::sleep(Duration::from_micros(200));
            written.lock().unwrap().insert(k, Instant::now());
            if stream.write_all(HALVES[1]).is_err() || is_last {
                return;
            }
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (written, serve) = (Arc::clone(&shared), serve);
            thread::spawn(move || serve(stream, &written));
        }
    });
    (url, written)
}

#[test]
fn answers_that_rest_are_whole_and_no_earlier_than_they_were_written() {
    // So close are the departures that answers are read when the next request leaves, and have the kernel's stamps.
    const REQUESTS: u32 = 1200;
    for closes in [false, true] {
        let (url, written) = in_pieces(closes);
        let epoch = Instant::now();
        let options = EngineOptions {
            epoch,
            ..EngineOptions::default()
        };
        let mut engine = Engine::new(&Target::new(&url).unwrap(), options).unwrap();
        let shape = Shape::Open {
            rate: 2000.0,
            arrivals: Arrivals::Constant,
            duration_s: f64::from(REQUESTS) / 2000.0,
            in_flight_max: REQUESTS,
        };
        let paths: Vec<u64> = (0..u64::from(REQUESTS)).collect();
        let result = engine
            .run(0, phase(&paths, shape), &mut Heard::default())
            .unwrap();
        let written = written.lock().unwrap();
        assert_eq!(result.samples.len(), REQUESTS as usize);
        for sample in &result.samples {
            assert_eq!(sample.outcome, Outcome::Ok, "{sample:?}");
            let wrote = Nanos((written[&sample.item] - epoch).as_nanos() as u64);
            // One clock is computed from the other.
            assert!(sample.done + Nanos(10_000) >= wrote, "{sample:?} {wrote:?}");
            assert!(
                sample.sent <= sample.first_byte && sample.first_byte <= sample.done,
                "{sample:?}"
            );
        }
    }
}
