//! Runs made by hand: one rich in everything, with hostile text in every place that a target can fill.

use prony_model::{
    Claim, ClaimResult, Distribution, Endpoint, Event, Evidence, Expect, Figure, Finding, Gate, GateResult,
    Item, Limits, Nanos, Outcome, Phase, PhaseSpec, PhaseSummary, Progress, Quantile, Recommendation,
    Request, Role, RunHeader, Scenario, Severity, Shape, Source, Suite, SummaryRow, Surface, SystemSnapshot,
    Table, Upheld, Validity, ValidityIssue, Verdict,
};
use prony_report::{ExperimentTitle, RunRecord};

/// Text that tries to break out of every format.
pub(crate) const HOSTILE: &str = "</td><script>alert(1)</script> | `rm -rf` \u{1b}[31mred\u{1b}]0;owned\u{7} \u{202e}txt.exe\r\n\n# heading\n- [x](javascript:alert(1)) ![i](http://h/i.png) www.evil.test";

fn ms(value: f64) -> Nanos {
    Nanos::from_millis_f64(value)
}

fn distribution(n: u64, p50: f64) -> Distribution {
    let quantile = |p: f64, factor: f64, needs: u64| Quantile {
        p,
        value: ms(p50 * factor),
        lo: ms(p50 * factor * 0.95),
        hi: ms(p50 * factor * 1.1),
        needs_n: if n < needs { needs } else { 0 },
    };
    Distribution {
        n,
        n_eff: n as f64,
        mean_ns: p50 * 1.05e6,
        sd_ns: p50 * 0.2e6,
        min: ms(p50 * 0.5),
        max: ms(p50 * 4.0),
        quantiles: vec![
            quantile(0.5, 1.0, 5),
            quantile(0.9, 1.5, 29),
            quantile(0.99, 3.0, 299),
        ],
    }
}

pub(crate) fn row(
    scenario: &str,
    step: u16,
    connections: u32,
    outcome: Outcome,
    n: u64,
    p50: f64,
) -> SummaryRow {
    SummaryRow {
        scenario: scenario.into(),
        part: false,
        step,
        connections,
        outcome,
        n,
        per_s: n as f64 / 10.0,
        response: distribution(n, p50),
        service: distribution(n, p50 * 0.9),
        lag: distribution(n, 0.02),
        ttfb: distribution(n, p50 * 0.8),
        transfer: distribution(n, p50 * 0.1),
        connect: Distribution::default(),
        tls: Distribution::default(),
    }
}

pub(crate) fn summary(index: u16, experiment: &str, name: &str, rows: Vec<SummaryRow>) -> PhaseSummary {
    let of = |wanted: fn(Outcome) -> bool| {
        rows.iter()
            .filter(|r| wanted(r.outcome))
            .map(|r| r.n)
            .sum::<u64>()
    };
    let (ok, failed, own) = (
        of(|o| o == Outcome::Ok),
        of(Outcome::is_failure),
        of(Outcome::is_own),
    );
    PhaseSummary {
        index,
        name: name.into(),
        experiment: experiment.into(),
        shape: "closed loop, 8 connections, 10 s".into(),
        open_loop: false,
        started: Nanos::from_secs_f64(f64::from(index) * 12.0),
        ended: Nanos::from_secs_f64(f64::from(index) * 12.0 + 10.0),
        offered: ok + failed + own,
        ok,
        failed,
        own,
        attempts: ok + failed,
        retried: 0,
        offered_per_s: (ok + failed + own) as f64 / 10.0,
        achieved_per_s: (ok + failed) as f64 / 10.0,
        ok_per_s: ok as f64 / 10.0,
        in_flight_mean: 7.5,
        in_flight_max: 8,
        bytes_in: 1_234_567,
        connections: 8,
        rows,
        streams: Vec::new(),
        validity: Validity {
            lag_p99: Nanos(81_000),
            late_share: 0.0004,
            worker_busy_max: 0.21,
            timer_p99: Nanos(60_000),
            read_late_p99: Nanos::ZERO,
            stamped_by_kernel: 0,
            stamped_by_read: 0,
            misread_share: 0.0,
            little_error: 0.003,
            ..Validity::default()
        },
        partial: false,
    }
}

