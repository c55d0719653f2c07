//! Do jobs live as they should? A few are started, watched to their end and held against what they say of themselves.
//!
//! An interface to jobs answers at once and works later, so a quick 202 says nothing: a job that never begins, one that
//! calls itself done with half of its inputs unprocessed, or a cancel that changes nothing look well in every table of
//! latencies. It must not know what the jobs do.

mod judge;
mod queue;
mod state;
mod story;

use prony_model::{
    Budget, Capture, Endpoint, Expect, Finding, Item, JobApi, Limits, Phase, PhaseResult, Request, Scenario,
    Shape,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::answers;
use crate::experiment::params;
use crate::mutation::{escaped, json_body};
use crate::primary::requests;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use story::{Kind, Story};

pub(crate) const NAME: &str = "job-lifecycle";
/// Pause before each look at a job in the rounds of a watch, in milliseconds; the last goes on.
const PAUSES_MS: [f64; 5] = [5.0, 10.0, 25.0, 50.0, 100.0];
/// Looks at each job in a round.
const LOOKS: u64 = 20;
/// Most rounds.
const ROUNDS_MAX: usize = 200;
/// Most jobs of other experiments that are watched beside the own ones: the first of them tell whether the queue ever moves.
const EARLIER_MAX: usize = 4;
/// Most bytes of a status that are read: it may carry all results.
const STATUS_BYTES_MAX: u32 = 2 << 20;
/// An id that nobody gave: well formed, so that only looking it up tells.
const UNKNOWN_UUID: &str = "0b5d1f0e-7c1e-4f3b-9a6d-2f1e8c7a9b34";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Life of jobs",
    question: "Do jobs begin, end and tell the truth about it?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [2.0, 3.0, 5.0],
        most_s: [10.0, 20.0, 120.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: JobLifecycleParams = params(value)?;
        Ok(Box::new(JobLifecycle {
            jobs: asked.jobs.unwrap_or(2).clamp(1, 20) as usize,
            wait_s: asked.wait_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            at: 0,
            stage: Stage::Submit,
            lives: Vec::new(),
        }))
    },
    schema: || schema_for!(JobLifecycleParams),
    example: "[experiment.job-lifecycle]\njobs = 2\nwait_s = 20\n",
};

/// Parameters of the job-lifecycle experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JobLifecycleParams {
    /// Jobs with good input, beside one with bad input and one that is cancelled. 2 by default.
    pub jobs: Option<u32>,
    /// Watch jobs for so many seconds. By default 10 (quick), 20 (standard) or 120 (thorough).
    pub wait_s: Option<f64>,
}

struct JobLifecycle {
    jobs: usize,
    wait_s: f64,
    limits: Limits,
    /// Which of the surface's interfaces is being watched.
    at: usize,
    stage: Stage,
    lives: Vec<Life>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Submit,
    Cancel,
    Unknown,
    Watch(usize),
}

/// What was sent to one interface.
struct Life {
    api: JobApi,
    kinds: Vec<Kind>,
    /// Name of the phase with the submissions.
    submit: String,
    cancel: Option<String>,
    unknown: Option<String>,
    watches: Vec<String>,
}

impl Experiment for JobLifecycle {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        loop {
            let Some(api) = run.surface.jobs.get(self.at) else {
                return Step::Done;
            };
            if let Some(phase) = self.step(api, run) {
                return Step::Run(phase);
            }
            self.at += 1;
            self.stage = Stage::Submit;
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        self.lives
            .iter()
            .filter_map(|life| life.watched(run))
            .flat_map(|watched| judge::findings(&watched))
            .collect()
    }
}

impl JobLifecycle {
    /// The next phase for this interface; `None` when all was asked.
    fn step(&mut self, api: &JobApi, run: &RunView<'_>) -> Option<Phase> {
        match self.stage {
            Stage::Submit => {
                let endpoint = run
                    .working_endpoints()
                    .into_iter()
                    .find(|e| e.name == api.submit)?;
                self.submit(api, endpoint, run)
            }
            Stage::Cancel => {
                self.stage = Stage::Unknown;
                self.cancel(run).or_else(|| self.step(api, run))
            }
            Stage::Unknown => {
                self.stage = Stage::Watch(0);
                self.unknown(api, run).or_else(|| self.step(api, run))
            }
            Stage::Watch(round) => self.watch(round, run),
        }
    }

    fn submit(&mut self, api: &JobApi, endpoint: &Endpoint, run: &RunView<'_>) -> Option<Phase> {
        let good = inputs(run, endpoint);
        if good.is_empty() {
            return None;
        }
        let of = |k: usize| good[k % good.len()].clone();
        let mut sent: Vec<(Kind, Item)> = (0..self.jobs).map(|k| (Kind::Good, of(k))).collect();
        if let Some((request, bad)) = with_bad_input(&of(0).request) {
            let expect = Expect {
                // Taking it and telling later is as good as refusing it.
                status: vec![200, 201, 202, 400, 404, 409, 422],
                ..Expect::default()
            };
            sent.push((Kind::Bad(bad), Item { request, expect }));
        }
        if api.cancel.is_some() {
            sent.push((Kind::Cancelled, of(self.jobs)));
        }
        let (kinds, items): (Vec<Kind>, Vec<Item>) = sent.into_iter().unzip();
        let name = format!("submit: {}", api.submit);
        self.lives.push(Life {
            api: api.clone(),
            kinds,
            submit: name.clone(),
            cancel: None,
            unknown: None,
            watches: Vec::new(),
        });
        self.stage = Stage::Cancel;
        Some(self.once(&name, items))
    }

