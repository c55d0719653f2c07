//! The figures by length: where lengths vary, one percentile over all of them is a mixture.

use prony_model::StreamRecord;
use prony_stats::order;

use super::lines::{line, no_line};
use super::{Stratum, StreamLine};

/// Upper ends of the ranges, in tokens.
const BOUNDS: [u32; 7] = [64, 256, 1024, 4096, 16_384, 65_536, u32::MAX];
const CONFIDENCE: f64 = 0.95;

/// By prompt and by answer; empty where all lengths fall into one range.
pub(super) fn build(good: &[&StreamRecord]) -> Vec<Stratum> {
    let input = by("input", good, |r| r.usage.input.or(r.prompt_tokens));
    let output = by("output", good, |r| Some(r.output_tokens()));
    [input, output]
        .into_iter()
        .filter(|strata| strata.len() > 1)
        .flatten()
        .collect()
}

fn by(what: &str, good: &[&StreamRecord], length: fn(&StreamRecord) -> Option<u32>) -> Vec<Stratum> {
    let mut from = 0;
    let mut strata = Vec::new();
    for to in BOUNDS {
        let range = from..=to;
        let mine: Vec<&StreamRecord> = good
            .iter()
            .copied()
            .filter(|r| length(r).is_some_and(|n| range.contains(&n)))
            .collect();
        let lengths = mine.iter().filter_map(|r| length(r));
        if let (Some(least), Some(most)) = (lengths.clone().min(), lengths.max()) {
            strata.push(Stratum {
                by: what.to_owned(),
                tokens_min: least,
                tokens_max: most,
                n: mine.len() as u64,
                lines: figures(&mine),
            });
        }
        from = to.saturating_add(1);
    }
    strata
}

fn figures(records: &[&StreamRecord]) -> Vec<StreamLine> {
    let ms =
        |of: fn(&StreamRecord) -> Option<f64>| -> Vec<f64> { records.iter().filter_map(|r| of(r)).collect() };
    let ttft = ms(|r| r.ttft().map(prony_model::Nanos::as_millis_f64));
    let tpot = ms(|r| r.tpot_ns().map(|ns| ns / 1e6));
    let e2e = ms(|r| r.e2e().map(prony_model::Nanos::as_millis_f64));
    vec![
        quantile("ttft_p50_ms", "TTFT p50", &ttft, 0.5),
        quantile("ttft_p99_ms", "TTFT p99", &ttft, 0.99),
        quantile("tpot_p50_ms", "TPOT p50", &tpot, 0.5),
        quantile("e2el_p50_ms", "E2EL p50", &e2e, 0.5),
    ]
}

fn quantile(key: &str, label: &str, values: &[f64], p: f64) -> StreamLine {
    match order::estimate(values, p, CONFIDENCE) {
        None => no_line(key, label, "ms", "not observed"),
        Some(estimate) => match estimate.interval {
            None => no_line(
                key,
                label,
                "ms",
                format!("needs {}", order::needed(p, CONFIDENCE)),
            ),
            Some(interval) => StreamLine {
                ci: Some(interval),
                ..line(key, label, estimate.value, "ms")
            },
        },
    }
}
