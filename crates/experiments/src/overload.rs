//! When there is too much traffic, does it bend, break, or stay broken? One script in open loop: below the capacity, far above
//! it, and back.
//!
//! The load is here; `overload/surge.rs`, `recovery.rs`, `lingering.rs`, `outage.rs` and `resend.rs` hold the arithmetic,
//! `class.rs` the rules and `report.rs` and `refused.rs` the words. It must not know what answers mean, and never goes beyond the rate that the user allows.

mod class;
mod lingering;
mod outage;
mod recovery;
mod refused;
mod report;
mod resend;
mod surge;
#[cfg(test)]
mod tests;

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Limits, Phase, Retry, RetryOn, Scenario, Shape, Stage,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::capacity::{patience_ms, sustained_rate};
use crate::experiment::params;
use crate::ladder::{is_saturated, throughput_max};
use crate::objective::Objective;
use crate::primary::{heaviest, scenario, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};
use surge::{SCRIPT_S, Surge};

const NAME: &str = "overload";
/// Names of its phases.
const SURGE: &str = "surge";
const RESEND: &str = "resend after refusal";
const SURGE_AGAIN: &str = "surge with retries";

/// Rates above this say more about the generator than about a backend of inference, per second.
const RATE_MAX: f64 = 2000.0;
/// Capacity without a search, as a share of the highest throughput in closed loop.
const OF_THROUGHPUT: f64 = 0.8;
/// Share of the time for those who come back after a refusal.
const RESEND_SHARE: f64 = 0.1;
/// Refusals from which that is worth it.
const REFUSED_MIN: usize = 20;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Overload",
    question: "When there is too much traffic, does it bend, break, or stay broken?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage", "baseline", "ladder", "capacity"],
    time: Time::Filled {
        usual_s: [30.0, 60.0, 240.0],
        answers: 0.0,
    },
    build: |context, value| {
        let asked: OverloadParams = params(value)?;
        Objective::check(asked.slo_quantile, asked.slo_ms)?;
        let positive = |x: Option<f64>| x.is_none_or(|x| x > 0.0 && x.is_finite());
        if !(positive(asked.rate) && positive(asked.rate_max) && positive(asked.duration_s)) {
            return Err(ParamError {
                message: "`rate`, `rate_max` and `duration_s` must be above 0".to_owned(),
            });
        }
        Ok(Box::new(Overload {
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            retries: asked.retries.unwrap_or(context.budget == Budget::Thorough),
            asked,
            limits: context.limits.clone(),
            course: None,
            tried: 0,
        }))
    },
    schema: || schema_for!(OverloadParams),
    example: "[experiment.overload]\nslo_ms = 500\nrate_max = 300\nduration_s = 120\nretries = true\n",
};

/// Parameters of the overload experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OverloadParams {
    /// Limit of the response, from the intended start, in ms. By default 6 times the median of a request alone, at least 10.
    pub slo_ms: Option<f64>,
    /// Share of requests that must keep it. By default 0.95.
    pub slo_quantile: Option<f64>,
    /// The capacity, in requests per second. By default what the capacity experiment confirmed, else 0.8 of the highest
    /// throughput of the ladder.
    pub rate: Option<f64>,
    /// Highest rate that may be sent, per second. By default 2000.
    pub rate_max: Option<f64>,
    /// Seconds for all of it. By default 30 (quick), 60 (standard) or 240 (thorough). From 567 on (1134 with `retries`) the end is
    /// watched for 300 s, and only then a target that is not back is called metastable.
    pub duration_s: Option<f64>,
    /// Whether to repeat it with clients that send again what failed. By default only in a thorough run.
    pub retries: Option<bool>,
    /// How these clients do it. By default up to 3 attempts after 429, 502, 503, 504, a reset or a timeout.
    pub retry: Option<Retry>,
}

struct Overload {
    asked: OverloadParams,
    duration_s: f64,
    retries: bool,
    limits: Limits,
    course: Option<Course>,
    /// Phases that were run or passed over.
    tried: usize,
}

/// What the script is about.
#[derive(Clone, Debug)]
struct Course {
    endpoint: String,
    objective: Objective,
    /// In requests per second.
    capacity: f64,
    /// Where that comes from, as a clause.
    origin: &'static str,
    /// How the clients retry, in the surge with retries.
    retry: Retry,
    /// Seconds for all of the experiment with which the script has its full length.
    full_s: f64,
}

