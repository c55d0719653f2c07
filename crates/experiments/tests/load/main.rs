//! The load experiments against simulated targets whose truth is known, in virtual time. Seeds are printed on failure.

mod target;

use prony_experiments::{BuildContext, RunView, Step, find};
use prony_model::{
    Budget, EarlyCalls, Evidence, Finding, Limits, Outcome, PhaseResult, Reading, Severity, Verdict,
};
use serde_json::{Value, json};
use target::{HEALTH, Simulation, Target, WORK, surface};

/// Runs experiments with parameters, one after another, as the tool does.
fn run(
    target: Target,
    seed: u64,
    budget: Budget,
    experiments: &[(&str, Value)],
) -> (Vec<PhaseResult>, Vec<Finding>) {
    let surface = surface();
    let limits = Limits::default();
    let mut simulation = Simulation::new(target, seed);
    let mut phases: Vec<PhaseResult> = Vec::new();
    let mut findings = Vec::new();
    for (name, params) in experiments {
        let def = find(name).expect("registered");
        let context = BuildContext {
            surface: &surface,
            budget,
            time_s: def.time.most_s(budget),
            seed,
            limits: &limits,
        };
        let mut experiment = (def.build)(&context, params).expect("valid parameters");
        for _ in 0..100 {
            match experiment.next(&view(&surface, &phases)) {
                Step::Run(phase) => {
                    assert_eq!(phase.experiment, *name);
                    let result = simulation.perform(phases.len() as u16, &phase);
                    phases.push(result);
                }
                // There is no process behind a simulation.
                Step::Restarted(_) | Step::Stopped { .. } | Step::Done => break,
            }
        }
        if *name != "coverage" {
            findings.extend(experiment.conclude(&view(&surface, &phases)));
        }
    }
    (phases, findings)
}

fn view<'a>(surface: &'a prony_model::Surface, phases: &'a [PhaseResult]) -> RunView<'a> {
    RunView {
        surface,
        phases,
        cores: 2,
        shared_host: true,
    }
}

fn of<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.id == id)
        .unwrap_or_else(|| panic!("no finding {id}"))
}

