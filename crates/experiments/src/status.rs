//! Do the status endpoints tell the truth? What they say about readiness is held against whether the work they speak
//! for was answered before they were asked again.
//!
//! It must not know what loads when: only that "not loaded" after a correct answer, or "ready" beside failures,
//! cannot both be so.

mod words;

use std::collections::BTreeSet;

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Phase, PhaseResult, Role, Scenario, Severity, Shape,
    Source, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::{Answer, answers, bounded_to};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::identity::stand_in;
use crate::leaf::leaves;
use crate::mutation::json_body;
use crate::relation::{Reach, parent, reach, tells_state};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use words::{claims, is_general, is_offer, subject};

const NAME: &str = "status";
const PHASE: &str = "after-work";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Status endpoints",
    question: "Do the status endpoints agree with what the target does?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.5, 0.5, 0.5],
        most_s: [10.0, 10.0, 10.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let StatusParams {} = params(value)?;
        Ok(Box::new(Status {
            limits: context.limits.clone(),
            planned: false,
        }))
    },
    schema: || schema_for!(StatusParams),
    example: "[experiment.status]\n",
};

/// The status experiment takes no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusParams {}

struct Status {
    limits: Limits,
    planned: bool,
}

impl Experiment for Status {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let scenarios: Vec<Scenario> = run
            .working_endpoints()
            .into_iter()
            .filter(|e| tells_state(e))
            .filter_map(|e| {
                let first = e.samples.first()?;
                let item = Item {
                    request: first.request.clone(),
                    expect: e.expect.clone(),
                };
                Some(Scenario::new(e.name.clone(), vec![item]))
            })
            .collect();
        if scenarios.is_empty() {
            return Step::Done;
        }
        Step::Run(Phase {
            name: PHASE.to_owned(),
            experiment: NAME.to_owned(),
            capture: Capture::responses(scenarios.len() as u32),
            scenarios,
            shape: Shape::Once { duration_s: None },
            limits: self.limits.clone(),
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASE) else {
            return Vec::new();
        };
        let claims: Vec<Claims<'_>> = run
            .surface
            .endpoints
            .iter()
            .filter(|e| tells_state(e))
            .filter_map(|e| Claims::read(run, e, phase))
            .collect();
        let mut found = Vec::new();
        let mut rows = Vec::new();
        for status in &claims {
            rows.extend(status.rows());
            found.extend(status.contradicted(run, phase));
            found.extend(status.flattering(run, phase));
        }
        found.extend(disagreements(&claims, phase));
        if !rows.is_empty() {
            found.insert(0, overview(rows, &found, phase));
        }
        found
    }
}

/// One thing that a status endpoint says about readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    field: String,
    text: String,
    ready: bool,
    /// Of an element of a list: what the element is called, if anything. `None` outside of lists.
    of: Option<Vec<String>>,
}

impl Claim {
    /// Whether it is the same thing that is spoken of, and it can be told.
    fn is_about_that_of(&self, other: &Self) -> bool {
        self.field == other.field
            && self.of == other.of
            && self.of.as_ref().is_none_or(|names| !names.is_empty())
    }
}

/// What a status endpoint says, first and after the work.
struct Claims<'a> {
    endpoint: &'a Endpoint,
    before: Vec<Claim>,
    after: Vec<Claim>,
}

/// The work that a status endpoint speaks for, as far as it was called.
struct Work<'a> {
    endpoint: &'a Endpoint,
    ok: usize,
    server_failures: usize,
    sent: usize,
    /// The names under which its first good answer has a text, as words: `ranker: "dense-small"` tells that there is a ranker in it.
    said: BTreeSet<Vec<String>>,
}

/// What a field about readiness speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The work beside the status: it cannot be answered while that is not ready.
    Work,
    /// Something else that the work may use or not.
    Other,
}

