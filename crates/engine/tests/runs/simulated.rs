//! The engine against servers whose right answers can be computed: in simulated time, where a run is the same every
//! time, and against one that costs nothing.

use prony_engine::{Engine, EngineOptions, NoSink, Sink, Target};
use prony_model::{
    Arrivals, Capture, Captured, Expect, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Progress, Request,
    Sample, Scenario, Shape,
};

fn run(target: &str, shape: Shape, options: EngineOptions) -> PhaseResult {
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new(
            "s",
            vec![Item {
                request: Request::get("/"),
                expect: Expect::default(),
            }],
        )],
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    Engine::new(&Target::new(target).unwrap(), options)
        .unwrap()
        .run(0, phase, &mut NoSink)
        .unwrap()
}

fn open(rate: f64, arrivals: Arrivals, duration_s: f64) -> Shape {
    Shape::Open {
        rate,
        arrivals,
        duration_s,
        in_flight_max: 100_000,
    }
}

fn quantile(result: &PhaseResult, p: f64) -> f64 {
    let row = result
        .summary
        .rows
        .iter()
        .find(|r| r.outcome == Outcome::Ok)
        .unwrap();
    let found = row.response.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9);
    found.unwrap().value.as_millis_f64()
}

#[test]
fn nothing_is_lost_to_a_recording_that_is_slow() {
    struct Slow;
    impl Sink for Slow {
        fn wants_all(&self) -> bool {
            false
        }
        fn samples(&mut self, _: &[Sample]) {}
        fn progress(&mut self, _: &Progress) {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        fn captured(&mut self, _: u16, _: &Captured) {}
    }
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new(
            "s",
            vec![Item {
                request: Request::get("/"),
                expect: Expect::default(),
            }],
        )],
        shape: open(10.0, Arrivals::Constant, 2_000.0),
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let target = Target::new("sim:service=2ms").unwrap();
    let mut engine = Engine::new(&target, EngineOptions::default()).unwrap();
    let result = engine.run(0, phase, &mut Slow).unwrap();
    assert_eq!(result.samples.len(), 20_000);
    assert!(!result.samples_cut);
}

#[test]
fn an_hour_of_even_arrivals_is_exact_and_leaves_nothing_out() {
    let result = run(
        "sim:service=2ms,workers=2",
        open(100.0, Arrivals::Constant, 3600.0),
        EngineOptions {
            samples_max: 1000,
            ..EngineOptions::default()
        },
    );
    let s = &result.summary;
    assert_eq!((s.offered, s.ok, s.failed, s.own), (360_000, 360_000, 0, 0));
    assert!(result.samples_cut && s.validity.is_valid(), "{:?}", s.validity);
    assert!((s.ended - s.started).as_secs_f64() >= 3600.0);
    // Histograms keep three digits of the two milliseconds that each request took.
    for p in [0.5, 0.99, 0.999] {
        assert!((quantile(&result, p) - 2.0).abs() < 0.002, "{p}");
    }
    assert_eq!(s.validity.lag_p99, Nanos::ZERO);
}

#[test]
fn a_freeze_shows_in_the_tail_as_it_must() {
    // 1,000 requests a second for 30 s; in every ten seconds the server stands still for the last one. Those that
    // come in it wait for its end: on average half a second, a tenth of all.
    let result = run(
        "sim:service=1ms,workers=1000,freeze=1s/10s",
        open(1000.0, Arrivals::Constant, 30.0),
        EngineOptions::default(),
    );
    assert_eq!(result.summary.ok, 30_000);
    assert!((quantile(&result, 0.5) - 1.0).abs() < 0.01);
    // The slowest tenth is spread evenly over a second: the 99th percentile is at nine tenths of it.
    assert!(
        (quantile(&result, 0.99) - 900.0).abs() < 900.0 * 0.02,
        "{}",
        quantile(&result, 0.99)
    );
    assert!((quantile(&result, 0.999) - 990.0).abs() < 990.0 * 0.02);
    assert!(result.summary.validity.late_share < 1e-9);
}

