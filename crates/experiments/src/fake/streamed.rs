//! Phases whose answers are streams, made by hand.

use prony_model::{
    Capture, Endpoint, Expect, FinishReason, Limits, Nanos, Outcome, Phase, PhaseResult, Reading, Request,
    Role, SampleRequest, Scenario, Shape, StreamEvent, StreamEventKind, StreamExpect, StreamProtocol,
    StreamRecord, StreamSummary, SummaryRow, Surface, Timeline, TokenUsage,
};

/// The endpoint of every phase here.
pub(crate) const ENDPOINT: &str = "POST /v1/chat/completions";

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub step: u16,
    pub outcome: Outcome,
    pub sent_ms: f64,
    pub ttft_ms: f64,
    pub tokens: u32,
    pub gap_ms: f64,
    /// The gap in the middle, where it is another.
    pub stall_ms: f64,
    pub usage: TokenUsage,
    pub shared: Option<(u32, u32)>,
}

impl Answer {
    /// A good answer of 20 tokens.
    pub(crate) fn new(sent_ms: f64, ttft_ms: f64, gap_ms: f64) -> Self {
        Self {
            step: 0,
            outcome: Outcome::Ok,
            sent_ms,
            ttft_ms,
            tokens: 20,
            gap_ms,
            stall_ms: gap_ms,
            usage: TokenUsage {
                input: Some(100),
                output: Some(20),
                ..TokenUsage::default()
            },
            shared: None,
        }
    }

    fn record(self, seq: u64) -> StreamRecord {
        let ms = Nanos::from_millis_f64;
        let sent = ms(self.sent_ms);
        let mut timeline = Timeline::default();
        timeline.begin(sent);
        let mut at = self.sent_ms + self.ttft_ms;
        for i in 0..self.tokens {
            if i > 0 {
                at += if i == self.tokens / 2 {
                    self.stall_ms
                } else {
                    self.gap_ms
                };
            }
            timeline.push(StreamEvent {
                at: ms(at),
                kind: StreamEventKind::Output,
                tokens: 1,
                joined: false,
            });
        }
        StreamRecord {
            seq,
            phase: 0,
            scenario: 0,
            item: 0,
            step: self.step,
            attempt: 0,
            outcome: self.outcome,
            intended: sent,
            sent,
            first_byte: ms(self.sent_ms + self.ttft_ms),
            first_event: ms(self.sent_ms + self.ttft_ms),
            first_token: ms(self.sent_ms + self.ttft_ms),
            first_output: ms(self.sent_ms + self.ttft_ms),
            last_token: ms(at),
            end: ms(at),
            token_events: self.tokens,
            event_tokens: self.tokens,
            first_tokens: 1,
            joined: 0,
            events: self.tokens,
            comments: 0,
            longest_gap: ms(self.stall_ms.max(self.gap_ms)),
            text_bytes: 0,
            usage: self.usage,
            finish: FinishReason::Stop,
            terminal: self.outcome == Outcome::Ok,
            max_tokens: None,
            prompt_tokens: self.shared.map(|(_, prompt)| prompt),
            shared_tokens: self.shared.map(|(shared, _)| shared),
            timeline,
        }
    }
}

/// A surface with the endpoint.
pub(crate) fn surface() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: ENDPOINT.into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::json(
                    "POST",
                    "/v1/chat/completions",
                    &serde_json::json!({"stream": true}),
                ),
                inputs: std::collections::BTreeMap::new(),
            }],
            expect: Expect {
                stream: Some(StreamExpect::new(StreamProtocol::OpenaiChat)),
                ..Expect::default()
            },
        }],
        ..Surface::default()
    }
}

/// A phase of an experiment with these answers. Of its summary only rows and the sums of its streams are made.
pub(crate) fn phase(experiment: &str, name: &str, answers: &[Answer], readings: Vec<Reading>) -> PhaseResult {
    let items = surface().endpoints.iter().flat_map(Endpoint::items).collect();
    let phase = Phase {
        name: name.into(),
        experiment: experiment.into(),
        scenarios: vec![Scenario::new(ENDPOINT, items)],
        shape: Shape::Sequential {
            requests: answers.len() as u64,
            duration_s: None,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let mut summary = super::summary(&phase, 0, &[], Nanos::from_secs_f64(60.0));
    let mut outcomes: Vec<Outcome> = answers.iter().map(|a| a.outcome).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    summary.rows = outcomes
        .into_iter()
        .map(|outcome| SummaryRow {
            scenario: ENDPOINT.into(),
            part: false,
            step: 0,
            connections: 1,
            outcome,
            n: answers.iter().filter(|a| a.outcome == outcome).count() as u64,
            per_s: 1.0,
            response: prony_model::Distribution::default(),
            service: prony_model::Distribution::default(),
            lag: prony_model::Distribution::default(),
            ttfb: prony_model::Distribution::default(),
            transfer: prony_model::Distribution::default(),
            connect: prony_model::Distribution::default(),
            tls: prony_model::Distribution::default(),
        })
        .collect();
    let good = || answers.iter().filter(|a| a.outcome == Outcome::Ok);
    summary.streams = vec![StreamSummary {
        scenario: ENDPOINT.into(),
        connections: 1,
        ok: good().count() as u64,
        failed: (answers.len() - good().count()) as u64,
        token_events: good().map(|a| u64::from(a.tokens)).sum(),
        event_tokens: good().map(|a| u64::from(a.tokens)).sum(),
        with_usage: good().filter(|a| a.usage.output.is_some()).count() as u64,
        usage_output: good().filter_map(|a| a.usage.output.map(u64::from)).sum(),
        streamed_tokens: good()
            .map(|a| a.usage.output.map_or_else(|| u64::from(a.tokens), u64::from))
            .sum(),
        ..StreamSummary::default()
    }];
    PhaseResult {
        index: 0,
        phase,
        summary,
        samples: Vec::new(),
        samples_cut: false,
        captures: Vec::new(),
        streams: answers
            .iter()
            .enumerate()
            .map(|(seq, answer)| answer.record(seq as u64))
            .collect(),
        readings,
    }
}
