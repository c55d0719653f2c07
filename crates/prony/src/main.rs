//! The binary: reads the command line, runs one command, turns its result into an exit code. Wiring only.

mod cli;
mod commands;
mod config;
mod diagnostic;
mod discovery;
mod imported;
mod inference;
mod objectives;
#[cfg(feature = "onnx")]
mod onnx;
mod origins;
mod pictures;
mod replay;
mod runner;
mod sending;
mod session;
mod sounds;
mod target_url;
mod text;
mod timetable;

use std::io::{IsTerminal, Write};
use std::panic;
use std::process;

use clap::FromArgMatches;
use prony_engine::EngineError;
use prony_model::ExitCode;
use prony_wire::WireError;

use cli::{Cli, Command};
use diagnostic::Diagnostic;
use session::Session;

/// Open files that there is room for from the start: as many connections as a server or a client here commonly has, in 64 KiB of the
/// kernel's memory.
const FILES: u64 = 8192;

fn main() -> process::ExitCode {
    report_panics();
    // While there is one thread, and it costs nothing.
    prony_engine::make_room(FILES);
    let code = panic::catch_unwind(run).unwrap_or(ExitCode::Bug);
    process::ExitCode::from(code as u8)
}

/// Parses, dispatches, explains errors.
fn run() -> ExitCode {
    let cli = match Cli::tree()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => return explain_usage(&error),
    };
    let no_color = cli.no_color;
    let result = Session::start(cli.quiet, no_color)
        .map_err(Into::into)
        .and_then(|session| dispatch(cli, &session));
    match result {
        Ok(code) => code,
        Err(error) => explain(
            &error,
            session::colors_wanted(no_color) && std::io::stderr().is_terminal(),
        ),
    }
}

fn dispatch(cli: Cli, session: &Session) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Check(args) => commands::check::run(&args, session),
        Command::Load(args) => commands::load::run(&args, session),
        Command::Compare(args) => commands::compare::run(&args, session),
        Command::Run(args) => commands::run::run(&args, session),
        Command::Report(args) => commands::report::run(&args, session),
        Command::Judge(args) => commands::judge::run(&args, session),
        Command::Model(args) => commands::model::run(&args, session),
        Command::Serve(args) => commands::serve::run(&args, session),
        Command::Completions(args) => commands::completions::run(&args, session),
        Command::Man(args) => commands::man::run(&args, session),
        Command::Schema(args) => commands::schema::run(&args, session),
    }
}

/// Prints help, version or a usage error as clap words it.
fn explain_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe must not turn help into a failure.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::Usage
    } else {
        ExitCode::Pass
    }
}

/// Prints an error.
fn explain(error: &anyhow::Error, color: bool) -> ExitCode {
    let diagnostic = match error.downcast_ref::<Diagnostic>() {
        Some(diagnostic) => diagnostic.clone(),
        None if is_unreachable(error) => Diagnostic::unreachable(said(error)),
        None => Diagnostic::usage(said(error)),
    };
    // Who closed standard error does not want to hear it.
    let _ = write!(std::io::stderr(), "{}", diagnostic.render(color));
    diagnostic.code
}

/// An error with its causes, but for those that its own words hold already.
fn said(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.is_empty() {
            cause
        } else if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

/// Whether the error is that the target is not there: nothing is wrong with the command line then.
fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<EngineError>(),
        Some(EngineError::Wire(
            WireError::Unresolved { .. } | WireError::Socket { .. }
        ))
    )
}

/// A panic is a bug in Prony: say so in one message, with what to send.
fn report_panics() {
    panic::set_hook(Box::new(|info| {
        let _ = writeln!(
            std::io::stderr(),
            "\nerror: this is a bug in Prony {}: {info}\n  next: please report it at {} with the command line \
             and this message",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_REPOSITORY"),
        );
    }));
}
