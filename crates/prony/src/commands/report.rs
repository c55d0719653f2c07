//! `prony report`: a stored run, rendered again.

use std::fs;

use anyhow::Context;
use prony_model::ExitCode;
use prony_report::{Report, TerminalStyle};
use prony_store::StoredRun;

use crate::cli::ReportArgs;
use crate::replay;
use crate::session::Session;

/// Renders the run. The exit code says whether that worked, not what the run found.
pub(crate) fn run(args: &ReportArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let stored = StoredRun::open(&args.run)?;
    let report = Report::build(&replay::record(&stored)?);
    let name = args.format.name();
    let format = prony_report::find(name).with_context(|| format!("there is no format {name}"))?;
    let style = TerminalStyle {
        color: session.color && args.output.is_none(),
        ..TerminalStyle::default()
    };
    let text = (format.render)(&report, style)?;
    match &args.output {
        None => session.print(&text)?,
        Some(file) => {
            fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            session.note(&format!("wrote {}", file.display()));
        }
    }
    Ok(ExitCode::Pass)
}
