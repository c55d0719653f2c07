//! From what was recorded to what a person reads: one view model, laid out by every format.
//!
//! [`RunRecord::fold`] reads a run's events, [`Report::build`] makes the view model, [`FORMATS`] lay it out. Pure: no
//! I/O and no clock, so the same run gives the same report. It evaluates nothing: verdicts of findings, gates and
//! claims come with the events.

mod alerts;
mod benchmark;
mod build;
mod chart;
mod csv;
mod curves;
pub mod definitions;
mod error;
mod escape;
mod html;
mod json;
mod junit;
mod kubernetes;
mod markdown;
mod memory;
mod number;
pub mod peers;
mod record;
mod report;
mod streams;
mod svg;
mod template;
pub mod terminal;
mod verdict;
mod yaml;

pub use curves::{Curve, CurvePoint};
pub use error::RenderError;
pub use json::json_schema;
pub use memory::{MemoryReadings, MemorySeries};
pub use record::{ExperimentTitle, Finished, RunRecord, StartedPhase};
pub use report::{
    ClaimEntry, Counts, FindingEntry, Gaps, Missed, NoFailures, PhaseEntry, RecommendationEntry, Report,
    RunEnd, RunFacts, Section, Summary, SystemRow, SystemView, TableEntry, TargetFacts, UnfinishedPhase,
};
pub use streams::{
    Goodput, LineGroup, OtherTool, PhaseStreams, Slo, SloError, SloMetric, Stratum, StreamLine, StreamTable,
};
pub use terminal::TerminalStyle;
pub use verdict::verdict;

/// A format of reports: registry entry and help text.
pub struct FormatDef {
    /// Name, as in `--format NAME`.
    pub name: &'static str,
    /// Name of its file beside the recording.
    pub file: &'static str,
    /// What it is for, in a few words.
    pub description: &'static str,
    /// Whether it has anything to say of a report: without, no file is written.
    pub applies: fn(&Report) -> bool,
    /// Lays out a report. Only the terminal's format heeds the style.
    pub render: fn(&Report, TerminalStyle) -> Result<String, RenderError>,
}

/// Every format. Adding one is one file and one line here.
pub static FORMATS: &[&FormatDef] = &[
    &terminal::DEF,
    &html::DEF,
    &markdown::DEF,
    &json::DEF,
    &junit::DEF,
    &csv::DEF,
    &kubernetes::DEF,
    &alerts::DEF,
    &benchmark::DEF,
    &svg::DEF,
];

/// The format of that name.
pub fn find(name: &str) -> Option<&'static FormatDef> {
    FORMATS.iter().copied().find(|def| def.name == name)
}
