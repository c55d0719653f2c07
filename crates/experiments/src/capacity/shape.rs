//! What a closed-loop ladder says of a target beside its highest throughput: the curve over concurrency and its peak, and
//! the queue in closed form that would behave alike. Arithmetic, no words.

use prony_model::{PhaseResult, Shape};
use prony_stats::erlang::Queue;
use prony_stats::usl::{self, Intervals, Usl};

use crate::ladder::{LadderStep, is_used_up, steps};
use crate::objective::Objective;
use crate::timings::Timings;

/// Resamples of the curve's intervals.
const RESAMPLES: usize = 1000;

/// A target as a ladder shows it.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    /// Highest throughput, per second.
    pub x_max: f64,
    /// Mean response of one at a time, in s.
    pub alone_s: f64,
    /// The steps.
    pub steps: Vec<LadderStep>,
}

/// The fitted curve of throughput over concurrency.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    pub usl: Usl,
    pub intervals: Intervals,
    /// Largest concurrency measured.
    pub n_max: f64,
}

/// Where throughput is largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Peak {
    /// Between concurrencies that were measured, with its interval.
    At(f64, (f64, f64)),
    /// The cost of agreement may be none: no peak was seen.
    NotSeen,
    /// The curve bends, but no concurrency beyond its peak was measured.
    Beyond,
}

impl Slots {
    /// From a ladder that has its step of one at a time.
    pub(super) fn of(ladder: &PhaseResult) -> Option<Self> {
        let steps = steps(ladder);
        let first = *steps.first().filter(|s| s.n == 1)?;
        let x_max = steps.iter().map(|s| s.per_s).max_by(f64::total_cmp)?;
        Some(Self {
            x_max,
            alone_s: first.response_ms / 1000.0,
            steps,
        })
    }

    /// Concurrency at which throughput is about used up: X_max R(1).
    pub(super) fn knee(&self) -> f64 {
        self.x_max * self.alone_s
    }

    /// Whether the ladder went on until throughput was used up; else there are at least so many slots.
    pub(super) fn is_saturated(&self) -> bool {
        is_used_up(&self.steps, self.knee())
    }

    /// The highest concurrency.
    pub(super) fn most(&self) -> u32 {
        self.steps.iter().map(|s| s.n).max().unwrap_or(0)
    }

    /// That as a number of slots.
    pub(super) fn count(&self) -> u32 {
        self.knee().round().max(1.0) as u32
    }

