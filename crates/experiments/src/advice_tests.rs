//! Advice follows from figures that were measured, and only from those.

use std::collections::BTreeMap;

use prony_model::{
    Advice, Endpoint, Evidence, Expect, Figure, Finding, Item, Nanos, Objective, Outcome, PhaseResult,
    Reading, Request, Role, Sample, Scenario, Severity, Shape, Source, Surface, Verdict,
};

use super::advise;
use crate::RunView;
use crate::gate::tests::phase;

const WORK: &str = "POST /v1/infer";
const HEALTH: &str = "GET /healthz";

fn surface() -> Surface {
    let endpoint = |name: &str, role| {
        let (method, path) = name.split_once(' ').unwrap();
        Endpoint {
            name: name.into(),
            method: method.into(),
            path: path.into(),
            role,
            parameters: vec![],
            body_schema: None,
            declared_statuses: vec![],
            samples: vec![],
            expect: Expect::default(),
        }
    };
    Surface {
        endpoints: vec![endpoint(WORK, Role::Inference), endpoint(HEALTH, Role::Health)],
        ..Surface::default()
    }
}

/// A phase of an experiment on one endpoint: `n` answers of that time, `bad` of them failed.
fn load(index: u16, experiment: &str, endpoint: &str, n: usize, ms: f64, bad: usize) -> PhaseResult {
    let mut requests = vec![(ms, Outcome::Ok, 200); n - bad];
    requests.extend(vec![(ms, Outcome::Status5xx, 500); bad]);
    let mut phase = phase(endpoint, &requests);
    phase.index = index;
    phase.summary.index = index;
    phase.phase.experiment = experiment.into();
    phase.summary.experiment = experiment.into();
    phase.phase.scenarios[0].name = endpoint.into();
    phase
}

/// The closed ladder of a target with so many slots of 100 ms, up to 16 at a time.
fn laddered(index: u16, slots: u32) -> PhaseResult {
    let mut phase = load(index, "ladder", WORK, 1, 1.0, 0);
    let connections: Vec<u32> = vec![1, 2, 4, 8, 16];
    phase.samples = connections
        .iter()
        .enumerate()
        .flat_map(|(step, &n)| {
            let at_once = n.min(slots);
            let response_s = 0.1 * f64::from(n) / f64::from(at_once);
            (0..80).map(move |k| {
                let done_s = 100.0 * step as f64 + 0.1 * f64::from(k / at_once + 1);
                let sent = Nanos::from_secs_f64((done_s - response_s).max(100.0 * step as f64));
                Sample {
                    seq: u64::from(k),
                    intended: sent,
                    sent,
                    done: Nanos::from_secs_f64(done_s),
                    step: step as u16,
                    ..Sample::default()
                }
            })
        })
        .collect();
    phase.phase.shape = Shape::Ladder {
        connections,
        requests_each: None,
        duration_s: Some(1.0),
        idle_s: 0.0,
    };
    phase
}

/// Health calls once a second, each of that many seconds, beside `load_per_s` of work.
fn health(index: u16, took_s: &[f64], load_per_s: f64) -> PhaseResult {
    let mut phase = load(index, "ladder", "health beside load", 1, 1.0, 0);
    let item = Item {
        request: Request::get("/"),
        expect: Expect::default(),
    };
    let scenario = |name: &str, weight: f64| Scenario {
        weight,
        ..Scenario::new(name, vec![item.clone()])
    };
    phase.phase.scenarios = vec![scenario(WORK, load_per_s), scenario(HEALTH, 1.0)];
    phase.phase.shape = Shape::Open {
        rate: load_per_s + 1.0,
        arrivals: prony_model::Arrivals::Constant,
        duration_s: took_s.len() as f64,
        in_flight_max: 100,
    };
    phase.samples = took_s
        .iter()
        .enumerate()
        .map(|(i, s)| Sample {
            seq: i as u64,
            intended: Nanos::from_secs_f64(i as f64),
            sent: Nanos::from_secs_f64(i as f64),
            done: Nanos::from_secs_f64(i as f64 + s),
            scenario: 1,
            ..Sample::default()
        })
        .collect();
    phase
}

/// Label, value, interval and n of a figure.
type Row<'a> = (&'a str, f64, Option<(f64, f64)>, u64);

