//! How long does one request take when nothing else runs? One at a time, all inputs in turn.
//!
//! Response times and throughput are stated apart: total over n is no latency. It must not know what answers mean.

use prony_model::{Budget, Capture, Finding, Limits, Phase, PhaseResult, Severity, Shape, Verdict};
use prony_stats::order;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{primary, scenario};
use crate::timings::Timings;
use crate::wording::{OUTCOME_COLUMNS, by_failures, digits, ms, outcome, quantile, quantiles, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "baseline";

/// Two medians closer than this may differ by nothing that a user would ever see, in ms.
const VISIBLE_MS: f64 = 1.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Baseline",
    question: "How long does one request take when nothing else runs?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage"],
    time: Time::Filled {
        usual_s: [6.0, 20.0, 100.0],
        answers: 6.0,
    },
    build: |context, value| {
        let asked: BaselineParams = params(value)?;
        let (endpoints, requests) = match context.budget {
            Budget::Quick => (6, 80),
            Budget::Standard => (8, 200),
            Budget::Thorough => (16, 1500),
        };
        Ok(Box::new(Baseline {
            endpoints: asked.endpoints.unwrap_or(endpoints),
            requests: asked.requests.unwrap_or(requests),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            queue: None,
        }))
    },
    schema: || schema_for!(BaselineParams),
    example: "[experiment.baseline]\nendpoints = 4\nrequests = 400\nduration_s = 60\n",
};

/// Parameters of the baseline.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BaselineParams {
    /// At most so many endpoints. By default 6 (quick), 8 (standard) or 16 (thorough).
    pub endpoints: Option<usize>,
    /// Requests to each. By default 80, 200 or 1500.
    pub requests: Option<u64>,
    /// Seconds for all endpoints together. By default 6, 20 or 100.
    pub duration_s: Option<f64>,
}

struct Baseline {
    endpoints: usize,
    requests: u64,
    duration_s: f64,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for Baseline {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let step = queue.next().map_or(Step::Done, Step::Run);
        self.queue = Some(queue);
        step
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = run.of(NAME).map(endpoint_finding).collect();
        if findings.is_empty() {
            findings.push(
                Draft::new(NAME, NAME, "")
                    .verdict(Verdict::Inconclusive, Severity::Medium)
                    .title("Nothing could be timed")
                    .detail(if run.working_endpoints().iter().any(|e| e.is_work()) {
                        "The endpoints that do the target's work leave something behind, or promise to do it later (202): load would \
                         pile that up, so it was not applied."
                    } else {
                        "No endpoint that does the target's work gave a correct answer before, so there is nothing to time."
                    })
                    .advice(
                        "Name an endpoint and a valid request for it in the suite, or with --endpoint one that may be loaded whatever it \
                         leaves behind.",
                        "",
                    )
                    .done(),
            );
        }
        findings.extend(no_visible_work(run));
        findings
    }
}

impl Baseline {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let endpoints = primary(run, self.endpoints);
        let each_s = self.duration_s / endpoints.len().max(1) as f64;
        endpoints
            .into_iter()
            .map(|endpoint| Phase {
                name: endpoint.name.clone(),
                experiment: NAME.to_owned(),
                scenarios: vec![scenario(run, endpoint)],
                shape: Shape::Sequential {
                    requests: self.requests,
                    duration_s: Some(each_s),
                },
                limits: self.limits.clone(),
                capture: Capture::NONE,
            })
            .collect()
    }
}

fn endpoint_finding(phase: &PhaseResult) -> Finding {
    let endpoint = &phase.phase.name;
    let times = Timings::of(phase, endpoint);
    let response = times.response_ms();
    let tally = times.tally();
    let (verdict, severity) = by_failures(&tally);
    let evidence = source(phase, endpoint);
    let title = if response.is_empty() {
        format!("{endpoint} gave no good answer in the time there was")
    } else {
        let median = ms(prony_stats::median(&mut response.clone()));
        match tally.failed() {
            0 => format!("{endpoint} takes {median} (median), one request at a time"),
            failed => format!(
                "{endpoint} failed {failed} of {} requests, one at a time and without load",
                tally.judged()
            ),
        }
    };
    let inputs = phase.phase.scenarios[0].items.len();
    let mut draft = Draft::new(NAME, NAME, endpoint)
        .verdict(verdict, severity)
        .title(title)
        .detail(format!(
            "Requests one after another over {inputs} different {}: median {}, p90 {}, p95 {}. {} Throughput was {} per second, \
             which one client alone can get.",
            if inputs == 1 { "input" } else { "inputs" },
            quantile(&response, 0.5),
            quantile(&response, 0.9),
            quantile(&response, 0.95),
            outcome(&tally),
            digits(times.per_s()),
        ));
    draft = quantiles(draft, &response, "response", &[0.5, 0.9, 0.95, 0.99], &evidence);
    let (share, interval) = tally.success_percent();
    draft = draft
        .measured(
            "succeeded",
            share,
            "%",
            Some(interval),
            tally.judged() as usize,
            &evidence,
        )
        .figure(
            "throughput, one client",
            times.per_s(),
            "1/s",
            response.len(),
            &evidence,
        );
    if tally.failed() > 0 {
        draft = draft
            .table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), &evidence)
            .advice("Read the server's log at the time of these requests before trusting any time of this endpoint.", "");
    }
    if verdict == Verdict::Inconclusive {
        draft = draft.advice(
            "Give the experiment more time (`duration_s`), or raise the timeout.",
            "",
        );
    }
    resting_on(draft.done(), &[phase])
}

/// Endpoints that take no longer than one that does no work: perhaps they do none.
fn no_visible_work(run: &RunView<'_>) -> Option<Finding> {
    let floor = run.phase("client-floor", "no-work")?;
    let idle = Timings::all(floor).service_ms();
    let (idle_low, idle_high) = order::estimate(&idle, 0.5, 0.95)?.interval?;
    let alike: Vec<(&PhaseResult, f64)> = run
        .of(NAME)
        .filter_map(|phase| {
            let is_inference = run
                .surface
                .endpoints
                .iter()
                .any(|e| e.name == phase.phase.name && e.role == prony_model::Role::Inference);
            let median = order::estimate(&Timings::all(phase).service_ms(), 0.5, 0.95)?;
            let (low, high) = median.interval?;
            let overlap = low <= idle_high && idle_low <= high;
            let close = (high - idle_low).max(idle_high - low) < VISIBLE_MS;
            (is_inference && overlap && close).then_some((phase, median.value))
        })
        .collect();
    let (first, _) = alike.first()?;
    let names: Vec<&str> = alike.iter().map(|(p, _)| p.phase.name.as_str()).collect();
    let rows = alike
        .iter()
        .map(|(p, v)| vec![p.phase.name.clone(), digits(*v)])
        .collect();
    let finding = Draft::new(NAME, "no-visible-work", if names.len() == 1 { names[0] } else { "" })
        .advisory()
        .title(format!("{} took the same time as an endpoint that does no work", names.join(", ")))
        .detail(format!(
            "The medians lie within {} of that of {}, and their 95 % intervals overlap. So the times above are those of the \
             network and the framework; the work, if any is done, is too short to be seen from here. A cached or a fixed answer \
             looks like this too.",
            ms(VISIBLE_MS),
            floor.phase.scenarios[0].name
        ))
        .table("Medians", &["Endpoint", "Median, ms"], rows, &source(first, &first.phase.name))
        .done();
    Some(resting_on(finding, &[floor, first]))
}
