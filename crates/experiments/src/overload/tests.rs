//! Surges made by hand, of which the right answer is evident.

use prony_model::{
    Arrivals, Capture, Captured, Finding, Header, Limits, Nanos, Outcome, Phase, PhaseResult, Retry, Sample,
    SampleFlags, Scenario, Shape, Stage, Surface, Verdict,
};

use super::Course;
use super::class::{Class, Classified, classify};
use super::lingering::Sign;
use super::outage::outages;
use super::recovery::{Recovery, recovery};
use super::report::findings;
use super::resend::Resent;
use super::surge::{SCRIPT_S, Surge, stages};
use crate::RunView;
use crate::fake;
use crate::objective::Objective;

const CAPACITY: f64 = 100.0;

/// What a request of a stage, due so many seconds after the start, meets: its response in ms and its outcome.
type Fate = fn(u16, f64, u64) -> (f64, Outcome);

fn phase(stages: Vec<Stage>) -> Phase {
    Phase {
        name: "surge".to_owned(),
        experiment: "overload".to_owned(),
        scenarios: vec![Scenario::new("GET /work", Vec::new())],
        shape: Shape::Stages {
            stages,
            arrivals: Arrivals::Constant,
            in_flight_max: 1000,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

/// A tenth of the script at a capacity of 100 per second, with evenly spaced arrivals: the end is watched for 30 s.
fn surged(fate: Fate) -> PhaseResult {
    surged_for(0.1 * SCRIPT_S, fate)
}

/// The same of another length, in seconds.
fn surged_for(seconds: f64, fate: Fate) -> PhaseResult {
    let stages = stages(CAPACITY, 1e9, seconds);
    let mut samples = Vec::new();
    let mut begins = 0.0;
    for (step, stage) in stages.iter().enumerate() {
        let count = (stage.rate * stage.duration_s).round() as u64;
        for k in 0..count {
            let at = begins + k as f64 / stage.rate;
            let (response_ms, outcome) = fate(step as u16, at, k);
            let intended = Nanos::from_secs_f64(1.0 + at);
            samples.push(Sample {
                seq: samples.len() as u64,
                intended,
                sent: intended,
                done: intended + Nanos::from_millis_f64(response_ms),
                step: step as u16,
                outcome,
                ..Sample::default()
            });
        }
        begins += stage.duration_s;
    }
    result(phase(stages), samples, Vec::new())
}

fn result(phase: Phase, samples: Vec<Sample>, captures: Vec<Captured>) -> PhaseResult {
    PhaseResult {
        index: 0,
        summary: fake::summary(&phase, 0, &samples, Nanos::from_secs_f64(52.0)),
        phase,
        samples,
        samples_cut: false,
        captures,
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

fn judged(fate: Fate) -> (Classified, Option<f64>) {
    let (class, recovery) = judged_phase(&surged(fate));
    (class, recovery.and_then(|r| r.after_s))
}

fn judged_phase(phase: &PhaseResult) -> (Classified, Option<Recovery>) {
    let objective = Objective::new(None, Some(200.0), None).unwrap();
    let surge = Surge::of(phase, CAPACITY, objective).unwrap();
    let recovery = recovery(&surge);
    let class = classify(surge.retention().as_ref(), recovery.as_ref(), &outages(&surge));
    (class, recovery)
}

/// The finding of a phase.
fn found(phase: &PhaseResult) -> Finding {
    let surface = Surface::default();
    let run = RunView {
        surface: &surface,
        phases: std::slice::from_ref(phase),
        cores: 2,
        shared_host: false,
    };
    let course = Course {
        endpoint: "GET /work".to_owned(),
        objective: Objective::new(None, Some(200.0), None).unwrap(),
        capacity: CAPACITY,
        origin: "given",
        retry: Retry::default(),
        full_s: 567.0,
    };
    findings(&run, &course)
        .into_iter()
        .find(|f| f.id == "overload")
        .unwrap()
}

/// Some spread, so that a quantile has an interval.
fn usual(k: u64) -> (f64, Outcome) {
    (50.0 + (k * 7 % 40) as f64, Outcome::Ok)
}

/// Serves a hundred per second and refuses the rest.
fn refusing(step: u16, _: f64, k: u64) -> (f64, Outcome) {
    let every = [1, 3, 2, 3, 1][usize::from(step)];
    if k.is_multiple_of(every) {
        usual(k)
    } else {
        (2.0, Outcome::Status503)
    }
}

#[test]
fn refusals_at_once_are_graceful() {
    assert_eq!(judged(refusing), (Classified::As(Class::Graceful), Some(0.0)));
    let phase = surged(refusing);
    let objective = Objective::new(None, Some(200.0), None).unwrap();
    let surge = Surge::of(&phase, CAPACITY, objective).unwrap();
    let kept = surge.retention().unwrap();
    assert!(
        (kept.ratio - 1.0).abs() < 0.01 && (kept.factor - 2.0).abs() < 0.01,
        "{kept:?}"
    );
    let refusals = surge.refusals();
    assert_eq!(refusals.refused, refusals.failed);
    assert_eq!(refusals.in_time, refusals.good);
}

#[test]
fn late_answers_that_end_five_seconds_later_are_a_collapse() {
    let (class, after_s) = judged(|step, at, k| match step {
        0 => usual(k),
        4 if at > 26.0 => usual(k),
        _ => (2000.0, Outcome::Ok),
    });
    assert_eq!(class, Classified::As(Class::Collapse));
    // The surge ends after 21 s.
    assert!(after_s.is_some_and(|s| (4.9..6.1).contains(&s)), "{after_s:?}");
}

/// Never comes back.
fn hanging(step: u16, _: f64, k: u64) -> (f64, Outcome) {
    match step {
        0 => usual(k),
        _ => (30_000.0, Outcome::HeadersTimeout),
    }
}

#[test]
fn what_does_not_come_back_is_metastable_after_the_full_watch_only() {
    let full = surged_for(SCRIPT_S, hanging);
    assert_eq!(judged_phase(&full).0, Classified::As(Class::Metastable));
    let finding = found(&full);
    assert_eq!(finding.verdict, Verdict::Fail, "{}", finding.title);
    assert!(finding.title.ends_with(": metastable"), "{}", finding.title);

    // As long as in a thorough run: 63 s of watching.
    let short = surged_for(108.0, hanging);
    let (class, recovery) = judged_phase(&short);
    assert_eq!(class, Classified::NotBackYet(Class::Collapse));
    assert_eq!(recovery.and_then(|r| r.sign), Some(Sign::Waiting));
    // Its goodput collapsed, and that fails whether it comes back or not.
    let finding = found(&short);
    assert_eq!(finding.verdict, Verdict::Fail, "{}", finding.title);
    assert!(
        finding
            .title
            .ends_with(": congestion collapse, metastable or slow to recover"),
        "{}",
        finding.title
    );
    assert!(
        finding.title.contains("still run into their time-out"),
        "{}",
        finding.title
    );
    let advice = finding.recommendation.unwrap().advice;
    assert!(advice.contains("567 s"), "{advice}");

    // The full script, of which the end is missing.
    let mut cut = surged_for(SCRIPT_S, hanging);
    cut.samples.retain(|s| s.intended < Nanos::from_secs_f64(300.0));
    cut.summary.partial = true;
    assert_eq!(judged_phase(&cut).0, Classified::NotBackYet(Class::Collapse));
}

#[test]
fn a_breaker_that_closes_after_two_minutes_is_slow_and_not_metastable() {
    // Every second request is refused until two minutes after the surge: here that is longer than it is watched.
    let short = surged_for(108.0, |step, at, k| match step {
        4 if k.is_multiple_of(2) => (2.0, Outcome::Status503),
        _ => refusing(step, at, k),
    });
    // The surge of the full script ends after 210 s.
    let full = surged_for(SCRIPT_S, |step, at, k| match step {
        4 if at < 210.0 + 120.0 && k.is_multiple_of(2) => (2.0, Outcome::Status503),
        _ => refusing(step, at, k),
    });
    let (class, recovery) = judged_phase(&short);
    assert_eq!(class, Classified::NotBackYet(Class::Graceful));
    assert_eq!(recovery.and_then(|r| r.sign), Some(Sign::Refusing));
    let finding = found(&short);
    assert_eq!(finding.verdict, Verdict::Warn, "{}", finding.title);
    assert!(
        finding
            .title
            .contains("still refused: metastable or slow to recover"),
        "{}",
        finding.title
    );
    assert_eq!(judged_phase(&full).0, Classified::As(Class::Graceful));
    let finding = found(&full);
    assert_eq!(finding.verdict, Verdict::Warn, "{}", finding.title);
    assert!(finding.title.contains("graceful"), "{}", finding.title);
}

#[test]
fn a_short_watch_that_shows_no_cause_decides_nothing() {
    // Some 16 s are watched: within 30 s it may be back. It is slower than before, without a trend.
    let flat = surged_for(27.0, |step, at, k| match step {
        4 => (usual(k).0 + 150.0, Outcome::Ok),
        _ => refusing(step, at, k),
    });
    let (class, recovery) = judged_phase(&flat);
    assert_eq!(
        (class, recovery.and_then(|r| r.sign)),
        (Classified::NotBackYet(Class::Graceful), None)
    );
    assert_eq!(found(&flat).verdict, Verdict::Inconclusive);
    let slower = surged_for(27.0, |step, at, k| match step {
        4 => (usual(k).0 + 100.0 * (at - 11.0), Outcome::Ok),
        _ => refusing(step, at, k),
    });
    assert_eq!(judged_phase(&slower).1.and_then(|r| r.sign), Some(Sign::Slower));
    assert_eq!(found(&slower).verdict, Verdict::Warn);
    let faster = surged_for(27.0, |step, at, k| match step {
        4 => (usual(k).0 + 100.0 * (28.0 - at), Outcome::Ok),
        _ => refusing(step, at, k),
    });
    assert_eq!(judged_phase(&faster).1.and_then(|r| r.sign), Some(Sign::Faster));
    assert_eq!(found(&faster).verdict, Verdict::Inconclusive);
    // What is known after longer is that it takes more than 30 s.
    let long = surged_for(108.0, |step, at, k| match step {
        4 => (usual(k).0 + 150.0, Outcome::Ok),
        _ => refusing(step, at, k),
    });
    assert_eq!(found(&long).verdict, Verdict::Warn);
}

#[test]
fn what_serves_less_is_degraded() {
    let (class, _) = judged(|step, _, k| match step {
        0 | 4 => usual(k),
        _ if k.is_multiple_of(3) => usual(k),
        _ => (2.0, Outcome::Status503),
    });
    assert_eq!(class, Classified::As(Class::Degraded));
}

#[test]
fn resets_without_any_answer_are_an_outage_and_waiting_in_vain_is_none() {
    let (class, _) = judged(|_, at, k| {
        if (8.0..12.0).contains(&at) {
            (1.0, Outcome::Reset)
        } else {
            usual(k)
        }
    });
    assert_eq!(class, Classified::As(Class::CrashRestart));
    let (class, _) = judged(|step, at, k| {
        if (8.0..12.0).contains(&at) {
            (4000.0, Outcome::HeadersTimeout)
        } else {
            refusing(step, at, k)
        }
    });
    assert_eq!(class, Classified::As(Class::Graceful));
}

#[test]
fn a_used_up_quota_is_no_outage_and_refusals_with_429_shed_as_well() {
    // Whoever asks for too much gets nothing more until the load is gone, and a while longer.
    let quota: [Fate; 2] = [
        |step, at, k| match step {
            0 => usual(k),
            4 if at > 26.0 => usual(k),
            _ => (2.0, Outcome::Status429),
        },
        |step, at, k| match step {
            0 => usual(k),
            4 if at > 26.0 => usual(k),
            _ => (2.0, Outcome::GrpcResourceExhausted),
        },
    ];
    for fate in quota {
        assert_eq!(judged(fate).0, Classified::Limited);
    }
    let (class, _) = judged(|step, at, k| match refusing(step, at, k) {
        (took_ms, Outcome::Status503) => (took_ms, Outcome::Status429),
        good => good,
    });
    assert_eq!(class, Classified::As(Class::Graceful));
    // With some of these among many resets it is down all the same.
    let (class, _) = judged(|_, at, k| match at {
        8.0..12.0 if k.is_multiple_of(4) => (1.0, Outcome::Status429),
        8.0..12.0 => (1.0, Outcome::Reset),
        _ => usual(k),
    });
    assert_eq!(class, Classified::As(Class::CrashRestart));
}

#[test]
fn twice_a_capacity_that_was_taken_too_low_is_no_overload() {
    assert_eq!(judged(|_, _, k| usual(k)).0, Classified::NotOverloaded);
}

#[test]
fn retry_after_is_counted_and_held_to_its_word() {
    let stage = |rate: f64, duration_s: f64| Stage {
        rate,
        duration_s,
        jump: true,
    };
    let attempt = |at_s: f64, attempt: u8, outcome: Outcome| Sample {
        intended: Nanos::from_secs_f64(1.0 + at_s),
        sent: Nanos::from_secs_f64(1.0 + at_s),
        done: Nanos::from_secs_f64(1.1 + at_s),
        attempt,
        outcome,
        flags: SampleFlags::ATTEMPT,
        ..Sample::default()
    };
    let samples = vec![
        attempt(0.0, 0, Outcome::Status503),
        attempt(0.5, 1, Outcome::Status503),
        attempt(2.0, 1, Outcome::Ok),
        attempt(2.5, 1, Outcome::Status503),
        attempt(3.0, 0, Outcome::Ok),
    ];
    let refusal = |status: u16, after: Option<&str>| Captured {
        seq: 0,
        scenario: 0,
        item: 0,
        status,
        outcome: Outcome::Status503,
        headers: after.iter().map(|v| Header::new("Retry-After", *v)).collect(),
        body: String::new(),
        body_bytes: 0,
        cut: false,
        binary: false,
        bytes: Vec::new(),
        head: String::new(),
        digest: String::new(),
        error: String::new(),
    };
    let captures = vec![
        refusal(503, Some("1")),
        refusal(429, Some(" 2 ")),
        refusal(503, None),
        refusal(200, None),
    ];
    let phase = result(
        phase(vec![stage(300.0, 1.0), stage(80.0, 5.0)]),
        samples,
        captures,
    );
    let resent = Resent::of(&phase).unwrap();
    assert_eq!((resent.refused, resent.told), (3, 2));
    assert_eq!(resent.values, ["1", "2"]);
    // What came back while the surge lasted does not count.
    assert_eq!((resent.again, resent.served), (2, 1));
}
