//! Workers that answer health checks and get no work, while requests wait for others.

use std::collections::BTreeMap;

use prony_model::{Finding, PhaseResult, Severity, Verdict};
use prony_stats::median;

use super::{BESIDE, NAME, header, named_ends};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::primary::solo_ms;
use crate::timings::Timings;
use crate::wording::{digits, ms, resting_on};

/// Answered health checks of a worker that is surely there, and the part of the time that they must span.
const CHECKS_MIN: usize = 4;
const SPAN_MIN: f64 = 0.4;
/// Longest part of the time without a check of any of them, where workers without work take turns.
const GAP_MAX: f64 = 0.2;
/// Answered requests that the others must share, and each of them.
const WORK_MIN: usize = 10;
/// Requests wait when half of them take so many times the work.
const WAIT_MIN: f64 = 1.5;
/// Chance of a worker without work, were each request given to any, below which it is no chance.
const LEVEL: f64 = 0.01;

/// A worker: answers to requests, and the times of its answers to health checks.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    work: usize,
    checks_s: Vec<f64>,
}

/// The workers that got nothing.
#[derive(Debug, PartialEq, Eq)]
enum Idle {
    /// There is none, or there was too little work to tell.
    None,
    /// Nothing waited, so nobody was missed.
    NoQueue,
    /// They were not there for long enough to be given any.
    Brief(usize),
    /// These were there all the time, each of them.
    Always(Vec<String>),
    /// One of these was always there: idle ones are stopped and others started in their place.
    InTurn(Vec<String>),
}

impl Idle {
    /// Those that were there and got nothing.
    fn names(&self) -> &[String] {
        match self {
            Self::Always(names) | Self::InTurn(names) => names,
            Self::None | Self::NoQueue | Self::Brief(_) => &[],
        }
    }
}

/// Who got nothing; times since the phase began, which lasted `length_s`.
fn idle(seen: &BTreeMap<&str, Seen>, length_s: f64) -> Idle {
    let work: usize = seen.values().map(|worker| worker.work).sum();
    let chance = (1.0 - 1.0 / seen.len().max(1) as f64).powi(i32::try_from(work).unwrap_or(i32::MAX));
    if work < WORK_MIN || chance > LEVEL {
        return Idle::None;
    }
    let workless = || seen.iter().filter(|(_, worker)| worker.work == 0);
    let names = |of: &mut dyn Iterator<Item = (&&str, &Seen)>| -> Vec<String> {
        of.map(|(name, _)| (**name).to_owned()).collect()
    };
    let always = names(&mut workless().filter(|(_, worker)| was_there(&worker.checks_s, length_s, 1.0)));
    if !always.is_empty() {
        return Idle::Always(always);
    }
    let together: Vec<f64> = workless()
        .flat_map(|(_, worker)| worker.checks_s.iter().copied())
        .collect();
    if was_there(&together, length_s, GAP_MAX) {
        return Idle::InTurn(names(&mut workless()));
    }
    match workless().count() {
        0 => Idle::None,
        n => Idle::Brief(n),
    }
}

/// Whether answered health checks span enough of the phase, with no gap of more than a part of it.
fn was_there(checks_s: &[f64], length_s: f64, gap_max: f64) -> bool {
    let mut sorted = checks_s.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return false;
    };
    let gap = sorted
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(0.0, f64::max);
    sorted.len() >= CHECKS_MIN && last - first >= SPAN_MIN * length_s && gap <= gap_max * length_s
}

/// The finding; none when workers are not named, or too few were seen.
pub(super) fn finding(run: &RunView<'_>) -> Option<Finding> {
    let phase = run.phase(NAME, BESIDE)?;
    let header = header(run)?;
    let (endpoint, health) = (&phase.phase.scenarios[0].name, &phase.phase.scenarios[1].name);
    let work = named_ends(phase, 0, &header);
    let seen = seen(phase, &header, &work);
    let begun = phase.samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let length_s = phase
        .samples
        .iter()
        .map(|s| (s.intended - begun).as_secs_f64())
        .fold(0.0, f64::max);
    let mut response = Timings::of(phase, endpoint).response_ms();
    let solo = run
        .surface
        .endpoints
        .iter()
        .find(|e| e.name == *endpoint)
        .and_then(|e| solo_ms(run, e))?;
    if seen.len() < 2 || work.len() < WORK_MIN {
        return None;
    }
    let middle = median(&mut response);
    let waited = middle > WAIT_MIN * solo;
    let idle = if waited {
        idle(&seen, length_s)
    } else {
        Idle::NoQueue
    };
    let named = idle.names();
    let evidence = source(phase, endpoint);
    let rows = seen
        .iter()
        .map(|(name, worker)| {
            vec![
                (*name).to_owned(),
                worker.work.to_string(),
                digits(100.0 * worker.work as f64 / work.len() as f64),
                worker.checks_s.len().to_string(),
            ]
        })
        .collect();
    let draft = Draft::new(NAME, "idle-worker", endpoint)
        .advisory()
        .figure(
            "workers without work",
            named.len() as f64,
            "workers",
            seen.len(),
            &evidence,
        )
        .figure(
            "median response in the queue",
            middle,
            "ms",
            response.len(),
            &evidence,
        )
        .table(
            "Who worked and who answered health checks",
            &[
                "Worker",
                "Answered requests",
                "Share, %",
                "Answered health checks",
            ],
            rows,
            &evidence,
        );
    let beside = format!(
        "{} requests were answered while {health} was called; half of them took longer than {}, beside {} alone.",
        work.len(),
        ms(middle),
        ms(solo)
    );
    let said = Said {
        endpoint,
        health,
        header: &header,
        beside,
        workers: seen.len(),
    };
    Some(resting_on(said.of(&idle, draft).done(), &[phase]))
}

