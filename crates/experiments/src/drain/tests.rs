//! Servers that finish, cut, refuse and ignore, as recordings made by hand.

use std::collections::BTreeMap;

use prony_model::{
    Capture, Expect, Finding, Item, Limits, Nanos, Outcome, Phase, PhaseResult, Reading, Request, Sample,
    Scenario, Shape, Verdict,
};

use super::findings::{Round, judge};
use super::{NAME, STOPPING};
use crate::fake::summary;
use crate::process_life::Stop;

const SIGNAL_MS: u64 = 1000;

/// A request from one moment to another, in ms.
fn request(sent: u64, done: u64, outcome: Outcome, status: u16) -> Sample {
    let at = |ms: u64| Nanos(ms * 1_000_000);
    Sample {
        seq: sent,
        intended: at(sent),
        sent: at(sent),
        done: at(done),
        status,
        outcome,
        ..Sample::default()
    }
}

fn recorded(samples: Vec<Sample>, end: &[(&str, f64)]) -> PhaseResult {
    let item = Item {
        request: Request::get("/work"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: format!("{STOPPING} 1"),
        experiment: NAME.to_owned(),
        scenarios: vec![Scenario::new("GET /work", vec![item])],
        shape: Shape::Sequential {
            requests: 1,
            duration_s: None,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let mut values: BTreeMap<String, f64> = end.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
    values.insert("timeout_ms".into(), 5000.0);
    PhaseResult {
        index: 3,
        summary: summary(&phase, 3, &samples, Nanos(1)),
        phase,
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
        readings: vec![Reading {
            at: Nanos(SIGNAL_MS * 1_000_000),
            monitor: "stop".into(),
            values,
        }],
    }
}

/// Four in flight at the signal with those ends, and six after it with those.
fn judged(held: (Outcome, u16), late: (Outcome, u16), end: &[(&str, f64)]) -> BTreeMap<String, Finding> {
    let mut samples: Vec<Sample> = (0..4).map(|i| request(900 + i, 1200, held.0, held.1)).collect();
    samples.push(request(100, 300, Outcome::Ok, 200));
    samples.extend((0..6).map(|i| request(1100 + i, 1300, late.0, late.1)));
    let phase = recorded(samples, end);
    judge(&[round(&phase, 150.0)])
        .into_iter()
        .map(|f| (f.id.clone(), f))
        .collect()
}

fn round(phase: &PhaseResult, solo_ms: f64) -> Round<'_> {
    Round {
        phase,
        stop: Stop::of(phase).unwrap(),
        solo_ms,
    }
}

const GOOD: (Outcome, u16) = (Outcome::Ok, 200);
const CLOSED: (Outcome, u16) = (Outcome::Refused, 0);
const CUT: (Outcome, u16) = (Outcome::Reset, 0);
const ENDED: &[(&str, f64)] = &[("exit_ms", 210.0), ("exit_code", 0.0)];

#[test]
fn a_server_that_finishes_and_ends_is_cleared() {
    let found = judged(GOOD, CLOSED, ENDED);
    assert_eq!(found.len(), 3);
    for finding in found.values() {
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    }
    assert!(
        found["drain"].title.starts_with("All 4 requests"),
        "{}",
        found["drain"].title
    );
    assert!(found["stop-in-time"].title.contains("exit code 0"));
}

#[test]
fn requests_that_are_cut_off_fail_it() {
    let found = judged(CUT, CLOSED, &[("exit_ms", 3.0), ("exit_signal", 15.0)]);
    assert_eq!(found["drain"].verdict, Verdict::Fail);
    assert!(
        found["drain"].title.contains("4 of 4"),
        "{}",
        found["drain"].title
    );
    assert_eq!(
        found["stop-in-time"].verdict,
        Verdict::Pass,
        "the signal's own end is usual"
    );
    assert_eq!(found["late-requests"].verdict, Verdict::Pass);
    let silent = judged((Outcome::HeadersTimeout, 0), CLOSED, ENDED);
    assert_eq!(silent["drain"].verdict, Verdict::Fail);
}

#[test]
fn errors_in_place_of_answers_are_a_warning() {
    let found = judged((Outcome::Status503, 503), (Outcome::Status503, 503), ENDED);
    assert_eq!(found["drain"].verdict, Verdict::Warn);
    assert_eq!(
        found["late-requests"].verdict,
        Verdict::Pass,
        "a refusal in words is an orderly one"
    );
}

#[test]
fn one_that_does_not_end_had_to_be_killed() {
    let found = judged(GOOD, GOOD, &[("killed", 1.0)]);
    assert_eq!(found["stop-in-time"].verdict, Verdict::Fail);
    assert!(
        found["stop-in-time"].title.contains("5.00 s"),
        "{}",
        found["stop-in-time"].title
    );
}

#[test]
fn late_requests_that_are_accepted_and_lost_are_told() {
    let found = judged(GOOD, CUT, ENDED);
    assert_eq!(found["late-requests"].verdict, Verdict::Warn);
    assert_eq!(found["drain"].verdict, Verdict::Pass);
}

#[test]
fn an_odd_end_is_told() {
    let found = judged(GOOD, CLOSED, &[("exit_ms", 9.0), ("exit_code", 3.0)]);
    assert_eq!(found["stop-in-time"].verdict, Verdict::Warn);
    let usual = judged(GOOD, CLOSED, &[("exit_ms", 9.0), ("exit_code", 143.0)]);
    assert_eq!(usual["stop-in-time"].verdict, Verdict::Pass);
}

#[test]
fn so_few_lost_while_the_socket_closes_are_no_reproach() {
    let mut samples: Vec<Sample> = (0..4).map(|i| request(900 + i, 1200, Outcome::Ok, 200)).collect();
    samples.extend((0..2).map(|i| request(1001 + i, 1003, Outcome::Reset, 0)));
    samples.extend((0..20).map(|i| request(1010 + i, 1011 + i, Outcome::Refused, 0)));
    let phase = recorded(samples.clone(), ENDED);
    let found = judge(&[round(&phase, 150.0)]);
    assert_eq!(found[2].verdict, Verdict::Pass, "{found:?}");
    assert!(
        found[2].title.contains("2 are lost in the moment of closing"),
        "{}",
        found[2].title
    );
    samples.push(request(1003, 1004, Outcome::Reset, 0));
    let phase = recorded(samples, ENDED);
    assert_eq!(judge(&[round(&phase, 150.0)])[2].verdict, Verdict::Warn);
}

#[test]
fn requests_too_short_to_be_caught_in_work_decide_nothing() {
    // Sent just before the signal and read just after it: the answers may be older than the signal.
    let short: Vec<Sample> = (0..5)
        .map(|i| request(995 + i, 1004 + i, Outcome::Ok, 200))
        .collect();
    let phase = recorded(short, ENDED);
    assert_eq!(judge(&[round(&phase, 1.0)])[0].verdict, Verdict::Inconclusive);
    // Long ones of which only two had not been sent a whole time of one before.
    let old = [100, 200, 300, 950, 960].map(|sent| request(sent, 1004, Outcome::Ok, 200));
    let phase = recorded(old.to_vec(), ENDED);
    let found = judge(&[round(&phase, 100.0)]);
    assert_eq!(found[0].verdict, Verdict::Inconclusive, "{found:?}");
    assert_eq!(found[0].counted(), Verdict::Warn);
    // One that loses even short ones is found all the same.
    let lost: Vec<Sample> = (0..5)
        .map(|i| request(995 + i, 1004 + i, Outcome::Reset, 0))
        .collect();
    let phase = recorded(lost, ENDED);
    assert_eq!(judge(&[round(&phase, 1.0)])[0].verdict, Verdict::Fail);
}

#[test]
fn one_that_ends_by_itself_is_told() {
    let early = recorded(
        Vec::new(),
        &[("early", 1.0), ("exit_ms", 0.0), ("exit_code", 1.0)],
    );
    let found = judge(&[round(&early, 100.0)]);
    assert_eq!((found.len(), found[0].verdict), (1, Verdict::Fail));
}
