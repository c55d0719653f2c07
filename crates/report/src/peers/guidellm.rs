//! `benchmarks.json` of `GuideLLM`, version 2, with one benchmark.

use serde_json::{Value, json};

use super::{PeerFormat, percentiles};
use crate::definitions::{Restated, TimeStats};
use crate::{Report, StreamTable};

/// Registry entry.
pub(super) static FORMAT: PeerFormat = PeerFormat {
    name: "guidellm-json",
    tool: "guidellm",
    definitions: "guidellm",
    render,
};

const PERCENTILES: [(&str, f64); 11] = [
    ("p001", 0.1),
    ("p01", 1.0),
    ("p05", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p999", 99.9),
];

fn render(report: &Report, table: &StreamTable, r: &Restated) -> Value {
    let strategy = if table.open_loop {
        json!({ "type_": "poisson", "rate": table.offered_per_s })
    } else {
        json!({ "type_": "concurrent", "streams": table.connections })
    };
    let seconds = r.e2e.as_ref().map(|ms| scaled(ms, 1e-3));
    let output_per_s = Some(single(r.output_per_s()));
    json!({
        "metadata": {
            "version": 2,
            "guidellm_version": "0.8.1",
            "python_version": "",
            "platform": report.run.host.get("kernel").cloned().unwrap_or_default(),
        },
        "config": { "backend": { "target": report.target.url, "model": table.model } },
        "benchmarks": [{
            "type_": "generative_benchmark",
            "config": {
                "id_": format!("{}-{}", report.run.id, table.number),
                "run_id": report.run.id,
                "run_index": table.number - 1,
                "strategy": strategy,
            },
            "scheduler_metrics": {
                "requests_made": totals(r),
            },
            "metrics": {
                "request_totals": totals(r),
                "requests_per_second": by_status(Some(&single(r.requests_per_s()))),
                "request_concurrency": by_status(Some(&single(mean_at_once(r)))),
                "request_latency": by_status(seconds.as_ref()),
                "prompt_token_count": by_status(r.input_lengths.as_ref()),
                "output_token_count": by_status(r.output_lengths.as_ref()),
                "time_to_first_token_ms": by_status(r.ttft.as_ref()),
                "time_per_output_token_ms": by_status(r.tpot.as_ref()),
                "inter_token_latency_ms": by_status(r.itl.as_ref()),
                "output_tokens_per_second": by_status(output_per_s.as_ref()),
                "tokens_per_second": by_status(r.total_per_s().map(single).as_ref()),
            },
            "requests": { "successful": [], "errored": [], "incomplete": [] },
        }],
    })
}

fn totals(r: &Restated) -> Value {
    json!({
        "successful": r.ok,
        "errored": r.failed,
        "incomplete": 0,
        "total": r.ok + r.failed,
    })
}

/// Mean requests at once: the sum of their times over the duration.
fn mean_at_once(r: &Restated) -> f64 {
    let busy_s = r.e2e.as_ref().map_or(0.0, |ms| ms.sum() / 1e3);
    crate::definitions::worth(busy_s, r.duration_s)
}

/// A rate of which only the mean is known.
fn single(value: f64) -> TimeStats {
    TimeStats {
        n: 1,
        mean: value,
        min: value,
        max: value,
        ..TimeStats::default()
    }
}

fn scaled(of: &TimeStats, by: f64) -> TimeStats {
    TimeStats {
        n: of.n,
        mean: of.mean * by,
        sd: of.sd * by,
        min: of.min * by,
        max: of.max * by,
        percentiles: of
            .percentiles
            .iter()
            .map(|(p, v)| (*p, v.map(|v| v * by)))
            .collect(),
    }
}

/// What failed has no times, so that the total is the successful.
fn by_status(of: Option<&TimeStats>) -> Value {
    let good = of.map_or(Value::Null, summary);
    json!({ "successful": good, "errored": null, "incomplete": null, "total": good })
}

fn summary(of: &TimeStats) -> Value {
    let median = of.at(50.0).unwrap_or(of.mean);
    json!({
        "mean": of.mean,
        "median": median,
        "variance": of.sd * of.sd,
        "std_dev": of.sd,
        "min": of.min,
        "max": of.max,
        "count": of.n,
        "total_sum": of.sum(),
        "percentiles": percentiles(of, &PERCENTILES),
    })
}
