//! The flags of a target that Prony starts itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use prony_model::StopSignal;

use super::units::{duration, words};

/// Flags of `check`, `load`, `compare` and `run`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LaunchArgs {
    /// Start the target with this command, watch it, and stop it at the end: 'python server.py --port 8000'. Its words are split
    /// as a shell would, but there is no shell. {port} stands for the URL's port; where that is 0, a free one is taken. What it
    /// prints goes to target.log beside the report.
    #[arg(long, value_name = "COMMAND", value_parser = words, help_heading = "Starting the target")]
    pub command: Option<Words>,
    /// Folder that it is started in.
    #[arg(long, value_name = "DIR", help_heading = "Starting the target")]
    pub cwd: Option<PathBuf>,
    /// Path that answers with a success once it is ready. By default the usual health paths are asked.
    #[arg(long, value_name = "PATH", help_heading = "Starting the target")]
    pub ready: Option<String>,
    /// Longest wait until it is ready. Default 60s.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Starting the target")]
    pub start_timeout: Option<Duration>,
    /// Signal that asks it to stop. Default TERM.
    #[arg(
        long,
        value_name = "SIGNAL",
        value_parser = PossibleValuesParser::new(StopSignal::ALL.map(StopSignal::name)).map(|name| named(&name)),
        help_heading = "Starting the target"
    )]
    pub stop_signal: Option<StopSignal>,
    /// Longest wait for its end before it is killed. Default 30s.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Starting the target")]
    pub stop_timeout: Option<Duration>,
}

/// A command in its words, as one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(pub Vec<String>);

fn named(name: &str) -> StopSignal {
    let meant = StopSignal::ALL.into_iter().find(|signal| signal.name() == name);
    meant.unwrap_or_default()
}