/// What the words of the finding are made of.
struct Said<'a> {
    endpoint: &'a str,
    health: &'a str,
    header: &'a str,
    /// How much was measured.
    beside: String,
    workers: usize,
}

impl Said<'_> {
    fn of(&self, idle: &Idle, draft: Draft) -> Draft {
        let Self {
            endpoint,
            health,
            header,
            beside,
            workers,
        } = self;
        let taken_turns = match idle {
            Idle::Always(_) => "which answered health checks with 200 all the time",
            Idle::InTurn(_) => {
                "nor by those that took its place, one of which answered health checks with 200 at all times"
            }
            Idle::None => {
                return draft
                    .title(format!(
                        "All {workers} workers that {health} shows do work for {endpoint}"
                    ))
                    .detail(beside);
            }
            Idle::NoQueue => {
                return draft
                    .title(format!(
                        "Requests to {endpoint} hardly wait, so no worker is missed"
                    ))
                    .detail(beside);
            }
            Idle::Brief(n) => {
                return draft
                    .title(format!("Every worker that was there for long does work for {endpoint}"))
                    .detail(format!(
                        "{beside} {n} of {workers} workers that {health} shows did none, and were not there for long enough to be \
                         given any."
                    ));
            }
        };
        let (names, name) = (idle.names(), &idle.names()[0]);
        draft
            .verdict(Verdict::Warn, Severity::High)
            .title(format!(
                "{} of {workers} workers of {endpoint} gets no request while others wait: `{name}` is healthy and idle",
                names.len()
            ))
            .detail(format!(
                "{beside} By their header `{header}`, none was done by `{name}`, {taken_turns}."
            ))
            .advice(
                "Look at how the balancer chooses: a worker that is paid for and does nothing is capacity lost.",
                "",
            )
    }
}

/// What each worker did in the phase.
fn seen<'a>(phase: &'a PhaseResult, header: &str, work: &[(&'a str, f64)]) -> BTreeMap<&'a str, Seen> {
    // A worker that says that it is starting is not there yet.
    let healthy: Vec<u64> = phase
        .captures
        .iter()
        .filter(|c| c.status == 200)
        .map(|c| c.seq)
        .collect();
    let begun = phase.samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let workers = crate::worker_id::workers(phase, header);
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for (worker, _) in work {
        seen.entry(worker).or_default().work += 1;
    }
    let checks = phase
        .samples
        .iter()
        .filter(|s| s.scenario == 1 && healthy.contains(&s.seq));
    for sample in checks {
        if let Some(worker) = workers.get(&sample.seq) {
            let at = (sample.sent - begun).as_secs_f64();
            seen.entry(worker).or_default().checks_s.push(at);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Idle, Seen, idle};

    fn seen(work: usize, checks: &[f64]) -> Seen {
        Seen {
            work,
            checks_s: checks.to_vec(),
        }
    }

    #[test]
    fn a_worker_is_idle_when_it_was_there_and_got_nothing() {
        let busy = || seen(20, &[]);
        let all = |third: Seen| BTreeMap::from([("a", busy()), ("b", busy()), ("c", third)]);
        let there = [0.0, 2.0, 5.0, 9.0];
        assert_eq!(
            idle(&all(seen(0, &there)), 10.0),
            Idle::Always(vec!["c".to_owned()])
        );
        assert_eq!(idle(&all(seen(1, &there)), 10.0), Idle::None, "it worked");
        assert_eq!(
            idle(&all(seen(0, &[8.0, 8.5, 9.0, 9.5])), 10.0),
            Idle::Brief(1),
            "it came late"
        );
        assert_eq!(
            idle(&all(seen(0, &there[..2])), 10.0),
            Idle::Brief(1),
            "hardly seen"
        );
        let few = BTreeMap::from([("a", seen(5, &[])), ("c", seen(0, &there))]);
        assert_eq!(idle(&few, 10.0), Idle::None, "chance");
    }

    #[test]
    fn idle_workers_may_take_turns() {
        let pair = |first: &[f64], second: &[f64]| {
            BTreeMap::from([
                ("a", seen(20, &[])),
                ("b", seen(20, &[])),
                ("c", seen(0, first)),
                ("d", seen(0, second)),
            ])
        };
        assert_eq!(
            idle(&pair(&[0.0, 1.5, 3.0], &[4.0, 5.5, 7.0]), 10.0),
            Idle::InTurn(vec!["c".to_owned(), "d".to_owned()])
        );
        // One was stopped at the start, and another was just started at the end.
        assert_eq!(
            idle(&pair(&[0.0, 0.5, 1.0], &[8.5, 9.0, 9.5]), 10.0),
            Idle::Brief(2)
        );
    }
}