fn finding(id: &str, endpoint: &str, figures: &[Row<'_>]) -> Finding {
    Finding {
        id: id.into(),
        experiment: id.into(),
        endpoint: endpoint.into(),
        verdict: Verdict::Pass,
        severity: Severity::Info,
        required: true,
        title: String::new(),
        detail: String::new(),
        evidence: figures
            .iter()
            .map(|&(label, value, ci, n)| {
                Evidence::Figure(Figure {
                    label: label.into(),
                    value,
                    unit: String::new(),
                    ci,
                    n,
                    source: Source {
                        phase: Some(1),
                        scenario: String::new(),
                    },
                })
            })
            .collect(),
        recommendation: None,
    }
}

fn judged(phases: &[PhaseResult], findings: &[Finding], objective: &Objective) -> Advice {
    let surface = surface();
    let run = RunView {
        surface: &surface,
        phases,
        cores: 4,
        shared_host: false,
    };
    advise(&run, findings, objective, "https://backend.test:8443/base")
}

/// A run of everything: one request alone takes 100 ms, throughput is used up at 80/s.
fn whole() -> (Vec<PhaseResult>, Vec<Finding>) {
    let mut watched = load(4, "leak", WORK, 10, 1.0, 0);
    watched.readings = [400.0, 500.0]
        .map(|mib| Reading {
            at: Nanos::ZERO,
            monitor: "process".into(),
            values: BTreeMap::from([("pss_bytes".to_owned(), mib * f64::from(1 << 20))]),
        })
        .into();
    let phases = vec![
        load(0, "baseline", WORK, 200, 100.0, 0),
        laddered(1, 8),
        health(2, &[vec![0.2; 119], vec![1.4]].concat(), 56.0),
        load(3, "sustained", WORK, 1000, 100.0, 0),
        watched,
    ];
    let findings = vec![
        finding("serial-service", WORK, &[("highest throughput", 80.0, None, 500)]),
        finding(
            "capacity",
            WORK,
            &[("sustained rate", 40.0, Some((40.0, 44.0)), 3000)],
        ),
        finding(
            "sustained",
            WORK,
            &[("response p95", 180.0, Some((170.0, 200.0)), 1000)],
        ),
        finding(
            "memory-growth",
            WORK,
            &[
                ("growth per request", 0.0, Some((-10.0, 1.0)), 10_000),
                ("memory at the end", 5e8, None, 240),
            ],
        ),
        finding(
            "cold-start",
            "",
            &[
                ("request after idleness, slowest", 31.0, None, 10),
                ("cold start", 28.0, None, 10),
                ("warm workers needed", 3.0, None, 1),
            ],
        ),
    ];
    (phases, findings)
}

const OBJECTIVE: Objective = Objective {
    response_ms: Some(2000.0),
    success_share: 0.99,
    peak_per_s: Some(100.0),
    growth_per_min: Some(0.5),
    restart_days: Some(1.0),
};

/// The formulas of methodology section 12, with numbers worked out by hand.
#[test]
fn every_setting_follows_its_formula() {
    let (phases, findings) = whole();
    let advice = judged(&phases, &findings, &OBJECTIVE);
    let grown = 1.0 * 100.0 * 86_400.0;
    for (key, expected) in [
        ("plan.per_s", 0.8 * 40.0),
        ("concurrency.limit", 8.0), // 80/s x 0.1 s
        ("queue.length", 76.0),     // 40/s x (2 - 0.1) s
        ("timeout.server_s", 2.4),
        ("timeout.balancer_s", 2.9),
        ("timeout.client_s", 3.5),
        ("retry.attempts_max", 3.0),
        ("retry.budget_share", 0.1),
        ("workers.min", 3.0),
        ("autoscaler.in_flight", 8.0 / (1.0 + 0.5 * 58.0 / 60.0)),
        ("autoscaler.replicas_max", 3.0), // 1.2 x 100 / 40
        ("autoscaler.scale_down_s", 300.0),
        ("startup.failures", 10.0),  // 1.5 x 31 / 5
        ("liveness.timeout_s", 3.0), // 2 x 1.4
        ("liveness.failures", 3.0),
        ("readiness.failures", 2.0),
        ("readiness.queue_wait_s", 1.0),
        (
            "memory.limit_bytes",
            (1.2 * (500.0 * f64::from(1 << 20) + grown)).ceil(),
        ),
        ("alert.p95_s", 0.24), // 1.2 x 200 ms
        ("objective.success_share", 0.99),
        ("objective.burn", 0.0),
        ("alert.in_flight", 6.4),
        ("alert.bytes_per_request", 500.0),
    ] {
        let setting = advice
            .setting(key)
            .unwrap_or_else(|| panic!("{key} is missing: {:?}", advice.unmeasured));
        assert!(
            (setting.value - expected).abs() < 1e-6,
            "{key}: {} and not {expected}",
            setting.value
        );
        assert!(
            !setting.formula.is_empty() && !setting.evidence.is_empty(),
            "{key}"
        );
    }
    assert_eq!(advice.unmeasured, []);
    let probe = advice.probe.unwrap();
    assert_eq!((probe.port, probe.scheme.as_str()), (8443, "https"));
    assert_eq!(
        (probe.live_path.as_str(), probe.ready_path.as_str()),
        ("/healthz", "/healthz")
    );
}

#[test]
fn nothing_is_recommended_of_what_was_not_measured() {
    let advice = judged(&[], &[], &Objective::default());
    assert_eq!(advice.settings, []);
    let named = |what: &str| {
        advice
            .unmeasured
            .iter()
            .any(|u| u.what.contains(what) && !u.first.is_empty())
    };
    for what in [
        "concurrency",
        "queue",
        "time-outs",
        "retry",
        "workers",
        "autoscaler",
        "replicas",
        "start-up",
        "liveness",
        "memory",
        "alert",
    ] {
        assert!(named(what), "{what}: {:?}", advice.unmeasured);
    }
}

/// Taking away one input takes away what rests on it, and no more.
#[test]
fn each_input_carries_only_its_own_settings() {
    let (phases, findings) = whole();
    let without = |id: &str| {
        let kept: Vec<Finding> = findings.iter().filter(|f| f.id != id).cloned().collect();
        judged(&phases, &kept, &OBJECTIVE)
    };
    let capacity = without("capacity");
    for key in ["plan.per_s", "queue.length", "autoscaler.replicas_max"] {
        assert!(capacity.setting(key).is_none(), "{key}");
    }
    assert!(
        capacity.setting("concurrency.limit").is_some() && capacity.setting("timeout.server_s").is_some()
    );
    let cold = without("cold-start");
    assert!(cold.setting("startup.failures").is_none() && cold.setting("autoscaler.scale_down_s").is_none());
    // Erlang C: 100/s x 0.1 s = 10 erlangs; with 11 workers the wait passes 1.9 s in 0.68 x exp(-10 x 1.9) of cases.
    assert!((cold.setting("workers.min").unwrap().value - 11.0).abs() < 1e-9);
    let calm = judged(&phases[..2], &findings, &OBJECTIVE);
    assert!(
        calm.setting("liveness.timeout_s").is_none(),
        "idle numbers are no probe"
    );
}

/// A ladder that ended while throughput rose shows no knee, and nothing that would follow from one is recommended.
#[test]
fn a_ladder_that_ended_too_early_recommends_no_limit() {
    let (mut phases, findings) = whole();
    phases[1] = laddered(1, 1_000);
    let advice = judged(&phases, &findings, &OBJECTIVE);
    for (key, what) in [
        ("concurrency.limit", "concurrency limit"),
        ("autoscaler.in_flight", "target of the autoscaler"),
        ("alert.in_flight", "alert on saturation"),
    ] {
        assert!(advice.setting(key).is_none(), "{key}");
        let lacking = advice.unmeasured.iter().find(|u| u.what == what);
        assert!(
            lacking.is_some_and(|u| u.first.contains("connections")),
            "{what}: {:?}",
            advice.unmeasured
        );
    }
    assert!(advice.setting("plan.per_s").is_some() && advice.setting("queue.length").is_some());
    let without: Vec<Finding> = findings.into_iter().filter(|f| f.id != "capacity").collect();
    let advice = judged(&phases, &without, &OBJECTIVE);
    let budget = advice.setting("retry.budget_share").unwrap();
    assert!(budget.caveat.contains("at least"), "{}", budget.caveat);
}

#[test]
fn a_measurement_that_cannot_be_trusted_recommends_nothing() {
    let (mut phases, mut findings) = whole();
    for finding in &mut findings {
        finding.verdict = Verdict::Invalid;
    }
    for phase in &mut phases {
        phase.summary.validity.invalid.push(prony_model::ValidityIssue {
            name: "shed".into(),
            says: "too many shed".into(),
        });
    }
    let advice = judged(&phases, &findings, &OBJECTIVE);
    let keys: Vec<&str> = advice.settings.iter().map(|s| s.key.as_str()).collect();
    // What follows from the stated objective alone stays.
    let stated = ["timeout.server_s", "timeout.balancer_s", "timeout.client_s"];
    assert!(keys.iter().all(|k| stated.contains(k)), "{keys:?}");
}

/// The probe that is recommended restarts nothing on the calls that it follows from, whatever they were like.
#[test]
fn the_liveness_probe_survives_what_was_recorded() {
    let (mut phases, findings) = whole();
    let mut series = vec![0.01; 200];
    series[50..110].fill(6.0);
    phases[2] = health(2, &series, 56.0);
    for sample in &mut phases[2].samples[50..110] {
        sample.outcome = Outcome::HeadersTimeout;
    }
    let advice = judged(&phases, &findings, &OBJECTIVE);
    let failures = advice.setting("liveness.failures").unwrap();
    // Nobody answered for 65 s, so it takes at least 130 s of failures.
    assert!(failures.value >= 13.0, "{}", failures.value);
    assert!(
        failures.says.contains("restarts the target 0 times"),
        "{}",
        failures.says
    );
    assert!(
        failures.caveat.contains("70 % of the highest throughput") || failures.caveat.contains("56"),
        "{}",
        failures.caveat
    );
}

#[test]
fn the_error_budget_is_forecast_by_the_interval() {
    let (mut phases, findings) = whole();
    let mut burn = |bad: usize| {
        phases[3] = load(3, "sustained", WORK, 1000, 100.0, bad);
        judged(&phases, &findings, &OBJECTIVE)
            .setting("objective.burn")
            .unwrap()
            .clone()
    };
    assert!(burn(0).says.contains("is left after 30 days"), "{}", burn(0).says);
    assert!(burn(10).says.contains("is not decided"), "{}", burn(10).says);
    let lost = burn(50);
    assert!((lost.value - 5.0).abs() < 1e-9);
    assert!(lost.says.contains("cannot be promised"), "{}", lost.says);
}

#[test]
fn a_port_is_read_from_any_address() {
    let surface = surface();
    let run = RunView {
        surface: &surface,
        phases: &[],
        cores: 1,
        shared_host: false,
    };
    for (url, port) in [
        ("http://h", 80),
        ("https://h/x:9", 443),
        ("http://[::1]:8080/", 8080),
        ("https://[::1]", 443),
    ] {
        assert_eq!(super::probes::address(&run, url).unwrap().port, port, "{url}");
    }
    assert_eq!(super::probes::address(&run, "sim:service=5ms"), None);
}

/// A process that was started and stopped: how long it needs for either decides the probe and the time to stop.
#[test]
fn starts_and_stops_of_the_process_are_allowed_for() {
    let started = |n| {
        finding(
            "startup",
            "",
            &[("start to ready or answering, slowest", 42.0, None, n)],
        )
    };
    let stopped = |killed| {
        let figures = [
            ("times that it had to be killed", killed, None, 2),
            ("time to stop, longest", 20.0, None, 2),
        ];
        finding("stop-in-time", "", &figures)
    };
    let value = |findings: &[Finding], key: &str| {
        let advice = judged(&[], findings, &Objective::default());
        advice.setting(key).map(|s| s.value)
    };
    let all = [started(10), stopped(0.0)];
    assert_eq!(value(&all, "startup.failures"), Some(13.0), "1.5 x 42 / 5");
    assert_eq!(value(&all, "termination.grace_s"), Some(45.0), "2 x 20 + 5");
    let few = [started(9), stopped(1.0)];
    assert_eq!(value(&few, "startup.failures"), None);
    assert_eq!(
        value(&few, "termination.grace_s"),
        None,
        "one that was killed shows no time to stop"
    );
    let advice = judged(&[], &few, &Objective::default());
    let first = |what: &str| {
        advice
            .unmeasured
            .iter()
            .find(|u| u.what == what)
            .map(|u| u.first.as_str())
    };
    assert!(first("start-up probe").unwrap().contains("starts = 10"));
    assert!(first("time to stop").is_some());
}
