//! A server with scarce slots that frees them, one that does not, and one with slots for all.

use prony_model::{Budget, Finding, Limits, PhaseResult, Verdict};

use super::{ALONE, DEF, NAME, ROUNDS, WHOLE, after, hung_up};
use crate::fake::streamed::{Answer, phase, surface};
use crate::{BuildContext, RunView, Step};

/// Streams of 20 tokens, 95 ms from first to last.
fn answer(ttft_ms: f64) -> Answer {
    Answer::new(1000.0, ttft_ms, 5.0)
}

/// What is asked is answered: alone after 50 ms, the longest wait of those that read to the end, and of those after.
fn run(whole_ms: f64, after_ms: [f64; ROUNDS]) -> (Vec<String>, Finding) {
    run_with(&[answer(50.0), answer(whole_ms)], after_ms)
}

/// The same with all that is known of those that read to the end.
fn run_with(whole: &[Answer], after_ms: [f64; ROUNDS]) -> (Vec<String>, Finding) {
    let surface = surface();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Standard,
        time_s: 30.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (DEF.build)(&context, &serde_json::json!({})).unwrap();
    let mut phases: Vec<PhaseResult> = Vec::new();
    let mut names = Vec::new();
    loop {
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let Step::Run(asked) = experiment.next(&view) else {
            return (names, experiment.conclude(&view).remove(0));
        };
        let answers = match asked.name.as_str() {
            ALONE => vec![answer(50.0); 4],
            WHOLE => whole.to_vec(),
            name => match (0..ROUNDS).find(|round| after(*round) == name) {
                Some(round) => vec![answer(after_ms[round])],
                None => Vec::new(),
            },
        };
        assert_eq!(
            asked.scenarios[0].abandon.is_some(),
            asked.name.starts_with("hung up")
        );
        names.push(asked.name.clone());
        phases.push(phase(NAME, &asked.name, &answers, Vec::new()));
    }
}

#[test]
fn slots_that_are_freed() {
    let (names, finding) = run(400.0, [51.0, 52.0, 60.0]);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert_eq!(names.len(), 2 + 2 * ROUNDS);
    assert_eq!(names[2..4], [hung_up(0), after(0)]);
}

#[test]
fn slots_that_are_kept() {
    // Each time half a stream of 95 ms or more beyond the 50.
    let (_, finding) = run(400.0, [200.0, 300.0, 120.0]);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    assert_eq!(finding.counted(), Verdict::Warn, "advisory");
}

/// Four slots, 16 clients, streams that take three times as long beside others: the engine drops the twelve that wait one by one.
#[test]
fn a_moment_for_each_that_was_hung_up_on_is_no_stream() {
    let beside = Answer::new(1000.0, 50.0, 15.0);
    let (_, finding) = run_with(
        &[
            beside,
            Answer {
                ttft_ms: 900.0,
                ..beside
            },
        ],
        [120.0, 140.0, 110.0],
    );
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert!(
        finding.title.contains("frees its slot") && !finding.title.contains("could not"),
        "{}",
        finding.title
    );
}

#[test]
fn one_slow_answer_is_no_proof() {
    let (_, finding) = run(400.0, [51.0, 300.0, 52.0]);
    assert!(finding.title.contains("could not be told"), "{}", finding.title);
    assert_eq!(finding.verdict, Verdict::Pass);
}

#[test]
fn slots_for_all_tell_nothing() {
    let (_, finding) = run(55.0, [51.0, 52.0, 50.0]);
    assert!(finding.title.contains("could not be told"), "{}", finding.title);
    assert!(
        finding.detail.contains("do not wait for each other"),
        "{}",
        finding.detail
    );
}
