//! Every shape against the null target: how many, in which order, and whether the books balance.

use std::time::Instant;

use prony_engine::null_target::NullTarget;
use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    Arrivals, Capture, Item, Limits, Outcome, Phase, PhaseResult, Request, SampleFlags, Scenario, Shape,
    Stage,
};

fn phase(shape: Shape, scenarios: usize) -> Phase {
    let item = |i| Item {
        request: Request::get(format!("/{i}")),
        expect: prony_model::Expect::default(),
    };
    Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: (0..scenarios)
            .map(|i| Scenario::new(format!("s{i}"), vec![item(i)]))
            .collect(),
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

fn run_with(options: EngineOptions, phase: Phase) -> PhaseResult {
    let target = NullTarget::start().unwrap();
    let url = format!("http://{}", target.addr());
    let mut engine = Engine::new(&Target::new(&url).unwrap(), options).unwrap();
    engine.run(3, phase, &mut NoSink).unwrap()
}

fn run(phase: Phase) -> PhaseResult {
    run_with(
        EngineOptions {
            seed: 1,
            epoch: Instant::now(),
            ..EngineOptions::default()
        },
        phase,
    )
}

fn all_ok(result: &PhaseResult, n: u64) {
    let s = &result.summary;
    assert_eq!((s.offered, s.ok, s.failed, s.own), (n, n, 0, 0), "{:?}", s.rows);
    assert_eq!(result.samples.len() as u64, n);
    let mut seqs: Vec<u64> = result.samples.iter().map(|s| s.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len() as u64, n, "sequence numbers are unique");
    for s in &result.samples {
        assert!(
            s.intended <= s.sent && s.sent < s.first_byte && s.first_byte <= s.done,
            "{s:?}"
        );
        assert_eq!((s.status, s.bytes_in, s.phase), (200, 15, 3));
    }
    // Two clock reads on different cores may disagree by some nanoseconds.
    assert!(s.validity.little_error < 1e-3, "{:?}", s.validity);
}

#[test]
fn sequential() {
    let result = run(phase(
        Shape::Sequential {
            requests: 50,
            duration_s: None,
        },
        1,
    ));
    all_ok(&result, 50);
    assert_eq!((result.summary.connections, result.summary.in_flight_max), (1, 1));
    assert!(result.samples.windows(2).all(|w| w[0].done <= w[1].sent));
}

#[test]
fn once() {
    let result = run(phase(Shape::Once { duration_s: None }, 5));
    all_ok(&result, 5);
    assert_eq!(
        result.samples.iter().map(|s| s.scenario).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
}

#[test]
fn waiting_awake_is_not_work() {
    let mut phase = phase(
        Shape::Open {
            rate: 200.0,
            duration_s: 0.5,
            arrivals: Arrivals::Constant,
            in_flight_max: 100,
        },
        1,
    );
    // Longer than the gap between two requests: the worker never sleeps.
    phase.limits.spin_us = 10_000;
    let result = run(phase);
    all_ok(&result, 100);
    let validity = &result.summary.validity;
    assert!(validity.worker_busy_max < 0.5, "{validity:?}");
}

#[test]
fn closed_loop_on_one_thread_and_on_three() {
    for threads in [1, 3] {
        let options = EngineOptions {
            threads,
            epoch: Instant::now(),
            ..EngineOptions::default()
        };
        let shape = Shape::Closed {
            connections: 8,
            requests: Some(1003),
            duration_s: None,
            think_ms: 0.0,
        };
        let result = run_with(options, phase(shape, 3));
        all_ok(&result, 1003);
        assert_eq!(result.summary.connections, 8);
        assert!(result.summary.in_flight_max <= 8);
        let fresh = result
            .samples
            .iter()
            .filter(|s| s.flags.contains(SampleFlags::NEW_CONNECTION))
            .count();
        assert_eq!(fresh, 8);
        // Equal weights: equal shares to within one per worker.
        for scenario in 0..3_u16 {
            let n = result.samples.iter().filter(|s| s.scenario == scenario).count();
            assert!((330..=340).contains(&n), "{n}");
        }
    }
}

#[test]
fn closed_loop_ends_by_time_and_thinks() {
    let shape = Shape::Closed {
        connections: 2,
        requests: None,
        duration_s: Some(0.2),
        think_ms: 10.0,
    };
    let result = run(phase(shape, 1));
    assert!((10..=42).contains(&result.summary.ok), "{}", result.summary.ok);
    all_ok(&result, result.summary.ok);
    let mut of_one: Vec<_> = result.samples.clone();
    of_one.sort_by_key(|s| s.intended);
    assert!(of_one[2].intended.0 - of_one[0].done.0.min(of_one[1].done.0) >= 10_000_000);
}

#[test]
fn open_loop_keeps_to_its_schedule() {
    let shape = Shape::Open {
        rate: 500.0,
        arrivals: Arrivals::Constant,
        duration_s: 0.5,
        in_flight_max: 100,
    };
    for threads in [1, 2] {
        let options = EngineOptions {
            threads,
            epoch: Instant::now(),
            ..EngineOptions::default()
        };
        let result = run_with(options, phase(shape.clone(), 1));
        all_ok(&result, 250);
        for (k, s) in result.samples.iter().enumerate() {
            assert_eq!(s.seq, k as u64);
            let since = (s.intended - result.samples[0].intended).0;
            assert!(since.abs_diff(k as u64 * 2_000_000) < 10, "{k} {since}");
        }
    }
}

#[test]
fn bursts_start_together_on_open_connections() {
    let result = run(phase(
        Shape::Burst {
            size: 20,
            count: 3,
            interval_s: 0.05,
        },
        1,
    ));
    all_ok(&result, 60);
    assert_eq!(result.summary.connections, 60);
    assert!(
        result
            .samples
            .iter()
            .all(|s| s.connect_us == 0 && s.flags.contains(SampleFlags::NEW_CONNECTION))
    );
    let starts: Vec<_> = result.samples.chunks(20).map(|b| b[0].intended).collect();
    assert!(
        result
            .samples
            .chunks(20)
            .all(|b| b.iter().all(|s| s.intended == b[0].intended))
    );
    assert!(
        starts.windows(2).all(|w| (w[1] - w[0]).0 >= 50_000_000),
        "{starts:?}"
    );
}

#[test]
fn ladder_has_steps_and_silence() {
    let shape = Shape::Ladder {
        connections: vec![1, 2, 4],
        requests_each: Some(10),
        duration_s: None,
        idle_s: 0.02,
    };
    let result = run(phase(shape, 1));
    all_ok(&result, 70);
    for (step, n) in [(0_u16, 10_u64), (1, 20), (2, 40)] {
        let row = result.summary.rows.iter().find(|r| r.step == step).unwrap();
        assert_eq!((row.n, row.connections), (n, 1 << step));
    }
    let end = |step| {
        result
            .samples
            .iter()
            .filter(|s| s.step == step)
            .map(|s| s.done)
            .max()
            .unwrap()
    };
    let start = |step| {
        result
            .samples
            .iter()
            .filter(|s| s.step == step)
            .map(|s| s.intended)
            .min()
            .unwrap()
    };
    assert!((start(1) - end(0)).0 >= 20_000_000 && (start(2) - end(1)).0 >= 20_000_000);
}

#[test]
fn stages_ramp_and_the_cap_holds() {
    let stages = vec![
        Stage {
            rate: 100.0,
            duration_s: 0.2,
            jump: false,
        },
        Stage {
            rate: 300.0,
            duration_s: 0.2,
            jump: false,
        },
    ];
    let shape = Shape::Stages {
        stages,
        arrivals: Arrivals::Constant,
        in_flight_max: 100,
    };
    let result = run(phase(shape.clone(), 1));
    all_ok(&result, 60);
    assert_eq!(result.samples.iter().filter(|s| s.step == 0).count(), 20);
    let options = EngineOptions {
        rate_max: 100.0,
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    all_ok(&run_with(options.clone(), phase(shape, 1)), 40);
    let closed = Shape::Closed {
        connections: 4,
        requests: None,
        duration_s: Some(0.3),
        think_ms: 0.0,
    };
    let result = run_with(options, phase(closed, 1));
    assert!(
        result.summary.ok <= 31 && result.summary.ok >= 20,
        "{}",
        result.summary.ok
    );
}

#[test]
fn beyond_the_cap_arrivals_are_shed_and_told() {
    let shape = Shape::Open {
        rate: 2000.0,
        arrivals: Arrivals::Constant,
        duration_s: 0.2,
        in_flight_max: 0,
    };
    let result = run(phase(shape, 1));
    assert_eq!(result.summary.own, 400);
    assert!(result.samples.iter().all(|s| s.outcome == Outcome::Shed));
    assert!(result.summary.validity.invalid.iter().any(|i| i.name == "shed"));
}

#[test]
fn a_phase_that_sends_nothing_is_a_user_error() {
    let target = NullTarget::start().unwrap();
    let url = format!("http://{}", target.addr());
    let mut engine = Engine::new(&Target::new(&url).unwrap(), EngineOptions::default()).unwrap();
    let endless = Shape::Closed {
        connections: 1,
        requests: None,
        duration_s: None,
        think_ms: 0.0,
    };
    for bad in [
        phase(endless, 1),
        phase(Shape::Once { duration_s: None }, 0),
        phase(
            Shape::Burst {
                size: 0,
                count: 1,
                interval_s: 0.0,
            },
            1,
        ),
    ] {
        assert!(engine.run(0, bad, &mut NoSink).is_err());
    }
    let captured = engine.fetch(&Request::get("/x"), &Limits::default(), 1024);
    assert_eq!(
        (captured.status, captured.outcome, captured.body.as_str()),
        (200, Outcome::Ok, r#"{"status":"ok"}"#)
    );
    assert_eq!(captured.header("Content-Type"), Some("application/json"));
}
