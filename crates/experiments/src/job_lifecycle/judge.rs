//! What the watched jobs allow to say about their interface.

use prony_model::{Finding, Severity, Source, Verdict};

use crate::answer::{answers, bounded};
use crate::draft::{Draft, source};

use super::queue::Queue;
use super::state::{JobState, Stage};
use super::story::{Kind, Story};
use super::{NAME, Watched};

/// All findings about one interface, the overview first.
pub(super) fn findings(watched: &Watched<'_>) -> Vec<Finding> {
    let told = source(watched.last, "status");
    if watched.stories.iter().all(|s| s.states.is_empty()) {
        return vec![nothing_seen(watched)];
    }
    let mut found: Vec<Finding> = [
        stuck(watched, &told),
        unfinished(watched, &told),
        hidden_failures(watched, &told),
        wrong_counts(watched, &told),
        steps_back(watched, &told),
        cancelled(watched, &told),
        unknown(watched),
        good_jobs_fail(watched, &told),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.insert(0, overview(watched, &found, &told));
    found
}

fn nothing_seen(watched: &Watched<'_>) -> Finding {
    let submit = &watched.api.submit;
    let first = answers(watched.submitted, "jobs");
    let said = first
        .first()
        .map(crate::answer::Answer::message)
        .unwrap_or_default();
    Draft::new(NAME, "job-lifecycle", submit)
        .verdict(Verdict::Inconclusive, Severity::Medium)
        .advisory()
        .title(format!("No job of {submit} could be watched"))
        .detail("No submission brought an id with a status that could be asked for.")
        .figure(
            "submissions",
            first.len() as f64,
            "",
            first.len(),
            &source(watched.submitted, "jobs"),
        )
        .quote("answer", &said, &source(watched.submitted, "jobs"))
        .advice("Look at what a submission answers.", "")
        .done()
}

fn overview(watched: &Watched<'_>, found: &[Finding], told: &Source) -> Finding {
    let submit = &watched.api.submit;
    let n = watched.stories.len();
    let ended = watched.stories.iter().filter(|s| !s.is_open()).count();
    let verdict = Verdict::worst(found.iter().map(Finding::counted));
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let mut rows: Vec<Vec<String>> = watched
        .stories
        .iter()
        .chain(&watched.earlier)
        .map(|story| {
            let last = story.last().cloned().unwrap_or_default();
            vec![
                purpose(&story.kind).to_owned(),
                story.words().join(" > "),
                count(last.total),
                count(last.processed.or(last.succeeded)),
                count(last.failed),
                count(last.results),
                story.states.len().to_string(),
            ]
        })
        .collect();
    if let Some(status) = watched.refused {
        let refused = format!("refused at once with {status}");
        let mut row = vec!["one input names nothing".to_owned(), refused];
        row.resize(7, "-".to_owned());
        rows.push(row);
    }
    Draft::new(NAME, "job-lifecycle", submit)
        .verdict(verdict, Severity::Info)
        .advisory()
        .title(format!("{ended} of {n} jobs of {submit} came to an end"))
        .detail(format!(
            "A few jobs were started and asked for until they ended, for at most {:.0} s: some with good input, one with \
             an input that names nothing, one that was cancelled at once.",
            watched.span_s.max(1.0)
        ))
        .table(
            "Lives of jobs",
            &["Job", "Status", "Items", "Processed", "Failed", "Results", "Looks"],
            rows,
            told,
        )
        .done()
}

fn purpose(kind: &Kind) -> &'static str {
    match kind {
        Kind::Good => "good input",
        Kind::Bad(_) => "one input names nothing",
        Kind::Cancelled => "cancelled at once",
        Kind::Earlier => "started before, by another experiment",
    }
}

