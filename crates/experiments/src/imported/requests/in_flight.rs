//! How many requests were in flight, from their starts and ends; and whether the stamps are fine enough to tell.

use prony_model::{Finding, Source, Verdict};

use super::super::claim::{Claim, Measure, Statistic};
use super::super::little;
use super::super::overlap;
use super::super::phrases::{number, time};
use super::super::rule::remark;
use super::{Record, Requests};

const NAME: &str = "in-flight";
/// Steps of the clock that the median request must last, so that its stamps say when it was in flight.
const STEPS_MIN: f64 = 2.0;
/// A step of the clock as a part of the total time, up to which the mean number in flight is still known.
const BLUR_MAX: f64 = 0.1;
/// Mean number in flight from which requests overlapped.
const OVERLAPPED: f64 = 1.5;

/// One group of requests.
pub(super) fn judge(requests: &Requests, name: &str, records: &[&Record]) -> Vec<Finding> {
    let n = records.len();
    if n < 2 {
        let says = "One request alone says nothing of overlap.";
        return vec![remark(NAME, name, Verdict::Inconclusive, says).done()];
    }
    let Some(clock) = requests.resolution_s else {
        let says = "Without start or end of the requests nothing says how many were in flight.";
        let draft = remark(NAME, name, Verdict::Inconclusive, says);
        return vec![draft.advice("Add a column `start` or `end`.", "").done()];
    };
    let spans: Vec<(f64, f64)> = records
        .iter()
        .filter_map(|r| r.span_s())
        .filter(|(start, end)| end >= start)
        .collect();
    let mut times: Vec<f64> = spans.iter().map(|(start, end)| end - start).collect();
    let all_timed = records.iter().all(|r| r.latency_s.is_some());
    if spans.len() < n || (prony_stats::median(&mut times) < STEPS_MIN * clock && !all_timed) {
        return vec![coarse(name, records, clock)];
    }
    let sum: f64 = times.iter().sum();
    let first = spans.iter().map(|s| s.0).fold(f64::INFINITY, f64::min);
    let last = spans.iter().map(|s| s.1).fold(f64::NEG_INFINITY, f64::max);
    let wall = last - first;
    if wall <= 0.0 {
        return vec![coarse(name, records, clock)];
    }
    let is_blurred = prony_stats::median(&mut times) < STEPS_MIN * clock;
    if is_blurred && clock > BLUR_MAX * wall {
        return vec![blurred(name, n, sum, wall, clock)];
    }
    let mut findings: Vec<Finding> = requests
        .concurrency
        .and_then(|at_once| against_claim(name, n, sum, wall, at_once))
        .into_iter()
        .collect();
    findings.push(if is_blurred {
        blurred(name, n, sum, wall, clock)
    } else {
        measured(name, n, sum, wall, most(&spans))
    });
    findings
}

fn measured(name: &str, n: usize, sum: f64, wall: f64, most: usize) -> Finding {
    let mean = sum / wall;
    let says = format!(
        "On average {} requests were in flight and {most} at most; a request took {} in the mean, while {} / {n} = {} is \
         only one over the throughput ({}/s).",
        number(mean),
        time(sum / n as f64),
        time(wall),
        time(wall / n as f64),
        number(n as f64 / wall)
    );
    remark(NAME, name, Verdict::Pass, says)
        .figure("mean in flight", mean, "requests", n, &Source::default())
        .figure("most in flight", most as f64, "requests", n, &Source::default())
        .figure("throughput", n as f64 / wall, "1/s", n, &Source::default())
        .done()
}

/// Little's law, as for a claim.
fn against_claim(name: &str, n: usize, sum: f64, wall: f64, at_once: f64) -> Option<Finding> {
    let claim = Claim {
        id: name.to_owned(),
        measure: Measure::Concurrency,
        statistic: Statistic::Mean,
        value: Some(at_once),
        n: Some(n as u64),
        duration_s: Some(wall),
        latency_s: Some(sum / n as f64),
        ..Claim::default()
    };
    (little::DEF.judge)(&claim, &[])
}

/// Stamps that are coarser than the requests: what also fits between them.
fn coarse(name: &str, records: &[&Record], clock: f64) -> Finding {
    let stamps = || records.iter().flat_map(|r| [r.start_s, r.end_s]).flatten();
    let first = stamps().fold(f64::INFINITY, f64::min);
    let last = stamps().fold(f64::NEG_INFINITY, f64::max);
    let claim = Claim {
        id: name.to_owned(),
        measure: Measure::Overlap,
        n: Some(records.len() as u64),
        // Stamps name the start of a step; the last one may end a whole step later.
        duration_s: Some((last - first).max(0.0) + clock),
        resolution_s: Some(clock),
        ..Claim::default()
    };
    let nothing = || {
        let says = "The stamps do not move, so nothing says how many were in flight.";
        remark(NAME, name, Verdict::Inconclusive, says).done()
    };
    (overlap::CONCURRENCY.judge)(&claim, &[]).unwrap_or_else(nothing)
}

/// Times are known well and stamps are not: bounds of the mean number in flight.
fn blurred(name: &str, n: usize, sum: f64, wall: f64, clock: f64) -> Finding {
    let least = sum / (wall + clock);
    let (verdict, says) = if least >= OVERLAPPED {
        (
            Verdict::Pass,
            format!(
                "Time stamps of {} are coarse, but {n} requests that took {} together within {} had at least {} in flight on \
                 average.",
                time(clock),
                time(sum),
                time(wall + clock),
                number(least)
            ),
        )
    } else {
        (
            Verdict::Inconclusive,
            format!(
                "Time stamps of {} prove nothing about overlap: the {n} requests took {} together, which fits one after another \
                 into {}.",
                time(clock),
                time(sum),
                time(wall + clock)
            ),
        )
    };
    remark(NAME, name, verdict, says)
        .figure("least mean in flight", least, "requests", n, &Source::default())
        .done()
}

/// Most at one moment, by sweep line; an end counts before a start at the same moment.
fn most(spans: &[(f64, f64)]) -> usize {
    let mut moves: Vec<(f64, i64)> = spans
        .iter()
        .flat_map(|&(start, end)| [(start, 1), (end, -1)])
        .collect();
    moves.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut now, mut most) = (0_i64, 0_i64);
    for (_, change) in moves {
        now += change;
        most = most.max(now);
    }
    most.max(1) as usize
}
