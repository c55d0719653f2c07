//! Which endpoints answer correctly? Every sample of every endpoint once, before anything is timed.
//!
//! Other experiments read its phase `preflight`: which endpoints work, what a good answer looks like, and how
//! long the very first request of an endpoint took. What asks how the target is comes first in it, and may be asked while the target
//! still starts: it is asked once more when it failed (`again`). It must not know what any particular target means by its answers.

mod unread;

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Outcome, Phase, PhaseResult, Protection, Role,
    Scenario, Severity, Shape, Source, Surface, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::{Answer, answers, bounded_to, content_type};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "coverage";
const PREFLIGHT: &str = "preflight";
const AGAIN: &str = "again";
/// Most samples of an endpoint that starts jobs: each leaves work in the target's queue, and the jobs that are watched later wait
/// behind it.
const JOBS_MAX: usize = 2;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Endpoint coverage",
    question: "Which endpoints answer correctly?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &[],
    time: Time::Bounded {
        usual_s: [1.0, 2.0, 4.0],
        most_s: [20.0, 60.0, 300.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: CoverageParams = params(value)?;
        Ok(Box::new(Coverage {
            samples_max: asked.samples_max.unwrap_or(default_samples(context.budget)),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            destructive: asked.destructive,
            limits: context.limits.clone(),
            phases: 0,
        }))
    },
    schema: || schema_for!(CoverageParams),
    example: "[experiment.coverage]\nsamples_max = 6\nduration_s = 60\n",
};

/// Parameters of the coverage experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CoverageParams {
    /// At most so many samples of each endpoint. By default 3 (quick), 8 (standard) or 24 (thorough).
    pub samples_max: Option<u32>,
    /// Stop after so many seconds. By default 20 (quick), 60 (standard) or 300 (thorough).
    pub duration_s: Option<f64>,
    /// Also call endpoints with the methods DELETE, PUT and PATCH.
    pub destructive: bool,
}

/// Seconds that the slowest endpoint that does work takes for an answer: the mean of its good first ones, but for the very first
/// where there are more, since that may have waited for a model to load. `None` before the first answers, and where none was good.
pub fn answer_s(run: &RunView<'_>) -> Option<f64> {
    let phase = run.phase(NAME, PREFLIGHT)?;
    let taken_s = |endpoint: &Endpoint| {
        let good = answers(phase, &endpoint.name).into_iter().filter(Answer::is_ok);
        let mut taken: Vec<f64> = good
            .map(|a| (a.sample.done - a.sample.sent).as_secs_f64())
            .collect();
        if taken.len() > 1 {
            taken.remove(0);
        }
        (!taken.is_empty()).then(|| prony_stats::mean(&taken))
    };
    let work = run.surface.endpoints.iter().filter(|e| e.is_work());
    work.filter_map(taken_s).reduce(f64::max)
}

fn default_samples(budget: Budget) -> u32 {
    match budget {
        Budget::Quick => 3,
        Budget::Standard => 8,
        Budget::Thorough => 24,
    }
}

struct Coverage {
    samples_max: u32,
    duration_s: f64,
    destructive: bool,
    limits: Limits,
    /// How many were planned.
    phases: u32,
}

