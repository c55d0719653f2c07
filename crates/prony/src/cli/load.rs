//! `prony load`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use prony_experiments::Slo;
use prony_model::Arrivals;

use super::units::{limits, rate, share_or_all};
use super::{LaunchArgs, PromptArgs, RequestArgs, SendArgs, WatchArgs};

/// Sends load to one URL and says what came back.
///
/// With -c (a closed loop, as in wrk, hey and oha) each connection sends its next request when its last is
/// answered: good for throughput, but a slow target is then asked less often, so its latency looks better than
/// what users would see. With --rate (an open loop) requests are due at their own times whatever the target does,
/// and latency counts from when each was due: use it for latency under load.
///
/// The last line of the output is for scripts: p50=... p99=... p99.9=... of the answers that were as expected.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("open-loop").args(["rate", "ramp", "replay"])))]
#[command(after_help = "Examples:
  prony load http://127.0.0.1:8000/health                      # 50 connections for 10 seconds
  prony load http://127.0.0.1:8000/health -c 64 -d 30s         # closed loop
  prony load http://127.0.0.1:8000/health -c 1 -n 1000         # a thousand requests, one at a time
  prony load http://127.0.0.1:8000/health --rate 2000 -d 30s   # open loop: latency under load
  prony load http://127.0.0.1:8000/slow --burst 50             # 50 requests at the same moment
  prony load http://127.0.0.1:8000/health --http2 -c 4 --streams 16
  prony load http://127.0.0.1:8000/health --ramp 10:500        # from 10 to 500 requests per second
  prony load http://127.0.0.1:8000/health --replay trace.csv --speed 2
  prony load http://127.0.0.1:8000/score -T application/json -b '{\"id\":7}'
  prony load 'http://127.0.0.1:8000/item/{{seq}}?user={{data.id}}' --data users.csv
  prony load http://127.0.0.1:8000 --openai MODEL --prompt-tokens 512 -c 32 -n 256
  prony load http://127.0.0.1:8000/health --json | jq .latency.response.p99_ms
  prony load http://127.0.0.1:8000 --openai MODEL --search --slo ttft=200ms,itl=50ms
  prony load http://127.0.0.1:8000 --openai MODEL --sweep
  prony load http://127.0.0.1:0/health --command 'python server.py --port {port}'
  prony load null: -c 64                                       # what this machine can drive at most
  prony load sim:service=5ms,workers=4 --rate 700 -d 1h        # a queue in simulated time: seconds

Exit codes:
    0  all answers as expected
    1  more failures than --allow-failures
    4  the generator could not keep its promise: do not use the numbers
   69  no request got a connection
  130  interrupted; the summary is of what was sent so far")]
