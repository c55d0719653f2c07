//! The script of an overload, and what its surge showed: what was still served in time, and how the rest was turned away.
//! Arithmetic on one recorded phase, no words.

use prony_model::{Nanos, OutcomeClass, PhaseResult, Sample, Shape, Stage};
use prony_stats::paired;

use crate::objective::{LetDown, Objective};
use crate::timings::Tally;

/// Rates in times of the capacity, and shares of the time: 60, 60, 60, 30 and 300 of 510 seconds.
const SCRIPT: [(f64, f64); 5] = [
    (BASE, 60.0),
    (1.5, 60.0),
    (2.0, 60.0),
    (3.0, 30.0),
    (BASE, WATCH_S),
];
/// Seconds after the surge within which a target has to be back. They are the script's, and no share of a shorter one: a new
/// instance, a restart or a circuit breaker takes its time however short the surge was.
pub(super) const WATCH_S: f64 = 300.0;
/// Seconds of the script as it stands.
pub(super) const SCRIPT_S: f64 = 510.0;
/// The load before and after, in times of the capacity.
pub(super) const BASE: f64 = 0.8;
/// Steps of the script.
pub(super) const BEFORE: u16 = 0;
pub(super) const TWICE: u16 = 2;
pub(super) const AFTER: u16 = 4;
/// Share of a stage that is left out at its start.
const LEAD: f64 = 0.2;
/// Stretches of a stage from which the interval of its goodput comes.
const BLOCKS: usize = 10;

/// The stages for a capacity in requests per second, never above `rate_max`, in `seconds` for all of them.
pub(super) fn stages(capacity: f64, rate_max: f64, seconds: f64) -> Vec<Stage> {
    SCRIPT
        .iter()
        .map(|&(factor, share)| Stage {
            rate: (factor * capacity).min(rate_max),
            duration_s: share * seconds / SCRIPT_S,
            jump: true,
        })
        .collect()
}

/// A phase of the script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surge<'a> {
    pub phase: &'a PhaseResult,
    pub stages: &'a [Stage],
    pub capacity: f64,
    pub objective: Objective,
    /// When the first arrival was due, in ns: at most a gap after the schedule started.
    start_ns: f64,
}

/// Goodput at twice the capacity over that at the capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Retention {
    /// The ratio.
    pub ratio: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Good answers in time per second at twice the capacity.
    pub per_s: f64,
    /// Requests offered in that stage, in times of the capacity.
    pub factor: f64,
    /// Requests behind it.
    pub n: usize,
}

/// How requests that were not served were turned away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusals {
    /// Requests of the surge.
    pub tally: Tally,
    /// Those that failed.
    pub failed: usize,
    /// Of them, refused with 429 or 503 or by a platform.
    pub refused: usize,
    /// Those that ended by a timeout.
    pub timed_out: usize,
    /// Good answers, and those of them in time.
    pub good: usize,
    pub in_time: usize,
    /// From the intended start to the refusal, in ms, in order of the schedule.
    pub refused_ms: Vec<f64>,
}

impl<'a> Surge<'a> {
    /// `None` when the phase is none of the script.
    pub(super) fn of(phase: &'a PhaseResult, capacity: f64, objective: Objective) -> Option<Self> {
        match &phase.phase.shape {
            Shape::Stages { stages, .. } if stages.len() == SCRIPT.len() => Some(Self {
                phase,
                stages,
                capacity,
                objective,
                start_ns: phase
                    .samples
                    .iter()
                    .map(|s| s.intended.0)
                    .min()
                    .unwrap_or_default() as f64,
            }),
            _ => None,
        }
    }

    /// When a stage begins, in seconds after the start.
    pub(super) fn begins_s(&self, step: u16) -> f64 {
        self.stages[..usize::from(step)]
            .iter()
            .map(|s| s.duration_s)
            .sum()
    }

    /// When an arrival was due, in seconds after the start.
    pub(super) fn at_s(&self, sample: &Sample) -> f64 {
        self.seconds(sample.intended)
    }

    /// A moment, in seconds after the start.
    pub(super) fn seconds(&self, at: Nanos) -> f64 {
        (at.0 as f64 - self.start_ns) / 1e9
    }

    /// The arrivals of a stage, in order.
    pub(super) fn arrivals(&self, step: u16) -> Vec<&'a Sample> {
        self.phase
            .samples
            .iter()
            .filter(|s| s.is_arrival() && s.step == step && !s.outcome.is_own())
            .collect()
    }

    /// The arrivals of the stage before the surge, once it is steady.
    pub(super) fn before(&self) -> Vec<&'a Sample> {
        let from = LEAD * self.stages[usize::from(BEFORE)].duration_s;
        let mut arrivals = self.arrivals(BEFORE);
        arrivals.retain(|s| self.at_s(s) >= from);
        arrivals
    }

    /// Who was let down before the surge.
    pub(super) fn let_down_before(&self) -> LetDown {
        self.objective.count(&[self.before()])
    }

    /// Goodput at twice the capacity over that at the capacity; `None` without arrivals at either.
    pub(super) fn retention(&self) -> Option<Retention> {
        let stage = &self.stages[usize::from(TWICE)];
        let (begins, length) = (self.begins_s(TWICE), stage.duration_s * (1.0 - LEAD));
        let from = begins + LEAD * stage.duration_s;
        let arrivals = self.arrivals(TWICE);
        let before = self.let_down_before();
        if arrivals.is_empty() || before.n == 0 || before.over == before.n {
            return None;
        }
        let block_s = length / BLOCKS as f64;
        let mut kept = [0.0; BLOCKS];
        let mut n = 0;
        for sample in &arrivals {
            let at = self.at_s(sample) - from;
            if at < 0.0 {
                continue;
            }
            n += 1;
            if self.objective.is_kept(sample) {
                kept[((at / block_s) as usize).min(BLOCKS - 1)] += 1.0;
            }
        }
        let ratios: Vec<f64> = kept
            .iter()
            .map(|k| k / block_s / (self.capacity * (1.0 - before.share())))
            .collect();
        let found = paired::interval(&ratios, 0.95)?;
        let ratio = prony_stats::mean(&ratios);
        Some(Retention {
            ratio,
            interval: (found.low.max(0.0), found.high),
            per_s: kept.iter().sum::<f64>() / length,
            factor: n as f64 / length / self.capacity,
            n,
        })
    }

    /// How the surge turned requests away.
    pub(super) fn refusals(&self) -> Refusals {
        let surge: Vec<&Sample> = (BEFORE + 1..AFTER).flat_map(|step| self.arrivals(step)).collect();
        let count = |of: &dyn Fn(&Sample) -> bool| surge.iter().filter(|s| of(s)).count();
        let class = |s: &Sample| s.outcome.class();
        Refusals {
            tally: Tally::of(surge.iter().copied()),
            failed: count(&|s| s.outcome.is_failure()),
            refused: count(&|s| class(s) == OutcomeClass::Refusal),
            timed_out: count(&|s| class(s) == OutcomeClass::Timeout),
            good: count(&|s| class(s) == OutcomeClass::Ok),
            in_time: count(&|s| self.objective.is_kept(s)),
            refused_ms: surge
                .iter()
                .filter(|s| class(s) == OutcomeClass::Refusal)
                .map(|s| s.response().as_millis_f64())
                .collect(),
        }
    }
}
