//! `prony compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use prony_model::{Arrivals, Shape};

use super::launch::Words;
use super::load::positive;
use super::units::{duration, rate, words};
use super::{LaunchArgs, RequestArgs, SendArgs};

/// Connections of a closed loop when neither connections nor a rate are given.
const CONNECTIONS: u32 = 8;
/// Length of a run when none is given.
const RUN: Duration = Duration::from_secs(10);
/// Pairs of runs, and of a quick comparison.
const PAIRS: u32 = 10;
const PAIRS_QUICK: u32 = 6;

/// Compares two targets under the same load: is B slower than A, and is that real?
///
/// Runs on A and B take turns as ABBA BAAB, so that a drift favours neither. The run is the unit, not the request: each gives
/// one p50, p95, p99 and throughput, and each pair one difference. REGRESSION, NO REGRESSION or neither is said of the mean
/// difference with its interval, beside the smallest change that would have been seen. -d is the length of each run.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony compare http://127.0.0.1:8000/health http://127.0.0.1:8001/health
  prony compare http://127.0.0.1:8000/score http://127.0.0.1:8001/score --rate 50 -d 20s -b '{\"id\":7}'
  prony compare http://127.0.0.1:8000/health --aa              # does a target differ from itself?
  prony compare http://a:8000/x http://b:8000/x --allow-host a --allow-host b --pairs 20 --margin 3
  prony compare http://127.0.0.1:0/x http://127.0.0.1:0/x --cwd old --command 'python server.py --port {port}' \
      --cwd-b new --command-b 'python server.py --port {port}'
  prony compare sim:service=5ms sim:service=6ms --rate 100     # two queues in simulated time

Exit codes:
    0  no regression: no metric is worse by the margin or more
    1  a regression beyond the margin, or more failures
    2  a regression that is not shown to be beyond the margin, or requests failed, those of B no more often
    3  undecided: the output says how many pairs it takes
    4  the comparison cannot be trusted: answers differ in length, a target differs from itself, or the generator was late
   69  a target could not be reached
  130  interrupted; the report is of the pairs that were finished")]
pub(crate) struct CompareArgs {
    /// URL of A, what it was, with path and query; `sim:...` is a queue in simulated time.
    #[arg(value_name = "URL_A")]
    pub a: String,
    /// URL of B, what it is to become.
    #[arg(value_name = "URL_B", required_unless_present = "aa", conflicts_with = "aa")]
    pub b: Option<String>,
    /// Hold URL_A against itself: what differs then is the environment's, and comparisons made in it cannot be trusted.
    #[arg(long, help_heading = "Comparison")]
    pub aa: bool,
    /// Pairs of runs. Fewer than 6 decide nothing. Default 10.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..=1000), help_heading = "Comparison")]
    pub pairs: Option<u32>,
    /// Make 6 pairs: a change must be half as large again to be seen.
    #[arg(long, conflicts_with = "pairs", help_heading = "Comparison")]
    pub quick: bool,
    /// Change that matters, in per cent, for every metric. Default: 5 for p50 and throughput, 10 for p95 and p99.
    #[arg(long, value_name = "PER_CENT", value_parser = positive, help_heading = "Comparison")]
    pub margin: Option<f64>,
    /// Start of each run that does not count. Default: a fifth of it.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Comparison")]
    pub warm_up: Option<Duration>,

    /// Closed loop with so many connections. Default 8.
    #[arg(
        short = 'c',
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        conflicts_with = "rate",
        help_heading = "Load"
    )]
    pub connections: Option<u32>,
    /// Open loop: so many requests per second to each target in its turn, at the same random moments for both of a pair.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, help_heading = "Load")]
    pub rate: Option<f64>,
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

    /// What is sent, and how an answer is judged.
    #[command(flatten)]
    pub request: RequestArgs,
    /// How A is started, where Prony is to start it. Except for the command and its folder, the same goes for B.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// Start B with this command, in the same way. Without it B must be there already.
    #[arg(
        long,
        value_name = "COMMAND",
        value_parser = words,
        conflicts_with = "aa",
        help_heading = "Starting the target"
    )]
    pub command_b: Option<Words>,
    /// Folder that B is started in. Default: that of A.
    #[arg(
        long,
        value_name = "DIR",
        requires = "command_b",
        help_heading = "Starting the target"
    )]
    pub cwd_b: Option<PathBuf>,
    /// The shared flags.
    #[command(flatten)]
    pub send: SendArgs,
}

impl CompareArgs {
    /// How many pairs of runs.
    pub(crate) fn pairs(&self) -> u32 {
        self.pairs.unwrap_or(if self.quick { PAIRS_QUICK } else { PAIRS })
    }

    /// How A and B are started. What goes for both is of use only where there is a command.
    pub(crate) fn launches(&self) -> [LaunchArgs; 2] {
        let b = LaunchArgs {
            command: self.command_b.clone(),
            cwd: self.cwd_b.clone().or_else(|| self.launch.cwd.clone()),
            ..self.launch.clone()
        };
        let started = |launch: LaunchArgs, other: bool| {
            if launch.command.is_none() && other {
                LaunchArgs::default()
            } else {
                launch
            }
        };
        let starts_b = b.command.is_some();
        [started(self.launch.clone(), starts_b), started(b, !starts_b)]
    }

    /// Length of each run.
    pub(crate) fn run(&self) -> Duration {
        self.send.duration.unwrap_or(RUN)
    }

    /// Length of the part of each run that does not count.
    pub(crate) fn warm_up(&self) -> Duration {
        self.warm_up.unwrap_or(self.run() / 5)
    }

    /// The load of each run.
    pub(crate) fn shape(&self) -> Shape {
        let duration_s = self.run().as_secs_f64();
        match self.rate {
            Some(rate) => Shape::Open {
                rate,
                arrivals: Arrivals::Poisson,
                duration_s,
                in_flight_max: self.in_flight,
            },
            None => Shape::Closed {
                connections: self.connections.unwrap_or(CONNECTIONS),
                requests: None,
                duration_s: Some(duration_s),
                think_ms: 0.0,
            },
        }
    }
}
