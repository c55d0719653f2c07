//! What the engine reports against what the server knows, and the summary against its own samples.

use std::io::{Read, Write};
use std::net::TcpListener;
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
