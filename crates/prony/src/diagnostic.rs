//! The one way to tell a person that something is wrong on their side: what, where, and what to do next.
//!
//! It knows nothing of the target's failures (those are data) and nothing of bugs (those panic).

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind};
use prony_model::ExitCode;

/// A message for the person at the keyboard.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    /// What the process exits with.
    pub code: ExitCode,
    /// What is wrong: one sentence without a full stop.
    pub what: String,
    /// Where, when it is in a file.
    pub place: Option<Box<Place>>,
    /// What to do next, one sentence each.
    pub next: Vec<String>,
}

/// A place in a text file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Name of the file as the person gave it.
    pub file: String,
    /// The whole text.
    pub source: Arc<str>,
    /// Byte range in the text.
    pub span: Range<usize>,
    /// What to write beside the caret; may be empty.
    pub label: String,
}

impl Diagnostic {
    /// A wrong flag, file or value: exit code 64.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, what)
    }

    /// A target that cannot be reached: exit code 69.
    pub(crate) fn unreachable(what: impl Into<String>) -> Self {
        Self::new(ExitCode::Unreachable, what)
    }

    fn new(code: ExitCode, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            place: None,
            next: Vec::new(),
        }
    }

    /// With its place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// With a further step that the person can take.
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next.push(step.into());
        self
    }

    /// The text to print, ending in a newline.
    pub(crate) fn render(&self, color: bool) -> String {
        match &self.place {
            Some(place) => self.render_at(place, color),
            None => self.render_plain(color),
        }
    }

    fn render_plain(&self, color: bool) -> String {
        let (red, cyan, reset) = if color {
            ("\x1b[1;31m", "\x1b[36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = format!("{red}error:{reset} {}\n", self.what);
        for step in &self.next {
            let _ = writeln!(text, "  {cyan}next:{reset} {step}");
        }
        text
    }

    fn render_at(&self, place: &Place, color: bool) -> String {
        let config = Config::default()
            .with_color(color)
            .with_index_type(IndexType::Byte)
            .with_char_set(CharSet::Ascii);
        let end = place.span.end.min(place.source.len());
        let span = place.span.start.min(end)..end;
        let label = if place.label.is_empty() {
            "here"
        } else {
            place.label.as_str()
        };
        let mut report = Report::build(ReportKind::Error, (place.file.as_str(), span.clone()))
            .with_config(config)
            .with_message(&self.what)
            .with_label(
                Label::new((place.file.as_str(), span))
                    .with_message(label)
                    .with_color(Color::Red),
            );
        for step in &self.next {
            report.add_help(step);
        }
        let mut text = Vec::new();
        let source = (place.file.as_str(), ariadne::Source::from(place.source.as_ref()));
        if report.finish().write(source, &mut text).is_err() {
            return self.render_plain(color);
        }
        // One word for errors, wherever they are.
        let text = String::from_utf8_lossy(&text).replacen("Error:", "error:", 1);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Diagnostic {}

/// The candidate that was probably meant, when one is close enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Place, nearest};

    #[test]
    fn plain_and_in_place() {
        let plain = Diagnostic::usage("no such preset: ensoo").next("did you mean enso?");
        assert_eq!(
            plain.render(false),
            "error: no such preset: ensoo\n  next: did you mean enso?\n"
        );
        let placed = Diagnostic::usage("unknown key `nam`")
            .next("did you mean `name`?")
            .at(Place {
                file: "x.toml".into(),
                source: "a = 1\nnam = 'é'\n".into(),
                span: 6..9,
                label: String::new(),
            });
        insta::assert_snapshot!(placed.render(false));
    }

    #[test]
    fn spans_outside_the_text_are_harmless() {
        let d = Diagnostic::usage("x").at(Place {
            file: "x.toml".into(),
            source: "a".into(),
            span: 5..90,
            label: String::new(),
        });
        assert!(d.render(false).contains("x.toml"));
    }

    #[test]
    fn nearest_or_nothing() {
        assert_eq!(nearest("buget", ["budget", "seed"]), Some("budget"));
        assert_eq!(nearest("zzz", ["budget", "seed"]), None);
    }
}
