//! `prony judge`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::units::at_once;
use crate::imported;

/// Judges somebody else's results: says of each claim whether its own numbers support it.
///
/// Hand in the numbers of any report as CSV, a JSON array, or one JSON object a line. A table of claims has one row for each
/// claim with the numbers that it rests on; a table of requests has one row for each request. Nothing is sent and nothing
/// is measured: what is judged is what such numbers can show.
///
/// PASS: the numbers support it. INCONCLUSIVE: they do not, and do not contradict it. FAIL: they contradict it.
/// INVALID: they cannot be what they say.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub(crate) struct JudgeArgs {
    /// The file, or - for standard input.
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// What the file holds. Its columns tell when this is not given.
    #[arg(long = "as", value_name = "WHAT")]
    pub kind: Option<KindArg>,
    /// Unit of the times that carry none.
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<TimeUnitArg>,
    /// How many requests were said to be in flight, for a table of requests.
    #[arg(long, value_name = "NUMBER", value_parser = at_once)]
    pub concurrency: Option<f64>,
    /// Leave out this column, named as in the file. May be given several times.
    #[arg(long, value_name = "COLUMN")]
    pub ignore: Vec<String>,
    /// Leave out columns whose names are not known.
    #[arg(long)]
    pub ignore_unknown: bool,
    /// Print one JSON document; `prony schema judge` describes it.
    #[arg(long)]
    pub json: bool,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// One row for each claim.
    Claims,
    /// One row for each request.
    Requests,
}

/// Units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeUnitArg {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimeUnitArg {
    /// Its symbol.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::S => "s",
            Self::Ms => "ms",
            Self::Us => "us",
            Self::Ns => "ns",
        }
    }
}

/// Examples, a table of claims, and every column.
fn after_help() -> String {
    format!(
        "Examples:
  prony judge claims.csv                        # claims of a report
  prony judge requests.csv --concurrency 50     # one row for each request
  prony judge results.jtl --unit ms --ignore-unknown --ignore Latency
  prony judge claims.csv --json | jq .verdict

A table of claims:
  id,claim,metric,statistic,value,n,ok,concurrency,duration
  burst,\"6.7 ms on average, 50 at once\",latency,mean,6.7ms,50,50,50,0.34s
  rate,\"26 of 30 succeeded\",success,,86.7%,30,26,15,

A table of requests:
  start,latency_ms,status
  2026-01-31T20:54:25.120,34.1,200

{}",
        imported::help()
    )
}
