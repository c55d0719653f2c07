//! How many requests per second can it take within the objective? A search in open loop: up until it fails, bisection,
//! a fresh confirmation, and down again.
//!
//! The load is here; `capacity/search.rs` decides on rates, `capacity/probe.rs` judges them and `capacity/report.rs` has the
//! words. It must not know what answers mean, and never calls a rate sustained that fresh requests did not confirm.

mod probe;
mod report;
mod search;
mod shape;
mod tier;

use prony_model::{Arrivals, Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Shape, Stage};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::dzi::mix;
use crate::experiment::params;
use crate::objective::Objective;
use crate::primary::{heaviest, scenario, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};
use search::{Action, Attempt, Purpose, Search};
use shape::Slots;
use tier::{Tier, TierName};

const NAME: &str = "capacity";

/// The ladder that it climbs itself when there is none.
const LADDER: &str = "closed ladder";
/// Its steps: as many as a curve needs.
const LADDER_STEPS: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// Its share of the time.
const LADDER_SHARE: f64 = 0.15;
/// Requests of one connection in one of its steps at most.
const LADDER_REQUESTS_EACH: u64 = 100;
/// The descent.
const DESCENT: &str = "descent";
/// Rates above this say more about the generator than about a backend of inference, per second.
const RATE_MAX: f64 = 2000.0;
/// The first rate, as a share of the highest throughput.
const START: f64 = 0.5;
/// Share of requests that may fail.
const ERRORS_MAX: f64 = 0.01;
/// A client gives up after so many times the limit, at the earliest after [`PATIENCE_MS_MIN`]: later answers decide nothing.
const PATIENCE: f64 = 10.0;
const PATIENCE_MS_MIN: f64 = 5000.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Capacity",
    question: "How many requests per second can it take within the objective?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage", "baseline", "ladder"],
    time: Time::Bounded {
        usual_s: [15.0, 30.0, 120.0],
        most_s: [20.0, 40.0, 240.0],
    },
    build: |context, value| {
        let asked: CapacityParams = params(value)?;
        Objective::check(asked.slo_quantile, asked.slo_ms)?;
        let positive = |x: Option<f64>| x.is_none_or(|x| x > 0.0 && x.is_finite());
        if !positive(asked.rate_max) || !positive(asked.duration_s) {
            return Err(ParamError {
                message: "`rate_max` and `duration_s` must be above 0".to_owned(),
            });
        }
        Ok(Box::new(Capacity {
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            tier: asked.tier.unwrap_or(TierName::of(context.budget)),
            rate_max: asked.rate_max.unwrap_or(RATE_MAX),
            asked,
            seed: context.seed,
            limits: context.limits.clone(),
            laddered: false,
            course: None,
        }))
    },
    schema: || schema_for!(CapacityParams),
    example: "[experiment.capacity]\nslo_quantile = 0.95\nslo_ms = 500\ntier = \"quick\"\nduration_s = 60\n",
};

/// Parameters of the capacity search.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CapacityParams {
    /// Limit of the response, from the intended start, in ms. By default 6 times the median of a request alone, at least 10.
    pub slo_ms: Option<f64>,
    /// Share of requests that must keep it. By default 0.95.
    pub slo_quantile: Option<f64>,
    /// How firm the answer is to be. By default sketch (quick), quick (standard) or standard (thorough).
    pub tier: Option<TierName>,
    /// Seconds for all of it. By default 20 (quick), 40 (standard) or 240 (thorough). What it found when they are over is
    /// reported as it stands.
    pub duration_s: Option<f64>,
    /// Highest rate that may be tried, per second. By default 2000.
    pub rate_max: Option<f64>,
    /// Share of requests that may fail. By default 0.01.
    pub errors_max: Option<f64>,
}

struct Capacity {
    asked: CapacityParams,
    duration_s: f64,
    tier: TierName,
    rate_max: f64,
    seed: u64,
    limits: Limits,
    laddered: bool,
    course: Option<Course>,
}

/// A search under way.
#[derive(Clone, Debug)]
struct Course {
    endpoint: String,
    objective: Objective,
    errors_max: f64,
    search: Search,
    /// What was asked for last.
    pending: Option<Action>,
    /// Phases of this experiment that were taken in.
    seen: usize,
}

