//! The HTML format: one page that needs nothing else, runs nothing and loads nothing, and says so to the browser.

use crate::template::{self, Markup};
use crate::{FormatDef, RenderError, Report, TerminalStyle, escape};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "html",
    file: "report.html",
    description: "the full report with pictures, one page for a browser; it loads nothing and runs nothing",
    applies: |_| true,
    render,
};

static MARKUP: Markup = Markup {
    name: "html",
    text,
    code: |text, chars_max| format!("<code>{}</code>", escape::html(text, chars_max)),
    verdict: |word| {
        let word = escape::html(word, 20);
        format!("<b class=\"v {word}\">{}</b>", word.to_uppercase())
    },
    link: |text, anchor| format!("<a href=\"#{anchor}\">{text}</a>"),
};

const TEMPLATES: &[(&str, &str)] = &[
    ("report", include_str!("html/report.html.j2")),
    ("style", include_str!("html/style.css")),
    ("summary", include_str!("html/summary.html.j2")),
    ("findings", include_str!("html/findings.html.j2")),
    ("system", include_str!("html/system.html.j2")),
    ("sections", include_str!("html/sections.html.j2")),
    ("phase", include_str!("html/phase.html.j2")),
    ("streams", include_str!("html/streams.html.j2")),
    ("curves", include_str!("html/curves.html.j2")),
    ("judgements", include_str!("html/judgements.html.j2")),
    ("configuration", include_str!("html/configuration.html.j2")),
    ("gaps", include_str!("html/gaps.html.j2")),
    ("validity", include_str!("html/validity.html.j2")),
    ("repeat", include_str!("html/repeat.html.j2")),
];

/// Text in which what stands between two backticks is code.
fn text(text: &str, chars_max: usize) -> String {
    let escaped = escape::html(text, chars_max);
    let pieces: Vec<&str> = escaped.split('`').collect();
    let mut out = String::with_capacity(escaped.len() + 16);
    for (i, piece) in pieces.iter().enumerate() {
        match i % 2 {
            0 => out.push_str(piece),
            _ if i + 1 == pieces.len() => out.extend(["`", piece]),
            _ => out.extend(["<code>", piece, "</code>"]),
        }
    }
    out
}

fn render(report: &Report, _: TerminalStyle) -> Result<String, RenderError> {
    template::render(report, &MARKUP, TEMPLATES).map(|text| tidied(&text))
}

/// No trailing spaces and no empty lines.
fn tidied(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn backticks_are_code() {
        assert_eq!(
            text("an `a<b` of `c`", 99),
            "an <code>a&lt;b</code> of <code>c</code>"
        );
        assert_eq!(text("a ` alone", 99), "a ` alone");
        assert_eq!(text("`a` and `b", 99), "<code>a</code> and `b");
    }
}
