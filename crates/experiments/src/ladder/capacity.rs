//! The arithmetic of a ladder: throughput and response per step, how many requests were really served at once, and
//! what follows. It writes no words.

use prony_model::{PhaseResult, Shape};
use prony_stats::{bootstrap, mean, order};

use super::alone::{self, Alone};
use super::overlap::{Overlap, Staircase, overlap, staircase};
use super::{NAME, turns_name};
use crate::RunView;
use crate::burst::staircases;
use crate::primary::no_work_ms;
use crate::timings::{Tally, Timings};

/// Work shorter than this cannot be told from the generator and the path, in ms.
const WORK_MS_MIN: f64 = 0.5;
/// Served at once, below which (with its whole interval) a target is serial, and above which it is parallel.
const SERIAL_BELOW: f64 = 1.5;
/// Throughput gain from one request at a time to the top step, above which a target is not serial.
const GAIN_MAX: f64 = 1.3;
/// Share of "response proportional to concurrency" that a serial target shows at least.
const PROPORTION_MIN: f64 = 0.6;
/// Concurrency that the top step must have at least.
const TOP_MIN: u32 = 8;
/// Parallelism that the ladder must be able to show at least, were it there.
const REACH_MIN: f64 = 4.0;
/// First answer of a burst over the time alone, from which on requests were not taken in turns.
const TOGETHER_FROM: f64 = 1.6;
/// Time from one end of a burst to the next over the work of one, from which on requests were taken in turns whenever the first
/// ended: work that is shared ends together, or at most half a work apart.
const TREAD_OF_TURNS: f64 = 0.75;
/// Smallest step whose first answer tells whether its requests were taken in turns.
const STEP_TOGETHER_MIN: u32 = 4;
/// What counts as no more throughput, and as the same concurrency: within this ratio. Of the ladders that end at 16 a step has
/// some ten answers and more, so that its throughput is known to about a tenth.
const WITHIN: f64 = 1.2;
/// Good answers that a step needs at least, and all requests alone together.
const ANSWERS_MIN: usize = 10;
/// Good answers that the step of one at a time needs: the baseline has more like them.
const ALONE_MIN: usize = 5;

/// One step of the ladder.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    /// Concurrency.
    pub n: u32,
    /// Good answers per second.
    pub per_s: f64,
    /// Mean response of the good answers, in ms.
    pub response_ms: f64,
    /// Median response, with its interval where it is estimable.
    pub median: order::Estimate,
    /// Good answers.
    pub good: usize,
    /// How the requests ended.
    pub tally: Tally,
    /// Served at once, see [`Capacity::served`].
    pub served: f64,
    /// Whether the client's requests overlapped at all.
    pub overlap: Overlap,
    /// From the first request sent to the last end, less the path once, in ms.
    pub busy_ms: f64,
    /// Good ends since the first request was sent, less the path once, ascending, in ms.
    ends_ms: Vec<f64>,
}

/// What the ladder says about one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    /// The steps with enough good answers, ascending.
    pub rungs: Vec<Rung>,
    /// Mean time of one request alone, in ms.
    pub solo_ms: f64,
    /// How many requests alone that rests on.
    pub alone: Alone,
    /// Mean time of a request that does no work, in ms; 0 when not measured.
    pub floor_ms: f64,
    /// Requests really served at once at the step with the highest throughput: n times the work of one over the makespan,
    /// the path taken off both (utilisation law), with its 95 % bootstrap interval.
    pub served: (f64, (f64, f64)),
    /// The same over the steps at high concurrency (8 and more, else the top one).
    pub served_high: (f64, (f64, f64)),
    /// First answer of a burst over the time alone. Without bursts, that of the steps, whose requests start together as well,
    /// where it leaves no doubt that they were worked on together; else `None`.
    pub first_of_burst: Option<f64>,
    /// Time from one end to the next in bursts; `None` without bursts.
    pub staircase: Option<Staircase>,
    /// The conclusion.
    pub diagnosis: Diagnosis,
}

/// How the target serves concurrent requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Diagnosis {
    /// One at a time.
    Serial,
    /// Several at once.
    Parallel,
    /// Worked on together, but together no faster than one after another: they share one core's worth of something.
    Shared,
    /// The answers are too fast, or the network too slow, to tell.
    TooFast,
    /// The ladder has too few steps or answers.
    TooShort,
    /// The intervals do not decide.
    Undecided,
}

impl Capacity {
    /// Work of one request: alone, less the time of a request that does none.
    pub(super) fn work_ms(&self) -> f64 {
        self.solo_ms - self.floor_ms
    }

