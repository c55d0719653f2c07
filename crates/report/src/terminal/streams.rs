//! Streams of tokens for the terminal: a table in the manner of `vllm bench serve`, and our numbers beside another tool's.

use std::fmt::Write as _;

use super::TerminalStyle;
use super::page::wrapped;
use super::paint::Paint;
use crate::definitions::Compared;
use crate::escape::plain;
use crate::number::{count, number, percent, stream_value, with_unit};
use crate::report::Report;
use crate::streams::{OtherTool, Stratum, StreamTable};

/// Tables that the terminal shows in full; of more it shows a line each.
const TABLES_MAX: usize = 3;
const LINES_MAX: usize = 40;

/// Every table: in full when they are few.
pub(super) fn tables(out: &mut String, report: &Report, style: TerminalStyle) {
    if report.streams.len() > TABLES_MAX {
        overview(out, report, style);
        return;
    }
    for table in &report.streams {
        one(out, table, style);
    }
}

/// A line for each table.
fn overview(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    let head = format!(
        "{:<34} {:>7} {:>6} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "streams of tokens", "ok", "failed", "TTFT p50", "TTFT p99", "TPOT p50", "ITL p99", "tokens/s"
    );
    let _ = writeln!(out, "{}", paint.bold(&head));
    for table in report.streams.iter().take(LINES_MAX) {
        let value = |key: &str| {
            let line = table.line(key);
            let value = line.and_then(|l| Some(with_unit(l.value?, &l.unit)));
            value.unwrap_or_else(|| "-".to_owned())
        };
        let ttft = if table.open_loop { "ttft_scheduled" } else { "ttft" };
        let name = plain(heading(table).trim_start_matches("Streams "), 34);
        let _ = writeln!(
            out,
            "{name:<34} {:>7} {:>6} {:>10} {:>10} {:>10} {:>10} {:>8}",
            value("completed"),
            value("failed"),
            value(&format!("{ttft}_p50_ms")),
            value(&format!("{ttft}_p99_ms")),
            value("tpot_p50_ms"),
            value("itl_p99_ms"),
            value("output_tokens_per_s").trim_end_matches("/s"),
        );
    }
    let _ = writeln!(
        out,
        "Each in full, with what other tools would print, in the Markdown report.\n"
    );
}

/// Throughput against interactivity, a line for each concurrency.
pub(super) fn curves(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    for curve in &report.curves {
        let name = plain(&format!("{}, {}", curve.label, curve.scenario), 60);
        let head = format!(
            "{name}\n  {:>7} {:>10} {:>14} {:>10} {:>10} {:>10}",
            "at once", "tokens/s", "of a user/s", "TTFT p50", "TTFT p99", "ITL p99"
        );
        let _ = writeln!(out, "{}", paint.bold(&head));
        for point in &curve.points {
            let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| with_unit(ms, "ms"));
            let text = format!(
                "  {:>7} {:>10} {:>14} {:>10} {:>10} {:>10}  {}",
                point.connections,
                number(point.tokens_per_s),
                number(point.user_tokens_per_s),
                ms(point.ttft_p50_ms),
                ms(point.ttft_p99_ms),
                ms(point.itl_p99_ms),
                if point.is_pareto { "Pareto" } else { "" }
            );
            let _ = writeln!(out, "{}", text.trim_end());
        }
        out.push('\n');
    }
}

/// What a table is of.
fn heading(table: &StreamTable) -> String {
    let place = if table.connections > 0 {
        format!(", {} at once", table.connections)
    } else if table.open_loop {
        format!(", {} due", with_unit(table.offered_per_s, "1/s"))
    } else {
        String::new()
    };
    format!(
        "Streams {}: {}, {}{place}",
        table.number, table.label, table.scenario
    )
}

