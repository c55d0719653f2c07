//! Was the load honest? A server that stands still for a second in every ten, under an open and under a closed loop.

use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{Arrivals, Outcome, PhaseResult, Shape};

use crate::drive::perform;
use crate::measure::{Bound, Case, Measure};
use crate::slots::{open, phase};

/// Rate of the open loop, per second.
const PER_S: f64 = 500.0;
/// Length of the load, in s.
const LENGTH_S: f64 = 60.0;
/// Of the response: a request that comes t before the end of a freeze waits t, and one in ten comes into a freeze, so that
/// P(R > t) = 0.1 (1 - t / 1 s).
const TRUTHS_MS: [(f64, f64); 2] = [(0.95, 500.0), (0.99, 900.0)];

pub(super) const FREEZE: Case = Case {
    question: "load",
    criterion: "A 1 ms server that is frozen for 1 s in every 10 s, open loop at 500 per second for 60 s: p95 is 500 ms and p99 is 900 \
                ms, within 3 %. Random arrivals put more or fewer requests into six freezes, so there the middle of the runs is held \
                to it.",
    remark: "",
    run: |effort| {
        let even = run(0, open(PER_S, Arrivals::Constant, LENGTH_S));
        let random = effort.each(100, |seed| run(seed, open(PER_S, Arrivals::Poisson, LENGTH_S)));
        let mut measures = Vec::new();
        for (p, truth_ms) in TRUTHS_MS {
            let near = Bound::Between(0.97 * truth_ms, 1.03 * truth_ms);
            let name = format!("p{:.0}", 100.0 * p);
            measures.push(Measure::value(
                format!("evenly spaced: {name}, ms"),
                printed_ms(&even, p),
                near,
            ));
            let mut printed: Vec<f64> = random.iter().map(|result| printed_ms(result, p)).collect();
            measures.push(Measure::value(
                format!("random arrivals: median over runs of {name}, ms"),
                prony_stats::median(&mut printed),
                near,
            ));
        }
        measures
    },
};

pub(super) const CLOSED: Case = Case {
    question: "load",
    criterion: "The closed loop on the same server asks less while it stands still: its p99 is below 10 ms, and it must say that this is \
                no latency under load.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for connections in [1, 8, 64] {
            let shape = |connections| Shape::Closed {
                connections,
                requests: None,
                duration_s: Some(LENGTH_S),
                think_ms: 0.0,
            };
            let result = run(0, shape(connections));
            measures.push(Measure::value(
                format!("{connections} connections: p99, ms"),
                printed_ms(&result, 0.99),
                Bound::AtMost(10.0),
            ));
            measures.push(Measure::rate(
                format!("{connections} connections: warned of"),
                &[is_warned_of(&result)],
                Bound::AtLeast(1.0),
            ));
        }
        let clean = effort.each(100, |seed| {
            let target = Target::new(&format!(
                "sim:service=1ms,spread=exponential,workers=8,seed={seed}"
            ));
            let shape = Shape::Closed {
                connections: 8,
                requests: Some(5_000),
                duration_s: None,
                think_ms: 0.0,
            };
            is_warned_of(&against(
                &target.expect("a simulated target is sound"),
                seed,
                shape,
            ))
        });
        measures.push(Measure::rate(
            "no freeze, 8 connections: warned of",
            &clean,
            Bound::AtMost(0.01),
        ));
        measures
    },
};

/// A load on the server that freezes; it has workers enough to catch up at once.
fn run(seed: u64, shape: Shape) -> PhaseResult {
    let target = Target::new("sim:service=1ms,workers=1000,freeze=1s/10s");
    against(&target.expect("a simulated target is sound"), seed, shape)
}

fn against(target: &Target, seed: u64, shape: Shape) -> PhaseResult {
    let options = EngineOptions {
        seed,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(target, options).expect("nothing to connect to");
    perform(&mut engine, 0, phase(shape))
}

/// The nearest rank, also where it has no interval: six freezes are too few independent ones for that.
fn printed_ms(result: &PhaseResult, p: f64) -> f64 {
    let row = result.summary.rows.iter().find(|r| r.outcome == Outcome::Ok);
    let quantile = row.and_then(|row| row.response.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9));
    quantile.map_or(f64::NAN, |q| q.value.as_millis_f64())
}

fn is_warned_of(result: &PhaseResult) -> bool {
    let warnings = &result.summary.validity.warnings;
    warnings
        .iter()
        .any(|warning| warning.name == "coordinated-omission")
}
