//! Loads on machines by script: the truth in both directions, and mixed.

use prony_model::{
    Arrivals, Capture, Evidence, Finding, Limits, Nanos, Outcome, Phase, PhaseResult, Reading, Sample,
    Scenario, Shape, Surface, Verdict,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::slower::{Cause, Slower, Usual};
use super::{NAME, drift_finding, steady};
use crate::RunView;
use crate::fake;

const WORK: &str = "POST /work";
/// A load of 0.65 on one that serves one at a time.
const RATE: f64 = 30.0;
const SERVICE_MS: f64 = 650.0 / RATE;
const USUAL: Usual = Usual {
    load: Some(0.65),
    alone_ms: Some(SERVICE_MS),
};
/// CPU time of Prony for a request.
const OWN_MS: f64 = 1.0;
const READ_EVERY_S: f64 = 0.25;

/// What is the case from some part of the load on; until then nobody uses the machine and a request takes its usual time.
#[derive(Clone, Copy, Debug)]
struct Truth {
    seconds: f64,
    /// The part of the load from which on others use the machine.
    busy: (f64, f64),
    /// Cores that they use.
    others: f64,
    /// Cores that the hypervisor takes.
    stolen: f64,
    /// How long the target waits for a core in a request meanwhile, in ms.
    wait_ms: f64,
    /// How long our own threads wait meanwhile, in ms.
    own_wait_ms: f64,
    /// By which factor every program needs more CPU time meanwhile.
    shared: f64,
    /// By how much of its time a request takes longer at the end of the load than at its beginning, without a core.
    sleeps: f64,
    /// The same with a core.
    computes: f64,
    /// From which part of the load on it takes longer; it grows evenly from there to the end.
    from: f64,
    seen: bool,
}

const CLEAN: Truth = Truth {
    seconds: 30.0,
    busy: (0.5, 1.0),
    others: 0.0,
    stolen: 0.0,
    wait_ms: 0.0,
    own_wait_ms: 0.0,
    shared: 1.0,
    sleeps: 0.0,
    computes: 0.0,
    from: 0.0,
    seen: true,
};

/// Two busy loops, and what they do to one that computes.
const HOGGED: Truth = Truth {
    others: 1.6,
    wait_ms: 7.0,
    own_wait_ms: 0.5,
    ..CLEAN
};

/// The load and its readings, on a target that serves one at a time and computes for half of its time.
fn loaded(truth: Truth, seed: u64) -> PhaseResult {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut due, mut free) = (1.0, 0.0_f64);
    let mut samples = Vec::new();
    // What had been used when, in s: by the target, waited by it, by us, waited by us.
    let mut used: Vec<(f64, [f64; 4])> = Vec::new();
    let busy = (
        1.0 + truth.busy.0 * truth.seconds,
        1.0 + truth.busy.1 * truth.seconds,
    );
    while due < 1.0 + truth.seconds {
        let begins = free.max(due);
        let grown = (((begins - 1.0) / truth.seconds - truth.from) / (1.0 - truth.from)).max(0.0);
        let is_busy = begins >= busy.0 && begins < busy.1;
        let when_busy = |value: f64, else_: f64| if is_busy { value } else { else_ };
        let usual_s = rng.random_range(0.5..1.5) * SERVICE_MS / 1000.0;
        let stretched = when_busy(1.0 + truth.stolen / 2.0, 1.0);
        let cpu = usual_s * (0.5 + truth.computes * grown) * when_busy(truth.shared, 1.0) * stretched;
        let wait = when_busy(truth.wait_ms, 0.0) / 1000.0;
        free = begins + cpu + wait + usual_s * (0.5 + truth.sleeps * grown);
        let own = OWN_MS / 1000.0 * when_busy(truth.shared, 1.0);
        let own_wait = when_busy(truth.own_wait_ms, 0.0) / 1000.0;
        used.push((free, [cpu, wait, own, own_wait]));
        let intended = Nanos::from_secs_f64(due);
        samples.push(Sample {
            seq: samples.len() as u64,
            intended,
            sent: intended,
            done: Nanos::from_secs_f64(free + own_wait),
            outcome: Outcome::Ok,
            ..Sample::default()
        });
        due += -(1.0 - rng.random::<f64>()).ln() / RATE;
    }
    let phase = Phase {
        name: WORK.to_owned(),
        experiment: NAME.to_owned(),
        scenarios: vec![Scenario::new(WORK, Vec::new())],
        shape: Shape::Open {
            rate: RATE,
            arrivals: Arrivals::Poisson,
            duration_s: truth.seconds,
            in_flight_max: 1000,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let ended = free;
    let mut readings = Vec::new();
    let mut at = 0.5;
    while at < ended {
        let of = |i: usize| {
            used.iter()
                .filter(|(t, _)| *t <= at)
                .map(|(_, used)| used[i])
                .sum::<f64>()
        };
        let busy_s = (at.min(busy.1) - busy.0).max(0.0);
        let (target, waited, own, own_waited) = (of(0), of(1), of(2), of(3));
        let mut put = |monitor: &str, values: &[(&str, f64)]| {
            readings.push(Reading {
                at: Nanos::from_secs_f64(at),
                monitor: monitor.to_owned(),
                values: values
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), *value))
                    .collect(),
            });
        };
        if truth.seen {
            put("process", &[("cpu_s", target), ("run_queue_wait_s", waited)]);
        }
        let others = truth.others * busy_s;
        put(
            "host",
            &[
                ("cores", 2.0),
                ("cpu_s", (target + own + others) / 2.0),
                ("steal_s", truth.stolen * busy_s / 2.0),
            ],
        );
        put("generator", &[("cpu_s", own), ("run_queue_wait_s", own_waited)]);
        at += READ_EVERY_S;
    }
    PhaseResult {
        index: 0,
        summary: fake::summary(&phase, 0, &samples, Nanos::from_secs_f64(ended)),
        phase,
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
        readings,
    }
}

