//! Streams of tokens in a report: one table for each scenario and step whose answers are streams, in the terms of LLM serving.
//!
//! The view model; `build` makes it, formats lay it out. What each term means stands in docs/llm/metrics.md.

mod build;
mod counts;
mod goodput;
mod lines;
mod split;
mod strata;
mod warnings;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definitions::{Compared, RecordedStream, Restated};

pub(crate) use build::build;
pub use goodput::{Goodput, Slo, SloError, SloMetric};

/// The streams of one phase as they were recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseStreams {
    /// In order of completion.
    pub streams: Vec<RecordedStream>,
    /// Whether there were more.
    pub cut: bool,
}

/// The streams of one scenario and step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamTable {
    /// Anchor in the report.
    pub anchor: String,
    /// Number in the report, from 1: `prony report --streams N`.
    pub number: u32,
    /// Anchor of the phase.
    pub phase: String,
    /// Label of the phase.
    pub label: String,
    /// Scenario name.
    pub scenario: String,
    /// Step of a ladder or stage list, from 0.
    pub step: u16,
    /// Concurrency of the step in a closed loop; 0 in an open loop.
    pub connections: u32,
    /// Whether arrivals were independent of answers: then the time to first token counts from the schedule.
    pub open_loop: bool,
    /// The model that the requests name; empty when none.
    pub model: String,
    /// The protocol; empty when it is not known.
    pub protocol: String,
    /// Requests per second that the schedule held; 0 in a closed loop.
    pub offered_per_s: f64,
    /// The figures, group by group.
    pub groups: Vec<LineGroup>,
    /// How many requests held every objective; `None` without objectives or without records.
    pub goodput: Option<Goodput>,
    /// By length of prompt and of answer, where they vary.
    pub strata: Vec<Stratum>,
    /// What limits these figures, one sentence each.
    pub warnings: Vec<String>,
    /// What other tools would print of the same answers; empty without records.
    pub others: Vec<OtherTool>,
    /// Answers whose records were used for what the summary does not hold.
    pub records: u64,
    /// Whether there were more records than were read.
    pub records_cut: bool,
    /// The same answers as each tool sums them up, by name of its definitions: what the files in the formats of other
    /// tools are made of. Not in the JSON format.
    #[serde(skip)]
    pub restated: BTreeMap<String, Restated>,
}

impl StreamTable {
    /// A figure by key.
    pub fn line(&self, key: &str) -> Option<&StreamLine> {
        self.groups.iter().flat_map(|g| &g.lines).find(|l| l.key == key)
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineGroup {
    /// What they are about; empty for the first group.
    pub title: String,
    /// The figures.
    pub lines: Vec<StreamLine>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamLine {
    /// Stable key, unit last: `ttft_p99_ms`.
    pub key: String,
    /// What it is.
    pub label: String,
    /// The value; `None` when there is none, see `note`.
    pub value: Option<f64>,
    /// Unit as in findings: `ms`, `1/s`, `share`, empty for a count.
    pub unit: String,
    /// 95 % interval, when there is one.
    pub ci: Option<(f64, f64)>,
    /// Why there is no value, or what to know of it; empty when nothing.
    pub note: String,
}

/// Answers of one range of lengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stratum {
    /// `input` or `output`.
    pub by: String,
    /// Fewest tokens.
    pub tokens_min: u32,
    /// Most tokens.
    pub tokens_max: u32,
    /// Good answers.
    pub n: u64,
    /// Its figures: median and 99th percentile of TTFT, medians of TPOT and of the end-to-end time.
    pub lines: Vec<StreamLine>,
}

/// What another tool would print.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherTool {
    /// Name of the definitions, as in `--definitions NAME`.
    pub name: String,
    /// What the tool is called.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// Its ways in a sentence.
    pub about: String,
    /// Whether it speaks the protocol of these answers.
    pub speaks: bool,
    /// What the recording does not hold, so that its numbers here are not exactly those it would print.
    pub approximations: String,
    /// Its most different number and why, in a sentence; empty when none differs by 5 % or more.
    pub says: String,
    /// Its numbers beside ours.
    pub compared: Vec<Compared>,
}
