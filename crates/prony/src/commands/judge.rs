//! `prony judge`: somebody else's results, read, judged and printed. Wiring only.

mod document;
mod summary;

use prony_experiments::imported::{judge_claims, judge_requests};
use prony_model::ExitCode;

use crate::cli::{JudgeArgs, KindArg};
use crate::diagnostic::Diagnostic;
use crate::imported::{self, Imported, Kind, Options};
use crate::session::Session;

pub(crate) use document::JudgeDocument;

/// Judges a file. The exit code is the verdict.
pub(crate) fn run(args: &JudgeArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let options = Options {
        kind: args.kind.map(|kind| match kind {
            KindArg::Claims => Kind::Claims,
            KindArg::Requests => Kind::Requests,
        }),
        unit: args.unit.map(|unit| unit.symbol().to_owned()),
        ignore: args.ignore.clone(),
        ignore_unknown: args.ignore_unknown,
        concurrency: args.concurrency,
    };
    let imported = imported::read(&args.results, &options)?;
    if args.concurrency.is_some() && matches!(imported, Imported::Claims(_)) {
        return Err(
            Diagnostic::usage("--concurrency is for a table of requests, and this is one of claims")
                .next("write the number into the column `concurrency` of each claim that it goes for")
                .into(),
        );
    }
    let document = document(&args.results.display().to_string(), &imported);
    if args.json {
        session.print(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        session.print(&summary::text(&document, session.color))?;
    }
    Ok(document.verdict.exit_code())
}

fn document(file: &str, imported: &Imported) -> JudgeDocument {
    match imported {
        Imported::Claims(claims) => JudgeDocument::of_claims(file, judge_claims(claims)),
        Imported::Requests(requests) => JudgeDocument::of_requests(file, judge_requests(requests)),
    }
}

#[cfg(test)]
mod tests;
