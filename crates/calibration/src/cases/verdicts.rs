//! Verdicts: gates at limits that are just met, alone and among others, and the whole default suite on a service that is
//! well and on ones with one planted fault each.

mod emulator;

use prony_engine::{Engine, EngineOptions, Target};
use prony_experiments::{EXPERIMENTS, OF_A_PROCESS, judge_gate, judge_gates};
use prony_model::{
    Arrivals, Budget, Capture, Expect, Finding, Gate, GateResult, Item, Limits, Phase, PhaseResult, Request,
    Scenario, Shape, Verdict,
};

use crate::drive::{Drive, Driven, perform};
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};
use emulator::{CLASSIFY, Emulator, Fault, surface};

/// Mean time of one request of the queues.
const SERVICE_MS: f64 = 10.0;
/// Gates that are held at once.
const GATES: usize = 10;

pub(super) const LIMITS: Case = Case {
    question: "verdicts",
    criterion: "A gate whose limit is exactly the truth fails, and passes, in at most 5 % of runs each; ten of them at once call \
                any false FAIL in at most 5 % of runs, which they would not without Holm's correction.",
    remark: "",
    run: limits,
};

pub(super) const SUITE: Case = Case {
    question: "verdicts",
    criterion: "The whole quick suite with its gates calls no FAIL on a service that is well in at least 95 % of runs, and each \
                planted fault makes its own gate fail in at least 95 % of runs.",
    remark: "Eleven faults are planted, one more than the method asks for. For a slow decline the five seconds of load of a \
             quick run are short: INCONCLUSIVE counts there as well, for the gate really fails in only half of the runs.",
    run: suite,
};

fn limits(effort: Effort) -> Vec<Measure> {
    let load = 0.5;
    let service_per_s = 1000.0 / SERVICE_MS;
    let p95_ms = -(0.05_f64).ln() / (service_per_s * (1.0 - load)) * 1000.0;
    let alone = effort.each(400, |seed| {
        let phase = queue(seed, "p", 1, load * service_per_s, 20_000.0);
        judge_gate(&gate("p", &format!("p95_ms <= {p95_ms}")), &[phase], &[]).verdict
    });
    let is = |wanted: Verdict| alone.iter().map(|v| *v == wanted).collect::<Vec<bool>>();

    // Many workers and little load: the times are exponential and independent.
    let median_ms = SERVICE_MS * std::f64::consts::LN_2;
    let families = effort.each(400, |seed| {
        let phases: Vec<PhaseResult> = (0..GATES)
            .map(|k| {
                queue(
                    GATES as u64 * seed + k as u64,
                    &format!("p{k}"),
                    10_000,
                    50.0,
                    500.0,
                )
            })
            .collect();
        let gates: Vec<Gate> = (0..GATES)
            .map(|k| gate(&format!("p{k}"), &format!("p50_ms <= {median_ms}")))
            .collect();
        let any_fail = |results: &[GateResult]| results.iter().any(|g| g.verdict == Verdict::Fail);
        let single: Vec<GateResult> = gates.iter().map(|g| judge_gate(g, &phases, &[])).collect();
        (any_fail(&single), any_fail(&judge_gates(&gates, &phases, &[])))
    });
    let (single, corrected): (Vec<bool>, Vec<bool>) = families.into_iter().unzip();
    vec![
        Measure::rate(
            "one gate on p95 of M/M/1 at 50 % load, at its exact limit: FAIL",
            &is(Verdict::Fail),
            Bound::AtMost(0.05),
        ),
        Measure::rate("the same: PASS", &is(Verdict::Pass), Bound::AtMost(0.05)).counts(Kind::FalsePass),
        Measure::rate(
            "ten gates at their exact limits: any FAIL",
            &corrected,
            Bound::AtMost(0.05),
        ),
        Measure::rate(
            "the same without the correction, which must be seen to need it",
            &single,
            Bound::AtLeast(0.1),
        )
        .counts(Kind::Control),
    ]
}

/// What each fault must make fail.
const PLANTED: [(Fault, &str, &str); 11] = [
    (Fault::Serial, "", "finding.serial-service = pass"),
    (Fault::Fails, "sustained", "error_rate <= 0.01"),
    (Fault::SlowFirst, "", "finding.first-call-penalty = pass"),
    (Fault::HealthStarves, "", "finding.health-starves = pass"),
    (Fault::IgnoresInput, "", "finding.input-ignored = pass"),
    (Fault::OneClass, "", "finding.degenerate-output = pass"),
    (Fault::CrashesOnLong, "", "finding.server-error-on-input = pass"),
    (Fault::AcceptsAnything, "", "finding.bad-input-accepted = pass"),
    (Fault::Degrades, "", "finding.degrades-over-time = pass"),
    (Fault::Refuses, "", "finding.fails-under-concurrency = pass"),
    (Fault::Slow, "sustained", "p50_ms <= 35"),
];

