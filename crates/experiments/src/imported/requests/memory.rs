//! Memory readings beside requests: a slope with its interval, where there are enough of them.

use prony_model::{Finding, Source, Verdict};
use prony_stats::theil_sen;

use super::super::claim::{Claim, Measure};
use super::super::judge::Judged;
use super::super::phrases::{memory as mib, percent, requests as count};
use super::super::rule::remark;
use super::Requests;

const NAME: &str = "memory";
/// Readings from which a slope is fitted.
const READINGS_MIN: usize = 20;
/// Points that the slope is fitted to at most; more readings are averaged.
const POINTS: usize = 100;
/// Growth per 1,000 requests, as a share of the memory, that matters.
const MATERIAL: f64 = 0.001;
/// Share of the readings at the start that may be warm-up.
const WARM_UP: f64 = 0.3;
/// Requests that a slope must be watched over before it is called steady.
const REQUESTS_MIN: usize = 10_000;

/// The readings of the whole file; nothing when there are none.
pub(super) fn judge(requests: &Requests) -> Option<Judged> {
    let readings: Vec<(f64, f64)> = requests
        .records
        .iter()
        .enumerate()
        .filter_map(|(i, r)| Some((i as f64, r.memory_mib?)))
        .collect();
    let (first, last) = (readings.first()?, readings.last()?);
    let n = requests.records.len();
    let finding = if readings.len() < READINGS_MIN {
        let claim = Claim {
            id: NAME.to_owned(),
            measure: Measure::Memory,
            before_mib: Some(first.1),
            after_mib: Some(last.1),
            readings: Some(readings.len() as u64),
            n: Some(n as u64),
            ..Claim::default()
        };
        (super::super::memory::DEF.judge)(&claim, &[])?
    } else {
        slope(&readings, n)?
    };
    Some(Judged::new(NAME, "", vec![finding]))
}

fn slope(readings: &[(f64, f64)], n: usize) -> Option<Finding> {
    let after = &readings[(readings.len() as f64 * WARM_UP) as usize..];
    let per_block = after.len().div_ceil(POINTS);
    let block = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        prony_stats::mean(&values)
    };
    let (x, y): (Vec<f64>, Vec<f64>) = after
        .chunks(per_block)
        .map(|chunk| {
            (
                block(&mut chunk.iter().map(|r| r.0)),
                block(&mut chunk.iter().map(|r| r.1)),
            )
        })
        .unzip();
    let line = theil_sen::fit(&x, &y, 0.95)?;
    let level = prony_stats::median(&mut y.clone());
    let share = |slope: f64| 1e3 * slope / level;
    let fitted = format!(
        "{} readings over {} give a growth of {} per request ({} to {}, 95 %)",
        readings.len(),
        count(n as u64),
        mib(line.slope),
        mib(line.low),
        mib(line.high)
    );
    let (verdict, says) = if share(line.high) < MATERIAL && n >= REQUESTS_MIN {
        (
            Verdict::Pass,
            format!(
                "{fitted}: at most {} of the memory per 1,000 requests.",
                percent(share(line.high).max(0.0))
            ),
        )
    } else if share(line.low) > MATERIAL && n >= REQUESTS_MIN {
        (
            Verdict::Warn,
            format!(
                "{fitted}, {} of the memory per 1,000 requests: it grows, and whether it would level off is not in this file.",
                percent(share(line.slope))
            ),
        )
    } else {
        (
            Verdict::Inconclusive,
            format!(
                "{fitted}: too few requests or too much noise to tell a leak from none; {REQUESTS_MIN} would be a start."
            ),
        )
    };
    let draft = remark("memory-growth", NAME, verdict, says).measured(
        "growth per request",
        line.slope,
        "MiB",
        Some((line.low, line.high)),
        n,
        &Source::default(),
    );
    Some(draft.done())
}
