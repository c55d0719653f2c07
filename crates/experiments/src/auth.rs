//! Is a credential really asked for? Requests with the given credential, with none, an empty, a wrong, a truncated and a
//! made-up one to the endpoints that ask for one.
//!
//! A limit of rates or a server error says nothing of a credential: whoever answers with one is asked once more.
//!
//! It never sees a secret: the engine puts them in. It must not know how a target checks them.

use prony_model::{
    Budget, Capture, Captured, Credentials, Endpoint, Expect, Finding, Header, Item, Limits, Phase,
    PhaseResult, Protection, Request, Scenario, Severity, Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::answers;
use crate::coverage::is_destructive;
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::mutation::with_query;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "auth";
/// Who asks for a credential, what they say to another, and after each those again whose answer left a doubt; with their shares of the
/// time.
const PHASES: [(&str, f64); 4] = [
    ("given or missing", 0.35),
    ("given or missing, asked again", 0.15),
    ("not the right one", 0.35),
    ("not the right one, asked again", 0.15),
];
/// A credential that nobody has.
const MADE_UP: &str = "prony-no-such-credential";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Credentials",
    question: "Is a credential really asked for?",
    from_budget: Budget::Standard,
    basis: Basis::Answers,
    needs: &[],
    time: Time::Bounded {
        usual_s: [0.2, 0.5, 2.0],
        most_s: [2.0, 4.0, 20.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: AuthParams = params(value)?;
        Ok(Box::new(Auth {
            endpoints: asked.endpoints.unwrap_or(12),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            stage: 0,
        }))
    },
    schema: || schema_for!(AuthParams),
    example: "[experiment.auth]\nendpoints = 12\nduration_s = 10\n",
};

/// Parameters of the experiment on credentials.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthParams {
    /// At most so many endpoints, those first that declare security. By default 12.
    pub endpoints: Option<usize>,
    /// Stop after so many seconds. By default 2 (quick), 4 (standard) or 20 (thorough).
    pub duration_s: Option<f64>,
}

struct Auth {
    endpoints: usize,
    duration_s: f64,
    limits: Limits,
    stage: usize,
}

/// What is sent instead of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Engine(Credentials),
    MadeUp,
}

impl Instead {
    const GIVEN: Self = Self::Engine(Credentials::Given);
    const MISSING: Self = Self::Engine(Credentials::Missing);
    const WRONG: Self = Self::Engine(Credentials::Wrong);
    const HALF: Self = Self::Engine(Credentials::Truncated);
    const ALL: [Self; 6] = [
        Self::GIVEN,
        Self::MISSING,
        Self::Engine(Credentials::Empty),
        Self::WRONG,
        Self::HALF,
        Self::MadeUp,
    ];

    fn says(self) -> &'static str {
        match self {
            Self::Engine(Credentials::Given) => "the given credential",
            Self::Engine(Credentials::Missing) => "no credential",
            Self::Engine(Credentials::Empty) => "an empty credential",
            Self::Engine(Credentials::Wrong) => "a wrong credential",
            Self::Engine(Credentials::Truncated) => "half of the credential",
            Self::MadeUp => "a made-up credential",
        }
    }
}

impl Experiment for Auth {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        while let Some((name, share)) = PHASES.get(self.stage) {
            let scenarios = self.scenarios(run);
            self.stage += 1;
            if !scenarios.is_empty() {
                return Step::Run(Phase {
                    name: (*name).to_owned(),
                    experiment: NAME.to_owned(),
                    shape: Shape::Once {
                        duration_s: Some(share * self.duration_s),
                    },
                    limits: self.limits.clone(),
                    capture: Capture {
                        responses_max: scenarios.len() as u32,
                        body_bytes_max: 4 << 10,
                        digests: true,
                    },
                    scenarios,
                });
            }
        }
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASES[0].0) else {
            return Vec::new();
        };
        let tried = tried(run, self.endpoints);
        let looked_at = tried.len();
        let told = tried
            .iter()
            .filter(|endpoint| answer(run, endpoint, Instead::MISSING).is_some_and(|c| !may_pass(c)))
            .count();
        let mut findings: Vec<Finding> = tried
            .into_iter()
            .filter_map(|endpoint| finding(run, phase, endpoint))
            .collect();
        if findings.is_empty() {
            findings.push(nobody_asks(told, looked_at, phase));
        }
        findings
    }
}

