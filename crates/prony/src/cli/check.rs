//! `prony check`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use prony_experiments::{EXPERIMENTS, Slo};
use prony_model::{Budget, Objective};

use super::units::{Accepted, accepted, rate, share};
use super::{LaunchArgs, PartsArgs, SendArgs, WatchArgs};

/// Finds out what a backend offers, measures it, and gives a verdict.
///
/// Prony reads the target's own documents (OpenAPI, status pages, deep-zoom descriptors), makes a plan and shows
/// it, asks every endpoint for one correct answer before anything is timed, then runs its experiments and writes
/// a report. Nothing is claimed that was not measured.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony check http://127.0.0.1:8000                   # about two minutes
  prony check http://127.0.0.1:8000 --quick           # about half a minute
  prony check http://127.0.0.1:8000 --only ladder     # one question, and what it needs first
  prony check http://127.0.0.1:8000 --endpoint /v1/infer   # load this one
  prony check http://127.0.0.1:8000/predict -b '{\"text\":\"hello\"}'   # one that no document names
  prony check http://127.0.0.1:8000/classify -F image=@   # one that takes pictures in a form
  prony check demo                                    # the embedded backend, with planted faults
  prony check demo:enso-fixed -o out/fixed            # the same without them; report in out/fixed
  prony check http://127.0.0.1:0 --command 'python server.py --port {port}'
                                                      # start it, and ask how it starts and stops
  prony check http://127.0.0.1:8000 --plan > my.toml  # the plan, to edit; then prony run my.toml
  prony check https://api.example.org --allow-host api.example.org --bearer-env TOKEN --max-rate 20")]
pub(crate) struct CheckArgs {
    /// URL of the backend, 'demo' or 'demo:PRESET' for the embedded one, or 'stdio:COMMAND' for an MCP server over standard
    /// input and output.
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Take about half a minute: the questions that show most.
    #[arg(long, group = "budget", help_heading = "Depth")]
    pub quick: bool,
    /// Take about two minutes. This is the default.
    #[arg(long, group = "budget", help_heading = "Depth")]
    pub standard: bool,
    /// Take about 25 minutes: more samples, narrower intervals, and what needs time: leaks, overload, cold starts.
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
    /// Load only this endpoint, as 'POST /v1/infer' or '/v1/infer'. Repeat for more. By default those that do the most work.
    #[arg(long = "endpoint", value_name = "ENDPOINT", help_heading = "Depth")]
    pub endpoints: Vec<String>,
    /// Print the plan as a suite file that `prony run` accepts, and send no load.
    #[arg(long, help_heading = "Depth")]
    pub plan: bool,
    /// Longest response that users accept: 500ms, 2s. Recommendations of queues and time-outs follow from it. Of streams of
    /// tokens, limits that a request must all hold: ttft=200ms,itl=50ms (also tpot and e2e); a thorough check searches the
    /// highest rate at which 95 % of requests do.
    #[arg(long, value_name = "TIME|LIMITS", value_parser = accepted, help_heading = "Objective")]
    pub slo: Option<Accepted>,
    /// Share of good answers promised over 30 days. Default 0.99.
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Objective")]
    pub slo_share: Option<f64>,
    /// Most requests per second expected, over all replicas. The number of replicas follows from it.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, help_heading = "Objective")]
    pub peak_rate: Option<f64>,
    /// What the endpoint at the URL takes, where no document says so.
    #[command(flatten)]
    pub told: ToldArgs,
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

/// Flags that describe the endpoint at the path of the URL.
#[derive(Args, Clone, Debug, Default)]
#[command(group(ArgGroup::new("told").args(["bodies", "body_files"]).multiple(true)))]
pub(crate) struct ToldArgs {
    /// Body that the endpoint at the URL answers well, for one that no document names: it is sent with POST. Of a JSON object
    /// the texts are varied. Repeat for more; then all are sent as they are.
    #[arg(short = 'b', long = "body", value_name = "TEXT", help_heading = "Request")]
    pub bodies: Vec<String>,
    /// File that holds such a body. Repeat for more.
    #[arg(
        short = 'f',
        long = "body-file",
        value_name = "FILE",
        help_heading = "Request"
    )]
    pub body_files: Vec<PathBuf>,
    /// Content type of these bodies. Default application/json where they are JSON, else text/plain.
    #[arg(
        short = 'T',
        long,
        value_name = "TYPE",
        requires = "told",
        help_heading = "Request"
    )]
    pub content_type: Option<String>,
    /// Field of a form that the endpoint at the URL takes, as 'name=value'; '@' in place of the value is a picture, another in
    /// each request. Repeat for more.
    #[arg(
        short = 'F',
        long,
        value_name = "NAME=VALUE",
        value_parser = form_field,
        conflicts_with_all = ["bodies", "body_files", "content_type"],
        help_heading = "Request"
    )]
    pub form: Vec<(String, String)>,
}

/// `name=value`.
fn form_field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as name=value, or name=@ for a picture".to_owned()),
    }
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

    /// Limits of streams that a request must hold.
    pub(crate) fn stream_slo(&self) -> Option<&Slo> {
        match &self.slo {
            Some(Accepted::Streams(slo)) => Some(slo),
            _ => None,
        }
    }

    /// What the flags promise and expect.
    pub(crate) fn objective(&self) -> Objective {
        let stated = Objective::default();
        Objective {
            response_ms: match &self.slo {
                Some(Accepted::Response(time)) => Some(1000.0 * time.as_secs_f64()),
                _ => None,
            },
            success_share: self.slo_share.unwrap_or(stated.success_share),
            peak_per_s: self.peak_rate,
            ..stated
        }
    }
}
