//! What one answer to one bad request means.

use prony_model::{Captured, Outcome, OutcomeClass, PhaseResult};
use serde_json::Value;

use super::case::{Class, NegativeCase, Wanted};
use super::catalogue::{MARKUP, SPLIT_HEADER, TEMPLATE_RESULT, is_mangled, is_trace, is_user_list, leak};
use super::plan::{Plan, Sent};
use crate::answer::{Answer, answers, content_type};

/// Everything that came of one endpoint's cases.
pub(super) struct Judged<'a> {
    /// What was sent.
    pub plan: &'a Plan,
    /// The cases that were sent, with their attempts.
    pub tried: Vec<Tried<'a>>,
    /// The good request, each time that it was sent.
    pub good: Vec<Good<'a>>,
    /// Whether the last of them came after a pause in which nothing was sent.
    rested: bool,
}

/// A good request among bad ones.
pub(super) struct Good<'a> {
    /// What came of it.
    pub answer: Answer<'a>,
    /// The bad request that was sent last before it.
    pub after: Option<&'a NegativeCase>,
}

/// A case with its attempts: the first, then repeats if it failed.
pub(super) struct Tried<'a> {
    /// The case.
    pub case: &'a NegativeCase,
    /// At least one.
    pub attempts: Vec<Answer<'a>>,
    /// Whether a model writes the answers.
    generates: bool,
}

impl<'a> Judged<'a> {
    /// Joins the plan with its phases.
    pub(super) fn new(
        plan: &'a Plan,
        first: &'a PhaseResult,
        again: Option<&'a PhaseResult>,
        rest: Option<&'a PhaseResult>,
    ) -> Self {
        let before = plan.sent(&plan.first, first);
        let repeats = again
            .map(|phase| plan.sent(&plan.again, phase))
            .unwrap_or_default();
        let mut tried: Vec<Tried<'a>> = before
            .iter()
            .filter_map(|(sent, answer)| match sent {
                Sent::Case(k) => Some((*k, *answer)),
                Sent::Good => None,
            })
            .map(|(k, answer)| {
                let again = repeats.iter().filter(|(sent, _)| *sent == Sent::Case(k));
                Tried {
                    case: &plan.cases[k],
                    attempts: std::iter::once(answer).chain(again.map(|(_, a)| *a)).collect(),
                    generates: plan.generates,
                }
            })
            .collect();
        let mut good = Vec::new();
        let mut last = None;
        for (sent, answer) in before.iter().chain(&repeats) {
            match sent {
                Sent::Case(k) => last = Some(&plan.cases[*k]),
                Sent::Good => good.push(Good {
                    answer: *answer,
                    after: last,
                }),
            }
        }
        let after_rest = rest.and_then(|phase| answers(phase, &plan.endpoint).pop());
        let rested = after_rest.is_some();
        good.extend(after_rest.map(|answer| Good { answer, after: last }));
        // Where a good request is refused for want of room, so is a bad one: that says nothing about the input.
        if good.iter().any(|g: &Good<'_>| is_full(&g.answer)) {
            for one in &mut tried {
                one.attempts.retain(|attempt| !is_full(attempt));
            }
            tried.retain(|one| !one.attempts.is_empty());
        }
        Self {
            plan,
            tried,
            good,
            rested,
        }
    }

    /// The good requests whose failure bad input may have caused. A limit of any kind refuses good requests as well, and the second
    /// of something that can exist once is no failure; but what has no room even after a pause is not full, it is broken.
    pub(super) fn spoilt(&self) -> Vec<&Good<'a>> {
        let stays_full = self.rested && self.good.last().is_some_and(Good::is_full);
        self.good
            .iter()
            .filter(|g| g.failed() && !matches!(g.answer.sample.status, 409 | 429))
            .filter(|g| stays_full || !g.is_full())
            .collect()
    }

    /// Whether only a pause can tell: the last good request was refused for want of room, and not told to come back later still.
    pub(super) fn needs_rest(&self, pause_s: f64) -> bool {
        let last = self.good.last().filter(|g| g.is_full());
        last.is_some_and(|g| {
            let told = g.answer.captured.and_then(|c| c.header("retry-after"));
            told.is_none_or(|told| told.trim().parse::<f64>().is_ok_and(|s| s <= pause_s))
        })
    }
}

/// Whether an answer says that there is no room just now.
fn is_full(answer: &Answer<'_>) -> bool {
    matches!(
        answer.sample.outcome,
        Outcome::Status503
            | Outcome::PlatformBusy
            | Outcome::GrpcUnavailable
            | Outcome::GrpcResourceExhausted
    )
}

impl Good<'_> {
    fn is_full(&self) -> bool {
        is_full(&self.answer)
    }

    /// Whether it failed. After a very large request the target may close the connection, and the next request on it is lost.
    pub(super) fn failed(&self) -> bool {
        let closed = self.answer.sample.outcome.class() == OutcomeClass::Transport
            && self
                .after
                .is_some_and(|case| case.wanted == Wanted::HarmlessOrClosed);
        !self.answer.is_ok() && !closed
    }
}

