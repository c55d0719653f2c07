//! Do answers depend on their inputs? One input is varied at a time, everything else stays as it was.
//!
//! A model that was replaced by a template, a fallback that never reads the query and a classifier with one class
//! all answer quickly and with 200. It must not know what a right answer is: only that it may not be the same for
//! everything.

mod classes;
mod echo;
mod judge;
mod nothing;
mod rules;
mod variation;

use prony_model::{
    Budget, Capture, Expect, Finding, Item, Limits, Phase, PhaseResult, Role, Scenario, Shape,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
pub(crate) use rules::{TIME_ENDS, TIME_WORDS, is_noise_by_name};
use variation::{Trial, plan};

pub(crate) const NAME: &str = "diversity";
const PHASE: &str = "variation";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Output diversity",
    question: "Do the answers depend on the inputs?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [1.0, 4.0, 15.0],
        most_s: [10.0, 30.0, 180.0],
        answers: [16.0, 64.0, 240.0],
    },
    build: |context, value| {
        let asked: DiversityParams = params(value)?;
        let values = match context.budget {
            Budget::Quick | Budget::Standard => 6,
            Budget::Thorough => 12,
        };
        Ok(Box::new(Diversity {
            values_max: asked.values_max.unwrap_or(values).max(2),
            repeats: asked.repeats.unwrap_or(3).max(2),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            planned: false,
            plans: Vec::new(),
        }))
    },
    schema: || schema_for!(DiversityParams),
    example: "[experiment.diversity]\nvalues_max = 6\nrepeats = 3\n",
};

/// Parameters of the diversity experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiversityParams {
    /// Distinct values of each input, the first included. By default 6 (12 when thorough).
    pub values_max: Option<u32>,
    /// How often the same request is repeated to learn what differs by itself. 3 by default.
    pub repeats: Option<u32>,
    /// Stop after so many seconds. By default 10 (quick), 30 (standard) or 180 (thorough).
    pub duration_s: Option<f64>,
}

struct Diversity {
    values_max: u32,
    repeats: u32,
    duration_s: f64,
    limits: Limits,
    planned: bool,
    plans: Vec<EndpointPlan>,
}

/// What is sent to one endpoint: trial `k` is item `k` of the endpoint's scenario.
struct EndpointPlan {
    endpoint: String,
    trials: Vec<Trial>,
}

impl Experiment for Diversity {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let mut scenarios = Vec::new();
        let mut endpoints = run.working_endpoints();
        endpoints.retain(|e| matches!(e.role, Role::Inference | Role::Resource | Role::Media));
        endpoints.sort_by_key(|e| e.role != Role::Inference);
        for endpoint in endpoints {
            let trials = plan(endpoint, run, self.values_max as usize, self.repeats as usize);
            if !trials.iter().any(|t| t.field.is_some()) {
                continue;
            }
            let items = trials
                .iter()
                .map(|t| Item {
                    request: t.request.clone(),
                    expect: Expect {
                        body: Vec::new(),
                        ..endpoint.expect.clone()
                    },
                })
                .collect();
            scenarios.push(Scenario::new(endpoint.name.clone(), items));
            self.plans.push(EndpointPlan {
                endpoint: endpoint.name.clone(),
                trials,
            });
        }
        if scenarios.is_empty() {
            return Step::Done;
        }
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        Step::Run(Phase {
            name: PHASE.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(self.duration_s),
            },
            limits: self.limits.clone(),
            capture: Capture::responses(requests as u32),
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASE) else {
            return Vec::new();
        };
        judge::findings(&self.observations(run, phase), phase)
    }
}

