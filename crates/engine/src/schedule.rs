//! When open-loop arrivals are due: a pure function of rates, spacing and seed. Knows no clock and no socket.
//!
//! Arrivals are made in operational time: the cumulative rate is inverted at 0, 1, 2, ... (even spacing) or at the
//! partial sums of unit exponentials (a Poisson process of that rate, by the time-change theorem).

use prony_model::{Arrivals, Nanos, Stage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Position in the schedule, from 0.
    pub seq: u64,
    /// When it is due, since the start of the schedule.
    pub at: Nanos,
    /// Index of the stage it belongs to.
    pub step: u16,
}

/// A stretch in which the rate is linear in time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    start_s: f64,
    duration_s: f64,
    from: f64,
    to: f64,
    /// Arrivals before it.
    before: f64,
    step: u16,
}

impl Segment {
    fn arrivals(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.duration_s
    }

    /// When the cumulative rate of the segment reaches `mass`: the root of (to-from)/2d t^2 + from t = mass, in the
    /// form that does not cancel.
    fn time_of(&self, mass: f64) -> f64 {
        let bend = (self.to - self.from) / self.duration_s;
        let root = (self.from * self.from + 2.0 * bend * mass).max(0.0).sqrt();
        let denominator = self.from + root;
        let t = if denominator > 0.0 {
            2.0 * mass / denominator
        } else {
            0.0
        };
        t.min(self.duration_s)
    }
}

/// An endless-memory-free schedule: arrivals are computed as they are asked for.
#[derive(Clone, Debug)]
pub struct Schedule {
    segments: Vec<Segment>,
    segment: usize,
    arrivals: Arrivals,
    rng: ChaCha8Rng,
    mass: f64,
    seq: u64,
    shard: (u64, u64),
}

impl Schedule {
    /// From stages. `rate_max` cuts every rate; 0 means no cut.
    pub fn new(stages: &[Stage], arrivals: Arrivals, rate_max: f64, seed: u64) -> Self {
        let mut segments = Vec::new();
        let (mut start_s, mut before) = (0.0, 0.0);
        let mut previous = stages.first().map_or(0.0, |s| s.rate.max(0.0));
        for (step, stage) in stages.iter().enumerate() {
            let to = stage.rate.max(0.0);
            let from = if stage.jump { to } else { previous };
            for (from, to, duration_s) in cut(from, to, stage.duration_s.max(0.0), rate_max) {
                if duration_s > 0.0 {
                    let segment = Segment {
                        start_s,
                        duration_s,
                        from,
                        to,
                        before,
                        step: step as u16,
                    };
                    before += segment.arrivals();
                    start_s += duration_s;
                    segments.push(segment);
                }
            }
            previous = to;
        }
        let mut schedule = Self {
            segments,
            segment: 0,
            arrivals,
            rng: ChaCha8Rng::seed_from_u64(seed),
            mass: 0.0,
            seq: 0,
            shard: (0, 1),
        };
        if arrivals == Arrivals::Poisson {
            schedule.mass = schedule.gap();
        }
        schedule
    }

    /// The part of it that worker `index` of `count` sends. The parts are disjoint and together are the whole.
    #[must_use]
    pub fn shard(mut self, index: u64, count: u64) -> Self {
        self.shard = (index, count.max(1));
        self
    }

    /// Its length in time.
    pub fn duration(&self) -> Nanos {
        Nanos::from_secs_f64(self.segments.iter().map(|s| s.duration_s).sum())
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => 1.0,
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Arrivals::Poisson => -(1.0 - self.rng.random::<f64>()).ln(),
        }
    }

    fn next_of_all(&mut self) -> Option<Arrival> {
        loop {
            let segment = self.segments.get(self.segment)?;
            let inside = self.mass - segment.before;
            // A hair of tolerance: 0.1/s over 10 s is one arrival, not two, whatever the rounding.
            if inside < segment.arrivals() - 1e-9 {
                let at = Nanos::from_secs_f64(segment.start_s + segment.time_of(inside));
                let arrival = Arrival {
                    seq: self.seq,
                    at,
                    step: segment.step,
                };
                self.seq += 1;
                self.mass += self.gap();
                return Some(arrival);
            }
            self.segment += 1;
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (index, count) = self.shard;
        loop {
            let arrival = self.next_of_all()?;
            if arrival.seq % count == index {
                return Some(arrival);
            }
        }
    }
}

