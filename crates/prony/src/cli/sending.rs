//! The flags that every command which sends load has in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::AccessArgs;
use super::units::{duration, rate};

/// Flags of `check`, `load`, `compare` and `run`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SendArgs {
    /// How to reach the target.
    #[command(flatten)]
    pub access: AccessArgs,

    /// Send load for at most so long: 500ms, 10s, 2m, 1h. Of `compare` the length of each run, 10s by default.
    #[arg(
        short = 'd',
        short_alias = 'z',
        long,
        value_name = "TIME",
        value_parser = duration,
        help_heading = "Limits"
    )]
    pub duration: Option<Duration>,
    /// Longest wait for a whole answer, counted from the moment the request was due. Default 30s.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub timeout: Option<Duration>,
    /// Longest wait for a connection, with name lookup and TLS. Default 5s.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub connect_timeout: Option<Duration>,
    /// Never send more than so many requests per second, whatever the plan says.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, help_heading = "Limits")]
    pub max_rate: Option<f64>,
    /// Seed of every random choice: the same seed sends the same requests at the same times. Default 1.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64),
        help_heading = "Limits"
    )]
    pub seed: Option<u64>,
    /// Threads that send load. Default 1, which is enough for most targets.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    pub threads: Option<u32>,
    /// Do not ask for real-time priority for the threads that keep a schedule. It is granted to root, and to who has
    /// CAP_SYS_NICE or a limit of real-time priority (`ulimit -r`); on a busy machine it keeps requests from leaving late.
    #[arg(long, help_heading = "Limits")]
    pub normal_priority: bool,

    /// Folder for the recording and the report. It must be new or empty. By default a new one under prony-runs; `load` then records
    /// nothing.
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Print one JSON document on standard output instead of text.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
