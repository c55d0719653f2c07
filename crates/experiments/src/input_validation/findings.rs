//! Findings from judged cases: one for each bucket of endpoint, class and failure, and the table of all.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};

use super::case::{Class, Wanted};
use super::clients::Clients;
use super::generate::thousands;
use super::judge::{Effect, Failure, Judged, Tried};
use super::{NAME, NO_ENDPOINT};
use crate::RunView;
use crate::answer::{Answer, bounded_to};
use crate::draft::{Draft, source};

/// Rows of the table of cases.
const ROWS_MAX: usize = 60;
/// Share of answers that ask for credentials or patience above which nothing was tested.
const MASKED_MAX: f64 = 0.5;

/// All findings, the overview first. The gaps are what the target's own endpoints add to what is not tested.
pub(super) fn findings(
    judged: &[Judged<'_>],
    clients: &Clients,
    gaps: &[&str],
    run: &RunView<'_>,
    phase: &PhaseResult,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for endpoint in judged {
        found.extend(failures(endpoint, phase));
        found.extend(accepted(endpoint, phase));
        found.extend(effects(endpoint, phase));
        found.extend(leaks(endpoint, phase));
        found.extend(broken(endpoint, phase));
    }
    found.extend(clients.findings(judged, run));
    found.extend(masked(judged, phase));
    found.extend(remarks(judged, run, phase));
    let not_tested = clients.not_tested(gaps);
    found.insert(0, overview(judged, &found, clients, &not_tested, phase));
    found
}

/// Where a finding belongs: the endpoint, or the target as a whole.
fn place<'a>(judged: &'a Judged<'_>) -> &'a str {
    if judged.plan.endpoint == NO_ENDPOINT {
        ""
    } else {
        &judged.plan.endpoint
    }
}

/// Server errors, hangs and cut connections, one finding for each class and kind.
fn failures(judged: &Judged<'_>, phase: &PhaseResult) -> Vec<Finding> {
    let mut buckets: BTreeMap<(Class, Failure), Vec<(&Tried<'_>, usize)>> = BTreeMap::new();
    for tried in &judged.tried {
        if let Some((failure, seen)) = tried.failure() {
            buckets
                .entry((tried.case.class, failure))
                .or_default()
                .push((tried, seen));
        }
    }
    let here = source(phase, &judged.plan.endpoint);
    buckets
        .into_iter()
        .map(|((class, failure), cases)| {
            let (worst, seen) = cases.iter().max_by_key(|(_, seen)| *seen).expect("a bucket holds a case");
            let sent = worst.attempts.len();
            let certain = *seen >= 2;
            let severity = match failure {
                Failure::ServerError(_) => Severity::Medium,
                Failure::Hang | Failure::Broken(_) => Severity::High,
            };
            let at = if place(judged).is_empty() { String::new() } else { format!(" at {}", judged.plan.endpoint) };
            let also: Vec<&str> =
                cases.iter().map(|(t, _)| t.case.name.as_str()).filter(|n| *n != worst.case.name).take(5).collect();
            let also = if also.is_empty() { String::new() } else { format!(" The same goes for {}.", also.join(", ")) };
            let draft = Draft::new(NAME, "server-error-on-input", place(judged))
                .title(capital(&format!("{} {}{at}", worst.case.name, failure.says())))
                .figure("failed attempts", *seen as f64, "", sent, &here)
                .quote("request", &worst.case.request.label(), &here)
                .quote("answer", &worst.first().message(), &here)
                .advice(
                    if worst.case.wanted == Wanted::ToolError {
                        "Check this argument first and answer with an error of the tool (`isError`)."
                    } else {
                        "Check this input before it is used and answer with 400 or 422."
                    },
                    "A server error tells the client to try again and hides real failures among bad requests.",
                );
            if certain {
                draft
                    .verdict(Verdict::Fail, severity)
                    .detail(format!(
                        "It happened in {seen} of {sent} attempts; a good request was answered before. Expected was \
                         {} ({}).{also}",
                        worst.case.wanted.label(),
                        class.label()
                    ))
                    .done()
            } else {
                draft
                    .verdict(Verdict::Warn, Severity::Medium)
                    .advisory()
                    .detail(format!(
                        "It happened in {seen} of {sent} attempts, so it may be chance and not the input.{also}"
                    ))
                    .done()
            }
        })
        .collect()
}

/// Input that the document forbids and the target takes.
fn accepted(judged: &Judged<'_>, phase: &PhaseResult) -> Vec<Finding> {
    let mut buckets: BTreeMap<(Class, u16), Vec<&Tried<'_>>> = BTreeMap::new();
    for tried in judged.tried.iter().filter(|t| t.is_accepted()) {
        buckets
            .entry((tried.case.class, tried.first().sample.status))
            .or_default()
            .push(tried);
    }
    let here = source(phase, &judged.plan.endpoint);
    buckets
        .into_iter()
        .map(|((class, status), cases)| {
            let names: Vec<&str> = cases.iter().map(|t| t.case.name.as_str()).collect();
            let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(3);
            let more = if more == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            let forbids = match cases[0].case.wanted {
                Wanted::NotFound => "Nothing of that name can exist.",
                Wanted::NotAllowed => "The document does not declare it: either it is incomplete, or something else answers there.",
                Wanted::ToolError => "The tool's own schema forbids it.",
                _ => "The document forbids it.",
            };
            let advice = if class == Class::WrongMethod {
                "Answer 405 with Allow, or declare the method."
            } else if cases[0].case.wanted == Wanted::ToolError {
                "Refuse it with an error of the tool, or correct its schema."
            } else {
                "Refuse it with 422 or 404, or correct the document."
            };
            Draft::new(NAME, "bad-input-accepted", place(judged))
                .verdict(Verdict::Warn, Severity::Low)
                .advisory()
                .title(format!(
                    "{} answers {status} to {shown}{more}",
                    judged.plan.endpoint
                ))
                .detail(format!(
                    "{forbids} A client that makes this mistake will not notice it."
                ))
                .figure(
                    "bad requests taken",
                    cases.len() as f64,
                    "",
                    judged.tried.len(),
                    &here,
                )
                .quote("kind of bad input", class.kind(), &here)
                .quote("request", &cases[0].case.request.label(), &here)
                .quote("answer", &cases[0].first().message(), &here)
                .advice(advice, "")
                .done()
        })
        .collect()
}

fn effects(judged: &Judged<'_>, phase: &PhaseResult) -> Vec<Finding> {
    let here = source(phase, &judged.plan.endpoint);
    let mut seen: Vec<Effect> = Vec::new();
    let mut found = Vec::new();
    for tried in &judged.tried {
        let Some(effect) = tried.effect().filter(|e| !seen.contains(e)) else {
            continue;
        };
        seen.push(effect);
        let (id, severity, what, advice) = match effect {
            Effect::MarkupReflected => (
                "reflected-markup",
                Severity::High,
                "comes back in an HTML page without escaping",
                "Escape what comes from a request, or answer in JSON.",
            ),
            Effect::TemplateRun => (
                "text-was-executed",
                Severity::Critical,
                "is computed by a template engine",
                "Never build a template from input; pass it as a value.",
            ),
            Effect::FileRead => (
                "text-was-executed",
                Severity::Critical,
                "returns a file of the host",
                "Resolve the path and refuse what lies outside the data folder.",
            ),
            Effect::SqlBroken => (
                "database-error",
                Severity::High,
                "comes back as an error of the database",
                "Pass input to the database as a parameter, never as a part of the statement.",
            ),
            Effect::Mangled => (
                "mangled-text",
                Severity::Medium,
                "come back as other characters",
                "Read and write UTF-8 throughout.",
            ),
            Effect::Unguarded => (
                "credentials-not-checked",
                Severity::Critical,
                "are accepted",
                "Check the credentials before anything else; answer 401.",
            ),
            Effect::HeaderAdded => (
                "text-was-executed",
                Severity::High,
                "adds a header to the answer",
                "Remove line breaks from what goes into headers.",
            ),
        };
        let draft = Draft::new(NAME, id, place(judged))
            .verdict(Verdict::Fail, severity)
            .title(capital(&format!(
                "{} {what} at {}",
                tried.case.name, judged.plan.endpoint
            )))
            .detail(match effect {
                Effect::Unguarded => "The document asks for credentials at this endpoint, and a request without valid ones was answered.",
                _ => "The text was ours and its effect cannot be chance: it holds a mark that nothing else has.",
            })
            .quote("request", &tried.case.request.label(), &here)
            .advice(advice, "");
        found.push(match effect {
            Effect::FileRead => draft.done(),
            _ => draft
                .quote("answer", tried.first().captured.map_or("", |c| &c.body), &here)
                .done(),
        });
    }
    found
}

fn leaks(judged: &Judged<'_>, phase: &PhaseResult) -> Vec<Finding> {
    let here = source(phase, &judged.plan.endpoint);
    let mut seen = BTreeSet::new();
    judged
        .tried
        .iter()
        .filter_map(|tried| {
            let (what, text) = tried.leaked().filter(|(what, _)| seen.insert(*what))?;
            Some(
                Draft::new(NAME, "leaks-internals", place(judged))
                    .verdict(Verdict::Fail, Severity::Medium)
                    .title(format!(
                        "An error answer of {} shows {what}",
                        judged.plan.endpoint
                    ))
                    .detail(format!("It came in answer to {}.", tried.case.name))
                    .quote("from the answer", &text, &here)
                    .advice("Log the details and answer with a short message and an id.", "")
                    .done(),
            )
        })
        .collect()
}

/// A good request that fails after the bad ones.
fn broken(judged: &Judged<'_>, phase: &PhaseResult) -> Option<Finding> {
    let spoilt = judged.spoilt();
    let bad = *spoilt.first()?;
    let last = judged.good.last();
    let stays = spoilt
        .last()
        .zip(last)
        .is_some_and(|(spoilt, last)| std::ptr::eq(*spoilt, last));
    let here = source(phase, &judged.plan.endpoint);
    let n = judged.good.len();
    let failed = spoilt.len();
    let after = bad.after.map_or("bad input", |case| case.name.as_str());
    let draft = Draft::new(NAME, "broken-by-input", place(judged))
        .figure(
            "good requests that failed afterwards",
            failed as f64,
            "",
            n,
            &here,
        )
        .quote("answer", &bad.answer.message(), &here)
        .advice(
            "Find out which input left the target in this state; a restart is no remedy.",
            "",
        );
    let detail = format!(
        "The request that was answered correctly before {}. It failed {failed} of {n} times among bad requests, the first time \
         after {after}.",
        bad.answer.sample.outcome.says()
    );
    Some(if stays || failed >= 2 {
        draft
            .verdict(
                Verdict::Fail,
                if stays { Severity::Critical } else { Severity::High },
            )
            .title(format!(
                "After bad input {} no longer answers a good request",
                judged.plan.endpoint
            ))
            .detail(detail)
            .done()
    } else {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .advisory()
            .title(format!(
                "After {after} a good request to {} failed once",
                judged.plan.endpoint
            ))
            .detail(format!("{detail} It may be chance and not the input."))
            .done()
    })
}

/// So many refusals for other reasons that the input was never looked at.
fn masked(judged: &[Judged<'_>], phase: &PhaseResult) -> Option<Finding> {
    let all: Vec<&Answer<'_>> = judged
        .iter()
        .flat_map(|j| j.tried.iter().map(Tried::first))
        .collect();
    let masked = all
        .iter()
        .filter(|a| matches!(a.sample.status, 401 | 403 | 429))
        .count();
    if all.is_empty() || (masked as f64) < MASKED_MAX * all.len() as f64 {
        return None;
    }
    let here = Source {
        phase: Some(phase.index),
        scenario: String::new(),
    };
    Some(
        Draft::new(NAME, "input-validation-masked", "")
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "{masked} of {} bad requests were refused with 401, 403 or 429",
                all.len()
            ))
            .detail("Their input was probably never looked at, so nothing follows about input validation.")
            .figure("refused for another reason", masked as f64, "", all.len(), &here)
            .advice("Give credentials, or lift the rate limit for the test.", "")
            .done(),
    )
}

/// What is good to know and no fault.
fn remarks(judged: &[Judged<'_>], run: &RunView<'_>, phase: &PhaseResult) -> Vec<Finding> {
    let here = Source {
        phase: Some(phase.index),
        scenario: String::new(),
    };
    let taken = |class: Class| -> Vec<&str> {
        let took = |j: &&Judged<'_>| {
            j.tried
                .iter()
                .any(|t| t.case.class == class && (200..300).contains(&t.first().sample.status))
        };
        judged
            .iter()
            .filter(took)
            .map(|j| j.plan.endpoint.as_str())
            .collect()
    };
    let remark = |id: &str, title: String, detail: &str, endpoints: &[&str]| {
        let rows = endpoints.iter().map(|e| vec![(*e).to_owned()]).collect();
        Draft::new(NAME, id, "")
            .advisory()
            .title(title)
            .detail(detail)
            .table("Where", &["Endpoint"], rows, &here)
            .done()
    };
    let mut found = Vec::new();
    let ignoring = taken(Class::UnknownField);
    if !ignoring.is_empty() {
        found.push(remark(
            "unknown-field-ignored",
            format!("Unknown fields are ignored by {} endpoints", ignoring.len()),
            &format!(
                "That is common, and lets a misspelt optional field pass unnoticed: {}.",
                ignoring.iter().copied().take(4).collect::<Vec<_>>().join(", ")
            ),
            &ignoring,
        ));
    }
    if !taken(Class::UnknownPath).is_empty() {
        found.push(remark(
            "unknown-path-answered",
            "A path that does not exist is answered with success".to_owned(),
            "A misspelt path will not be noticed by a client that looks at the status alone.",
            &[NO_ENDPOINT],
        ));
    }
    let undeclared: BTreeSet<(&str, u16)> = judged
        .iter()
        .filter_map(|j| {
            Some((
                j,
                run.surface.endpoints.iter().find(|e| e.name == j.plan.endpoint)?,
            ))
        })
        .filter(|(_, e)| e.declared_statuses.iter().any(|s| (400..500).contains(s)))
        .flat_map(|(j, e)| {
            j.tried
                .iter()
                .filter(|t| t.case.class != Class::WrongMethod)
                .map(|t| t.first().sample.status)
                .filter(|s| (400..500).contains(s) && !e.declared_statuses.contains(s))
                .map(|s| (j.plan.endpoint.as_str(), s))
        })
        .collect();
    if !undeclared.is_empty() {
        let rows = undeclared
            .iter()
            .map(|(e, s)| vec![(*e).to_owned(), s.to_string()])
            .collect();
        found.push(
            Draft::new(NAME, "undocumented-error-status", "")
                .advisory()
                .title(format!(
                    "{} error statuses are not in the document",
                    undeclared.len()
                ))
                .detail("Generated clients do not expect them.")
                .table(
                    "Undocumented error statuses",
                    &["Endpoint", "Status"],
                    rows,
                    &here,
                )
                .done(),
        );
    }
    found
}

fn overview(
    judged: &[Judged<'_>],
    found: &[Finding],
    clients: &Clients,
    not_tested: &str,
    phase: &PhaseResult,
) -> Finding {
    let all: Vec<(&Judged<'_>, &Tried<'_>)> = judged
        .iter()
        .flat_map(|j| j.tried.iter().map(move |t| (j, t)))
        .collect();
    let planned: usize = judged.iter().map(|j| j.plan.cases.len()).sum();
    let kinds: BTreeSet<&str> = all
        .iter()
        .map(|(_, t)| t.case.class.kind())
        .chain(clients.kinds())
        .collect();
    let good: usize = judged.iter().map(|j| j.good.len()).sum();
    let failed = all.iter().filter(|(_, t)| t.failure().is_some()).count();
    let accepted = all.iter().filter(|(_, t)| t.is_accepted()).count();
    let fine = all.len() - failed - accepted;
    let here = Source {
        phase: Some(phase.index),
        scenario: String::new(),
    };
    let cut = if all.len() < planned {
        format!(
            " {} of {} planned requests were not sent before the time was over, or met a target that refused good ones, too.",
            planned - all.len(),
            planned
        )
    } else {
        String::new()
    };
    let mut shown: Vec<&(&Judged<'_>, &Tried<'_>)> = all.iter().collect();
    let mut per_class: BTreeMap<Class, usize> = BTreeMap::new();
    shown.sort_by_cached_key(|(_, t)| {
        let rank = per_class.entry(t.case.class).or_default();
        *rank += 1;
        (std::cmp::Reverse(verdict(t)), *rank, t.case.class)
    });
    let hidden = shown.len().saturating_sub(ROWS_MAX);
    let label = if hidden == 0 {
        "Edge cases".to_owned()
    } else {
        format!(
            "Edge cases ({ROWS_MAX} of {}, those with a complaint first)",
            thousands(shown.len())
        )
    };
    let rows = shown.iter().take(ROWS_MAX).map(|(j, t)| row(j, t)).collect();
    let worst = Verdict::worst(found.iter().map(Finding::counted));
    Draft::new(NAME, "input-validation", "")
        .verdict(if all.is_empty() { Verdict::Inconclusive } else { worst }, Severity::Info)
        .advisory()
        .title(format!(
            "{} bad inputs in {} classes: {fine} handled properly, {accepted} accepted silently{}, {failed} failed{}",
            all.len(),
            kinds.len(),
            examples(&all, |t| t.failure().is_none() && t.is_accepted()),
            examples(&all, |t| t.failure().is_some()),
        ))
        .detail(format!(
            "Each differs from a request that was answered correctly in one thing. Those that failed were sent {} \
             times, and {good} good requests were sent in between.{cut} {not_tested}",
            super::REPEATS + 1
        ))
        .figure("bad requests", all.len() as f64, "", all.len(), &here)
        .figure("handled properly", fine as f64, "", all.len(), &here)
        .table(&label, &["Case", "Endpoint", "Expected", "Actual", "Verdict"], rows, &here)
        .done()
}

/// The first two of their kind, in brackets.
fn examples(all: &[(&Judged<'_>, &Tried<'_>)], wanted: impl Fn(&Tried<'_>) -> bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (_, tried) in all.iter().filter(|(_, t)| wanted(t)) {
        if !names.contains(&tried.case.name.as_str()) {
            names.push(&tried.case.name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > 2 { ", ..." } else { "" };
    names.truncate(2);
    format!(" ({}{more})", names.join(", "))
}

fn verdict(tried: &Tried<'_>) -> Verdict {
    match tried.failure() {
        Some((_, seen)) if seen >= 2 => Verdict::Fail,
        _ if tried.effect().is_some() => Verdict::Fail,
        Some(_) => Verdict::Warn,
        None if tried.is_accepted() => Verdict::Warn,
        None => Verdict::Pass,
    }
}

fn row(judged: &Judged<'_>, tried: &Tried<'_>) -> Vec<String> {
    let answer = tried.first();
    let status = if answer.sample.status == 0 {
        answer.sample.outcome.name().to_owned()
    } else {
        answer.sample.status.to_string()
    };
    vec![
        capital(&tried.case.name),
        judged.plan.endpoint.clone(),
        tried.case.wanted.label().to_owned(),
        format!("{status}: {}", bounded_to(&answer.message(), 100)),
        verdict(tried).to_string(),
    ]
}

/// With a capital letter at the start.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
