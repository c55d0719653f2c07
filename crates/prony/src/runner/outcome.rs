//! From a finished recording to its report: files, the closing words on the terminal, the exit code.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use prony_model::{Event, ExitCode};
use prony_report::{FORMATS, Report, TerminalStyle, terminal};
use prony_store::StoredRun;

use super::journal::Lost;
use crate::replay;
use crate::session::{Session, quote};

/// Writes the report files of the recording in `dir` and says how the run ended.
pub(crate) fn publish(
    dir: &Path,
    lost: Lost,
    interrupted: bool,
    json: bool,
    style: TerminalStyle,
    session: &Session,
) -> Result<ExitCode> {
    let incomplete = lost
        .error
        .map(|error| anyhow::Error::new(error).context("the recording is incomplete"));
    let report = read(dir, lost.events)?;
    let written = write(&report, dir, style);
    if json {
        let format = FORMATS.iter().find(|f| f.name == "json");
        let text = format.map(|f| (f.render)(&report, style)).transpose()?;
        session.print(&text.unwrap_or_default())?;
    } else {
        // What was found is told also where the disk is full.
        let path = written
            .is_ok()
            .then(|| dir.join("report.html").display().to_string());
        session.print(&terminal::closing(&report, style, path.as_deref()))?;
    }
    for error in incomplete.into_iter().chain(written.err()) {
        unwritten(&error, dir, session);
    }
    Ok(exit_code(&report, interrupted))
}

/// Says what could not be written. The verdict stands: it was given before.
pub(crate) fn unwritten(error: &anyhow::Error, dir: &Path, session: &Session) {
    session.warn(&format!(
        "error: {error:#}\n  next: make room, and render what was recorded: prony report {} --format html -o report.html",
        quote(&dir.display().to_string())
    ));
}

/// What the process ends with.
fn exit_code(report: &Report, interrupted: bool) -> ExitCode {
    if interrupted {
        ExitCode::Interrupted
    } else {
        report.verdict.exit_code()
    }
}

/// Renders the recording in `dir` from what was stored, so that a later `prony report` gives the same. Every format but
/// the terminal's becomes a file beside the recording.
pub(crate) fn write_reports(dir: &Path, style: TerminalStyle) -> Result<Report> {
    let report = read(dir, Vec::new())?;
    write(&report, dir, style)?;
    Ok(report)
}

/// The report of the recording, and of the events that did not reach it.
fn read(dir: &Path, lost: Vec<Event>) -> Result<Report> {
    let mut stored = StoredRun::open(dir)?;
    stored.events.extend(lost);
    Ok(Report::build(&replay::record(&stored)?))
}

fn write(report: &Report, dir: &Path, style: TerminalStyle) -> Result<()> {
    for format in FORMATS
        .iter()
        .filter(|f| f.name != "terminal" && (f.applies)(report))
    {
        let text = (format.render)(report, style)?;
        let path = dir.join(format.file);
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
