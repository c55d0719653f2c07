//! Results of runs made by hand, and the verdict and exit code that must follow: `verdicts.toml`, worked out from the rules
//! and not from the code.

use prony_experiments::{Check, judge_gates};
use prony_model::{
    Capture, Evidence, Expect, Figure, Finding, Gate, Item, Limits, Nanos, Outcome, Phase, PhaseResult,
    Request, RunHeader, Sample, Scenario, Severity, Shape, Source, Suite, ValidityIssue, Verdict,
};
use prony_report::{Finished, Report, RunRecord};
use serde::Deserialize;

use super::exit_code;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    verdict: Verdict,
    code: u8,
    #[serde(default)]
    end: End,
    phase: Option<Load>,
    #[serde(default)]
    findings: Vec<Found>,
    #[serde(default)]
    gates: Vec<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    #[default]
    Whole,
    Interrupted,
    Killed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    ok: u64,
    failed: u64,
    #[serde(default)]
    invalid: bool,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    #[serde(default)]
    id: String,
    verdict: Verdict,
    #[serde(default)]
    advisory: bool,
    figure: Option<(f64, f64)>,
}

fn phase(load: &Load) -> PhaseResult {
    let mut at = Nanos::ZERO;
    let samples: Vec<Sample> = (0..load.ok + load.failed)
        .map(|seq| {
            let start = at;
            at += Nanos::from_millis_f64(10.0 + ((seq * 7) % 10) as f64);
            Sample {
                seq,
                intended: start,
                sent: start,
                first_byte: at,
                done: at,
                outcome: if seq < load.ok {
                    Outcome::Ok
                } else {
                    Outcome::Status5xx
                },
                ..Sample::default()
            }
        })
        .collect();
    let item = Item {
        request: Request::get("/"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "p".to_owned(),
        experiment: "suite".to_owned(),
        scenarios: vec![Scenario::new("s", vec![item])],
        shape: Shape::Sequential {
            requests: load.ok + load.failed,
            duration_s: None,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let mut summary = prony_engine::summarise(0, &phase, &samples, Nanos::ZERO, at, load.partial);
    if load.invalid {
        summary.validity.invalid.push(ValidityIssue {
            name: "shed".to_owned(),
            says: "too many shed".to_owned(),
        });
    }
    PhaseResult {
        index: 0,
        phase,
        summary,
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

fn finding(found: &Found) -> Finding {
    let figure = |(low, high): (f64, f64)| {
        Evidence::Figure(Figure {
            label: "sustained rate".to_owned(),
            value: f64::midpoint(low, high),
            unit: "1/s".to_owned(),
            ci: Some((low, high)),
            n: 3000,
            source: Source::default(),
        })
    };
    Finding {
        id: found.id.clone(),
        experiment: "made".to_owned(),
        endpoint: String::new(),
        verdict: found.verdict,
        severity: Severity::Medium,
        required: !found.advisory,
        title: "made".to_owned(),
        detail: String::new(),
        evidence: found.figure.map(figure).into_iter().collect(),
        recommendation: None,
    }
}

fn gate(check: &str) -> Gate {
    let on_phase = Check::parse(check).expect("a condition").is_on_phase();
    Gate {
        phase: if on_phase { "p" } else { "" }.to_owned(),
        scenario: None,
        check: check.to_owned(),
    }
}

/// What the runner does with such results: gates, the verdict of the last event, the report and the exit code.
fn ended(case: &Case) -> (Verdict, u8) {
    let phases: Vec<PhaseResult> = case.phase.iter().map(phase).collect();
    let findings: Vec<Finding> = case.findings.iter().map(finding).collect();
    let gates: Vec<Gate> = case.gates.iter().map(|check| gate(check)).collect();
    let gates = judge_gates(&gates, &phases, &findings);
    let finished = Finished {
        verdict: prony_report::verdict(&findings, &gates),
        interrupted: case.end == End::Interrupted,
        at: Nanos(1),
    };
    let mut record = RunRecord::new(RunHeader {
        format: RunHeader::FORMAT,
        prony: String::new(),
        id: String::new(),
        command: String::new(),
        started_at: String::new(),
        seed: 0,
        target: String::new(),
        host: std::collections::BTreeMap::new(),
        shared_host: false,
        suite: Suite::default(),
    });
    record.phases = phases.into_iter().map(|p| p.summary).collect();
    record.findings = findings;
    record.gates = gates;
    record.finished = (case.end != End::Killed).then_some(finished);
    let report = Report::build(&record);
    (
        report.verdict,
        exit_code(&report, case.end == End::Interrupted) as u8,
    )
}

#[test]
fn every_result_has_its_verdict_and_exit_code() {
    let matrix: Matrix = toml::from_str(include_str!("verdicts.toml")).expect("the matrix is well formed");
    assert!(matrix.case.len() >= 60);
    let wrong: Vec<String> = matrix
        .case
        .iter()
        .filter_map(|case| {
            let (verdict, code) = ended(case);
            let right = (verdict, code) == (case.verdict, case.code);
            (!right).then(|| format!("{}: {verdict} ({code})", case.name))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}
