//! Do calls without a credential use up what those with one may do? A bounded number of them to an endpoint that asks for a
//! credential, until they are refused for their number, and then one with the credential that was accepted before.
//!
//! It comes last, because a limit that counts strangers is used up afterwards. It must not know how a limit is kept.

use prony_model::{
    Budget, Capture, Credentials, Endpoint, Expect, Finding, Item, Limits, Outcome, Phase, PhaseResult, Role,
    Scenario, Severity, Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{requests, solo_ms};
use crate::timings::Timings;
use crate::wording::resting_on;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "lockout";
const BEFORE: &str = "with the credential, before";
const WITHOUT: &str = "without a credential";
const AFTER: &str = "with the credential, after";

/// Calls with the credential, before and after.
const WITH: u64 = 3;
/// Most rounds of calls without one.
const ROUNDS: usize = 3;
/// Calls of each round.
const ROUND: u64 = 500;
/// At so many at a time.
const CONNECTIONS: u32 = 4;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Lock-out by strangers",
    question: "Do calls without a credential use up what those with one may do?",
    from_budget: Budget::Standard,
    basis: Basis::Answers,
    needs: &["coverage", "auth"],
    time: Time::Bounded {
        usual_s: [1.0, 1.0, 2.0],
        most_s: [10.0, 15.0, 30.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: LockoutParams = params(value)?;
        Ok(Box::new(Lockout {
            requests: asked.requests.unwrap_or(ROUND * ROUNDS as u64),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            stage: 0,
        }))
    },
    schema: || schema_for!(LockoutParams),
    example: "[experiment.lockout]\nrequests = 1500\nduration_s = 15\n",
};

/// Parameters of the experiment on strangers' calls.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LockoutParams {
    /// At most so many calls without a credential. By default 1500.
    pub requests: Option<u64>,
    /// Stop after so many seconds. By default 10 (quick), 15 (standard) or 30 (thorough).
    pub duration_s: Option<f64>,
}

struct Lockout {
    requests: u64,
    duration_s: f64,
    limits: Limits,
    stage: usize,
}

impl Experiment for Lockout {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(endpoint) = chosen(run) else {
            return Step::Done;
        };
        self.stage += 1;
        let phase = match self.stage {
            1 => Some(self.with_credential(run, endpoint, BEFORE)),
            _ if !accepted(run, BEFORE) => None,
            stage if stage < 2 + ROUNDS && refused(run) == 0 => Some(self.without(run, endpoint, stage - 1)),
            _ if run.phase(NAME, AFTER).is_none() => Some(self.with_credential(run, endpoint, AFTER)),
            _ => None,
        };
        phase.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        finding(run).into_iter().collect()
    }
}

impl Lockout {
    fn with_credential(&self, run: &RunView<'_>, endpoint: &Endpoint, name: &str) -> Phase {
        Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new(endpoint.name.clone(), requests(run, endpoint))],
            shape: Shape::Sequential {
                requests: WITH,
                duration_s: None,
            },
            limits: self.limits.clone(),
            capture: Capture::responses(WITH as u32),
        }
    }

    fn without(&self, run: &RunView<'_>, endpoint: &Endpoint, round: usize) -> Phase {
        let any = Expect {
            status: (100..=599).collect(),
            ..Expect::default()
        };
        let items = requests(run, endpoint).into_iter().map(|item| Item {
            expect: any.clone(),
            ..item
        });
        Phase {
            name: format!("{WITHOUT} {round}"),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario {
                credentials: Credentials::Missing,
                ..Scenario::new(endpoint.name.clone(), items.collect())
            }],
            shape: Shape::Closed {
                connections: CONNECTIONS,
                requests: Some((self.requests / ROUNDS as u64).max(1)),
                duration_s: Some(self.duration_s / ROUNDS as f64),
                think_ms: 0.0,
            },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }
}

/// The cheapest endpoint that refuses who has no credential and answers who has the given one.
fn chosen<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    let guarded = |endpoint: &&Endpoint| {
        let status = |with: &str| {
            let scenario = format!("{} with {with}", endpoint.name);
            run.of("auth")
                .flat_map(|phase| {
                    Timings::of(phase, &scenario)
                        .samples()
                        .map(|s| s.status)
                        .collect::<Vec<_>>()
                })
                .next()
        };
        status("the given credential").is_some_and(|s| (200..300).contains(&s))
            && status("no credential").is_some_and(|s| matches!(s, 401 | 403))
    };
    let mut endpoints: Vec<&Endpoint> = run
        .working_endpoints()
        .into_iter()
        .filter(|e| !e.creates() && !requests(run, e).is_empty())
        .filter(guarded)
        .collect();
    endpoints.sort_by_key(|e| {
        let cost_us = solo_ms(run, e).map_or(u64::MAX, |ms| (1000.0 * ms) as u64);
        (e.method != "GET", e.role == Role::Inference, cost_us)
    });
    endpoints.first().copied()
}

/// Whether every call of that phase was answered well.
fn accepted(run: &RunView<'_>, name: &str) -> bool {
    run.phase(NAME, name).is_some_and(|phase| {
        let tally = Timings::all(phase).tally();
        tally.good() > 0 && tally.failed() == 0
    })
}

fn strangers<'a>(run: &RunView<'a>) -> impl Iterator<Item = &'a PhaseResult> + use<'a> {
    run.phases
        .iter()
        .filter(|p| p.phase.experiment == NAME && p.phase.name.starts_with(WITHOUT))
}

/// Calls without a credential that were refused for their number.
fn refused(run: &RunView<'_>) -> usize {
    strangers(run)
        .flat_map(|phase| &phase.samples)
        .filter(|s| s.status == 429)
        .count()
}

