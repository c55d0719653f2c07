//! How fast do tokens come, to one user and to several at once, and does the stream keep its promises? One ladder of
//! concurrency for each endpoint whose answers are streams.
//!
//! It must not know any server: only endpoints whose requests expect a stream, or give one when asked.

mod findings;
mod slots;
#[cfg(test)]
mod tests;

use prony_model::{Budget, Capture, Finding, Limits, Phase, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::primary::solo_ms;
use crate::streamed::{ASKED, questions, scenario, streaming};
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};

const NAME: &str = "streams";
/// Most requests of a step, per connection.
const REQUESTS_EACH: u64 = 200;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Streams of tokens",
    question: "How fast do tokens come, alone and under load, and do streams end as they should?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::Filled {
        usual_s: [4.0, 20.0, 120.0],
        answers: 6.0,
    },
    build: |context, value| {
        let asked: StreamsParams = params(value)?;
        let connections: &[u32] = match context.budget {
            Budget::Quick => &[1, 4],
            Budget::Standard => &[1, 4, 16],
            Budget::Thorough => &[1, 4, 16, 64],
        };
        let connections = asked.connections.unwrap_or_else(|| connections.to_vec());
        if connections.is_empty() || connections.contains(&0) {
            return Err(ParamError {
                message: "connections needs at least one step, each of at least one connection".to_owned(),
            });
        }
        Ok(Box::new(Streams {
            connections,
            endpoints: asked.endpoints.unwrap_or(match context.budget {
                Budget::Quick => 1,
                Budget::Standard => 2,
                Budget::Thorough => 4,
            }),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            asked: false,
            queue: None,
        }))
    },
    schema: || schema_for!(StreamsParams),
    example: "[experiment.streams]\nconnections = [1, 4, 16]\nendpoints = 1\nduration_s = 30\n",
};

/// Parameters of the streams experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StreamsParams {
    /// Streams at once in each step. By default 1 and 4, in a standard run also 16, in a thorough one also 64.
    pub connections: Option<Vec<u32>>,
    /// At most so many endpoints. By default 1 (quick), 2 (standard) or 4 (thorough).
    pub endpoints: Option<usize>,
    /// Seconds for all of it. By default 4, 20 or 120.
    pub duration_s: Option<f64>,
}

struct Streams {
    connections: Vec<u32>,
    endpoints: usize,
    duration_s: f64,
    limits: Limits,
    /// Whether endpoints were asked to stream.
    asked: bool,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for Streams {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if !std::mem::replace(&mut self.asked, true) {
            let scenarios = questions(run, self.endpoints);
            if !scenarios.is_empty() {
                return Step::Run(self.ask(scenarios));
            }
        }
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let next = queue.next();
        self.queue = Some(queue);
        next.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let ladders = run.of(NAME).filter(|phase| phase.phase.name != ASKED.1);
        ladders.flat_map(findings::of).collect()
    }
}

impl Streams {
    /// One request to each, to learn whether it streams.
    fn ask(&self, scenarios: Vec<Scenario>) -> Phase {
        Phase {
            name: ASKED.1.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once { duration_s: None },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }

    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let endpoints = streaming(run, self.endpoints);
        let share_s = self.duration_s / endpoints.len().max(1) as f64;
        endpoints
            .into_iter()
            .map(|endpoint| {
                let solo_s = solo_ms(run, endpoint).unwrap_or(0.0) / 1000.0;
                // A step must last for a few whole answers, or it would hold nothing but cut ones.
                let step_s = (share_s / self.connections.len() as f64).max(3.0 * solo_s);
                Phase {
                    name: endpoint.name.clone(),
                    experiment: NAME.to_owned(),
                    scenarios: vec![scenario(run, endpoint)],
                    shape: Shape::Ladder {
                        connections: self.connections.clone(),
                        requests_each: Some(REQUESTS_EACH),
                        duration_s: Some(step_s),
                        idle_s: 0.0,
                    },
                    limits: self.limits.clone(),
                    capture: Capture::NONE,
                }
            })
            .collect()
    }
}
