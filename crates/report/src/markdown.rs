//! The Markdown format. Templates lay the view model out; every string they print is escaped unless a filter of this
//! module made it. They decide order and headings, never numbers.

mod filters;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
};

use crate::{FormatDef, RenderError, Report, TerminalStyle, escape};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "markdown",
    file: "report.md",
    description: "the full report, for people; every claim links to its numbers",
    applies: |_| true,
    render,
};

/// Longest text that is shown as it is.
const TEXT_CHARS_MAX: usize = 2000;

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
    let env = environment(phase_names(report))?;
    let text = env.get_template("report")?.render(context! {
        report => Value::from(Serde(report)),
        curves => Value::from(Serde(&report.curves)),
    })?;
    Ok(tidied(&text))
}

/// Names of the phases that have an anchor, by index: what evidence may link to.
fn phase_names(report: &Report) -> BTreeMap<u16, String> {
    let finished = report.phases().map(|p| (p.summary.index, &p.label));
    let begun = report
        .sections
        .iter()
        .flat_map(|s| &s.unfinished)
        .map(|u| (u.index, &u.label));
    finished
        .chain(begun)
        .map(|(index, name)| (index, name.clone()))
        .collect()
}

fn environment(phases: BTreeMap<u16, String>) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    env.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    env.set_formatter(print);
    filters::add(&mut env, phases);
    for (name, source) in TEMPLATES {
        env.add_template(name, source)?;
    }
    Ok(env)
}

/// Prints a value: what a filter made safe as it is, any other text escaped.
fn print(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined | ValueKind::None => {
            return Err(Error::new(
                ErrorKind::UndefinedError,
                "a template prints a value that is not there",
            ));
        }
        ValueKind::String if !value.is_safe() => out.write_str(&escape::markdown(
            value.as_str().unwrap_or_default(),
            TEXT_CHARS_MAX,
        )),
        _ => out.write_str(&value.to_string()),
    };
    written.map_err(|e| Error::new(ErrorKind::WriteFailure, "cannot write").with_source(e))
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