fn suite(effort: Effort) -> Vec<Measure> {
    let gates = || -> Vec<Gate> {
        PLANTED
            .iter()
            .map(|(_, experiment, check)| {
                let phase = if experiment.is_empty() {
                    String::new()
                } else {
                    format!("{experiment}/{CLASSIFY}")
                };
                gate(&phase, check)
            })
            .collect()
    };
    let judged = |fault: Fault, seed: u64| -> (Driven, Vec<GateResult>) {
        let driven = driven(fault, seed);
        let judged = judge_gates(&gates(), &driven.phases, &driven.findings);
        (driven, judged)
    };
    let failing = |fault: Fault, seed: u64| -> Vec<String> {
        let (driven, judged) = judged(fault, seed);
        let failed = |f: &&Finding| f.counted() == Verdict::Fail;
        let mut out: Vec<String> = driven
            .findings
            .iter()
            .filter(failed)
            .map(|f| f.id.clone())
            .collect();
        out.extend(
            judged
                .into_iter()
                .filter(|g| g.verdict == Verdict::Fail)
                .map(|g| g.gate.check),
        );
        out
    };
    let well: Vec<bool> = effort
        .each(100, |seed| failing(Fault::None, seed))
        .into_iter()
        .map(|failed| !failed.is_empty())
        .collect();
    let mut measures = vec![Measure::rate(
        "a service that is well: any FAIL of the whole quick suite",
        &well,
        Bound::AtMost(0.05),
    )];
    measures.extend(PLANTED.iter().map(|(fault, _, check)| {
        let own: Vec<Option<Verdict>> = effort.each(40, |seed| {
            let gates = judged(*fault, seed).1;
            gates.iter().find(|g| g.gate.check == *check).map(|g| g.verdict)
        });
        planted(*fault, check, &own)
    }));
    measures
}

/// How often the own gate of a planted fault fails. For a slow decline a quick run is short: there INCONCLUSIVE counts as well,
/// and the row says how often it really fails.
fn planted(fault: Fault, check: &str, own: &[Option<Verdict>]) -> Measure {
    let is = |wanted: Verdict| own.iter().map(move |v| *v == Some(wanted));
    let failed: Vec<bool> = is(Verdict::Fail).collect();
    let (how, flipped) = if fault == Fault::Degrades {
        let count = failed.iter().filter(|f| **f).count();
        let how = format!(
            "FAIL or INCONCLUSIVE (FAIL in only {count} of {} runs)",
            own.len()
        );
        let either = failed.iter().zip(is(Verdict::Inconclusive)).map(|(f, i)| *f || i);
        (how, either.collect())
    } else {
        ("fails".to_owned(), failed)
    };
    Measure::rate(
        format!("planted fault {fault:?}: `{check}` {how}"),
        &flipped,
        Bound::AtLeast(0.95),
    )
}

/// Every experiment of a quick check, with its defaults, against the service.
fn driven(fault: Fault, seed: u64) -> Driven {
    let surface = surface();
    let names: Vec<(&str, serde_json::Value)> = EXPERIMENTS
        .iter()
        // A scripted server has no process to stop and start.
        .filter(|def| !OF_A_PROCESS.contains(&def.name))
        .filter(|def| def.from_budget == Budget::Quick)
        .map(|def| (def.name, serde_json::json!({})))
        .collect();
    let drive = Drive {
        surface: &surface,
        budget: Budget::Quick,
        seed,
        monitor: &mut |_| Vec::new(),
    };
    drive.run(&names, Emulator::new(fault, seed))
}

fn gate(phase: &str, check: &str) -> Gate {
    Gate {
        phase: phase.to_owned(),
        scenario: None,
        check: check.to_owned(),
    }
}

/// A phase of a suite: so many requests at that rate to a queue with exponential times.
fn queue(seed: u64, name: &str, workers: u32, per_s: f64, requests: f64) -> PhaseResult {
    let target = Target::new(&format!(
        "sim:service={SERVICE_MS}ms,spread=exponential,workers={workers},seed={seed}"
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
        name: name.to_owned(),
        experiment: "suite".to_owned(),
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
