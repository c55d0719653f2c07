//! The Markdown format.

use crate::template::{self, Markup};
use crate::{FormatDef, RenderError, Report, TerminalStyle, escape};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "markdown",
    file: "report.md",
    description: "the full report, for people; every claim links to its numbers",
    applies: |_| true,
    render,
};

static MARKUP: Markup = Markup {
    name: "markdown",
    text: escape::markdown,
    code: escape::code,
    verdict: |word| format!("**{}**", escape::markdown(&word.to_uppercase(), 20)),
    link: |text, anchor| format!("[{text}](#{anchor})"),
};

const TEMPLATES: &[(&str, &str)] = &[
    ("report", include_str!("markdown/report.md.j2")),
    ("summary", include_str!("markdown/summary.md.j2")),
    ("findings", include_str!("markdown/findings.md.j2")),
    ("system", include_str!("markdown/system.md.j2")),
    ("sections", include_str!("markdown/sections.md.j2")),
    ("streams", include_str!("markdown/streams.md.j2")),
    ("curves", include_str!("markdown/curves.md.j2")),
    ("judgements", include_str!("markdown/judgements.md.j2")),
    ("configuration", include_str!("markdown/configuration.md.j2")),
    ("issues", include_str!("markdown/issues.md.j2")),
    ("gaps", include_str!("markdown/gaps.md.j2")),
    ("validity", include_str!("markdown/validity.md.j2")),
    ("repeat", include_str!("markdown/repeat.md.j2")),
];

fn render(report: &Report, _: TerminalStyle) -> Result<String, RenderError> {
    template::render(report, &MARKUP, TEMPLATES).map(|text| tidied(&text))
}

/// No trailing spaces, no more than one empty line in a row.
fn tidied(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
