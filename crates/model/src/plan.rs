//! What load to send: scenarios, shapes and limits of one phase.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expect, Flow, Nanos, Request, Retry, Slots};

/// One uninterrupted stretch of load with one shape. The engine runs it; everything else reads its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Unique within its experiment.
    pub name: String,
    /// The experiment that asked for it; `suite` for a phase written by hand, `load` for `prony load`.
    pub experiment: String,
    /// What is sent; drawn by weight for every arrival.
    pub scenarios: Vec<Scenario>,
    /// When it is sent.
    pub shape: Shape,
    /// Timeouts, sizes, connections.
    #[serde(default)]
    pub limits: Limits,
    /// Which responses are kept whole.
    #[serde(default)]
    pub capture: Capture,
}

impl Phase {
    /// The scenario that has rows of that name, and which part of its arrivals they are: 0 for the whole of them, else a
    /// step of a flow (`SCENARIO/STEP`), or the attempts.
    pub fn part(&self, name: &str) -> Option<(u16, u16)> {
        let whole = self.scenarios.iter().position(|s| s.name == name);
        let parts = || {
            self.scenarios.iter().enumerate().find_map(|(index, scenario)| {
                let last = scenario.flow.as_ref().map_or(0, |flow| flow.steps.len());
                let part = (1..=last as u16).find(|&part| scenario.part(part) == name)?;
                Some((index as u16, part))
            })
        };
        whole.map(|index| (index as u16, 0)).or_else(parts)
    }
}

/// A named list of requests that answer for each other in the statistics: one row of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Unique within the phase.
    pub name: String,
    /// The requests; at least one.
    pub items: Vec<Item>,
    /// How the next item is chosen.
    #[serde(default)]
    pub order: Order,
    /// Share of arrivals, relative to the other scenarios of the phase.
    #[serde(default = "one")]
    pub weight: f64,
    /// Fill in `{{...}}` for every arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
    /// The items are the steps of one arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Send again what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Give up on some before they are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandon: Option<Abandon>,
    /// What stands in the headers whose values are secrets.
    #[serde(default, skip_serializing_if = "Credentials::are_given")]
    pub credentials: Credentials,
}

impl Scenario {
    /// Items in turn, weight 1.
    pub fn new(name: impl Into<String>, items: Vec<Item>) -> Self {
        Self {
            name: name.into(),
            items,
            order: Order::InTurn,
            weight: 1.0,
            slots: None,
            flow: None,
            retry: None,
            abandon: None,
            credentials: Credentials::Given,
        }
    }

    /// Whether an arrival may take several requests: then each of them has a record, and the arrival one more.
    pub fn is_composite(&self) -> bool {
        self.flow.is_some() || self.retry.is_some()
    }

    /// How many different arrivals there are: one for a flow, else one for each item.
    pub fn arrivals(&self) -> usize {
        if self.flow.is_some() { 1 } else { self.items.len() }
    }

    /// The name of a row of the summary: the scenario's for `part` 0, the arrivals; that of a step of a flow, or of the
    /// attempts, for the others.
    pub fn part(&self, part: u16) -> String {
        match (part, &self.flow) {
            (0, _) => self.name.clone(),
            (k, Some(flow)) => {
                let step = flow.steps.get(usize::from(k) - 1);
                format!("{}/{}", self.name, step.map_or("?", |s| s.name.as_str()))
            }
            (_, None) => format!("{}/attempts", self.name),
        }
    }
}

fn one() -> f64 {
    1.0
}

/// Clients that give up: a share of the requests is cut off at a random moment, as by somebody who closes the window. Their
/// outcome is `interrupted`, unless the answer comes before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Abandon {
    /// Share of the requests, from 0 to 1.
    pub share: f64,
    /// The moment is uniform between the intended start and so many milliseconds after it.
    pub within_ms: f64,
}

/// What stands in those headers of every request whose values are secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// The secrets.
    #[default]
    Given,
    /// The headers are left out.
    Missing,
    /// The headers are there without a value.
    Empty,
    /// Values of the same form and length that are not the secrets.
    Wrong,
    /// The secrets without their second half.
    Truncated,
}

impl Credentials {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    fn are_given(&self) -> bool {
        *self == Self::Given
    }
}

/// One request with its expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The request.
    pub request: Request,
    /// What a correct answer looks like.
    #[serde(default)]
    pub expect: Expect,
}