fn slower(phase: &PhaseResult) -> Option<Slower> {
    let samples: Vec<&Sample> = phase.samples.iter().collect();
    Slower::of(phase, &samples, &USUAL)
}

fn finding(phase: &PhaseResult) -> Finding {
    let surface = Surface::default();
    let run = RunView {
        surface: &surface,
        phases: &[],
        cores: 2,
        shared_host: true,
    };
    drift_finding(&run, phase)
}

/// How many of 40 loads are found slower and blamed on the target, and on the machine.
fn blamed(truth: Truth) -> (usize, usize) {
    let found: Vec<Finding> = (0..40).map(|seed| finding(&loaded(truth, seed))).collect();
    let on_target = found.iter().filter(|f| f.verdict == Verdict::Warn).count();
    let on_machine = found
        .iter()
        .filter(|f| f.title.starts_with("The machine became slower"));
    let on_machine = on_machine.filter(|f| f.verdict == Verdict::Inconclusive).count();
    println!("{on_target} of 40 on the target, {on_machine} on the machine: {truth:?}");
    (on_target, on_machine)
}

#[test]
fn a_machine_that_becomes_busy_is_no_fault_of_the_target() {
    for (what, truth) in [
        ("busy loops", HOGGED),
        (
            "late",
            Truth {
                busy: (0.75, 1.0),
                ..HOGGED
            },
        ),
        (
            "early",
            Truth {
                busy: (0.25, 1.0),
                ..HOGGED
            },
        ),
        (
            "a queue grows without end",
            Truth {
                wait_ms: 20.0,
                ..HOGGED
            },
        ),
        (
            "they share a core with every program",
            Truth {
                shared: 1.5,
                wait_ms: 5.0,
                ..HOGGED
            },
        ),
        (
            "the hypervisor",
            Truth {
                others: 0.0,
                stolen: 0.8,
                wait_ms: 4.0,
                ..HOGGED
            },
        ),
        (
            "unseen, and we wait ourselves",
            Truth {
                own_wait_ms: 40.0,
                wait_ms: 0.0,
                seen: false,
                ..HOGGED
            },
        ),
    ] {
        let (target, machine) = blamed(truth);
        assert!(
            target <= 2,
            "{what}: {target} of 40 blamed on the target, {machine} not"
        );
        assert!(machine >= 10, "{what}: {machine} of 40 found");
    }
}

#[test]
fn one_that_becomes_slower_by_itself_is_found_on_any_machine() {
    let sleeps = Truth {
        seconds: 60.0,
        sleeps: 1.5,
        ..CLEAN
    };
    let computes = Truth {
        seconds: 60.0,
        computes: 1.5,
        ..CLEAN
    };
    for (what, truth) in [
        ("it sleeps", sleeps),
        ("it computes", computes),
        (
            "it sleeps, beside busy loops",
            Truth {
                seconds: 60.0,
                sleeps: 1.5,
                ..HOGGED
            },
        ),
        (
            "it computes, beside busy loops",
            Truth {
                seconds: 60.0,
                computes: 1.5,
                ..HOGGED
            },
        ),
        (
            "the loops end before",
            Truth {
                seconds: 60.0,
                busy: (0.0, 0.3),
                from: 0.4,
                sleeps: 1.5,
                ..HOGGED
            },
        ),
        (
            "loops that take no core from it",
            Truth {
                seconds: 60.0,
                sleeps: 1.5,
                from: 0.5,
                wait_ms: 0.05,
                ..HOGGED
            },
        ),
        (
            "it computes more from the same moment on",
            Truth {
                seconds: 60.0,
                computes: 1.5,
                from: 0.5,
                ..HOGGED
            },
        ),
        (
            "unseen",
            Truth {
                seen: false,
                ..sleeps
            },
        ),
        (
            "unseen, and we hardly wait",
            Truth {
                seconds: 60.0,
                sleeps: 1.5,
                from: 0.5,
                seen: false,
                own_wait_ms: 6.0,
                ..HOGGED
            },
        ),
    ] {
        let (target, machine) = blamed(truth);
        assert!(
            target >= 34,
            "{what}: {target} of 40 found, {machine} blamed on the machine"
        );
    }
}