impl Experiment for Coverage {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        self.phases += 1;
        let (name, scenarios) = match self.phases {
            1 => (PREFLIGHT, self.scenarios(run.surface)),
            2 => (AGAIN, self.failed_at_first(run)),
            _ => return Step::Done,
        };
        if scenarios.is_empty() {
            return Step::Done;
        }
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        Step::Run(Phase {
            name: name.to_owned(),
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
        let Some(phase) = run.phase(NAME, PREFLIGHT) else {
            return vec![
                Draft::new(NAME, "coverage", "")
                    .verdict(Verdict::Inconclusive, Severity::Medium)
                    .title("No endpoint could be called")
                    .detail(format!(
                        "No endpoint with a request that could be sent was found, so nothing was tested.{}",
                        found_by(run.surface)
                    ))
                    .advice(
                        "Give the URL of an endpoint and a body that it answers well (`-b`), or name the endpoints and a valid \
                         request for each in a suite.",
                        "",
                    )
                    .done(),
            ];
        };
        let mut rows = Vec::new();
        let mut findings = Vec::new();
        let mut working = 0;
        for endpoint in &run.surface.endpoints {
            let seen = all_answers(run, endpoint);
            let state = self.judge(run, endpoint, &seen);
            working += usize::from(state.works());
            rows.push(row(endpoint, &seen, state));
            let found = finding(endpoint, &seen, state, phase);
            findings.extend(found.map(|f| with_credentials(run.surface, endpoint, state, f)));
            findings.extend(undocumented(endpoint, &seen, phase));
        }
        findings.extend(unread::not_json(run.surface, phase));
        findings.extend(unread::only_errors(run.surface, phase));
        findings.extend(unread::cut_images(run.surface, phase));
        findings.extend(undescribed(run.surface));
        findings.extend(unread::nothing_to_measure(run.surface));
        findings.insert(0, summary(run, rows, working, &findings, phase));
        findings
    }
}

impl Coverage {
    /// Supporting endpoints first, so that the first request to an endpoint that works is really its first.
    fn scenarios(&self, surface: &Surface) -> Vec<Scenario> {
        let mut endpoints: Vec<&Endpoint> = surface.endpoints.iter().filter(|e| self.may_call(e)).collect();
        endpoints.sort_by_key(|e| rank(e.role));
        endpoints
            .into_iter()
            .map(|e| {
                let mut items: Vec<Item> = e.items();
                items.truncate(self.samples_max.max(1) as usize);
                if starts_jobs(surface, e) {
                    items.truncate(JOBS_MAX);
                }
                Scenario::new(e.name.clone(), items)
            })
            .filter(|s| !s.items.is_empty())
            .collect()
    }

    /// What needs no input and failed, while others answered.
    fn failed_at_first(&self, run: &RunView<'_>) -> Vec<Scenario> {
        if run.working_endpoints().is_empty() {
            return Vec::new();
        }
        let failed = |endpoint: &&Endpoint| {
            needs_nothing(endpoint)
                && !endpoint.is_work()
                && self.judge(run, endpoint, &all_answers(run, endpoint)) == State::Broken
        };
        let endpoints = run.surface.endpoints.iter().filter(failed);
        endpoints
            .map(|e| Scenario::new(e.name.clone(), e.items()))
            .collect()
    }

    fn may_call(&self, endpoint: &Endpoint) -> bool {
        self.destructive || !is_destructive(&endpoint.method)
    }

