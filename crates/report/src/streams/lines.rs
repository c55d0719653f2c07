//! The groups of a table that come from distributions.

use prony_model::{Distribution, Quantile, StreamSummary};

use super::{LineGroup, StreamLine};
use crate::number::count;

/// A line with a value.
pub(super) fn line(key: &str, label: &str, value: f64, unit: &str) -> StreamLine {
    StreamLine {
        key: key.to_owned(),
        label: label.to_owned(),
        value: Some(value),
        unit: unit.to_owned(),
        ci: None,
        note: String::new(),
    }
}

/// A line without a value, and why.
pub(super) fn no_line(key: &str, label: &str, unit: &str, note: impl Into<String>) -> StreamLine {
    StreamLine {
        value: None,
        note: note.into(),
        ..line(key, label, 0.0, unit)
    }
}

/// The groups of times. In an open loop the time to first token counts from the schedule first.
pub(super) fn times(s: &StreamSummary, open_loop: bool) -> Vec<LineGroup> {
    let scheduled = group(
        "Time to first token, from when the request was due",
        "ttft_scheduled",
        "TTFT from schedule",
        &s.ttft_scheduled,
    );
    let sent = group("Time to first token", "ttft", "TTFT", &s.ttft);
    let mut groups = if open_loop {
        vec![scheduled, sent]
    } else {
        vec![sent, scheduled]
    };
    groups.push(first_things(s));
    groups.push(group(
        "Time per output token, without the first",
        "tpot",
        "TPOT",
        &s.tpot,
    ));
    groups.push(group("Inter-token latency, by tokens", "itl", "ITL", &s.itl));
    groups.push(group(
        "Gaps between chunks, as they came",
        "chunk_gap",
        "chunk gap",
        &s.chunk_gap,
    ));
    groups.push(stalls(s));
    let mut e2e = group("End-to-end latency, to the last token", "e2el", "E2EL", &s.e2e);
    e2e.lines.push(quantile(
        "e2e_transport_p50_ms",
        "Median to the end of the stream",
        &s.e2e_transport,
        0.5,
    ));
    groups.push(e2e);
    groups.retain(|g| !g.lines.is_empty());
    groups
}

/// The first event and the first output, where they are not the first token.
fn first_things(s: &StreamSummary) -> LineGroup {
    let lines = vec![
        quantile(
            "first_event_p50_ms",
            "Median to the first event",
            &s.first_event,
            0.5,
        ),
        quantile(
            "ttfo_p50_ms",
            "Median TTFO (first that is not reasoning)",
            &s.ttfo,
            0.5,
        ),
        quantile("ttfo_p99_ms", "P99 TTFO", &s.ttfo, 0.99),
    ];
    LineGroup {
        title: "First event and first output".to_owned(),
        lines,
    }
}

fn stalls(s: &StreamSummary) -> LineGroup {
    let mut lines = Vec::new();
    if s.longest_gap.n > 0 {
        lines.push(line(
            "longest_gap_ms",
            "Longest stall",
            s.longest_gap.max.as_millis_f64(),
            "ms",
        ));
        lines.push(quantile(
            "longest_gap_p50_ms",
            "Median of the answers' longest",
            &s.longest_gap,
            0.5,
        ));
        lines.push(quantile(
            "longest_gap_p99_ms",
            "P99 of the answers' longest",
            &s.longest_gap,
            0.99,
        ));
    }
    if s.gaps > 0 {
        let mut stalled = line(
            "stall_share",
            "Stalled gaps (over 5 medians)",
            s.stalls as f64 / s.gaps as f64,
            "share",
        );
        stalled.note = format!("{} of {}", count(s.stalls), count(s.gaps));
        lines.push(stalled);
    }
    LineGroup {
        title: "Stalls".to_owned(),
        lines,
    }
}

/// Mean, median and 99th percentile; without observations a line that says so.
fn group(title: &str, key: &str, name: &str, d: &Distribution) -> LineGroup {
    let lines = vec![
        if d.n == 0 {
            no_line(&format!("{key}_mean_ms"), &format!("Mean {name}"), "ms", NOTHING)
        } else {
            line(
                &format!("{key}_mean_ms"),
                &format!("Mean {name}"),
                d.mean_ns / 1e6,
                "ms",
            )
        },
        quantile(&format!("{key}_p50_ms"), &format!("Median {name}"), d, 0.5),
        quantile(&format!("{key}_p99_ms"), &format!("P99 {name}"), d, 0.99),
    ];
    LineGroup {
        title: title.to_owned(),
        lines,
    }
}

const NOTHING: &str = "not observed";

/// A percentile, or why it is not estimable.
fn quantile(key: &str, label: &str, d: &Distribution, p: f64) -> StreamLine {
    if d.n == 0 {
        return no_line(key, label, "ms", NOTHING);
    }
    let found = d.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9);
    match found {
        None => no_line(key, label, "ms", NOTHING),
        Some(q) if q.needs_n > 0 => no_line(key, label, "ms", not_estimable(q.needs_n)),
        Some(q) => StreamLine {
            ci: Some(interval(q)),
            ..line(key, label, q.value.as_millis_f64(), "ms")
        },
    }
}

fn interval(q: &Quantile) -> (f64, f64) {
    (q.lo.as_millis_f64(), q.hi.as_millis_f64())
}

/// That so many values would be needed.
fn not_estimable(needs_n: u64) -> String {
    format!("not estimable: needs {} independent values", count(needs_n))
}
