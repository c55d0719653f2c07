//! How long does a cold start take, was it the cause, and how many workers must stay warm? Single requests and bursts after
//! idleness, beside the same without.
//!
//! The load is here; `cold_start/measure.rs` reads the recording, `fleet.rs` is the arithmetic of workers that start,
//! `cause.rs` tells a cold start from a cap and from imbalance, `retries.rs` plays retry policies through, `workers.rs` adds up what each did, `cost.rs` what they cost,
//! and `report.rs` holds the words. It must not call slow requests cold because they are slow.

mod cause;
mod cost;
mod fleet;
mod measure;
mod report;
mod retries;
mod workers;

use prony_model::{Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::{ParamError, params};
use crate::primary::{heaviest, scenario, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use cost::Prices;

const NAME: &str = "cold-start";

/// Requests one after another that show what a warm worker takes.
const WARM_REQUESTS: u64 = 12;

/// Probes after idleness that are planned at least.
const PROBES_MIN: usize = 3;

/// Answers that are kept, for the name of the worker and the words of a refusal.
const KEPT: Capture = Capture {
    responses_max: 1_000,
    body_bytes_max: 1_024,
    digests: false,
};

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Cold start",
    question: "How long does a cold start take, and how many workers must stay warm?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::Bounded {
        usual_s: [9.0, 35.0, 105.0],
        most_s: [15.0, 60.0, 150.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: ColdStartParams = params(value)?;
        let (idle_s, probes, sizes) = match context.budget {
            Budget::Quick => (2.0, 3, vec![8]),
            Budget::Standard => (5.0, 5, vec![16]),
            Budget::Thorough => (8.0, 10, vec![4, 16]),
        };
        let mut sizes = asked.sizes.unwrap_or(sizes);
        sizes.retain(|size| *size > 0);
        sizes.sort_unstable();
        sizes.dedup();
        Ok(Box::new(ColdStart {
            idle_s: asked.idle_s.unwrap_or(idle_s),
            probes: asked.probes.unwrap_or(probes),
            sizes,
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            production_per_s: asked.production_per_s,
            prices: prices(asked.price_per_worker_s, asked.price_warm_per_worker_s)?,
            limits: context.limits.clone(),
            queue: None,
        }))
    },
    schema: || schema_for!(ColdStartParams),
    example: "[experiment.cold-start]\nidle_s = 72   # the platform's idle time-out and a fifth more\nprobes = 10\nsizes = [4, 16]\n\
              duration_s = 1800\n",
};

/// Parameters of the cold-start experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ColdStartParams {
    /// Seconds of silence after which a request counts as one after idleness: the platform's idle time-out and a fifth more.
    /// By default 2 (quick), 5 (standard) or 8 (thorough), which shows little of a platform that waits longer.
    pub idle_s: Option<f64>,
    /// Single requests after idleness. By default 3, 5 or 10; fewer when the time does not suffice.
    pub probes: Option<usize>,
    /// Sizes of the bursts after idleness, each repeated at once. By default 8 (quick), 16 (standard), or 4 and 16 (thorough).
    pub sizes: Option<Vec<u32>>,
    /// Seconds for all of it. By default 15, 60 or 150.
    pub duration_s: Option<f64>,
    /// Requests per second in production, for the number of workers that steady traffic needs.
    pub production_per_s: Option<f64>,
    /// What a second of a worker costs while it starts, works or waits to be stopped, in a currency of your own: then the report states
    /// what requests, starts and warm workers cost.
    pub price_per_worker_s: Option<f64>,
    /// What a second of a worker costs that is kept warm. By default the same.
    pub price_warm_per_worker_s: Option<f64>,
}

/// The prices that were given; that of a warm worker alone says nothing of the others.
fn prices(on_demand: Option<f64>, warm: Option<f64>) -> Result<Option<Prices>, ParamError> {
    let wrong = |message: &str| ParamError {
        message: message.to_owned(),
    };
    if [on_demand, warm]
        .into_iter()
        .flatten()
        .any(|price| !price.is_finite() || price < 0.0)
    {
        return Err(wrong("a price is a number that is not below 0"));
    }
    match (on_demand, warm) {
        (Some(price), warm) => Ok(Some(Prices {
            on_demand_per_s: price,
            warm_per_s: warm.unwrap_or(price),
        })),
        (None, Some(_)) => Err(wrong(
            "`price_warm_per_worker_s` needs `price_per_worker_s` beside it",
        )),
        (None, None) => Ok(None),
    }
}