#[test]
fn a_queue_waits_as_long_as_theory_says() {
    // M/M/1 at 70 % load: the mean time in the system is service / (1 - load) = 10 / 0.3 ms, and the response time is
    // exponential with that mean.
    let mut means = Vec::new();
    for seed in 0..6 {
        let result = run(
            &format!("sim:service=10ms,spread=exponential,seed={seed}"),
            open(70.0, Arrivals::Poisson, 400.0),
            EngineOptions {
                seed,
                ..EngineOptions::default()
            },
        );
        let row = &result.summary.rows[0];
        means.push(row.response.mean_ns / 1e6);
        let little = result.summary.in_flight_mean / (result.summary.ok_per_s * row.service.mean_ns / 1e9);
        assert!((little - 1.0).abs() < 0.02, "seed {seed}: {little}");
    }
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    assert!((mean / (10.0 / 0.3) - 1.0).abs() < 0.15, "{means:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let once = || {
        let options = EngineOptions {
            seed: 5,
            ..EngineOptions::default()
        };
        let shape = Shape::Ladder {
            connections: vec![1, 4, 16],
            requests_each: Some(50),
            duration_s: None,
            idle_s: 0.5,
        };
        run(
            "sim:service=3ms,spread=exponential,workers=4,queue=8,seed=9",
            shape,
            options,
        )
    };
    let (first, second) = (once(), once());
    assert_eq!(first.samples, second.samples);
    let turned_away = first
        .samples
        .iter()
        .filter(|s| s.outcome == Outcome::Status503)
        .count();
    assert!(turned_away > 0, "sixteen users find a queue of eight full");
    assert_eq!(first.summary.offered, 50 * 21);
}

#[test]
fn bursts_and_closed_loops_keep_their_books() {
    let burst = Shape::Burst {
        size: 20,
        count: 3,
        interval_s: 1.0,
    };
    let result = run("sim:service=5ms,workers=1", burst, EngineOptions::default());
    assert_eq!((result.summary.ok, result.summary.connections), (60, 60));
    // One worker: the twentieth of a burst waits for nineteen.
    let slowest = result
        .samples
        .iter()
        .map(prony_model::Sample::response)
        .max()
        .unwrap();
    assert_eq!(slowest, Nanos(100_000_000));

    let closed = Shape::Closed {
        connections: 64,
        requests: Some(20_000),
        duration_s: None,
        think_ms: 0.0,
    };
    for threads in [1, 2] {
        let options = EngineOptions {
            threads,
            ..EngineOptions::default()
        };
        let result = run("null:", closed.clone(), options);
        assert_eq!((result.summary.ok, result.summary.offered), (20_000, 20_000));
    }
}

#[test]
fn a_simulated_server_that_is_described_wrongly_says_what_to_write() {
    let error = Target::new("sim:workers=none").unwrap_err().to_string();
    assert!(error.contains("workers=4"), "{error}");
}

/// Ends a load on four workers of 20 ms when its backlog grows for good.
fn until_saturated(rate: f64, seed: u64) -> PhaseResult {
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new(
            "s",
            vec![Item {
                request: Request::get("/"),
                expect: Expect::default(),
            }],
        )],
        shape: open(rate, Arrivals::Poisson, 60.0),
        limits: Limits {
            stop_saturated: true,
            ..Limits::default()
        },
        capture: Capture::NONE,
    };
    let target = format!("sim:service=20ms,spread=exponential,workers=4,seed={seed}");
    let options = EngineOptions {
        seed,
        ..EngineOptions::default()
    };
    Engine::new(&Target::new(&target).unwrap(), options)
        .unwrap()
        .run(0, phase, &mut NoSink)
        .unwrap()
}

#[test]
fn a_load_that_no_server_of_that_size_can_take_is_ended_early() {
    // 200 a second is all that four workers can do. Where no queue is endless, none may be called so: none of 100 seeds was.
    for seed in 0..30 {
        let result = until_saturated(180.0, seed);
        assert!(
            !result.summary.validity.is_saturated(),
            "90 %, seed {seed}: {:?}",
            result.summary.validity
        );
        assert!(!result.summary.partial);
    }
    for seed in 0..8 {
        let result = until_saturated(240.0, seed);
        let validity = &result.summary.validity;
        assert!(
            validity.is_saturated() && result.summary.partial,
            "120 %, seed {seed}"
        );
        assert!(
            validity.warnings.iter().any(|w| w.says.contains("stay behind")),
            "{validity:?}"
        );
        // It ends after 14,400 arrivals otherwise.
        assert!(
            result.summary.offered < 13_000,
            "{} arrivals, seed {seed}",
            result.summary.offered
        );
    }
}
