//! A line of requests that came at once: how long each was at work, how long it waited, and which were given up because their turn
//! did not come in time. Each worker does one thing after another, so the time between the ends of its answers is the work.

use std::collections::BTreeMap;

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::{mean, median};

use super::{LINE, NAME, header, named_ends};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::primary::solo_ms;
use crate::timings::{Tally, Timings};
use crate::wording::{OUTCOME_COLUMNS, digits, ms, resting_on};

/// Ends after another on one worker that are needed to know the time of the work.
const GAPS_MIN: usize = 4;
/// Ends on one worker that follow one another faster than this part of a request alone are those of several at once.
const ALONE_MIN: f64 = 0.6;
/// Given up by a deadline: all of them within so much of their median, which is so many times the work.
const SAME_WAIT: f64 = 0.25;
const WAIT_MIN: f64 = 1.5;
/// The model explains what was served when it is off by no more than so many requests, or such a share.
const OFF_MAX: f64 = 2.0;
const OFF_SHARE: f64 = 0.15;
/// A wait of so many times the work that no answer tells of makes a queue look like a slow service.
const FAR: f64 = 3.0;
/// Share of the answers that must tell how long they waited, and how far off that may be, in times of the work.
const TOLD_MIN: f64 = 0.9;
const TOLD_OFF: f64 = 0.5;

/// What the line shows. Times in s since it began.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    /// Time of one request at work.
    work_s: f64,
    /// How many such times it rests on.
    gaps: usize,
    /// By worker: when it could begin, how many it answered, and its last end.
    workers: Vec<(String, f64, usize, f64)>,
    /// What each answered request waited before its work began, ascending.
    waits_s: Vec<f64>,
}

impl Line {
    fn of(ends: &[(&str, f64)]) -> Option<Self> {
        let mut by_worker: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (worker, end) in ends {
            by_worker.entry(worker).or_default().push(*end);
        }
        let mut gaps: Vec<f64> = by_worker
            .values()
            .flat_map(|ends| ends.windows(2).map(|pair| pair[1] - pair[0]))
            .collect();
        if gaps.len() < GAPS_MIN {
            return None;
        }
        let work_s = median(&mut gaps);
        let mut workers: Vec<(String, f64, usize, f64)> = by_worker
            .iter()
            .map(|(name, ends)| {
                let begins = (ends[0] - work_s).max(0.0);
                ((*name).to_owned(), begins, ends.len(), ends[ends.len() - 1])
            })
            .collect();
        workers.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut waits_s: Vec<f64> = ends.iter().map(|(_, end)| (end - work_s).max(0.0)).collect();
        waits_s.sort_unstable_by(f64::total_cmp);
        Some(Self {
            work_s,
            gaps: gaps.len(),
            workers,
            waits_s,
        })
    }

    /// How many these workers can begin until the deadline: each (T - start) / work, and one more.
    fn in_time(&self, deadline_s: f64) -> f64 {
        self.workers
            .iter()
            .filter(|worker| worker.1 <= deadline_s)
            .map(|worker| ((deadline_s - worker.1) / self.work_s).floor() + 1.0)
            .sum()
    }

    /// Whether that is what was answered, more or less.
    fn explains(&self, served: usize, deadline_s: f64) -> bool {
        let off = (self.in_time(deadline_s) - served as f64).abs();
        off <= OFF_MAX.max(OFF_SHARE * served as f64)
    }

    /// Whether its workers do one thing after another, as everything here supposes: ends follow one another no faster than a request
    /// takes alone.
    fn is_one_at_a_time(&self, solo_s: f64) -> bool {
        self.work_s >= ALONE_MIN * solo_s
    }

    fn longest_wait_s(&self) -> f64 {
        self.waits_s.last().copied().unwrap_or(0.0)
    }
}