fn at(phase: u16, scenario: &str) -> Source {
    Source {
        phase: Some(phase),
        scenario: scenario.into(),
    }
}

fn figure(label: &str, value: f64, unit: &str, ci: Option<(f64, f64)>, n: u64, source: Source) -> Figure {
    Figure {
        label: label.into(),
        value,
        unit: unit.into(),
        ci,
        n,
        source,
    }
}

fn finding(id: &str, experiment: &str, verdict: Verdict, severity: Severity, title: &str) -> Finding {
    Finding {
        id: id.into(),
        experiment: experiment.into(),
        endpoint: "POST /api/analyze".into(),
        verdict,
        severity,
        required: true,
        title: title.into(),
        detail: "What was done, what came out and what it means.".into(),
        evidence: vec![],
        recommendation: None,
    }
}

fn findings() -> Vec<Finding> {
    let mut serial = finding(
        "serial-service",
        "concurrency",
        Verdict::Fail,
        Severity::High,
        "Requests are served one at a time",
    );
    serial.evidence = vec![
        Evidence::Figure(figure(
            "throughput at 1",
            31.24,
            "1/s",
            Some((30.9, 31.6)),
            312,
            at(1, "POST /api/analyze"),
        )),
        Evidence::Figure(figure(
            "throughput at 32 over throughput at 1",
            1.008,
            "ratio",
            Some((0.99, 1.02)),
            624,
            at(1, ""),
        )),
    ];
    serial.recommendation = Some(Recommendation {
        advice: "Move the blocking work out of the event loop.".into(),
        because: "throughput stays at 31.2/s from 1 to 32 connections".into(),
    });
    let mut fallback = finding(
        "fallback-identity",
        "identity",
        Verdict::Fail,
        Severity::Critical,
        "Answers come from a fallback",
    );
    fallback.endpoint = "POST /api/search|x".into();
    fallback.evidence = vec![Evidence::Quote {
        label: "embedding_model".into(),
        text: HOSTILE.into(),
        source: at(0, "POST /api/search"),
    }];
    let mut coverage = finding(
        "coverage",
        "coverage",
        Verdict::Pass,
        Severity::Info,
        "2 of 3 endpoints answer correctly",
    );
    coverage.endpoint = String::new();
    coverage.evidence = vec![Evidence::Table(Table {
        label: "Endpoints".into(),
        columns: vec!["endpoint".into(), "status".into()],
        rows: vec![
            vec!["GET /health".into(), "works".into()],
            vec!["POST /api/search".into(), HOSTILE.into()],
        ],
        source: at(0, ""),
    })];
    coverage.evidence.push(Evidence::Figure(figure(
        "answered as expected",
        66.7,
        "%",
        Some((9.4, 99.2)),
        3,
        at(0, ""),
    )));
    let mut drift = finding(
        "drift",
        "sustained",
        Verdict::Invalid,
        Severity::Medium,
        "Drift could not be judged",
    );
    drift.evidence = vec![Evidence::Figure(figure(
        "slope",
        0.02,
        "ms/s",
        None,
        0,
        at(2, ""),
    ))];
    let mut docs = finding(
        "docs",
        "coverage",
        Verdict::Fail,
        Severity::Low,
        "No documents at /docs",
    );
    docs.required = false;
    let errors = finding(
        "error-rate",
        "sustained",
        Verdict::Inconclusive,
        Severity::Medium,
        "Too few requests to bound the failure rate",
    );
    vec![coverage, docs, fallback, serial, drift, errors]
}

fn gate(verdict: Verdict, measured: Option<Figure>, says: &str) -> GateResult {
    GateResult {
        gate: Gate {
            phase: "T1".into(),
            scenario: None,
            check: "p99_ms <= 500".into(),
        },
        verdict,
        measured,
        says: says.into(),
    }
}