    fn cancel(&mut self, run: &RunView<'_>) -> Option<Phase> {
        let life = self.lives.last()?;
        let (method, template) = life.api.cancel.clone()?;
        let id = life
            .ids(run)
            .into_iter()
            .find(|(k, _)| life.kinds[*k] == Kind::Cancelled)?
            .1;
        let request = Request {
            method,
            ..Request::get(path(&template, &life.api.parameter, &id))
        };
        let name = format!("cancel: {}", life.api.submit);
        // Whether it came in time, the job's status tells.
        let expect = Expect {
            status: vec![200, 202, 204, 400, 409, 410, 422],
            ..Expect::default()
        };
        let phase = self.once(&name, vec![Item { request, expect }]);
        self.lives.last_mut()?.cancel = Some(name);
        Some(phase)
    }

    fn unknown(&mut self, api: &JobApi, run: &RunView<'_>) -> Option<Phase> {
        let life = self.lives.last()?;
        let (_, id) = life.ids(run).into_iter().next()?;
        let request = Request::get(path(&api.status, &api.parameter, &unknown_like(&id)));
        let name = format!("unknown job: {}", api.status);
        let expect = Expect {
            status: vec![404, 410],
            ..Expect::default()
        };
        let phase = self.once(&name, vec![Item { request, expect }]);
        self.lives.last_mut()?.unknown = Some(name);
        Some(phase)
    }

    /// Another round of looks at the jobs that have not ended, while there is time and one of them is our own.
    fn watch(&mut self, round: usize, run: &RunView<'_>) -> Option<Phase> {
        let life = self.lives.last()?;
        let watched = life.watched(run)?;
        let open: Vec<&Story> = watched.stories.iter().filter(|s| s.is_open()).collect();
        if open.is_empty() || watched.span_s >= self.wait_s || round >= ROUNDS_MAX {
            return None;
        }
        let earlier = watched.earlier.iter().filter(|s| s.is_open());
        let items: Vec<Item> = open
            .into_iter()
            .chain(earlier)
            .map(|story| Item {
                request: Request::get(path(&life.api.status, &life.api.parameter, &story.id)),
                expect: Expect::default(),
            })
            .collect();
        let pause = PAUSES_MS[round.min(PAUSES_MS.len() - 1)];
        let requests = items.len() as u64 * LOOKS;
        let name = format!("watch {}: {}", round + 1, life.api.status);
        let phase = Phase {
            name: name.clone(),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new("status", items)],
            shape: Shape::Closed {
                connections: 1,
                requests: Some(requests),
                duration_s: Some((self.wait_s - watched.span_s).max(0.5)),
                think_ms: pause,
            },
            limits: self.limits.clone(),
            capture: Capture {
                body_bytes_max: STATUS_BYTES_MAX,
                ..Capture::responses(requests as u32)
            },
        };
        self.lives.last_mut()?.watches.push(name);
        self.stage = Stage::Watch(round + 1);
        Some(phase)
    }

    fn once(&self, name: &str, items: Vec<Item>) -> Phase {
        let requests = items.len() as u32;
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new("jobs", items)],
            shape: Shape::Once {
                duration_s: Some(self.wait_s),
            },
            limits: self.limits.clone(),
            capture: Capture::responses(requests),
        }
    }
}

/// What is known of the jobs of one interface.
struct Watched<'a> {
    api: &'a JobApi,
    stories: Vec<Story>,
    /// Jobs that other experiments of this run had started.
    earlier: Vec<Story>,
    /// How long each round took, in seconds.
    rounds_s: Vec<f64>,
    /// Submissions with bad input that were refused at once, with their status.
    refused: Option<u16>,
    submitted: &'a PhaseResult,
    cancel: Option<&'a PhaseResult>,
    unknown: Option<&'a PhaseResult>,
    last: &'a PhaseResult,
    /// From the first look to the last.
    span_s: f64,
}

impl Life {
    /// The ids of the jobs that were taken, by place among the submissions.
    fn ids(&self, run: &RunView<'_>) -> Vec<(usize, String)> {
        let Some(phase) = run.phase(NAME, &self.submit) else {
            return Vec::new();
        };
        answers(phase, "jobs")
            .iter()
            .filter(|a| (200..300).contains(&a.sample.status))
            .filter_map(|a| Some((a.item as usize, id_in(&a.json()?, &self.api.id_key)?)))
            .collect()
    }

