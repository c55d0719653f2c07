//! How long does it take from the start of the process to the first good answer, and does the target say that it is ready when it
//! is? Every start of the run counts; some are made for it, each followed by requests one at a time.
//!
//! It must not know how a process is started.

use prony_model::{
    Budget, Capture, Finding, Limits, Outcome, Phase, PhaseResult, Scenario, Severity, Shape, Verdict,
};
use prony_stats::median;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::requests;
use crate::process_life::{Start, asked};
use crate::wording::ms;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "startup";
/// Requests after each start.
const REQUESTS: u64 = 3;
/// Starts that are shown one by one.
const ROWS_MAX: usize = 20;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Start",
    question: "How long from the start of the process until it listens, lives, is ready and answers?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [2.0, 4.0, 20.0],
        most_s: [60.0, 180.0, 900.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: StartupParams = params(value)?;
        let starts = match context.budget {
            Budget::Quick => 1,
            Budget::Standard => 2,
            Budget::Thorough => 10,
        };
        Ok(Box::new(Startup {
            starts: asked.starts.unwrap_or(starts),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            done: 0,
        }))
    },
    schema: || schema_for!(StartupParams),
    example: "[experiment.startup]\nstarts = 10\n",
};

/// Parameters of the experiment on starts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StartupParams {
    /// Starts that are made for it, beside those that the run has anyway. By default 1 (quick), 2 (standard) or 10 (thorough); a
    /// start-up probe follows from 10 in all.
    pub starts: Option<u32>,
    /// No further start once they have taken so many seconds together. By default 60, 180 or 900.
    pub duration_s: Option<f64>,
}

struct Startup {
    starts: u32,
    duration_s: f64,
    limits: Limits,
    done: u32,
}

impl Experiment for Startup {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let spent_ms: f64 = made(run).filter_map(Start::ready_ms).sum();
        if self.done >= self.starts || spent_ms >= 1000.0 * self.duration_s {
            return Step::Done;
        }
        let Some(endpoint) = asked(run) else {
            return Step::Done;
        };
        self.done += 1;
        Step::Restarted(Phase {
            name: format!("start {}", self.done),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new(endpoint.name.clone(), requests(run, endpoint))],
            shape: Shape::Sequential {
                requests: REQUESTS,
                duration_s: None,
            },
            limits: self.limits.clone(),
            capture: Capture::responses(REQUESTS as u32),
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let starts = Start::all(run);
        if starts.is_empty() {
            return Vec::new();
        }
        let made: Vec<Start<'_>> = made(run).collect();
        let early = (!made.is_empty()).then(|| ready_too_early(&made));
        std::iter::once(times(&starts)).chain(early).collect()
    }
}

/// The starts that were made for this experiment.
fn made<'a>(run: &RunView<'a>) -> impl Iterator<Item = Start<'a>> {
    Start::all(run)
        .into_iter()
        .filter(|start| start.phase.phase.experiment == NAME)
}

/// Milliseconds from the start to the first good answer of the phase that follows.
fn first_good_ms(start: Start<'_>) -> Option<f64> {
    let good = start.phase.samples.iter().filter(|s| s.outcome == Outcome::Ok);
    good.map(|s| s.done)
        .min()
        .map(|done| (done - start.at()).as_millis_f64())
}

