//! The search for goodput: the rate at which 95 % of streams hold a limit of their time to first token, against four workers whose
//! tail theory gives. The whole stream of an answer comes at once, so that its first token comes when its work is done.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prony_engine::Scripted;
use prony_model::{
    Budget, Endpoint, Expect, Nanos, Request, Role, SampleRequest, StreamExpect, StreamProtocol, Surface,
    Verdict,
};
use serde_json::json;

use super::queue::{Workers, capacity_per_s, figure};
use crate::drive::Drive;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};

const WORKERS: u32 = 4;
/// Mean time of one request.
const SERVICE_MS: f64 = 10.0;
/// Limit of the time to first token.
const TTFT_MS: f64 = 6.0 * SERVICE_MS;

pub(super) const SEARCH: Case = Case {
    question: "goodput",
    criterion: "Of searches for the rate at which 95 % of streams hold TTFT <= 6 service times, four workers with exponential times \
                (exact capacity from the tail of M/M/4), few end more than 5 % too high, and hardly any far too low, although a \
                load whose backlog goes on growing is ended early.",
    remark: "",
    run: search,
};

/// An endless queue before the workers, whose answers are streams of two tokens.
struct Streaming {
    workers: Workers,
    answer: Vec<u8>,
}

impl Scripted for Streaming {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        (Cow::Owned(self.answer.clone()), self.workers.take(now, 1.0))
    }
}

fn answer() -> Vec<u8> {
    let event = |delta: serde_json::Value, finish: Option<&str>| {
        let event = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {event}\n\n")
    };
    let body = [
        event(json!({"content": "a"}), None),
        event(json!({"content": "b"}), None),
        event(json!({}), Some("stop")),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn surface() -> Surface {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": true});
    Surface {
        endpoints: vec![Endpoint {
            name: "POST /v1/chat/completions".to_owned(),
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: vec![200],
            samples: vec![SampleRequest {
                request: Request::json("POST", "/v1/chat/completions", &chat),
                inputs: BTreeMap::new(),
            }],
            expect: Expect {
                stream: Some(StreamExpect::new(StreamProtocol::OpenaiChat)),
                ..Expect::default()
            },
        }],
        ..Surface::default()
    }
}

fn search(effort: Effort) -> Vec<Measure> {
    let truth = capacity_per_s(WORKERS, SERVICE_MS, TTFT_MS);
    let surface = surface();
    let found: Vec<f64> = effort.each(100, |seed| {
        let drive = Drive {
            surface: &surface,
            budget: Budget::Thorough,
            seed,
            monitor: &mut |_| Vec::new(),
        };
        let params = json!({ "tier": "quick", "slo": { "ttft_p95_ms": TTFT_MS }, "duration_s": 1e6 });
        let mean = Nanos::from_millis_f64(SERVICE_MS);
        let server = Streaming {
            workers: Workers::new(WORKERS, mean, seed ^ 0x5eed),
            answer: answer(),
        };
        let driven = drive.run(&[("capacity", params)], server);
        let finding = driven.finding("capacity").expect("there always is one");
        let confirmed = finding.verdict != Verdict::Inconclusive;
        let rate = figure(finding, "sustained rate").filter(|_| confirmed);
        rate.map_or(0.0, |rate| rate / truth)
    });
    let share = |holds: &dyn Fn(&f64) -> bool| found.iter().map(holds).collect::<Vec<bool>>();
    let mut ratios = found.clone();
    vec![
        Measure::rate(
            "more than 5 % over the capacity".to_owned(),
            &share(&|r| *r > 1.05),
            Bound::AtMost(0.10),
        )
        .counts(Kind::FalsePass),
        Measure::rate(
            "at least 0.8 of the capacity".to_owned(),
            &share(&|r| *r >= 0.8),
            Bound::AtLeast(0.95),
        ),
        Measure::value(
            "median of found over true capacity".to_owned(),
            prony_stats::median(&mut ratios),
            Bound::Between(0.8, 1.05),
        ),
    ]
}
