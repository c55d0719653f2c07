//! The terminal's format: findings as they come, and a closing summary. The verdict is always a word, never a colour
//! alone. Everything shown is stripped of control characters first.

mod page;
mod paint;
mod streams;

use std::fmt::Write as _;

use prony_model::{Evidence, Finding, Verdict};

use crate::escape::plain;
use crate::{FormatDef, Report, number};
use paint::Paint;
pub use streams::definitions;

/// A verdict's word, padded to the longest, in its colour where colour is wanted.
pub fn verdict_word(verdict: Verdict, color: bool) -> String {
    Paint(color).verdict(verdict)
}

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "terminal",
    file: "report.txt",
    description: "a summary for the terminal",
    applies: |_| true,
    render: |report, style| Ok(page::page(report, style)),
};

/// How to write for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Whether to colour.
    pub color: bool,
    /// Columns; lines are broken or cut to fit. At least 40 are used.
    pub width: usize,
}

impl Default for TerminalStyle {
    /// Without colour, 100 columns: for files and pipes.
    fn default() -> Self {
        Self {
            color: false,
            width: 100,
        }
    }
}

/// A finding in one line without a line end, for printing it as it is made.
pub fn finding_line(finding: &Finding, style: TerminalStyle) -> String {
    let paint = Paint(style.color);
    let text = plain(&headline(finding), style.width.max(40) - WORD_COLUMNS);
    format!("{} {text}", paint.verdict(finding.counted()))
}

/// The title, and the endpoint unless the title names it.
fn headline(finding: &Finding) -> String {
    if finding.title.contains(&finding.endpoint) {
        finding.title.clone()
    } else {
        format!("{} ({})", finding.title, finding.endpoint)
    }
}

/// The end of a run: verdict, what was not decided or fails with its evidence, and where the report is.
pub fn closing(report: &Report, style: TerminalStyle, written_to: Option<&str>) -> String {
    let mut out = page::problems(report, style);
    out.push_str(&page::verdict_block(report, style));
    if let Some(path) = written_to {
        let _ = writeln!(out, "report   {}", plain(path, 400));
        if !report.advice.settings.is_empty() {
            let _ = writeln!(
                out,
                "         with what to configure: {} settings; beside it kubernetes.yaml and alerts.yaml",
                report.advice.settings.len()
            );
        }
    }
    out
}

/// Width of a verdict word with its space.
const WORD_COLUMNS: usize = 13;

/// The most telling number of a finding in a few words; empty when it has none.
fn first_figure(finding: &Finding) -> String {
    let figures = finding.evidence.iter().filter_map(|e| match e {
        Evidence::Figure(figure) => Some(figure),
        Evidence::Table(_) | Evidence::Quote { .. } => None,
    });
    let parts: Vec<String> = figures
        .take(2)
        .map(|f| format!("{}: {}", plain(&f.label, 60), plain(&number::figure(f), 80)))
        .collect();
    parts.join("; ")
}

/// Whether a finding belongs among the problems.
fn is_problem(verdict: Verdict) -> bool {
    verdict != Verdict::Pass
}
