//! What `cargo xtask icount` counts the instructions of: a closed loop of so many requests, and nothing else.
//! `icount URL CONNECTIONS REQUESTS`.

use std::time::Instant;

use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{Capture, Expect, Item, Limits, Phase, Request, Scenario, Shape};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, requests] = arguments.as_slice() else {
        return Err("usage: icount URL CONNECTIONS REQUESTS".into());
    };
    let item = Item {
        request: Request::get("/s"),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "closed".to_owned(),
        experiment: "icount".to_owned(),
        scenarios: vec![Scenario::new("get", vec![item])],
        shape: Shape::Closed {
            connections: connections.parse()?,
            requests: Some(requests.parse()?),
            duration_s: None,
            think_ms: 0.0,
        },
        // Everything is slow under an emulator, and nothing here is about time.
        limits: Limits {
            connect_timeout_ms: 600_000,
            timeout_ms: 600_000,
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
    if summary.ok.to_string() != *requests {
        return Err(format!("{} of {requests} answers were good", summary.ok).into());
    }
    Ok(())
}
