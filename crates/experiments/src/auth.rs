//! Is a credential really asked for? Requests with the given credential, with none, an empty, a wrong, a truncated and a
//! made-up one to the endpoints that ask for one.
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
/// Who asks for a credential, and what they say to another.
const PHASES: [&str; 2] = ["given or missing", "not the right one"];
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
    const ALL: [Self; 6] = [
        Self::Engine(Credentials::Given),
        Self::Engine(Credentials::Missing),
        Self::Engine(Credentials::Empty),
        Self::Engine(Credentials::Wrong),
        Self::Engine(Credentials::Truncated),
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
        let Some(name) = PHASES.get(self.stage) else {
            return Step::Done;
        };
        let first = self.stage == 0;
        self.stage += 1;
        let scenarios: Vec<Scenario> = tried(run, self.endpoints)
            .into_iter()
            .filter(|endpoint| first || asks(run, endpoint))
            .flat_map(|endpoint| {
                let all = Instead::ALL.iter().enumerate();
                let these = all.filter(|(i, _)| (*i < 2) == first);
                these
                    .filter_map(|(_, instead)| scenario(run, endpoint, *instead))
                    .collect::<Vec<_>>()
            })
            .collect();
        if scenarios.is_empty() {
            return Step::Done;
        }
        Step::Run(Phase {
            name: (*name).to_owned(),
            experiment: NAME.to_owned(),
            shape: Shape::Once {
                duration_s: Some(self.duration_s / 2.0),
            },
            limits: self.limits.clone(),
            capture: Capture {
                responses_max: scenarios.len() as u32,
                body_bytes_max: 4 << 10,
                digests: true,
            },
            scenarios,
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(phase) = run.phase(NAME, PHASES[0]) else {
            return Vec::new();
        };
        let tried = tried(run, self.endpoints);
        let looked_at = tried.len();
        let mut findings: Vec<Finding> = tried
            .into_iter()
            .filter_map(|endpoint| finding(run, phase, endpoint))
            .collect();
        if findings.is_empty() {
            findings.push(
                Draft::new(NAME, NAME, "")
                    .advisory()
                    .title("No endpoint asks for a credential: whoever reaches the port may call all of them")
                    .figure("endpoints looked at", looked_at as f64, "", looked_at, &source(phase, ""))
                    .detail("None declares security, and none refuses a request without the given credential, if there is one.")
                    .done(),
            );
        }
        findings
    }
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

/// The answer to a request; `None` when there was none.
fn answer<'a>(run: &RunView<'a>, endpoint: &Endpoint, instead: Instead) -> Option<&'a Captured> {
    let name = scenario_name(endpoint, instead);
    run.of(NAME)
        .find_map(|phase| answers(phase, &name).first().and_then(|a| a.captured))
        .filter(|c| c.status > 0)
}

/// Whether an endpoint asks for a credential: its document says so, or it refuses who does not give the one it accepts.
fn asks(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let given = answer(run, endpoint, Instead::Engine(Credentials::Given));
    let missing = answer(run, endpoint, Instead::Engine(Credentials::Missing));
    let guarded = given.is_some_and(is_good) && missing.is_some_and(|m| !is_good(m));
    guarded || run.surface.protected.contains_key(&endpoint.name)
}

fn is_good(captured: &Captured) -> bool {
    (200..300).contains(&captured.status)
}

/// Whether a status refuses a credential: 404 hides what is there, 400 refuses the header itself.
fn refuses(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 404 | 407)
}

/// The finding about one endpoint; `None` when anybody may call it.
fn finding(run: &RunView<'_>, phase: &PhaseResult, endpoint: &Endpoint) -> Option<Finding> {
    if !asks(run, endpoint) {
        return None;
    }
    let given = answer(run, endpoint, Instead::ALL[0]);
    let others: Vec<(Instead, &Captured)> = Instead::ALL[1..]
        .iter()
        .filter_map(|&instead| Some((instead, answer(run, endpoint, instead)?)))
        .collect();
    let name = &endpoint.name;
    let evidence = source(phase, "");
    let rows: Vec<Vec<String>> = given
        .map(|g| (Instead::ALL[0], g))
        .into_iter()
        .chain(others.iter().copied())
        .map(|(instead, c)| vec![instead.says().to_owned(), c.status.to_string()])
        .collect();
    let n = others.len();
    let draft =
        Draft::new(NAME, NAME, name).table("Status by credential", &["Sent with", "Status"], rows, &evidence);
    let list = |found: &[&(Instead, &Captured)]| -> String {
        let names: Vec<&str> = found.iter().map(|(instead, _)| instead.says()).collect();
        names.join(", ")
    };
    let accepted: Vec<&(Instead, &Captured)> = others.iter().filter(|(_, c)| is_good(c)).collect();
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
                "{name} gave no answer to requests without its credential"
            ))
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
    } else if tells_apart(run, endpoint) {
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
                "The given credential was accepted."
            } else {
                "No credential that is accepted was given, so that the right one is accepted was not seen."
            })
    };
    Some(draft.done())
}

/// Whether the refusals of a wrong and of half of the right credential differ, but for numbers and the time of day.
fn tells_apart(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let of = |credentials| answer(run, endpoint, Instead::Engine(credentials));
    let (Some(given), Some(wrong), Some(half)) = (
        of(Credentials::Given),
        of(Credentials::Wrong),
        of(Credentials::Truncated),
    ) else {
        return false;
    };
    let plain = |c: &Captured| -> String { c.body.chars().filter(|c| !c.is_ascii_hexdigit()).collect() };
    is_good(given) && (wrong.status != half.status || plain(wrong) != plain(half))
}
