//! Does it hold a steady load? Open-loop Poisson arrivals at a part of the highest throughput that the ladder found.
//!
//! Response times count from the intended start. It must not know what answers mean; whether memory grows is another question
//! (`leak`).
//!
//! From when on it is steady is asked of the same load (`sustained/steady.rs`) and not by an experiment of its own: that would
//! send the same arrivals at the same rate once more, and its verdict would be about another stretch of time than the
//! percentiles that rest on it. It takes 30 s after the warm-up, so a short run does not ask.

mod drift;
mod slower;
mod steady;
#[cfg(test)]
mod tests;

use prony_model::{
    Arrivals, Budget, Capture, Finding, Limits, Phase, PhaseResult, Sample, Severity, Shape, Source, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::ladder::throughput_max;
use crate::primary::{heaviest, scenario, solo_ms};
use crate::rate::{bounded, offered, steady_rate};
use crate::timings::Timings;
use crate::wording::{OUTCOME_COLUMNS, by_failures, digits, ms, outcome, quantile, quantiles, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use drift::{Drift, drift};
use slower::{Cause, Slower, Usual};

pub(crate) use drift::in_flight_growth;

const NAME: &str = "sustained";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Sustained load",
    question: "Does it hold a steady load?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "baseline", "ladder"],
    time: Time::Filled {
        usual_s: [5.0, 20.0, 150.0],
        answers: 6.0,
    },
    build: |context, value| {
        let asked: SustainedParams = params(value)?;
        let endpoints = match context.budget {
            Budget::Quick | Budget::Standard => 1,
            Budget::Thorough => 2,
        };
        Ok(Box::new(Sustained {
            endpoints: asked.endpoints.unwrap_or(endpoints),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            load: asked.load.unwrap_or(0.65),
            rate: asked.rate,
            steady: asked.steady,
            limits: context.limits.clone(),
            queue: None,
        }))
    },
    schema: || schema_for!(SustainedParams),
    example: "[experiment.sustained]\nduration_s = 300\nload = 0.8\nsteady = true\n",
};

/// Parameters of the sustained load.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SustainedParams {
    /// At most so many endpoints. By default 1, in a thorough run 2.
    pub endpoints: Option<usize>,
    /// Seconds for all of them. By default 5 (quick), 20 (standard) or 150 (thorough).
    pub duration_s: Option<f64>,
    /// Part of the highest throughput that the ladder found. By default 0.65.
    pub load: Option<f64>,
    /// Arrivals per second, instead of `load`.
    pub rate: Option<f64>,
    /// Whether to say from when on it was steady, which takes 30 s after the warm-up. By default where each endpoint is
    /// loaded for 40 s or longer.
    pub steady: Option<bool>,
}

struct Sustained {
    endpoints: usize,
    duration_s: f64,
    load: f64,
    rate: Option<f64>,
    steady: Option<bool>,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for Sustained {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let step = queue.next().map_or(Step::Done, Step::Run);
        self.queue = Some(queue);
        step
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for phase in run.of(NAME) {
            findings.push(resting_on(load_finding(run, phase), &[phase]));
            findings.push(resting_on(drift_finding(run, phase), &[phase]));
            if self.steady.unwrap_or(length_s(phase) >= steady::JUDGED_FROM_S) {
                findings.push(steady::finding(phase, slower(run, phase).as_ref()));
            }
        }
        if findings.is_empty() {
            findings.push(
                Draft::new(NAME, NAME, "")
                    .verdict(Verdict::Inconclusive, Severity::Low)
                    .title("No sustained load was applied: nothing says which rate the target can take")
                    .detail("The rate follows from the ladder or, without one, from the baseline; neither has a good answer.")
                    .advice("Give a rate in the suite, or run the baseline and the ladder before.", "")
                    .done(),
            );
        }
        findings
    }
}

impl Sustained {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let endpoints = heaviest(run, self.endpoints);
        let each_s = self.duration_s / endpoints.len().max(1) as f64;
        endpoints
            .into_iter()
            .filter_map(|endpoint| {
                let asked = self.rate.map(bounded);
                let rate = asked.or_else(|| steady_rate(run, endpoint, self.load))?;
                Some(Phase {
                    name: endpoint.name.clone(),
                    experiment: NAME.to_owned(),
                    scenarios: vec![scenario(run, endpoint)],
                    shape: Shape::Open {
                        rate,
                        arrivals: Arrivals::Poisson,
                        duration_s: each_s,
                        in_flight_max: 1000,
                    },
                    limits: self.limits.clone(),
                    capture: Capture::NONE,
                })
            })
            .collect()
    }
}

fn length_s(phase: &PhaseResult) -> f64 {
    match phase.phase.shape {
        Shape::Open { duration_s, .. } => duration_s,
        _ => 0.0,
    }
}

