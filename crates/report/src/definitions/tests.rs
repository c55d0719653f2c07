//! Answers made by hand, and what each tool would print of them, worked out in the comments. Times in milliseconds.

use prony_model::{
    FinishReason, Nanos, Outcome, StreamEvent, StreamEventKind, StreamRecord, Timeline, TokenUsage,
};

use super::{Compared, DEFINITIONS, OURS, RecordedStream, Restated, TimeStats, compare, find, restate};

fn ms(value: f64) -> Nanos {
    Nanos::from_millis_f64(value)
}

/// A stream sent at `sent`, with events at moments: `Some(k)` a chunk of k tokens, `None` one without.
fn stream(outcome: Outcome, sent: f64, events: &[(f64, Option<u32>)], end: f64) -> RecordedStream {
    let mut timeline = Timeline::default();
    timeline.begin(ms(sent));
    for (at, tokens) in events {
        timeline.push(StreamEvent {
            at: ms(*at),
            kind: if tokens.is_some() {
                StreamEventKind::Output
            } else {
                StreamEventKind::Silent
            },
            tokens: tokens.unwrap_or(0),
            joined: false,
        });
    }
    let tokens: Vec<(f64, u32)> = events.iter().filter_map(|(at, k)| Some((*at, (*k)?))).collect();
    let stamp = |at: Option<f64>| at.map_or(Nanos::ZERO, ms);
    RecordedStream::new(StreamRecord {
        seq: 0,
        phase: 0,
        scenario: 0,
        item: 0,
        step: 0,
        attempt: 0,
        outcome,
        intended: ms(sent),
        sent: ms(sent),
        first_byte: stamp(events.first().map(|e| e.0)),
        first_event: stamp(events.first().map(|e| e.0)),
        first_token: stamp(tokens.first().map(|t| t.0)),
        first_output: stamp(tokens.first().map(|t| t.0)),
        last_token: stamp(tokens.last().map(|t| t.0)),
        end: ms(end),
        token_events: tokens.len() as u32,
        event_tokens: tokens.iter().map(|t| t.1).sum(),
        first_tokens: tokens.first().map_or(0, |t| t.1),
        joined: 0,
        events: events.len() as u32,
        comments: 0,
        longest_gap: Nanos::ZERO,
        text_bytes: 0,
        usage: TokenUsage::default(),
        finish: FinishReason::None,
        terminal: outcome == Outcome::Ok,
        max_tokens: Some(8),
        prompt_tokens: Some(16),
        shared_tokens: None,
        timeline,
    })
}

/// Due at 1,000, connected in 10, sent at 1,010; role at 1,012; four tokens from 1,060 every 5; finish at 1,076, usage at
/// 1,077, `[DONE]` at 1,078.
fn whole() -> RecordedStream {
    let mut of = stream(
        Outcome::Ok,
        1010.0,
        &[
            (1012.0, None),
            (1060.0, Some(1)),
            (1065.0, Some(1)),
            (1070.0, Some(1)),
            (1075.0, Some(1)),
            (1076.0, None),
            (1077.0, None),
        ],
        1078.0,
    );
    of.record.intended = ms(1000.0);
    of.connect = ms(10.0);
    of.record.finish = FinishReason::Length;
    of.record.usage = TokenUsage {
        input: Some(16),
        output: Some(4),
        ..TokenUsage::default()
    };
    of
}

/// Sent at 2,000; tokens at 2,050, 2,055 and, after two seconds of silence, 4,055; then the body ends without a marker at
/// 4,056. Eight tokens were asked for, no usage came.
fn cut() -> RecordedStream {
    stream(
        Outcome::StreamUnfinished,
        2000.0,
        &[(2050.0, Some(1)), (2055.0, Some(1)), (4055.0, Some(1))],
        4056.0,
    )
}

/// Sent at 3,000; three chunks of four tokens each from 3,050 every 5; usage says 12.
fn bundled() -> RecordedStream {
    let mut of = stream(
        Outcome::Ok,
        3000.0,
        &[
            (3050.0, Some(4)),
            (3055.0, Some(4)),
            (3060.0, Some(4)),
            (3061.0, None),
        ],
        3062.0,
    );
    of.record.usage.output = Some(12);
    of
}