/// The deadline that a queue has: those that failed all waited as long, and long. `None` when nothing looks like one.
fn deadline_s(failed_s: &[f64], work_s: f64) -> Option<f64> {
    if failed_s.len() < 2 {
        return None;
    }
    let middle = median(&mut failed_s.to_vec());
    let alike = failed_s.iter().all(|s| (s - middle).abs() <= SAME_WAIT * middle);
    (alike && middle >= WAIT_MIN * work_s).then_some(middle)
}

/// The findings about the line.
pub(super) fn findings(run: &RunView<'_>) -> Vec<Finding> {
    let Some((phase, header)) = run.phase(NAME, LINE).zip(header(run)) else {
        return Vec::new();
    };
    let ends = named_ends(phase, 0, &header);
    let Some(line) = Line::of(&ends) else {
        return Vec::new();
    };
    let endpoint = &phase.phase.scenarios[0].name;
    let solo = run
        .surface
        .endpoints
        .iter()
        .find(|e| e.name == *endpoint)
        .and_then(|e| solo_ms(run, e));
    if solo.is_none_or(|solo| !line.is_one_at_a_time(solo / 1000.0)) {
        return Vec::new();
    }
    let evidence = source(phase, endpoint);
    let told = told(phase, &line);
    let mut findings = vec![resting_on(
        position(&line, endpoint, &header, told, &evidence).done(),
        &[phase],
    )];
    let failed: Vec<f64> = Timings::all(phase)
        .samples()
        .filter(|s| s.outcome.is_failure())
        .map(|s| s.response().as_secs_f64())
        .collect();
    if let Some(deadline) = deadline_s(&failed, line.work_s) {
        let draft = dropped(&line, phase, deadline, failed.len(), &evidence);
        findings.push(resting_on(draft.done(), &[phase]));
    }
    findings
}

/// What of the time is the place in the queue.
fn position(line: &Line, endpoint: &str, header: &str, told: bool, evidence: &Source) -> Draft {
    let n = line.waits_s.len();
    let work = ms(1000.0 * line.work_s);
    let longest = ms(1000.0 * line.longest_wait_s());
    let waits = line.longest_wait_s() > line.work_s;
    let (id, title) = match (waits, told) {
        (false, _) => (
            "no-queue",
            format!(
                "A request to {endpoint} is at work for {work}; of {n} at once, none waited longer than that"
            ),
        ),
        (true, true) => (
            "queue-told",
            format!(
                "A request to {endpoint} is at work for {work}; its answer tells how long it waited before"
            ),
        ),
        (true, false) => (
            "queue-position",
            format!(
                "A request to {endpoint} is at work for {work}; what it takes beyond that is its place in the queue, up to {longest}"
            ),
        ),
    };
    let begun: Vec<String> = line.workers.iter().map(|worker| ms(1000.0 * worker.1)).collect();
    let rows = line
        .workers
        .iter()
        .map(|(name, begins, answers, last)| {
            vec![
                name.clone(),
                answers.to_string(),
                digits(*begins),
                digits(*last),
                digits(100.0 * *answers as f64 * line.work_s / (last - begins).max(line.work_s)),
            ]
        })
        .collect();
    let far = id == "queue-position" && line.workers.len() > 1 && line.longest_wait_s() > FAR * line.work_s;
    let (verdict, severity) = if far {
        (Verdict::Warn, Severity::Low)
    } else {
        (Verdict::Pass, Severity::Info)
    };
    Draft::new(NAME, id, endpoint)
        .verdict(verdict, severity)
        .advisory()
        .title(title)
        .detail(format!(
            "{n} requests that came at once were answered by {} workers, by their header `{header}`, which could begin after {}. The \
             time between two ends on one worker is {work} (median of {}): so long is a request at work. The mean wait was {}; a \
             range of response times under load is one of places in the queue, and says nothing of the work.",
            line.workers.len(),
            begun.join(", "),
            line.gaps,
            ms(1000.0 * mean(&line.waits_s))
        ))
        .figure("time of one request at work", 1000.0 * line.work_s, "ms", line.gaps, evidence)
        .figure("longest wait for a worker", 1000.0 * line.longest_wait_s(), "ms", n, evidence)
        .figure("workers that answered", line.workers.len() as f64, "workers", n, evidence)
        .table(
            "Who took them",
            &["Worker", "Answers", "Could begin after, s", "Last answer after, s", "At work, %"],
            rows,
            evidence,
        )
}

