//! Who does the work, and what does a request wait for? For targets whose answers name their worker: a line of requests at once,
//! health checks beside more work than is done, and requests right after the health check that ends a silence.
//!
//! The load is here; `workers/line.rs` tells the work from the wait, `balance.rs` finds workers that get nothing,
//! `readiness.rs` workers that call themselves ready too early, and `rounds.rs` compares two rounds of the suite's own. It knows no
//! platform: whoever names no worker is left alone.

mod balance;
mod line;
mod readiness;
mod rounds;

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Flow, Limits, Outcome, Phase, PhaseResult, Scenario, Shape,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::primary::{heaviest, no_work, requests, scenario, solo_ms};
use crate::timings::Timings;
use crate::worker_id;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use rounds::RoundPair;

const NAME: &str = "workers";

/// Names of the phases.
const LINE: &str = "line";
const BESIDE: &str = "health checks beside a queue";
const READY: &str = "right after a health check";

/// Requests of the line, at most and at least.
const SIZE: (f64, f64) = (8.0, 64.0);
/// Health checks beside the queue.
const CHECKS: f64 = 60.0;
/// More work than is done: arrivals over the rate of answers in the line.
const OVER: f64 = 1.2;
/// Answers of the line that are needed to know that rate.
const ANSWERS_MIN: usize = 6;

/// Answers that are kept, for the name of the worker.
const KEPT: Capture = Capture {
    responses_max: 2_000,
    body_bytes_max: 256,
    digests: false,
};

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Workers",
    question: "Who does the work, and what does a request wait for?",
    from_budget: Budget::Standard,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::Bounded {
        usual_s: [0.0, 0.0, 0.0],
        most_s: [20.0, 45.0, 90.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: WorkersParams = params(value)?;
        let (idle_s, rounds) = match context.budget {
            Budget::Quick => (2.0, 5),
            Budget::Standard => (3.0, 6),
            Budget::Thorough => (6.0, 8),
        };
        Ok(Box::new(Workers {
            size: asked.size,
            idle_s: asked.idle_s.unwrap_or(idle_s),
            rounds: asked.rounds.unwrap_or(rounds),
            same_load: asked.same_load,
            time_s: context.time_s,
            limits: context.limits.clone(),
            at: 0,
        }))
    },
    schema: || schema_for!(WorkersParams),
    example: "[experiment.workers]\nsize = 30\nidle_s = 72   # the platform's idle time-out and a fifth more\nrounds = 6\n",
};

/// Parameters of the workers experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkersParams {
    /// Requests that come at once, to see who takes them and when. By default as many as two workers do in half of the time.
    pub size: Option<u32>,
    /// Seconds of silence before a health check and the requests after it: the platform's idle time-out and a fifth more. By
    /// default 2 (quick), 3 (standard) or 6 (thorough).
    pub idle_s: Option<f64>,
    /// How often that is done. By default 5, 6 or 8.
    pub rounds: Option<usize>,
    /// Pairs of phases of the suite with the same load: is the second better than the first, or is that chance?
    pub same_load: Vec<RoundPair>,
}

struct Workers {
    size: Option<u32>,
    idle_s: f64,
    rounds: usize,
    same_load: Vec<RoundPair>,
    time_s: f64,
    limits: Limits,
    at: usize,
}

impl Experiment for Workers {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let before: Vec<&PhaseResult> = run.phases.iter().collect();
        if self.at == 0 && !worker_id::is_named(&before) {
            return Step::Done;
        }
        let Some(endpoint) = endpoint(run) else {
            return Step::Done;
        };
        while self.at < 3 {
            self.at += 1;
            let phase = match self.at {
                1 => Some(self.line(run, endpoint)),
                2 => self.beside(run, endpoint),
                _ => self.ready(run, endpoint),
            };
            if let Some(phase) = phase {
                return Step::Run(phase);
            }
        }
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings = line::findings(run);
        findings.extend(balance::finding(run));
        findings.extend(readiness::finding(run, self.idle_s));
        findings.extend(
            self.same_load
                .iter()
                .filter_map(|pair| rounds::finding(run, pair)),
        );
        findings
    }
}