/// Jobs that nobody cancelled and that never began, unless they may have waited for their turn.
fn stuck(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let kept: Vec<&Story> = watched
        .stories
        .iter()
        .filter(|s| s.kind != Kind::Cancelled)
        .collect();
    let stuck: Vec<&&Story> = kept.iter().filter(|s| s.never_began()).collect();
    let first = stuck.first()?;
    let others = match Queue::of(watched) {
        Queue::Moves => return None,
        Queue::Idle => " Others that were started with them had ended long before.".to_owned(),
        Queue::Still => match watched.earlier.len() {
            0 => String::new(),
            n => format!(" Of {n} that this run had started before, none began either."),
        },
    };
    let word = &first.last()?.word;
    let looks: usize = stuck.iter().map(|s| s.states.len()).sum();
    let all = stuck.len() == kept.len();
    let title = if all {
        format!(
            "Jobs of {submit} never begin: {} stayed `{word}` for {:.0} s",
            if stuck.len() == 1 {
                "the one started".to_owned()
            } else {
                format!("all {}", stuck.len())
            },
            watched.span_s
        )
    } else {
        format!(
            "{} of {} jobs of {submit} never began: they stayed `{word}` for {:.0} s",
            stuck.len(),
            kept.len(),
            watched.span_s
        )
    };
    Some(
        Draft::new(NAME, "job-stuck", submit)
            .verdict(Verdict::Fail, Severity::High)
            .title(title)
            .detail(format!(
                "{looks} looks at {} jobs saw no other status than `{word}`, while nothing else was asked of the target.{others} \
                 The submission is answered with success, so a client waits for a result that never comes. A queue that is \
                 longer than this run would look the same: raise `wait_s` of the experiment if that is usual here.",
                stuck.len()
            ))
            .figure("jobs that never began", stuck.len() as f64, "", kept.len(), told)
            .figure("time watched", watched.span_s, "s", looks, told)
            .quote("last answer", &first.quote, told)
            .advice(
                "Check that something takes jobs from the queue, and end those that wait too long as failed.",
                "The time of a submission says nothing about the time of the work.",
            )
            .done(),
    )
}

/// Jobs that began, or may have waited for their turn, and did not end while they were watched: no defect by itself.
fn unfinished(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let moves = Queue::of(watched) == Queue::Moves;
    let waits = |s: &Story| s.never_began() && s.kind != Kind::Cancelled;
    let open: Vec<&Story> = watched
        .stories
        .iter()
        .filter(|s| s.is_open() && !s.states.is_empty())
        .filter(|s| !s.never_began() || (moves && waits(s)))
        .collect();
    let first = open.first()?;
    let waiting = open.iter().filter(|s| waits(s)).count();
    let why = if waiting == 0 {
        String::new()
    } else {
        format!(
            " {waiting} of them had not begun: the queue works on jobs that this run started, and these may have waited for their \
             turn. Whether they would ever begin was not seen."
        )
    };
    Some(
        Draft::new(NAME, "job-unfinished", submit)
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "{} of {} jobs of {submit} had not ended after {:.0} s",
                open.len(),
                watched.stories.len(),
                watched.span_s
            ))
            .detail(format!(
                "The last status was `{}`. How such jobs end was not seen.{why}",
                first.last().map_or("", |s| &s.word)
            ))
            .figure(
                "jobs that had not ended",
                open.len() as f64,
                "",
                watched.stories.len(),
                told,
            )
            .quote("last answer", &first.quote, told)
            .advice("Raise `wait_s` of the job-lifecycle experiment.", "")
            .done(),
    )
}

/// A job with an input that names nothing ended well and says nothing of it.
fn hidden_failures(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let (story, bad) = watched.stories.iter().find_map(|s| match &s.kind {
        Kind::Bad(bad) => Some((s, bad)),
        Kind::Good | Kind::Cancelled | Kind::Earlier => None,
    })?;
    let last = story.last()?;
    if last.stage != Some(Stage::Done) || last.tells_failure {
        return None;
    }
    let processed = match (last.processed, last.total) {
        (Some(processed), Some(total)) => format!(" It counts {processed} of {total} items as processed."),
        _ => String::new(),
    };
    Some(
        Draft::new(NAME, "job-hides-failures", submit)
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "A job of {submit} with an input that does not exist ends as `{}` and tells of no failure",
                last.word
            ))
            .detail(format!(
                "One of its inputs, {}, names nothing on the target, so it cannot have been worked on. The job was taken, \
                 ended as `{}`, and no count, list or message in its answer says that anything failed.{processed}",
                bounded(bad),
                last.word
            ))
            .figure("failed items that it tells", last.failed.unwrap_or(0) as f64, "", 1, told)
            .quote("last answer", &story.quote, told)
            .advice(
                "Count what failed, name it, and do not call the job completed.",
                "Whoever trusts the status loses data without knowing.",
            )
            .done(),
    )
}

/// Counts of an ended job that do not add up.
fn wrong_counts(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let (story, why) = watched.stories.iter().find_map(|s| Some((s, off(s.last()?)?)))?;
    Some(
        Draft::new(NAME, "job-counts-wrong", submit)
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!("The counts of a job of {submit} do not add up: {why}"))
            .detail(format!(
                "The job ({}) had ended as `{}`. Every item must be counted once, as done or as failed.",
                purpose(&story.kind),
                story.last()?.word
            ))
            .figure(
                "items in all",
                story.last()?.total.unwrap_or(0) as f64,
                "",
                1,
                told,
            )
            .quote("last answer", &story.quote, told)
            .advice("Count each item once when it ends, whatever its end.", "")
            .done(),
    )
}

