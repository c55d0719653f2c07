//! `prony report`: a stored run, rendered again.

use std::fs;

use anyhow::{Context, bail};
use prony_model::ExitCode;
use prony_report::peers::{self, PeerFormat};
use prony_report::{Report, StreamTable, TerminalStyle, terminal};
use prony_store::StoredRun;

use crate::cli::ReportArgs;
use crate::diagnostic::Diagnostic;
use crate::replay;
use crate::session::Session;

/// Renders the run. The exit code says whether that worked, not what the run found.
pub(crate) fn run(args: &ReportArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let stored = StoredRun::open(&args.run)?;
    let mut record = replay::record(&stored)?;
    if !args.goodput.is_empty() {
        record.slos.clone_from(&args.goodput);
    }
    let report = Report::build(&record);
    let style = TerminalStyle {
        color: session.color && args.output.is_none(),
        ..TerminalStyle::default()
    };
    let text = render(args, session, &report, style)?;
    match &args.output {
        None => session.print(&text)?,
        Some(file) => {
            fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            session.note(&format!("wrote {}", file.display()));
        }
    }
    Ok(ExitCode::Pass)
}

fn render(
    args: &ReportArgs,
    session: &Session,
    report: &Report,
    style: TerminalStyle,
) -> anyhow::Result<String> {
    let peer_format = peers::find(args.format.as_str()).filter(|_| args.definitions.is_none());
    if args.streams.is_some() && peer_format.is_none() {
        return Err(Diagnostic::usage(
            "--streams is for a file in another tool's format, which holds one table of streams",
        )
        .next("add --format vllm-json, say, or leave --streams out: every other format holds all tables")
        .into());
    }
    if let Some(tool) = args.definitions {
        let text = terminal::definitions(report, tool.name(), style);
        if text.is_empty() {
            bail!("the run holds no records of streamed answers, so there is nothing to define otherwise");
        }
        return Ok(text);
    }
    if let Some(format) = peer_format {
        return peer(args, session, report, format);
    }
    let name = args.format.as_str();
    let format = prony_report::find(name).with_context(|| format!("there is no format {name}"))?;
    Ok((format.render)(report, style)?)
}

/// The file of another tool holds one set of answers.
fn peer(
    args: &ReportArgs,
    session: &Session,
    report: &Report,
    format: &PeerFormat,
) -> anyhow::Result<String> {
    let table = table(args.streams, &report.streams)?;
    if args.streams.is_none() && report.streams.len() > 1 {
        session.note(&format!(
            "of {} tables of streams, this is number {}, with the most answers; --streams N takes another",
            report.streams.len(),
            table.number
        ));
    }
    let text = format.render(report, table)?;
    text.context("the run holds no records of these answers, only their summary")
}

fn table(wanted: Option<u32>, tables: &[StreamTable]) -> anyhow::Result<&StreamTable> {
    let answers = |t: &&StreamTable| t.records;
    match wanted {
        None => tables
            .iter()
            .max_by_key(answers)
            .context("the run holds no streamed answers"),
        Some(number) => tables.iter().find(|t| t.number == number).with_context(|| {
            format!(
                "there is no table of streams {number}: the run has {}",
                tables.len()
            )
        }),
    }
}
