//! `prony schema`.

use clap::{Args, ValueEnum};

/// Prints the JSON Schema of a file that Prony reads or writes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony schema > suite.schema.json          # for editors that check TOML
  prony schema report                       # what `--format json` writes
  prony schema load                         # what `prony load --json` prints
  prony schema judge                        # what `prony judge --json` prints
  prony schema events                       # one line of a recording's events file")]
pub(crate) struct SchemaArgs {
    /// Which file to describe.
    #[arg(value_name = "WHAT", default_value = "suite")]
    pub kind: SchemaKind,
}

/// Files with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// A suite, as `prony run` reads it.
    Suite,
    /// A report, as `--format json` writes it.
    Report,
    /// One event of a recording.
    Events,
    /// The document that `prony load --json` prints.
    Load,
    /// The document that `prony judge --json` prints.
    Judge,
}