    fn judge(&self, run: &RunView<'_>, endpoint: &Endpoint, seen: &[Answer<'_>]) -> State {
        if !self.may_call(endpoint) {
            return State::NotCalled;
        }
        if endpoint.samples.is_empty() {
            return State::NoRequest;
        }
        if is_endless(run, endpoint) {
            return State::Endless;
        }
        if seen.is_empty() {
            return State::NotReached;
        }
        let count = |wanted: &dyn Fn(&Answer<'_>) -> bool| seen.iter().filter(|a| wanted(a)).count();
        let ok = seen.iter().filter(|a| a.is_ok()).count();
        let broken = count(&|a: &Answer<'_>| is_broken(a.sample.outcome));
        if ok == seen.len() {
            State::Works
        } else if ok > 0 && broken > 0 {
            State::WorksAtTimes
        } else if ok > 0 {
            State::WorksForSome
        } else if broken > 0 {
            State::Broken
        } else if count(&|a: &Answer<'_>| matches!(a.sample.status, 401 | 403)) > 0 {
            State::NeedsCredentials
        } else if count(&|a: &Answer<'_>| a.sample.outcome == Outcome::Status429) > 0 {
            State::RateLimited
        } else if count(&|a: &Answer<'_>| matches!(a.sample.outcome, Outcome::Status4xx | Outcome::RpcError))
            > 0
        {
            if takes_nothing(endpoint) {
                State::Absent
            } else {
                State::NoRequest
            }
        } else if seen.iter().any(|a| has_wrong_type(endpoint, a)) {
            State::WrongType
        } else if count(&|a: &Answer<'_>| a.sample.outcome == Outcome::Status3xx) > 0 {
            State::Redirects
        } else if count(&|a: &Answer<'_>| a.sample.outcome == Outcome::StatusOther) > 0 {
            State::WrongStatus
        } else {
            State::WrongBody
        }
    }
}

/// Whether each call of an endpoint starts work that goes on, and nobody chose it for load, where all of its inputs are wanted.
fn starts_jobs(surface: &Surface, endpoint: &Endpoint) -> bool {
    surface.jobs.iter().any(|job| job.submit == endpoint.name) && !surface.chosen.contains(&endpoint.name)
}

/// What an endpoint answered, the first time and again.
fn all_answers<'a>(run: &RunView<'a>, endpoint: &'a Endpoint) -> Vec<Answer<'a>> {
    run.of(NAME)
        .flat_map(|phase| answers(phase, &endpoint.name))
        .collect()
}

/// Whether a GET was answered with a stream of events that had not ended when we stopped waiting: a feed that one listens to.
fn is_endless(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    if endpoint.method != "GET" || endpoint.role == Role::Inference || endpoint.expect.stream.is_some() {
        return false;
    }
    run.of(NAME).any(|phase| {
        let index = phase.scenario(&endpoint.name);
        let mut own = phase.captures.iter().filter(|c| Some(c.scenario) == index);
        own.any(|captured| {
            (200..300).contains(&captured.status)
                && matches!(captured.outcome, Outcome::BodyTimeout | Outcome::Interrupted)
                && content_type(captured) == "text/event-stream"
        })
    })
}

/// Whether a method may change or delete what the target holds.
pub(crate) fn is_destructive(method: &str) -> bool {
    matches!(method, "DELETE" | "PUT" | "PATCH")
}

/// What came of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    WorksForSome,
    WorksAtTimes,
    Broken,
    WrongBody,
    WrongStatus,
    WrongType,
    Redirects,
    Absent,
    NoRequest,
    NeedsCredentials,
    RateLimited,
    NotReached,
    NotCalled,
    Endless,
}

impl State {
    fn works(self) -> bool {
        matches!(self, Self::Works | Self::WorksForSome | Self::WorksAtTimes)
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Works | Self::WorksForSome | Self::NotCalled | Self::Endless => Verdict::Pass,
            Self::WrongStatus | Self::WrongType | Self::Redirects | Self::Absent => Verdict::Warn,
            Self::NoRequest | Self::NeedsCredentials | Self::RateLimited | Self::NotReached => {
                Verdict::Inconclusive
            }
            Self::WorksAtTimes | Self::Broken | Self::WrongBody => Verdict::Fail,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::WorksForSome => "works for some inputs",
            Self::WorksAtTimes => "fails at times",
            Self::Broken => "fails",
            Self::WrongBody => "wrong answer",
            Self::WrongStatus => "unexpected status",
            Self::WrongType => "wrong content type",
            Self::Redirects => "redirects",
            Self::Absent => "not there",
            Self::NoRequest => "no valid request known",
            Self::NeedsCredentials => "needs credentials",
            Self::RateLimited => "rate limited",
            Self::NotReached => "not reached in time",
            Self::NotCalled => "not called: changes data",
            Self::Endless => "streams without an end",
        }
    }
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Health => 0,
        Role::Docs => 1,
        Role::Metrics => 2,
        Role::Status => 3,
        Role::Listing => 4,
        Role::Resource => 5,
        Role::Media => 6,
        Role::Tile => 7,
        Role::Inference => 8,
    }
}

fn is_broken(outcome: Outcome) -> bool {
    use prony_model::OutcomeClass::{Protocol, ServerError, Timeout, Transport};
    matches!(outcome.class(), Protocol | ServerError | Timeout | Transport)
        || matches!(outcome, Outcome::Status503 | Outcome::PlatformBusy)
}

/// Whether there is nothing that another request could have given.
fn takes_nothing(endpoint: &Endpoint) -> bool {
    needs_nothing(endpoint) && endpoint.parameters.is_empty()
}

/// Whether the request holds nothing that we had to make up.
fn needs_nothing(endpoint: &Endpoint) -> bool {
    endpoint.body_schema.is_none()
        && !endpoint.path.contains('{')
        && !endpoint.parameters.iter().any(|p| p.required)
        && endpoint.method == "GET"
}

fn has_wrong_type(endpoint: &Endpoint, answer: &Answer<'_>) -> bool {
    let (Some(wanted), Some(captured)) = (&endpoint.expect.content_type, answer.captured) else {
        return false;
    };
    endpoint.expect.accepts(captured.status) && !content_type(captured).starts_with(wanted.as_str())
}

fn purpose(role: Role) -> &'static str {
    match role {
        Role::Health => "health",
        Role::Status => "status",
        Role::Listing => "listing",
        Role::Inference => "inference",
        Role::Resource => "resource",
        Role::Media => "media",
        Role::Tile => "tile",
        Role::Metrics => "metrics",
        Role::Docs => "documents",
    }
}