impl Workers {
    fn line(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Phase {
        let solo_s = solo_ms(run, endpoint).unwrap_or(100.0) / 1000.0;
        let fits = (self.time_s / solo_s.max(1e-6)).clamp(SIZE.0, SIZE.1) as u32;
        let shape = Shape::Burst {
            size: self.size.unwrap_or(fits).max(1),
            count: 1,
            interval_s: 0.0,
        };
        self.phase(LINE, vec![scenario(run, endpoint)], shape)
    }

    /// More work than is done, and health checks at the same time.
    fn beside(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Phase> {
        let line = Timings::all(run.phase(NAME, LINE)?);
        let health = no_work(run)?;
        if line.good().count() < ANSWERS_MIN {
            return None;
        }
        let solo_s = solo_ms(run, endpoint)? / 1000.0;
        let duration_s = (20.0 * solo_s).clamp(3.0, (0.3 * self.time_s).max(3.0));
        let work = OVER * line.per_s();
        let checks = CHECKS / duration_s;
        let weighed = |scenario: Scenario, weight: f64| Scenario { weight, ..scenario };
        let shape = Shape::Open {
            rate: work + checks,
            arrivals: Arrivals::Poisson,
            duration_s,
            in_flight_max: 1000,
        };
        let scenarios = vec![
            weighed(scenario(run, endpoint), work),
            weighed(scenario(run, health), checks),
        ];
        Some(self.phase(BESIDE, scenarios, shape))
    }

    /// After a silence each time: a health check, a request, and the next one.
    fn ready(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Phase> {
        let health = requests(run, no_work(run)?).into_iter().next()?;
        let work = requests(run, endpoint).into_iter().next()?;
        let step = |name: &str| prony_model::Step {
            name: name.to_owned(),
            ..prony_model::Step::default()
        };
        let flow = Scenario {
            flow: Some(Flow {
                steps: vec![step("health"), step("first"), step("next")],
                ..Flow::default()
            }),
            ..Scenario::new(endpoint.name.clone(), vec![health, work.clone(), work])
        };
        let shape = Shape::Ladder {
            connections: vec![1; self.rounds + 1],
            requests_each: Some(1),
            duration_s: None,
            idle_s: self.idle_s,
        };
        Some(self.phase(READY, vec![flow], shape))
    }

    fn phase(&self, name: &str, scenarios: Vec<Scenario>, shape: Shape) -> Phase {
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape,
            limits: self.limits.clone(),
            capture: KEPT,
        }
    }
}

/// The heaviest endpoint whose answers may name a worker; of those that never did, the heaviest.
fn endpoint<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    if let Some(line) = run.phase(NAME, LINE) {
        let name = &line.phase.scenarios[0].name;
        return run.surface.endpoints.iter().find(|e| e.name == *name);
    }
    let candidates = heaviest(run, usize::MAX);
    let names = |endpoint: &&&Endpoint| {
        run.phases.iter().any(|phase| {
            let scenario = phase.scenario(&endpoint.name);
            phase
                .captures
                .iter()
                .any(|c| Some(c.scenario) == scenario && worker_id::may_name(c))
        })
    };
    candidates
        .iter()
        .find(names)
        .or_else(|| candidates.first())
        .copied()
}

/// The header that names workers in this experiment's own phases.
fn header(run: &RunView<'_>) -> Option<String> {
    let own: Vec<&PhaseResult> = run.of(NAME).collect();
    worker_id::header(&own)
}

/// Seconds since the phase's first intended start, of the end of each good answer, with its worker.
fn named_ends<'a>(phase: &'a PhaseResult, scenario: u16, header: &str) -> Vec<(&'a str, f64)> {
    let workers = worker_id::workers(phase, header);
    let begun = phase.samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let mut ends: Vec<(&str, f64)> = phase
        .samples
        .iter()
        .filter(|s| s.scenario == scenario && s.outcome == Outcome::Ok)
        .filter_map(|s| Some((*workers.get(&s.seq)?, (s.done - begun).as_secs_f64())))
        .collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    ends
}
