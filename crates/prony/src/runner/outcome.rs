//! From a finished recording to its report: files, the closing words on the terminal, the exit code.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use prony_model::ExitCode;
use prony_report::terminal::TerminalStyle;
use prony_report::{Report, RunRecord, markdown, terminal};
use prony_store::StoredRun;

use crate::session::Session;

/// Renders the recording in `dir` from what was stored, so that a later `prony report` gives the same.
pub(crate) fn publish(
    dir: &Path,
    interrupted: bool,
    json: bool,
    style: &TerminalStyle,
    session: &Session,
) -> Result<ExitCode> {
    let stored = StoredRun::open(dir)?;
    let report = Report::build(&record(&stored)?);
    let json_text = serde_json::to_string_pretty(&report)? + "\n";
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {}", dir.join(name).display()))
    };
    write("report.md", &markdown::render(&report))?;
    write("report.json", &json_text)?;
    if json {
        session.print(&json_text)?;
    } else {
        session.print(&terminal::render(&report, style))?;
        session.print(&format!("\nreport: {}\n", dir.join("report.md").display()))?;
    }
    Ok(if interrupted {
        ExitCode::Interrupted
    } else {
        report.verdict.exit_code()
    })
}
