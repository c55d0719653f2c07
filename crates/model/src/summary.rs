//! What the statistics of one phase boil down to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Nanos, Outcome, StreamSummary, Validity};

/// The figures of one phase: computed once, shown by every format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseSummary {
    /// Index of the phase in the run; the anchor that evidence links to.
    pub index: u16,
    /// Phase name.
    pub name: String,
    /// The experiment it belongs to.
    pub experiment: String,
    /// The shape in words.
    pub shape: String,
    /// Whether arrivals were independent of answers (open loop).
    pub open_loop: bool,
    /// Start, since the run's epoch.
    pub started: Nanos,
    /// End.
    pub ended: Nanos,
    /// Arrivals the schedule held: ok + failed + own.
    pub offered: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Failed by the target.
    pub failed: u64,
    /// Shed, interrupted or out of local resources: ours.
    pub own: u64,
    /// Requests on the wire: more than arrivals where they take several steps or attempts.
    #[serde(default)]
    pub attempts: u64,
    /// Those of `attempts` that failed and were sent again.
    #[serde(default)]
    pub retried: u64,
    /// Offered arrivals per second of the load. Where a schedule issues it, it lasts as long as the schedule, or until it was cut
    /// short; else from the first intended start to the last end that is not our own doing.
    pub offered_per_s: f64,
    /// Completions (ok and failed) per second of the load. Where a schedule issues it, those within as long a time from the first
    /// of them on: neither the wait for the first answer nor the drain counts.
    pub achieved_per_s: f64,
    /// Ok completions per second of the load, as `achieved_per_s`.
    pub ok_per_s: f64,
    /// Mean requests in flight (time average of the sent-to-done spans).
    pub in_flight_mean: f64,
    /// Most requests in flight at once.
    pub in_flight_max: u32,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Connections opened.
    pub connections: u64,
    /// Per scenario, step and outcome.
    pub rows: Vec<SummaryRow>,
    /// Per scenario and step whose answers are streams of tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamSummary>,
    /// Whether the generator did what it promised.
    pub validity: Validity,
    /// Whether the phase was cut short (Ctrl-C, kill, dead target).
    #[serde(default)]
    pub partial: bool,
}

impl PhaseSummary {
    /// Whether the generator sent it to its own null target, to know its own floor, and not to the target.
    pub fn is_of_null_target(&self) -> bool {
        self.experiment == "client-floor" && self.name == "null"
    }

    /// Requests on the wire for each that had to be made: 1 without retries.
    pub fn amplification(&self) -> f64 {
        let first = self.attempts.saturating_sub(self.retried);
        if first == 0 {
            1.0
        } else {
            self.attempts as f64 / first as f64
        }
    }
}

/// One scenario, step and outcome. Percentiles never mix outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryRow {
    /// Scenario name: its arrivals. `NAME/STEP` are the requests of one step of a flow, `NAME/attempts` those of a
    /// scenario with a retry policy.
    pub scenario: String,
    /// Whether the row is of requests and not of arrivals: one of the last two kinds.
    #[serde(default)]
    pub part: bool,
    /// Step of a ladder or stage list, from 0.
    pub step: u16,
    /// Concurrency of the step in a closed loop; 0 in an open loop.
    pub connections: u32,
    /// The outcome of all its requests.
    pub outcome: Outcome,
    /// How many.
    pub n: u64,
    /// Completions of this row per second of its step: from its first intended start to its last end that is not our own doing.
    /// The only step of a phase lasts as long as its load, and they count as in `achieved_per_s`.
    pub per_s: f64,
    /// done - intended.
    pub response: Distribution,
    /// done - sent.
    pub service: Distribution,
    /// sent - intended, less the time to connect: our own error.
    pub lag: Distribution,
    /// First byte - sent, for those that got a byte.
    pub ttfb: Distribution,
    /// done - first byte, for those that got a byte.
    #[serde(default)]
    pub transfer: Distribution,
    /// TCP and TLS, for those that opened a connection.
    #[serde(default)]
    pub connect: Distribution,
    /// The TLS handshake, for those that made one.
    #[serde(default)]
    pub tls: Distribution,
}

/// A distribution of times with honest quantiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Observations.
    pub n: u64,
    /// Independent observations they are worth (n over the autocorrelation time at the median); 0 when not computed.
    pub n_eff: f64,
    /// Arithmetic mean, in nanoseconds.
    pub mean_ns: f64,
    /// Standard deviation, in nanoseconds.
    pub sd_ns: f64,
    /// Smallest.
    pub min: Nanos,
    /// Largest.
    pub max: Nanos,
    /// The asked quantiles, ascending.
    pub quantiles: Vec<Quantile>,
}

impl Distribution {
    /// The quantile at `p`, when it is estimable.
    pub fn at(&self, p: f64) -> Option<&Quantile> {
        self.quantiles
            .iter()
            .find(|q| (q.p - p).abs() < 1e-9 && q.needs_n == 0)
    }
}

/// One quantile with its 95 % confidence interval (order statistics, dependence-corrected).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantile {
    /// Probability in (0, 1).
    pub p: f64,
    /// Nearest-rank estimate. Without an interval (see `needs_n`) it is no evidence.
    pub value: Nanos,
    /// Lower end of the interval.
    pub lo: Nanos,
    /// Upper end of the interval.
    pub hi: Nanos,
    /// 0 when estimable; else the number of independent observations it needs, and the interval means nothing.
    pub needs_n: u64,
}