/// A linear stretch cut off at `rate_max`, as one or two stretches of the same total length.
fn cut(from: f64, to: f64, duration_s: f64, rate_max: f64) -> Vec<(f64, f64, f64)> {
    if rate_max <= 0.0 || (from <= rate_max && to <= rate_max) {
        return vec![(from, to, duration_s)];
    }
    if from >= rate_max && to >= rate_max {
        return vec![(rate_max, rate_max, duration_s)];
    }
    let crossing = duration_s * (rate_max - from) / (to - from);
    if from < rate_max {
        vec![
            (from, rate_max, crossing),
            (rate_max, rate_max, duration_s - crossing),
        ]
    } else {
        vec![
            (rate_max, rate_max, crossing),
            (rate_max, to, duration_s - crossing),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use prony_model::{Arrivals, Nanos, Stage};
    use proptest::prelude::*;

    fn flat(rate: f64, duration_s: f64) -> Vec<Stage> {
        vec![Stage {
            rate,
            duration_s,
            jump: false,
        }]
    }

    #[test]
    fn even_spacing_is_exact() {
        let all: Vec<_> = Schedule::new(&flat(1000.0, 2.0), Arrivals::Constant, 0.0, 1).collect();
        assert_eq!(all.len(), 2000);
        for (k, a) in all.iter().enumerate() {
            assert_eq!(a.seq, k as u64);
            assert!(a.at.0.abs_diff(k as u64 * 1_000_000) <= 1, "{a:?}");
        }
    }

    #[test]
    fn poisson_has_the_rate_and_the_variance() {
        let all: Vec<_> = Schedule::new(&flat(2000.0, 50.0), Arrivals::Poisson, 0.0, 7).collect();
        let gaps: Vec<f64> = all
            .windows(2)
            .map(|w| (w[1].at - w[0].at).as_secs_f64())
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let sd = (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        // 100,000 gaps: both within five standard errors (1.6 % and 2.2 %).
        assert!((mean * 2000.0 - 1.0).abs() < 0.016, "{mean}");
        assert!((sd / mean - 1.0).abs() < 0.022, "{sd} {mean}");
    }

    #[test]
    fn ramps_jumps_and_the_cap() {
        let stages = [
            Stage {
                rate: 100.0,
                duration_s: 1.0,
                jump: false,
            },
            Stage {
                rate: 300.0,
                duration_s: 2.0,
                jump: false,
            },
            Stage {
                rate: 50.0,
                duration_s: 2.0,
                jump: true,
            },
        ];
        let count = |rate_max, step| {
            Schedule::new(&stages, Arrivals::Constant, rate_max, 1)
                .filter(|a| a.step == step)
                .count()
        };
        assert_eq!([count(0.0, 0), count(0.0, 1), count(0.0, 2)], [100, 400, 100]);
        // Capped at 200: the ramp reaches it after one second (150 arrivals), then 200 more.
        assert_eq!(
            [count(200.0, 0), count(200.0, 1), count(200.0, 2)],
            [100, 350, 100]
        );
        let last = Schedule::new(&stages, Arrivals::Constant, 0.0, 1).last().unwrap();
        assert!(last.at < Nanos::from_secs_f64(5.0) && last.at > Nanos::from_secs_f64(4.9));
    }

    #[test]
    fn the_seed_decides() {
        let first = |seed| {
            Schedule::new(&flat(10.0, 10.0), Arrivals::Poisson, 0.0, seed)
                .next()
                .unwrap()
                .at
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    proptest! {
        #[test]
        fn shards_partition_the_schedule(
            seed in any::<u64>(), shards in 1_u64..6, rates in prop::collection::vec(0.0_f64..400.0, 1..4), poisson in any::<bool>(),
        ) {
            let stages: Vec<_> = rates.iter().map(|&rate| Stage { rate, duration_s: 0.5, jump: false }).collect();
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let whole: Vec<_> = Schedule::new(&stages, arrivals, 0.0, seed).collect();
            let mut parts: Vec<_> = (0..shards)
                .flat_map(|i| Schedule::new(&stages, arrivals, 0.0, seed).shard(i, shards))
                .collect();
            parts.sort_by_key(|a| a.seq);
            prop_assert_eq!(&parts, &whole);
            prop_assert!(whole.windows(2).all(|w| w[0].at <= w[1].at));
        }
    }
}