fn finding(run: &RunView<'_>) -> Option<Finding> {
    let (before, after) = (run.phase(NAME, BEFORE)?, run.phase(NAME, AFTER)?);
    let endpoint = before.phase.scenarios[0].name.as_str();
    let sent: usize = strangers(run).map(|phase| phase.samples.len()).sum();
    let refused = refused(run);
    let locked_out = after
        .samples
        .iter()
        .filter(|s| s.outcome == Outcome::Status429)
        .count();
    let here = source(after, endpoint);
    let rests_on = [before, after];
    let retry = after.captures.iter().find_map(|c| c.header("retry-after"));
    let draft = Draft::new(NAME, "lockout", endpoint)
        .figure("calls without a credential", sent as f64, "", sent, &here)
        .figure("of these, refused with 429", refused as f64, "", sent, &here)
        .figure(
            "calls with the credential refused afterwards",
            locked_out as f64,
            "",
            after.samples.len(),
            &here,
        );
    let draft = if refused > 0 && locked_out > 0 {
        let told = retry.map_or_else(String::new, |seconds| {
            format!(
                " It says to come back after {} s.",
                crate::answer::bounded_to(seconds, 20)
            )
        });
        draft
            .verdict(Verdict::Warn, Severity::High)
            .title(format!(
                "Calls without a credential use up the rate limit of {endpoint}: after {sent} of them the right credential is refused with 429"
            ))
            .detail(format!(
                "The credential was accepted {WITH} times just before. Of {sent} calls without one {refused} were refused with 429 \
                 and not with 401, and then {locked_out} of {} calls with it were refused, too.{told} So calls are counted before \
                 their credential is looked at, and whoever reaches the port can shut everybody out. All came from one address: a \
                 limit for each address, kept before the credential, looks the same from here and shuts out only its neighbours.",
                after.samples.len()
            ))
            .advice(
                "Look at the credential first and count only calls that pass; bound the others apart, for each address.",
                "",
            )
    } else if refused > 0 {
        draft.title(format!(
            "After {sent} calls without a credential, which {endpoint} limits apart, the right one is still accepted"
        ))
    } else if locked_out > 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{endpoint} refuses the right credential with 429 after {sent} calls without one, none of which was"
            ))
            .detail("Calls of earlier experiments may have used up the limit.")
    } else {
        draft.title(format!(
            "{sent} calls without a credential to {endpoint} did not use up what the right one may do"
        ))
    };
    Some(resting_on(draft.done(), &rests_on))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{
        Credentials, Endpoint, Expect, Finding, Request, Role, SampleRequest, Surface, Verdict,
    };
    use serde_json::json;

    use super::{NAME, WITHOUT};
    use crate::fake::Reply;
    use crate::{RunView, Step, find};

    const ROOM: u32 = 1000;

    /// How a server counts.
    #[derive(Clone, Copy, PartialEq)]
    enum Counts {
        /// Everybody, before the credential is looked at.
        Everybody,
        /// Those who pass.
        ThosePassing,
        /// Strangers, but apart.
        StrangersApart,
    }

    fn surface() -> Surface {
        Surface {
            endpoints: vec![Endpoint {
                name: "GET /models".into(),
                method: "GET".into(),
                path: "/models".into(),
                role: Role::Listing,
                parameters: Vec::new(),
                body_schema: None,
                declared_statuses: Vec::new(),
                samples: vec![SampleRequest {
                    request: Request::get("/models"),
                    inputs: BTreeMap::new(),
                }],
                expect: Expect::default(),
            }],
            ..Surface::default()
        }
    }

    /// Steps the experiments by hand: the fake run does not know credentials.
    fn judged(counts: Counts) -> Vec<Finding> {
        let surface = surface();
        let limits = prony_model::Limits::default();
        let (mut everybody, mut strangers) = (0, 0);
        let mut phases: Vec<prony_model::PhaseResult> = Vec::new();
        let mut findings = Vec::new();
        for name in ["coverage", "auth", NAME] {
            let context = crate::BuildContext {
                surface: &surface,
                budget: prony_model::Budget::Standard,
                time_s: 10.0,
                seed: 1,
                limits: &limits,
            };
            let mut experiment = (find(name).unwrap().build)(&context, &json!({})).unwrap();
            loop {
                let view = RunView {
                    surface: &surface,
                    phases: &phases,
                    cores: 2,
                    shared_host: true,
                };
                let Step::Run(phase) = experiment.next(&view) else {
                    findings = experiment.conclude(&view);
                    break;
                };
                let times = if phase.name.starts_with(WITHOUT) { 500 } else { 1 };
                let index = phases.len() as u16;
                let result = crate::fake::perform_times(&phase, index, times, &mut |scenario| {
                    let given = phase.scenarios[scenario].credentials == Credentials::Given;
                    let room = match counts {
                        Counts::Everybody => {
                            everybody += 1;
                            everybody <= ROOM
                        }
                        Counts::ThosePassing => true,
                        Counts::StrangersApart if given => true,
                        Counts::StrangersApart => {
                            strangers += 1;
                            strangers <= ROOM
                        }
                    };
                    match (room, given) {
                        (false, _) => Reply::json(429, &json!({"error": "limit"})),
                        (true, true) => Reply::json(200, &json!([])),
                        (true, false) => Reply::json(401, &json!({"error": "key"})),
                    }
                });
                phases.push(result);
            }
        }
        findings
    }

    #[test]
    fn strangers_that_shut_everybody_out_are_found_and_nothing_else_is() {
        let verdict = |counts| judged(counts)[0].counted();
        assert_eq!(verdict(Counts::Everybody), Verdict::Warn);
        assert_eq!(verdict(Counts::ThosePassing), Verdict::Pass);
        assert_eq!(verdict(Counts::StrangersApart), Verdict::Pass);
    }
}
