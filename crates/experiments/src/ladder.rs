//! How many requests does it serve at once? A closed-loop ladder, 1, 2, 4, 8, ... at a time.
//!
//! The load is here; `ladder/capacity.rs`, `alone.rs` and `overlap.rs` hold the arithmetic and `ladder/report.rs` the words. It must not know what answers
//! mean, and it must not take a slow network or a busy host for a serial server.

mod alone;
mod capacity;
mod health;
mod overlap;
mod report;

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Scenario, Shape,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::SLOW_TIMES_MAX;
use crate::experiment::params;
use crate::primary::{heaviest, no_work, no_work_ms, scenario, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

use alone::Alone;
pub(crate) use capacity::{LadderStep, is_saturated, is_used_up, steps, throughput_max};

const NAME: &str = "ladder";

/// Requests of one connection in one step at most, so that a fast target's record stays small.
const REQUESTS_EACH: u64 = 1000;

/// Concurrent requests of one of the bursts that tell taking turns from sharing.
const TURNS_SIZE: u32 = 8;

/// Share of an endpoint's time that may go into further requests alone.
const ALONE_SHARE: f64 = 0.15;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Concurrency ladder",
    question: "How many requests does it serve at once?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "client-floor", "baseline"],
    time: Time::Filled {
        usual_s: [7.0, 35.0, 180.0],
        answers: 90.0,
    },
    build: |context, value| {
        let asked: LadderParams = params(value)?;
        let (connections, endpoints) = match context.budget {
            Budget::Quick => (vec![1, 2, 4, 8, 16], 1),
            Budget::Standard => (vec![1, 2, 4, 8, 16], 2),
            Budget::Thorough => (vec![1, 2, 4, 8, 16, 32, 64], 4),
        };
        let mut connections = asked.connections.unwrap_or(connections);
        connections.retain(|&n| n > 1);
        connections.insert(0, 1);
        connections.sort_unstable();
        connections.dedup();
        Ok(Box::new(Ladder {
            connections,
            endpoints: asked.endpoints.unwrap_or(endpoints),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            usual_s: asked.duration_s.unwrap_or(DEF.time.usual_s(context.budget)),
            probe_health: asked.probe_health.unwrap_or(true),
            seed: context.seed,
            limits: context.limits.clone(),
            queue: None,
            probed: false,
        }))
    },
    schema: || schema_for!(LadderParams),
    example: "[experiment.ladder]\nconnections = [1, 2, 4, 8, 16, 32]\nendpoints = 1\nduration_s = 60\n",
};

/// Parameters of the ladder.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LadderParams {
    /// Concurrency of each step; 1 is always one of them. By default 1, 2, 4, 8, 16, and in a thorough run 32 and 64.
    pub connections: Option<Vec<u32>>,
    /// At most so many endpoints. By default 1 (quick), 2 (standard) or 4 (thorough).
    pub endpoints: Option<usize>,
    /// Seconds for all of it. By default 7, 35 or 180. A slow target may need up to three times as much.
    pub duration_s: Option<f64>,
    /// Whether to call the health endpoint while there is load. By default yes.
    pub probe_health: Option<bool>,
}

struct Ladder {
    connections: Vec<u32>,
    endpoints: usize,
    duration_s: f64,
    /// What it takes by default.
    usual_s: f64,
    probe_health: bool,
    seed: u64,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
    probed: bool,
}

impl Experiment for Ladder {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let next = queue.next();
        self.queue = Some(queue);
        if let Some(phase) = next {
            return Step::Run(phase);
        }
        if self.probe_health && !std::mem::replace(&mut self.probed, true) {
            return self.health_beside_load(run).map_or(Step::Done, Step::Run);
        }
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings = report::findings(run, self.seed);
        findings.extend(health::finding(run));
        findings
    }
}

