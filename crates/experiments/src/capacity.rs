//! How many requests per second can it take within the objective? A search in open loop: up until it fails, bisection,
//! a fresh confirmation, and down again.
//!
//! The load is here; `capacity/search.rs` decides on rates, `capacity/probe.rs` judges them and `capacity/report.rs` has the
//! words. It must not know what answers mean, and never calls a rate sustained that fresh requests did not confirm.

mod probe;
mod promise;
mod report;
mod search;
mod shape;
mod tier;

use std::collections::BTreeMap;

use prony_model::{Arrivals, Budget, Capture, Finding, Limits, Phase, PhaseResult, Shape, Stage};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::dzi::mix;
use crate::experiment::params;
use crate::objective::Objective;
use crate::primary::solo_ms;
use crate::slo::Slo;
use crate::workload::{self, Workload};
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};
use promise::{Asked, Promise};
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
    needs: &["coverage", "baseline", "streams", "ladder"],
    time: Time::Bounded {
        usual_s: [15.0, 30.0, 120.0],
        most_s: [20.0, 40.0, 240.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: CapacityParams = params(value)?;
        Objective::check(asked.slo_quantile, asked.slo_ms)?;
        workload::check(asked.scenarios.as_deref())?;
        let limits = Asked::parse(&asked)?;
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
            slo: limits,
            seed: context.seed,
            limits: context.limits.clone(),
            laddered: false,
            course: None,
        }))
    },
    schema: || schema_for!(CapacityParams),
    example: "[experiment.capacity]\nslo_quantile = 0.95\nslo_ms = 500                # of streams in its place: slo = { ttft_p99_ms = 200, \
              itl_p99_ms = 50 }\ntier = \"quick\"\nduration_s = 60\n",
};

/// Parameters of the capacity search.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CapacityParams {
    /// Limit of the response, from the intended start, in ms. By default 6 times the median of a request alone, at least 10.
    pub slo_ms: Option<f64>,
    /// Share of requests that must keep it. By default 0.95.
    pub slo_quantile: Option<f64>,
    /// Limits of the times of streams in place of `slo_ms`: `ttft_ms`, `tpot_ms`, `itl_ms` (the answer's own 99th percentile),
    /// `e2e_s`. A request must hold all of them. With a percentile in the name (`ttft_p99_ms`) it is the share of requests
    /// that must; the highest counts for all. On streaming endpoints limits follow from an answer alone where none are given.
    pub slo: Option<Slo>,
    /// Limits of single scenarios, by their names; the others have those of `slo`, or must only be answered.
    pub class: Option<BTreeMap<String, Slo>>,
    /// Scenarios of the suite to send, by their weights. By default the requests of the endpoint that does the most work.
    pub scenarios: Option<Vec<String>>,
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
    slo: Asked,
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
    /// What is loaded, by name.
    endpoint: String,
    promise: Promise,
    errors_max: f64,
    search: Search,
    /// What was asked for last.
    pending: Option<Action>,
    /// Phases of this experiment that were taken in.
    seen: usize,
}

impl Experiment for Capacity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(workload) = self.workload(run) else {
            return Step::Done;
        };
        if self.course.is_none() {
            if ladder(run, &workload).is_none() && !std::mem::replace(&mut self.laddered, true) {
                return Step::Run(self.ladder_phase(workload));
            }
            self.course = self.begin(run, &workload);
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
                Step::Run(self.phase(workload, &course, name, shape))
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
                Step::Run(self.phase(workload, &course, DESCENT.to_owned(), shape))
            }
            Action::Stop => Step::Done,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(course) = &self.course else {
            let why = self.why_nothing(run);
            return vec![report::nothing(&why)];
        };
        let mut course = course.clone();
        course.take_in(run);
        report::findings(run, &course, self.workload(run).as_ref(), self.seed)
    }
}

impl Capacity {
    /// What is sent: the scenarios asked for, else the heaviest endpoint's requests; as streams unless a limit of whole answers
    /// was given.
    fn workload(&self, run: &RunView<'_>) -> Option<Workload> {
        match &self.asked.scenarios {
            Some(names) => Workload::of_suite(run, names),
            None => Workload::heaviest(run, self.asked.slo_ms.is_none()),
        }
    }

