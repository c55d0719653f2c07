//! Is the target after the run as it was before? Requests that it answered at first are sent again when nothing else runs, with
//! a rest before it is called broken, and what it says of its own utilisation is read before and after.
//!
//! `recovery/gauge.rs` reads utilisations, `recovery/memory.rs` the memory over the whole run. It must not know what a pool is, nor any endpoint by name.

mod gauge;
mod memory;

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Outcome, Phase, PhaseResult, Role, Scenario, Severity,
    Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::answers;
use crate::coverage::is_destructive;
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{no_work, requests};
use crate::timings::Timings;
use crate::token_counts::generators;
use crate::wording::digits;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use gauge::Course;

const NAME: &str = "recovery";
const STATE: &str = "state afterwards";
const WORK: &str = "work afterwards";
const REST: &str = "rest";
const AGAIN: &str = "work after a rest";

/// Endpoints that do work and are tried again.
const ENDPOINTS_MAX: usize = 8;
/// Times that each is tried.
const TRIES: usize = 2;
/// Rest before what failed is tried again, in seconds, where the target does not say when to come back.
const REST_S: f64 = 10.0;
/// Longest rest that is granted to a target which says when to come back, in seconds.
const REST_S_MAX: f64 = 65.0;
/// What a whole second of Retry-After may be short by.
const GRACE_MS: f64 = 100.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Afterwards",
    question: "Is it after the run as it was before?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.5, 1.0, 1.0],
        most_s: [80.0, 100.0, 120.0],
        answers: [7.0; 3],
    },
    build: |context, value| {
        let asked: RecoveryParams = params(value)?;
        Ok(Box::new(Recovery {
            rest_s: asked.rest_s.unwrap_or(REST_S).clamp(0.0, REST_S_MAX),
            limits: context.limits.clone(),
            stage: 0,
        }))
    },
    schema: || schema_for!(RecoveryParams),
    example: "[experiment.recovery]\nrest_s = 10\n",
};

/// Parameters of the experiment on recovery.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecoveryParams {
    /// Seconds without load before what failed is tried again. By default 10.
    pub rest_s: Option<f64>,
}

struct Recovery {
    rest_s: f64,
    limits: Limits,
    stage: usize,
}

impl Experiment for Recovery {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        self.stage += 1;
        let phase = match self.stage {
            1 => self.once(STATE, stated(run)),
            2 => self.once(WORK, tried(run)),
            3 => self.rest(run),
            4 if !failed(run, WORK).is_empty() => {
                let names = failed(run, WORK);
                let again = tried(run).into_iter().filter(|s| names.contains(&s.name));
                self.once(AGAIN, again.collect())
            }
            _ => None,
        };
        match phase {
            Some(phase) => Step::Run(phase),
            None if self.stage < 4 => self.next(run),
            None => Step::Done,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        if run.of(NAME).next().is_none() {
            return Vec::new();
        }
        let courses = gauge::courses(run);
        let risen: Vec<&Course> = courses.iter().filter(|course| course.stays_up()).collect();
        let mut findings = Vec::new();
        match dead(run) {
            Some((phase, names)) if !names.is_empty() => {
                findings.push(broken(run, phase, &names, &risen, self.rest_s));
            }
            _ => {
                findings.extend(answers_again(run));
                findings.extend(risen.first().map(|course| not_released(run, course)));
            }
        }
        if risen.is_empty() && !courses.is_empty() {
            findings.push(released(&courses));
        }
        findings.extend(memory::growth(run));
        findings
    }
}

impl Recovery {
    fn once(&self, name: &str, scenarios: Vec<Scenario>) -> Option<Phase> {
        let n: usize = scenarios.iter().map(|s| s.items.len()).sum();
        (n > 0).then(|| Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once { duration_s: None },
            limits: self.limits.clone(),
            capture: Capture::responses(n as u32),
        })
    }

    /// Two calls that do no work, a rest apart, when something failed.
    fn rest(&self, run: &RunView<'_>) -> Option<Phase> {
        if failed(run, WORK).is_empty() {
            return None;
        }
        let idle = no_work(run)?;
        let told = run.phase(NAME, WORK).and_then(retry_after_s).unwrap_or(0.0);
        let rest_s = self.rest_s.max(told).min(REST_S_MAX);
        let phase = self.once(REST, vec![Scenario::new(idle.name.clone(), requests(run, idle))])?;
        Some(Phase {
            shape: Shape::Closed {
                connections: 1,
                requests: Some(2),
                duration_s: None,
                think_ms: 1000.0 * rest_s + GRACE_MS,
            },
            ..phase
        })
    }
}

/// One request to each endpoint that tells of the target's state and was answered at first.
fn stated(run: &RunView<'_>) -> Vec<Scenario> {
    run.working_endpoints()
        .into_iter()
        .filter(|e| gauge::may_tell(e))
        .filter_map(|e| {
            let items: Vec<Item> = requests(run, e).into_iter().take(1).collect();
            (!items.is_empty()).then(|| Scenario::new(e.name.clone(), items))
        })
        .collect()
}

