//! Can the records be what they say? Ends before starts, times that contradict stamps, numbers that are missing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use prony_model::{Source, Verdict};

use super::super::judge::Judged;
use super::super::phrases::{percent, requests as count, time};
use super::super::rule::remark;
use super::{Record, Requests};

const NAME: &str = "records";
/// Share of rows whose time and stamps may contradict each other: odd rows, not a wrong unit.
const ODD: f64 = 0.01;
/// Relative difference between a time and its stamps that rounding explains.
const SLACK: f64 = 0.05;

/// All records together.
pub(super) fn judge(requests: &Requests) -> Judged {
    let n = requests.records.len();
    let about = "the file";
    let clock = requests.resolution_s.unwrap_or(0.0);
    let backwards = requests
        .records
        .iter()
        .filter(|r| r.start_s.zip(r.end_s).is_some_and(|(start, end)| end < start))
        .count();
    let contradicted = requests.records.iter().filter(|r| contradicts(r, clock)).count();
    let mut findings = Vec::new();
    if backwards > 0 {
        findings.push(
            remark(
                NAME,
                about,
                Verdict::Invalid,
                format!("{backwards} of {n} requests end before they begin: the stamps cannot be trusted."),
            )
            .done(),
        );
    } else if contradicted as f64 > ODD * n as f64 {
        findings.push(
            remark(
                NAME,
                about,
                Verdict::Invalid,
                format!(
                    "The times of {contradicted} of {n} requests do not fit their own start and end: a wrong unit, or a wrong \
                     column."
                ),
            )
            .done(),
        );
    }
    if let Some(missing) = missing(&requests.records) {
        findings.push(
            remark(
                NAME,
                about,
                Verdict::Warn,
                format!(
                    "{missing} numbers are missing between the first and the last: {} of the requests may have been dropped.",
                    percent(missing as f64 / (missing as f64 + n as f64))
                ),
            )
            .advice("Hand in every request that was made, also those that failed.", "")
            .done(),
        );
    }
    if !requests.says_how {
        findings.push(
            remark(
                NAME,
                about,
                Verdict::Warn,
                "The file does not say how requests ended, so all are taken for good answers.",
            )
            .advice("Add a column `status`.", "")
            .done(),
        );
    }
    findings.push(
        remark(NAME, about, Verdict::Pass, summary(requests))
            .figure("requests", n as f64, "requests", n, &Source::default())
            .done(),
    );
    Judged::new(about, "", findings)
}

fn summary(requests: &Requests) -> String {
    let mut text = count(requests.records.len() as u64);
    let stamps = || {
        requests
            .records
            .iter()
            .flat_map(|r| [r.start_s, r.end_s])
            .flatten()
    };
    let first = stamps().fold(f64::INFINITY, f64::min);
    let last = stamps().fold(f64::NEG_INFINITY, f64::max);
    match requests.resolution_s {
        None => text.push_str(" without time stamps"),
        Some(step) if last > first => {
            let _ = write!(text, " within {}, stamped to {}", time(last - first), time(step));
        }
        Some(step) => {
            let _ = write!(text, ", all with one time stamp, to {}", time(step));
        }
    }
    text + "."
}

fn contradicts(record: &Record, clock: f64) -> bool {
    let (Some(start), Some(end), Some(took)) = (record.start_s, record.end_s, record.latency_s) else {
        return false;
    };
    // Each stamp is off by one step at most; a millisecond is what two clocks of one program differ by.
    ((end - start) - took).abs() > 2.0 * clock + SLACK * took.abs() + 0.001
}

/// Numbers between the smallest and the largest that no record has.
fn missing(records: &[Record]) -> Option<u64> {
    let numbers: BTreeSet<u64> = records.iter().filter_map(|r| r.number).collect();
    let span = numbers.last()? - numbers.first()?;
    let missing = span.saturating_add(1) - numbers.len() as u64;
    (missing > 0).then_some(missing)
}
