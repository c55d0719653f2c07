//! A run with streams made by hand: ten answers, one of them broken, two that are longer, with a role-only first event.

use prony_model::{
    Body, Capture, Distribution, Event, Expect, FinishReason, Item, Limits, Nanos, Outcome, Phase,
    PhaseSummary, Quantile, Request, Scenario, Shape, StreamEvent, StreamEventKind, StreamExpect,
    StreamProtocol, StreamRecord, StreamSummary, Timeline, TokenUsage,
};
use prony_report::definitions::RecordedStream;
use prony_report::{PhaseStreams, RunRecord, Slo};

use super::rich;

const SCENARIO: &str = "POST /v1/chat/completions";

fn ms(value: f64) -> Nanos {
    Nanos::from_millis_f64(value)
}

/// Request `k` is sent at `k + 1` seconds; its first token comes after 50 ms, the others every 5.
fn answer(k: u32, outcome: Outcome, tokens: u32) -> RecordedStream {
    let sent = f64::from(k + 1) * 1000.0;
    let mut timeline = Timeline::default();
    timeline.begin(ms(sent));
    let mut push = |at: f64, kind, tokens| {
        timeline.push(StreamEvent {
            at: ms(at),
            kind,
            tokens,
            joined: false,
        });
    };
    push(sent + 1.0, StreamEventKind::Silent, 0);
    for i in 0..tokens {
        push(sent + 50.0 + 5.0 * f64::from(i), StreamEventKind::Output, 1);
    }
    let last = sent + 50.0 + 5.0 * f64::from(tokens - 1);
    push(last + 1.0, StreamEventKind::Silent, 0);
    let ok = outcome == Outcome::Ok;
    RecordedStream::new(StreamRecord {
        seq: u64::from(k),
        phase: 0,
        scenario: 0,
        item: 0,
        step: 0,
        attempt: 0,
        outcome,
        intended: ms(sent - 2.0),
        sent: ms(sent),
        first_byte: ms(sent + 1.0),
        first_event: ms(sent + 1.0),
        first_token: ms(sent + 50.0),
        first_output: ms(sent + 50.0),
        last_token: ms(last),
        end: ms(last + 2.0),
        token_events: tokens,
        event_tokens: tokens,
        first_tokens: 1,
        joined: 0,
        events: tokens + 2,
        comments: 0,
        longest_gap: ms(5.0),
        text_bytes: tokens * 4,
        usage: TokenUsage {
            input: ok.then_some(16 * tokens),
            output: ok.then_some(tokens),
            cached: ok.then_some(4),
            reasoning: None,
        },
        finish: if ok {
            FinishReason::Length
        } else {
            FinishReason::None
        },
        terminal: ok,
        max_tokens: Some(tokens),
        prompt_tokens: Some(16 * tokens),
        shared_tokens: Some(8),
        timeline,
    })
}

fn answers() -> Vec<RecordedStream> {
    (0..10)
        .map(|k| match k {
            3 => answer(k, Outcome::StreamUnfinished, 10),
            7 | 8 => answer(k, Outcome::Ok, 100),
            _ => answer(k, Outcome::Ok, 20),
        })
        .collect()
}

/// Nine answers have a median and no 99th percentile.
fn distribution(n: u64, p50: f64, max: f64) -> Distribution {
    let quantile = |p: f64, value: f64, needs_n: u64| Quantile {
        p,
        value: ms(value),
        lo: ms(value * 0.98),
        hi: ms(value * 1.05),
        needs_n: if n < needs_n { needs_n } else { 0 },
    };
    Distribution {
        n,
        n_eff: n as f64,
        mean_ns: p50 * 1e6,
        sd_ns: 0.0,
        min: ms(p50),
        max: ms(max),
        quantiles: vec![
            quantile(0.5, p50, 6),
            quantile(0.9, p50, 29),
            quantile(0.99, max, 299),
        ],
    }
}

fn stream_summary() -> StreamSummary {
    StreamSummary {
        scenario: SCENARIO.into(),
        connections: 1,
        ok: 9,
        failed: 1,
        ttft: distribution(9, 50.0, 50.0),
        ttft_scheduled: distribution(9, 52.0, 52.0),
        first_event: distribution(9, 1.0, 1.0),
        ttfo: distribution(9, 50.0, 50.0),
        tpot: distribution(9, 5.0, 5.0),
        itl: distribution(331, 5.0, 5.0),
        chunk_gap: distribution(331, 5.0, 5.0),
        longest_gap: distribution(9, 5.0, 5.0),
        e2e: distribution(9, 145.0, 545.0),
        e2e_transport: distribution(9, 147.0, 547.0),
        stalls: 0,
        gaps: 331,
        token_events: 340,
        joined: 20,
        usage_output: 340,
        with_usage: 9,
        event_tokens: 340,
        streamed_tokens: 340,
        usage_input: 16 * 340,
        usage_cached: 36,
        with_cached: 9,
        tokens_per_s: 34.0,
        window_s: 9.2,
        output_lengths: [20, 20, 100],
        finished_by_length: 9,
        ..StreamSummary::default()
    }
}

fn phase() -> Phase {
    let body = serde_json::json!({ "model": "tiny|model", "stream": true }).to_string();
    let item = Item {
        request: Request {
            method: "POST".into(),
            body: Body::text(body),
            ..Request::get("/v1/chat/completions")
        },
        expect: Expect {
            stream: Some(StreamExpect::new(StreamProtocol::OpenaiChat)),
            ..Expect::default()
        },
    };
    Phase {
        name: "alone".into(),
        experiment: "streams".into(),
        scenarios: vec![Scenario::new(SCENARIO, vec![item])],
        shape: Shape::Sequential {
            requests: 10,
            duration_s: None,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

fn summary() -> PhaseSummary {
    let rows = vec![
        rich::row(SCENARIO, 0, 1, Outcome::Ok, 9, 145.0),
        rich::row(SCENARIO, 0, 1, Outcome::StreamUnfinished, 1, 97.0),
    ];
    PhaseSummary {
        streams: vec![stream_summary()],
        ..rich::summary(0, "streams", "alone", rows)
    }
}

/// The run, as a report is built from it.
pub(crate) fn run() -> RunRecord {
    let events = [
        Event::RunStarted(rich::header()),
        Event::PhaseStarted {
            index: 0,
            at: Nanos::ZERO,
            phase: phase(),
        },
        Event::PhaseFinished(summary()),
    ];
    let mut record = rich::record(&events);
    record.streams.insert(
        0,
        PhaseStreams {
            streams: answers(),
            cut: false,
        },
    );
    record.slos = ["ttft:60", "e2el:300"]
        .iter()
        .map(|slo| slo.parse::<Slo>().unwrap())
        .collect();
    record
}
