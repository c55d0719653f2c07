//! `prony load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use prony_model::Arrivals;

use super::SendArgs;
use super::units::rate;

/// Sends load to one URL and says what came back.
///
/// With -c (a closed loop, as in wrk, hey and oha) each connection sends its next request when its last is
/// answered: good for throughput, but a slow target is then asked less often, so its latency looks better than
/// what users would see. With --rate (an open loop) requests are due at their own times whatever the target does,
/// and latency counts from when each was due: use it for latency under load.
///
/// The last line of the output is for scripts: p50=... p99=... p99.9=... of the answers that were as expected.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony load http://127.0.0.1:8000/health                      50 connections for 10 seconds
  prony load http://127.0.0.1:8000/health -c 64 -d 30s         closed loop
  prony load http://127.0.0.1:8000/health -c 1 -n 1000         a thousand requests, one at a time
  prony load http://127.0.0.1:8000/health --rate 2000 -d 30s   open loop: latency under load
  prony load http://127.0.0.1:8000/slow --burst 50             50 requests at the same moment
  prony load http://127.0.0.1:8000/score -T application/json -b '{\"id\":7}'
  prony load http://127.0.0.1:8000/health --json | jq .latency.response.p99_ms

Exit codes:
    0  all answers as expected
    1  more failures than --allow-failures
    4  the generator could not keep its promise: do not use the numbers
   69  no request got a connection
  130  interrupted; the summary is of what was sent so far")]
pub(crate) struct LoadArgs {
    /// URL to load, with path and query.
    #[arg(value_name = "URL")]
    pub url: String,

    /// Closed loop with so many connections. Default 50.
    #[arg(
        short = 'c',
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        conflicts_with_all = ["rate", "burst"],
        help_heading = "Load"
    )]
    pub connections: Option<u32>,
    /// Stop after so many requests.
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["rate", "burst"],
        help_heading = "Load"
    )]
    pub requests: Option<u64>,
    /// Open loop: so many requests per second, whatever the target does.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with = "burst", help_heading = "Load")]
    pub rate: Option<f64>,
    /// How the open loop spaces requests: random gaps like independent users, or equal gaps.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "poisson",
        requires = "rate",
        help_heading = "Load"
    )]
    pub arrivals: ArrivalsArg,
    /// Most requests in flight in an open loop. Those beyond are not sent, and counted as shed.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        requires = "rate",
        help_heading = "Load"
    )]
    pub in_flight: u32,
    /// Send so many requests at the same moment, each on its own connection, once.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        conflicts_with = "duration",
        help_heading = "Load"
    )]
    pub burst: Option<u32>,

    /// Request method. Default GET, or POST when there is a body.
    #[arg(
        short = 'm',
        short_alias = 'X',
        long,
        value_name = "METHOD",
        help_heading = "Request"
    )]
    pub method: Option<String>,
    /// Body of the request, as text.
    #[arg(
        short = 'b',
        long,
        value_name = "TEXT",
        conflicts_with = "body_file",
        help_heading = "Request"
    )]
    pub body: Option<String>,
    /// File whose bytes are the request body.
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Request")]
    pub body_file: Option<PathBuf>,
    /// Content type of the body, as in application/json.
    #[arg(short = 'T', long, value_name = "TYPE", help_heading = "Request")]
    pub content_type: Option<String>,
    /// Open a new connection for every request.
    #[arg(long, help_heading = "Request")]
    pub no_keepalive: bool,
    /// Follow so many redirects on the same host. A redirect that is not followed is a failure.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Request")]
    pub redirects: u32,

    /// Status that counts as a good answer. Repeat for more. Default: any 2xx.
    #[arg(
        long,
        value_name = "STATUS",
        value_parser = clap::value_parser!(u16).range(100..=599),
        help_heading = "Judging"
    )]
    pub expect_status: Vec<u16>,
    /// Share of requests that may fail before the exit code is 1. 0.01 is one in a hundred.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Judging")]
    pub allow_failures: f64,

    /// The shared flags.
    #[command(flatten)]
    pub send: SendArgs,
}

/// How an open loop spaces requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalsArg {
    /// Exponential gaps.
    Poisson,
    /// Equal gaps.
    Constant,
}

impl From<ArrivalsArg> for Arrivals {
    fn from(arg: ArrivalsArg) -> Self {
        match arg {
            ArrivalsArg::Poisson => Self::Poisson,
            ArrivalsArg::Constant => Self::Constant,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!(
            "{text:?} is not a share between 0 and 1; one in a hundred is 0.01"
        )),
    }
}
