//! Do answers depend on their inputs? One input is varied at a time, everything else stays as it was.
//!
//! A model that was replaced by a template, a fallback that never reads the query and a classifier with one class
//! all answer quickly and with 200. It must not know what a right answer is: only that it may not be the same for
//! everything.

mod classes;
mod echo;
mod judge;
mod nothing;
mod rules;
mod variation;

use prony_model::{
    Budget, Capture, Endpoint, Expect, Finding, Item, Limits, Phase, PhaseResult, Role, Scenario, Shape,
    Surface,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
pub(crate) use rules::{TIME_ENDS, TIME_WORDS, is_noise_by_name};
use variation::{Trial, contrasts, plan};

pub(crate) const NAME: &str = "diversity";
const PHASE: &str = "variation";
const CONTRAST: &str = "contrast";
/// Least time for the few inputs of other kinds, in seconds, however much the others took.
const CONTRAST_S_MIN: f64 = 2.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Output diversity",
    question: "Do the answers depend on the inputs?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [1.0, 4.0, 15.0],
        most_s: [10.0, 30.0, 180.0],
        answers: [16.0, 64.0, 240.0],
    },
    build: |context, value| {
        let asked: DiversityParams = params(value)?;
        let values = match context.budget {
            Budget::Quick | Budget::Standard => 6,
            Budget::Thorough => 12,
        };
        Ok(Box::new(Diversity {
            values_max: asked.values_max.unwrap_or(values).max(2),
            repeats: asked.repeats.unwrap_or(3).max(2),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            stage: Stage::Variation,
            plans: Vec::new(),
            left_out: Vec::new(),
        }))
    },
    schema: || schema_for!(DiversityParams),
    example: "[experiment.diversity]\nvalues_max = 6\nrepeats = 3\n",
};

/// Parameters of the diversity experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiversityParams {
    /// Distinct values of each input, the first included. By default 6 (12 when thorough).
    pub values_max: Option<u32>,
    /// How often the same request is repeated to learn what differs by itself. 3 by default.
    pub repeats: Option<u32>,
    /// Stop after so many seconds. By default 10 (quick), 30 (standard) or 180 (thorough).
    pub duration_s: Option<f64>,
}

struct Diversity {
    values_max: u32,
    repeats: u32,
    duration_s: f64,
    limits: Limits,
    stage: Stage,
    plans: Vec<EndpointPlan>,
    /// Names of the endpoints that were not varied, since each call of them leaves something behind.
    left_out: Vec<String>,
}

/// What is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Each input varied.
    Variation,
    /// Inputs of other kinds, where the answers were the same.
    Contrast,
    Ended,
}

/// What is sent to one endpoint: trial `k` is item `k` of the endpoint's scenario.
struct EndpointPlan {
    endpoint: String,
    trials: Vec<Trial>,
    /// Those of the second phase.
    contrasts: Vec<Trial>,
}

impl Experiment for Diversity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let phase = match self.stage {
            Stage::Variation => {
                self.stage = Stage::Contrast;
                self.variation(run)
            }
            Stage::Contrast => {
                self.stage = Stage::Ended;
                self.contrast(run)
            }
            Stage::Ended => None,
        };
        phase.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASE) else {
            return Vec::new();
        };
        judge::findings(&self.observations(run, phase), &self.left_out, phase)
    }
}

impl Diversity {
    /// Every input of every endpoint varied.
    fn variation(&mut self, run: &RunView<'_>) -> Option<Phase> {
        let mut scenarios = Vec::new();
        let mut endpoints = run.working_endpoints();
        endpoints.retain(|e| matches!(e.role, Role::Inference | Role::Resource | Role::Media));
        endpoints.sort_by_key(|e| e.role != Role::Inference);
        for endpoint in endpoints {
            let trials = plan(endpoint, run, self.values_max as usize, self.repeats as usize);
            if !trials.iter().any(|t| t.field.is_some()) {
                continue;
            }
            if leaves_behind(run.surface, endpoint) {
                self.left_out.push(endpoint.name.clone());
                continue;
            }
            scenarios.push(scenario(endpoint, &trials));
            self.plans.push(EndpointPlan {
                endpoint: endpoint.name.clone(),
                trials,
                contrasts: Vec::new(),
            });
        }
        self.phase(PHASE, scenarios, self.duration_s)
    }

    /// Inputs of other kinds for the endpoints that gave all inputs of one kind the same.
    fn contrast(&mut self, run: &RunView<'_>) -> Option<Phase> {
        let first = run.phase(NAME, PHASE)?;
        let mut scenarios = Vec::new();
        for plan in &mut self.plans {
            let Some(endpoint) = run.surface.endpoints.iter().find(|e| e.name == plan.endpoint) else {
                continue;
            };
            let doubtful = judge::Observed::new(endpoint, &plan.trials, first).doubtful();
            let mut trials: Vec<Trial> = doubtful
                .iter()
                .flat_map(|field| contrasts(endpoint, run, field))
                .collect();
            // The first request once more, last: whatever became of the others, the endpoint still answers what it should.
            let Some(repeat) = plan.trials.first().filter(|_| !trials.is_empty()).cloned() else {
                continue;
            };
            trials.push(repeat);
            scenarios.push(scenario(endpoint, &trials));
            plan.contrasts = trials;
        }
        let spent_s = (first.summary.ended - first.summary.started).as_secs_f64();
        let left_s = (self.duration_s - spent_s).max(CONTRAST_S_MIN);
        self.phase(CONTRAST, scenarios, left_s)
    }

    /// A phase that sends each request once; `None` without any.
    fn phase(&self, name: &str, scenarios: Vec<Scenario>, duration_s: f64) -> Option<Phase> {
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        (requests > 0).then(|| Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(duration_s),
            },
            limits: self.limits.clone(),
            capture: Capture::responses(requests as u32),
        })
    }

    fn observations<'a>(&'a self, run: &RunView<'a>, phase: &'a PhaseResult) -> Vec<judge::Observed<'a>> {
        let contrast = run.phase(NAME, CONTRAST);
        self.plans
            .iter()
            .filter_map(|plan| {
                let endpoint = run.surface.endpoints.iter().find(|e| e.name == plan.endpoint)?;
                let mut observed = judge::Observed::new(endpoint, &plan.trials, phase);
                if let Some(contrast) = contrast {
                    observed.add(&plan.contrasts, contrast);
                }
                Some(observed)
            })
            .collect()
    }
}

/// Whether each call of an endpoint stores something or starts work that goes on, and nobody chose it for load.
fn leaves_behind(surface: &Surface, endpoint: &Endpoint) -> bool {
    let starts_jobs = surface.jobs.iter().any(|job| job.submit == endpoint.name);
    (starts_jobs || surface.leaves_behind(endpoint)) && !surface.chosen.contains(&endpoint.name)
}

/// The requests of some trials, whatever is in the body of their answers.
fn scenario(endpoint: &Endpoint, trials: &[Trial]) -> Scenario {
    let items = trials
        .iter()
        .map(|t| Item {
            request: t.request.clone(),
            expect: Expect {
                body: Vec::new(),
                ..endpoint.expect.clone()
            },
        })
        .collect();
    Scenario::new(endpoint.name.clone(), items)
}

#[cfg(test)]
mod tests;
