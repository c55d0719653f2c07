//! Reads the phases of the experiment: what a warm request takes, what one takes after idleness, and what became of the requests
//! of a burst. It judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Captured, Outcome, OutcomeClass, PhaseResult, Sample};
use prony_stats::{fisher, mean, median, student, variance};

use super::workers::{Account, account, from_ends};
use crate::timings::Timings;
use crate::worker_id;

/// Words of a refusal's body that mean that no worker was free, as platforms write them.
const BUSY_WORDS: [&str; 12] = [
    "no worker",
    "no available",
    "not available",
    "no instance",
    "no healthy",
    "queue is full",
    "queue full",
    "capacity",
    "overloaded",
    "too many requests",
    "try again",
    "timed out waiting",
];

/// Times the median of warm requests from which on one counts as slow, and ms above the slowest of them.
const SLOW_RATIO: f64 = 1.5;
const SLOW_EXCESS_S: f64 = 0.02;

/// Level of the test that slow requests are those after idleness.
const LEVEL: f64 = 0.01;

/// Requests one after another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Warm {
    /// What each took, in s; the first of all left out.
    pub times_s: Vec<f64>,
}

impl Warm {
    /// Of a phase of requests one after another; `None` with fewer than three good ones after the first.
    pub(super) fn of(phase: &PhaseResult) -> Option<Self> {
        let times_s: Vec<f64> = Timings::all(phase)
            .good()
            .filter(|s| s.seq > 0)
            .map(|s| s.service().as_secs_f64())
            .collect();
        (times_s.len() >= 3).then_some(Self { times_s })
    }

    /// The usual time, in s.
    pub(super) fn median_s(&self) -> f64 {
        median(&mut self.times_s.clone())
    }

    /// Coefficient of variation.
    pub(super) fn variation(&self) -> f64 {
        variance(&self.times_s).sqrt() / mean(&self.times_s)
    }

    /// Whether a time is far above these.
    pub(super) fn is_slow(&self, time_s: f64) -> bool {
        let slowest = self.times_s.iter().copied().fold(0.0, f64::max);
        time_s >= SLOW_RATIO * self.median_s() && time_s > slowest + SLOW_EXCESS_S
    }
}

/// Single requests, each after idleness.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probes {
    /// What each took, in s.
    pub times_s: Vec<f64>,
    /// Those that were not answered well.
    pub failed: usize,
    /// What those that were slow took longer than a warm request, in s.
    pub starts_s: Vec<f64>,
    /// Chance that as many slow ones come after idleness if idleness had no part in it (Fisher).
    pub p: f64,
}

impl Probes {
    /// Of the ladder with silence between its steps; its first request did not come after one.
    pub(super) fn of(phase: &PhaseResult, warm: &Warm) -> Self {
        let after = || {
            Timings::all(phase)
                .samples()
                .filter(|s| s.step > 0 && !s.outcome.is_own())
        };
        let times_s: Vec<f64> = after()
            .filter(|s| s.outcome == Outcome::Ok)
            .map(|s| s.response().as_secs_f64())
            .collect();
        let starts_s: Vec<f64> = times_s
            .iter()
            .filter(|t| warm.is_slow(**t))
            .map(|t| t - warm.median_s())
            .collect();
        let slow_warm = warm.times_s.iter().filter(|t| warm.is_slow(**t)).count();
        let p = fisher::two_sided(
            starts_s.len() as u64,
            times_s.len() as u64,
            slow_warm as u64,
            warm.times_s.len() as u64,
        );
        Self {
            failed: after().count() - times_s.len(),
            times_s,
            starts_s,
            p,
        }
    }

    /// Whether idleness makes requests slow.
    pub(super) fn are_cold(&self) -> bool {
        self.starts_s.len() >= 2 && self.p < LEVEL
    }
}

/// A mean with its 95 % interval; none of a single value.
pub(super) fn mean_with_interval(values: &[f64]) -> (f64, Option<(f64, f64)>) {
    let centre = mean(values);
    let n = values.len() as f64;
    let half = student::quantile(0.975, (n - 1.0).max(1.0)) * (variance(values) / n).sqrt();
    (
        centre,
        (values.len() >= 2).then_some((centre - half, centre + half)),
    )
}

