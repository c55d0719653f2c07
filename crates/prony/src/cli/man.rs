//! `prony man`.

use std::path::PathBuf;

use clap::Args;

/// Writes the manual pages: one for prony and one for each command.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony man | man -l -                      # read the main page
  prony man ./man                           # write every page into a folder")]
pub(crate) struct ManArgs {
    /// Folder to write to; without it, the main page goes to standard output.
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
