//! Throughput against interactivity: how many tokens per second in all, and how many for each user, from one stream at a time
//! to many? A closed loop of rising concurrency, for prompts that are long, answers that are long, or the suite's own.
//!
//! The load is here; `interactivity/curve.rs` holds the arithmetic, `interactivity/requests.rs` makes the two kinds of requests and
//! `interactivity/report.rs` has the words. It must not know any server.

mod curve;
mod report;
mod requests;
#[cfg(test)]
mod tests;

use prony_model::{Budget, Capture, Finding, Limits, Phase, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::reset::{self, Reset};
use crate::streamed::streaming;
use crate::workload::{self, Workload};
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};

const NAME: &str = "interactivity";

/// Streams at once of one step at most.
const CONNECTIONS_MAX: u32 = 10_000;
/// Answers of a step at most, for each stream at once: a fast target's record stays small.
const ANSWERS_EACH: u64 = 200;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Throughput against interactivity",
    question: "How many tokens per second in all, and how many for each user, as more read at once?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage", "baseline", "streams"],
    time: Time::Filled {
        usual_s: [12.0, 40.0, 120.0],
        answers: 6.0,
    },
    build: |context, value| {
        let asked: InteractivityParams = params(value)?;
        asked.reset.as_ref().map_or(Ok(()), Reset::check)?;
        workload::check(asked.scenarios.as_deref())?;
        let top = match context.budget {
            Budget::Quick => 4,
            Budget::Standard => 6,
            Budget::Thorough => 8,
        };
        let mut connections = asked
            .connections
            .unwrap_or_else(|| (0..top).map(|k| 1 << k).collect());
        connections.sort_unstable();
        connections.dedup();
        if connections.len() < 2 || connections[0] == 0 || connections.last() > Some(&CONNECTIONS_MAX) {
            return Err(ParamError {
                message: format!("`connections` needs two steps or more, each of 1 to {CONNECTIONS_MAX}"),
            });
        }
        Ok(Box::new(Interactivity {
            connections,
            scenarios: asked.scenarios,
            stops: asked.stop.unwrap_or(true),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            reset: asked.reset,
            held: None,
            plan: None,
            at: (0, 0),
        }))
    },
    schema: || schema_for!(InteractivityParams),
    example: "[experiment.interactivity]\nconnections = [1, 2, 4, 8, 16, 32]\nscenarios = [\"chat\"]    # of the suite; by default \
              two kinds of the endpoint's own request\nduration_s = 60\n",
};

/// Parameters of the sweep.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InteractivityParams {
    /// Streams at once in each step. By default 1, 2, 4, 8; in a standard run up to 32, in a thorough one up to 128.
    pub connections: Option<Vec<u32>>,
    /// Scenarios of the suite to sweep, one after another. By default the first streaming endpoint's request twice: prefill-heavy
    /// (a long prompt, a short answer) and decode-heavy (a short prompt, a long answer).
    pub scenarios: Option<Vec<String>>,
    /// Whether to leave out higher steps once two in a row surely brought no more tokens. By default yes.
    pub stop: Option<bool>,
    /// Request that empties the server's cache, sent before each step: "vllm", "sglang", or
    /// `{ method = "POST", path = "/..." }`. By default none is sent.
    pub reset: Option<Reset>,
    /// Seconds for all of it. By default 12, 40 or 120.
    pub duration_s: Option<f64>,
}

struct Interactivity {
    connections: Vec<u32>,
    scenarios: Option<Vec<String>>,
    stops: bool,
    duration_s: f64,
    seed: u64,
    limits: Limits,
    plan: Option<Vec<Scenario>>,
    /// What empties the cache, and the phase that waits for it.
    reset: Option<Reset>,
    held: Option<Phase>,
    /// Which scenario and which step come next.
    at: (usize, usize),
}

impl Experiment for Interactivity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if let Some(phase) = self.held.take() {
            return Step::Run(phase);
        }
        let plan = self.plan.take().unwrap_or_else(|| self.plan(run));
        let step = self.step(run, &plan);
        self.plan = Some(plan);
        match (&self.reset, step) {
            (Some(reset), Step::Run(phase)) => {
                self.held = Some(phase);
                Step::Run(reset.phase(run, NAME, &self.limits))
            }
            (_, step) => step,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let plan = self.plan.as_deref().unwrap_or_default();
        if plan.is_empty() {
            return report::nothing(self.scenarios.as_deref()).into_iter().collect();
        }
        plan.iter()
            .map(|scenario| report::finding(run, &scenario.name, &self.connections))
            .chain(reset::finding(run, NAME))
            .collect()
    }
}

impl Interactivity {
    fn plan(&self, run: &RunView<'_>) -> Vec<Scenario> {
        if let Some(names) = &self.scenarios {
            let found = Workload::of_suite(run, names).filter(|w| w.is_streamed);
            return found.map(|w| w.scenarios).unwrap_or_default();
        }
        streaming(run, 1)
            .into_iter()
            .flat_map(|endpoint| requests::kinds(run, endpoint, self.seed))
            .collect()
    }

    fn step(&mut self, run: &RunView<'_>, plan: &[Scenario]) -> Step {
        let step_s = self.duration_s / (plan.len().max(1) * self.connections.len()) as f64;
        loop {
            let (which, place) = self.at;
            let Some(scenario) = plan.get(which) else {
                return Step::Done;
            };
            let ended = self.stops && curve::is_flat(&curve::points(run, &scenario.name));
            let Some(&connections) = self.connections.get(place).filter(|_| !ended) else {
                self.at = (which + 1, 0);
                continue;
            };
            self.at = (which, place + 1);
            return Step::Run(Phase {
                name: format!("{}, {connections} at once", scenario.name),
                experiment: NAME.to_owned(),
                scenarios: vec![scenario.clone()],
                shape: Shape::Closed {
                    connections,
                    requests: Some(ANSWERS_EACH * u64::from(connections)),
                    duration_s: Some(step_s),
                    think_ms: 0.0,
                },
                limits: self.limits.clone(),
                capture: Capture::NONE,
            });
        }
    }
}