/// Those whose turn did not come in time.
fn dropped(line: &Line, phase: &PhaseResult, deadline: f64, failed: usize, evidence: &Source) -> Draft {
    let endpoint = &phase.phase.scenarios[0].name;
    let served = line.waits_s.len();
    let predicted = line.in_time(deadline);
    let explained = line.explains(served, deadline);
    let tally: Tally = Timings::all(phase).tally();
    let each = (deadline / line.work_s).floor() + 1.0;
    let needed = ((served + failed) as f64 / each).ceil();
    let (workers, work, limit) = (
        line.workers.len(),
        ms(1000.0 * line.work_s),
        ms(1000.0 * deadline),
    );
    let draft = Draft::new(NAME, "queue-deadline", endpoint)
        .figure(
            "requests given up",
            failed as f64,
            "requests",
            served + failed,
            evidence,
        )
        .figure(
            "wait after which they were given up",
            1000.0 * deadline,
            "ms",
            failed,
            evidence,
        )
        .figure(
            "requests answered",
            served as f64,
            "requests",
            served + failed,
            evidence,
        )
        .figure(
            "requests that these workers can begin in that time",
            predicted,
            "requests",
            workers,
            evidence,
        )
        .table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), evidence);
    let draft = if explained {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{failed} of {} requests at once to {endpoint} were dropped after {limit} in the queue: {workers} workers begin no \
                 more than {} in that time",
                served + failed,
                digits(predicted)
            ))
            .detail(format!(
                "Workers x (deadline - start) / work = {} requests, from {workers} workers that could begin after {} to {}, {work} of \
                 work each; {served} were answered. So the number of workers and the length of the queue decide who is dropped, \
                 not the request.",
                digits(predicted),
                ms(1000.0 * line.workers.first().map_or(0.0, |worker| worker.1)),
                ms(1000.0 * line.workers.last().map_or(0.0, |worker| worker.1))
            ))
    } else {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .advisory()
            .title(format!(
                "{failed} of {} requests at once to {endpoint} were dropped after {limit}, which the number of workers does not explain",
                served + failed
            ))
            .detail(format!(
                "{workers} workers with {work} of work each could begin {} in that time; {served} were answered.",
                digits(predicted)
            ))
    };
    draft.advice(
        &format!(
            "Keep {needed:.0} workers for {} requests at once, or refuse at once, with 503 and Retry-After, what cannot be begun within \
             {limit}.",
            served + failed
        ),
        &format!("each worker begins {each:.0} requests of {work} in {limit}"),
    )
}

/// Whether the answers themselves tell how long they waited (`Server-Timing`), and truly.
fn told(phase: &PhaseResult, line: &Line) -> bool {
    let begun = phase.samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let ends: BTreeMap<u64, f64> = phase
        .samples
        .iter()
        .map(|s| (s.seq, (s.done - begun).as_secs_f64()))
        .collect();
    let good = phase.captures.iter().filter(|c| (200..300).contains(&c.status));
    let (mut answers, mut true_ones) = (0_usize, 0_usize);
    for capture in good {
        answers += 1;
        let claimed = capture.header("server-timing").and_then(waited_s);
        if let Some((claimed, end)) = claimed.zip(ends.get(&capture.seq)) {
            true_ones +=
                usize::from((claimed - (end - line.work_s)).abs() <= TOLD_OFF * line.work_s + 0.2 * end);
        }
    }
    answers > 0 && true_ones as f64 >= TOLD_MIN * answers as f64
}

