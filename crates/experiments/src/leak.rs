//! Does it leak, how fast, and when does it die? The memory of the target over the requests it has served, at a constant load.
//!
//! The load is here; `leak/series.rs` makes one series of the monitors' readings, `leak/judge.rs` judges it, and
//! `leak/report.rs` holds the words. It must not take something loaded late, a cache that fills or a garbage collector for a
//! leak, nor two readings for a trend.

pub(crate) mod judge;
mod report;
pub(crate) mod series;
pub(crate) mod units;

use prony_model::{Arrivals, Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Shape};
use prony_stats::growth::Verdict;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::primary::{heaviest, scenario};
use crate::rate::{bounded, offered, steady_rate};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use judge::{READINGS_MIN, REQUESTS_MIN, Rules, judge};

const NAME: &str = "leak";

/// Seconds in which the monitors take as many readings as a conclusion needs.
const READINGS_S: f64 = READINGS_MIN as f64 / 4.0;

/// More than the least of requests and readings, so that one that fails does not leave the run short.
const MARGIN: f64 = 1.05;

/// Part of the first stretch that shows whether memory can be read at all.
const FIRST_LOOK: f64 = 0.1;

/// Part of the time that is left silent after the load.
const IDLE_PART: f64 = 0.1;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Memory growth",
    question: "Does it leak, how fast, and when does it die?",
    from_budget: Budget::Thorough,
    basis: Basis::Answers,
    needs: &["coverage", "baseline", "ladder"],
    time: Time::Filled {
        usual_s: [30.0, 120.0, 300.0],
        answers: 0.0,
    },
    build: |context, value| {
        let asked: MemoryParams = params(value)?;
        let duration_s = asked.duration_s.unwrap_or(context.time_s);
        let stated = Rules::default();
        Ok(Box::new(Memory {
            duration_s,
            load: asked.load.unwrap_or(0.6),
            rate: asked.rate,
            rules: Rules {
                matters: asked
                    .materiality_percent
                    .map_or(stated.matters, |percent| percent / 100.0 / 1000.0),
                limit_bytes: asked.limit_mib.map(|mib| mib * f64::from(1 << 20)),
                horizon_s: asked
                    .horizon_days
                    .map_or(stated.horizon_s, |days| days * 86_400.0),
                production_per_s: asked.production_per_s,
                restart_s: asked
                    .restart_hours
                    .map_or(stated.restart_s, |hours| hours * 3_600.0),
            },
            limits: context.limits.clone(),
        }))
    },
    schema: || schema_for!(MemoryParams),
    example: "[experiment.leak]\nduration_s = 1800\nload = 0.6\nproduction_per_s = 5\nlimit_mib = 8192\n",
};

/// Parameters of the memory experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MemoryParams {
    /// Seconds for all of it. By default 30 (quick), 120 (standard) or 300 (thorough). It ends sooner when the answer is clear; a
    /// conclusion needs 10,000 requests or 30 minutes.
    pub duration_s: Option<f64>,
    /// Part of the highest throughput that the ladder found. By default 0.6.
    pub load: Option<f64>,
    /// Arrivals per second, instead of `load`.
    pub rate: Option<f64>,
    /// Growth per 1,000 requests that matters, in per cent of the memory. By default 0.1.
    pub materiality_percent: Option<f64>,
    /// Memory at which the target dies, in MiB. By default the limit of its control group, else the memory of the host.
    pub limit_mib: Option<f64>,
    /// Days within which the limit must not be reached. By default 7.
    pub horizon_days: Option<f64>,
    /// Requests per second in production, for the time to the limit. By default the rate of this test.
    pub production_per_s: Option<f64>,
    /// Hours from one restart to the next, for the memory limit to set. By default 24.
    pub restart_hours: Option<f64>,
}

struct Memory {
    duration_s: f64,
    load: f64,
    rate: Option<f64>,
    rules: Rules,
    limits: Limits,
}

impl Experiment for Memory {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let done: Vec<&PhaseResult> = run.of(NAME).collect();
        if is_blind(run) || done.iter().any(|p| offered(p) <= 0.0) {
            return Step::Done;
        }
        let Some(endpoint) = endpoint(run, &done) else {
            return Step::Done;
        };
        let Some(rate) = done
            .first()
            .map(|p| offered(p))
            .or_else(|| self.rate(run, endpoint))
        else {
            return Step::Done;
        };
        let load_s = (1.0 - IDLE_PART) * self.duration_s;
        let first_s = (MARGIN * (REQUESTS_MIN / rate).max(READINGS_S)).min(load_s);
        let spent_s: f64 = done.iter().map(|p| length_s(p)).sum();
        let (name, more_s) = if done.is_empty() {
            ("first look".to_owned(), FIRST_LOOK * first_s)
        } else if done.len() == 1 {
            ("at constant load".to_owned(), first_s - spent_s)
        } else {
            // Twice and four times as long, while there is time, until the answer is clear.
            let more_s = spent_s.min(load_s - spent_s);
            if done.len() > 3 || more_s < 0.25 * spent_s || self.is_clear(&done) {
                return Step::Run(self.silence(run, endpoint));
            }
            (format!("extended, part {}", done.len()), more_s)
        };
        Step::Run(self.phase(
            format!("{} {name}", endpoint.name),
            run,
            endpoint,
            Shape::Open {
                rate,
                arrivals: Arrivals::Constant,
                duration_s: more_s,
                in_flight_max: 1000,
            },
        ))
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        report::findings(run, &self.rules)
    }
}

impl Memory {
    fn rate(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<f64> {
        let asked = self.rate.map(bounded);
        asked.or_else(|| steady_rate(run, endpoint, self.load))
    }

    /// Whether more of the same would change nothing.
    fn is_clear(&self, done: &[&PhaseResult]) -> bool {
        let Some(series) = series::of(done) else {
            return true;
        };
        series.interruption.is_some()
            || judge(&series, &self.rules).is_some_and(|found| {
                found.is_enough
                    && matches!(
                        found.growth.verdict,
                        Verdict::NoLeak | Verdict::Leak | Verdict::Decelerating
                    )
            })
    }

    /// One request, a long silence, and another: does memory grow or fall without requests?
    fn silence(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Phase {
        let shape = Shape::Ladder {
            connections: vec![1, 1],
            requests_each: Some(1),
            duration_s: None,
            idle_s: (IDLE_PART * self.duration_s).min(600.0),
        };
        self.phase(format!("{} silence", endpoint.name), run, endpoint, shape)
    }

    fn phase(&self, name: String, run: &RunView<'_>, endpoint: &Endpoint, shape: Shape) -> Phase {
        Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape,
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }
}

/// What is loaded: what was loaded before, else the heaviest endpoint.
fn endpoint<'a>(run: &RunView<'a>, done: &[&PhaseResult]) -> Option<&'a Endpoint> {
    match done.first() {
        Some(phase) => run
            .surface
            .endpoints
            .iter()
            .find(|e| e.name == phase.phase.scenarios[0].name),
        None => heaviest(run, 1).first().copied(),
    }
}

/// Whether there were phases, and none of them shows the target's memory.
fn is_blind(run: &RunView<'_>) -> bool {
    !run.phases.is_empty() && !run.phases.iter().any(series::shows_memory)
}

fn length_s(phase: &PhaseResult) -> f64 {
    match phase.phase.shape {
        Shape::Open { duration_s, .. } => duration_s,
        _ => 0.0,
    }
}