impl Auth {
    /// What is sent at this stage.
    fn scenarios(&self, run: &RunView<'_>) -> Vec<Scenario> {
        // None first: its answer alone tells of an endpoint that is open, should the time be over then.
        let mut all = Instead::ALL;
        all.swap(0, 1);
        tried(run, self.endpoints)
            .into_iter()
            .flat_map(|endpoint| {
                let wanted = all
                    .into_iter()
                    .filter(|instead| is_wanted(run, endpoint, *instead, self.stage));
                wanted
                    .filter_map(|instead| scenario(run, endpoint, instead))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Whether a stage sends that to an endpoint.
fn is_wanted(run: &RunView<'_>, endpoint: &Endpoint, instead: Instead, stage: usize) -> bool {
    let is_first = matches!(instead, Instead::GIVEN | Instead::MISSING);
    match stage {
        0 => is_first,
        1 => is_first && is_unsettled(run, endpoint, instead),
        2 => !is_first && asks(run, endpoint),
        _ => {
            asks(run, endpoint)
                && (is_unsettled(run, endpoint, instead) || is_doubtful(run, endpoint, instead))
        }
    }
}

/// What is said where no endpoint was found to ask for a credential.
fn nobody_asks(told: usize, looked_at: usize, phase: &PhaseResult) -> Finding {
    let draft = Draft::new(NAME, NAME, "").advisory().figure(
        "endpoints that answered without a credential, or refused to",
        told as f64,
        "",
        looked_at,
        &source(phase, ""),
    );
    if told == 0 {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title("Whether a credential is asked for is not known: no endpoint gave an answer that tells")
            .detail(
                "Those without one were answered by limits and server errors alone, or not at all, twice.",
            )
            .advice("Lift the rate limit for the test, or ask later.", "")
            .done();
    }
    let rest = looked_at - told;
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(" Of {rest} more nothing is known: they answered by limits or server errors, or not at all.")
    };
    draft
        .title("No endpoint asks for a credential: whoever reaches the port may call all of them")
        .detail(format!(
            "None declares security, and none refuses a request without the given credential, if there is one.{rest}"
        ))
        .done()
}

/// The endpoints to try: those that declare security, then those that do work.
fn tried<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints: Vec<&Endpoint> = run
        .surface
        .endpoints
        .iter()
        .filter(|e| !is_destructive(&e.method) && !e.samples.is_empty())
        .collect();
    endpoints.sort_by_key(|e| (!run.surface.protected.contains_key(&e.name), !e.is_work()));
    endpoints.truncate(max);
    endpoints
}

fn scenario_name(endpoint: &Endpoint, instead: Instead) -> String {
    format!("{} with {}", endpoint.name, instead.says())
}

fn scenario(run: &RunView<'_>, endpoint: &Endpoint, instead: Instead) -> Option<Scenario> {
    let request = &endpoint.samples[0].request;
    let (request, credentials) = match instead {
        Instead::MadeUp => (made_up(run, endpoint, request)?, Credentials::Missing),
        Instead::Engine(credentials) => (request.clone(), credentials),
    };
    let item = Item {
        request,
        expect: Expect {
            status: (100..=599).collect(),
            ..Expect::default()
        },
    };
    Some(Scenario {
        credentials,
        ..Scenario::new(scenario_name(endpoint, instead), vec![item])
    })
}

/// The request with made-up credentials of the declared kinds; `None` where none is declared.
fn made_up(run: &RunView<'_>, endpoint: &Endpoint, request: &Request) -> Option<Request> {
    let kinds = run.surface.protected.get(&endpoint.name)?;
    let mut request = request.clone();
    for kind in kinds {
        match kind {
            Protection::Authorization(scheme) => {
                let header = Header::new("authorization", format!("{scheme} {MADE_UP}"));
                request.headers.push(header);
            }
            Protection::Header(name) => request.headers.push(Header::new(name, MADE_UP)),
            Protection::Query(name) => request.path = with_query(&request.path, name, MADE_UP),
            Protection::Cookie(name) => {
                request
                    .headers
                    .push(Header::new("cookie", format!("{name}={MADE_UP}")));
            }
        }
    }
    Some(request)
}

/// Every answer to a request, in order.
fn heard<'a>(run: &RunView<'a>, endpoint: &Endpoint, instead: Instead) -> Vec<&'a Captured> {
    let name = scenario_name(endpoint, instead);
    run.of(NAME)
        .filter_map(|phase| answers(phase, &name).first().and_then(|a| a.captured))
        .filter(|c| c.status > 0)
        .collect()
}