    /// The first jobs that other experiments had the target start.
    fn earlier(&self, run: &RunView<'_>) -> Vec<Story> {
        let mut found: Vec<Story> = Vec::new();
        let taken = ["coverage", "diversity"]
            .iter()
            .flat_map(|experiment| run.of(experiment).collect::<Vec<_>>())
            .flat_map(|phase| answers(phase, &self.api.submit))
            .filter(|a| (200..300).contains(&a.sample.status));
        for answer in taken {
            let id = answer.json().and_then(|json| id_in(&json, &self.api.id_key));
            let Some(id) = id.filter(|id| found.iter().all(|story| story.id != *id)) else {
                continue;
            };
            let mut story = Story::new(id, Kind::Earlier);
            story.see(&answer, 0);
            found.push(story);
            if found.len() == EARLIER_MAX {
                break;
            }
        }
        found
    }

    fn watched<'a>(&'a self, run: &RunView<'a>) -> Option<Watched<'a>> {
        let submitted = run.phase(NAME, &self.submit)?;
        let first = answers(submitted, "jobs");
        let mut stories: Vec<Story> = self
            .ids(run)
            .into_iter()
            .filter_map(|(k, id)| {
                let own = first.iter().find(|a| a.item as usize == k)?;
                let mut story = Story::new(id, self.kinds[k].clone());
                story.see(own, 0);
                Some(story)
            })
            .collect();
        let mut earlier = self.earlier(run);
        earlier.retain(|other| stories.iter().all(|story| story.id != other.id));
        let watches: Vec<&PhaseResult> = self
            .watches
            .iter()
            .filter_map(|name| run.phase(NAME, name))
            .collect();
        for (round, phase) in (1..).zip(&watches) {
            for look in answers(phase, "status") {
                let seen = |story: &&mut Story| {
                    look.request.path == path(&self.api.status, &self.api.parameter, &story.id)
                };
                if let Some(story) = stories.iter_mut().chain(&mut earlier).find(seen) {
                    story.see(&look, round);
                }
            }
        }
        let refused = first
            .iter()
            .find(|a| matches!(self.kinds[a.item as usize], Kind::Bad(_)))
            .map(|a| a.sample.status)
            .filter(|status| (400..500).contains(status));
        let last = watches.last().copied().unwrap_or(submitted);
        let since = watches.first().map_or(last.summary.ended, |w| w.summary.started);
        Some(Watched {
            api: &self.api,
            stories,
            earlier,
            rounds_s: watches
                .iter()
                .map(|w| (w.summary.ended - w.summary.started).as_secs_f64())
                .collect(),
            refused,
            submitted,
            cancel: self.cancel.as_ref().and_then(|name| run.phase(NAME, name)),
            unknown: self.unknown.as_ref().and_then(|name| run.phase(NAME, name)),
            span_s: (last.summary.ended - since).as_secs_f64(),
            last,
        })
    }
}

/// The requests to start jobs with: those that were answered well, then those that were not sent yet.
fn inputs(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let mut inputs = requests(run, endpoint);
    let sent = run
        .of("coverage")
        .filter_map(|phase| {
            let index = phase.scenario(&endpoint.name)?;
            Some(phase.phase.scenarios[usize::from(index)].items.len())
        })
        .max();
    if let Some(sent) = sent.filter(|_| !inputs.is_empty()) {
        inputs.extend(endpoint.items().into_iter().skip(sent));
    }
    inputs
}

/// The id under that key, at the top or one level below.
fn id_in(answer: &Value, key: &str) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let here = |value: &Value| value.get(key).and_then(text);
    here(answer).or_else(|| answer.as_object()?.values().find_map(here))
}

/// The template with an id in the place of its parameter.
fn path(template: &str, parameter: &str, id: &str) -> String {
    template.replace(&format!("{{{parameter}}}"), &escaped(id))
}

/// An id of the same form that names nothing.
fn unknown_like(id: &str) -> String {
    let is_uuid = id.len() == 36 && id.matches('-').count() == 4;
    if is_uuid {
        return UNKNOWN_UUID.to_owned();
    }
    let mut changed: String = id
        .chars()
        .map(|c| match c {
            '0'..='8' => '9',
            '9' => '8',
            'a'..='y' => 'z',
            'A'..='Y' => 'Z',
            other => other,
        })
        .collect();
    if changed == id {
        changed.push('0');
    }
    changed
}

/// The request with one more entry, that names nothing, in its list of ids; with the entry.
fn with_bad_input(request: &Request) -> Option<(Request, String)> {
    let mut body = json_body(request)?;
    let object = body.as_object_mut()?;
    let is_ids = |key: &str| key.ends_with("ids") || key.ends_with("Ids");
    let (_, list) = object
        .iter_mut()
        .find(|(key, value)| is_ids(key) && value.as_array().is_some_and(|list| !list.is_empty()))?;
    let list = list.as_array_mut()?;
    let bad = unknown_like(list.first()?.as_str()?);
    list.push(Value::String(bad.clone()));
    let mut request = request.clone();
    request.body = prony_model::Body::text(body.to_string());
    Some((request, bad))
}

#[cfg(test)]
mod tests;