impl<'a> Tried<'a> {
    /// The first attempt.
    pub(super) fn first(&self) -> &Answer<'a> {
        &self.attempts[0]
    }

    /// The failure that decides, how often it was seen, and in how many attempts.
    pub(super) fn failure(&self) -> Option<(Failure, usize)> {
        let kind = failure(self.case, self.first())?;
        let seen = self
            .attempts
            .iter()
            .filter(|a| failure(self.case, a).is_some())
            .count();
        Some((kind, seen))
    }

    /// Whether the document forbids it and it was answered by a success.
    pub(super) fn is_accepted(&self) -> bool {
        let is_good = (200..300).contains(&self.first().sample.status);
        match self.case.wanted {
            Wanted::Refused | Wanted::NotFound | Wanted::NotAllowed => is_good,
            Wanted::ToolError => {
                is_good
                    && self
                        .first()
                        .captured
                        .is_some_and(|c| tool_failed(c) == Some(false))
            }
            Wanted::Harmless | Wanted::HarmlessOrClosed | Wanted::Unauthorised => false,
        }
    }

    /// What an answer shows of a hostile text's effect.
    pub(super) fn effect(&self) -> Option<Effect> {
        let captured = self.first().captured?;
        let body = &captured.body;
        match self.case.class {
            Class::Markup if content_type(captured) == "text/html" && body.contains(MARKUP) => {
                Some(Effect::MarkupReflected)
            }
            // A model that is good at sums writes what a template engine would.
            Class::Injection if !self.generates && body.contains(TEMPLATE_RESULT) => {
                Some(Effect::TemplateRun)
            }
            Class::PathTraversal if is_user_list(body) => Some(Effect::FileRead),
            Class::Injection
                if leak(body, &self.case.request.path)
                    .is_some_and(|(what, _)| what == "a database error") =>
            {
                Some(Effect::SqlBroken)
            }
            Class::Unicode if captured.status < 300 && is_mangled(&texts(captured)) => Some(Effect::Mangled),
            Class::Credentials if (200..300).contains(&captured.status) => Some(Effect::Unguarded),
            Class::HeaderSplit if captured.header(SPLIT_HEADER).is_some() => Some(Effect::HeaderAdded),
            _ => None,
        }
    }

    /// What an error body gives away about the inside, with the text.
    pub(super) fn leaked(&self) -> Option<(&'static str, String)> {
        self.attempts
            .iter()
            .filter_map(|a| Some((a, a.captured?)))
            .find_map(|(answer, captured)| {
                let body = answer.request.body.to_bytes().unwrap_or_default();
                let sent = format!(
                    "{} {}",
                    percent_encoding::percent_decode_str(&answer.request.path).decode_utf8_lossy(),
                    String::from_utf8_lossy(&body)
                );
                if captured.status >= 400 {
                    return leak(&captured.body, &sent);
                }
                // Tools work on files of the machine they run on: a path is their business, a trace is not.
                let failed = self.case.wanted == Wanted::ToolError && tool_failed(captured) == Some(true);
                failed.then(|| leak(&captured.body, &sent).filter(|(what, _)| is_trace(what)))?
            })
    }
}

/// Whether a tool tells within a good status that it failed; `None` when its answer was not kept whole.
fn tool_failed(captured: &Captured) -> Option<bool> {
    (!captured.cut).then(|| {
        let answer = prony_model::json_in(captured.body.as_bytes());
        prony_model::rpc_failure(answer.as_ref()).is_some()
    })
}

/// What a hostile text did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    MarkupReflected,
    TemplateRun,
    FileRead,
    HeaderAdded,
    SqlBroken,
    Mangled,
    Unguarded,
}

/// The texts of an answer: those within JSON with their escapes undone, else the body.
fn texts(captured: &Captured) -> String {
    fn collect(value: &Value, into: &mut String) {
        match value {
            Value::String(text) => into.push_str(text),
            Value::Array(list) => list.iter().for_each(|v| collect(v, into)),
            Value::Object(map) => map.values().for_each(|v| collect(v, into)),
            _ => {}
        }
    }
    captured.json().map_or_else(
        || captured.body.clone(),
        |json| {
            let mut found = String::new();
            collect(&json, &mut found);
            found
        },
    )
}

/// A failure that no input may cause, in words that continue "is answered by" or "...".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// A server error with its status.
    ServerError(u16),
    /// No answer in time.
    Hang,
    /// The connection broke, or the answer was no HTTP.
    Broken(&'static str),
}

impl Failure {
    /// Continues "an over-long `id` ...".
    pub(super) fn says(&self) -> String {
        match self {
            Self::ServerError(status) => format!("is answered by {status}"),
            Self::Hang => "gets no answer in time".to_owned(),
            Self::Broken(says) => (*says).to_owned(),
        }
    }
}

/// Whether an answer to a bad request is a failure of the target.
pub(super) fn failure(case: &NegativeCase, answer: &Answer<'_>) -> Option<Failure> {
    let sample = answer.sample;
    let may_close = case.wanted == Wanted::HarmlessOrClosed;
    match sample.outcome.class() {
        OutcomeClass::Timeout if may_close && sample.outcome == Outcome::WriteTimeout => None,
        OutcomeClass::Timeout => Some(Failure::Hang),
        OutcomeClass::Transport if may_close => None,
        OutcomeClass::Transport | OutcomeClass::Protocol => Some(Failure::Broken(sample.outcome.says())),
        _ if sample.status == 501 && case.wanted == Wanted::NotAllowed => None,
        _ if sample.status >= 500 => Some(Failure::ServerError(sample.status)),
        _ => None,
    }
}