pub(crate) struct LoadArgs {
    /// URL to load, with path and query, in which {{...}} is filled in for every request (see --data). `null:` is a server in this process that costs nothing, `sim:` a queue in
    /// simulated time: service=5ms, spread=exponential, workers=4, queue=100, freeze=1s/10s, seed=1.
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
    /// Open loop whose rate moves evenly from one number of requests per second to another.
    #[arg(
        long,
        value_name = "FROM:TO",
        value_parser = ramp,
        conflicts_with_all = ["connections", "requests", "rate", "burst"],
        help_heading = "Load"
    )]
    pub ramp: Option<(f64, f64)>,
    /// Open loop with the arrivals of a trace: a CSV or NDJSON file with the time of each in its column `timestamp`, in
    /// seconds. A suite can name other columns, units, and a scenario for each row.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["connections", "requests", "rate", "burst", "ramp", "duration"],
        help_heading = "Load"
    )]
    pub replay: Option<PathBuf>,
    /// Replay the trace so many times as fast as it was recorded.
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        value_parser = positive,
        requires = "replay",
        help_heading = "Load"
    )]
    pub speed: f64,
    /// How an open loop spaces requests: random gaps like independent users, equal gaps, or gamma-distributed gaps with
    /// --burstiness.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "poisson",
        requires = "open-loop",
        conflicts_with = "replay",
        help_heading = "Load"
    )]
    pub arrivals: ArrivalsArg,
    /// Shape of the gamma distribution, as in vLLM's benchmark: 1 is Poisson, less is burstier, more is more even.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = positive,
        required_if_eq("arrivals", "gamma"),
        help_heading = "Load"
    )]
    pub burstiness: Option<f64>,
    /// Pause of each connection of a closed loop between an answer and its next request, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        value_parser = positive,
        conflicts_with_all = ["rate", "burst", "ramp", "replay"],
        help_heading = "Load"
    )]
    pub think: Option<f64>,
    /// Most requests in flight in an open loop. Those beyond are not sent, and counted as shed.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        requires = "open-loop",
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

    /// What is sent, and how an answer is judged.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Prompts for a language model in place of one request.
    #[command(flatten)]
    pub prompts: PromptArgs,
    /// Start so many connections of a closed loop per second instead of all at once: 10,000 connections then do not
    /// arrive as one flood. What a connection waits for its start is not counted as late.
    #[arg(
        long,
        value_name = "PER_SECOND",
        value_parser = rate,
        conflicts_with_all = ["rate", "burst", "ramp", "replay", "search", "sweep"],
        help_heading = "Connection"
    )]
    pub connect_rate: Option<f64>,
    /// Share of requests that may fail before the exit code is 1: 0.01 or 1%.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share_or_all, help_heading = "Judging")]
    pub allow_failures: f64,

    /// Limits that a streamed answer must all hold to be good: ttft=200ms,itl=50ms,e2e=5s (also tpot; itl is the answer's own 99th
    /// percentile). The summary then tells how many were.
    #[arg(long, value_name = "LIMITS", value_parser = limits, help_heading = "Stream")]
    pub slo: Option<Slo>,
    /// Search the highest rate at which 95 % of requests hold the limits of --slo: up, down and between, each rate judged with its
    /// interval, and the last confirmed on fresh requests. --duration bounds the search (5 minutes by default). It is reported as a
    /// check is, also with --json.
    #[arg(
        long,
        requires = "slo",
        conflicts_with_all = ["connections", "requests", "rate", "burst", "ramp", "replay", "sweep", "think", "allow_failures"],
        help_heading = "Stream"
    )]
    pub search: bool,
    /// Sweep the concurrency, 1, 2, 4, 8 ..., and show tokens per second in all against those of each user. --duration bounds it (2
    /// minutes by default). It is reported as a check is, also with --json.
    #[arg(
        long,
        conflicts_with_all = ["connections", "requests", "rate", "burst", "ramp", "replay", "slo", "think", "allow_failures"],
        help_heading = "Stream"
    )]
    pub sweep: bool,

    /// How the target is started, where Prony is to start it.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// What of it is watched, beside a recording.
    #[command(flatten)]
    pub watch: WatchArgs,
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
    /// Gamma-distributed gaps.
    Gamma,
}

impl LoadArgs {
    /// How an open loop spaces its requests.
    pub(crate) fn spacing(&self) -> Arrivals {
        match self.arrivals {
            ArrivalsArg::Poisson => Arrivals::Poisson,
            ArrivalsArg::Constant => Arrivals::Constant,
            ArrivalsArg::Gamma => Arrivals::Gamma {
                burstiness: self.burstiness.unwrap_or(1.0),
            },
        }
    }
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err(format!("{text:?} is not a number above 0")),
    }
}

/// `10:500`, in requests per second.
fn ramp(text: &str) -> Result<(f64, f64), String> {
    let wrong = || format!("{text:?} is no ramp; write two rates, as in 10:500");
    let (from, to) = text.split_once(':').ok_or_else(wrong)?;
    let side = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|rate| *rate >= 0.0 && rate.is_finite())
    };
    match (side(from), side(to)) {
        (Some(from), Some(to)) if from + to > 0.0 => Ok((from, to)),
        _ => Err(wrong()),
    }
}
