//! What becomes of requests when the process is told to stop? Requests at an even rate, and the signal in the middle: those in
//! flight should be finished, those that come later refused in an orderly way, and the process should end in time.
//!
//! It must not know how a process is stopped.

mod findings;

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Scenario, Shape,
};
use prony_stats::median;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::primary::requests;
use crate::process_life::{Stop, asked};
use crate::timings::Timings;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "drain";
/// Beginning of the names of its phases: requests one at a time on a new process, then those around the signal.
const ALONE: &str = "alone";
const STOPPING: &str = "told to stop";
/// Requests alone, for the yardstick.
const ALONE_REQUESTS: u64 = 3;
/// Requests that are sent in the time of one, and the most per second.
const IN_ONE: f64 = 6.0;
const RATE_MAX: f64 = 200.0;
/// The signal comes after so many times of one request, and not before so many milliseconds.
const BEFORE: f64 = 1.5;
const BEFORE_MS_MIN: f64 = 250.0;
/// Requests go on after it for so many times of one, within bounds in seconds.
const AFTERWARDS: f64 = 4.0;
const AFTERWARDS_S: (f64, f64) = (1.0, 20.0);

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Stop",
    question: "Are requests in flight finished when the process is told to stop, and does it end in time?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [3.0, 6.0, 12.0],
        most_s: [60.0, 120.0, 240.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: DrainParams = params(value)?;
        let rounds = match context.budget {
            Budget::Quick => 1,
            Budget::Standard => 2,
            Budget::Thorough => 4,
        };
        Ok(Box::new(Drain {
            rounds: asked.rounds.unwrap_or(rounds),
            limits: context.limits.clone(),
            done: 0,
        }))
    },
    schema: || schema_for!(DrainParams),
    example: "[experiment.drain]\nrounds = 2\n",
};

/// Parameters of the experiment on stopping.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DrainParams {
    /// How often the process is started and told to stop. By default 1 (quick), 2 (standard) or 4 (thorough).
    pub rounds: Option<u32>,
}

struct Drain {
    rounds: u32,
    limits: Limits,
    done: u32,
}

impl Experiment for Drain {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let (round, part) = (self.done / 2 + 1, self.done % 2);
        let Some(endpoint) = asked(run).filter(|_| round <= self.rounds) else {
            return Step::Done;
        };
        self.done += 1;
        if part == 0 {
            let shape = Shape::Sequential {
                requests: ALONE_REQUESTS,
                duration_s: None,
            };
            return Step::Restarted(self.phase(run, endpoint, format!("{ALONE} {round}"), shape));
        }
        let alone = run.phase(NAME, &format!("{ALONE} {round}"));
        let Some(solo_ms) = alone.and_then(|phase| solo_ms(phase, &endpoint.name)) else {
            return Step::Done;
        };
        let after_ms = (BEFORE * solo_ms).max(BEFORE_MS_MIN);
        let afterwards_s = (AFTERWARDS * solo_ms / 1000.0).clamp(AFTERWARDS_S.0, AFTERWARDS_S.1);
        let shape = Shape::Open {
            rate: (1000.0 * IN_ONE / solo_ms).min(RATE_MAX),
            arrivals: Arrivals::Constant,
            duration_s: (after_ms + 1000.0 * afterwards_s).round() / 1000.0,
            in_flight_max: 1000,
        };
        Step::Stopped {
            phase: self.phase(run, endpoint, format!("{STOPPING} {round}"), shape),
            after_ms: after_ms.round() as u64,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let rounds: Vec<findings::Round<'_>> = run.of(NAME).filter_map(|phase| round(run, phase)).collect();
        let began = run.of(NAME).next();
        match (rounds.is_empty(), began) {
            (false, _) => findings::judge(&rounds),
            (true, Some(phase)) => vec![findings::undecided(phase)],
            (true, None) => Vec::new(),
        }
    }
}

impl Drain {
    fn phase(&self, run: &RunView<'_>, endpoint: &Endpoint, name: String, shape: Shape) -> Phase {
        Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new(endpoint.name.clone(), requests(run, endpoint))],
            shape,
            limits: self.limits.clone(),
            capture: Capture::responses(50),
        }
    }
}

/// The stop in a phase, if there was one.
fn round<'a>(run: &RunView<'a>, phase: &'a PhaseResult) -> Option<findings::Round<'a>> {
    let stop = Stop::of(phase)?;
    let number = phase.phase.name.strip_prefix(STOPPING)?;
    let alone = run.phase(NAME, &format!("{ALONE}{number}"))?;
    let endpoint = phase.phase.scenarios[0].name.as_str();
    let solo_ms = solo_ms(alone, endpoint)?;
    Some(findings::Round { phase, stop, solo_ms })
}

/// What one request takes alone, in ms.
fn solo_ms(alone: &PhaseResult, endpoint: &str) -> Option<f64> {
    let mut times = Timings::of(alone, endpoint).service_ms();
    (!times.is_empty()).then(|| median(&mut times).max(0.1))
}

#[cfg(test)]
mod tests;