    /// The step with the highest throughput.
    pub(super) fn best(&self) -> &Rung {
        self.rungs
            .iter()
            .max_by(|a, b| a.per_s.total_cmp(&b.per_s))
            .unwrap_or(&self.rungs[0])
    }

    /// The step with the highest concurrency.
    pub(super) fn top(&self) -> &Rung {
        &self.rungs[self.rungs.len() - 1]
    }

    /// Throughput of the steps at high concurrency over that of one request at a time.
    pub(super) fn gain(&self) -> f64 {
        let (good, span_s) = high(&self.rungs).fold((0.0, 0.0), |(good, span), r| {
            (good + r.good as f64, span + r.good as f64 / r.per_s)
        });
        good / span_s * self.solo_ms / 1000.0
    }

    /// Mean response of the top step over that of one request at a time.
    pub(super) fn growth(&self) -> f64 {
        self.top().response_ms / self.solo_ms
    }

    /// Whether the answers of a burst end one work apart, as those of requests that take turns do. A server that reads all
    /// requests before it begins with the first makes that one late, and the rest follow one by one all the same.
    pub(super) fn ends_in_turns(&self) -> bool {
        self.staircase
            .is_some_and(|stairs| stairs.interval.0 >= TREAD_OF_TURNS * self.work_ms())
    }

    /// Concurrency at which throughput is about used up: X_max R(1) (the knee of the asymptotic bounds).
    pub(super) fn knee(&self) -> f64 {
        self.best().per_s * self.solo_ms / 1000.0
    }

    /// Whether the ladder went on until throughput was used up.
    pub(super) fn is_saturated(&self) -> bool {
        let steps: Vec<LadderStep> = self.rungs.iter().map(LadderStep::from).collect();
        is_used_up(&steps, self.knee())
    }
}

/// One step of a closed loop, for others to reason with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LadderStep {
    /// Concurrency.
    pub n: u32,
    /// Good answers per second.
    pub per_s: f64,
    /// Mean response of the good answers, in ms.
    pub response_ms: f64,
    /// Good answers.
    pub good: usize,
}

impl From<&Rung> for LadderStep {
    fn from(rung: &Rung) -> Self {
        Self {
            n: rung.n,
            per_s: rung.per_s,
            response_ms: rung.response_ms,
            good: rung.good,
        }
    }
}

/// The steps of a closed-loop ladder over one scenario that have enough good answers, ascending.
pub(crate) fn steps(phase: &PhaseResult) -> Vec<LadderStep> {
    rungs(phase, 0.0, 0.0)
        .iter()
        .filter(|r| r.per_s > 0.0)
        .map(LadderStep::from)
        .collect()
}

/// Whether a knee can be believed: the step at the knee has about the highest throughput, and twice as many at a time gained none.
/// Where throughput still rose at the end of the ladder, highest throughput x time alone is what was reached and no knee.
pub(crate) fn is_used_up(steps: &[LadderStep], knee: f64) -> bool {
    let most = steps.iter().map(|s| s.n).max().unwrap_or(0);
    let highest = steps.iter().map(|s| s.per_s).fold(0.0, f64::max);
    steps
        .iter()
        .find(|s| WITHIN * f64::from(s.n) >= knee)
        .is_some_and(|at| at.n <= most / 2 && WITHIN * at.per_s >= highest)
}

/// Whether the ladder of an endpoint went on until throughput was used up.
pub(crate) fn is_saturated(run: &RunView<'_>, endpoint: &str) -> bool {
    let steps = run.phase(NAME, endpoint).map(steps).unwrap_or_default();
    let (Some(first), Some(x_max)) = (steps.first(), throughput_max(run, endpoint)) else {
        return false;
    };
    first.n == 1 && is_used_up(&steps, x_max * first.response_ms / 1000.0)
}

/// The highest throughput of an endpoint in its ladder, in good answers per second; `None` without data.
pub(crate) fn throughput_max(run: &RunView<'_>, endpoint: &str) -> Option<f64> {
    steps(run.phase(NAME, endpoint)?)
        .iter()
        .map(|s| s.per_s)
        .max_by(f64::total_cmp)
}

