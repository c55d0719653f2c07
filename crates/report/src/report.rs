//! The view model: everything a report says, computed once. Formats only lay it out.
//!
//! Field names are stable within a [`Report::FORMAT`]; the JSON format is this, as it stands. No markup in here.

use std::collections::BTreeMap;

use prony_model::{
    Advice, ClaimResult, Figure, Finding, GateResult, Nanos, PhaseSummary, Severity, SystemSnapshot, Table,
    Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curves::Curve;
use crate::memory::MemorySeries;
use crate::record::ExperimentTitle;
use crate::streams::StreamTable;

/// A report, ready to be laid out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// Name of what was tested.
    pub title: String,
    /// The overall verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub because: String,
    /// Who ran what.
    pub run: RunFacts,
    /// What was tested.
    pub target: TargetFacts,
    /// What the findings add up to.
    pub summary: Summary,
    /// The findings: what is not a PASS first, by severity; then what passed.
    pub findings: Vec<FindingEntry>,
    /// The system around the target.
    pub system: SystemView,
    /// The measurements, by experiment.
    pub sections: Vec<Section>,
    /// Streams of tokens: one table for each scenario and step whose answers are streams.
    #[serde(default)]
    pub streams: Vec<StreamTable>,
    /// Throughput against interactivity: scenarios that were streamed at two concurrencies or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
    /// Claims of others held against the measurements.
    pub claims: Vec<ClaimEntry>,
    /// Gates.
    pub gates: Vec<GateResult>,
    /// What to do, most severe first.
    pub recommendations: Vec<RecommendationEntry>,
    /// What to configure, as far as it was measured.
    #[serde(default)]
    pub advice: Advice,
    /// What was not tested and what could have been missed.
    pub gaps: Gaps,
    /// What the user should know that is not a finding.
    pub notes: Vec<String>,
    /// What is damaged or missing in the recording.
    pub damage: Vec<String>,
}

impl Report {
    /// The current format.
    pub const FORMAT: u32 = 1;

    /// The finding of an anchor.
    pub fn finding(&self, anchor: &str) -> Option<&FindingEntry> {
        self.findings.iter().find(|f| f.anchor == anchor)
    }

    /// Every phase with figures, in the order of the sections.
    pub fn phases(&self) -> impl Iterator<Item = &PhaseEntry> {
        self.sections.iter().flat_map(|s| &s.phases)
    }
}

/// Who ran what, how it ended, and how to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFacts {
    /// Identifier.
    pub id: String,
    /// How it ended.
    pub end: RunEnd,
    /// Version of Prony.
    pub prony: String,
    /// Command that repeats it.
    pub command: String,
    /// Wall-clock start, RFC 3339.
    pub started_at: String,
    /// From start to end, or to the last thing recorded.
    pub duration: Nanos,
    /// Seed of every random choice.
    pub seed: u64,
    /// Facts about the generator's host.
    pub host: BTreeMap<String, String>,
    /// Whether the target shared that host.
    pub shared_host: bool,
    /// Name of the suite; empty when none.
    pub suite: String,
    /// What the suite is for; empty when it does not say.
    pub description: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// It did all it set out to do.
    Finished,
    /// The user stopped it.
    Interrupted,
    /// It ends without an end: it was killed, or it is still running.
    Killed,
}

/// What was tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetFacts {
    /// URL without user info.
    pub url: String,
    /// Name it gives itself; empty when none.
    pub name: String,
    /// Version it gives itself; empty when none.
    pub version: String,
    /// How its endpoints were found, one line each.
    pub found_by: Vec<String>,
    /// Endpoints found.
    pub endpoints: u64,
}

/// What the findings add up to: the executive summary, and nothing that was not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Findings by verdict as they count.
    pub findings: Counts,
    /// Gates by verdict.
    pub gates: Counts,
    /// Plain sentences.
    pub sentences: Vec<String>,
    /// Requests the schedules held.
    pub offered: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Failed by the target.
    pub failed: u64,
    /// Shed, interrupted or out of local resources: the generator's doing.
    pub own: u64,
}

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Holds.
    pub pass: u64,
    /// Holds, with a reservation.
    pub warn: u64,
    /// Too little data to decide.
    pub inconclusive: u64,
    /// Does not hold.
    pub fail: u64,
    /// The measurement cannot be trusted.
    pub invalid: u64,
}

impl Counts {
    /// Counts verdicts.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Pass => &mut counts.pass,
                Verdict::Warn => &mut counts.warn,
                Verdict::Inconclusive => &mut counts.inconclusive,
                Verdict::Fail => &mut counts.fail,
                Verdict::Invalid => &mut counts.invalid,
            } += 1;
        }
        counts
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.pass + self.warn + self.inconclusive + self.fail + self.invalid
    }
}