impl About {
    /// The draft with what a statement about that is worth that cannot be so.
    fn judge(self, draft: Draft) -> Draft {
        match self {
            Self::Work => draft.verdict(Verdict::Fail, Severity::Medium),
            Self::Other => draft.verdict(Verdict::Warn, Severity::Low).advisory(),
        }
    }

    /// What is said beside a statement whose field does not name the work.
    fn doubt(self, field: &str) -> String {
        match self {
            Self::Work => String::new(),
            Self::Other => format!(
                " Whether the work needs what `{}` speaks of cannot be told from its name.",
                bounded_to(field, 60)
            ),
        }
    }
}

impl Work<'_> {
    /// Whether that word is one of its path's, or one of its requests names it.
    fn is_called(&self, word: &str) -> bool {
        let in_path = prony_model::name_words(&self.endpoint.path)
            .iter()
            .any(|part| part == word);
        in_path || self.names(word)
    }

    /// Whether a claim is about it: all words of its subject name it, or its answers name a part of it so, or the claim is of
    /// something that its requests name. A claim without a subject is about all that is there.
    fn is_meant_by(&self, claim: &Claim) -> bool {
        let subject = subject(&claim.field);
        let of = claim.of.as_deref().unwrap_or_default();
        subject.iter().all(|word| self.is_called(word))
            || self.said.contains(&subject)
            || of.iter().any(|name| self.names(name))
    }

    /// Whether one of its requests names that: as a part of its path, or as a value in its body.
    fn names(&self, name: &str) -> bool {
        self.endpoint.samples.iter().any(|sample| {
            let path = sample.request.path.split(['/', '?', '=', '&']);
            let in_path = path.into_iter().any(|part| part.eq_ignore_ascii_case(name));
            in_path
                || json_body(&sample.request).is_some_and(|body| {
                    leaves(&body)
                        .iter()
                        .any(|leaf| leaf.text().eq_ignore_ascii_case(name))
                })
        })
    }
}

impl<'a> Claims<'a> {
    fn read(run: &RunView<'a>, endpoint: &'a Endpoint, phase: &PhaseResult) -> Option<Self> {
        let of = |phase: &PhaseResult| {
            answers(phase, &endpoint.name)
                .iter()
                .rfind(|a| a.is_ok())
                .and_then(Answer::json)
                .map(|d| claims(&d))
        };
        let before = run
            .phase("coverage", "preflight")
            .and_then(of)
            .unwrap_or_default();
        Some(Self {
            endpoint,
            before,
            after: of(phase)?,
        })
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.after
            .iter()
            .map(|now| {
                let before = self
                    .before
                    .iter()
                    .find(|b| b.field == now.field && b.of == now.of);
                vec![
                    self.endpoint.name.clone(),
                    bounded_to(&now.field, 60),
                    before.map_or_else(|| "-".to_owned(), |b| bounded_to(&b.text, 40)),
                    bounded_to(&now.text, 40),
                ]
            })
            .collect()
    }

    /// The work it speaks for. Of the whole target that is inference alone.
    fn work(&self, run: &RunView<'a>) -> (Reach, Vec<Work<'a>>) {
        let mut reached = Reach::Nothing;
        let mut found = Vec::new();
        for work in run.surface.endpoints.iter().filter(|e| e.is_work()) {
            let how = reach(self.endpoint, work);
            if how == Reach::Nothing || (how == Reach::Whole && work.role != Role::Inference) {
                continue;
            }
            let seen: Vec<Answer<'_>> = ["coverage", "diversity"]
                .iter()
                .flat_map(|name| run.of(name).collect::<Vec<_>>())
                .flat_map(|phase| answers(phase, &work.name))
                .collect();
            if seen.is_empty() {
                continue;
            }
            reached = how;
            found.push(Work {
                endpoint: work,
                ok: seen.iter().filter(|a| a.is_ok()).count(),
                server_failures: seen.iter().filter(|a| a.sample.status >= 500).count(),
                sent: seen.len(),
                said: seen.iter().find(|a| a.is_ok()).map(said).unwrap_or_default(),
            });
        }
        (reached, found)
    }