fn figure(finding: &Finding, label: &str) -> f64 {
    finding
        .evidence
        .iter()
        .find_map(|e| match e {
            Evidence::Figure(f) if f.label == label => Some(f.value),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no figure {label} in {finding:#?}"))
}

fn ladder() -> Vec<(&'static str, Value)> {
    vec![
        ("coverage", json!({})),
        ("client-floor", json!({})),
        ("baseline", json!({})),
        ("ladder", json!({"probe_health": false})),
    ]
}

fn everything() -> Vec<(&'static str, Value)> {
    [
        "coverage",
        "client-floor",
        "baseline",
        "first-call",
        "burst",
        "ladder",
        "sustained",
    ]
    .into_iter()
    .map(|name| (name, json!({})))
    .collect()
}

/// Verdicts of `serial-service` over seeds: how many FAIL, how many say parallel.
fn serial_verdicts(target: Target, seeds: u64) -> (u64, u64) {
    let (mut serial, mut parallel) = (0, 0);
    for seed in 0..seeds {
        let (_, findings) = run(target, seed, Budget::Quick, &ladder());
        let finding = of(&findings, "serial-service");
        serial += u64::from(finding.verdict == Verdict::Fail);
        parallel += u64::from(finding.title.contains("truly serves"));
    }
    (serial, parallel)
}

#[test]
fn a_serial_target_is_called_serial() {
    for variation in [0.0, 0.1, 0.5] {
        let target = Target {
            slots: 1,
            variation,
            health_queues: true,
            ..Target::default()
        };
        let (serial, parallel) = serial_verdicts(target, 200);
        assert!(
            serial >= 198 && parallel == 0,
            "variation {variation}: {serial} of 200 serial, {parallel} parallel"
        );
    }
}

#[test]
fn a_serial_target_that_reads_all_of_a_burst_first_is_called_serial() {
    let target = Target {
        slots: 1,
        variation: 0.1,
        intake_ms: 2.5,
        ..Target::default()
    };
    let (serial, parallel) = serial_verdicts(target, 100);
    assert!(
        serial >= 98 && parallel == 0,
        "{serial} of 100 serial, {parallel} parallel"
    );
}

#[test]
fn a_parallel_target_is_never_called_serial() {
    for slots in [2, 4, 8] {
        let target = Target {
            slots,
            ..Target::default()
        };
        let (serial, parallel) = serial_verdicts(target, 100);
        assert_eq!(serial, 0, "{slots} slots");
        assert!(parallel >= 95, "{slots} slots: {parallel} of 100");
    }
}

#[test]
fn the_number_served_at_once_is_the_number_of_slots() {
    for slots in [1, 2, 4, 8] {
        let near = (0..40)
            .filter(|&seed| {
                let target = Target {
                    slots,
                    ..Target::default()
                };
                let (_, findings) = run(target, seed, Budget::Standard, &ladder());
                let ours = figure(of(&findings, "serial-service"), "requests really served at once");
                (ours / slots as f64 - 1.0).abs() <= 0.15
            })
            .count();
        assert!(near >= 36, "{slots} slots: {near} of 40 within 15 %");
    }
}

/// How many of 50 quick ladders say how many requests to allow at a time.
fn limits_stated(slots: usize) -> usize {
    (0..50)
        .filter(|&seed| {
            let target = Target {
                slots,
                ..Target::default()
            };
            let (_, findings) = run(target, seed, Budget::Quick, &ladder());
            let finding = of(&findings, "serial-service");
            let to_do = finding.recommendation.as_ref().expect("something to do");
            let is_stated = to_do.advice.starts_with("Allow about");
            let words = if is_stated {
                "truly serves about"
            } else {
                "truly serves at least"
            };
            assert!(finding.title.contains(words), "{finding:#?}");
            is_stated
        })
        .count()
}

#[test]
fn a_limit_is_stated_only_where_throughput_stopped_rising() {
    for (slots, at_least, at_most) in [(2, 48, 50), (4, 48, 50), (8, 40, 50), (16, 0, 0), (64, 0, 0)] {
        let stated = limits_stated(slots);
        assert!(
            (at_least..=at_most).contains(&stated),
            "{slots} slots: {stated} of 50"
        );
    }
}

/// Verdicts of `serial-service` where the ladder has no time left for bursts.
fn serial_without_bursts(target: Target, seeds: u64) -> u64 {
    let experiments = [
        ("coverage", json!({})),
        ("client-floor", json!({})),
        ("baseline", json!({})),
        (
            "ladder",
            json!({"probe_health": false, "duration_s": 4.0, "connections": [1, 2, 4, 8]}),
        ),
    ];
    (0..seeds)
        .filter(|&seed| {
            let (phases, findings) = run(target, seed, Budget::Quick, &experiments);
            assert!(!phases.iter().any(|p| p.phase.name.ends_with("in turns")));
            of(&findings, "serial-service").verdict == Verdict::Fail
        })
        .count() as u64
}

#[test]
fn without_bursts_the_first_answers_of_the_steps_tell() {
    let slow = Target {
        work_ms: 100.0,
        variation: 0.1,
        ..Target::default()
    };
    let one_at_a_time = Target { slots: 1, ..slow };
    assert!(serial_without_bursts(one_at_a_time, 50) >= 49);
    let varied = Target {
        variation: 0.5,
        ..one_at_a_time
    };
    assert!(serial_without_bursts(varied, 50) >= 40);
    let shared = Target {
        slots: 1000,
        cores: 1.0,
        ..slow
    };
    assert_eq!(serial_without_bursts(shared, 50), 0);
}

#[test]
fn requests_that_share_a_processor_do_not_take_turns() {
    for cores in [1.0, 1.3] {
        let target = Target {
            slots: 1000,
            cores,
            variation: 0.1,
            ..Target::default()
        };
        let (serial, _) = serial_verdicts(target, 50);
        assert_eq!(serial, 0, "{cores} cores");
    }
}

#[test]
fn neither_a_long_path_nor_a_fast_answer_is_a_serial_target() {
    let far = Target {
        path_ms: 28.0,
        work_ms: 3.0,
        slots: 4,
        ..Target::default()
    };
    assert_eq!(serial_verdicts(far, 50).0, 0, "28 ms away");
    let fast = Target {
        path_ms: 0.2,
        work_ms: 0.1,
        slots: 1,
        ..Target::default()
    };
    assert_eq!(serial_verdicts(fast, 5), (0, 0), "0.1 ms of work");
}

#[test]
fn a_slow_target_still_gets_a_verdict() {
    let slow = Target {
        slots: 1,
        work_ms: 400.0,
        variation: 0.2,
        ..Target::default()
    };
    let (phases, findings) = run(slow, 1, Budget::Standard, &ladder());
    assert_eq!(
        of(&findings, "serial-service").verdict,
        Verdict::Fail,
        "{findings:#?}"
    );
    let spent: f64 = phases
        .iter()
        .filter(|p| p.phase.experiment == "ladder")
        .map(|p| (p.summary.ended - p.summary.started).as_secs_f64())
        .sum();
    assert!(spent < 3.0 * 35.0, "{spent} s");
    let (_, findings) = run(
        Target {
            work_ms: 5000.0,
            ..slow
        },
        1,
        Budget::Quick,
        &ladder(),
    );
    assert_eq!(of(&findings, "serial-service").verdict, Verdict::Inconclusive);
}

#[test]
fn few_requests_alone_are_enough_with_those_of_the_baseline() {
    let four = Target {
        slots: 4,
        work_ms: 500.0,
        variation: 0.1,
        ..Target::default()
    };
    let mut experiments = ladder();
    // So much is left for one endpoint of two in a standard run.
    experiments[3].1 = json!({"probe_health": false, "duration_s": 14.0});
    for seed in 0..10 {
        for (target, verdict) in [
            (four, Verdict::Pass),
            (Target { slots: 1, ..four }, Verdict::Fail),
        ] {
            let (_, findings) = run(target, seed, Budget::Standard, &experiments);
            let finding = of(&findings, "serial-service");
            let wrong = if verdict == Verdict::Pass {
                Verdict::Fail
            } else {
                Verdict::Pass
            };
            assert_ne!(finding.verdict, wrong, "{finding:#?}");
            assert!(!finding.title.starts_with("Too few answers"), "{finding:#?}");
        }
        let (_, findings) = run(four, seed, Budget::Standard, &experiments);
        assert_eq!(
            of(&findings, "serial-service").verdict,
            Verdict::Pass,
            "{findings:#?}"
        );
    }
}

#[test]
fn a_first_call_penalty_is_reported_and_none_invented() {
    let experiments = &everything()[..4];
    for seed in 0..100 {
        let warm = Target {
            variation: 0.5,
            ..Target::default()
        };
        let (_, findings) = run(warm, seed, Budget::Quick, experiments);
        assert_eq!(
            of(&findings, "first-call-penalty").verdict,
            Verdict::Pass,
            "seed {seed}"
        );
        let lazy = Target {
            first_extra_ms: 800.0,
            ..warm
        };
        let (_, findings) = run(lazy, seed, Budget::Quick, experiments);
        let finding = of(&findings, "first-call-penalty");
        assert_eq!(
            (finding.verdict, finding.severity),
            (Verdict::Fail, Severity::Medium),
            "seed {seed}"
        );
        assert!(figure(finding, "first over median") > 10.0);
        assert!(finding.detail.contains("cannot show the cause"));
    }
}

/// Readings of the monitors at the ends of a phase during which other programs used so many of two cores.
fn read_at_ends(phase: &mut PhaseResult, others: f64) {
    let ends = [
        phase.samples.iter().map(|s| s.sent).min().unwrap(),
        phase.samples.iter().map(|s| s.done).max().unwrap(),
    ];
    for at in ends {
        let used_s = others * (at - ends[0]).as_secs_f64();
        for (monitor, values) in [
            (
                "host",
                vec![("cores", 2.0), ("cpu_s", used_s / 2.0), ("steal_s", 0.0)],
            ),
            ("generator", vec![("cpu_s", 0.0)]),
        ] {
            phase.readings.push(Reading {
                at,
                monitor: monitor.to_owned(),
                values: values
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            });
        }
    }
}

#[test]
fn a_first_call_that_may_have_waited_for_a_core_is_not_blamed_on_the_target() {
    let first_call = |extra_ms: f64, others: f64| {
        let lazy = Target {
            first_extra_ms: extra_ms,
            ..Target::default()
        };
        let (mut phases, _) = run(lazy, 1, Budget::Quick, &everything()[..3]);
        read_at_ends(&mut phases[0], others);
        let surface = surface();
        let limits = Limits::default();
        let context = BuildContext {
            surface: &surface,
            budget: Budget::Quick,
            time_s: 0.0,
            seed: 1,
            limits: &limits,
        };
        let experiment = (find("first-call").unwrap().build)(&context, &json!({})).unwrap();
        of(
            &experiment.conclude(&view(&surface, &phases)),
            "first-call-penalty",
        )
        .verdict
    };
    assert_eq!(
        first_call(400.0, 1.9),
        Verdict::Inconclusive,
        "both cores were taken"
    );
    assert_eq!(first_call(400.0, 1.0), Verdict::Warn, "one was free");
    assert_eq!(first_call(900.0, 1.0), Verdict::Fail, "and it is much");
    assert_eq!(
        first_call(4000.0, 1.9),
        Verdict::Fail,
        "no wait for a core is so long"
    );
    assert_eq!(first_call(0.0, 1.9), Verdict::Pass);
}

/// What first-call concludes of a target whose first call takes so many ms more, and of calls before the run.
fn first_call_of(extra_ms: f64, early: Option<EarlyCalls>) -> Finding {
    let lazy = Target {
        first_extra_ms: extra_ms,
        variation: 0.2,
        ..Target::default()
    };
    let (phases, _) = run(lazy, 1, Budget::Quick, &everything()[..3]);
    let mut surface = surface();
    surface.called = early.map(|early| (WORK.to_owned(), early)).into_iter().collect();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Quick,
        time_s: 0.0,
        seed: 1,
        limits: &limits,
    };
    let experiment = (find("first-call").unwrap().build)(&context, &json!({})).unwrap();
    let findings = experiment.conclude(&view(&surface, &phases));
    of(&findings, "first-call-penalty").clone()
}

#[test]
fn a_first_call_matters_by_how_much_longer_it_takes() {
    let found = |extra_ms| {
        let finding = first_call_of(extra_ms, None);
        (finding.verdict, finding.required)
    };
    assert_eq!(found(0.0), (Verdict::Pass, true));
    assert_eq!(found(75.0), (Verdict::Pass, false), "a library is read");
    assert!(
        first_call_of(75.0, None)
            .title
            .contains("first call of POST /work")
    );
    assert_eq!(found(250.0), (Verdict::Warn, false));
    assert_eq!(found(800.0), (Verdict::Fail, true));
}

#[test]
fn a_call_before_the_run_is_the_first_call() {
    let found = |slowest_ms, holds_first| {
        let calls = EarlyCalls {
            calls: 3,
            slowest_ms,
            holds_first,
        };
        first_call_of(0.0, Some(calls))
    };
    let warmed = found(2500.0, false);
    assert_eq!(
        warmed.verdict,
        Verdict::Warn,
        "it may have sent what is not taken: {}",
        warmed.title
    );
    assert!(
        warmed.detail.contains("3 calls before the run"),
        "{}",
        warmed.detail
    );
    assert!(figure(&warmed, "first call") > 2000.0);
    // A slow call before the run does not hide a fault of the preflight.
    let both = first_call_of(
        800.0,
        Some(EarlyCalls {
            calls: 1,
            slowest_ms: 900.0,
            holds_first: true,
        }),
    );
    assert_eq!(both.verdict, Verdict::Fail, "{}", both.title);
    let unsure = found(2500.0, true);
    assert_eq!(unsure.verdict, Verdict::Inconclusive, "{}", unsure.title);
    for holds_first in [false, true] {
        let fast = found(4.0, holds_first);
        assert_eq!(fast.verdict, Verdict::Pass, "{}", fast.title);
        assert!(
            fast.detail.contains("called before the preflight"),
            "{}",
            fast.detail
        );
    }
}

#[test]
fn a_cache_is_not_taken_for_a_first_call() {
    for seed in 0..50 {
        let caches = Target {
            new_input_ms: 100.0,
            variation: 0.2,
            ..Target::default()
        };
        let (_, findings) = run(caches, seed, Budget::Quick, &everything()[..4]);
        assert_eq!(
            of(&findings, "first-call-penalty").verdict,
            Verdict::Pass,
            "seed {seed}"
        );
        assert_eq!(
            of(&findings, "repeated-inputs-faster").counted(),
            Verdict::Pass,
            "seed {seed}"
        );
    }
}

/// Verdicts of `degrades-over-time` over seeds, at a part of the highest throughput.
fn drift_verdicts(target: Target, load: f64, seeds: u64) -> Vec<Verdict> {
    let mut experiments = ladder();
    experiments.push(("sustained", json!({ "load": load })));
    (0..seeds)
        .map(|seed| {
            let (_, findings) = run(target, seed, Budget::Standard, &experiments);
            of(&findings, "degrades-over-time").verdict
        })
        .collect()
}

#[test]
fn a_drift_is_seldom_invented() {
    for (slots, work_ms) in [(1, 20.0), (4, 20.0), (1, 100.0)] {
        let steady = Target {
            slots,
            work_ms,
            ..Target::default()
        };
        let verdicts = drift_verdicts(steady, 0.65, 100);
        let false_alarms = verdicts.iter().filter(|v| **v == Verdict::Warn).count();
        assert!(
            false_alarms <= 5,
            "{slots} slots, {work_ms} ms: {false_alarms} of 100"
        );
    }
}

#[test]
fn a_drift_is_found() {
    let tiring = Target {
        slots: 16,
        variation: 0.3,
        drift_per_s: 0.05,
        ..Target::default()
    };
    let verdicts = drift_verdicts(tiring, 0.3, 20);
    let found = verdicts.iter().filter(|v| **v == Verdict::Warn).count();
    assert!(found >= 18, "{found} of 20");
    // At a higher load the queue takes over and its noise with it: then at least nobody is told that all is well.
    let verdicts = drift_verdicts(tiring, 0.65, 20);
    assert!(!verdicts.contains(&Verdict::Pass), "{verdicts:?}");
}

#[test]
fn a_healthy_target_passes_everything() {
    for seed in 0..20 {
        let (_, findings) = run(Target::default(), seed, Budget::Standard, &everything());
        for finding in &findings {
            let drift = finding.id == "degrades-over-time";
            assert!(
                drift || finding.counted() == Verdict::Pass,
                "seed {seed}: {finding:#?}"
            );
        }
    }
}

#[test]
fn failures_fail_and_refusals_warn() {
    for (failure, expected) in [
        (Outcome::Status5xx, Verdict::Fail),
        (Outcome::Status503, Verdict::Warn),
    ] {
        let target = Target {
            fail_share: 0.2,
            failure,
            ..Target::default()
        };
        let (_, findings) = run(target, 3, Budget::Quick, &everything());
        for id in ["baseline", "burst", "fails-under-concurrency", "sustained"] {
            assert_eq!(of(&findings, id).verdict, expected, "{id}");
        }
    }
}

#[test]
fn health_that_waits_behind_the_work_is_noticed() {
    let target = Target {
        slots: 1,
        work_ms: 500.0,
        variation: 0.1,
        health_queues: true,
        ..Target::default()
    };
    let (_, findings) = run(target, 1, Budget::Standard, &everything());
    let finding = of(&findings, "health-starves");
    assert_eq!(
        (finding.verdict, finding.required, finding.endpoint.as_str()),
        (Verdict::Warn, false, HEALTH)
    );
    let (_, findings) = run(
        Target {
            health_queues: false,
            ..target
        },
        1,
        Budget::Standard,
        &everything(),
    );
    assert_eq!(of(&findings, "health-starves").verdict, Verdict::Pass);
}

#[test]
fn what_rests_on_an_invalid_phase_is_invalid() {
    let (_, findings) = run(
        Target {
            invalid: true,
            ..Target::default()
        },
        1,
        Budget::Quick,
        &everything(),
    );
    assert!(findings.len() >= 6);
    for finding in &findings {
        assert_eq!(finding.verdict, Verdict::Invalid, "{}", finding.id);
        assert!(
            finding.detail.contains("12 % of the sends were late"),
            "{}",
            finding.id
        );
    }
}

#[test]
fn nothing_recorded_is_inconclusive_and_never_a_pass() {
    let surface = surface();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Quick,
        time_s: 5.0,
        seed: 1,
        limits: &limits,
    };
    for name in ["baseline", "first-call", "sustained"] {
        let experiment = (find(name).expect("registered").build)(&context, &json!({})).expect("defaults");
        let findings = experiment.conclude(&view(&surface, &[]));
        assert_eq!(findings[0].verdict, Verdict::Inconclusive, "{name}");
    }
}

#[test]
fn unknown_parameters_are_refused_and_examples_accepted() {
    let surface = surface();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Quick,
        time_s: 5.0,
        seed: 1,
        limits: &limits,
    };
    for name in [
        "client-floor",
        "baseline",
        "first-call",
        "burst",
        "ladder",
        "sustained",
    ] {
        let def = find(name).expect("registered");
        assert!((def.build)(&context, &json!({"durations": 1})).is_err(), "{name}");
        assert!(
            def.example.starts_with(&format!("[experiment.{name}]\n")),
            "{name}"
        );
    }
}

#[test]
fn the_budget_is_kept() {
    for (budget, seconds) in [
        (Budget::Quick, 25.0),
        (Budget::Standard, 95.0),
        (Budget::Thorough, 520.0),
    ] {
        for target in [
            Target::default(),
            Target {
                slots: 1,
                ..Target::default()
            },
        ] {
            let (phases, _) = run(target, 1, budget, &everything());
            let spent = phases.last().expect("phases").summary.ended.as_secs_f64();
            assert!(spent < seconds, "{budget:?}: {spent} s");
            assert!(phases.iter().any(|p| p.phase.name == WORK));
        }
    }
}
