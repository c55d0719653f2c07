//! Percentiles with their intervals, as a summary prints them, against queues whose percentiles theory gives.

use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{
    Arrivals, Capture, Expect, Item, Limits, Outcome, Phase, PhaseResult, Request, Scenario, Shape,
};
use prony_stats::order;

use crate::drive::perform;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Measure};

/// Mean time of one request of the queue.
const SERVICE_MS: f64 = 10.0;

/// M/M/1 at a load, a percentile, and requests enough that it may gate.
const CELLS: [(f64, f64, f64); 5] = [
    (0.5, 0.5, 4_000.0),
    (0.5, 0.99, 40_000.0),
    (0.8, 0.5, 20_000.0),
    (0.8, 0.95, 60_000.0),
    (0.9, 0.5, 60_000.0),
];

pub(super) const COVERAGE: Case = Case {
    question: "percentiles",
    criterion: "The 95 % interval of a percentile holds the truth in at least 92 % of runs in which the percentile is worth ten \
                independent requests on its thin side. Truth: -ln(1 - p) / (service rate - arrival rate).",
    run: |effort| CELLS.iter().map(|&cell| coverage(effort, cell)).collect(),
};

fn coverage(effort: Effort, (load, p, requests): (f64, f64, f64)) -> Measure {
    let service_per_s = 1000.0 / SERVICE_MS;
    let truth_ms = -(1.0 - p).ln() / (service_per_s * (1.0 - load)) * 1000.0;
    let held: Vec<bool> = effort
        .each(200, |seed| {
            let result = queue(seed, load * service_per_s, requests);
            let printed = result.summary.rows.iter().find(|r| r.outcome == Outcome::Ok)?;
            let printed = *printed.response.at(p)?;
            may_gate(&result, p)
                .then(|| printed.lo.as_millis_f64() <= truth_ms && truth_ms <= printed.hi.as_millis_f64())
        })
        .into_iter()
        .flatten()
        .collect();
    Measure::rate(
        format!(
            "M/M/1 at {:.0} % load, p{:.0}, {requests} requests: intervals that hold the truth",
            100.0 * load,
            100.0 * p
        ),
        &held,
        Bound::AtLeast(0.92),
    )
}

fn may_gate(result: &PhaseResult, p: f64) -> bool {
    let responses: Vec<f64> = result
        .samples
        .iter()
        .map(|s| s.response().as_millis_f64())
        .collect();
    order::estimate(&responses, p, 0.95).is_some_and(|e| order::may_gate(p, e.n_eff))
}

/// So many requests at that rate to a queue with one worker and exponential times.
fn queue(seed: u64, per_s: f64, requests: f64) -> PhaseResult {
    let target = Target::new(&format!(
        "sim:service={SERVICE_MS}ms,spread=exponential,seed={seed}"
    ))
    .expect("a simulated target is sound");
    let options = EngineOptions {
        seed,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&target, options).expect("nothing to connect to");
    let item = Item {
        request: Request::get("/"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "queue".to_owned(),
        experiment: "calibration".to_owned(),
        scenarios: vec![Scenario::new("queue", vec![item])],
        shape: Shape::Open {
            rate: per_s,
            arrivals: Arrivals::Poisson,
            duration_s: requests / per_s,
            in_flight_max: 100_000,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    perform(&mut engine, 0, phase)
}
