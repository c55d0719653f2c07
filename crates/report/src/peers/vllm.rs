//! The result file of `vllm bench serve --save-result`.

use serde_json::{Map, Value, json};

use super::{PeerFormat, stat};
use crate::definitions::{Restated, TimeStats};
use crate::{Report, StreamTable};

/// Registry entry.
pub(super) static FORMAT: PeerFormat = PeerFormat {
    name: "vllm-json",
    tool: "vllm bench serve",
    definitions: "vllm",
    render,
};

fn render(report: &Report, table: &StreamTable, r: &Restated) -> Value {
    let concurrency = if table.connections > 0 {
        json!(table.connections)
    } else {
        Value::Null
    };
    // As there: `inf` when nothing held the requests back but the concurrency.
    let rate = if table.open_loop {
        json!(table.offered_per_s)
    } else {
        json!("inf")
    };
    let backend = match table.protocol.as_str() {
        "openai-completions" => "openai",
        _ => "openai-chat",
    };
    let mut out = json!({
        "date": date(&report.run.started_at),
        "endpoint_type": backend,
        "backend": backend,
        "label": "prony",
        "model_id": table.model,
        "tokenizer_id": table.model,
        "num_prompts": r.ok + r.failed,
        "request_rate": rate,
        "burstiness": 1.0,
        "max_concurrency": concurrency,
        "duration": r.duration_s,
        "completed": r.ok,
        "failed": r.failed,
        "total_input_tokens": r.input_tokens,
        "total_output_tokens": r.output_tokens,
        "request_throughput": r.requests_per_s(),
        "request_goodput": table.goodput.as_ref().map(|g| g.requests_per_s),
        "output_throughput": r.output_per_s(),
        "total_token_throughput": r.total_per_s(),
        "max_output_tokens_per_s": r.chunks_per_s_max,
        "max_concurrent_requests": r.at_once_max,
        "rtfx": 0.0,
    });
    if let Some(map) = out.as_object_mut() {
        times(map, "ttft", r.ttft.as_ref());
        times(map, "tpot", r.tpot.as_ref());
        times(map, "itl", r.itl.as_ref());
        times(map, "e2el", r.e2e.as_ref());
    }
    out
}

fn times(out: &mut Map<String, Value>, name: &str, of: Option<&TimeStats>) {
    out.insert(format!("mean_{name}_ms"), stat(of, |t| Some(t.mean)));
    out.insert(format!("median_{name}_ms"), stat(of, |t| t.at(50.0)));
    out.insert(format!("std_{name}_ms"), stat(of, |t| Some(t.sd)));
    for p in [50, 90, 95, 99] {
        out.insert(format!("p{p}_{name}_ms"), stat(of, |t| t.at(f64::from(p))));
    }
}

/// `2026-01-31T12:00:00Z` as `20260131-120000`.
fn date(rfc3339: &str) -> String {
    let digits: String = rfc3339.chars().take(19).filter(char::is_ascii_digit).collect();
    match digits.split_at_checked(8) {
        Some((day, time)) => format!("{day}-{time}"),
        None => digits,
    }
}