struct ColdStart {
    idle_s: f64,
    probes: usize,
    sizes: Vec<u32>,
    duration_s: f64,
    production_per_s: Option<f64>,
    prices: Option<Prices>,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for ColdStart {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let step = queue.next().map_or(Step::Done, Step::Run);
        self.queue = Some(queue);
        step
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let timeout_s = self.limits.timeout_ms as f64 / 1000.0;
        report::findings(run, self.idle_s, timeout_s, self.production_per_s, self.prices)
    }
}

impl ColdStart {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        heaviest(run, 1)
            .first()
            .map(|endpoint| self.phases(run, endpoint))
            .unwrap_or_default()
    }

    /// What fits into the time: probes first, then bursts from the smallest on. The time of a cold start is not known before,
    /// so that of a warm request stands for it.
    fn phases(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Phase> {
        let solo_s = solo_ms(run, endpoint).unwrap_or(100.0) / 1000.0;
        let idle_s = self.idle_s.max(0.0);
        let each_s = idle_s + 2.0 * solo_s;
        let warm = (0.1 * self.duration_s / solo_s).floor() as u64;
        let probes = ((0.6 * self.duration_s / each_s).floor() as usize)
            .clamp(PROBES_MIN, self.probes.max(PROBES_MIN));
        let mut left_s = self.duration_s - 0.1 * self.duration_s - probes as f64 * each_s;
        let mut phases = vec![
            self.phase(
                WARM,
                run,
                endpoint,
                Shape::Sequential {
                    requests: warm.clamp(4, WARM_REQUESTS),
                    duration_s: None,
                },
            ),
            self.phase(
                PROBES,
                run,
                endpoint,
                Shape::Ladder {
                    connections: vec![1; probes + 1],
                    requests_each: Some(1),
                    duration_s: None,
                    idle_s,
                },
            ),
        ];
        for (k, &size) in self.sizes.iter().enumerate() {
            // Both bursts, were they served by a quarter as many workers.
            left_s -= each_s + 8.0 * solo_s;
            if left_s < 0.0 && k > 0 {
                break;
            }
            let after_idle = Shape::Ladder {
                connections: vec![1, size],
                requests_each: Some(1),
                duration_s: None,
                idle_s,
            };
            let at_once = Shape::Burst {
                size,
                count: 1,
                interval_s: 0.0,
            };
            phases.push(self.phase(&after_idle_name(size), run, endpoint, after_idle));
            phases.push(self.phase(&at_once_name(size), run, endpoint, at_once));
        }
        phases
    }

    fn phase(&self, name: &str, run: &RunView<'_>, endpoint: &Endpoint, shape: Shape) -> Phase {
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape,
            limits: self.limits.clone(),
            capture: KEPT,
        }
    }
}

const WARM: &str = "warm";
const PROBES: &str = "after idleness";

fn after_idle_name(size: u32) -> String {
    format!("burst of {size} after idleness")
}

fn at_once_name(size: u32) -> String {
    format!("burst of {size} at once again")
}

/// The sizes of the bursts that were run, ascending, with both of their phases.
fn bursts<'a>(run: &RunView<'a>) -> Vec<(u32, &'a PhaseResult, &'a PhaseResult)> {
    run.of(NAME)
        .filter_map(|again| {
            let Shape::Burst { size, .. } = again.phase.shape else {
                return None;
            };
            Some((size, run.phase(NAME, &after_idle_name(size))?, again))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::prices;
    use crate::cold_start::cost::Prices;

    #[test]
    fn prices_are_told_or_refused() {
        let both = Prices {
            on_demand_per_s: 2.0,
            warm_per_s: 1.5,
        };
        assert_eq!(prices(Some(2.0), Some(1.5)).unwrap(), Some(both));
        let same = Prices {
            warm_per_s: 2.0,
            ..both
        };
        assert_eq!(prices(Some(2.0), None).unwrap(), Some(same));
        assert_eq!(prices(None, None).unwrap(), None);
        for (on_demand, warm) in [(None, Some(1.0)), (Some(-1.0), None), (Some(f64::NAN), None)] {
            assert!(prices(on_demand, warm).is_err(), "{on_demand:?} {warm:?}");
        }
    }
}
