//! Pictures of measurements as SVG, for markups that can carry it: what a ladder did to throughput and response, how wide the
//! times of each endpoint spread, memory over the run. They draw figures of the view model and compute none; every text in
//! them is escaped.

mod lines;
mod ranges;
mod scale;

use std::collections::BTreeSet;

use prony_model::{Distribution, Nanos, Outcome, SummaryRow};

use crate::escape;
use crate::report::{PhaseEntry, Section, SystemView};
use lines::{Chart, Series};
use ranges::Range;

/// Fewest points that make a line.
const POINTS_MIN: usize = 3;

/// Most lines of a chart and most rows of one.
const SERIES_MAX: usize = 4;
const ROWS_MAX: usize = 24;

/// Longest label and longest heading.
const LABEL_CHARS_MAX: usize = 44;
const TITLE_CHARS_MAX: usize = 66;

/// The pictures of an experiment's phases; empty when they hold nothing that a picture shows better.
pub(crate) fn section(section: &Section) -> String {
    let mut out = String::new();
    let mut ranges = Vec::new();
    for phase in &section.phases {
        let ladders = ladders(phase);
        if ladders.is_empty() {
            ranges.extend(phase_ranges(phase));
        } else {
            out.push_str(&throughput(phase, &ladders));
            out.push_str(&responses(phase, &ladders));
        }
    }
    if ranges.len() > 1 {
        ranges.truncate(ROWS_MAX);
        out.push_str(&ranges::draw("Response times, logarithmic", &ranges));
    }
    framed(&out)
}

/// Memory of the target over the run; empty when it was read less than four times.
pub(crate) fn memory(system: &SystemView) -> String {
    let points: Vec<(f64, f64)> = system
        .snapshots
        .iter()
        .filter_map(|s| Some((s.at.as_secs_f64(), *s.values.get("target.pss_bytes")?)))
        .collect();
    if points.len() <= POINTS_MIN {
        return String::new();
    }
    let series = Series {
        label: "target".to_owned(),
        points,
    };
    framed(
        &Chart {
            title: "Memory of the target (PSS)",
            x_title: "seconds into the run",
            x_log: false,
            unit: "B",
            series: vec![series],
            ideal: false,
        }
        .draw(),
    )
}

fn framed(charts: &str) -> String {
    if charts.is_empty() {
        String::new()
    } else {
        format!("<div class=\"charts\">{charts}</div>")
    }
}

/// The scenarios of a phase that went through at least three levels of concurrency, each with its rows of good answers.
fn ladders(phase: &PhaseEntry) -> Vec<(&str, Vec<&SummaryRow>)> {
    let good = |r: &&SummaryRow| r.outcome == Outcome::Ok && !r.part && r.connections > 0;
    let mut out: Vec<(&str, Vec<&SummaryRow>)> = Vec::new();
    for row in phase.summary.rows.iter().filter(good) {
        match out.iter_mut().find(|(name, _)| *name == row.scenario) {
            Some((_, rows)) => rows.push(row),
            None => out.push((&row.scenario, vec![row])),
        }
    }
    out.retain(|(_, rows)| rows.iter().map(|r| r.connections).collect::<BTreeSet<_>>().len() >= POINTS_MIN);
    out.truncate(SERIES_MAX);
    out
}

fn throughput(phase: &PhaseEntry, ladders: &[(&str, Vec<&SummaryRow>)]) -> String {
    let series = ladders
        .iter()
        .map(|(name, rows)| Series {
            label: (*name).to_owned(),
            points: rows.iter().map(|r| (f64::from(r.connections), r.per_s)).collect(),
        })
        .collect();
    Chart {
        title: &format!("{}: good answers per second", phase.summary.name),
        x_title: "requests at once",
        x_log: true,
        unit: "1/s",
        series,
        ideal: ladders.len() == 1,
    }
    .draw()
}

fn responses(phase: &PhaseEntry, ladders: &[(&str, Vec<&SummaryRow>)]) -> String {
    let mut series = Vec::new();
    for (name, rows) in ladders {
        for (p, says) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")] {
            let points: Vec<(f64, f64)> = rows
                .iter()
                .filter_map(|r| {
                    Some((
                        f64::from(r.connections),
                        quantile(&r.response, p)?.as_secs_f64() * 1e3,
                    ))
                })
                .collect();
            if points.len() >= POINTS_MIN {
                series.push(Series {
                    label: if ladders.len() == 1 {
                        says.to_owned()
                    } else {
                        format!("{says} {name}")
                    },
                    points,
                });
            }
        }
    }
    series.truncate(SERIES_MAX);
    Chart {
        title: &format!("{}: response time", phase.summary.name),
        x_title: "requests at once",
        x_log: true,
        unit: "ms",
        series,
        ideal: false,
    }
    .draw()
}

fn phase_ranges(phase: &PhaseEntry) -> impl Iterator<Item = Range> {
    let good = |r: &&SummaryRow| r.outcome == Outcome::Ok && !r.part;
    phase.summary.rows.iter().filter(good).filter_map(|row| {
        Some(Range {
            label: if row.scenario == phase.summary.name {
                row.scenario.clone()
            } else {
                format!("{} · {}", row.scenario, phase.label)
            },
            p50: quantile(&row.response, 0.5)?,
            p90: quantile(&row.response, 0.9),
            p99: quantile(&row.response, 0.99),
            largest: row.response.max,
            n: row.n,
        })
    })
}

/// A quantile that has enough observations behind it.
fn quantile(times: &Distribution, p: f64) -> Option<Nanos> {
    let found = times.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9)?;
    (times.n > 0 && found.needs_n == 0).then_some(found.value)
}

/// A heading as it may stand in a picture.
fn heading(text: &str) -> String {
    escape::html(text, TITLE_CHARS_MAX)
}

/// A label as it may stand in a picture.
fn label(text: &str) -> String {
    escape::html(text, LABEL_CHARS_MAX)
}