/// How a scenario's next item is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// First to last, then again: arrival `k` of the scenario takes item `k % len`.
    #[default]
    InTurn,
    /// Uniformly at random from the run's seed.
    Random,
}

/// When requests are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// One at a time on one connection: request `k+1` starts when `k` is done.
    Sequential {
        /// How many.
        requests: u64,
        /// Stop after so many seconds even if some are left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<f64>,
    },
    /// Every item of every scenario exactly once, scenario after scenario, item after item, one at a time on one
    /// connection. Weights and orders do not matter. For checks of content, where each request must be sent.
    Once {
        /// Stop after so many seconds even if some are left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<f64>,
    },
    /// Closed loop: `connections` workers, each sends its next request when its last is answered.
    Closed {
        /// Concurrent workers, one connection each.
        connections: u32,
        /// Stop after so many requests in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests: Option<u64>,
        /// Stop after so many seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<f64>,
        /// Pause of each worker between answer and next request.
        #[serde(default)]
        think_ms: f64,
    },
    /// Open loop: arrivals at a rate, whatever the target does.
    Open {
        /// Arrivals per second.
        rate: f64,
        /// How arrivals are spaced.
        #[serde(default)]
        arrivals: Arrivals,
        /// For so many seconds.
        duration_s: f64,
        /// Arrivals beyond so many in flight are shed, and counted.
        #[serde(default = "default_in_flight")]
        in_flight_max: u32,
    },
    /// Bursts: `size` requests start together, each on its own connection, opened beforehand.
    Burst {
        /// Requests per burst.
        size: u32,
        /// How many bursts.
        #[serde(default = "one_burst")]
        count: u32,
        /// From the start of one burst to the start of the next (never before the last answer).
        #[serde(default)]
        interval_s: f64,
    },
    /// Closed-loop steps with a barrier after each: a concurrency ladder.
    Ladder {
        /// Concurrency of each step.
        connections: Vec<u32>,
        /// Requests of each step, per connection; a step ends at whichever limit comes first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_each: Option<u64>,
        /// Seconds of each step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<f64>,
        /// Silence between steps.
        #[serde(default)]
        idle_s: f64,
    },
    /// Open-loop stages: the rate moves linearly from the previous stage's rate to this one's.
    Stages {
        /// The stages, in order.
        stages: Vec<Stage>,
        /// How arrivals are spaced.
        #[serde(default)]
        arrivals: Arrivals,
        /// Arrivals beyond so many in flight are shed, and counted.
        #[serde(default = "default_in_flight")]
        in_flight_max: u32,
    },
    /// Open loop whose rate moves linearly from one value to another.
    Ramp {
        /// Arrivals per second at the start.
        from: f64,
        /// Arrivals per second at the end.
        to: f64,
        /// Its length.
        duration_s: f64,
        /// How arrivals are spaced.
        #[serde(default)]
        arrivals: Arrivals,
        /// Arrivals beyond so many in flight are shed, and counted.
        #[serde(default = "default_in_flight")]
        in_flight_max: u32,
    },
    /// Open loop at a base rate with one stretch at another: steps 0, 1 and 2 are before, during and after it.
    Spike {
        /// Arrivals per second before and after.
        base: f64,
        /// Arrivals per second during the spike.
        peak: f64,
        /// Start of the spike, from the start of the phase.
        at_s: f64,
        /// Length of the spike.
        spike_s: f64,
        /// Length of the whole phase.
        duration_s: f64,
        /// How arrivals are spaced.
        #[serde(default)]
        arrivals: Arrivals,
        /// Arrivals beyond so many in flight are shed, and counted.
        #[serde(default = "default_in_flight")]
        in_flight_max: u32,
    },
    /// Open loop with the arrivals of a recorded trace. The first row is due at once, the others as long after it as
    /// the trace says.
    Replay {
        /// CSV file with a header line, or NDJSON file (`.ndjson`, `.jsonl`), in order of time.
        file: String,
        /// So many times as fast as recorded.
        #[serde(default = "one")]
        speed: f64,
        /// Column of the time; in NDJSON a key, or a JSON pointer that starts with `/`.
        #[serde(default = "timestamp")]
        time: String,
        /// Unit of the time.
        #[serde(default)]
        unit: TimeUnit,
        /// Column that names the scenario of each row; without one they are drawn by weight.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        /// Arrivals beyond so many in flight are shed, and counted.
        #[serde(default = "default_in_flight")]
        in_flight_max: u32,
    },
}

