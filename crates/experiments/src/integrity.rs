//! Did everyone get their own, whole answer? Distinct requests, one at a time and then many together with some that give up;
//! each answer must be the one to its own request, and complete.
//!
//! `integrity/marks.rs` finds out how an answer can be told to belong, `integrity/judge.rs` counts and words what came back,
//! `integrity/near.rs` knows the numbers of an answer again, `integrity/parts.rs` asks for parts of what is served as bytes. How many
//! requests really ran at once is the ladder's answer.

mod judge;
mod marks;
mod near;
mod parts;

use prony_model::{Abandon, Budget, Capture, Endpoint, Finding, Limits, Phase, PhaseResult, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::primary::{heaviest, primary, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use marks::{Kind, Marked, Trial};
use parts::Parts;

const NAME: &str = "integrity";

/// Concurrency when no ladder said how far it goes.
const CONNECTIONS: u32 = 16;
/// Share of the time in which every request is sent once.
const ONCE_SHARE: f64 = 0.5;
/// Share of the rest that goes into requests one at a time.
const ALONE_SHARE: f64 = 0.25;
/// Requests one at a time, at most.
const ALONE_MAX: u64 = 400;
/// Share of the requests together that give up, and in how many times the time alone.
const GIVE_UP: f64 = 0.1;
const GIVE_UP_TIMES: f64 = 2.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Integrity",
    question: "Did everyone get their own, whole answer?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage", "baseline"],
    time: Time::Bounded {
        usual_s: [2.0, 5.0, 30.0],
        most_s: [8.0, 24.0, 240.0],
        answers: [8.0, 20.0, 120.0],
    },
    build: |context, value| {
        let asked: IntegrityParams = params(value)?;
        let (requests, endpoints) = match context.budget {
            Budget::Quick => (300, 1),
            Budget::Standard => (1000, 2),
            Budget::Thorough => (3000, 4),
        };
        Ok(Box::new(Integrity {
            requests: asked.requests.unwrap_or(requests),
            endpoints: asked.endpoints.unwrap_or(endpoints),
            connections: asked.connections,
            aborts: asked.aborts.unwrap_or(GIVE_UP).clamp(0.0, 0.9),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            courses: None,
            parts: None,
        }))
    },
    schema: || schema_for!(IntegrityParams),
    example: "[experiment.integrity]\nrequests = 3000\nconnections = 64\naborts = 0.1\nduration_s = 60\n",
};

/// Parameters of the integrity experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IntegrityParams {
    /// Answers to judge for each endpoint: none bad among 3000 leaves at most 0.1 % possible. By default 300 (quick), 1000
    /// (standard) or 3000 (thorough).
    pub requests: Option<u64>,
    /// At most so many endpoints. By default 1, 2 or 4.
    pub endpoints: Option<usize>,
    /// Requests at once. By default those of the ladder's top, else 16.
    pub connections: Option<u32>,
    /// Share of further requests that give up at a random moment: damage likes cancellation. By default 0.1.
    pub aborts: Option<f64>,
    /// Seconds for all of it. By default 8, 24 or 240.
    pub duration_s: Option<f64>,
}

struct Integrity {
    requests: u64,
    endpoints: usize,
    connections: Option<u32>,
    aborts: f64,
    duration_s: f64,
    seed: u64,
    limits: Limits,
    /// `None` before the first phase.
    courses: Option<Vec<Course>>,
    /// What is asked for in parts; `None` before it is its turn.
    parts: Option<Parts>,
}

/// What is done to one endpoint.
struct Course {
    endpoint: String,
    trial: Trial,
    /// What the trial taught; `None` before it.
    marked: Option<Marked>,
    stage: u32,
}

/// The phases of a course, in order.
const STAGES: [&str; 3] = ["what comes back", "one at a time", "together"];

fn phase_name(endpoint: &str, stage: u32) -> String {
    format!("{endpoint}: {}", STAGES[stage as usize])
}

impl Experiment for Integrity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut courses = self.courses.take().unwrap_or_else(|| self.choose(run));
        let share_s = 0.9 * self.duration_s / courses.len().max(1) as f64;
        let phase = courses
            .iter_mut()
            .find_map(|course| self.next_of(course, run, share_s));
        self.courses = Some(courses);
        if let Some(phase) = phase {
            return Step::Run(phase);
        }
        let mut parts = self.parts.take().unwrap_or_default();
        let phase = parts.next(run, &self.limits, 0.1 * self.duration_s, self.seed);
        self.parts = Some(parts);
        phase.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let courses = self.courses.as_deref().unwrap_or_default();
        let mut findings: Vec<Finding> = courses
            .iter()
            .filter_map(|course| {
                let phase = |stage| run.phase(NAME, &phase_name(&course.endpoint, stage));
                Some(judge::finding(
                    run,
                    &course.endpoint,
                    course.marked.as_ref()?,
                    phase(1),
                    phase(2)?,
                ))
            })
            .collect();
        findings.extend(self.parts.as_ref().and_then(|parts| parts.finding(run)));
        if findings.is_empty() {
            findings.push(judge::nothing(run));
        }
        findings
    }
}