/// What does not add up in the last answer about a job that came to its own end.
fn off(last: &JobState) -> Option<String> {
    if !matches!(last.stage, Some(Stage::Done | Stage::Failed)) {
        return None;
    }
    let total = last.total?;
    let failed = last.failed.unwrap_or(0);
    if let Some(succeeded) = last.succeeded
        && last.failed.is_some()
        && succeeded + failed != total
    {
        return Some(format!("{succeeded} done and {failed} failed of {total}"));
    }
    if last.stage != Some(Stage::Done) {
        return None;
    }
    if let Some(processed) = last.processed
        && processed != total
    {
        return Some(format!("completed with {processed} of {total} processed"));
    }
    match last.results {
        Some(results) if results > 0 && results + failed < total => {
            Some(format!("{results} results and {failed} failures of {total}"))
        }
        _ => None,
    }
}

/// A job that went back in its life.
fn steps_back(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let (story, step) = watched.stories.iter().find_map(|s| Some((s, s.step_back()?)))?;
    Some(
        Draft::new(NAME, "job-goes-back", submit)
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("A job of {submit} went back {step}"))
            .detail(format!(
                "It was asked {} times, one after another.",
                story.states.len()
            ))
            .figure("looks", story.states.len() as f64, "", story.states.len(), told)
            .quote("last answer", &story.quote, told)
            .advice(
                "Let status and progress only go forward, and an end be final.",
                "",
            )
            .done(),
    )
}

/// A job that was told to stop, with success, and went on.
fn cancelled(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let phase = watched.cancel?;
    let answers = answers(phase, "jobs");
    let answer = answers.first()?;
    let story = watched.stories.iter().find(|s| s.kind == Kind::Cancelled)?;
    let status = answer.sample.status;
    let at = source(phase, "jobs");
    let draft = |id: &str, title: String| {
        Draft::new(NAME, id, submit)
            .verdict(Verdict::Warn, Severity::Medium)
            .title(title)
            .figure("status of the answer to cancel", f64::from(status), "", 1, &at)
    };
    if status >= 500 || matches!(status, 404 | 405) {
        let title = format!("Cancelling a job of {submit} is answered with {status}");
        return Some(
            draft("job-cancel-fails", title)
                .detail("The job had just been started, and the document offers the cancel.")
                .quote("answer", &answer.message(), &at)
                .advice(
                    "Let a job be cancelled until it has ended, and answer 409 after that.",
                    "",
                )
                .done(),
        );
    }
    // The first state is that of the submission, before the cancel.
    let went_on = story.is_open() && story.states.len() > 1;
    if (200..300).contains(&status) && went_on {
        let word = &story.last()?.word;
        let title = format!("A job of {submit} is still `{word}` after it was cancelled with success");
        return Some(
            draft("job-cancel-ignored", title)
                .detail(format!(
                    "It was watched for {:.0} s after the cancel was answered with {status}.",
                    watched.span_s
                ))
                .quote("last answer", &story.quote, told)
                .advice("End the job, or refuse the cancel.", "")
                .done(),
        );
    }
    None
}

/// An id that nobody gave.
fn unknown(watched: &Watched<'_>) -> Option<Finding> {
    let phase = watched.unknown?;
    let answers = answers(phase, "jobs");
    let answer = answers.first()?;
    let status = answer.sample.status;
    if status == 0 || (400..500).contains(&status) {
        return None;
    }
    let path = &watched.api.status;
    let at = source(phase, "jobs");
    Some(
        Draft::new(NAME, "job-unknown-id", &watched.api.submit)
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "GET {path} answers {status} for a job that does not exist"
            ))
            .detail("The id was well formed and given to nobody.")
            .figure("status", f64::from(status), "", 1, &at)
            .quote("answer", &answer.message(), &at)
            .advice("Answer 404.", "")
            .done(),
    )
}

/// Jobs whose input was answered well before end as failed.
fn good_jobs_fail(watched: &Watched<'_>, told: &Source) -> Option<Finding> {
    let submit = &watched.api.submit;
    let good: Vec<&Story> = watched.stories.iter().filter(|s| s.kind == Kind::Good).collect();
    let failed = |s: &&&Story| s.last().and_then(|l| l.stage) == Some(Stage::Failed);
    let first = good.iter().find(failed)?;
    let n = good.iter().filter(failed).count();
    Some(
        Draft::new(NAME, "job-fails", submit)
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "{n} of {} jobs of {submit} with valid input failed",
                good.len()
            ))
            .detail("Whether the input could be worked on, only the target knows; its request was taken.")
            .figure("jobs that failed", n as f64, "", good.len(), told)
            .quote("last answer", &first.quote, told)
            .advice(
                "Read why they failed, and give valid input in the suite if it was not.",
                "",
            )
            .done(),
    )
}
