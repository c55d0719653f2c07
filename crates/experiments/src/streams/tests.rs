//! Streams with and without faults, made by hand.

use std::collections::BTreeMap;

use prony_model::{Outcome, StreamSummary, TokenUsage, Verdict};

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

#[test]
fn the_engines_slots_are_found_where_more_is_asked_for() {
    // Two slots: alone, and then eight at once, who get tokens two by two.
    let alone = (0..6).map(|k| Answer::new(f64::from(k) * 200.0, 50.0, 5.0));
    let crowd = (0..16).map(|k| {
        let turn = f64::from(k / 2);
        Answer {
            step: 1,
            ..Answer::new(2_000.0, 50.0 + turn * 150.0, 5.0)
        }
    });
    let mut phase = phase(
        NAME,
        ENDPOINT,
        &alone.chain(crowd).collect::<Vec<_>>(),
        Vec::new(),
    );
    phase.summary.streams = [(0, 1), (1, 8)]
        .map(|(step, connections)| StreamSummary {
            scenario: ENDPOINT.into(),
            step,
            connections,
            ..StreamSummary::default()
        })
        .to_vec();
    let found = findings::of(&phase);
    let slots = found.iter().find(|f| f.id == "stream-slots").expect("found");
    assert!(slots.title.starts_with("2 streams get tokens"), "{}", slots.title);
    // With no more asked for than there are slots, nothing is said.
    phase.summary.streams[1].connections = 3;
    assert!(findings::of(&phase).iter().all(|f| f.id != "stream-slots"));
}

#[test]
fn streams_that_wait_for_nobody_have_no_slots() {
    // The first token takes 300 ms, the other 19 take 133: of sixteen streams at once five get tokens at the same time.
    let user = |step: u16, from: f64, k: u32, of: u32| {
        (0..4).map(move |turn| Answer {
            step,
            ..Answer::new(
                from + 433.0 * (f64::from(turn) + f64::from(k) / f64::from(of)),
                300.0,
                7.0,
            )
        })
    };
    let alone = (0..4).flat_map(|k| user(0, 0.0, k, 4));
    let crowd = (0..16).flat_map(|k| user(1, 3_000.0, k, 16));
    let all: Vec<Answer> = alone.chain(crowd).collect();
    let mut phase = phase(NAME, ENDPOINT, &all, Vec::new());
    phase.summary.streams = [(0, 4), (1, 16)]
        .map(|(step, connections)| StreamSummary {
            scenario: ENDPOINT.into(),
            step,
            connections,
            ..StreamSummary::default()
        })
        .to_vec();
    let found = findings::of(&phase);
    assert!(found.iter().all(|f| f.id != "stream-slots"), "{found:#?}");
}