impl Integrity {
    /// The endpoints that matter most, and the first that serves bytes.
    fn choose(&self, run: &RunView<'_>) -> Vec<Course> {
        let mut endpoints: Vec<&Endpoint> = heaviest(run, self.endpoints);
        let bytes = primary(run, usize::MAX)
            .into_iter()
            .find(|e| e.method == "GET" && !endpoints.iter().any(|known| known.name == e.name));
        if let Some(last) = bytes.filter(|_| self.endpoints > 1 && endpoints.len() == self.endpoints) {
            endpoints.pop();
            endpoints.push(last);
        }
        endpoints
            .into_iter()
            .filter_map(|endpoint| {
                Some(Course {
                    endpoint: endpoint.name.clone(),
                    trial: Trial::new(run, endpoint, self.seed)?,
                    marked: None,
                    stage: 0,
                })
            })
            .collect()
    }

    fn next_of(&self, course: &mut Course, run: &RunView<'_>, share_s: f64) -> Option<Phase> {
        let stage = course.stage;
        if stage as usize >= STAGES.len() {
            return None;
        }
        course.stage += 1;
        if stage == 1 {
            let trial: &PhaseResult = run.phase(NAME, &phase_name(&course.endpoint, 0))?;
            course.marked = Some(course.trial.learn(trial, &course.endpoint));
        }
        let top = self.connections.unwrap_or_else(|| ladder_top(run)).max(2);
        let mut scenario = match &course.marked {
            None => Scenario::new(course.endpoint.clone(), course.trial.items()),
            Some(marked) => Scenario {
                slots: marked.slots.clone(),
                ..Scenario::new(course.endpoint.clone(), marked.items.clone())
            },
        };
        let alone_s = alone_s(run, course);
        let shape = match stage {
            0 => Shape::Once {
                duration_s: Some(ONCE_SHARE * share_s),
            },
            1 => Shape::Sequential {
                requests: self.requests.min(ALONE_MAX),
                duration_s: Some(ALONE_SHARE * (1.0 - ONCE_SHARE) * share_s),
            },
            _ => {
                if self.aborts > 0.0 {
                    scenario.abandon = Some(Abandon {
                        share: self.aborts,
                        within_ms: GIVE_UP_TIMES * 1000.0 * alone_s,
                    });
                }
                Shape::Closed {
                    connections: top,
                    requests: Some((self.requests as f64 / (1.0 - self.aborts)).ceil() as u64),
                    duration_s: Some((1.0 - ALONE_SHARE) * (1.0 - ONCE_SHARE) * share_s),
                    think_ms: 0.0,
                }
            }
        };
        let trials = scenario.items.len() as u32;
        Some(Phase {
            name: phase_name(&course.endpoint, stage),
            experiment: NAME.to_owned(),
            scenarios: vec![scenario],
            shape,
            limits: self.limits.clone(),
            capture: match stage {
                0 => Capture::responses(trials),
                2 if course.can_tell_numbers() => Capture {
                    responses_max: near::ANSWERS_MAX,
                    body_bytes_max: near::BYTES_MAX,
                    digests: true,
                },
                _ => Capture {
                    digests: true,
                    ..Capture::NONE
                },
            },
        })
    }
}

impl Course {
    /// Whether an answer under load may tell by its numbers that it is another's, however they are rounded.
    fn can_tell_numbers(&self) -> bool {
        let kind = self.marked.as_ref().map(|marked| &marked.kind);
        self.trial.computes && matches!(kind, Some(Kind::Bytes(references)) if near::can_tell(references))
    }
}

/// The highest concurrency that the ladder tried.
fn ladder_top(run: &RunView<'_>) -> u32 {
    let tops = run.of("ladder").filter_map(|p| match &p.phase.shape {
        Shape::Ladder { connections, .. } => connections.iter().copied().max(),
        _ => None,
    });
    tops.max().unwrap_or(CONNECTIONS)
}