fn one(out: &mut String, table: &StreamTable, style: TerminalStyle) {
    let paint = Paint(style.color);
    let _ = writeln!(
        out,
        "{}",
        paint.bold(&plain(&heading(table), style.width.max(40)))
    );
    if !table.model.is_empty() {
        let _ = writeln!(out, "  model {}", plain(&table.model, 80));
    }
    for group in &table.groups {
        if !group.title.is_empty() {
            let _ = writeln!(out, "  {}", paint.dim(&format!("-- {} --", group.title)));
        }
        for line in &group.lines {
            let head = format!("  {:<44} {:>24}  ", plain(&line.label, 44), stream_value(line));
            if line.note.is_empty() {
                let _ = writeln!(out, "{}", head.trim_end());
            } else {
                wrapped(out, &head, &line.note, style);
            }
        }
    }
    goodput(out, table, style);
    strata(out, &table.strata, style);
    for warning in &table.warnings {
        wrapped(out, "  note: ", warning, style);
    }
    for other in table.others.iter().filter(|o| o.speaks && !o.says.is_empty()) {
        wrapped(out, "  elsewhere: ", &other.says, style);
    }
    out.push('\n');
}

fn goodput(out: &mut String, table: &StreamTable, style: TerminalStyle) {
    let Some(good) = &table.goodput else {
        return;
    };
    let text = format!(
        "{} of {} requests held {}: {} [{}, {}], {} and {} tokens",
        count(good.good),
        count(good.of),
        good.objectives.join(" and "),
        percent(good.share),
        percent(good.ci.0),
        percent(good.ci.1),
        with_unit(good.requests_per_s, "1/s"),
        with_unit(good.tokens_per_s, "1/s"),
    );
    wrapped(out, "  goodput: ", &text, style);
}

fn strata(out: &mut String, strata: &[Stratum], style: TerminalStyle) {
    for stratum in strata {
        let values: Vec<String> = stratum
            .lines
            .iter()
            .map(|line| match line.value {
                Some(_) => format!("{} {}", line.label, stream_value(line)),
                None => format!("{} {}", line.label, line.note),
            })
            .collect();
        let text = format!(
            "{} to {} {} tokens, {} answers: {}",
            count(stratum.tokens_min.into()),
            count(stratum.tokens_max.into()),
            stratum.by,
            count(stratum.n),
            values.join("; ")
        );
        wrapped(out, "  by length: ", &text, style);
    }
}

/// Our numbers and those of another tool, of every table.
pub fn definitions(report: &Report, name: &str, style: TerminalStyle) -> String {
    let mut out = String::new();
    for table in &report.streams {
        if let Some(other) = table.others.iter().find(|o| o.name == name) {
            side_by_side(&mut out, table, other, style);
        }
    }
    out
}

fn side_by_side(out: &mut String, table: &StreamTable, other: &OtherTool, style: TerminalStyle) {
    let paint = Paint(style.color);
    let _ = writeln!(
        out,
        "{}",
        paint.bold(&plain(&heading(table), style.width.max(40)))
    );
    wrapped(
        out,
        "  ",
        &format!("{} {}: {}", other.tool, other.version, other.about),
        style,
    );
    if !other.speaks {
        let text = format!(
            "{} does not speak {}; this is what it would print if it did.",
            other.tool, table.protocol
        );
        wrapped(out, "  ", &text, style);
    }
    let head = format!("  {:<26} {:>14} {:>22}", "", "prony", other.tool);
    let _ = writeln!(out, "{}", paint.bold(&head));
    let mut told = "";
    for row in &other.compared {
        let head = format!(
            "  {:<26} {:>14} {:>22}  ",
            row.label,
            value(row, row.ours),
            value(row, row.theirs)
        );
        if row.why.is_empty() {
            let _ = writeln!(out, "{}", head.trim_end());
        } else if row.why == told {
            let _ = writeln!(out, "{head}as above");
        } else {
            wrapped(out, &head, &row.why, style);
            told = &row.why;
        }
    }
    if !other.approximations.is_empty() {
        wrapped(out, "  ", &other.approximations, style);
    }
    out.push('\n');
}

fn value(row: &Compared, value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| with_unit(v, &row.unit))
}
