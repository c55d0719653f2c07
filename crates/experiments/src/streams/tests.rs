//! Streams with and without faults, made by hand.

use std::collections::BTreeMap;

use prony_model::{Outcome, TokenUsage, Verdict};

use super::{NAME, findings};
use crate::fake::streamed::{Answer, ENDPOINT, phase};

fn answers(n: u32) -> Vec<Answer> {
    (0..n)
        .map(|k| Answer::new(f64::from(k) * 500.0, 50.0, 5.0))
        .collect()
}

fn verdicts(answers: &[Answer]) -> BTreeMap<String, Verdict> {
    let phase = phase(NAME, ENDPOINT, answers, Vec::new());
    let findings = findings::of(&phase);
    findings.into_iter().map(|f| (f.id, f.verdict)).collect()
}

fn changed(n: u32, change: impl Fn(usize, &mut Answer)) -> BTreeMap<String, Verdict> {
    let mut all = answers(n);
    for (i, answer) in all.iter_mut().enumerate() {
        change(i, answer);
    }
    verdicts(&all)
}

#[test]
fn a_good_server_is_not_complained_about() {
    let found = verdicts(&answers(30));
    assert!(found.values().all(|v| *v == Verdict::Pass), "{found:?}");
    let ids: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        ids,
        [
            "stream-ends",
            "stream-is-streamed",
            "stream-speed",
            "stream-stalls",
            "stream-usage"
        ]
    );
}

#[test]
fn one_broken_stream_is_a_failure() {
    for outcome in [
        Outcome::StreamError,
        Outcome::StreamUnfinished,
        Outcome::StreamEmpty,
    ] {
        let found = changed(30, |i, a| {
            if i == 7 {
                a.outcome = outcome;
            }
        });
        assert_eq!(found["stream-ends"], Verdict::Fail, "{outcome:?}");
    }
    // A refusal is no broken stream.
    let found = changed(30, |i, a| {
        if i == 7 {
            a.outcome = Outcome::Status429;
        }
    });
    assert_eq!(found["stream-ends"], Verdict::Pass);
}

#[test]
fn an_answer_that_comes_all_at_once_is_no_stream() {
    let found = changed(30, |_, a| {
        a.ttft_ms = 500.0;
        a.gap_ms = 0.01;
        a.stall_ms = 0.01;
    });
    assert_eq!(found["stream-is-streamed"], Verdict::Warn);
}

#[test]
fn stalls_that_a_reader_feels() {
    let found = changed(30, |i, a| {
        if i % 3 == 0 {
            a.stall_ms = 2000.0;
        }
    });
    assert_eq!(found["stream-stalls"], Verdict::Warn);
    // A server that is slow throughout does not stall.
    let found = changed(30, |_, a| {
        a.gap_ms = 300.0;
        a.stall_ms = 400.0;
    });
    assert_eq!(found["stream-stalls"], Verdict::Pass);
    // Nor does one gap in thirty answers show that one in a hundred stalls.
    let found = changed(30, |i, a| {
        if i == 3 {
            a.stall_ms = 2000.0;
        }
    });
    assert_eq!(found["stream-stalls"], Verdict::Pass);
}

#[test]
fn usage_against_events() {
    let counted = |output| {
        changed(30, |_, a| {
            a.usage = TokenUsage {
                output,
                ..TokenUsage::default()
            };
        })
    };
    assert_eq!(counted(Some(10))["stream-usage"], Verdict::Warn, "too few");
    let bundled = counted(Some(40));
    assert_eq!(bundled["stream-usage"], Verdict::Pass, "chunks of two");
    assert!(bundled.contains_key("stream-coalescing"));
    assert!(!counted(Some(20)).contains_key("stream-coalescing"));
    assert_eq!(counted(None)["stream-usage"], Verdict::Pass);
}

#[test]
fn too_few_answers_say_nothing_of_speed() {
    assert_eq!(verdicts(&answers(4))["stream-speed"], Verdict::Inconclusive);
}