fn times(starts: &[Start<'_>]) -> Finding {
    let here = source(starts[0].phase, "");
    let ready: Vec<f64> = starts.iter().filter_map(|s| s.ready_ms()).collect();
    let mut draft = Draft::new(NAME, NAME, "");
    for (label, what) in [
        ("start to listening", "listen"),
        ("start to the start-up probe's yes", "startup"),
        ("start to alive", "live"),
        ("start to ready", "ready"),
    ] {
        let mut seen: Vec<f64> = starts.iter().filter_map(|s| s.ms(what)).collect();
        if !seen.is_empty() {
            let slowest = seen.iter().copied().fold(0.0, f64::max);
            draft = draft
                .figure(
                    &format!("{label}, median"),
                    median(&mut seen),
                    "ms",
                    seen.len(),
                    &here,
                )
                .figure(&format!("{label}, slowest"), slowest, "ms", seen.len(), &here);
        }
    }
    let made = || starts.iter().filter(|s| s.phase.phase.experiment == NAME);
    let mut good: Vec<f64> = made().filter_map(|s| first_good_ms(*s)).collect();
    if !good.is_empty() {
        let slowest = good.iter().copied().fold(0.0, f64::max);
        draft = draft
            .figure(
                "start to the first good answer, median",
                median(&mut good),
                "ms",
                good.len(),
                &here,
            )
            .figure(
                "start to the first good answer, slowest",
                slowest,
                "ms",
                good.len(),
                &here,
            );
    }
    let (fastest, slowest) = ready.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &t| {
        (low.min(t), high.max(t))
    });
    let cell = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), ms);
    let rows = starts.iter().take(ROWS_MAX).enumerate().map(|(i, start)| {
        let is_made = start.phase.phase.experiment == NAME;
        vec![
            (i + 1).to_string(),
            cell(start.ms("listen")),
            cell(start.ms("startup")),
            cell(start.ms("live")),
            cell(start.ms("ready")),
            cell(is_made.then(|| first_good_ms(*start)).flatten()),
        ]
    });
    let span = match starts.len() {
        1 => format!("{} in the one start of this run", ms(slowest)),
        n => format!("{} to {} in {n} starts", ms(fastest), ms(slowest)),
    };
    let probe = match (starts[0].ms("ready"), starts[0].ms("live")) {
        (Some(_), _) => "its readiness probe says yes",
        (None, Some(_)) => "its health endpoint says yes (it has no readiness probe)",
        (None, None) => "it answers at all (it has no health endpoint)",
    };
    draft
        .figure("start to ready or answering, slowest", slowest, "ms", ready.len(), &here)
        .title(format!("From the start of the process until {probe} it takes {span}"))
        .detail(
            "Each start was followed by asking again and again, one probe after another, with pauses of a hundredth of the time since \
             the start (at least 5 ms): that is how exact the times are, and which of two close ones came first they do not tell. The \
             machine's caches were warm after the first. The time of a platform that \
             schedules, pulls an image or attaches a volume is not in it.",
        )
        .table(
            "starts, each from the start of the process",
            &["Start", "Listens", "Start-up probe", "Alive", "Ready", "First good answer"],
            rows.collect(),
            &here,
        )
        .done()
}

/// Whether the first request after the target said that it is ready was answered well.
fn ready_too_early(made: &[Start<'_>]) -> Finding {
    let first = |phase: &PhaseResult| phase.samples.iter().find(|s| !s.outcome.is_own()).copied();
    let firsts: Vec<_> = made.iter().filter_map(|s| first(s.phase)).collect();
    let failed: Vec<_> = firsts.iter().filter(|s| s.outcome != Outcome::Ok).collect();
    let phase = made[0].phase;
    let endpoint = phase.phase.scenarios[0].name.as_str();
    let here = source(phase, endpoint);
    let draft = Draft::new(NAME, "ready-too-early", endpoint)
        .figure("starts", firsts.len() as f64, "", firsts.len(), &here)
        .figure(
            "first requests that failed",
            failed.len() as f64,
            "",
            firsts.len(),
            &here,
        );
    if firsts.is_empty() {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("No request to {endpoint} came after a start"))
            .done();
    }
    let Some(worst) = failed.first() else {
        return draft
            .title(format!(
                "The first request to {endpoint} after the target says that it is ready is answered well ({} starts)",
                firsts.len()
            ))
            .done();
    };
    draft
        .verdict(Verdict::Fail, Severity::High)
        .title(format!(
            "The target says that it is ready and then fails the first request to {endpoint}, in {} of {} starts",
            failed.len(),
            firsts.len()
        ))
        .detail(format!(
            "The request {}. The same request was answered well before, so a platform that trusts the probe sends users to a \
             process that cannot answer them yet.",
            worst.outcome.says()
        ))
        .advice(
            "Let the readiness probe say yes only once one real request could be answered: load and warm up before.",
            "",
        )
        .done()
}

#[cfg(test)]
mod tests;
