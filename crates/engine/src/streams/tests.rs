//! The account against figures that a person can compute.

use prony_model::{
    Capture, FinishReason, Limits, Nanos, Outcome, Phase, Shape, StreamEvent, StreamEventKind, StreamRecord,
    Timeline, TokenUsage,
};
use proptest::prelude::*;

use super::{StreamBooks, summarise_streams};

const MS: u64 = 1_000_000;

fn phase() -> Phase {
    Phase {
        name: "p".to_owned(),
        experiment: "e".to_owned(),
        scenarios: Vec::new(),
        shape: Shape::Sequential {
            requests: 1,
            duration_s: None,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

/// An answer sent at `sent_ms` whose first token came 50 ms later and the others after these gaps.
fn answer(seq: u64, sent_ms: u64, gaps_ms: &[u64], usage: Option<u32>) -> StreamRecord {
    let sent = Nanos(sent_ms * MS);
    let mut timeline = Timeline::default();
    timeline.begin(sent);
    let mut at = sent + Nanos(50 * MS);
    let first_token = at;
    let mut joined = 0;
    for gap in std::iter::once(&0).chain(gaps_ms) {
        at += Nanos(gap * MS);
        let together = *gap == 0 && at != first_token;
        joined += u32::from(together);
        timeline.push(StreamEvent {
            at,
            kind: StreamEventKind::Output,
            tokens: 1,
            joined: together,
        });
    }
    let n = gaps_ms.len() as u32 + 1;
    StreamRecord {
        seq,
        phase: 0,
        scenario: 0,
        item: 0,
        step: (seq % 2) as u16,
        attempt: 0,
        outcome: Outcome::Ok,
        intended: sent,
        sent,
        first_byte: first_token,
        first_event: first_token,
        first_token,
        first_output: first_token,
        last_token: at,
        end: at,
        token_events: n,
        event_tokens: n,
        first_tokens: 1,
        joined,
        events: n,
        comments: 0,
        longest_gap: Nanos(gaps_ms.iter().max().copied().unwrap_or(0) * MS),
        text_bytes: n,
        usage: TokenUsage {
            output: usage,
            ..TokenUsage::default()
        },
        finish: FinishReason::Stop,
        terminal: true,
        max_tokens: None,
        prompt_tokens: None,
        shared_tokens: None,
        timeline,
    }
}

fn near(ns: f64, ms: f64) -> bool {
    (ns / 1e6 - ms).abs() <= ms * 0.002
}

#[test]
fn gaps_stalls_and_time_per_token() {
    let mut gaps = vec![5; 98];
    gaps.push(2000);
    let records = [answer(0, 0, &gaps, Some(100)), answer(2, 10, &gaps, None)];
    let all = summarise_streams(&phase(), &records);
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.ok, one.gaps, one.stalls), (2, 198, 2));
    assert!(near(one.ttft.mean_ns, 50.0), "{:?}", one.ttft);
    assert!(near(one.itl.quantiles[0].value.0 as f64, 5.0));
    assert!(near(one.longest_gap.mean_ns, 2000.0));
    assert!(
        near(one.tpot.mean_ns, (98.0 * 5.0 + 2000.0) / 99.0),
        "{:?}",
        one.tpot
    );
    assert_eq!(
        (one.usage_output, one.with_usage, one.event_tokens),
        (100, 1, 200)
    );
}

#[test]
fn an_answer_that_failed_gives_no_times() {
    let mut failed = answer(0, 0, &[5, 5], None);
    failed.outcome = Outcome::StreamError;
    let mut cut = answer(2, 0, &[5, 5], None);
    cut.outcome = Outcome::Interrupted;
    let all = summarise_streams(&phase(), &[failed, cut]);
    assert_eq!((all[0].ok, all[0].failed), (0, 1));
    assert_eq!((all[0].ttft.n, all[0].gaps, all[0].token_events), (0, 0, 0));
}

#[test]
fn tokens_that_the_server_counts_are_shared_out() {
    let chunks = answer(0, 0, &[8, 8, 8], Some(16));
    let all = summarise_streams(&phase(), &[chunks]);
    assert_eq!((all[0].itl.n, all[0].chunk_gap.n), (12, 3));
    assert!(near(all[0].itl.mean_ns, 2.0) && near(all[0].chunk_gap.mean_ns, 8.0));
    // The token that ends an answer has no text: nothing to share out.
    let ended = answer(0, 0, &[8; 19], Some(21));
    let all = summarise_streams(&phase(), &[ended]);
    assert_eq!((all[0].itl.n, all[0].chunk_gap.n), (19, 19));
}

#[test]
fn reasoning_that_is_counted_and_not_sent_is_in_no_event() {
    let hidden = |usage: u32, reasoning: u32| {
        let mut record = answer(0, 0, &[5; 199], Some(usage));
        record.usage.reasoning = Some(reasoning);
        record
    };
    let record = hidden(1200, 1000);
    assert_eq!((record.streamed_tokens(), record.output_tokens()), (200, 1200));
    let all = summarise_streams(&phase(), &[record]);
    let one = &all[0];
    assert_eq!((one.itl.n, one.usage_output), (199, 1200));
    assert_eq!((one.streamed_tokens, one.tokens_per_event()), (200, Some(1.0)));
    assert!(
        near(one.itl.mean_ns, 5.0) && near(one.tpot.mean_ns, 5.0),
        "{one:?}"
    );
    assert!((one.tokens_per_s - 200.0).abs() < 3.0, "{}", one.tokens_per_s);
    assert_eq!(hidden(400, 300).streamed_tokens(), 200, "no fewer than came");
    // Reasoning that was sent is in the events.
    let mut sent = hidden(1200, 1000);
    sent.first_output = sent.last_token;
    assert_eq!(sent.streamed_tokens(), 1200);
    assert!((sent.tokens_per_event() - 6.0).abs() < 1e-9);
}

#[test]
fn throughput_counts_tokens_by_their_time() {
    // Ten users for ten seconds, an answer each second: 100 tokens, 9 ms apart. The last answers end after the last was sent.
    let mut records = Vec::new();
    for second in 0..10 {
        for user in 0..10 {
            records.push(answer(2 * user, second * 1000, &[9; 99], Some(100)));
        }
    }
    let all = summarise_streams(&phase(), &records);
    assert!(
        (all[0].tokens_per_s - 1000.0).abs() < 15.0,
        "{}",
        all[0].tokens_per_s
    );
    assert!((all[0].window_s - 8.95).abs() < 0.05, "{}", all[0].window_s);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However answers are split over workers, and in whichever order accounts are added, the figures are the same.
    #[test]
    fn merging_is_exact_and_commutes(
        lengths in prop::collection::vec((0_u64..20_000, prop::collection::vec(0_u64..300, 0..30)), 1..40),
        cut in 0.0_f64..1.0,
    ) {
        let records: Vec<StreamRecord> = lengths
            .iter()
            .enumerate()
            .map(|(seq, (sent, gaps))| answer(seq as u64, *sent, gaps, None))
            .collect();
        let whole = summarise_streams(&phase(), &records);
        let (left, right) = records.split_at((records.len() as f64 * cut) as usize);
        for (first, second) in [(left, right), (right, left)] {
            let account = |records: &[StreamRecord]| {
                let mut books = StreamBooks::default();
                for record in records {
                    books.add(record);
                }
                books
            };
            let mut merged = account(first);
            merged.merge(&account(second));
            prop_assert_eq!(&merged.summaries(&phase(), &records), &whole);
        }
    }
}