/// What one request takes alone, in s: of the requests sent here, else of the baseline.
fn alone_s(run: &RunView<'_>, course: &Course) -> f64 {
    let here = run
        .phase(NAME, &phase_name(&course.endpoint, 1))
        .and_then(|phase| {
            let mut times = crate::timings::Timings::all(phase).service_ms();
            (!times.is_empty()).then(|| prony_stats::median(&mut times))
        });
    let known = || {
        let endpoint = run.surface.endpoints.iter().find(|e| e.name == course.endpoint)?;
        solo_ms(run, endpoint)
    };
    here.or_else(known).unwrap_or(100.0) / 1000.0
}

#[cfg(test)]
mod tests {
    use prony_model::{BodyCheck, Budget, Finding, PhaseResult, Verdict};
    use serde_json::{Value, json};

    use super::NAME;
    use crate::fake::library::{DOCUMENTS, surface};
    use crate::fake::{Reply, body_json, run};

    /// The verdict on documents whose answers also tell a number under this name: another one once the trial is over.
    fn with_changing(name: &str) -> Finding {
        let mut surface = surface();
        surface.endpoints.retain(|e| e.name == "GET /v1/documents/{id}");
        let mut calls = 0;
        let (_, findings) = run(&["coverage", NAME], &surface, Budget::Quick, |request| {
            calls += 1;
            // Three documents in the preflight, and three times each in the trial.
            let number = if calls <= 12 { 12 } else { 9 };
            Reply::json(200, &json!({"path": request.path, name: number}))
        });
        findings.into_iter().find(|f| f.id == NAME).expect("concludes")
    }

    /// What comes of a model that is asked about documents and answers this of the `k`-th; `call` counts all requests.
    fn with_model(answer: impl Fn(usize, u64) -> Value) -> (Vec<PhaseResult>, Finding) {
        let mut surface = surface();
        surface.endpoints.retain(|e| e.name == "POST /v1/classify");
        let mut call = 0;
        let (phases, findings) = run(&["coverage", NAME], &surface, Budget::Quick, |request| {
            call += 1;
            let body = body_json(request).unwrap_or_default();
            match DOCUMENTS.iter().position(|name| body["document"] == *name) {
                Some(k) => Reply::json(200, &answer(k, call)),
                None => Reply::json(404, &json!({"error": "not found"})),
            }
        });
        let found = findings.into_iter().find(|f| f.id == NAME).expect("concludes");
        (phases, found)
    }

    #[test]
    fn what_a_model_computes_is_no_name_of_its_request() {
        const WORDS: [&str; 6] = ["ships", "bridges", "trains", "maps", "towers", "rivers"];
        let computed: [(&str, &dyn Fn(usize) -> Value); 2] = [
            ("a number", &|k| json!(0.123_456 + k as f64)),
            ("a text", &|k| {
                json!(format!("This one is about {} and little else.", WORDS[k]))
            }),
        ];
        let said = ["a swap could not have been seen", "about their own request"];
        for ((what, value), said) in computed.into_iter().zip(said) {
            let (_, found) = with_model(|k, call| json!({"took": call, "says": value(k)}));
            assert_eq!(found.verdict, Verdict::Pass, "{what}: {}", found.title);
            assert!(found.title.contains(said), "{what}: {}", found.title);
        }
        let (_, found) = with_model(|k, call| json!({"took": call, "document": DOCUMENTS[k]}));
        assert!(found.title.contains("about their own request"), "{}", found.title);
    }

    #[test]
    fn answers_that_are_the_same_bytes_must_also_be_json_where_they_were() {
        let (phases, found) = with_model(|k, _| json!({"vector": [k, 1, 2, 3]}));
        assert!(found.title.contains("the same bytes"), "{}", found.title);
        let together = phases.iter().find(|p| p.phase.name.ends_with("together"));
        let together = &together.expect("it ran").phase;
        let is_json = BodyCheck::Json(String::new());
        let mut items = together.scenarios.iter().flat_map(|s| &s.items);
        assert!(items.all(|item| item.expect.body.contains(&is_json)));
    }

    #[test]
    fn a_time_that_is_the_same_throughout_a_short_trial_is_no_damage_afterwards() {
        for name in ["created", "took", "elapsed_ms", "timestamp"] {
            let found = with_changing(name);
            assert_eq!(found.verdict, Verdict::Pass, "{name}: {}", found.title);
            assert!(found.title.contains("about their own request"), "{}", found.title);
        }
        let found = with_changing("pages");
        assert_eq!(found.verdict, Verdict::Pass, "{}", found.title);
        assert!(
            found.title.contains("as often as one at a time"),
            "{}",
            found.title
        );
    }
}