/// What the ladder in `phase` says. `None` when no step has enough good answers.
pub(super) fn capacity(run: &RunView<'_>, phase: &PhaseResult, seed: u64) -> Option<Capacity> {
    let endpoint = &phase.phase.name;
    let mut solo = Timings::of(phase, endpoint).step(0).service_ms();
    // The baseline asked the same one at a time: together they make a firmer yardstick.
    solo.extend(alone::before(run, endpoint));
    if solo.len() < ANSWERS_MIN {
        return None;
    }
    let solo_ms = mean(&solo);
    let floor_ms = no_work_ms(run).unwrap_or(0.0).min(solo_ms);
    let work: Vec<f64> = solo.iter().map(|s| s - floor_ms).collect();
    let rungs = rungs(phase, mean(&work), floor_ms);
    let first = rungs.first()?;
    if first.n != 1 {
        return None;
    }
    let best = rungs.iter().max_by(|a, b| a.per_s.total_cmp(&b.per_s))?;
    let served = served(&work, &[best], seed);
    let served_high = self::served(&work, &high(&rungs).collect::<Vec<_>>(), seed);
    let turns = run.phase(NAME, &turns_name(endpoint));
    let first_of_burst = turns
        .and_then(|turns| first_of_burst(turns, solo_ms))
        .or_else(|| first_of_steps(&rungs, mean(&work)));
    let mut capacity = Capacity {
        rungs,
        solo_ms,
        alone: Alone::of(&work),
        floor_ms,
        served,
        served_high,
        first_of_burst,
        staircase: turns.and_then(staircase),
        diagnosis: Diagnosis::Undecided,
    };
    capacity.diagnosis = diagnose(&capacity);
    Some(capacity)
}

fn diagnose(capacity: &Capacity) -> Diagnosis {
    let work = capacity.work_ms();
    let top = capacity.top();
    let (_, (low, _)) = capacity.served;
    let (_, (_, high)) = capacity.served_high;
    if low > SERIAL_BELOW {
        return Diagnosis::Parallel;
    }
    // Were the target perfectly parallel, so many would be served at once at the top step.
    let reach = f64::from(top.n) * work / capacity.solo_ms;
    if work < WORK_MS_MIN || reach < REACH_MIN.min(f64::from(top.n) / 2.0) {
        return Diagnosis::TooFast;
    }
    if top.n < TOP_MIN {
        return Diagnosis::TooShort;
    }
    // A serial target gains what the path takes, and its response grows as concurrency does.
    let path = capacity.solo_ms / work;
    let flat = capacity.gain() < GAIN_MAX * path;
    let proportional = capacity.growth() >= PROPORTION_MIN * f64::from(top.n) / path;
    if high < SERIAL_BELOW && flat && proportional {
        return match capacity.first_of_burst {
            Some(ratio) if ratio >= TOGETHER_FROM && !capacity.ends_in_turns() => Diagnosis::Shared,
            _ => Diagnosis::Serial,
        };
    }
    Diagnosis::Undecided
}

fn rungs(phase: &PhaseResult, work_ms: f64, floor_ms: f64) -> Vec<Rung> {
    let Shape::Ladder { connections, .. } = &phase.phase.shape else {
        return Vec::new();
    };
    connections
        .iter()
        .enumerate()
        .filter_map(|(step, &n)| rung(phase, step as u16, n, (work_ms, floor_ms)))
        .collect()
}

fn rung(phase: &PhaseResult, step: u16, n: u32, (work_ms, floor_ms): (f64, f64)) -> Option<Rung> {
    let times = match phase.phase.scenarios.as_slice() {
        [one] => Timings::of(phase, &one.name),
        // Of a mix the throughput is that of all.
        _ => Timings::all(phase),
    };
    let times = times.step(step);
    let response = times.response_ms();
    let least = if n == 1 { ALONE_MIN } else { ANSWERS_MIN };
    if response.len() < least.max(n as usize) {
        return None;
    }
    let per_s = times.per_s();
    let busy_ms = 1000.0 * times.span_s() - floor_ms;
    let ends_ms = times.ends_ms();
    Some(Rung {
        n,
        per_s,
        response_ms: mean(&response),
        median: order::estimate(&response, 0.5, 0.95)?,
        good: response.len(),
        tally: times.tally(),
        served: response.len() as f64 * work_ms / busy_ms,
        overlap: overlap(times),
        busy_ms,
        ends_ms: ends_ms.iter().map(|end| (end - floor_ms).max(0.0)).collect(),
    })
}

/// The steps at high concurrency; the top one when none is high.
fn high(rungs: &[Rung]) -> impl Iterator<Item = &Rung> {
    let from = rungs.last().map_or(0, |top| top.n.min(TOP_MIN));
    rungs.iter().filter(move |r| r.n >= from)
}

