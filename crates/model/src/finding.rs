//! A conclusion with its evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Verdict;

/// One answer to one question about the target. Nothing is claimed that the evidence does not carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable slug of the kind of finding: `serial-service`, `template-answer`.
    pub id: String,
    /// The experiment that made it.
    pub experiment: String,
    /// The endpoint it is about; empty for the target as a whole.
    pub endpoint: String,
    /// The verdict of this check.
    pub verdict: Verdict,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it counts for the overall verdict; an advisory check caps at WARN.
    pub required: bool,
    /// One plain sentence.
    pub title: String,
    /// A few more sentences: what was done, what came out, what it means and what it does not.
    pub detail: String,
    /// The numbers.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub recommendation: Option<Recommendation>,
}

impl Finding {
    /// The verdict as it counts for the run: advisory checks cap at WARN.
    pub fn counted(&self) -> Verdict {
        if self.required {
            self.verdict
        } else {
            self.verdict.min(Verdict::Warn)
        }
    }
}

/// How much a finding matters to someone who runs the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// A blemish.
    Low,
    /// Will hurt some users.
    Medium,
    /// Will hurt most users, or makes published numbers wrong.
    High,
    /// Answers are wrong, or the target can be brought down.
    Critical,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A number.
    Figure(Figure),
    /// A few rows.
    Table(Table),
    /// Something the target said, bounded, to be escaped by whoever shows it.
    Quote {
        /// What it is.
        label: String,
        /// The target's text.
        text: String,
        /// Where it came from.
        source: Source,
    },
}

/// A measured number with its uncertainty and its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// What was measured.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Unit: `ms`, `1/s`, `ratio`, `requests`, `MiB`, `` for a pure number.
    pub unit: String,
    /// 95 % confidence interval, when there is one.
    pub ci: Option<(f64, f64)>,
    /// Observations behind it.
    pub n: u64,
    /// Where it came from.
    pub source: Source,
}

/// A small table of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// What it shows.
    pub label: String,
    /// Column heads, with units.
    pub columns: Vec<String>,
    /// Cells, as text, one per column.
    pub rows: Vec<Vec<String>>,
    /// Where it came from.
    pub source: Source,
}

/// Where evidence came from: a phase, and a scenario in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Index of the phase in the run; `None` for what did not come from a phase.
    pub phase: Option<u16>,
    /// Scenario name; empty for the whole phase.
    pub scenario: String,
}

/// What to do, and how that follows from the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// The advice, one or two sentences.
    pub advice: String,
    /// The formula or reasoning with the measured numbers in it; empty when it is evident.
    pub because: String,
}
