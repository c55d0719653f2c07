//! Templates of the formats for people. They lay the view model out and decide order and headings, never numbers; every
//! string they print is escaped for their markup unless a filter made it safe. Knows nothing of any one format.

mod filters;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
};

use crate::{RenderError, Report};

/// Longest text that is shown as it is.
const TEXT_CHARS_MAX: usize = 2000;

/// How a format writes what the templates print. Each gives text that is safe in its markup.
pub(crate) struct Markup {
    /// Name of the format.
    pub name: &'static str,
    /// Text that shows as itself, of so many characters at most.
    pub text: fn(&str, usize) -> String,
    /// Text as code, of so many characters at most.
    pub code: fn(&str, usize) -> String,
    /// A verdict, by its word in lower case.
    pub verdict: fn(&str) -> String,
    /// A link to an anchor of this page, whose text is safe already.
    pub link: fn(&str, &str) -> String,
}

/// Lays a report out by the template `report`, which may include the others.
pub(crate) fn render(
    report: &Report,
    markup: &'static Markup,
    templates: &[(&'static str, &'static str)],
) -> Result<String, RenderError> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    env.set_auto_escape_callback(|_| AutoEscape::Custom(markup.name.into()));
    env.set_formatter(|out, _: &mut State, value| print(out, markup, value));
    filters::add(&mut env, markup, phase_names(report));
    for (name, source) in templates {
        env.add_template(name, source)?;
    }
    Ok(env.get_template("report")?.render(context! {
        report => Value::from(Serde(report)),
        // What is empty is not in the report's own form, and neither is what the recording holds better.
        curves => Value::from(Serde(&report.curves)),
        memory => Value::from(Serde(&report.system.memory)),
    })?)
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

/// Prints a value: what a filter made safe as it is, any other text escaped.
fn print(out: &mut Output, markup: &Markup, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined | ValueKind::None => {
            return Err(Error::new(
                ErrorKind::UndefinedError,
                "a template prints a value that is not there",
            ));
        }
        ValueKind::String if !value.is_safe() => {
            out.write_str(&(markup.text)(value.as_str().unwrap_or_default(), TEXT_CHARS_MAX))
        }
        _ => out.write_str(&value.to_string()),
    };
    written.map_err(|e| Error::new(ErrorKind::WriteFailure, "cannot write").with_source(e))
}