/// Served at once: n times the mean work over the makespan, that is mean work over the mean time from one end to the next.
/// The interval resamples the times alone, and short blocks of ends, because ends that follow one another are not
/// independent.
fn served(work_ms: &[f64], rungs: &[&Rung], seed: u64) -> (f64, (f64, f64)) {
    const RESAMPLES: usize = 400;
    let gaps: Vec<f64> = rungs.iter().flat_map(|r| gaps(r)).collect();
    let good: f64 = rungs.iter().map(|r| r.good as f64).sum();
    let busy_ms: f64 = rungs.iter().map(|r| r.busy_ms).sum();
    let served = mean(work_ms) * good / busy_ms;
    match bootstrap::of_ratio(work_ms, &gaps, RESAMPLES, 0.95, seed) {
        Some((low, high)) => (served, (low.min(served), high.max(served))),
        None => (
            served,
            (0.0, rungs.iter().map(|r| f64::from(r.n)).fold(served, f64::max)),
        ),
    }
}

/// Mean times from one end to the next, in blocks of a few ends, in ms.
fn gaps(rung: &Rung) -> Vec<f64> {
    let per_block = (rung.n as usize / 2).clamp(4, 16).max(rung.good / 100);
    let mut ends = vec![0.0];
    ends.extend_from_slice(&rung.ends_ms);
    let marks: Vec<f64> = ends.iter().step_by(per_block).copied().collect();
    marks
        .windows(2)
        .map(|w| (w[1] - w[0]) / per_block as f64)
        .collect()
}

/// How long the first answer of a burst takes, over the time alone: about 1 when requests take turns or each has a server
/// of its own, about the size of the burst over the cores when all are worked on together.
fn first_of_burst(turns: &PhaseResult, solo_ms: f64) -> Option<f64> {
    let firsts: Vec<f64> = staircases(turns)
        .iter()
        .filter_map(|s| s.ends_ms.first().copied())
        .collect();
    (firsts.len() >= 2).then(|| mean(&firsts) / solo_ms)
}

/// The same of the first answer of each step. There are few steps, so that each must say it: a step of `n` whose requests take
/// turns has its first answer after the time of one, and hardly ever after that of `n / 2`.
fn first_of_steps(rungs: &[Rung], work_ms: f64) -> Option<f64> {
    let ratios: Vec<f64> = rungs
        .iter()
        .filter(|rung| rung.n >= STEP_TOGETHER_MIN)
        .filter_map(|rung| Some((rung.n, rung.ends_ms.first()? / work_ms)))
        .map(|(n, ratio)| if ratio >= f64::from(n) / 2.0 { ratio } else { 0.0 })
        .collect();
    (ratios.len() >= 2 && ratios.iter().all(|ratio| *ratio > 0.0)).then(|| mean(&ratios))
}

#[cfg(test)]
mod tests {
    use super::{LadderStep, is_used_up};

    /// Whether throughput is used up on a ladder of these steps, of a target with that throughput at `n` at a time and 100 ms alone.
    fn used_up(top: u32, per_s: impl Fn(f64) -> f64) -> bool {
        let steps: Vec<LadderStep> = [1, 2, 4, 8, 16, 32, 64, 128]
            .into_iter()
            .filter(|n| *n <= top)
            .map(|n| LadderStep {
                n,
                per_s: per_s(f64::from(n)),
                response_ms: 0.0,
                good: 100,
            })
            .collect();
        let highest = steps.iter().map(|s| s.per_s).fold(0.0, f64::max);
        is_used_up(&steps, highest * 0.1)
    }

    #[test]
    fn a_knee_needs_steps_beyond_it_that_gain_nothing() {
        for (slots, top, expected) in [
            (1.0, 16, true),
            (4.0, 16, true),
            (8.0, 16, true),
            (12.0, 16, false),
            (16.0, 16, false),
            (1000.0, 16, false),
            (16.0, 64, true),
            (8.0, 8, false),
        ] {
            assert_eq!(
                used_up(top, |n| 10.0 * n.min(slots)),
                expected,
                "{slots} slots, up to {top}"
            );
            // A twentieth of noise, either way.
            let noisy = |n: f64| 10.0 * n.min(slots) * if n.log2() % 2.0 < 0.5 { 1.05 } else { 0.95 };
            assert_eq!(
                used_up(top, noisy),
                expected,
                "{slots} slots with noise, up to {top}"
            );
        }
        assert!(!is_used_up(&[], 4.0));
    }

    #[test]
    fn a_batch_that_grows_is_not_used_up_where_its_bounds_meet() {
        // Each in the batch makes it a twentieth slower: at the 18 where the bounds meet it has half its throughput.
        assert!(!used_up(128, |n| 10.5 * n / (1.0 + 0.05 * n)));
    }
}