impl Experiment for Capacity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(endpoint) = heaviest(run, 1).into_iter().next() else {
            return Step::Done;
        };
        if self.course.is_none() {
            if ladder(run, &endpoint.name).is_none() && !std::mem::replace(&mut self.laddered, true) {
                return Step::Run(self.ladder_phase(run, endpoint));
            }
            self.course = self.begin(run, endpoint);
        }
        let left_s = self.duration_s - spent_s(run);
        let Some(course) = &mut self.course else {
            return Step::Done;
        };
        course.take_in(run);
        let action = course.search.next(left_s);
        course.pending = Some(action);
        let course = course.clone();
        match action {
            Action::Load {
                purpose,
                rate,
                requests,
                again,
            } => {
                let name = course.phase_name(purpose, rate, again);
                let shape = Shape::Open {
                    rate,
                    arrivals: Arrivals::Poisson,
                    duration_s: search::seconds(requests, rate),
                    in_flight_max: in_flight_max(requests),
                };
                Step::Run(self.phase(run, endpoint, &course, name, shape))
            }
            Action::Descend { rate } => {
                let unit_s = course.search.descent_unit_s(rate);
                let stage = |factor: f64, duration_s: f64| Stage {
                    rate: (factor * rate).min(self.rate_max),
                    duration_s,
                    jump: true,
                };
                let shape = Shape::Stages {
                    stages: vec![
                        stage(1.5, unit_s),
                        stage(1.0, 2.0 * unit_s),
                        stage(0.7, 2.0 * unit_s),
                    ],
                    arrivals: Arrivals::Poisson,
                    in_flight_max: in_flight_max((5.0 * unit_s * rate) as usize),
                };
                Step::Run(self.phase(run, endpoint, &course, DESCENT.to_owned(), shape))
            }
            Action::Stop => Step::Done,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(course) = &self.course else {
            return vec![report::nothing(run)];
        };
        let mut course = course.clone();
        course.take_in(run);
        report::findings(run, &course, self.seed)
    }
}