/// The wait that a `Server-Timing` header tells: its metrics whose name speaks of a queue or a wait, in s.
fn waited_s(header: &str) -> Option<f64> {
    let waits: Vec<f64> = header
        .split(',')
        .filter_map(|metric| {
            let (name, rest) = metric.trim().split_once(';')?;
            let name = name.to_ascii_lowercase();
            let speaks = ["queue", "wait", "delay"].iter().any(|word| name.contains(word));
            let duration = rest
                .split(';')
                .find_map(|part| part.trim().strip_prefix("dur="))?;
            speaks.then(|| duration.trim_matches('"').parse::<f64>().ok())?
        })
        .collect();
    (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::{Line, deadline_s, waited_s};
    use crate::dzi::mix;

    /// Three workers from the start and a fourth after 5 s, 2 s of work each; what would begin after 10 s is not served.
    fn ends() -> Vec<(&'static str, f64)> {
        let mut ends: Vec<(&str, f64)> = [("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 5.0)]
            .into_iter()
            .flat_map(|(worker, ready)| {
                (0..)
                    .map(move |k| (worker, ready + 2.0 * f64::from(k)))
                    .take_while(|(_, begin)| *begin <= 10.0)
                    .map(|(worker, begin)| (worker, begin + 2.0))
            })
            .collect();
        ends.sort_by(|a, b| a.1.total_cmp(&b.1));
        ends
    }

    #[test]
    fn work_and_wait_are_told_apart() {
        let line = Line::of(&ends()).unwrap();
        assert!((line.work_s - 2.0).abs() < 1e-9);
        assert_eq!(line.workers.len(), 4);
        assert!((line.workers[3].1 - 5.0).abs() < 1e-9, "{line:?}");
        assert!((line.longest_wait_s() - 10.0).abs() < 1e-9);
        assert_eq!(
            line.in_time(10.0) as usize,
            ends().len(),
            "the model explains who was served"
        );
        assert_eq!(Line::of(&ends()[..5]), None, "too few to know the work");
        assert!(line.is_one_at_a_time(2.0) && line.is_one_at_a_time(1.5));
        assert!(!line.is_one_at_a_time(20.0), "ten at once on each worker");
    }

    #[test]
    fn a_deadline_is_the_same_for_all_and_long() {
        assert!(deadline_s(&[10.0, 10.1, 9.9], 2.0).is_some());
        assert_eq!(deadline_s(&[0.01, 0.02, 0.01], 2.0), None, "refused at once");
        assert_eq!(deadline_s(&[3.0, 10.0, 25.0], 2.0), None, "of all lengths");
        assert_eq!(deadline_s(&[10.0], 2.0), None);
    }

    #[test]
    fn answers_may_tell_their_wait() {
        assert_eq!(waited_s("queue;dur=1500.0, service;dur=384"), Some(1.5));
        assert_eq!(waited_s("db;dur=3, app;desc=x"), None);
    }

    #[test]
    fn the_model_explains_who_is_dropped_however_many_workers_and_whenever_they_start() {
        let mut state = 1;
        let mut uniform = || {
            state = mix(state);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for run in 0..300 {
            let workers = 1 + (5.0 * uniform()) as usize;
            let deadline = 8.0 + 12.0 * uniform();
            let mut ends: Vec<(&str, f64)> = Vec::new();
            for name in &["a", "b", "c", "d", "e"][..workers] {
                // Half of them had to start; each takes one after another, of about a second.
                let mut at = if uniform() < 0.5 { 0.0 } else { 3.0 * uniform() };
                while at <= deadline {
                    at += 0.95 + 0.1 * uniform();
                    ends.push((name, at));
                }
            }
            ends.sort_by(|a, b| a.1.total_cmp(&b.1));
            let line = Line::of(&ends).unwrap();
            assert!(line.is_one_at_a_time(1.0), "{run}");
            let off = (line.in_time(deadline) - ends.len() as f64).abs();
            assert!(
                line.explains(ends.len(), deadline),
                "{run}: off by {off} of {}",
                ends.len()
            );
            // Half as many answers, with the same deadline, are not what these workers could do.
            assert!(!line.explains(ends.len() / 2, deadline), "{run}");
        }
    }
}
