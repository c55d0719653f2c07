//! Pictures of measurements as SVG, for markups that can carry it: what a ladder did to throughput and response, how wide the
//! times of each endpoint spread, memory over the run, throughput against interactivity. They draw figures of the view model and
//! compute none; every text in them is escaped.

pub(crate) mod curves;
mod lines;
mod ranges;
mod scale;

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use prony_model::{Distribution, Nanos, Outcome, SummaryRow};

use crate::memory::MemorySeries;
use crate::report::{PhaseEntry, Section};
use crate::{escape, number};
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
pub(crate) fn memory(memory: &MemorySeries) -> String {
    if memory.points.len() <= POINTS_MIN {
        return String::new();
    }
    let largest = memory.points.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
    let (size, unit) = number::binary_unit(largest);
    let points = memory.points.iter();
    let series = Series {
        label: "target".to_owned(),
        points: points
            .map(|(at, bytes)| (at.as_secs_f64(), bytes / size))
            .collect(),
    };
    framed(
        &Chart {
            title: &format!("The target: {}", memory.what),
            x_title: "seconds into the run",
            x_log: false,
            unit,
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

/// A text at a place. How it stands is told by attributes; its words are escaped already.
fn text(out: &mut String, how: &str, (x, y): (f64, f64), escaped: impl Display) {
    let _ = write!(out, "<text {how} x=\"{x:.1}\" y=\"{y:.1}\">{escaped}</text>");
}

/// Places joined by straight lines, as a path is told: `M1.0 2.0L3.0 4.0`.
fn path(places: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut out = String::new();
    for (x, y) in places {
        let command = if out.is_empty() { 'M' } else { 'L' };
        let _ = write!(out, "{command}{x:.1} {y:.1}");
    }
    out
}

#[cfg(test)]
mod tests {
    use prony_model::Nanos;

    use super::memory;
    use crate::MemorySeries;

    #[test]
    fn memory_is_a_line_with_marks_where_they_can_be_told_apart() {
        let drawn = |n: u64| {
            memory(&MemorySeries {
                what: "a < b".to_owned(),
                points: (0..n).map(|k| (Nanos(k * 1_000_000_000), 3e6)).collect(),
            })
        };
        assert_eq!(drawn(3), "");
        let few = drawn(4);
        assert!(few.contains("a &lt; b") && few.contains(">3 MiB</text>"), "{few}");
        assert_eq!(few.matches("r=\"3\"").count(), 4);
        let many = drawn(400);
        assert_eq!(many.matches("r=\"3\"").count(), 0);
        assert!(many.contains("<path class=\"l s0\" d=\"M"));
    }
}