    /// The highest Poisson rate at which so many slots with exponential times of that mean, and an endless queue, keep the
    /// objective (M/M/c); `None` when not even an empty one does.
    pub(super) fn model_rate(&self, objective: &Objective) -> Option<f64> {
        let keeps = |rate: f64| {
            Queue::new(self.count(), rate, self.alone_s)
                .is_some_and(|q| q.response_tail(objective.limit_ms / 1000.0) <= objective.allowed())
        };
        let (mut low, mut high) = (0.0, f64::from(self.count()) / self.alone_s);
        if !keeps(low) {
            return None;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if keeps(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// The curve; `None` with fewer than six concurrencies.
    pub(super) fn curve(&self, seed: u64) -> Option<Curve> {
        let n: Vec<f64> = self.steps.iter().map(|s| f64::from(s.n)).collect();
        let x: Vec<f64> = self.steps.iter().map(|s| s.per_s).collect();
        Some(Curve {
            usl: usl::fit(&n, &x)?,
            intervals: usl::intervals(&n, &x, RESAMPLES, 0.95, seed)?,
            n_max: n.iter().copied().fold(0.0, f64::max),
        })
    }
}

/// Good answers of a step, at least, for a throughput that only says where to begin.
const ROUGH_ANSWERS_MIN: usize = 3;

/// The highest throughput of a ladder by steps that may be too thin for a curve, per second: of streams that take seconds, a step
/// has few.
pub(super) fn throughput(ladder: &PhaseResult) -> Option<f64> {
    let Shape::Ladder { connections, .. } = &ladder.phase.shape else {
        return None;
    };
    let per_s = |step: usize| {
        let times = Timings::all(ladder).step(step as u16);
        (times.good().count() >= ROUGH_ANSWERS_MIN).then(|| times.per_s())
    };
    (0..connections.len()).filter_map(per_s).max_by(f64::total_cmp)
}

impl Curve {
    pub(super) fn peak(&self) -> Peak {
        match self.usl.peak() {
            Some(_) if self.intervals.beta.0 <= 0.0 => Peak::NotSeen,
            Some(peak) if peak < self.n_max => Peak::At(peak, self.intervals.peak),
            Some(_) => Peak::Beyond,
            None => Peak::NotSeen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Peak, Slots};
    use crate::ladder::LadderStep;
    use crate::objective::Objective;

    fn slots(curve: impl Fn(f64) -> f64, concurrency: &[u32]) -> Slots {
        let steps: Vec<LadderStep> = concurrency
            .iter()
            .map(|&n| LadderStep {
                n,
                per_s: curve(f64::from(n)),
                response_ms: 1000.0 * f64::from(n) / curve(f64::from(n)),
                good: 100,
            })
            .collect();
        Slots {
            x_max: steps.iter().map(|s| s.per_s).fold(0.0, f64::max),
            alone_s: steps[0].response_ms / 1000.0,
            steps,
        }
    }

    /// Peak at sqrt(0.98 / 0.0008) = 35; 1 % of noise that alternates.
    fn bent(n: f64) -> f64 {
        let noise = if n.log2().rem_euclid(2.0) < 0.5 {
            1.01
        } else {
            0.99
        };
        100.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.0008 * n * (n - 1.0)) * noise
    }

    #[test]
    fn a_peak_is_told_only_when_a_step_lies_beyond_it() {
        let wide = slots(bent, &[1, 2, 4, 8, 16, 32, 64, 128]).curve(1).unwrap();
        let Peak::At(peak, (low, high)) = wide.peak() else {
            panic!("{wide:?}")
        };
        assert!(
            low <= 35.0 && 35.0 <= high && (peak / 35.0 - 1.0).abs() < 0.1,
            "{peak}"
        );
        let narrow = slots(bent, &[1, 2, 4, 8, 16, 32]).curve(1).unwrap();
        assert!(!matches!(narrow.peak(), Peak::At(..)), "{narrow:?}");
        assert!(slots(bent, &[1, 2, 4, 8, 16]).curve(1).is_none());
        let straight = slots(|n| 10.0 * n, &[1, 2, 4, 8, 16, 32]).curve(1).unwrap();
        assert_eq!(straight.peak(), Peak::NotSeen);
    }

    #[test]
    fn four_slots_keep_six_service_times_up_to_the_known_rate() {
        // Of M/M/4 with p95 <= 6 service times: 0.855 of what four slots can do at most.
        let four = slots(|n| 100.0 * n.min(4.0), &[1, 2, 4, 8]);
        assert_eq!(four.count(), 4);
        let objective = Objective::new(None, Some(60.0), None).unwrap();
        let rate = four.model_rate(&objective).unwrap();
        assert!((rate / 400.0 - 0.855).abs() < 0.001, "{rate}");
        let strict = Objective::new(None, Some(5.0), None).unwrap();
        assert_eq!(four.model_rate(&strict), None);
    }

    #[test]
    fn slots_are_counted_only_where_throughput_stopped_rising() {
        let of = |slots: f64| self::slots(move |n| 100.0 * n.min(slots), &[1, 2, 4, 8, 16, 32]);
        assert!(of(4.0).is_saturated() && of(16.0).is_saturated());
        assert!(!of(32.0).is_saturated() && !of(500.0).is_saturated());
        assert_eq!(of(500.0).most(), 32);
    }
}
