//! What an arrival may be beyond one fixed request: rows from a feed, several steps, several attempts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Outcome;

/// Where the values of `{{NAME.COLUMN}}` come from: `[feed.NAME]`. Exactly one of `file` and `generate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// CSV file with a header line, or NDJSON file (`.ndjson`, `.jsonl`; a column is a key, or a JSON pointer that
    /// starts with `/`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Values made up on the way, as `{{NAME}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Which row is next.
    pub order: FeedOrder,
    /// Who takes a row.
    pub per: FeedPer,
    /// Columns whose values are masked wherever an answer that is kept repeats them. Values that go into a header are
    /// masked without being named here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
}

/// Values made up on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Generate {
    /// `from`, `from + step`, ...
    Sequence {
        /// The first.
        #[serde(default)]
        from: i64,
        /// From one to the next.
        #[serde(default = "one_step")]
        step: i64,
    },
    /// Whole numbers from the run's seed, each equally likely.
    IntRange {
        /// Smallest.
        from: i64,
        /// Largest.
        to: i64,
    },
    /// One of these: a feed of so many rows.
    Choice {
        /// The values.
        of: Vec<String>,
    },
    /// Random UUIDs (version 4) from the run's seed.
    Uuid,
}

fn one_step() -> i64 {
    1
}

/// Which row of a feed is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedOrder {
    /// First to last, then again: arrival `k` of a scenario takes row `k % rows`.
    #[default]
    InTurn,
    /// Any row, from the run's seed.
    Random,
    /// First to last; the phase ends when they are used up.
    Once,
}

/// Who takes a row of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedPer {
    /// Every arrival.
    #[default]
    Arrival,
    /// Every user of a closed loop, once and for all: user `k` has row `k % rows`.
    User,
}

/// Says that `{{...}}` in the requests of a scenario is filled in for every arrival, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// The feeds by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feeds: BTreeMap<String, Feed>,
}

/// Says that the items of a scenario are the steps of one arrival, in order. A step that fails ends the flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// One for each item of the scenario.
    pub steps: Vec<Step>,
    /// Each arrival keeps the cookies that answers set, and sends them back with its next requests to the same server.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cookies: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a step of a flow is, beside its request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within its flow.
    pub name: String,
    /// What later steps take from its answer, as `{{carry.NAME}}`. An answer without it fails its checks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carry: BTreeMap<String, Carry>,
    /// Pause before the step, in milliseconds.
    #[serde(default)]
    pub think_ms: f64,
    /// Repeat the step until its answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Name of the origin that its request goes to; the target by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A value in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Carry {
    /// What stands at a JSON pointer (RFC 6901) of the body; text without its quotes.
    Json(String),
    /// The value of a header.
    Header(String),
    /// What the first group of a regular expression (the whole match where it has none) finds in the body.
    Regex(String),
}

/// Poll: repeat a step until a JSON value of its answer is the expected one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// JSON pointer into the body.
    pub pointer: String,
    /// The awaited scalar, compared as text.
    pub value: String,
    /// Pause between two polls, in milliseconds.
    #[serde(default = "poll_ms")]
    pub every_ms: u32,
    /// Polls in all; when the last does not show the value, the step has failed.
    #[serde(default = "polls")]
    pub polls_max: u16,
}

fn poll_ms() -> u32 {
    100
}

fn polls() -> u16 {
    50
}

/// When a failed request is sent again, and how long after. Backoff has full jitter: the pause before attempt `k` is
/// uniform between 0 and `min(cap_ms, base_ms * 2^(k-1))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u8,
    /// After which failures: statuses (`"503"`), outcomes (`"reset"`, `"headers-timeout"`), or `"5xx"` and `"timeout"`.
    pub on: Vec<RetryOn>,
    /// Largest pause before the second attempt; it doubles with every attempt.
    pub base_ms: u32,
    /// Largest pause of all.
    pub cap_ms: u32,
    /// Wait at least as long as `Retry-After` asks for. An answer that asks for more than so many seconds is final; 0
    /// ignores the header.
    pub retry_after_max_s: u32,
    /// Send again what may have had an effect: POST and PATCH too. Otherwise only what never left is sent again.
    pub unsafe_methods: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: vec![
                RetryOn::Status(429),
                RetryOn::Status(502),
                RetryOn::Status(503),
                RetryOn::Status(504),
                RetryOn::Outcome(Outcome::Reset),
                RetryOn::Outcome(Outcome::GrpcUnavailable),
            ],
            base_ms: 100,
            cap_ms: 10_000,
            retry_after_max_s: 30,
            unsafe_methods: false,
        }
    }
}

