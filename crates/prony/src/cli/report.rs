//! `prony report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Renders a recorded run again, also one that was killed half-way.
///
/// A report is computed from the recording alone, so the numbers are those of the run, whenever it is rendered.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony report out/enso                                   on the terminal
  prony report out/enso --format markdown -o report.md
  prony report out/enso --format json | jq .verdict
  prony report out/enso --format alerts -o alerts.yaml    Prometheus rules from the measurements")]
pub(crate) struct ReportArgs {
    /// Folder of the run, as given to -o.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// How to write it.
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "terminal")]
    pub format: FormatArg,
    /// File to write instead of standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Report formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For reading in a terminal.
    Terminal,
    /// One Markdown document with every table.
    Markdown,
    /// Every number, for programs; `prony schema report` describes it.
    Json,
    /// Probes, memory limit and autoscaler for Kubernetes, as YAML.
    Kubernetes,
    /// Prometheus alert rules, as YAML.
    Alerts,
}

impl FormatArg {
    /// The name in the registry of formats.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Kubernetes => "kubernetes",
            Self::Alerts => "alerts",
        }
    }
}
