//! The binary: reads the command line, runs one command, turns its result into an exit code. Wiring only.

mod cli;
mod commands;
mod diagnostic;
mod session;

use std::io::IsTerminal;
use std::panic;
use std::process;

use clap::FromArgMatches;
use prony_model::ExitCode;

use cli::{Cli, Command};
use diagnostic::Diagnostic;
use session::Session;

fn main() -> process::ExitCode {
    report_panics();
    let code = panic::catch_unwind(run).unwrap_or(ExitCode::Bug);
    process::ExitCode::from(code as u8)
}

/// Parses, dispatches, explains errors.
fn run() -> ExitCode {
    let cli = match Cli::tree().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return explain_usage(&error),
    };
    let no_color = cli.no_color;
    let result = Session::start(cli.quiet, no_color).map_err(Into::into).and_then(|session| dispatch(cli, &session));
    match result {
        Ok(code) => code,
        Err(error) => explain(&error, session::colors_wanted(no_color) && std::io::stderr().is_terminal()),
    }
}

fn dispatch(cli: Cli, session: &Session) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Completions(args) => commands::completions::run(&args, session),
        Command::Man(args) => commands::man::run(&args, session),
        Command::Schema(args) => commands::schema::run(&args, session),
        _ => Err(Diagnostic::usage("this command is not part of this build").into()),
    }
}

/// Prints help, version or a usage error as clap words it.
fn explain_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe must not turn help into a failure.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Pass }
}

/// Prints an error; a reader that went away (`prony report | head`) is none.
fn explain(error: &anyhow::Error, color: bool) -> ExitCode {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return ExitCode::Pass;
    }
    let diagnostic = match error.downcast_ref::<Diagnostic>() {
        Some(diagnostic) => diagnostic.clone(),
        None => Diagnostic::usage(format!("{error:#}")),
    };
    eprint!("{}", diagnostic.render(color));
    diagnostic.code
}

/// A panic is a bug in Prony: say so in one message, with what to send.
fn report_panics() {
    panic::set_hook(Box::new(|info| {
        eprintln!(
            "\nerror: this is a bug in Prony {}: {info}\n  next: please report it at {} with the command line \
             and this message",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_REPOSITORY"),
        );
    }));
}
