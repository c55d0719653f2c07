//! Does what the target has learnt outlive its process? A value in an answer, named by the person, is asked for on a new process, again
//! once the state is there, and again after a restart.
//!
//! It must not know what the value means.

use prony_model::{
    Budget, Capture, Captured, Finding, Header, Item, Limits, Outcome, Phase, PhaseResult, Request, Scenario,
    Severity, Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::bounded_to;
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, ParamError, RunView, Step, Time};

const NAME: &str = "persistence";
/// Its phases: on a process that was just started, once the state is there, on the process after it.
const NEW: &str = "on a new process";
const BEFORE: &str = "before the restart";
const AFTER: &str = "after the restart";
/// Most requests that make a state.
const TIMES_MAX: u32 = 1000;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Restart",
    question: "Does the state that the suite names outlive the process?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &[],
    time: Time::Bounded {
        usual_s: [2.0, 2.0, 2.0],
        most_s: [120.0, 120.0, 120.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: PersistenceParams = params(value)?;
        asked.check()?;
        Ok(Box::new(Persistence {
            state: asked.state,
            limits: context.limits.clone(),
            done: 0,
        }))
    },
    schema: || schema_for!(PersistenceParams),
    example: "[[experiment.persistence.state]]\nname = \"prefix cache\"\npointer = \"/usage/cache_read_input_tokens\"\n\
              ask = { method = \"POST\", path = \"/v1/messages\", json = { prompt = \"the same again\" } }\n",
};

/// Parameters of the experiment on restarts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PersistenceParams {
    /// What to look at.
    pub state: Vec<StateParams>,
}

/// A piece of state.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateParams {
    /// What it is called.
    pub name: String,
    /// The request whose answer tells it.
    pub ask: RequestParams,
    /// Where in the answer: a JSON pointer such as `/usage/cache_read_input_tokens`.
    pub pointer: String,
    /// A request that makes the state; without one it is made by asking.
    #[serde(default)]
    pub make: Option<RequestParams>,
    /// How often that is sent. By default once.
    #[serde(default = "once")]
    pub times: u32,
    /// What is promised: a state that should outlive the process and does not fails the run, and so does one that should not.
    #[serde(default)]
    pub expect: Option<Wanted>,
}

fn once() -> u32 {
    1
}

/// What is promised of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wanted {
    /// It is there after a restart.
    Persists,
    /// It is gone after a restart.
    Lost,
}

/// A request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestParams {
    /// Method.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// JSON body.
    #[serde(default)]
    pub json: Option<Value>,
}

fn get() -> String {
    "GET".to_owned()
}

impl PersistenceParams {
    fn check(&self) -> Result<(), ParamError> {
        let wrong = |message: String| Err(ParamError { message });
        if self.state.is_empty() {
            return wrong("name at least one `[[experiment.persistence.state]]`".to_owned());
        }
        for (i, state) in self.state.iter().enumerate() {
            if self.state[..i].iter().any(|other| other.name == state.name) {
                return wrong(format!("two states are called `{}`", state.name));
            }
            if !state.pointer.is_empty() && !state.pointer.starts_with('/') {
                return wrong(format!(
                    "`{}` is no JSON pointer: write `/usage/tokens`",
                    state.pointer
                ));
            }
            if !(1..=TIMES_MAX).contains(&state.times) {
                return wrong(format!("`times` must be 1 to {TIMES_MAX}"));
            }
        }
        Ok(())
    }
}

impl RequestParams {
    fn item(&self) -> Item {
        let mut request = match &self.json {
            Some(body) => Request::json(&self.method, self.path.clone(), body),
            None => Request {
                method: self.method.clone(),
                ..Request::get(self.path.clone())
            },
        };
        request.headers.extend(self.headers.iter().cloned());
        Item {
            request,
            expect: prony_model::Expect::default(),
        }
    }
}

struct Persistence {
    state: Vec<StateParams>,
    limits: Limits,
    done: u32,
}

impl Experiment for Persistence {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        self.done += 1;
        match self.done {
            1 => Step::Restarted(self.phase(NEW, false)),
            2 => Step::Run(self.phase(BEFORE, true)),
            3 => Step::Restarted(self.phase(AFTER, false)),
            _ => Step::Done,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let phases = [NEW, BEFORE, AFTER].map(|name| run.phase(NAME, name));
        let [Some(new), Some(before), Some(after)] = phases else {
            return Vec::new();
        };
        self.state
            .iter()
            .map(|state| judge(state, [new, before, after]))
            .collect()
    }
}