fn timestamp() -> String {
    "timestamp".to_owned()
}

/// Unit of a trace's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimeUnit {
    /// Seconds since any moment.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// Date and time, as in RFC 3339; a blank may stand for the `T`, and no zone means UTC.
    #[serde(rename = "date")]
    Date,
}

fn default_in_flight() -> u32 {
    1000
}

fn one_burst() -> u32 {
    1
}

impl Shape {
    /// Whether arrivals are independent of answers.
    pub fn is_open(&self) -> bool {
        self.is_scheduled() || matches!(self, Self::Burst { .. })
    }

    /// Whether each arrival has a time of its own that a schedule decided: every open loop but a burst.
    pub fn is_scheduled(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::Stages { .. }
                | Self::Ramp { .. }
                | Self::Spike { .. }
                | Self::Replay { .. }
        )
    }

    /// Whether it has users who wait for their answers: a closed loop, or a burst.
    pub fn has_users(&self) -> bool {
        !self.is_scheduled()
    }

    /// One line for people: `closed loop, 8 connections, 200 requests`.
    pub fn label(&self) -> String {
        let until = |requests: Option<u64>, duration: Option<f64>| match (requests, duration) {
            (Some(n), Some(d)) => format!("{n} requests or {d} s"),
            (Some(n), None) => format!("{n} requests"),
            (None, Some(d)) => format!("{d} s"),
            (None, None) => "no end given".to_owned(),
        };
        match self {
            Self::Sequential { requests, duration_s } => {
                format!("one at a time, {}", until(Some(*requests), *duration_s))
            }
            Self::Once { duration_s: None } => "each request once, one at a time".to_owned(),
            Self::Once { duration_s: Some(d) } => format!("each request once, one at a time, at most {d} s"),
            Self::Closed {
                connections,
                requests,
                duration_s,
                think_ms,
            } => {
                let think = if *think_ms > 0.0 {
                    format!(", think {think_ms} ms")
                } else {
                    String::new()
                };
                format!(
                    "closed loop, {connections} connections, {}{think}",
                    until(*requests, *duration_s)
                )
            }
            Self::Open {
                rate,
                arrivals,
                duration_s,
                ..
            } => {
                format!(
                    "open loop, {}/s {}, {duration_s} s",
                    rounded(*rate),
                    arrivals.label()
                )
            }
            Self::Burst {
                size,
                count,
                interval_s,
            } => {
                if *count == 1 {
                    format!("burst of {size}")
                } else {
                    format!("{count} bursts of {size}, every {interval_s} s")
                }
            }
            Self::Ladder { connections, .. } => {
                let steps: Vec<String> = connections.iter().map(u32::to_string).collect();
                format!("closed-loop ladder {}", steps.join(", "))
            }
            Self::Stages { stages, arrivals, .. } => {
                let steps: Vec<String> = stages
                    .iter()
                    .map(|s| format!("{}/s over {} s", rounded(s.rate), s.duration_s))
                    .collect();
                format!("open loop {}, stages {}", arrivals.label(), steps.join(", "))
            }
            Self::Ramp {
                from,
                to,
                duration_s,
                arrivals,
                ..
            } => {
                format!(
                    "open loop, {}/s to {}/s {}, {duration_s} s",
                    rounded(*from),
                    rounded(*to),
                    arrivals.label()
                )
            }
            Self::Spike {
                base,
                peak,
                at_s,
                spike_s,
                duration_s,
                arrivals,
                ..
            } => {
                format!(
                    "open loop, {}/s {}, {duration_s} s, with {}/s for {spike_s} s from {at_s} s",
                    rounded(*base),
                    arrivals.label(),
                    rounded(*peak)
                )
            }
            Self::Replay { file, speed, .. } => replay_label(file, *speed),
        }
    }
}

fn replay_label(file: &str, speed: f64) -> String {
    let faster = if (speed - 1.0).abs() < f64::EPSILON {
        String::new()
    } else {
        format!(" at {speed} times its speed")
    };
    // The folder is of one machine only.
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("open loop, replay of {name}{faster}")
}

/// A rate for people: at most two decimals.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