    /// Whether what it says holds for that work. An element of a list speaks for the work that names it, and each for all where
    /// all say the same: one model may be away while another serves.
    fn speaks_for(&self, claim: &Claim, work: &[Work<'a>]) -> bool {
        let Some(names) = &claim.of else {
            return true;
        };
        let mut others = self.after.iter().filter(|other| other.field == claim.field);
        others.all(|other| other.ready == claim.ready)
            || work.iter().any(|w| names.iter().any(|name| w.names(name)))
    }

    /// What a claim speaks of. Under a path of its own any field may: it is about the work where it says nothing more than that, or
    /// names it. Of the whole target only what is said in general. `None` where nothing can be said against the claim.
    fn about(claim: &Claim, reached: Reach, work: &[Work<'a>]) -> Option<About> {
        if reached != Reach::Part {
            return is_general(&claim.field).then_some(About::Work);
        }
        let mut meant = work.iter().filter(|w| w.is_meant_by(claim)).peekable();
        if meant.peek().is_none() {
            return (!is_offer(&claim.field)).then_some(About::Other);
        }
        // Work that is not ready and was not answered is as it is told.
        (claim.ready || meant.any(|w| w.ok > 0)).then_some(About::Work)
    }

    /// The claim of that kind that says most: of the work first.
    fn strongest(&self, ready: bool, reached: Reach, work: &[Work<'a>]) -> Option<(&Claim, About)> {
        let said: Vec<(&Claim, About)> = self
            .after
            .iter()
            .filter(|c| c.ready == ready && self.speaks_for(c, work))
            .filter_map(|c| Some((c, Self::about(c, reached, work)?)))
            .collect();
        let of_work = said.iter().find(|(_, about)| *about == About::Work);
        of_work.or(said.first()).copied()
    }

    /// "Not ready" after correct answers.
    fn contradicted(&self, run: &RunView<'a>, phase: &PhaseResult) -> Option<Finding> {
        let (reached, work) = self.work(run);
        let (claim, about) = self.strongest(false, reached, &work)?;
        let proof = work
            .iter()
            .filter(|w| w.ok > 0)
            .max_by_key(|w| (w.is_meant_by(claim), w.ok))?;
        // What is said of the whole, or of something else, may be meant of the work that failed.
        let is_of_all = reached == Reach::Whole || about == About::Other;
        if is_of_all && work.iter().any(|w| w.ok == 0) {
            return None;
        }
        let here = source(phase, &self.endpoint.name);
        let why = work
            .iter()
            .find_map(|w| stand_in(run, w.endpoint))
            .map_or_else(String::new, |said| {
                format!(" Its answers name a stand-in ({said}), which would explain both.")
            });
        Some(
            about
                .judge(Draft::new(NAME, "status-contradiction", &self.endpoint.name))
                .title(format!(
                    "{} says `{}: {}` after {} had answered correctly",
                    self.endpoint.name,
                    bounded_to(&claim.field, 60),
                    bounded_to(&claim.text, 40),
                    proof.endpoint.name
                ))
                .detail(format!(
                    "{} of {} requests to {} were answered correctly before the status was read again. Either the \
                     status is not kept, or something other than the model answered.{why}{}",
                    proof.ok,
                    proof.sent,
                    proof.endpoint.name,
                    about.doubt(&claim.field)
                ))
                .figure("correct answers before the status was read", proof.ok as f64, "", proof.sent, &here)
                .quote("the status", &format!("{}: {}", claim.field, claim.text), &here)
                .advice(
                    "Set the status from the state that the endpoint itself uses.",
                    "Readiness probes and dashboards act on this field.",
                )
                .done(),
        )
    }

    /// "Ready" while everything it speaks for fails.
    fn flattering(&self, run: &RunView<'a>, phase: &PhaseResult) -> Option<Finding> {
        let (reached, work) = self.work(run);
        let down = work.iter().find(|w| w.ok == 0 && w.server_failures > 0)?;
        if reached != Reach::Part || work.iter().any(|w| w.ok > 0) {
            return None;
        }
        let (claim, about) = self.strongest(true, reached, &work)?;
        let here = source(phase, &self.endpoint.name);
        Some(
            about
                .judge(Draft::new(NAME, "status-contradiction", &self.endpoint.name))
                .title(format!(
                    "{} says `{}: {}` while {} fails",
                    self.endpoint.name,
                    bounded_to(&claim.field, 60),
                    bounded_to(&claim.text, 40),
                    down.endpoint.name
                ))
                .detail(format!(
                    "{} of {} requests to {} ended in a server error and none was answered correctly.{}",
                    down.server_failures,
                    down.sent,
                    down.endpoint.name,
                    about.doubt(&claim.field)
                ))
                .figure("server errors", down.server_failures as f64, "", down.sent, &here)
                .quote("the status", &format!("{}: {}", claim.field, claim.text), &here)
                .advice("Let the status check what the endpoint needs.", "")
                .done(),
        )
    }
}

/// The names of the texts in an answer, as words.
fn said(answer: &Answer<'_>) -> BTreeSet<Vec<String>> {
    let document = answer.json().unwrap_or_default();
    let texts = leaves(&document)
        .into_iter()
        .filter(|leaf| leaf.value.is_string());
    texts.map(|leaf| prony_model::name_words(leaf.key())).collect()
}

fn overview(rows: Vec<Vec<String>>, found: &[Finding], phase: &PhaseResult) -> Finding {
    let wrong = found.iter().filter(|f| f.verdict > Verdict::Pass).count();
    Draft::new(NAME, "status", "")
        .verdict(Verdict::worst(found.iter().map(Finding::counted)), Severity::Info)
        .advisory()
        .title(if wrong == 0 {
            "The status endpoints agree with what the target does".to_owned()
        } else {
            let are = if wrong == 1 {
                "statement is"
            } else {
                "statements are"
            };
            format!("{wrong} {are} at odds with what the target does")
        })
        .detail("Each was read with the first requests and again after work had been answered.")
        .table(
            "What the status endpoints say",
            &["Endpoint", "Field", "At first", "After the work"],
            rows,
            &Source {
                phase: Some(phase.index),
                scenario: String::new(),
            },
        )
        .done()
}

/// Two endpoints that speak for the same part and say opposite things under the same name.
fn disagreements(claims: &[Claims<'_>], phase: &PhaseResult) -> Vec<Finding> {
    let mut found = Vec::new();
    for (k, a) in claims.iter().enumerate() {
        for b in &claims[k + 1..] {
            let whole = |c: &Claims<'_>| reach(c.endpoint, c.endpoint) == Reach::Whole;
            let same_part = parent(&a.endpoint.path) == parent(&b.endpoint.path) || (whole(a) && whole(b));
            let opposite = a.after.iter().find_map(|x| {
                b.after
                    .iter()
                    .find(|y| y.is_about_that_of(x) && y.ready != x.ready)
                    .map(|y| (x, y))
            });
            let (true, Some((x, y))) = (same_part, opposite) else {
                continue;
            };
            found.push(
                Draft::new(NAME, "status-disagreement", &a.endpoint.name)
                    .verdict(Verdict::Warn, Severity::Low)
                    .advisory()
                    .title(format!(
                        "{} and {} say opposite things about `{}`",
                        a.endpoint.name,
                        b.endpoint.name,
                        bounded_to(&x.field, 60)
                    ))
                    .detail("Both were read one after the other, with no work between them.")
                    .quote(
                        &a.endpoint.name,
                        &format!("{}: {}", x.field, x.text),
                        &source(phase, &a.endpoint.name),
                    )
                    .quote(
                        &b.endpoint.name,
                        &format!("{}: {}", y.field, y.text),
                        &source(phase, &b.endpoint.name),
                    )
                    .done(),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests;