/// Whether an answer may be another one a moment later, whatever the credential: a limit, or an error of the server.
fn may_pass(captured: &Captured) -> bool {
    matches!(captured.status, 429 | 500..=599)
}

/// What an endpoint says to a request: the last answer that is about the request, else a server error that came each time. `None` when
/// there was no such answer.
fn answer<'a>(run: &RunView<'a>, endpoint: &Endpoint, instead: Instead) -> Option<&'a Captured> {
    let heard = heard(run, endpoint, instead);
    let told = heard.iter().rev().find(|c| !may_pass(c));
    // A limit, a server without room and a gateway without its server do not look at the request, however often they are asked.
    let is_the_request = |c: &&Captured| !matches!(c.status, 429 | 502..=504);
    let breaks = || {
        heard
            .last()
            .filter(|_| heard.len() > 1 && heard.iter().all(is_the_request))
    };
    told.or_else(breaks).copied()
}

/// Whether the last answer to a request may be another one a moment later.
fn is_unsettled(run: &RunView<'_>, endpoint: &Endpoint, instead: Instead) -> bool {
    heard(run, endpoint, instead).last().is_some_and(|c| may_pass(c))
}

/// Whether much hangs on a single answer that may have had other reasons: the refusal without a credential where another is accepted, and
/// the words of a refusal that differ.
fn is_doubtful(run: &RunView<'_>, endpoint: &Endpoint, instead: Instead) -> bool {
    match instead {
        Instead::MISSING => {
            let is_accepted = |&other: &Instead| answer(run, endpoint, other).is_some_and(is_good);
            !is_declared(run, endpoint) && Instead::ALL[2..].iter().any(is_accepted)
        }
        Instead::WRONG => {
            let wrong = answer(run, endpoint, Instead::WRONG);
            let half = answer(run, endpoint, Instead::HALF);
            wrong
                .zip(half)
                .is_some_and(|(wrong, half)| !are_alike(wrong, half))
        }
        _ => false,
    }
}

fn is_declared(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    run.surface.protected.contains_key(&endpoint.name)
}

/// How an endpoint turns away who has no credential and answers who has the one it accepts; `None` where it does not.
fn turns_away(run: &RunView<'_>, endpoint: &Endpoint) -> Option<u16> {
    let given = answer(run, endpoint, Instead::GIVEN)?;
    let missing = answer(run, endpoint, Instead::MISSING)?;
    (is_good(given) && !is_good(missing)).then_some(missing.status)
}

/// Whether an endpoint asks for a credential: its document says so, or it refuses who does not give the one it accepts.
fn asks(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    is_declared(run, endpoint) || turns_away(run, endpoint).is_some()
}

fn is_good(captured: &Captured) -> bool {
    (200..300).contains(&captured.status)
}

/// Whether a status refuses a credential: 404 hides what is there, 400 refuses the header itself.
fn refuses(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 404 | 407)
}