/// A request that was answered at first, to each endpoint that computes.
fn tried(run: &RunView<'_>) -> Vec<Scenario> {
    let computes = |e: &&Endpoint| {
        let wanted = run.surface.chosen.is_empty() || run.surface.chosen.contains(&e.name);
        wanted && e.role == Role::Inference && !e.creates() && !is_destructive(&e.method)
    };
    run.working_endpoints()
        .into_iter()
        .filter(computes)
        .filter_map(|e| {
            let item = requests(run, e).into_iter().next()?;
            Some(Scenario::new(e.name.clone(), vec![item; TRIES]))
        })
        .take(ENDPOINTS_MAX)
        .collect()
}

/// The endpoints of a phase of this experiment of which no request was answered.
fn failed(run: &RunView<'_>, phase: &str) -> Vec<String> {
    let Some(phase) = run.phase(NAME, phase) else {
        return Vec::new();
    };
    let scenarios = phase.phase.scenarios.iter();
    scenarios
        .filter(|s| {
            let tally = Timings::of(phase, &s.name).tally();
            tally.good() == 0 && tally.judged() > 0
        })
        .map(|s| s.name.clone())
        .collect()
}

/// The last phase that tried, and the endpoints that the target itself failed in it; a rate limit's refusal is no failure.
fn dead<'a>(run: &RunView<'a>) -> Option<(&'a PhaseResult, Vec<String>)> {
    let last = run.phase(NAME, AGAIN)?;
    let names = failed(run, AGAIN)
        .into_iter()
        .filter(|name| {
            let tally = Timings::of(last, name).tally();
            tally.broken() == tally.judged()
        })
        .collect();
    Some((last, names))
}

/// Seconds of the longest Retry-After in a phase.
fn retry_after_s(phase: &PhaseResult) -> Option<f64> {
    phase
        .captures
        .iter()
        .filter_map(|c| c.header("retry-after")?.trim().parse::<f64>().ok())
        .filter(|s| s.is_finite() && *s >= 0.0)
        .reduce(f64::max)
}

/// Good answers of these endpoints in all the run.
fn served(run: &RunView<'_>, names: &[String]) -> u64 {
    let phases = run
        .phases
        .iter()
        .filter(|p| p.phase.experiment != "input-validation");
    phases
        .flat_map(|phase| {
            phase.samples.iter().filter(|s| {
                let scenario = phase.phase.scenarios.get(usize::from(s.scenario));
                s.outcome == Outcome::Ok && scenario.is_some_and(|scenario| names.contains(&scenario.name))
            })
        })
        .count() as u64
}

fn broken(
    run: &RunView<'_>,
    phase: &PhaseResult,
    names: &[String],
    risen: &[&Course],
    rest_s: f64,
) -> Finding {
    let endpoint = if names.len() == 1 { names[0].as_str() } else { "" };
    let here = source(phase, &names[0]);
    let tally = Timings::of(phase, &names[0]).tally();
    let said = answers(phase, &names[0])
        .last()
        .map(crate::answer::Answer::message);
    let rows = names
        .iter()
        .map(|name| {
            let seen = answers(phase, name);
            let last = seen.last();
            vec![
                name.clone(),
                last.map_or_else(String::new, |a| a.sample.status.to_string()),
                last.map_or_else(String::new, crate::answer::Answer::message),
            ]
        })
        .collect();
    let leak = risen.first().map_or_else(String::new, |course| {
        format!(
            " Its own {} rose from {} to {} and does not fall while nothing runs: what requests take is not given back.",
            course.says(),
            course.shown(course.first),
            course.shown(course.last)
        )
    });
    let mut draft = Draft::new(NAME, "does-not-recover", endpoint)
        .verdict(Verdict::Fail, Severity::Critical)
        .title(format!(
            "{} answered at first and no more after the run, though nothing else runs",
            names.join(", ")
        ))
        .detail(format!(
            "The same requests were answered correctly when the run began. After all load had ended, and {} s of rest, every one \
             failed, one at a time.{leak} How many requests it held while it still had room is no capacity: it serves so many and \
             then none until it is restarted.",
            digits(rest_s)
        ))
        .figure("requests answered after the rest", 0.0, "", tally.judged() as usize, &here)
        .figure("good answers before, in all", served(run, names) as f64, "", phase.samples.len(), &here)
        .table("After the rest", &["Endpoint", "Status", "What it says"], rows, &here)
        .advice(
            "Find what each request takes and never gives back, also when it fails or its client leaves; until then restart before \
             it is used up.",
            "",
        );
    if let Some(said) = said {
        draft = draft.quote("what it says", &said, &here);
    }
    for course in risen {
        draft = course.evidence(draft);
    }
    draft.done()
}

fn answers_again(run: &RunView<'_>) -> Option<Finding> {
    let phase = run.phase(NAME, AGAIN).or_else(|| run.phase(NAME, WORK))?;
    let limited = failed(run, &phase.phase.name);
    let here = source(phase, "");
    let n = phase.phase.scenarios.len() - limited.len();
    if n == 0 {
        return Some(
            Draft::new(NAME, "does-not-recover", "")
                .verdict(Verdict::Inconclusive, Severity::Low)
                .title("Whether the target is as it was before is not known: its rate limit still refuses")
                .figure(
                    "endpoints that were tried",
                    phase.phase.scenarios.len() as f64,
                    "",
                    phase.samples.len(),
                    &here,
                )
                .done(),
        );
    }
    Some(
        Draft::new(NAME, "does-not-recover", "")
            .title("What the target answered at first it still answers after all load")
            .figure(
                "endpoints that answer again",
                n as f64,
                "",
                phase.samples.len(),
                &here,
            )
            .done(),
    )
}