impl Diversity {
    fn observations<'a>(&'a self, run: &RunView<'a>, phase: &'a PhaseResult) -> Vec<judge::Observed<'a>> {
        self.plans
            .iter()
            .filter_map(|plan| {
                let endpoint = run.surface.endpoints.iter().find(|e| e.name == plan.endpoint)?;
                Some(judge::Observed::new(endpoint, &plan.trials, phase))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Verdict};

    use crate::fake::library::{Faults, Library, surface};
    use serde_json::json;

    use crate::fake::{Reply, body_json, complaints, run};

    fn judged(faults: Faults) -> Vec<prony_model::Finding> {
        let mut library = Library::new(faults);
        run(&["coverage", "diversity"], &surface(), Budget::Standard, |r| {
            library.answer(r)
        })
        .1
    }

    #[test]
    fn nothing_is_said_against_honest_answers() {
        let findings = judged(Faults::default());
        assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
        let overview = findings.iter().find(|f| f.id == "diversity").unwrap();
        assert_eq!(overview.verdict, Verdict::Pass);
        assert!(
            overview.title.starts_with("The answers depend on"),
            "{}",
            overview.title
        );
    }

    #[test]
    fn each_planted_fault_is_found_alone() {
        for (faults, id, endpoint) in [
            (
                Faults {
                    template: true,
                    ..Faults::default()
                },
                "template-answer",
                "POST /v1/summarise",
            ),
            (
                Faults {
                    ignores_query: true,
                    ..Faults::default()
                },
                "input-ignored",
                "POST /v1/search",
            ),
            (
                Faults {
                    one_class: true,
                    ..Faults::default()
                },
                "degenerate-output",
                "POST /v1/classify",
            ),
        ] {
            let findings = judged(faults);
            let failed: Vec<_> = findings
                .iter()
                .filter(|f| f.verdict == Verdict::Fail && f.required)
                .collect();
            assert!(
                failed.iter().any(|f| f.id == id && f.endpoint == endpoint),
                "{id}: {findings:#?}"
            );
            assert!(failed.iter().all(|f| f.endpoint == endpoint), "{failed:#?}");
        }
    }

    /// What is said where the classifier gives every document this answer.
    fn always_classified_as(answer: &serde_json::Value) -> Vec<prony_model::Finding> {
        let mut library = Library::new(Faults::default());
        run(&["coverage", "diversity"], &surface(), Budget::Standard, |r| {
            let reply = library.answer(r);
            if r.path == "/v1/classify" && reply.status == 200 {
                Reply::json(200, answer)
            } else {
                reply
            }
        })
        .1
    }

    #[test]
    fn inputs_of_one_class_may_get_the_same_class() {
        for answer in [
            json!({"label": "not_spam"}),
            json!({"prediction": 0, "model": "v3", "threshold": 0.5}),
            json!({"predictions": ["setosa"], "took_ms": 3}),
        ] {
            let findings = always_classified_as(&answer);
            assert_eq!(complaints(&findings), [""; 0], "{answer}");
            let class = findings.iter().find(|f| f.id == "constant-class");
            assert!(
                class.is_none_or(|f| f.title.ends_with("for all 6 inputs, and no certainty")),
                "{answer}: {class:#?}"
            );
        }
        for answer in [
            json!({"label": "not_spam", "score": 0.98}),
            json!({"label": "not_spam", "embedding": [1, 2, 3]}),
            json!({"label": "not_spam", "text": "It is none."}),
            json!({"results": [{"label": "alpha"}, {"label": "beta"}]}),
        ] {
            let findings = always_classified_as(&answer);
            assert!(complaints(&findings).contains(&"input-ignored"), "{answer}");
        }
    }

    /// The library with one more input of the search, required and chosen from a list.
    fn with_choice(depends: bool) -> Vec<prony_model::Finding> {
        let mut surface = surface();
        let search = surface
            .endpoints
            .iter_mut()
            .find(|e| e.name == "POST /v1/search")
            .unwrap();
        let schema = &mut search.body_schema.as_mut().unwrap().0;
        schema["properties"]["language"] = json!({"type": "string", "enum": ["de", "fr", "it", "nl"]});
        schema["required"].as_array_mut().unwrap().push(json!("language"));
        for sample in &mut search.samples {
            sample.inputs.insert("language".into(), "de".into());
            let body = json!(sample.inputs);
            sample.request = prony_model::Request::json("POST", "/v1/search", &body);
        }
        let mut library = Library::new(Faults::default());
        run(&["coverage", "diversity"], &surface, Budget::Quick, |r| {
            let reply = library.answer(r);
            let language = body_json(r).and_then(|b| b.get("language").cloned());
            match (language, serde_json::from_slice::<serde_json::Value>(&reply.body)) {
                (Some(language), Ok(mut body)) => {
                    body["language"] = language.clone();
                    body["text"] = json!(if depends {
                        format!("words in {language}")
                    } else {
                        "words".into()
                    });
                    Reply::json(reply.status, &body)
                }
                _ => reply,
            }
        })
        .1
    }

    #[test]
    fn a_required_choice_that_changes_nothing_is_a_warning() {
        assert_eq!(complaints(&with_choice(true)), [""; 0]);
        let findings = with_choice(false);
        let ignored = findings.iter().find(|f| f.id == "input-ignored").expect("found");
        assert_eq!((ignored.counted(), ignored.required), (Verdict::Warn, false));
        assert!(ignored.title.contains("`language`"), "{}", ignored.title);
    }
}
