//! What to configure, as far as measurements carry it: settings with their formula and evidence, and what nobody measured.
//! Worked out elsewhere; these are the results.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Figure;

/// What to configure around the target. Nothing stands here whose input was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// The settings, in the order in which a person would look for them.
    pub settings: Vec<Setting>,
    /// What cannot be recommended, and what to run first.
    pub unmeasured: Vec<Unmeasured>,
    /// Where a platform can probe the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeAddress>,
    /// The target's own metrics, by what they count; those that it was seen to expose.
    #[serde(default)]
    pub metrics: MetricNames,
}

impl Advice {
    /// The setting of that key.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|s| s.key == key)
    }

    /// Whether there is anything to say.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.unmeasured.is_empty()
    }
}

/// One value to configure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Stable key, `TOPIC.NAME`: `liveness.timeout_s`.
    pub key: String,
    /// The value.
    pub value: f64,
    /// Its unit, as in [`Figure::unit`].
    pub unit: String,
    /// The advice, one plain sentence.
    pub says: String,
    /// The formula with the measured numbers in it.
    pub formula: String,
    /// The figures that the formula takes, each with the phase that it came from.
    pub evidence: Vec<Figure>,
    /// What it does not hold for; empty when nothing is known against it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caveat: String,
}

/// Something that cannot be recommended yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmeasured {
    /// What is not recommended: `startup probe`.
    pub what: String,
    /// What is missing, in a few words.
    pub missing: String,
    /// What to run or to state first.
    pub first: String,
}

/// Where a platform can probe the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeAddress {
    /// `http` or `https`.
    pub scheme: String,
    /// Port.
    pub port: u16,
    /// Path that tells whether the process lives; empty when none was found.
    pub live_path: String,
    /// Path that tells whether it can take requests; the same as `live_path` when the target has only one.
    pub ready_path: String,
}

/// Names of the target's own Prometheus metrics; empty where none was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricNames {
    /// Histogram of request durations in seconds, without `_bucket`.
    pub duration_seconds: String,
    /// Counter of requests with a label for the status.
    pub requests_total: String,
    /// The label of `requests_total` that holds the status: `status`, `code`.
    pub status_label: String,
    /// Gauge of the requests in progress.
    pub in_progress: String,
    /// Gauge of the resident memory in bytes.
    pub resident_bytes: String,
}