/// What was sent, with the status of the last answer.
fn rows(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Vec<String>> {
    Instead::ALL
        .into_iter()
        .filter_map(|instead| Some((instead, heard(run, endpoint, instead).last()?.status)))
        .map(|(instead, status)| vec![instead.says().to_owned(), status.to_string()])
        .collect()
}

/// A further sentence, on the answers that say nothing of a credential; empty without such.
fn left_out(run: &RunView<'_>, endpoint: &Endpoint) -> String {
    let silent: Vec<String> = Instead::ALL
        .into_iter()
        .filter(|&instead| answer(run, endpoint, instead).is_none())
        .filter_map(|instead| Some((instead, heard(run, endpoint, instead).last()?.status)))
        .map(|(instead, status)| format!("{} ({status})", instead.says()))
        .collect();
    if silent.is_empty() {
        return String::new();
    }
    format!(
        " Answers that tell nothing of the credential are left out: those to {}.",
        silent.join(", ")
    )
}

/// The finding about one endpoint; `None` when anybody may call it.
fn finding(run: &RunView<'_>, phase: &PhaseResult, endpoint: &Endpoint) -> Option<Finding> {
    if !asks(run, endpoint) {
        return None;
    }
    let given = answer(run, endpoint, Instead::GIVEN);
    let others: Vec<(Instead, &Captured)> = Instead::ALL[1..]
        .iter()
        .filter_map(|&instead| Some((instead, answer(run, endpoint, instead)?)))
        .collect();
    let name = &endpoint.name;
    let evidence = source(phase, "");
    let n = others.len();
    let draft = Draft::new(NAME, NAME, name).table(
        "Status by credential",
        &["Sent with", "Status"],
        rows(run, endpoint),
        &evidence,
    );
    let list = |found: &[&(Instead, &Captured)]| -> String {
        let names: Vec<&str> = found.iter().map(|(instead, _)| instead.says()).collect();
        names.join(", ")
    };
    // A server error without a credential may have other reasons, so that nothing asks for one.
    let is_closed =
        is_declared(run, endpoint) || turns_away(run, endpoint).is_some_and(|status| status < 500);
    let accepted: Vec<&(Instead, &Captured)> =
        others.iter().filter(|(_, c)| is_closed && is_good(c)).collect();
    let broken_into: Vec<&(Instead, &Captured)> =
        others.iter().filter(|(_, c)| !is_closed && is_good(c)).collect();
    let leaking: Vec<&(Instead, &Captured)> = others
        .iter()
        .filter(|(_, c)| {
            given.is_some_and(|g| is_good(g) && g.body_bytes > 0 && g.digest == c.digest) && !is_good(c)
        })
        .collect();
    let odd: Vec<&(Instead, &Captured)> = others
        .iter()
        .filter(|(_, c)| !is_good(c) && !refuses(c.status))
        .collect();
    let draft = if n == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Medium)
            .title(format!(
                "{name} gave no answer to requests without its credential that tells of it"
            ))
            .detail(left_out(run, endpoint).trim_start())
    } else if !accepted.is_empty() {
        draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!("{name} asks for a credential and answers with {}", list(&accepted)))
            .advice("Check the credential before anything else, and refuse with 401 whatever is not exactly right.", "")
    } else if !leaking.is_empty() {
        draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!(
                "{name} refuses by its status and sends the content all the same, with {}",
                list(&leaking)
            ))
            .advice(
                "Stop at the refusal: the content must not be made, and not be sent.",
                "",
            )
    } else if !broken_into.is_empty() {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "{name} answers with a server error without a credential, and well with {}",
                list(&broken_into)
            ))
            .detail(
                "It is not declared to ask for a credential. If it is meant to, whoever sends any is let in; if not, a request without one must \
                 not break it.",
            )
            .advice("Check the credential before anything else, and refuse with 401 whatever is not exactly right.", "")
    } else if !odd.is_empty() {
        let statuses: Vec<String> = odd.iter().map(|(_, c)| c.status.to_string()).collect();
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "{name} neither accepts nor plainly refuses {}: status {}",
                list(&odd),
                statuses.join(", ")
            ))
            .advice("Answer 401 with WWW-Authenticate, or 403.", "")
    } else {
        refused(draft, run, endpoint, given, n)
    };
    Some(draft.done())
}

/// Words for an endpoint that refused whatever was not the given credential, so many requests.
fn refused(
    draft: Draft,
    run: &RunView<'_>,
    endpoint: &Endpoint,
    given: Option<&Captured>,
    n: usize,
) -> Draft {
    let name = &endpoint.name;
    if tells_apart(run, endpoint) {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "{name} refuses a wrong credential with other words than half of the right one"
            ))
            .detail("Whoever guesses learns from the difference that a part was right.")
            .advice("Refuse every wrong credential with the same answer.", "")
    } else {
        draft
            .title(format!(
                "{name} refused {n} requests without the right credential"
            ))
            .detail(if given.is_some_and(is_good) {
                format!("The given credential was accepted.{}", left_out(run, endpoint))
            } else {
                format!(
                    "No credential that is accepted was given, so that the right one is accepted was not seen.{}",
                    left_out(run, endpoint)
                )
            })
    }
}

/// Whether the refusals of a wrong and of half of the right credential differ, and those of the same wrong one do not.
fn tells_apart(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let given = answer(run, endpoint, Instead::GIVEN);
    let half = answer(run, endpoint, Instead::HALF);
    let mut wrong = heard(run, endpoint, Instead::WRONG);
    wrong.retain(|c| !may_pass(c));
    let (Some(given), Some(half), [first, .., last]) = (given, half, wrong.as_slice()) else {
        return false;
    };
    is_good(given) && are_alike(first, last) && !are_alike(last, half)
}

/// Whether two refusals are the same, but for numbers and the time of day.
fn are_alike(one: &Captured, other: &Captured) -> bool {
    let plain = |c: &Captured| -> String { c.body.chars().filter(|c| !c.is_ascii_hexdigit()).collect() };
    one.status == other.status && plain(one) == plain(other)
}

#[cfg(test)]
mod tests;