impl Experiment for Overload {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(endpoint) = heaviest(run, 1).into_iter().next() else {
            return Step::Done;
        };
        if self.course.is_none() {
            self.course = self.begin(run, endpoint);
        }
        let Some(course) = self.course.clone() else {
            return Step::Done;
        };
        let surge_s = self.duration_s * self.surge_share();
        let resend_s = self.duration_s * RESEND_SHARE;
        let rate_max = self.asked.rate_max.unwrap_or(RATE_MAX);
        loop {
            self.tried += 1;
            let phase = match self.tried {
                1 => {
                    let stages = surge::stages(course.capacity, rate_max, surge_s);
                    Some(self.phase(SURGE, &course, scenario(run, endpoint), stages, Capture::NONE))
                }
                2 if refused_before(run, &course) >= REFUSED_MIN => {
                    let stages = resend::stages(course.capacity, rate_max, resend_s);
                    let scenario = Scenario {
                        retry: Some(resend::policy(resend_s)),
                        ..scenario(run, endpoint)
                    };
                    let capture = Capture {
                        responses_max: resend::CAPTURES,
                        ..Capture::NONE
                    };
                    Some(self.phase(RESEND, &course, scenario, stages, capture))
                }
                3 if self.retries => {
                    let stages = surge::stages(course.capacity, rate_max, surge_s);
                    let scenario = Scenario {
                        retry: Some(course.retry.clone()),
                        ..scenario(run, endpoint)
                    };
                    Some(self.phase(SURGE_AGAIN, &course, scenario, stages, Capture::NONE))
                }
                2 | 3 => None,
                _ => return Step::Done,
            };
            if let Some(phase) = phase {
                return Step::Run(phase);
            }
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        match &self.course {
            Some(course) => report::findings(run, course),
            None => vec![report::nothing()],
        }
    }
}

impl Overload {
    /// Share of the time for each surge.
    fn surge_share(&self) -> f64 {
        (1.0 - RESEND_SHARE) / if self.retries { 2.0 } else { 1.0 }
    }

    fn begin(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Course> {
        let objective = Objective::new(self.asked.slo_quantile, self.asked.slo_ms, solo_ms(run, endpoint))?;
        let given = self.asked.rate.map(|rate| (rate, "given"));
        let searched =
            || sustained_rate(run, &endpoint.name, &objective).map(|rate| (rate, "confirmed before"));
        let laddered = || {
            let origin = if is_saturated(run, &endpoint.name) {
                "0.8 of the highest throughput of the ladder"
            } else {
                "0.8 of the highest throughput of the ladder, which does not show it used up"
            };
            throughput_max(run, &endpoint.name).map(|x| (OF_THROUGHPUT * x, origin))
        };
        let (capacity, origin) = given.or_else(searched).or_else(laddered)?;
        let retry = self.asked.retry.clone().unwrap_or_else(|| {
            let mut on = Retry::default().on;
            on.push(RetryOn::Timeout);
            Retry {
                on,
                unsafe_methods: true,
                ..Retry::default()
            }
        });
        Some(Course {
            endpoint: endpoint.name.clone(),
            objective,
            capacity,
            origin,
            retry,
            full_s: SCRIPT_S / self.surge_share(),
        })
    }

    fn phase(
        &self,
        name: &str,
        course: &Course,
        scenario: Scenario,
        stages: Vec<Stage>,
        capture: Capture,
    ) -> Phase {
        let timeout_ms = patience_ms(&self.limits, &course.objective);
        let most = stages.iter().map(|s| s.rate).fold(0.0, f64::max);
        let attempts = scenario.retry.as_ref().map_or(1.0, |r| f64::from(r.attempts));
        // As many as can wait until they give up, and some more.
        let in_flight = 1.5 * attempts * most * timeout_ms as f64 / 1000.0;
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![scenario],
            shape: Shape::Stages {
                stages,
                arrivals: Arrivals::Poisson,
                in_flight_max: in_flight.clamp(1000.0, 20_000.0) as u32,
            },
            limits: Limits {
                timeout_ms,
                ..self.limits.clone()
            },
            capture,
        }
    }
}

/// Requests that the first surge saw refused with 429 or 503.
fn refused_before(run: &RunView<'_>, course: &Course) -> usize {
    run.phase(NAME, SURGE)
        .and_then(|phase| Surge::of(phase, course.capacity, course.objective))
        .map_or(0, |surge| surge.refusals().refused)
}
