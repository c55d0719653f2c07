//! What a limiter lets through of more than it allows: evenly, at a rate, or all at once, as a quota of a window of time. Arithmetic
//! on recorded samples, no words.

use prony_model::{Outcome, PhaseResult, Sample, Shape};
use prony_stats::binomial;

use super::refused;
use crate::metric::CONFIDENCE;

/// A pause between two that were let through, in times of the mean one, from which on it parts two spells.
const APART: f64 = 3.0;
/// Spells below which their rate is that of the moment in which they were seen. So many pass in the half of a phase, and each is
/// then over within the part of the phase below the limit that is left to recover in.
const SPELLS_MIN: usize = 5;
/// Refusals in a row after which what is let through shows that the limit recovers, and no race.
const IN_A_ROW: usize = 3;

/// What was let through of a phase over the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Through {
    /// So many per second, in its second half. What a bucket had saved up is gone by then.
    Rate {
        /// Per second.
        per_s: f64,
        /// Its interval.
        interval: (f64, f64),
        /// How many were sent.
        sent: usize,
    },
    /// Nothing any more, or most of it at once: no rate can be told.
    Quota {
        /// Let through in all of it.
        good: usize,
        /// How many were sent.
        sent: usize,
        /// In how many seconds.
        seconds: f64,
    },
}

/// Of a phase of constant rate; `None` when nothing was refused in its second half.
pub(super) fn let_through(phase: &PhaseResult) -> Option<Through> {
    let Shape::Open { rate, .. } = phase.phase.shape else {
        return None;
    };
    let part = |samples: &[Sample]| {
        let answered = samples.iter().filter(|s| !s.outcome.is_own()).count();
        let good = samples.iter().filter(|s| s.outcome == Outcome::Ok);
        let good: Vec<f64> = good.map(|s| s.intended.as_secs_f64()).collect();
        (answered, good)
    };
    let later = &phase.samples[phase.samples.len() / 2..];
    let (sent, good) = part(later);
    if sent == 0 || good.len() == sent {
        return None;
    }
    let quota = || {
        let (sent, good) = part(&phase.samples);
        Through::Quota {
            good: good.len(),
            sent,
            seconds: sent as f64 / rate,
        }
    };
    let (low, high) = binomial::clopper_pearson(good.len() as u64, sent as u64, CONFIDENCE);
    let share = rate * good.len() as f64 / sent as f64;
    let (per_s, most) = match good.as_slice() {
        [] => return Some(quota()),
        [first, .., last] => {
            // From the first to the last that was let through: a limit lets them through evenly.
            let gap_s = (last - first) / (good.len() - 1) as f64;
            let ends = (later.first()?.intended, later.last()?.intended);
            let pauses = Pauses::of(&good, (ends.0.as_secs_f64(), ends.1.as_secs_f64()));
            let apart_s = APART * gap_s + 2.0 / rate;
            if pauses.longest() <= apart_s {
                // A limiter may have been ready up to one request earlier each time.
                (1.0 / gap_s, 1.0 / (gap_s - 1.0 / rate))
            } else if pauses.are_regular(apart_s) {
                (share, 0.0)
            } else {
                return Some(quota());
            }
        }
        [_] => (share, 0.0),
    };
    let high = if most.is_finite() {
        most.max(rate * high)
    } else {
        rate
    };
    Some(Through::Rate {
        per_s,
        interval: (rate * low, high.min(rate)),
        sent,
    })
}

/// Whether a limiter let something through again after it had refused for a while.
pub(super) fn recovers<'a>(phases: impl Iterator<Item = &'a PhaseResult>) -> bool {
    let mut in_a_row = 0;
    for sample in phases.flat_map(|phase| &phase.samples) {
        if refused(sample) {
            in_a_row += 1;
        } else if sample.outcome == Outcome::Ok {
            if in_a_row >= IN_A_ROW {
                return true;
            }
            in_a_row = 0;
        }
    }
    false
}

/// The times in which nothing was let through, in seconds: before the first, between two, and after the last.
struct Pauses {
    before: f64,
    between: Vec<f64>,
    after: f64,
}

impl Pauses {
    fn of(good: &[f64], (begin, end): (f64, f64)) -> Self {
        Self {
            before: good.first().map_or(0.0, |first| first - begin),
            between: good.windows(2).map(|pair| pair[1] - pair[0]).collect(),
            after: good.last().map_or(0.0, |last| end - last),
        }
    }

    fn longest(&self) -> f64 {
        self.between
            .iter()
            .copied()
            .fold(self.before.max(self.after), f64::max)
    }

    /// Whether many spells follow one another and none of them holds the most of what was let through.
    fn are_regular(&self, apart_s: f64) -> bool {
        let mut spells = vec![1];
        for pause in &self.between {
            match spells.last_mut() {
                Some(last) if *pause <= apart_s => *last += 1,
                _ => spells.push(1),
            }
        }
        let all: usize = spells.iter().sum();
        spells.len() >= SPELLS_MIN && spells.iter().all(|n| 2 * n < all)
    }
}