fn load_finding(run: &RunView<'_>, phase: &PhaseResult) -> Finding {
    let endpoint = &phase.phase.name;
    let times = Timings::of(phase, endpoint);
    let response = times.response_ms();
    let tally = times.tally();
    let (verdict, severity) = by_failures(&tally);
    let evidence = source(phase, endpoint);
    let offered = offered(phase);
    let part = throughput_max(run, endpoint).map_or_else(String::new, |x| {
        format!(
            ", {} % of the highest throughput of the ladder",
            digits(100.0 * offered / x)
        )
    });
    let title = match (tally.judged(), tally.failed()) {
        (0, _) => format!("No request to {endpoint} ended under sustained load"),
        (_, 0) => {
            let median = prony_stats::median(&mut response.clone());
            format!(
                "{endpoint} held {} requests per second without a failure; median response {}",
                digits(offered),
                ms(median)
            )
        }
        (n, failed) => format!(
            "{failed} of {n} requests to {endpoint} failed at {} per second",
            digits(offered)
        ),
    };
    let mut draft = Draft::new(NAME, NAME, endpoint).verdict(verdict, severity).title(title).detail(format!(
        "Open loop, Poisson arrivals at {} per second{part}. Response from the intended start: median {}, p95 {}, p99 {}. {}",
        digits(offered),
        quantile(&response, 0.5),
        quantile(&response, 0.95),
        quantile(&response, 0.99),
        outcome(&tally)
    ));
    draft = quantiles(draft, &response, "response", &[0.5, 0.95, 0.99], &evidence);
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
        .figure("offered rate", offered, "1/s", phase.samples.len(), &evidence)
        .figure("good answers", times.per_s(), "1/s", response.len(), &evidence);
    if tally.failed() > 0 {
        draft = draft.table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), &evidence).advice(
            "Find the cause in the server's log before raising the load; a lower rate may hide it and not cure it.",
            "",
        );
    }
    draft.done()
}

/// Whose doing it is, should answers have become slower: `None` where the machine was equally busy all the while, or nobody saw.
fn slower(run: &RunView<'_>, phase: &PhaseResult) -> Option<Slower> {
    let endpoint = &phase.phase.name;
    let samples: Vec<&Sample> = Timings::of(phase, endpoint).samples().collect();
    let known = run.surface.endpoints.iter().find(|e| e.name == *endpoint);
    let usual = Usual {
        load: throughput_max(run, endpoint).map(|x| offered(phase) / x),
        alone_ms: known.and_then(|endpoint| solo_ms(run, endpoint)),
    };
    Slower::of(phase, &samples, &usual)
}

fn drift_finding(run: &RunView<'_>, phase: &PhaseResult) -> Finding {
    let endpoint = &phase.phase.name;
    let evidence = source(phase, endpoint);
    let draft = Draft::new(NAME, "degrades-over-time", endpoint).advisory();
    let samples: Vec<&Sample> = Timings::of(phase, endpoint).samples().collect();
    let Some(found) = drift(&samples) else {
        return draft
            .title(format!("The load on {endpoint} was too short to see a drift"))
            .detail("Successive response times depend on one another; too few independent stretches are left to fit a trend.")
            .done();
    };
    let Drift {
        change,
        interval,
        blocks,
        ..
    } = found;
    let percent = |x: f64| digits(100.0 * x);
    let draft = draft
        .measured(
            "change of the mean response from start to end",
            100.0 * change,
            "%",
            Some((100.0 * interval.0, 100.0 * interval.1)),
            blocks,
            &evidence,
        )
        .figure(
            "change of the requests in flight from start to end",
            100.0 * found.in_flight_change,
            "%",
            blocks,
            &evidence,
        );
    let what = format!(
        "Over {blocks} stretches of equal length the mean response changed by {} % of its mean from start to end (95 % interval {} % \
         to {} %), and the number in flight by {} %.",
        percent(change),
        percent(interval.0),
        percent(interval.1),
        percent(found.in_flight_change)
    );
    if found.degrades() {
        degraded(draft, &found, slower(run, phase), &what, &evidence).done()
    } else if found.is_doubtful() {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("{endpoint} may have become slower as the run went on"))
            .detail(format!(
                "{what} Chance may explain it, and so may a queue that grows."
            ))
            .advice("Repeat with a longer run (`duration_s`).", "")
            .done()
    } else {
        draft
            .title(format!("{endpoint} did not become slower as the run went on"))
            .detail(format!(
                "{what} A smaller drift than the interval allows could not have been seen."
            ))
            .done()
    }
}

/// Words for a load that became slower: the target's doing, unless the machine can have brought it about.
fn degraded(draft: Draft, found: &Drift, slower: Option<Slower>, what: &str, evidence: &Source) -> Draft {
    let endpoint = &evidence.scenario;
    let draft = match &slower {
        Some(slower) => slower.evidence(draft, evidence),
        None => draft,
    };
    let machine = slower
        .as_ref()
        .map_or_else(String::new, |slower| format!(" {}", slower.says()));
    if slower.is_some_and(|slower| slower.cause == Cause::Machine) {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "The machine became slower during the load on {endpoint}: whether {endpoint} would have is not known"
            ))
            .detail(format!("{what}{machine}"))
            .advice(slower::ADVICE, "");
    }
    draft
        .verdict(Verdict::Warn, Severity::Medium)
        .title(format!(
            "{endpoint} became slower as the run went on: by {} % of its mean",
            digits(100.0 * found.change)
        ))
        .detail(format!(
            "{what} The load stayed the same, so something accumulates: a queue, a cache, a leak or heat.{machine}"
        ))
        .advice(
            "Repeat with a longer run; if it goes on, look at the queue, the memory and the clock speed of the server.",
            "",
        )
}