impl Persistence {
    fn phase(&self, name: &str, makes: bool) -> Phase {
        let mut scenarios = Vec::new();
        for state in &self.state {
            let make = state.make.as_ref().filter(|_| makes);
            scenarios.extend(make.map(|make| {
                Scenario::new(
                    format!("{}, made", state.name),
                    vec![make.item(); state.times as usize],
                )
            }));
            scenarios.push(Scenario::new(state.name.clone(), vec![state.ask.item()]));
        }
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once { duration_s: None },
            limits: self.limits.clone(),
            capture: Capture::responses(requests as u32),
        }
    }
}

/// What an answer said, or why it said nothing.
fn told(phase: &PhaseResult, state: &StateParams) -> Result<Value, String> {
    let scenario = phase.scenario(&state.name).unwrap_or(u16::MAX);
    let answer: Option<&Captured> = phase.captures.iter().find(|c| c.scenario == scenario);
    let Some(answer) = answer else {
        return Err("no answer".to_owned());
    };
    if answer.outcome != Outcome::Ok {
        return Err(format!("the request {}", answer.outcome.says()));
    }
    let body = answer.json().ok_or("the answer is no JSON, or too long")?;
    let value = body.pointer(&state.pointer).cloned();
    value.ok_or_else(|| format!("the answer has no {}", bounded_to(&state.pointer, 100)))
}

fn judge(state: &StateParams, phases: [&PhaseResult; 3]) -> Finding {
    let here = source(phases[2], &state.name);
    let name = bounded_to(&state.name, 100);
    let told = phases.map(|phase| told(phase, state));
    let cell = |told: &Result<Value, String>| match told {
        Ok(value) => bounded_to(&value.to_string(), 200),
        Err(why) => why.clone(),
    };
    let rows = [NEW, BEFORE, AFTER].iter().zip(&told);
    let draft = Draft::new(
        NAME,
        NAME,
        &format!("{} {}", state.ask.method, bounded_to(&state.ask.path, 200)),
    )
    .table(
        &format!(
            "what {} said",
            if state.pointer.is_empty() {
                "the answer"
            } else {
                state.pointer.as_str()
            }
        ),
        &["Asked", "Value"],
        rows.map(|(when, told)| vec![(*when).to_owned(), cell(told)])
            .collect(),
        &here,
    );
    let undecided = |draft: Draft, title: String| {
        let severity = Severity::Low;
        draft.verdict(Verdict::Inconclusive, severity).title(title)
    };
    let [Ok(new), Ok(before), Ok(after)] = &told else {
        return undecided(
            draft,
            format!("Whether the {name} outlives the process cannot be told: an answer is missing"),
        )
        .done();
    };
    if new == before {
        let title = format!(
            "Whether the {name} outlives the process cannot be told: it was the same before anything was done"
        );
        let detail = "Either the requests make no such state, or it was there from an earlier run: clear what the target keeps on disk, \
                      or ask for something that it has not seen.";
        return undecided(draft, title).detail(detail).done();
    }
    let (found, says) = if after == before {
        (
            Some(Wanted::Persists),
            format!("The {name} persists: a new process has it as the one before had it"),
        )
    } else if after == new {
        (
            Some(Wanted::Lost),
            format!("The {name} is lost with the process: a new one begins without it"),
        )
    } else {
        (
            None,
            format!(
                "The {name} changes with a restart: it is neither what it was before, nor that of a new process"
            ),
        )
    };
    let detail = format!(
        "{} on a new process, {} once the state was there, {} after the process was told to stop and started again.",
        cell(&told[0]),
        cell(&told[1]),
        cell(&told[2])
    );
    let draft = draft.title(says).detail(detail);
    match (state.expect, found) {
        (Some(wanted), Some(found)) if wanted == found => draft.done(),
        (Some(Wanted::Persists), _) => draft
            .verdict(Verdict::Fail, Severity::High)
            .advice(
                "Write the state where it outlives the process, and before the process ends.",
                "",
            )
            .done(),
        (Some(Wanted::Lost), _) => draft
            .verdict(Verdict::Fail, Severity::Medium)
            .advice("Clear at the start what must not outlive the process.", "")
            .done(),
        (None, _) => draft.done(),
    }
}

#[cfg(test)]
mod tests;
