//! `prony completions`.

use clap::Args;
use clap_complete::Shell;

/// Prints the completion script of a shell.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony completions bash > ~/.local/share/bash-completion/completions/prony
  prony completions zsh > ~/.zfunc/_prony
  prony completions fish > ~/.config/fish/completions/prony.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell to complete for.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