impl Capacity {
    fn begin(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Course> {
        let slots = ladder(run, &endpoint.name).and_then(Slots::of);
        let alone_ms = solo_ms(run, endpoint).or_else(|| slots.as_ref().map(|s| 1000.0 * s.alone_s));
        let objective = Objective::new(self.asked.slo_quantile, self.asked.slo_ms, alone_ms)?;
        let highest = slots
            .map(|s| s.x_max)
            .or_else(|| alone_ms.map(|ms| 1000.0 / ms))?;
        // A start that is the same every time would favour some capacities: the rates tried would straddle them.
        let chance = mix(self.seed ^ 0x0043_4150) as f64 / u64::MAX as f64;
        let start = START * highest * 1.5_f64.powf(chance - 0.5);
        Some(Course {
            endpoint: endpoint.name.clone(),
            objective,
            errors_max: self.asked.errors_max.unwrap_or(ERRORS_MAX),
            search: Search::new(Tier::new(self.tier, &objective), start, self.rate_max),
            pending: None,
            seen: run.of(NAME).count(),
        })
    }

    fn ladder_phase(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Phase {
        let step_s = LADDER_SHARE * self.duration_s / LADDER_STEPS.len() as f64;
        Phase {
            name: LADDER.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape: Shape::Ladder {
                connections: LADDER_STEPS.to_vec(),
                requests_each: Some(LADDER_REQUESTS_EACH),
                duration_s: Some(step_s),
                idle_s: 0.0,
            },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }

    fn phase(
        &self,
        run: &RunView<'_>,
        endpoint: &Endpoint,
        course: &Course,
        name: String,
        shape: Shape,
    ) -> Phase {
        Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape,
            limits: Limits {
                timeout_ms: patience_ms(&self.limits, &course.objective),
                ..self.limits.clone()
            },
            capture: Capture::NONE,
        }
    }
}

impl Course {
    /// Takes in what was recorded since the last look.
    fn take_in(&mut self, run: &RunView<'_>) {
        let new: Vec<&PhaseResult> = run.of(NAME).skip(self.seen).collect();
        self.seen += new.len();
        for phase in new {
            match self.pending.take() {
                Some(Action::Load {
                    purpose,
                    rate,
                    requests,
                    again,
                }) => self.add(run, phase, purpose, rate, requests, again),
                Some(Action::Descend { .. }) => self.search.descended = true,
                _ => {}
            }
        }
    }

    fn add(
        &mut self,
        run: &RunView<'_>,
        phase: &PhaseResult,
        purpose: Purpose,
        rate: f64,
        requests: usize,
        again: bool,
    ) {
        let before = if again { self.search.attempts.pop() } else { None };
        let (asked, mut phases) = before.map_or((0, Vec::new()), |a| (a.requests, a.phases));
        phases.push(phase.index);
        let results: Vec<&PhaseResult> = by_index(run, &phases);
        self.search.attempts.push(Attempt {
            purpose,
            planned: rate,
            requests: asked + requests,
            probe: probe::judge(&results, purpose.level(), rate, &self.objective, self.errors_max),
            phases,
        });
    }

    fn phase_name(&self, purpose: Purpose, rate: f64, again: bool) -> String {
        let word = purpose.word();
        let attempts = &self.search.attempts;
        let longer = match attempts.last() {
            Some(last) if again => format!(", longer {}", last.phases.len()),
            _ => String::new(),
        };
        let number = attempts.len() + usize::from(!again);
        format!("{word} {number} at {}/s{longer}", crate::wording::digits(rate))
    }
}

/// The highest rate that a search confirmed for an endpoint within an objective, per second.
pub(crate) fn sustained_rate(run: &RunView<'_>, endpoint: &str, objective: &Objective) -> Option<f64> {
    let confirmations: Vec<(f64, &PhaseResult)> = run
        .of(NAME)
        .filter(|p| {
            p.phase.name.starts_with(Purpose::Confirm.word()) && p.phase.scenarios[0].name == endpoint
        })
        .filter_map(|p| match p.phase.shape {
            Shape::Open { rate, .. } => Some((rate, p)),
            _ => None,
        })
        .collect();
    confirmations
        .iter()
        .map(|(rate, _)| {
            // A confirmation that was made longer has two phases of one rate.
            let phases: Vec<&PhaseResult> = confirmations
                .iter()
                .filter(|(other, _)| other.total_cmp(rate).is_eq())
                .map(|(_, phase)| *phase)
                .collect();
            probe::judge(&phases, Purpose::Confirm.level(), *rate, objective, ERRORS_MAX)
        })
        .filter(|p| p.trusted && p.answer == probe::Answer::Pass)
        .map(|p| p.rate)
        .max_by(f64::total_cmp)
}

/// After how long a client of this objective gives up, in ms.
pub(crate) fn patience_ms(limits: &Limits, objective: &Objective) -> u64 {
    let patience = (PATIENCE * objective.limit_ms).max(PATIENCE_MS_MIN) as u64;
    limits.timeout_ms.min(patience)
}

/// Every request of a load may be in flight at once: nothing is held back here.
fn in_flight_max(requests: usize) -> u32 {
    u32::try_from(2 * requests)
        .unwrap_or(u32::MAX)
        .clamp(1000, 20_000)
}

/// The ladder of an endpoint: the other experiment's, else our own.
fn ladder<'a>(run: &RunView<'a>, endpoint: &str) -> Option<&'a PhaseResult> {
    let own = || {
        run.phase(NAME, LADDER)
            .filter(|p| p.phase.scenarios[0].name == endpoint)
    };
    run.phase("ladder", endpoint).or_else(own)
}

fn by_index<'a>(run: &RunView<'a>, indices: &[u16]) -> Vec<&'a PhaseResult> {
    indices
        .iter()
        .filter_map(|index| run.phases.iter().find(|p| p.index == *index))
        .collect()
}

/// Seconds that its phases have taken so far.
fn spent_s(run: &RunView<'_>) -> f64 {
    run.of(NAME)
        .map(|p| (p.summary.ended - p.summary.started).as_secs_f64())
        .sum()
}
