//! `prony check`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use prony_experiments::EXPERIMENTS;
use prony_model::Budget;

use super::SendArgs;

/// Finds out what a backend offers, measures it, and gives a verdict.
///
/// Prony reads the target's own documents (OpenAPI, status pages, deep-zoom descriptors), makes a plan and shows
/// it, asks every endpoint for one correct answer before anything is timed, then runs its experiments and writes
/// a report. Nothing is claimed that was not measured.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony check http://127.0.0.1:8000                   about two minutes
  prony check http://127.0.0.1:8000 --quick           about half a minute
  prony check http://127.0.0.1:8000 --only ladder     one question, with what it needs to know first
  prony check demo                                    the embedded demo backend, which carries planted faults
  prony check demo:enso-fixed -o out/fixed            the same backend without the faults; report in out/fixed
  prony check http://127.0.0.1:8000 --plan > my.toml  print the plan, edit it, then: prony run my.toml
  prony check https://api.example.org --allow-host api.example.org --bearer-env TOKEN --max-rate 20")]
pub(crate) struct CheckArgs {
    /// URL of the backend, or 'demo' or 'demo:PRESET' for the embedded one.
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Take about half a minute: the questions that show most.
    #[arg(long, group = "budget", help_heading = "Depth")]
    pub quick: bool,
    /// Take about two minutes. This is the default.
    #[arg(long, group = "budget", help_heading = "Depth")]
    pub standard: bool,
    /// Take about ten minutes: more samples, narrower intervals.
    #[arg(long, group = "budget", help_heading = "Depth")]
    pub thorough: bool,
    /// Only these experiments and what they need, separated by commas: `ladder,identity`. The plan shows the names.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(EXPERIMENTS.iter().map(|def| def.name)),
        hide_possible_values = true,
        help_heading = "Depth"
    )]
    pub only: Vec<String>,
    /// Print the plan as a suite file that `prony run` accepts, and send no load.
    #[arg(long, help_heading = "Depth")]
    pub plan: bool,
    /// The shared flags.
    #[command(flatten)]
    pub send: SendArgs,
}

impl CheckArgs {
    /// How much time the experiments may take.
    pub(crate) fn budget(&self) -> Budget {
        match (self.quick, self.thorough) {
            (true, _) => Budget::Quick,
            (_, true) => Budget::Thorough,
            _ => Budget::Standard,
        }
    }
}
