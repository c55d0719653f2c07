//! What does the server say of itself, and does it agree with the client? From two readings of its metrics and the streams
//! between them: queueing, preemption, a full key-value cache, a prefix cache without effect, and what lies between the
//! server's time to first token and the client's.
//!
//! It asks nothing of its own. It must not know where readings come from.

mod dialect;
mod findings;
#[cfg(test)]
mod tests;
mod told;

use prony_model::{Budget, Finding, PhaseResult};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

pub use dialect::{ServerMetrics, server_metrics};

const NAME: &str = "server-metrics";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "The server's own metrics",
    question: "What does the server say of itself, and does it agree with what a client sees?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["streams"],
    time: Time::None,
    build: |_, value| {
        let _: ServerMetricsParams = params(value)?;
        Ok(Box::new(Server))
    },
    schema: || schema_for!(ServerMetricsParams),
    example: "[experiment.server-metrics]\n",
};

/// The server-metrics experiment has no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerMetricsParams {}

struct Server;

impl Experiment for Server {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let phases: Vec<&PhaseResult> = run.phases.iter().filter(|p| !p.streams.is_empty()).collect();
        if phases.is_empty() {
            return Vec::new();
        }
        let Some(told) = told::told(&phases) else {
            return Vec::new();
        };
        findings::of(&told, &phases)
    }
}
