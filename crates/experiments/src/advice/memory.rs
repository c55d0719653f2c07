//! The memory limit: what was used at most, what the target may still grow by, and some room.

use prony_model::{Figure, Source};

use super::facts::Facts;
use super::{Line, Page};
use crate::wording::digits;

/// Room over the peak and the growth.
const ROOM: f64 = 1.2;
/// Days that growth is counted for when no restart was stated: the horizon of the leak test.
const HORIZON_DAYS: f64 = 7.0;
/// Readings that tell the memory in use, the truest first.
const READINGS: [&str; 3] = ["working_set_bytes", "pss_bytes", "rss_bytes"];

pub(super) fn advise(facts: &Facts<'_>, page: &mut Page) {
    let Some(peak) = peak(facts) else {
        page.lacks(
            "memory limit",
            "the target's memory: no process was watched",
            "run beside the target, or name it (`--pid`), with `leak`",
        );
        return;
    };
    let Some(growth) = facts.found("memory-growth", "growth per request") else {
        page.lacks(
            "memory limit",
            format!(
                "how much it grows; its peak in this run was {} MiB",
                mib(peak.value)
            ),
            "run `leak`",
        );
        return;
    };
    let Some(rate) = facts
        .objective
        .peak_per_s
        .or(facts.capacity.as_ref().map(|c| c.value))
    else {
        page.lacks(
            "memory limit",
            "how many requests it serves until a restart",
            "state `--peak-rate`, or run `capacity`",
        );
        return;
    };
    let per_request = growth.ci.map_or(growth.value, |(_, high)| high).max(0.0);
    let days = facts.objective.restart_days.unwrap_or(HORIZON_DAYS);
    let grown = per_request * rate * days * 86_400.0;
    let value = (ROOM * (peak.value + grown)).ceil();
    page.set(Line {
        key: "memory.limit_bytes",
        value,
        unit: "B",
        says: format!("Give an instance a memory limit of {} MiB.", mib(value)),
        formula: format!(
            "1.2 x (peak + growth per request x rate x time) = 1.2 x ({} MiB + {} B x {}/s x {days} days)",
            mib(peak.value),
            digits(per_request),
            digits(rate)
        ),
        evidence: vec![peak, growth],
        caveat: if facts.objective.restart_days.is_some() {
            String::new()
        } else {
            "No restart was stated (`restart_days`): 7 days are taken.".to_owned()
        },
    });
}

/// The most memory that any reading of the run saw.
fn peak(facts: &Facts<'_>) -> Option<Figure> {
    READINGS.iter().find_map(|name| {
        let readings = facts.run.phases.iter().flat_map(|p| {
            p.readings
                .iter()
                .filter_map(|r| r.values.get(*name))
                .map(move |value| (p.index, *value))
        });
        let all: Vec<(u16, f64)> = readings.collect();
        let (phase, value) = all.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Figure {
            label: "most memory in use".to_owned(),
            value,
            unit: "B".to_owned(),
            ci: None,
            n: all.len() as u64,
            source: Source {
                phase: Some(phase),
                scenario: String::new(),
            },
        })
    })
}

/// Whole MiB.
fn mib(bytes: f64) -> String {
    format!("{:.0}", (bytes / f64::from(1 << 20)).ceil())
}