fn statuses(seen: &[Answer<'_>]) -> String {
    let mut said: Vec<String> = Vec::new();
    for answer in seen {
        let text = match answer.sample.status {
            0 => answer.sample.outcome.name().to_owned(),
            status => status.to_string(),
        };
        if !said.contains(&text) {
            said.push(text);
        }
    }
    if said.is_empty() {
        "-".to_owned()
    } else {
        said.join(", ")
    }
}

fn row(endpoint: &Endpoint, seen: &[Answer<'_>], state: State) -> Vec<String> {
    let ok = seen.iter().filter(|a| a.is_ok()).count();
    let first = seen
        .first()
        .map_or_else(|| "-".to_owned(), |a| a.sample.service().to_string());
    vec![
        endpoint.name.clone(),
        purpose(endpoint.role).to_owned(),
        format!("{ok} of {}", seen.len()),
        statuses(seen),
        first,
        state.word().to_owned(),
        state.verdict().to_string(),
    ]
}

/// What discovery tells of what it found.
fn found_by(surface: &Surface) -> String {
    if surface.found_by.is_empty() {
        String::new()
    } else {
        format!(" What was found: {}.", surface.found_by.join("; "))
    }
}

fn summary(
    run: &RunView<'_>,
    rows: Vec<Vec<String>>,
    working: usize,
    findings: &[Finding],
    phase: &PhaseResult,
) -> Finding {
    let all = run.surface.endpoints.len();
    // What could not be tested is nothing that speaks against the target, though it is only advice elsewhere.
    let verdict = Verdict::worst(findings.iter().map(|finding| match finding.verdict {
        Verdict::Inconclusive => Verdict::Inconclusive,
        _ => finding.counted(),
    }));
    let requests: usize = run.of(NAME).map(|phase| phase.samples.len()).sum();
    let documents = found_by(run.surface);
    Draft::new(NAME, "coverage", "")
        .verdict(verdict, Severity::Info)
        .advisory()
        .title(format!("{working} of {all} endpoints answered correctly"))
        .detail(format!(
            "Each endpoint got its sample requests one at a time, {requests} in all, before anything was timed. Only \
             endpoints that answered correctly are measured further.{documents}"
        ))
        .table(
            "Endpoint coverage",
            &["Endpoint", "Purpose", "Correct", "Status", "First answer", "Result", "Verdict"],
            rows,
            &Source { phase: Some(phase.index), scenario: String::new() },
        )
        .done()
}

/// The finding with the flag that gives the credential which the document asks for.
fn with_credentials(surface: &Surface, endpoint: &Endpoint, state: State, mut finding: Finding) -> Finding {
    let kinds = surface
        .protected
        .get(&endpoint.name)
        .filter(|_| state == State::NeedsCredentials);
    let flags: Vec<String> = kinds.into_iter().flatten().map(flag).collect();
    if let Some(advice) = &mut finding.recommendation
        && !flags.is_empty()
    {
        advice.advice = format!("Give its credential: {}.", flags.join(", or "));
    }
    finding
}

/// How a credential of that kind is given.
fn flag(kind: &Protection) -> String {
    match kind {
        Protection::Authorization(scheme) if scheme.eq_ignore_ascii_case("bearer") => {
            "--bearer-env VARIABLE".to_owned()
        }
        Protection::Authorization(_) => "--header-env authorization=VARIABLE".to_owned(),
        Protection::Header(name) if name.eq_ignore_ascii_case("x-api-key") => {
            "--api-key-env VARIABLE".to_owned()
        }
        Protection::Header(name) => format!("--header-env {}=VARIABLE", bounded_to(name, 40)),
        Protection::Cookie(_) => "--header-env cookie=VARIABLE".to_owned(),
        Protection::Query(name) => format!("--query-env {}=VARIABLE", bounded_to(name, 40)),
    }
}

fn finding(endpoint: &Endpoint, seen: &[Answer<'_>], state: State, phase: &PhaseResult) -> Option<Finding> {
    let name = &endpoint.name;
    let bad = seen
        .iter()
        .filter(|a| !a.is_ok())
        .max_by_key(|a| is_broken(a.sample.outcome));
    let failed = seen.iter().filter(|a| !a.is_ok()).count();
    let n = seen.len();
    let status = statuses(seen);
    let (id, severity, title, advice) = match state {
        State::Works | State::NotCalled | State::Endless => return None,
        State::WorksForSome => (
            "some-inputs-refused",
            Severity::Info,
            format!("{failed} of {n} requests to {name} were refused, the others answered"),
            "Check whether these inputs should be served; if not, give valid ones in the suite.",
        ),
        State::WorksAtTimes => (
            "endpoint-fails",
            Severity::High,
            format!("{name} failed {failed} of {n} valid requests, one at a time and without load"),
            "Read the server's log at the time of these requests; inputs of the same kind must not differ in this.",
        ),
        State::Broken => (
            "endpoint-fails",
            Severity::High,
            format!("{name} gives no correct answer: {status}"),
            "Fix the endpoint before measuring it; a time of a failing endpoint means nothing.",
        ),
        State::WrongBody => (
            "endpoint-wrong-answer",
            Severity::High,
            format!("{name} answers with {status}, but the body fails its checks"),
            "Compare the answer with its documented form.",
        ),
        State::WrongStatus => (
            "undocumented-status",
            Severity::Low,
            format!("{name} answers with status {status}, which was not expected"),
            "Document the status, or answer with the documented one.",
        ),
        State::WrongType => (
            "wrong-content-type",
            Severity::Low,
            format!("{name} answers with another content type than expected"),
            "Send the content type that the document declares.",
        ),
        State::Redirects => (
            "endpoint-redirects",
            Severity::Low,
            format!("{name} answers with a redirect ({status})"),
            "Document the address that it redirects to.",
        ),
        State::Absent => (
            "endpoint-absent",
            Severity::Low,
            format!("{name} is documented, takes no input, and answers {status}"),
            "Remove it from the document, or make it answer.",
        ),
        State::NoRequest => (
            "no-valid-request",
            Severity::Low,
            format!("No valid request to {name} could be made, so it was not tested"),
            "Give a valid request for this endpoint in the suite.",
        ),
        State::NeedsCredentials => (
            "needs-credentials",
            Severity::Low,
            format!("{name} asks for credentials ({status}), so it was not tested"),
            "Give credentials by --bearer-env or --api-key-env.",
        ),
        State::RateLimited => (
            "rate-limited",
            Severity::Low,
            format!("{name} refused every request with 429, so it was not tested"),
            "Lift the limit for the test, or set --max-rate below it.",
        ),
        State::NotReached => (
            "not-reached",
            Severity::Low,
            format!("{name} was not reached before the time of the preflight was over"),
            "Raise `duration_s` of the coverage experiment.",
        ),
    };
    let mut draft = Draft::new(NAME, id, name)
        .verdict(state.verdict(), severity)
        .title(title)
        .advice(advice, "");
    if state.verdict() != Verdict::Fail {
        draft = draft.advisory();
    }
    if let Some(bad) = bad {
        draft = draft
            .detail(format!(
                "{failed} of {n} sample requests were not answered as expected. For example, {} {}.",
                crate::answer::bounded(&bad.request.label()),
                bad.sample.outcome.says()
            ))
            .quote("answer", &bad.message(), &source(phase, name));
    }
    Some(draft.done())
}

/// A correct answer whose status the document does not list.
fn undocumented(endpoint: &Endpoint, seen: &[Answer<'_>], phase: &PhaseResult) -> Option<Finding> {
    let declared = &endpoint.declared_statuses;
    if !declared.iter().any(|s| (200..400).contains(s)) {
        return None;
    }
    let odd = seen
        .iter()
        .find(|a| a.is_ok() && !declared.contains(&a.sample.status))?;
    Some(
        Draft::new(NAME, "undocumented-status", &endpoint.name)
            .verdict(Verdict::Warn, Severity::Low)
            .advisory()
            .title(format!(
                "{} answers with status {}, which its document does not list",
                endpoint.name, odd.sample.status
            ))
            .detail("Generated clients treat an undocumented status as an error.")
            .figure(
                "status",
                f64::from(odd.sample.status),
                "",
                seen.len(),
                &source(phase, &endpoint.name),
            )
            .advice("List the status in the document.", "")
            .done(),
    )
}

/// Good to know: nothing describes the endpoints. A model that is called by gRPC describes itself.
fn undescribed(surface: &Surface) -> Option<Finding> {
    let described = surface
        .endpoints
        .iter()
        .any(|e| (e.role == Role::Docs && e.path != "/") || e.is_call())
        || surface
            .found_by
            .iter()
            .any(|line| line.to_ascii_lowercase().contains("openapi"));
    (!described).then(|| {
        Draft::new(NAME, "no-documentation", "")
            .advisory()
            .title("The target publishes no description of its endpoints")
            .detail(
                "No OpenAPI document and no documentation page was found, so valid inputs had to be guessed.",
            )
            .advice("Serve an OpenAPI document.", "")
            .done()
    })
}

#[cfg(test)]
mod tests;