/// One stage of [`Shape::Stages`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Arrivals per second at the end of the stage. The first stage starts at its own rate.
    pub rate: f64,
    /// Its length.
    pub duration_s: f64,
    /// Jump to the rate at once instead of ramping.
    #[serde(default)]
    pub jump: bool,
}

/// How open-loop arrivals are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrivals {
    /// Exponential gaps: independent users.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
    /// Gamma-distributed gaps: `{ gamma = { burstiness = 0.5 } }`.
    Gamma {
        /// Shape of the distribution, as vLLM's benchmark calls it: 1 is Poisson, less is burstier, more is more even.
        /// The coefficient of variation of the gaps is 1 / sqrt(burstiness).
        burstiness: f64,
    },
}

impl Arrivals {
    /// Whether its numbers make sense.
    pub fn is_sound(self) -> bool {
        match self {
            Self::Poisson | Self::Constant => true,
            Self::Gamma { burstiness } => burstiness.is_finite() && burstiness > 0.0,
        }
    }

    fn label(self) -> String {
        match self {
            Self::Poisson => "Poisson".to_owned(),
            Self::Constant => "evenly spaced".to_owned(),
            Self::Gamma { burstiness } => format!("gamma with burstiness {burstiness}"),
        }
    }
}

/// Timeouts, sizes and connection handling of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// To resolve, connect and finish TLS.
    pub connect_timeout_ms: u64,
    /// From the intended start to the end of the answer.
    pub timeout_ms: u64,
    /// Largest response head.
    pub head_bytes_max: u64,
    /// Largest response body.
    pub body_bytes_max: u64,
    /// Reuse connections.
    pub keep_alive: bool,
    /// Requests on one connection before it is closed and another opened; 0 means no bound. Without `keep_alive` it is
    /// one.
    pub requests_per_connection: u32,
    /// Users of a closed loop start, and so open their connections, at this rate per second; 0 means all at once.
    pub connect_rate: f64,
    /// Wake so many microseconds before a request is due and spin until then: a core of its own for sends that a sleeping
    /// core would delay. 0 means not to spin.
    pub spin_us: u32,
    /// Redirects to follow, to the same server and to those that were named: `[origin.NAME]`, `--redirect-to`.
    pub redirects_max: u32,
    /// End an open loop of one rate once a test says that the backlog goes on growing: more load would only show a longer
    /// queue. The phase is then marked as cut short, with the slope in a warning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop_saturated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            timeout_ms: 30_000,
            head_bytes_max: 64 << 10,
            body_bytes_max: 1 << 30,
            keep_alive: true,
            requests_per_connection: 0,
            connect_rate: 0.0,
            spin_us: 0,
            redirects_max: 0,
            stop_saturated: false,
        }
    }
}

impl Limits {
    /// How long before a request is due its worker stops sleeping.
    pub fn spin(&self) -> Nanos {
        Nanos(u64::from(self.spin_us) * 1000)
    }

    /// Most requests on one connection; `None` without a bound.
    pub fn requests_on_one(&self) -> Option<u32> {
        match (self.keep_alive, self.requests_per_connection) {
            (false, _) => Some(1),
            (true, 0) => None,
            (true, n) => Some(n),
        }
    }
}

/// Which responses are kept whole, within bounds: the first of a phase. Where neither bodies nor digests are asked for, the first that
/// failed: their heads. A good answer then costs no more than the reading of its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// At most so many responses per phase.
    pub responses_max: u32,
    /// At most so many bytes of each body; the rest is counted and thrown away.
    pub body_bytes_max: u32,
    /// Digest (XXH3-64) every body into its sample.
    pub digests: bool,
}

impl Capture {
    /// Keep nothing.
    pub const NONE: Self = Self {
        responses_max: 0,
        body_bytes_max: 0,
        digests: false,
    };

    /// Keep the heads of the first 50 answers that failed: enough to tell a habit, and whether refusals say when to come back.
    pub const FAILED: Self = Self {
        responses_max: 50,
        ..Self::NONE
    };

    /// Whether only requests that failed are kept: neither bodies nor digests are asked for.
    pub fn is_of_failures(self) -> bool {
        self.responses_max > 0 && self.body_bytes_max == 0 && !self.digests
    }

    /// Keep up to `responses` answers of up to 256 KiB, and digest all.
    pub fn responses(responses: u32) -> Self {
        Self {
            responses_max: responses,
            body_bytes_max: 256 << 10,
            digests: true,
        }
    }
}