impl Ladder {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let endpoints = heaviest(run, self.endpoints);
        let share_s = 0.8 * self.duration_s / endpoints.len().max(1) as f64;
        endpoints
            .into_iter()
            .flat_map(|e| self.phases(run, e, share_s))
            .collect()
    }

    /// The ladder of one endpoint, and bursts that show whether requests take turns.
    fn phases(&self, run: &RunView<'_>, endpoint: &Endpoint, share_s: f64) -> Vec<Phase> {
        let solo_s = solo_ms(run, endpoint).unwrap_or(10.0) / 1000.0;
        let mut connections = self.connections.clone();
        // A step must last for two rounds even if the target serves one at a time; a slow target gets fewer steps. It may take longer
        // than its share where that share is the usual one, and not the longer one that a slow target is planned with.
        let most_s = share_s.max(SLOW_TIMES_MAX * share_s * (self.usual_s / self.duration_s).min(1.0));
        let least_s = |n: u32| 2.0 * f64::from(n) * solo_s;
        let total_s = |steps: &[u32]| {
            let even_s = share_s / steps.len() as f64;
            steps.iter().map(|&n| even_s.max(least_s(n))).sum::<f64>()
        };
        while connections.len() > 2 && total_s(&connections) > most_s {
            connections.pop();
        }
        let top = connections.last().copied().unwrap_or(1);
        let mut step_s = (0.85 * share_s / connections.len() as f64).max(least_s(top).min(share_s));
        let phase = |name: String, shape: Shape| Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape,
            limits: self.limits.clone(),
            capture: Capture::FAILED,
        };
        let mut phases = Vec::new();
        if let Some(alone) = missing_alone(run, endpoint, step_s / solo_s) {
            step_s *= 1.0 - ALONE_SHARE;
            phases.push(phase(
                alone_name(&endpoint.name),
                Shape::Sequential {
                    requests: alone,
                    duration_s: Some(ALONE_SHARE * share_s),
                },
            ));
        }
        phases.push(phase(
            endpoint.name.clone(),
            Shape::Ladder {
                connections,
                requests_each: Some(REQUESTS_EACH),
                duration_s: Some(step_s),
                idle_s: 0.0,
            },
        ));
        let bursts = (0.3 * share_s / (f64::from(TURNS_SIZE) * solo_s)).floor() as u32;
        if bursts >= 2 {
            phases.push(phase(
                turns_name(&endpoint.name),
                Shape::Burst {
                    size: TURNS_SIZE,
                    count: bursts.min(12),
                    interval_s: 0.0,
                },
            ));
        }
        phases
    }

    /// The health endpoint, a few times a second, beside 70 % of the load that the first endpoint can take.
    fn health_beside_load(&self, run: &RunView<'_>) -> Option<Phase> {
        let laddered = |p: &&PhaseResult| matches!(p.phase.shape, Shape::Ladder { .. });
        let loaded = run.of(NAME).find(laddered)?;
        let endpoint = run
            .surface
            .endpoints
            .iter()
            .find(|e| e.name == loaded.phase.name)?;
        let health = no_work(run)?;
        let solo_s = solo_ms(run, endpoint)? / 1000.0;
        let rate_max = throughput_max(run, &endpoint.name)?;
        if solo_s * 1000.0 < health::SOLO_MS_MIN {
            return None;
        }
        let duration_s =
            (0.15 * self.duration_s).max((20.0 * solo_s).min(0.5 * self.duration_s.min(self.usual_s)));
        let load_rate = 0.7 * rate_max;
        let probe_rate = (health::PROBES / duration_s).max(0.05);
        let share = |name: Scenario, rate: f64| Scenario { weight: rate, ..name };
        Some(Phase {
            name: health::PHASE.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![
                share(scenario(run, endpoint), load_rate),
                share(scenario(run, health), probe_rate),
            ],
            shape: Shape::Open {
                rate: load_rate + probe_rate,
                arrivals: Arrivals::Poisson,
                duration_s,
                in_flight_max: 1000,
            },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        })
    }
}

/// Requests alone that are missing for a firm yardstick, when the ladder itself makes so many; `None` when there will be
/// enough, or nothing tells the spread.
fn missing_alone(run: &RunView<'_>, endpoint: &Endpoint, to_come: f64) -> Option<u64> {
    let known = alone::before(run, &endpoint.name);
    if known.len() < 2 {
        return None;
    }
    let floor_ms = no_work_ms(run).unwrap_or(0.0);
    let work: Vec<f64> = known.iter().map(|solo| solo - floor_ms).collect();
    let found = Alone::of(&work);
    let missing = found.needed.saturating_sub(found.n + to_come as usize);
    (missing > 0).then_some(missing as u64)
}

fn alone_name(endpoint: &str) -> String {
    format!("{endpoint} alone")
}

fn turns_name(endpoint: &str) -> String {
    format!("{endpoint} in turns")
}