fn by(name: &str, streams: &[RecordedStream]) -> Restated {
    restate(find(name).unwrap(), streams)
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

fn mean(stats: Option<&TimeStats>) -> f64 {
    stats.unwrap().mean
}

/// TTFT, TPOT, ITL, E2EL: the means; NaN where the tool has none.
fn four(r: &Restated) -> [f64; 4] {
    [&r.ttft, &r.tpot, &r.itl, &r.e2e].map(|s| s.as_ref().map_or(f64::NAN, |s| s.mean))
}

fn all_close(got: [f64; 4], wanted: [f64; 4]) {
    for (got, wanted) in got.into_iter().zip(wanted) {
        assert!(
            (got - wanted).abs() < 1e-6 || (got.is_nan() && wanted.is_nan()),
            "{got} is not {wanted}"
        );
    }
}

#[test]
fn one_whole_answer() {
    let answers = [whole()];
    // From 1,010: first token 50; 15 over 3 tokens after the first; gaps 5, 5, 5; last token 65.
    all_close(four(&restate(&OURS, &answers)), [50.0, 5.0, 5.0, 65.0]);
    // The clock starts before the connection, at 1,000: 60 and 75.
    all_close(four(&by("vllm", &answers)), [60.0, 5.0, 5.0, 75.0]);
    // The role at 1,012 is the first token: 12. To the usage chunk at 1,077: 77, and (77 - 12) / 3 for TPOT. Gaps 48, 5, 5,
    // 5 and 1 to the finish chunk: 64 / 5.
    all_close(four(&by("vllm-rs", &answers)), [12.0, 65.0 / 3.0, 12.8, 77.0]);
    // To [DONE] at 1,078: 78, and (78 - 60) / 3 for TPOT.
    all_close(four(&by("sglang", &answers)), [60.0, 6.0, 5.0, 78.0]);
    // No TPOT; ITL is 15 / (4 - 1), one value.
    all_close(four(&by("aiperf", &answers)), [60.0, f64::NAN, 5.0, 75.0]);
    // From 1,010: first token 50; TPOT (1,075 - 1,010) / 4; ITL 15 / 3; to the end of the stream 68.
    all_close(four(&by("guidellm", &answers)), [50.0, 16.25, 5.0, 68.0]);
    // From when it was due, 1,000, to the completion at 1,078; no ITL.
    all_close(four(&by("mlperf", &answers)), [60.0, 6.0, f64::NAN, 78.0]);
}

#[test]
fn a_stream_without_its_end_is_a_failure_here_and_a_success_elsewhere() {
    let answers = [cut()];
    let ours = restate(&OURS, &answers);
    assert_eq!((ours.ok, ours.failed, ours.output_tokens), (0, 1, 0));
    assert_eq!((by("mlperf", &answers).ok, by("mlperf", &answers).failed), (0, 1));
    let vllm = by("vllm", &answers);
    // Three tokens came: (4,055 - 2,050) / 2 = 1,002.5; gaps 5 and 2,000.
    assert_eq!((vllm.ok, vllm.output_tokens), (1, 3));
    all_close(four(&vllm), [50.0, 1002.5, 1002.5, 2055.0]);
    close(vllm.itl.as_ref().unwrap().max, 2000.0);
    // Eight were asked for, so eight are reported: (4,056 - 2,050) / 7.
    let sglang = by("sglang", &answers);
    assert_eq!((sglang.ok, sglang.output_tokens), (1, 8));
    close(mean(sglang.tpot.as_ref()), 2006.0 / 7.0);
    // Eight as well: ITL (4,055 - 2,050) / 7, TPOT (4,055 - 2,000) / 8.
    let guidellm = by("guidellm", &answers);
    assert_eq!((guidellm.ok, guidellm.output_tokens), (1, 8));
    close(mean(guidellm.itl.as_ref()), 2005.0 / 7.0);
    close(mean(guidellm.tpot.as_ref()), 2055.0 / 8.0);
    // The stall of two seconds is the mean of the request, and only the chunk gaps show it.
    let aiperf = by("aiperf", &answers);
    close(aiperf.itl.as_ref().unwrap().max, 1002.5);
    close(aiperf.gaps.as_ref().unwrap().max, 2000.0);
    // Three chunks, none of them silent, no usage.
    assert_eq!(
        (by("vllm-rs", &answers).ok, by("vllm-rs", &answers).output_tokens),
        (1, 3)
    );
}

#[test]
fn several_tokens_in_a_chunk() {
    let answers = [bundled()];
    // 10 over the 8 tokens after the first chunk; each gap of 5 is four of 1.25.
    all_close(four(&restate(&OURS, &answers)), [50.0, 1.25, 1.25, 60.0]);
    assert_eq!(restate(&OURS, &answers).itl.unwrap().n, 8);
    // 10 over 11 tokens, and the raw gaps.
    all_close(four(&by("vllm", &answers)), [50.0, 10.0 / 11.0, 5.0, 60.0]);
    assert_eq!(by("vllm", &answers).itl.unwrap().n, 2);
    // The first chunk's four tokens are subtracted: 10 / (12 - 4). 1 / ITL is 800 tokens per second.
    let aiperf = by("aiperf", &answers);
    close(mean(aiperf.itl.as_ref()), 1.25);
    close(mean(aiperf.per_user.as_ref()), 800.0);
    // 10 / 11 and 60 / 12.
    let guidellm = by("guidellm", &answers);
    close(mean(guidellm.itl.as_ref()), 10.0 / 11.0);
    close(mean(guidellm.tpot.as_ref()), 5.0);
}

#[test]
fn who_takes_what_for_a_success() {
    let tokens = [(50.0, Some(1)), (55.0, Some(1))];
    let role = [(50.0, None)];
    let answers = [
        (
            stream(Outcome::StreamError, 0.0, &tokens, 60.0),
            ["vllm", "vllm-rs", "sglang", "aiperf"].as_slice(),
        ),
        (
            stream(Outcome::StreamUnfinished, 0.0, &tokens, 60.0),
            &["vllm", "vllm-rs", "sglang", "aiperf", "guidellm"],
        ),
        (stream(Outcome::StreamEmpty, 0.0, &role, 60.0), &["vllm-rs"]),
        (stream(Outcome::Reset, 0.0, &tokens, 60.0), &[]),
        (stream(Outcome::Truncated, 0.0, &tokens, 60.0), &[]),
        (stream(Outcome::Status5xx, 0.0, &[], 60.0), &[]),
        (
            stream(Outcome::Ok, 0.0, &tokens, 60.0),
            &["vllm", "vllm-rs", "sglang", "aiperf", "guidellm", "mlperf"],
        ),
    ];
    for (answer, wanted) in answers {
        let takers: Vec<&str> = DEFINITIONS
            .iter()
            .filter(|d| (d.see)(&answer).ok)
            .map(|d| d.name)
            .collect();
        assert_eq!(takers, wanted, "{:?}", answer.record.outcome);
    }
}

#[test]
fn what_the_generator_cut_off_is_nobodys_failure() {
    let answers = [
        whole(),
        stream(Outcome::Interrupted, 0.0, &[(9.0, Some(1))], 10.0),
    ];
    for definition in DEFINITIONS {
        let restated = restate(definition, &answers);
        assert_eq!((restated.ok, restated.failed), (1, 0), "{}", definition.name);
    }
}

#[test]
fn percentiles_each_in_its_own_way() {
    // TTFT of 10, 20, 30 and 40, and one failure.
    let mut answers: Vec<RecordedStream> = [10.0, 20.0, 30.0, 40.0]
        .iter()
        .map(|at| stream(Outcome::Ok, 0.0, &[(*at, Some(1))], 50.0))
        .collect();
    answers.push(stream(Outcome::Reset, 0.0, &[], 50.0));
    let p = |name: &str, p: f64| by(name, &answers).ttft.unwrap().at(p);
    // Nearest rank of four: the second.
    close(restate(&OURS, &answers).ttft.unwrap().at(50.0).unwrap(), 20.0);
    // Half way between the second and the third; 0.99 * 3 = 2.97 is 39.7.
    close(p("vllm", 50.0).unwrap(), 25.0);
    close(p("vllm", 99.0).unwrap(), 39.7);
    // The third of five; the fifth is the failure, which has no time.
    close(p("mlperf", 50.0).unwrap(), 30.0);
    assert_eq!(p("mlperf", 99.0), None);
    // One token each: no TPOT, never zero.
    assert_eq!(by("vllm", &answers).tpot, None);
}

#[test]
fn rates_over_the_time_from_the_first_start_to_the_last_end() {
    // From 1,000 (vllm counts the connection) to the last end at 3,062: 2.062 s; 4 + 12 tokens of the two whole answers and 3
    // of the broken one.
    let answers = [whole(), cut(), bundled()];
    let vllm = by("vllm", &answers);
    // The broken one ends at 4,056.
    close(vllm.duration_s, 3.056);
    assert_eq!(vllm.output_tokens, 19);
    close(vllm.output_per_s(), 19.0 / 3.056);
    // Chunks at 60 to 75, at 1,050 and 1,055, at 2,050 to 2,060 and at 3,055 after the start: 4 in the first second.
    assert_eq!(vllm.chunks_per_s_max, 4);
    // The broken one runs from 2,000 to 4,055, the bundled one within it.
    assert_eq!(vllm.at_once_max, 2);
}

#[test]
fn a_recording_without_events_gives_no_gaps() {
    let mut answer = whole();
    answer.record.timeline = Timeline::default();
    let restated = by("vllm", &[answer]);
    assert!(restated.gaps_lacking && restated.itl.is_none());
    close(mean(restated.ttft.as_ref()), 60.0);
}

#[test]
fn every_difference_has_its_reason() {
    let answers = [whole(), cut(), bundled()];
    let ours = restate(&OURS, &answers);
    for definition in DEFINITIONS {
        let rows = compare(definition, &ours, &restate(definition, &answers));
        assert!(rows.iter().any(|r| !r.why.is_empty()), "{}", definition.name);
        for row in rows {
            let differs = row.distance() > 0.005;
            assert_eq!(differs, !row.why.is_empty(), "{} {row:?}", definition.name);
        }
    }
    let same: Vec<Compared> = compare(&OURS, &ours, &ours);
    assert!(same.iter().all(|r| r.why.is_empty() && r.distance() == 0.0));
}