/// What became of the requests of one burst. Times in s since it began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Burst {
    /// Requests sent.
    pub size: usize,
    /// When each good answer ended, ascending.
    pub ends_s: Vec<f64>,
    /// When each request was refused for want of a worker.
    pub refused_s: Vec<f64>,
    /// Requests that got no answer in time.
    pub timed_out: usize,
    /// Requests that failed otherwise.
    pub broken: usize,
    /// What each worker did; `None` when answers do not name their worker.
    pub account: Option<Account>,
}

impl Burst {
    /// Of one step of a phase, with the workers by that header.
    pub(super) fn of(phase: &PhaseResult, step: u16, header: Option<&str>) -> Self {
        let samples: Vec<&Sample> = Timings::all(phase)
            .step(step)
            .samples()
            .filter(|s| !s.outcome.is_own())
            .collect();
        let begun = samples.iter().map(|s| s.intended).min().unwrap_or_default();
        let since = |s: &Sample| (s.done - begun).as_secs_f64();
        let captures: BTreeMap<u64, &Captured> = phase.captures.iter().map(|c| (c.seq, c)).collect();
        let named = header.map(|h| worker_id::workers(phase, h)).unwrap_or_default();
        let mut burst = Self {
            size: samples.len(),
            ..Self::default()
        };
        let mut named_ends: Vec<(&str, f64)> = Vec::new();
        for sample in samples {
            match sample.outcome {
                Outcome::Ok => {
                    burst.ends_s.push(since(sample));
                    if let Some(worker) = named.get(&sample.seq) {
                        named_ends.push((*worker, since(sample)));
                    }
                }
                _ if is_busy(sample, captures.get(&sample.seq).copied()) => {
                    burst.refused_s.push(since(sample));
                }
                outcome if outcome.class() == OutcomeClass::Timeout => burst.timed_out += 1,
                _ => burst.broken += 1,
            }
        }
        burst.ends_s.sort_unstable_by(f64::total_cmp);
        burst.refused_s.sort_unstable_by(f64::total_cmp);
        burst.account = account(&from_ends(&named_ends));
        burst
    }

    /// Requests without a good answer.
    pub(super) fn failed(&self) -> usize {
        self.refused_s.len() + self.timed_out + self.broken
    }

    /// Mean time that the answered ones waited before a worker took them, in s.
    pub(super) fn wait_s(&self, service_s: f64) -> f64 {
        if self.ends_s.is_empty() {
            return 0.0;
        }
        (mean(&self.ends_s) - service_s).max(0.0)
    }

    /// How long a request waited before it was given up: as the refusals tell, else by our own time-out. `None` when nothing
    /// failed that way.
    pub(super) fn patience_s(&self, service_s: f64, timeout_s: f64) -> Option<f64> {
        if !self.refused_s.is_empty() {
            return Some(median(&mut self.refused_s.clone()));
        }
        (self.timed_out > 0).then_some((timeout_s - service_s).max(0.0))
    }
}

/// Whether the target says that it has no worker for the request: by its status, or by the words of an error.
fn is_busy(sample: &Sample, capture: Option<&Captured>) -> bool {
    if sample.outcome.class() == OutcomeClass::Refusal {
        return true;
    }
    let is_error = sample.status >= 400;
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        BUSY_WORDS.iter().any(|words| text.contains(words))
    };
    is_error && capture.is_some_and(|c| says(&c.body))
}

/// The header that names workers, over all of the experiment's phases.
pub(super) fn worker_header(phases: &[&PhaseResult]) -> Option<String> {
    worker_id::header(phases)
}

/// Distinct workers that answered in these phases.
pub(super) fn workers_seen(phases: &[&PhaseResult], header: &str) -> usize {
    let all: BTreeSet<&str> = phases
        .iter()
        .flat_map(|p| worker_id::workers(p, header).into_values())
        .collect();
    all.len()
}
