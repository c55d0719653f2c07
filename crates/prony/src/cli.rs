//! The command line: flags, their help and their parsing. It must not know what the commands do.

mod access;
mod check;
mod compare;
mod completions;
mod judge;
mod launch;
mod load;
mod man;
mod model;
mod prompts;
mod report;
mod request;
mod run;
mod schema;
mod sending;
mod serve;
mod units;
mod watching;

use std::fmt::Write as _;

use clap::{CommandFactory, Parser, Subcommand};
use prony_model::ExitCode;

pub(crate) use access::AccessArgs;
#[cfg(test)]
pub(crate) use access::Cookie;
pub(crate) use check::{CheckArgs, ToldArgs};
pub(crate) use compare::CompareArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use judge::{JudgeArgs, KindArg};
pub(crate) use launch::LaunchArgs;
pub(crate) use load::{ArrivalsArg, LoadArgs};
pub(crate) use man::ManArgs;
pub(crate) use model::ModelArgs;
pub(crate) use prompts::PromptArgs;
pub(crate) use report::ReportArgs;
pub(crate) use request::RequestArgs;
pub(crate) use run::RunArgs;
pub(crate) use schema::{SchemaArgs, SchemaKind};
pub(crate) use sending::SendArgs;
pub(crate) use serve::ServeArgs;
pub(crate) use units::{SPIN_MAX, duration, is_token};
pub(crate) use watching::{PartsArgs, WatchArgs};

/// Loads an AI inference backend, measures what it really delivers, and writes a verdict you can defend.
///
/// Start with `prony check URL`. It finds out what the target offers, plans, measures, and writes a report.
#[derive(Debug, Parser)]
#[command(
    name = "prony",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  prony check http://127.0.0.1:8000             # find out what a backend really delivers
  prony check demo                              # try it on the embedded demo backend
  prony load http://127.0.0.1:8000/health -c 64 -d 10s
  prony run suites/enso.toml                    # scenarios, load shapes and gates from a file"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print no colours. Also off when NO_COLOR is set or the output is not a terminal.
    #[arg(long, global = true, help_heading = "Output")]
    pub no_color: bool,
    /// Print results and errors only: no progress, no notes.
    #[arg(long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Load(Box<LoadArgs>),
    Compare(Box<CompareArgs>),
    Run(RunArgs),
    Report(ReportArgs),
    Judge(JudgeArgs),
    Model(ModelArgs),
    Serve(ServeArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Cli {
    /// The whole command tree with the exit codes in its help, for parsing, completions and man pages.
    pub(crate) fn tree() -> clap::Command {
        let tree = Self::command();
        let help = tree.get_after_help().map(ToString::to_string).unwrap_or_default();
        tree.after_long_help(format!("{help}\n\n{}", exit_codes()))
    }
}

/// The table of exit codes, from the one list in the model.
fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for (code, meaning) in ExitCode::TABLE {
        let _ = write!(text, "\n  {:>3}  {meaning}", *code as u8);
    }
    text
}

#[cfg(test)]
mod tests;
