//! The smallest use of the engine, and the one whose cost is compared with wrk's:
//! `cargo run --release -p prony-engine --example closed_loop -- http://127.0.0.1:8000/ 64 5`.

use std::time::Instant;

use prony_engine::null_target::NullTarget;
use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{Capture, Expect, Item, Limits, Phase, Request, Scenario, Shape};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let null = NullTarget::start()?;
    let url = arguments
        .next()
        .unwrap_or_else(|| format!("http://{}", null.addr()));
    let connections = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let duration_s = arguments.next().map_or(Ok(2.0), |s| s.parse())?;
    let item = Item {
        request: Request::get(""),
        expect: Expect::default(),
    };
    let phase = Phase {
        name: "closed".to_owned(),
        experiment: "example".to_owned(),
        scenarios: vec![Scenario::new("get", vec![item])],
        shape: Shape::Closed {
            connections,
            requests: None,
            duration_s: Some(duration_s),
            think_ms: 0.0,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    };
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let result = Engine::new(&Target::new(&url)?, options)?.run(0, phase, &mut NoSink)?;
    let summary = result.summary;
    println!(
        "{} answers, {:.0}/s, {} failed",
        summary.ok, summary.ok_per_s, summary.failed
    );
    for row in &summary.rows {
        let p99 = row
            .response
            .at(0.99)
            .map_or_else(|| "not estimable".to_owned(), |q| q.value.to_string());
        println!(
            "{}: n={} mean={:.1}us p99={p99}",
            row.outcome.name(),
            row.n,
            row.response.mean_ns / 1e3
        );
    }
    println!("validity: {:?}", summary.validity);
    Ok(())
}