fn claims() -> Vec<ClaimResult> {
    let claim = |id: &str, says: &str| Claim {
        id: id.into(),
        says: says.into(),
        holds_if: vec![],
        unless: vec![],
        note: String::new(),
    };
    vec![
        ClaimResult {
            claim: claim("T7", "Avg per request 6.7 ms (50 concurrent)"),
            upheld: Upheld::No,
            measured: vec![figure(
                "mean response",
                173.0,
                "ms",
                Some((160.0, 190.0)),
                50,
                at(3, ""),
            )],
            says: "6.7 ms is total time over count: throughput, not a response time.".into(),
        },
        ClaimResult {
            claim: claim("T|1", HOSTILE),
            upheld: Upheld::NotDecided,
            measured: vec![],
            says: "No phase measured it.".into(),
        },
    ]
}

pub(crate) fn header() -> RunHeader {
    RunHeader {
        format: RunHeader::FORMAT,
        prony: "0.1.0".into(),
        id: "20260131T120000-7f3a".into(),
        command: "prony check http://127.0.0.1:8003 --seed 7".into(),
        started_at: "2026-01-31T12:00:00Z".into(),
        seed: 7,
        target: "http://127.0.0.1:8003".into(),
        host: [("kernel", "Linux 6.8"), ("cpu", "2 cores")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        shared_host: true,
        suite: Suite {
            name: "enso".into(),
            phase: vec![PhaseSpec {
                name: "T1".into(),
                description: "Ten analyses at once.".into(),
                scenarios: vec!["analyze".into()],
                shape: Shape::Burst {
                    size: 10,
                    count: 1,
                    interval_s: 0.0,
                },
                limits: None,
                capture: prony_model::Capture::NONE,
                advisory: false,
                fresh: false,
            }],
            ..Suite::default()
        },
    }
}

fn started(index: u16, experiment: &str, name: &str, request: Request) -> Event {
    Event::PhaseStarted {
        index,
        at: Nanos::from_secs_f64(f64::from(index) * 12.0),
        phase: Phase {
            name: name.into(),
            experiment: experiment.into(),
            scenarios: vec![Scenario::new(
                "s",
                vec![Item {
                    request,
                    expect: Expect::default(),
                }],
            )],
            shape: Shape::Closed {
                connections: 8,
                requests: None,
                duration_s: Some(10.0),
                think_ms: 0.0,
            },
            limits: Limits::default(),
            capture: prony_model::Capture::NONE,
        },
    }
}

fn surface() -> Surface {
    let endpoint = |name: &str| {
        let (method, path) = name.split_once(' ').unwrap();
        Endpoint {
            name: name.into(),
            method: method.into(),
            path: path.into(),
            role: Role::Inference,
            parameters: vec![],
            body_schema: None,
            declared_statuses: vec![],
            samples: vec![],
            expect: Expect::default(),
        }
    };
    Surface {
        name: "Enso <b>Atlas</b>".into(),
        version: "0.1.0".into(),
        found_by: vec!["openapi at /openapi.json".into()],
        endpoints: [
            "POST /api/analyze",
            "GET /api/slides/{id}",
            "GET /api/heatmap/{id}",
        ]
        .map(endpoint)
        .into(),
        ..Surface::default()
    }
}

fn snapshot(label: &str, pss: f64, load: Option<f64>) -> Event {
    let mut values = std::collections::BTreeMap::from([("target.pss_bytes".to_owned(), pss)]);
    values.extend(load.map(|l| ("host.load1".to_owned(), l)));
    Event::SystemSeen(SystemSnapshot {
        label: label.into(),
        at: Nanos(0),
        values,
        missing: vec!["gpu: no GPU is visible on this host".into()],
    })
}

/// The events of a whole run.
pub(crate) fn events() -> Vec<Event> {
    let mut invalid = summary(
        2,
        "sustained",
        "steady",
        vec![row("POST /api/analyze", 0, 0, Outcome::Ok, 40, 33.0)],
    );
    invalid.open_loop = true;
    invalid.validity.invalid = vec![ValidityIssue {
        name: "late-sends".into(),
        says: "4.1 % of sends were late by more than 3.3 ms; the bound is 1 %".into(),
    }];
    invalid.validity.warnings = vec![ValidityIssue {
        name: "shared-host".into(),
        says: "the target took 60 % of the host's processor time".into(),
    }];
    let mut out = vec![
        Event::RunStarted(header()),
        Event::SurfaceFound(surface()),
        snapshot("before", 1_157_627_904.0, None),
        Event::Noted {
            text: "The demo backend carries planted faults.".into(),
        },
        started(0, "coverage", "preflight", Request::get("/api/slides/s_1?x=1")),
        Event::PhaseFinished(summary(
            0,
            "coverage",
            "preflight",
            vec![
                row("GET /api/slides/{id}", 0, 0, Outcome::Ok, 6, 1.2),
                row("POST /api/search", 0, 0, Outcome::Status5xx, 1, 2.0),
            ],
        )),
        started(
            1,
            "concurrency",
            "ladder",
            Request::json("POST", "/api/analyze", &serde_json::json!({})),
        ),
        Event::PhaseFinished(summary(
            1,
            "concurrency",
            "ladder",
            vec![
                row("POST /api/analyze", 0, 1, Outcome::Ok, 312, 32.0),
                row("POST /api/analyze", 1, 32, Outcome::Ok, 312, 1020.0),
                row("POST /api/analyze", 1, 32, Outcome::Interrupted, 3, 900.0),
            ],
        )),
        Event::PhaseFinished(invalid),
        Event::PhaseFinished(summary(
            3,
            "suite",
            "T1",
            vec![row("analyze", 0, 0, Outcome::Ok, 12, 170.0)],
        )),
    ];
    out.extend(findings().into_iter().map(Event::FindingMade));
    out.push(Event::GateJudged(gate(
        Verdict::Inconclusive,
        None,
        "no data: p99 needs 299 requests, there are 12",
    )));
    out.push(Event::GateJudged(gate(
        Verdict::Pass,
        Some(figure(
            "p99",
            312.0,
            "ms",
            Some((290.0, 371.0)),
            1200,
            at(3, "analyze"),
        )),
        "371 ms at the upper end is within 500 ms",
    )));
    out.extend(claims().into_iter().map(Event::ClaimJudged));
    out.push(Event::Advised(super::advised::advice(HOSTILE)));
    out.push(snapshot("after", 1_233_125_376.0, Some(0.42)));
    out.push(Event::RunFinished {
        verdict: Verdict::Invalid,
        interrupted: false,
        at: Nanos::from_secs_f64(61.0),
    });
    out
}

/// The same run, killed in its second phase.
pub(crate) fn killed_events() -> Vec<Event> {
    let mut out: Vec<Event> = events().into_iter().take(7).collect();
    out.push(Event::Progressed(Progress {
        index: 1,
        at: Nanos::from_secs_f64(16.0),
        done: 117,
        failed: 2,
        ..Progress::default()
    }));
    out
}

/// A record with the titles that the registry of experiments would give.
pub(crate) fn record(events: &[Event]) -> RunRecord {
    let mut record = RunRecord::fold(events);
    record.experiments = [
        (
            "coverage",
            "Endpoint coverage",
            "Which endpoints answer correctly?",
        ),
        (
            "concurrency",
            "Concurrency ladder",
            "Does it do more work when more is asked of it?",
        ),
        (
            "tiles",
            "Deep-zoom tiles",
            "Are the tiles that must exist there, and no others?",
        ),
    ]
    .map(|(name, title, question)| ExperimentTitle {
        name: name.into(),
        title: title.into(),
        question: question.into(),
    })
    .into();
    record
}