/// Nothing is refused yet, but what was taken has not come back.
fn not_released(run: &RunView<'_>, course: &Course) -> Finding {
    let tried: Vec<String> = tried(run).into_iter().map(|scenario| scenario.name).collect();
    let dear: Vec<String> = generators(run).into_iter().map(|e| e.name.clone()).collect();
    let served = served(run, if dear.is_empty() { &tried } else { &dear });
    let each = (course.last - course.first) / served.max(1) as f64;
    let left = (course.full() - course.last) / each.max(f64::MIN_POSITIVE);
    let draft = Draft::new(NAME, "not-released", &course.endpoint)
        .verdict(Verdict::Warn, Severity::Medium)
        .advisory()
        .title(format!(
            "{} of {} rose from {} to {} and does not fall while nothing runs",
            course.says(),
            course.endpoint,
            course.shown(course.first),
            course.shown(course.last)
        ))
        .detail(format!(
            "{served} requests were answered meanwhile. If each keeps what it took, it is full after about {} more. A cache that \
             gives way when there is need looks the same until then.",
            digits(left)
        ))
        .advice("Look at it for longer, beyond the point where it is full.", "");
    course.evidence(draft).done()
}

fn released(courses: &[Course]) -> Finding {
    let mut draft = Draft::new(NAME, "not-released", "").title(format!(
        "What the target says of its own utilisation is back where it was: {}",
        courses[0].says()
    ));
    for course in courses {
        draft = course.evidence(draft);
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{Budget, Endpoint, Expect, Finding, Request, Role, SampleRequest, Surface, Verdict};
    use serde_json::json;

    use crate::fake::{Reply, run};

    fn surface() -> Surface {
        let endpoint = |method: &str, path: &str, role| Endpoint {
            name: format!("{method} {path}"),
            method: method.into(),
            path: path.into(),
            role,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: match method {
                    "GET" => Request::get(path),
                    _ => Request::json(method, path, &json!({"text": "Name three rivers."})),
                },
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        };
        Surface {
            endpoints: vec![
                endpoint("GET", "/health", Role::Health),
                endpoint("GET", "/stats", Role::Listing),
                endpoint("GET", "/metrics", Role::Metrics),
                endpoint("POST", "/write", Role::Inference),
            ],
            ..Surface::default()
        }
    }

    /// The findings on a server of which each request keeps `kept` of 100 blocks, and which answers `refusal` when none is left.
    fn judged(kept: f64, refusal: u16) -> Vec<Finding> {
        let mut used = 0.0;
        let (_, findings) = run(
            &["coverage", "baseline", "recovery"],
            &surface(),
            Budget::Standard,
            |request| match request.path.as_str() {
                "/health" => Reply::json(200, &json!({"status": "ok"})),
                "/stats" => Reply::json(200, &json!({"pool_utilization_pct": used, "agents": 3})),
                "/metrics" => Reply::bytes(
                    200,
                    "text/plain",
                    format!("pool_utilization_ratio {}\n", used / 100.0).into_bytes(),
                ),
                _ if used + kept > 100.0 => Reply::json(refusal, &json!({"detail": "Failed to allocate"})),
                _ => {
                    used += kept;
                    Reply::json(200, &json!({"text": "a"}))
                }
            },
        );
        findings
            .into_iter()
            .filter(|f| f.experiment == "recovery")
            .collect()
    }

    fn verdict(findings: &[Finding], id: &str) -> Option<Verdict> {
        findings.iter().find(|f| f.id == id).map(Finding::counted)
    }

    #[test]
    fn a_pool_that_is_used_up_for_ever_is_found_with_its_gauge() {
        let findings = judged(5.0, 503);
        assert_eq!(verdict(&findings, "does-not-recover"), Some(Verdict::Fail));
        assert!(findings[0].detail.contains("pool utilization"), "{findings:#?}");
    }

    #[test]
    fn one_that_fills_slowly_is_a_warning_before_it_is_full() {
        let findings = judged(2.0, 503);
        assert_eq!(verdict(&findings, "does-not-recover"), Some(Verdict::Pass));
        assert_eq!(verdict(&findings, "not-released"), Some(Verdict::Warn));
    }

    #[test]
    fn one_that_takes_nothing_passes_and_a_rate_limit_is_no_defect() {
        let findings = judged(0.0, 503);
        assert_eq!(verdict(&findings, "does-not-recover"), Some(Verdict::Pass));
        assert_eq!(verdict(&findings, "not-released"), Some(Verdict::Pass));
        let limited = judged(5.0, 429);
        assert_eq!(verdict(&limited, "does-not-recover"), Some(Verdict::Inconclusive));
    }
}