/// A failure after which a request may be sent again. Written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// An unexpected answer with this status.
    Status(u16),
    /// An unexpected answer with a status from 500.
    ServerError,
    /// Any timeout.
    Timeout,
    /// This outcome.
    Outcome(Outcome),
}

impl RetryOn {
    /// Whether it means a failure.
    pub fn matches(self, outcome: Outcome, status: u16) -> bool {
        use crate::OutcomeClass::{ClientError, Refusal, ServerError, Timeout, WrongAnswer};
        let answered = matches!(outcome.class(), ClientError | Refusal | ServerError)
            || (outcome.class() == WrongAnswer && outcome == Outcome::StatusOther);
        outcome.is_failure()
            && match self {
                Self::Status(wanted) => answered && status == wanted,
                Self::ServerError => answered && status >= 500,
                Self::Timeout => outcome.class() == Timeout,
                Self::Outcome(wanted) => outcome == wanted,
            }
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::ServerError => f.write_str("5xx"),
            Self::Timeout => f.write_str("timeout"),
            Self::Outcome(outcome) => f.write_str(outcome.name()),
        }
    }
}

impl FromStr for RetryOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(status) = text.parse::<u16>()
            && (100..=599).contains(&status)
        {
            return Ok(Self::Status(status));
        }
        let named = |o: &&Outcome| o.is_failure() && o.name() == text;
        match text {
            "5xx" => Ok(Self::ServerError),
            "timeout" => Ok(Self::Timeout),
            _ => Outcome::ALL
                .iter()
                .find(named)
                .map(|o| Self::Outcome(*o))
                .ok_or_else(|| {
                    let known: Vec<&str> = Outcome::ALL
                        .iter()
                        .filter(|o| o.is_failure())
                        .map(|o| o.name())
                        .collect();
                    format!(
                        "`{text}` is no failure; write a status such as 503, 5xx, timeout, or one of: {}",
                        known.join(", ")
                    )
                }),
        }
    }
}

impl Serialize for RetryOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RetryOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RetryOn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RetryOn".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^([1-5][0-9][0-9]|5xx|[a-z0-9-]+)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::RetryOn;
    use crate::Outcome;

    #[test]
    fn every_failure_can_be_named_and_nothing_else() {
        for &outcome in Outcome::ALL {
            let parsed = outcome.name().parse::<RetryOn>();
            assert_eq!(parsed.is_ok(), outcome.is_failure(), "{outcome:?}");
            if let Ok(on) = parsed {
                assert_eq!(on.to_string().parse(), Ok(on));
                assert!(on.matches(outcome, 0));
            }
        }
        for text in ["429", "5xx", "timeout"] {
            assert_eq!(text.parse::<RetryOn>().unwrap().to_string(), text);
        }
        for wrong in ["", "99", "600", "ok", "shed", "resett", "4xx"] {
            assert!(wrong.parse::<RetryOn>().unwrap_err().contains("reset"), "{wrong}");
        }
    }

    #[test]
    fn a_status_counts_only_where_it_was_not_expected() {
        let on = |text: &str| text.parse::<RetryOn>().unwrap();
        assert!(on("503").matches(Outcome::Status503, 503));
        assert!(!on("503").matches(Outcome::Ok, 503));
        assert!(!on("503").matches(Outcome::Truncated, 503));
        assert!(on("5xx").matches(Outcome::Status5xx, 502) && on("5xx").matches(Outcome::Status503, 503));
        assert!(!on("5xx").matches(Outcome::Status4xx, 404));
        assert!(on("timeout").matches(Outcome::BodyTimeout, 200));
        assert!(on("404").matches(Outcome::Status4xx, 404) && !on("404").matches(Outcome::Status4xx, 403));
        assert!(!on("timeout").matches(Outcome::Interrupted, 0));
    }
}
