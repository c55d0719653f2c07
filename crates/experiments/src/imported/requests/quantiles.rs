//! Which percentiles of good answers can be estimated, and what is mixed into those of all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prony_model::{Finding, Source, Verdict};
use prony_stats::order;

use super::super::phrases::{percent, time};
use super::super::rule::remark;
use super::{Ended, Record, Requests};

const NAME: &str = "percentiles";
/// The percentiles that reports give.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];
/// The one that is not asked for: few reports have enough values for it.
const OPTIONAL: f64 = 0.999;
/// Values from which the dependence of a longer series is estimated.
const DEPENDENCE_MAX: usize = 1 << 15;
/// Steps of the clock that a median taken from stamps must last.
const STEPS_MIN: f64 = 10.0;
/// Ways to end that are named.
const WORDS_MAX: usize = 4;

/// A group's percentiles, and its failures beside them.
pub(super) fn judge(requests: &Requests, name: &str, records: &[&Record]) -> Vec<Finding> {
    let good: Vec<f64> = records
        .iter()
        .filter(|r| r.ended == Ended::Ok)
        .filter_map(|r| r.took_s())
        .collect();
    let mut findings: Vec<Finding> = mixed(requests, name, records, &good).into_iter().collect();
    findings.push(match blur(requests, records, &good) {
        _ if good.is_empty() => {
            let says = "No good answer has a time, so nothing says how long they took.";
            remark(NAME, name, Verdict::Inconclusive, says).done()
        }
        Some(says) => remark(NAME, name, Verdict::Inconclusive, says).done(),
        None => estimates(name, &good),
    });
    findings
}

/// Times that are differences of stamps, and no longer than a few of their steps.
fn blur(requests: &Requests, records: &[&Record], good: &[f64]) -> Option<String> {
    let step = requests.resolution_s?;
    let median = prony_stats::median(&mut good.to_vec());
    let derived = records.iter().all(|r| r.latency_s.is_none());
    (derived && median < STEPS_MIN * step).then(|| {
        format!(
            "Times taken from stamps of {} are too coarse for a median of {}.",
            time(step),
            time(median)
        )
    })
}

fn estimates(name: &str, good: &[f64]) -> Finding {
    let mut sorted = good.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = good.len() as u64;
    let at = |rank: u64| sorted[rank as usize - 1];
    let series = &good[..good.len().min(DEPENDENCE_MAX)];
    let (mut known, mut lacking, mut verdict) = (Vec::new(), Vec::new(), Verdict::Pass);
    let mut figures = Vec::new();
    for (label, p) in QUANTILES {
        let value = at(order::nearest_rank(p, n));
        let n_eff = order::effective_size(series, value) * n as f64 / series.len() as f64;
        if let Some((low, high)) = order::interval_ranks(p, n, n_eff, 0.95) {
            known.push(format!(
                "{label} {} ({} to {})",
                time(value),
                time(at(low)),
                time(at(high))
            ));
            figures.push((label, value, (at(low), at(high))));
        } else {
            let needed = order::needed(p, 0.95);
            lacking.push(if n < needed {
                format!("{label} needs {needed}")
            } else {
                format!("{label} needs {needed} independent ones, and these are worth {n_eff:.0}")
            });
            if p < OPTIONAL {
                verdict = Verdict::Inconclusive;
            }
        }
    }
    let says = match (known.is_empty(), lacking.is_empty()) {
        (false, true) => format!("{n} good answers, with 95 % intervals: {}.", known.join(", ")),
        (true, _) => format!(
            "{n} good answers are too few for any percentile: {}.",
            lacking.join(", ")
        ),
        (false, false) => format!(
            "{n} good answers, with 95 % intervals: {}; not estimable: {}.",
            known.join(", "),
            lacking.join(", ")
        ),
    };
    let source = Source::default();
    let draft = figures.into_iter().fold(
        remark(NAME, name, verdict, says),
        |draft, (label, value, (low, high))| {
            let interval = Some((1e3 * low, 1e3 * high));
            draft.measured(label, 1e3 * value, "ms", interval, good.len(), &source)
        },
    );
    draft.done()
}

/// What else is in the file than good answers with a time.
fn mixed(requests: &Requests, name: &str, records: &[&Record], good: &[f64]) -> Option<Finding> {
    let n = records.len();
    let failed: Vec<&&Record> = records.iter().filter(|r| r.ended != Ended::Ok).collect();
    if failed.is_empty() {
        return None;
    }
    let untimed = failed
        .iter()
        .filter(|r| r.ended == Ended::Timeout || r.took_s().is_none())
        .count();
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for record in &failed {
        *counts.entry(record.word).or_default() += 1;
    }
    let mut counts: Vec<(u16, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<String> = counts
        .iter()
        .take(WORDS_MAX)
        .map(|(word, count)| format!("{count} x {}", requests.words[usize::from(*word)]))
        .collect();
    let mut says = format!(
        "{} of {n} requests ({}) failed: {}",
        failed.len(),
        percent(failed.len() as f64 / n as f64),
        words.join(", ")
    );
    let mut all: Vec<f64> = records.iter().filter_map(|r| r.took_s()).collect();
    if !all.is_empty() && !good.is_empty() {
        let _ = write!(
            says,
            "; the median of all that have a time would be {}, that of the good ones is {}",
            time(prony_stats::median(&mut all)),
            time(prony_stats::median(&mut good.to_vec()))
        );
    }
    if untimed > 0 {
        let above = 1.0 - untimed as f64 / n as f64;
        let _ = write!(
            says,
            "; {untimed} never got an answer, so every percentile of all above p{} is \"did not finish\"",
            (above * 1e3).floor() / 10.0
        );
    }
    Some(remark("mixed-outcomes", name, Verdict::Warn, says + ".").done())
}