/// A finding with its place in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingEntry {
    /// Anchor in the report.
    pub anchor: String,
    /// The verdict as it counts for the run.
    pub counted: Verdict,
    /// The finding.
    pub finding: Finding,
}

/// The system around the target, before and after and in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemView {
    /// Label of the first snapshot; empty when there is none.
    pub before: String,
    /// Label of the last snapshot; empty when there is only one.
    pub after: String,
    /// One row per thing that was seen at least once.
    pub rows: Vec<SystemRow>,
    /// What could not be seen, and why.
    pub missing: Vec<String>,
    /// All snapshots as recorded.
    pub snapshots: Vec<SystemSnapshot>,
    /// The target's memory between them, thinned out. Not in the JSON format: the recording holds every reading.
    #[serde(skip)]
    pub memory: MemorySeries,
}

/// One thing about the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemRow {
    /// Key of the snapshot, unit last: `target.pss_bytes`.
    pub key: String,
    /// At the first snapshot; `None` when not observed.
    pub before: Option<f64>,
    /// At the last snapshot; `None` when not observed.
    pub after: Option<f64>,
}

/// The measurements of one experiment, or of the phases written by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// Anchor in the report.
    pub anchor: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Title.
    pub title: String,
    /// The question; empty for phases written by hand.
    pub question: String,
    /// The worst of its findings as they count; `None` when it made none.
    pub verdict: Option<Verdict>,
    /// Anchors of its findings.
    pub findings: Vec<String>,
    /// Tables of evidence of its findings.
    pub tables: Vec<TableEntry>,
    /// Its phases with figures.
    pub phases: Vec<PhaseEntry>,
    /// Its phases without figures.
    pub unfinished: Vec<UnfinishedPhase>,
}

/// A table of evidence with its place in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableEntry {
    /// Anchor in the report.
    pub anchor: String,
    /// Anchor of the finding it belongs to.
    pub finding: String,
    /// The table.
    pub table: Table,
}

/// A phase with figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseEntry {
    /// Anchor in the report.
    pub anchor: String,
    /// Its name; with that of its experiment before it when another phase has the same name.
    pub label: String,
    /// What its author says of it; empty when nothing.
    pub description: String,
    /// The worst of its gates; INVALID when the phase is. `None` when it has no gates and is valid.
    pub verdict: Option<Verdict>,
    /// Its figures.
    pub summary: PhaseSummary,
}

/// A phase that began and left no figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnfinishedPhase {
    /// Anchor in the report.
    pub anchor: String,
    /// Its name; with that of its experiment before it when another phase has the same name.
    pub label: String,
    /// Index in the run.
    pub index: u16,
    /// The shape in words.
    pub shape: String,
    /// When it began.
    pub started: Nanos,
    /// Completions at its last sign of life.
    pub done: u64,
    /// Failures among them.
    pub failed: u64,
}

/// A claim with its place in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimEntry {
    /// Anchor in the report.
    pub anchor: String,
    /// The claim and what became of it.
    pub result: ClaimResult,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecommendationEntry {
    /// Anchor of the finding it follows from.
    pub finding: String,
    /// How much that finding matters.
    pub severity: Severity,
    /// The advice.
    pub advice: String,
    /// How it follows from the numbers; empty when evident.
    pub because: String,
}

/// What was not tested and what could have been missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gaps {
    /// Phases in which nothing failed, with the failure rate that this still allows.
    pub no_failures: Vec<NoFailures>,
    /// What the checks that found no fault could have missed.
    #[serde(default)]
    pub missed: Vec<Missed>,
    /// Endpoints that no request was sent to.
    pub untouched_endpoints: Vec<String>,
    /// Experiments that did not run.
    pub not_run: Vec<ExperimentTitle>,
    /// Limits of what was done, one sentence each.
    pub limits: Vec<String>,
}

/// What a check that found no fault could have missed: its figure may be anywhere in its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Missed {
    /// Anchor of the finding.
    pub finding: String,
    /// Its title.
    pub title: String,
    /// The figure, with its interval and n; or the smallest effect that the check could have seen, where it says so itself.
    pub figure: Figure,
}

/// A phase in which nothing failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoFailures {
    /// Anchor of the phase.
    pub phase: String,
    /// Label of the phase.
    pub label: String,
    /// Requests answered as expected.
    pub n: u64,
    /// Failure rate that is still possible at 95 % confidence: `1 - 0.05^(1/n)`.
    pub rate_max: f64,
}