    /// Why no search could be planned.
    fn why_nothing(&self, run: &RunView<'_>) -> String {
        let Some(workload) = self.workload(run) else {
            return match &self.asked.scenarios {
                Some(names) => format!("the suite has not all of the scenarios {}", names.join(", ")),
                None => "no endpoint that does work answered correctly".to_owned(),
            };
        };
        if self.slo.is_given() && !workload.is_streamed {
            format!(
                "{} does not answer with streams, and limits of streams were given",
                workload.name
            )
        } else {
            "nothing says how long a request takes alone, or how many the target takes at most".to_owned()
        }
    }

    fn begin(&self, run: &RunView<'_>, workload: &Workload) -> Option<Course> {
        let steps = ladder(run, workload);
        let slots = steps.and_then(Slots::of);
        let promises_streams = workload.is_streamed && self.asked.slo_ms.is_none();
        if self.slo.is_given() && !promises_streams {
            // Nothing here is a stream that could keep it.
            return None;
        }
        let endpoint = run.surface.endpoints.iter().find(|e| e.name == workload.name);
        let solo = endpoint
            .filter(|_| workload.is_endpoint && !workload.is_streamed)
            .and_then(|endpoint| solo_ms(run, endpoint));
        let alone_ms = solo.or_else(|| slots.as_ref().map(|s| 1000.0 * s.alone_s));
        let promise = if promises_streams {
            self.slo.promise(workload, steps)?
        } else {
            let objective = Objective::new(self.asked.slo_quantile, self.asked.slo_ms, alone_ms)?;
            Promise::Response(objective)
        };
        let highest = slots
            .map(|s| s.x_max)
            .or_else(|| steps.and_then(shape::throughput))
            .or_else(|| alone_ms.map(|ms| 1000.0 / ms))?;
        // A start that is the same every time would favour some capacities: the rates tried would straddle them.
        let chance = mix(self.seed ^ 0x0043_4150) as f64 / u64::MAX as f64;
        let start = START * highest * 1.5_f64.powf(chance - 0.5);
        Some(Course {
            endpoint: workload.name.clone(),
            search: Search::new(Tier::new(self.tier, promise.allowed()), start, self.rate_max),
            promise,
            errors_max: self.asked.errors_max.unwrap_or(ERRORS_MAX),
            pending: None,
            seen: run.of(NAME).count(),
        })
    }

    fn ladder_phase(&self, workload: Workload) -> Phase {
        let step_s = LADDER_SHARE * self.duration_s / LADDER_STEPS.len() as f64;
        Phase {
            name: LADDER.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: workload.scenarios,
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

    fn phase(&self, workload: Workload, course: &Course, name: String, shape: Shape) -> Phase {
        let limits = match course.promise.response() {
            Some(objective) => Limits {
                timeout_ms: patience_ms(&self.limits, objective),
                ..self.limits.clone()
            },
            // A stream that is late is not given up: whoever reads waits for its end.
            None => Limits {
                stop_saturated: true,
                ..self.limits.clone()
            },
        };
        Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: workload.scenarios,
            shape,
            limits,
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
            probe: probe::judge(&results, purpose.level(), rate, &self.promise, self.errors_max),
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
            let promise = Promise::Response(*objective);
            probe::judge(&phases, Purpose::Confirm.level(), *rate, &promise, ERRORS_MAX)
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

/// The ladder of a workload: the other experiment's where that sent the same, else our own.
fn ladder<'a>(run: &RunView<'a>, workload: &Workload) -> Option<&'a PhaseResult> {
    let theirs = run
        .phase("ladder", &workload.name)
        .filter(|_| workload.is_endpoint && !workload.is_streamed);
    theirs.or_else(|| {
        let own = run.phase(NAME, LADDER)?;
        let names = own.phase.scenarios.iter().map(|s| &s.name);
        names
            .eq(workload.scenarios.iter().map(|s| &s.name))
            .then_some(own)
    })
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
