//! Streams of tokens with nothing around the engine: `streams URL CONNECTIONS REQUESTS TOKENS`. Prints what was measured and what
//! a token cost.

use std::time::Instant;

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    Capture, Expect, Item, Limits, Phase, Request, Scenario, Shape, StreamExpect, StreamProtocol,
};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, requests, tokens] = arguments.as_slice() else {
        return Err("usage: streams URL CONNECTIONS REQUESTS TOKENS".into());
    };
    let body = serde_json::json!({
        "model": "mock", "messages": [{"role": "user", "content": "hello"}], "stream": true,
        "max_tokens": tokens.parse::<u32>()?,
    });
    let phase = Phase {
        name: "streams".to_owned(),
        experiment: "streams".to_owned(),
        scenarios: vec![Scenario::new(
            "chat",
            vec![Item {
                request: Request::json("POST", "/v1/chat/completions", &body),
                expect: Expect {
                    stream: Some(StreamExpect::new(StreamProtocol::OpenaiChat)),
                    ..Expect::default()
                },
            }],
        )],
        shape: Shape::Closed {
            connections: connections.parse()?,
            requests: Some(requests.parse()?),
            duration_s: None,
            think_ms: 0.0,
        },
        limits: Limits {
            timeout_ms: 120_000,
            ..Limits::default()
        },
        capture: Capture::NONE,
    };
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let summary = Engine::new(&Target::new(url)?, options)?
        .run(0, phase, &mut NoSink)?
        .summary;
    let stream = summary.streams.first().ok_or("no stream was read")?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let show = |name: &str, d: &prony_model::Distribution| {
        let p99 = d
            .quantiles
            .iter()
            .find(|q| (q.p - 0.99).abs() < 1e-9)
            .map(|q| q.value);
        println!(
            "{name:<12} mean {:9.4} ms, p99 {:9.4} ms, longest {:9.4} ms",
            d.mean_ns / 1e6,
            p99.unwrap_or_default().as_millis_f64(),
            d.max.as_millis_f64()
        );
    };
    show("TTFT", &stream.ttft);
    show("ITL", &stream.itl);
    show("TPOT", &stream.tpot);
    println!(
        "{} ok, {} failed, {} tokens, {:.0} per second, {:.3} s CPU: {:.0} tokens per CPU-second, {} joined, reads late {} at p99",
        stream.ok,
        stream.failed,
        stream.event_tokens,
        stream.tokens_per_s,
        cpu_s,
        stream.event_tokens as f64 / cpu_s,
        stream.joined,
        summary.validity.read_late_p99
    );
    for issue in summary.validity.invalid.iter().chain(&summary.validity.warnings) {
        println!("{}: {}", issue.name, issue.says);
    }
    Ok(())
}
