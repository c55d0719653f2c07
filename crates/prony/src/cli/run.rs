//! `prony run`.

use std::path::PathBuf;

use clap::Args;

use super::units::key_value;
use super::{LaunchArgs, PartsArgs, SendArgs, WatchArgs};

/// Runs a suite: scenarios, load shapes, experiments, gates and claims from a TOML file.
///
/// Flags given here win over the same settings in the file. `prony schema suite` prints what a suite may hold;
/// `prony check URL --plan` prints one to start from.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony run suites/enso.toml                        # writes its report to a new folder
  prony run suites/enso.toml -o out/enso            # to this folder
  prony run suites/enso.toml --target http://127.0.0.1:8000
  prony run suites/semantic.toml --target http://127.0.0.1:8000 --set 'scenario.*.http.json.model=my-model'
  prony run suites/vision.toml --phase quick        # one mode of a benchmark, without the rest
  prony run suites/examples/gates.toml --json       # one JSON document on standard output")]
pub(crate) struct RunArgs {
    /// The suite file.
    #[arg(value_name = "SUITE")]
    pub suite: PathBuf,
    /// Send the load there instead of the file's target.
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Put this value in the place of the file's own: `run.budget=quick`, `scenario.*.http.json.model=tiny`. Entries of lists go by
    /// number or by name, `*` stands for all. Repeat for more.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub sets: Vec<(String, String)>,
    /// Run only this phase and those whose names begin with it (`stress`: `stress batch`, `stress workers`), with their gates and
    /// without the experiments. Repeat for more.
    #[arg(long = "phase", value_name = "NAME")]
    pub phases: Vec<String>,
    /// Check the file and say what it would do, but send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How to start the target.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// What of it is watched.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// What it consists of.
    #[command(flatten)]
    pub parts: PartsArgs,
    /// The shared flags.
    #[command(flatten)]
    pub send: SendArgs,
}
