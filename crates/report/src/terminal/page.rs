//! The whole summary, block by block.

use std::fmt::Write as _;

use prony_model::{Outcome, SummaryRow, Upheld};

use super::paint::Paint;
use super::{TerminalStyle, finding_line, first_figure, headline, is_problem};
use crate::escape::plain;
use crate::number::{count, figure, number, percent, quantile, with_unit};
use crate::report::{PhaseEntry, Report};

const ROWS_MAX: usize = 60;
/// Checks of which the terminal says what they could have missed.
const MISSED_MAX: usize = 8;

/// Everything, for `--format terminal`.
pub(super) fn page(report: &Report, style: TerminalStyle) -> String {
    let paint = Paint(style.color);
    let mut out = String::new();
    let name = plain(&report.title, 80);
    let _ = writeln!(
        out,
        "{}  {}",
        paint.bold(&name),
        plain(&report.run.started_at, 40)
    );
    let _ = writeln!(out, "{}\n", paint.dim(&plain(&report.target.url, 200)));
    for note in &report.notes {
        wrapped(&mut out, "note     ", note, style);
    }
    if !report.notes.is_empty() {
        out.push('\n');
    }
    out.push_str(&problems(report, style));
    passed(&mut out, report, style);
    phases(&mut out, report, style);
    super::streams::tables(&mut out, report, style);
    super::streams::curves(&mut out, report, style);
    judged(&mut out, report, style);
    configured(&mut out, report, style);
    untested(&mut out, report, style);
    out.push_str(&verdict_block(report, style));
    out
}

