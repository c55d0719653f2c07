//! What do the network and the server's framework cost? Requests, one at a time, to an endpoint that does no work.
//!
//! The runner may have measured the generator alone before (phase `null` of this experiment, against a server in its own
//! process). Other experiments subtract what is found here. It must not know what the target does.

use prony_model::{Budget, Capture, Finding, Limits, Phase, Severity, Shape, Verdict};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{no_work, scenario};
use crate::timings::Timings;
use crate::wording::{ms, outcome, quantile, quantiles, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "client-floor";
const NO_WORK: &str = "no-work";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Client floor",
    question: "What do the network and the server's framework cost, before any work is done?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &[],
    time: Time::Bounded {
        usual_s: [0.5, 1.0, 4.0],
        most_s: [1.0, 4.0, 15.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: ClientFloorParams = params(value)?;
        let requests = match context.budget {
            Budget::Quick => 200,
            Budget::Standard => 500,
            Budget::Thorough => 2000,
        };
        Ok(Box::new(ClientFloor {
            requests: asked.requests.unwrap_or(requests),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            planned: false,
        }))
    },
    schema: || schema_for!(ClientFloorParams),
    example: "[experiment.client-floor]\nrequests = 500\nduration_s = 4\n",
};

/// Parameters of the client floor.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientFloorParams {
    /// Requests. By default 200 (quick), 500 (standard) or 2000 (thorough).
    pub requests: Option<u64>,
    /// Stop after so many seconds. By default 1, 4 or 15.
    pub duration_s: Option<f64>,
}

struct ClientFloor {
    requests: u64,
    duration_s: f64,
    limits: Limits,
    planned: bool,
}

impl Experiment for ClientFloor {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let Some(endpoint) = no_work(run) else {
            return Step::Done;
        };
        Step::Run(Phase {
            name: NO_WORK.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape: Shape::Sequential {
                requests: self.requests,
                duration_s: Some(self.duration_s),
            },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, NO_WORK) else {
            return vec![
                Draft::new(NAME, NAME, "")
                    .advisory()
                    .title("The target has no endpoint without work, so the floor was not measured")
                    .detail(
                        "Times of other endpoints are given whole; the part of the network and of the server's \
                         framework in them is unknown.",
                    )
                    .done(),
            ];
        };
        let endpoint = &phase.phase.scenarios[0].name;
        let times = Timings::of(phase, endpoint);
        let service = times.service_ms();
        let tally = times.tally();
        if service.is_empty() {
            return vec![resting_on(
                Draft::new(NAME, NAME, endpoint)
                    .verdict(Verdict::Inconclusive, Severity::Low)
                    .advisory()
                    .title(format!(
                        "The floor could not be measured: {endpoint} gave no good answer"
                    ))
                    .detail(outcome(&tally))
                    .done(),
                &[phase],
            )];
        }
        let median = prony_stats::median(&mut service.clone());
        let mut said = vec![format!(
            "{endpoint} does no work, so its time is that of the network, the server's framework and the generator: median \
             {}. A difference between endpoints that is smaller than this spread cannot be seen from here.",
            quantile(&service, 0.5)
        )];
        let evidence = source(phase, endpoint);
        let mut draft = Draft::new(NAME, NAME, endpoint).advisory();
        draft = quantiles(
            draft,
            &service,
            "time without work",
            &[0.5, 0.95, 0.99],
            &evidence,
        );
        if let Some(null) = run
            .phase(NAME, "null")
            .filter(|null| null.summary.validity.is_valid())
        {
            let own = Timings::all(null);
            let own_ms = own.service_ms();
            if !own_ms.is_empty() {
                said.push(format!(
                    "The generator alone, against a server in its own process, needs {} (median) and makes {:.0} requests \
                     per second on one connection: this is its own floor.",
                    ms(prony_stats::median(&mut own_ms.clone())),
                    own.per_s()
                ));
                draft = quantiles(
                    draft,
                    &own_ms,
                    "the generator alone",
                    &[0.5, 0.99],
                    &source(null, "null"),
                );
            }
        }
        vec![resting_on(
            draft
                .title(format!("A request that does no work takes {}", ms(median)))
                .detail(said.join(" "))
                .done(),
            &[phase],
        )]
    }
}
