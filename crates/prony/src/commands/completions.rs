//! `prony completions`: generated from the command tree.

use prony_model::ExitCode;

use crate::cli::{Cli, CompletionsArgs};
use crate::session::Session;

/// Prints the completion script.
pub(crate) fn run(args: &CompletionsArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::tree(), "prony", &mut script);
    session.print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Pass)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use crate::cli::Cli;

    #[test]
    fn every_shell_knows_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::tree(), "prony", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Cli::tree().get_subcommands() {
                assert!(
                    script.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
            }
        }
    }
}