/// What did not pass, with its evidence in a line.
pub(super) fn problems(report: &Report, style: TerminalStyle) -> String {
    let paint = Paint(style.color);
    let mut out = String::new();
    for entry in report
        .findings
        .iter()
        .filter(|f| is_problem(f.counted))
        .take(ROWS_MAX)
    {
        let word = format!("{} ", paint.verdict(entry.counted));
        let title = plain(&headline(&entry.finding), 400);
        wrapped_after(&mut out, &word, super::WORD_COLUMNS, &title, style);
        let evidence = first_figure(&entry.finding);
        if !evidence.is_empty() {
            let text = plain(&evidence, style.width.max(40) - super::WORD_COLUMNS);
            let _ = writeln!(out, "{:13}{}", "", paint.dim(&text));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The verdict, why, and the sentences of the summary.
pub(super) fn verdict_block(report: &Report, style: TerminalStyle) -> String {
    let paint = Paint(style.color);
    let mut out = String::new();
    for sentence in &report.summary.sentences {
        wrapped(&mut out, "", sentence, style);
    }
    for damage in &report.damage {
        wrapped(&mut out, "damage   ", damage, style);
    }
    out.push('\n');
    let word = format!("{} ", paint.verdict(report.verdict));
    wrapped_after(&mut out, &word, super::WORD_COLUMNS, &report.because, style);
    out
}

fn passed(out: &mut String, report: &Report, style: TerminalStyle) {
    let mut any = false;
    for entry in report
        .findings
        .iter()
        .filter(|f| !is_problem(f.counted))
        .take(ROWS_MAX)
    {
        let _ = writeln!(out, "{}", finding_line(&entry.finding, style));
        any = true;
    }
    if any {
        out.push('\n');
    }
}

fn phases(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    if report.phases().next().is_none() {
        return;
    }
    let head = format!(
        "{:<26} {:>8} {:>7} {:>9} {:>14} {:>14}",
        "phase", "requests", "failed", "ok/s", "p50 of ok", "p99 of ok"
    );
    let _ = writeln!(out, "{}", paint.bold(&head));
    for phase in report.phases().take(ROWS_MAX) {
        let _ = writeln!(out, "{}", phase_line(phase));
    }
    out.push('\n');
}

/// Percentiles are of one row; a phase with several rows of good answers has none of its own.
fn phase_line(phase: &PhaseEntry) -> String {
    let s = &phase.summary;
    let good: Vec<&SummaryRow> = s
        .rows
        .iter()
        .filter(|r| !r.part && r.outcome == Outcome::Ok)
        .collect();
    let one = match good.as_slice() {
        [] => ("-".to_owned(), "-".to_owned()),
        [row] => (
            quantile(&row.response, 0.5, false),
            quantile(&row.response, 0.99, false),
        ),
        rows => (format!("{} rows", rows.len()), "see report".to_owned()),
    };
    let trust = if s.validity.is_valid() { "" } else { "  INVALID" };
    let cut = if s.partial { "  cut short" } else { "" };
    format!(
        "{:<26} {:>8} {:>7} {:>9} {:>14} {:>14}{trust}{cut}",
        plain(&phase.label, 26),
        count(s.ok + s.failed),
        count(s.failed),
        number(s.ok_per_s),
        one.0,
        one.1
    )
}

fn judged(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    let width = style.width.max(40) - super::WORD_COLUMNS;
    for gate in &report.gates {
        let scenario = gate
            .gate
            .scenario
            .as_ref()
            .map(|s| format!("/{s}"))
            .unwrap_or_default();
        let place = if gate.gate.phase.is_empty() {
            "findings"
        } else {
            &gate.gate.phase
        };
        let text = format!("gate {place}{scenario}: {} ({})", gate.gate.check, gate.says);
        let _ = writeln!(out, "{} {}", paint.verdict(gate.verdict), plain(&text, width));
    }
    for claim in &report.claims {
        let word = match claim.result.upheld {
            Upheld::Yes => "upheld",
            Upheld::No => "not upheld",
            Upheld::NotDecided => "not decided",
        };
        let text = format!("claim {}: {}", claim.result.claim.id, claim.result.claim.says);
        let _ = writeln!(out, "{word:<12} {}", plain(&text, width));
    }
    if !report.gates.is_empty() || !report.claims.is_empty() {
        out.push('\n');
    }
}

/// What to configure, a line each, and what nobody measured.
fn configured(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    let advice = &report.advice;
    if advice.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", paint.bold("What to configure"));
    for setting in &advice.settings {
        let head = format!(
            "  {:<25} {:<10} ",
            setting.key,
            with_unit(setting.value, &setting.unit)
        );
        wrapped(out, &head, &setting.says, style);
    }
    for lacking in &advice.unmeasured {
        let text = format!(
            "{} (missing: {}; first: {})",
            lacking.what, lacking.missing, lacking.first
        );
        wrapped(out, "  not measured: ", &text, style);
    }
    out.push('\n');
}

/// What was not tested, and what could have been missed.
fn untested(out: &mut String, report: &Report, style: TerminalStyle) {
    let paint = Paint(style.color);
    let gaps = &report.gaps;
    let _ = writeln!(
        out,
        "{}",
        paint.bold("What was not tested, and what could have been missed")
    );
    for limit in &gaps.limits {
        wrapped(out, "  - ", limit, style);
    }
    if !gaps.not_run.is_empty() {
        let names: Vec<&str> = gaps.not_run.iter().map(|e| e.name.as_str()).collect();
        wrapped(out, "  - ", &format!("Not run: {}.", names.join(", ")), style);
    }
    if !gaps.untouched_endpoints.is_empty() {
        let (shown, rest) = gaps
            .untouched_endpoints
            .split_at(gaps.untouched_endpoints.len().min(5));
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" and {} more", rest.len())
        };
        let text = format!("No request was sent to {}{more}.", shown.join(", "));
        wrapped(out, "  - ", &text, style);
    }
    if let Some(worst) = gaps
        .no_failures
        .iter()
        .max_by(|a, b| a.rate_max.total_cmp(&b.rate_max))
    {
        let text = format!(
            "No failure is not \"never fails\": none in the {} requests of \"{}\" still allows a failure rate of {}.",
            count(worst.n),
            worst.label,
            percent(worst.rate_max)
        );
        wrapped(out, "  - ", &text, style);
    }
    for entry in gaps.missed.iter().take(MISSED_MAX) {
        let text = format!(
            "{}: a fault within {}: {} could have been missed.",
            entry.title.trim_end_matches('.'),
            entry.figure.label,
            figure(&entry.figure)
        );
        wrapped(out, "  - ", &text, style);
    }
    if gaps.missed.len() > MISSED_MAX {
        let text = format!(
            "{} more checks are in the Markdown report.",
            gaps.missed.len() - MISSED_MAX
        );
        wrapped(out, "  - ", &text, style);
    }
    out.push('\n');
}

/// Breaks a text at spaces, with a head on its first line.
pub(super) fn wrapped(out: &mut String, head: &str, text: &str, style: TerminalStyle) {
    wrapped_after(out, head, head.chars().count(), text, style);
}

/// The same with a head whose columns are not its characters, since it may hold colours.
fn wrapped_after(out: &mut String, head: &str, start: usize, text: &str, style: TerminalStyle) {
    let width = style.width.max(40);
    let indent = " ".repeat(start);
    let mut line = head.to_owned();
    let mut used = start;
    for word in plain(text, 2000).split(' ') {
        let length = word.chars().count();
        // A per cent sign stays with its number.
        if used > start && used + 1 + length > width && !word.starts_with('%') {
            let _ = writeln!(out, "{line}");
            line.clone_from(&indent);
            used = start;
        }
        if used > start {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    let _ = writeln!(out, "{line}");
}
