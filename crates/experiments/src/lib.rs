//! One file per question that a person asks of an inference backend.
//!
//! An experiment is a pure state machine: it says which phase to run next, and concludes from what was recorded.
//! No I/O, no clock: the same code runs against a live target and, in virtual time, against a simulated one.
//! It sees only what any HTTP client sees.

mod advice;
mod answer;
mod baseline;
mod burst;
mod claim;
mod client_floor;
mod coverage;
mod diversity;
mod draft;
pub mod dzi;
mod experiment;
#[cfg(test)]
mod fake;
mod first_call;
mod gate;
mod identity;
mod image_header;
pub mod imported;
mod input_validation;
mod ladder;
mod leaf;
mod metric;
mod mutation;
mod primary;
mod relation;
mod status;
mod sustained;
pub mod tiles;
mod timings;
mod view;
mod wording;

pub use advice::advise;
pub use claim::judge_claim;
pub use experiment::{Build, BuildContext, Experiment, ExperimentDef, ParamError, Step};
pub use gate::{
    Check, CheckError, FINDING_FORMS, FOUND_FIGURES, FoundFigure, Op, Wanted, judge_gate, judge_gates,
};
pub use metric::{METRIC_FORMS, Metric, Span};
pub use view::RunView;

/// Every experiment, in the order in which a run performs them. Adding one is one file and one line here.
pub static EXPERIMENTS: &[&ExperimentDef] = &[
    &coverage::DEF,
    &client_floor::DEF,
    &baseline::DEF,
    &first_call::DEF,
    &diversity::DEF,
    &identity::DEF,
    &status::DEF,
    &tiles::DEF,
    &input_validation::DEF,
    &burst::DEF,
    &ladder::DEF,
    &sustained::DEF,
];

/// The experiment of that name.
pub fn find(name: &str) -> Option<&'static ExperimentDef> {
    EXPERIMENTS.iter().copied().find(|def| def.name == name)
}
