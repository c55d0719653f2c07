//! `profile_export_aiperf.json`, schema 1.4.

use serde_json::{Map, Value, json};

use super::{PeerFormat, percentiles};
use crate::definitions::{Restated, TimeStats};
use crate::{Report, RunEnd, StreamTable};

/// Registry entry.
pub(super) static FORMAT: PeerFormat = PeerFormat {
    name: "aiperf-json",
    tool: "aiperf",
    definitions: "aiperf",
    render,
};

const PERCENTILES: [(&str, f64); 9] = [
    ("p1", 1.0),
    ("p5", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
];

fn render(report: &Report, table: &StreamTable, r: &Restated) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    let scalar = |value: f64, unit: &str| Some(json!({ "unit": unit, "avg": value }));
    put("schema_version", Some(json!("1.4")));
    put("aiperf_version", Some(json!("0.13.0")));
    put("benchmark_id", Some(json!(report.run.id)));
    put("request_throughput", scalar(r.requests_per_s(), "requests/sec"));
    put("request_latency", record(r.e2e.as_ref(), "ms"));
    put("request_count", scalar(r.ok as f64, "requests"));
    put("time_to_first_token", record(r.ttft.as_ref(), "ms"));
    put("inter_token_latency", record(r.itl.as_ref(), "ms"));
    put("inter_chunk_latency", record(r.gaps.as_ref(), "ms"));
    put("output_token_throughput", scalar(r.output_per_s(), "tokens/sec"));
    put(
        "output_token_throughput_per_user",
        record(r.per_user.as_ref(), "tokens/sec/user"),
    );
    put(
        "output_sequence_length",
        record(r.output_lengths.as_ref(), "tokens"),
    );
    put(
        "input_sequence_length",
        record(r.input_lengths.as_ref(), "tokens"),
    );
    put("total_osl", scalar(r.output_tokens as f64, "tokens"));
    put(
        "total_isl",
        r.input_tokens.and_then(|n| scalar(n as f64, "tokens")),
    );
    put("benchmark_duration", scalar(r.duration_s, "sec"));
    if r.failed > 0 {
        put("error_request_count", scalar(r.failed as f64, "requests"));
    }
    if let Some(good) = &table.goodput {
        put("goodput", scalar(good.requests_per_s, "requests/sec"));
        put("good_request_count", scalar(good.good as f64, "requests"));
    }
    put(
        "was_cancelled",
        Some(json!(report.run.end == RunEnd::Interrupted)),
    );
    put("is_complete", Some(json!(report.run.end == RunEnd::Finished)));
    put("start_time", Some(json!(report.run.started_at)));
    put(
        "run_info",
        Some(json!({
            "benchmark_id": report.run.id,
            "random_seed": report.run.seed,
            "run_label": format!("{}/{}", table.label, table.scenario),
            "cli_command": report.run.command,
        })),
    );
    Value::Object(out)
}

/// A metric that has a value for each record.
fn record(of: Option<&TimeStats>, unit: &str) -> Option<Value> {
    let stats = of?;
    let mut out = percentiles(stats, &PERCENTILES);
    out.insert("unit".to_owned(), json!(unit));
    out.insert("avg".to_owned(), json!(stats.mean));
    out.insert("min".to_owned(), json!(stats.min));
    out.insert("max".to_owned(), json!(stats.max));
    out.insert("std".to_owned(), json!(stats.sd));
    out.insert("count".to_owned(), json!(stats.n));
    out.insert("sum".to_owned(), json!(stats.sum()));
    Some(Value::Object(out))
}