#[test]
fn a_load_that_held_is_called_so() {
    let (target, machine) = blamed(CLEAN);
    assert!(
        target <= 4 && machine == 0,
        "{target} of 40, {machine} on the machine"
    );
    // Busy loops that hurt nobody are not even mentioned.
    let (target, machine) = blamed(Truth {
        wait_ms: 0.0,
        own_wait_ms: 0.0,
        ..HOGGED
    });
    assert!(
        target <= 4 && machine <= 2,
        "{target} of 40, {machine} on the machine"
    );
}

#[test]
fn a_machine_that_is_always_busy_explains_no_change() {
    let truth = Truth {
        busy: (0.0, 1.0),
        sleeps: 0.5,
        ..HOGGED
    };
    let phase = loaded(truth, 1);
    // Readings begin before the load does.
    assert_eq!(slower(&phase).map(|s| s.cause), None);
    assert_eq!(finding(&phase).verdict, Verdict::Warn);
    let mut unread = loaded(HOGGED, 1);
    unread.readings.clear();
    assert_eq!(slower(&unread), None, "nobody looked");
}

#[test]
fn the_reason_is_said() {
    let cause = |truth: Truth| slower(&loaded(truth, 3)).unwrap().cause;
    assert_eq!(cause(HOGGED), Cause::Machine);
    assert!(matches!(
        cause(Truth {
            sleeps: 0.6,
            ..HOGGED
        }),
        Cause::Meanwhile(_)
    ));
    assert!(
        matches!(cause(Truth { computes: 1.5, from: 0.5, ..HOGGED }), Cause::Cost(factor) if factor > 1.5)
    );
    assert_eq!(
        cause(Truth {
            sleeps: 1.0,
            from: 0.5,
            wait_ms: 0.05,
            ..HOGGED
        }),
        Cause::NoWait
    );
    assert_eq!(
        cause(Truth {
            busy: (0.0, 0.3),
            from: 0.4,
            sleeps: 1.0,
            ..HOGGED
        }),
        Cause::NotThen
    );

    let found = finding(&loaded(HOGGED, 3));
    assert!(
        found.title.starts_with("The machine became slower"),
        "{}",
        found.title
    );
    let figure = |label: &str| {
        let mut figures = found.evidence.iter().filter_map(|e| match e {
            Evidence::Figure(figure) if figure.label == label => Some(figure.value),
            _ => None,
        });
        figures
            .next_back()
            .unwrap_or_else(|| panic!("no {label} in {found:#?}"))
    };
    assert!((figure("cores used by other programs, busier machine") - 1.6).abs() < 0.2);
    assert!(figure("cores used by other programs, freer machine") < 0.1);
    assert!(
        (figure("wait of the target's threads for a core per request, busier machine") - 7.0).abs() < 1.0
    );
    let cost = figure("CPU time of the target per request, busier machine")
        / figure("CPU time of the target per request, freer machine");
    assert!((cost - 1.0).abs() < 0.15, "{cost}");
    let unseen = finding(&loaded(
        Truth {
            own_wait_ms: 40.0,
            wait_ms: 0.0,
            seen: false,
            ..HOGGED
        },
        3,
    ));
    assert!(
        unseen.detail.contains("the target's process is not seen"),
        "{}",
        unseen.detail
    );
}

#[test]
fn what_did_not_settle_is_put_down_to_the_machine_too() {
    let phase = loaded(
        Truth {
            seconds: 60.0,
            ..HOGGED
        },
        5,
    );
    let found = steady::finding(&phase, slower(&phase).as_ref());
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found.title.starts_with("The machine became slower"),
        "{}",
        found.title
    );
    let own = loaded(
        Truth {
            seconds: 60.0,
            sleeps: 0.4,
            ..CLEAN
        },
        5,
    );
    let found = steady::finding(&own, slower(&own).as_ref());
    assert!(!found.title.contains("machine"), "{}", found.title);
}
