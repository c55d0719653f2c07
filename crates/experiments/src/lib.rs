//! One file per question that a person asks of an inference backend.
//!
//! An experiment is a pure state machine: it says which phase to run next, and concludes from what was recorded.
//! No I/O, no clock: the same code runs against a live target and, in virtual time, against a simulated one.
//! It sees only what any HTTP client sees.

mod advice;
mod answer;
mod auth;
mod baseline;
mod burst;
mod cache;
mod cache_claim;
mod cancellation;
mod capacity;
mod claim;
mod client_floor;
mod cold_start;
pub mod compare;
mod coverage;
mod diversity;
mod downloads;
mod draft;
mod drain;
pub mod dzi;
mod errors;
mod experiment;
#[cfg(test)]
mod fake;
mod field;
mod first_call;
mod gate;
mod identity;
mod image_header;
pub mod imported;
mod input_validation;
mod integrity;
mod interactivity;
mod job_lifecycle;
mod ladder;
mod leaf;
mod leak;
mod lockout;
mod machine;
mod metric;
mod mutation;
mod objective;
pub mod onnx;
mod overload;
mod persistence;
mod primary;
mod process_life;
mod rate;
mod rate_limit;
mod recovery;
mod relation;
mod reset;
mod server_metrics;
mod side_by_side;
mod slo;
mod startup;
mod status;
mod streamed;
mod streams;
mod sustained;
mod text_slot;
pub mod tiles;
mod timings;
mod token_counts;
mod usage;
mod view;
mod wording;
mod worker_id;
mod workers;
mod workload;

pub use advice::advise;
pub use claim::judge_claim;
pub use coverage::answer_s;
pub use downloads::written_files;
pub use experiment::{Basis, Build, BuildContext, Experiment, ExperimentDef, ParamError, Step, Time};
pub use gate::{
    Check, CheckError, FINDING_FORMS, FOUND_FIGURES, FoundFigure, Op, Wanted, judge_gate, judge_gates,
};
pub use metric::{METRIC_FORMS, Metric, Span, StreamSpan, Unit};
pub use server_metrics::{ServerMetrics, server_metrics};
pub use slo::{Goodput, Slo, check_slo};
pub use view::RunView;

/// Every experiment, in the order in which a run performs them. Adding one is one file and one line here.
pub static EXPERIMENTS: &[&ExperimentDef] = &[
    &coverage::DEF,
    &client_floor::DEF,
    &cache_claim::DEF,
    &side_by_side::DEF,
    &baseline::DEF,
    &first_call::DEF,
    &diversity::DEF,
    &identity::DEF,
    &status::DEF,
    &tiles::DEF,
    &job_lifecycle::DEF,
    &input_validation::DEF,
    &usage::DEF,
    &auth::DEF,
    &streams::DEF,
    &cancellation::DEF,
    &interactivity::DEF,
    &burst::DEF,
    &ladder::DEF,
    &workers::DEF,
    &downloads::DEF,
    &cache::DEF,
    &integrity::DEF,
    &rate_limit::DEF,
    &capacity::DEF,
    &sustained::DEF,
    &leak::DEF,
    &cold_start::DEF,
    &overload::DEF,
    &server_metrics::DEF,
    &recovery::DEF,
    &lockout::DEF,
    &errors::DEF,
    &startup::DEF,
    &persistence::DEF,
    &drain::DEF,
];

/// Experiments that stop and start the target's process: they come last, and are asked of a target only that was started for it.
pub static OF_A_PROCESS: &[&str] = &["startup", "persistence", "drain"];

/// The experiments of those names and all that they need, in the order in which a run performs them.
pub fn with_needed<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'static ExperimentDef> {
    let mut wanted: Vec<&str> = names.into_iter().collect();
    let mut at = 0;
    while let Some(name) = wanted.get(at) {
        let needed = find(name).map_or(&[][..], |def| def.needs);
        wanted.extend(needed);
        at += 1;
    }
    EXPERIMENTS
        .iter()
        .copied()
        .filter(|def| wanted.contains(&def.name))
        .collect()
}

/// The experiment of that name.
pub fn find(name: &str) -> Option<&'static ExperimentDef> {
    EXPERIMENTS.iter().copied().find(|def| def.name == name)
}

#[cfg(test)]
mod tests {
    use super::{EXPERIMENTS, find, with_needed};

    #[test]
    fn what_an_experiment_needs_comes_before_it() {
        for (at, def) in EXPERIMENTS.iter().enumerate() {
            for needed in def.needs {
                let place = EXPERIMENTS.iter().position(|other| other.name == *needed);
                assert!(
                    place.is_some_and(|place| place < at),
                    "{} needs {needed}",
                    def.name
                );
            }
        }
        assert!(find("coverage").is_some());
    }

    #[test]
    fn one_alone_brings_what_it_needs() {
        let names: Vec<&str> = with_needed(["identity"]).iter().map(|def| def.name).collect();
        assert_eq!(names, ["coverage", "diversity", "identity"]);
        let both = with_needed(["identity", "coverage", "identity"]);
        assert_eq!(both.len(), 3, "each once");
    }
}
