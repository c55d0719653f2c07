//! When open-loop arrivals are due: a pure function of rates, spacing and seed. Knows no clock and no socket.
//!
//! Arrivals are made in operational time: the cumulative rate is inverted at 0, 1, 2, ... (even spacing) or at the
//! partial sums of unit exponentials (a Poisson process of that rate, by the time-change theorem), or of gamma variates
//! with mean 1 (a renewal process; gaps of mean 1/rate and shape `burstiness`, as in vLLM's benchmark). Or they are
//! those of a trace.

use std::sync::Arc;

use prony_model::{Arrivals, Nanos, Stage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma};

use crate::trace::Trace;

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

/// A schedule that needs no memory per arrival, but for a trace: arrivals are computed as they are asked for.
#[derive(Clone, Debug)]
pub struct Schedule {
    pace: Pace,
    seq: u64,
    /// Arrivals from this number on do not happen.
    limit: u64,
    shard: (u64, u64),
}

#[derive(Clone, Debug)]
enum Pace {
    Rates(Box<Rates>),
    Trace(Arc<Trace>),
}

#[derive(Clone, Debug)]
struct Rates {
    segments: Vec<Segment>,
    segment: usize,
    gaps: Gaps,
    rng: ChaCha8Rng,
    mass: f64,
}

/// Gaps between arrivals in operational time, of mean 1.
#[derive(Clone, Copy, Debug)]
enum Gaps {
    Even,
    Exponential,
    Gamma(Gamma<f64>),
}

impl Gaps {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Even => 1.0,
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Self::Exponential => -(1.0 - rng.random::<f64>()).ln(),
            Self::Gamma(gamma) => gamma.sample(rng),
        }
    }
}

impl Schedule {
    /// From stages; the first ramps from the rate `from`. `rate_max` cuts every rate; 0 means no cut.
    pub fn new(from: f64, stages: &[Stage], arrivals: Arrivals, rate_max: f64, seed: u64) -> Self {
        let mut segments = Vec::new();
        let (mut start_s, mut before) = (0.0, 0.0);
        let mut previous = from.max(0.0);
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
        let gaps = match arrivals {
            Arrivals::Constant => Gaps::Even,
            Arrivals::Poisson => Gaps::Exponential,
            // What is no burstiness was refused before; Poisson is its neutral value.
            Arrivals::Gamma { burstiness } => {
                Gamma::new(burstiness, burstiness.recip()).map_or(Gaps::Exponential, Gaps::Gamma)
            }
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mass = match gaps {
            Gaps::Even => 0.0,
            _ => gaps.draw(&mut rng),
        };
        let rates = Rates {
            segments,
            segment: 0,
            gaps,
            rng,
            mass,
        };
        Self::of(Pace::Rates(Box::new(rates)))
    }

    /// The arrivals of a trace.
    pub fn replay(trace: Arc<Trace>) -> Self {
        Self::of(Pace::Trace(trace))
    }

    fn of(pace: Pace) -> Self {
        Self {
            pace,
            seq: 0,
            limit: u64::MAX,
            shard: (0, 1),
        }
    }

    /// The part of it that worker `index` of `count` sends. The parts are disjoint and together are the whole.
    #[must_use]
    pub fn shard(mut self, index: u64, count: u64) -> Self {
        self.shard = (index, count.max(1));
        self
    }

    /// Without the arrivals from number `limit` on.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Its length in time.
    pub fn duration(&self) -> Nanos {
        match &self.pace {
            Pace::Rates(rates) => Nanos::from_secs_f64(rates.segments.iter().map(|s| s.duration_s).sum()),
            Pace::Trace(trace) => trace.times.last().copied().unwrap_or_default(),
        }
    }

    fn next_of_all(&mut self) -> Option<Arrival> {
        if self.seq >= self.limit {
            return None;
        }
        let (at, step) = match &mut self.pace {
            Pace::Rates(rates) => rates.next()?,
            Pace::Trace(trace) => (*trace.times.get(self.seq as usize)?, 0),
        };
        let seq = self.seq;
        self.seq += 1;
        Some(Arrival { seq, at, step })
    }
}

impl Rates {
    fn next(&mut self) -> Option<(Nanos, u16)> {
        loop {
            let segment = self.segments.get(self.segment)?;
            let inside = self.mass - segment.before;
            // A hair of tolerance: 0.1/s over 10 s is one arrival, not two, whatever the rounding.
            if inside < segment.arrivals() - 1e-9 {
                let at = Nanos::from_secs_f64(segment.start_s + segment.time_of(inside));
                let step = segment.step;
                self.mass += self.gaps.draw(&mut self.rng);
                return Some((at, step));
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
    use std::sync::Arc;

    use super::Schedule;
    use crate::trace::Trace;
    use prony_model::{Arrivals, Nanos, Stage};
    use proptest::prelude::*;

    fn flat(rate: f64, duration_s: f64) -> Vec<Stage> {
        vec![Stage {
            rate,
            duration_s,
            jump: false,
        }]
    }

    fn jump(rate: f64, duration_s: f64) -> Vec<Stage> {
        vec![Stage {
            rate,
            duration_s,
            jump: true,
        }]
    }

    /// Mean and coefficient of variation of the gaps, in units of the mean gap that the rate asks for.
    fn gaps(arrivals: Arrivals, seed: u64) -> (f64, f64) {
        let all: Vec<_> = Schedule::new(0.0, &jump(2000.0, 50.0), arrivals, 0.0, seed).collect();
        let gaps: Vec<f64> = all
            .windows(2)
            .map(|w| (w[1].at - w[0].at).as_secs_f64())
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        (mean * 2000.0, variance.sqrt() / mean)
    }

    #[test]
    fn gamma_gaps_have_the_rate_and_the_burstiness() {
        // Mean 1 and coefficient of variation 1/sqrt(burstiness), as for a gamma variate of that shape. With 100,000
        // gaps the mean is known to cv/sqrt(n), so five standard errors are 1.6 % of cv; the coefficient of variation
        // of the burstiest (excess kurtosis 6/0.25 = 24) to 0.9 %, so five standard errors are 4.5 %.
        for burstiness in [0.25, 0.5, 1.0, 4.0] {
            let (mean, cv) = gaps(Arrivals::Gamma { burstiness }, 11);
            let expected = 1.0 / burstiness.sqrt();
            assert!((mean - 1.0).abs() < 0.016 * expected, "{burstiness}: {mean}");
            assert!((cv / expected - 1.0).abs() < 0.045, "{burstiness}: {cv}");
        }
    }

    #[test]
    fn a_trace_keeps_its_times_and_numbers() {
        let trace = Arc::new(Trace {
            times: vec![Nanos(0), Nanos(5), Nanos(5), Nanos(90)],
            scenarios: Vec::new(),
        });
        let all: Vec<_> = Schedule::replay(Arc::clone(&trace))
            .map(|a| (a.seq, a.at.0, a.step))
            .collect();
        assert_eq!(all, [(0, 0, 0), (1, 5, 0), (2, 5, 0), (3, 90, 0)]);
        assert_eq!(Schedule::replay(Arc::clone(&trace)).duration(), Nanos(90));
        let mine: Vec<_> = Schedule::replay(trace)
            .limit(3)
            .shard(1, 2)
            .map(|a| a.seq)
            .collect();
        assert_eq!(mine, [1]);
    }

    #[test]
    fn even_spacing_is_exact() {
        let all: Vec<_> = Schedule::new(1000.0, &flat(1000.0, 2.0), Arrivals::Constant, 0.0, 1).collect();
        assert_eq!(all.len(), 2000);
        for (k, a) in all.iter().enumerate() {
            assert_eq!(a.seq, k as u64);
            assert!(a.at.0.abs_diff(k as u64 * 1_000_000) <= 1, "{a:?}");
        }
    }

    #[test]
    fn poisson_has_the_rate_and_the_variance() {
        let (mean, cv) = gaps(Arrivals::Poisson, 7);
        // 100,000 gaps: both within five standard errors (1.6 % and 2.2 %).
        assert!((mean - 1.0).abs() < 0.016, "{mean}");
        assert!((cv - 1.0).abs() < 0.022, "{cv}");
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
            Schedule::new(100.0, &stages, Arrivals::Constant, rate_max, 1)
                .filter(|a| a.step == step)
                .count()
        };
        assert_eq!([count(0.0, 0), count(0.0, 1), count(0.0, 2)], [100, 400, 100]);
        // Capped at 200: the ramp reaches it after one second (150 arrivals), then 200 more.
        assert_eq!(
            [count(200.0, 0), count(200.0, 1), count(200.0, 2)],
            [100, 350, 100]
        );
        let last = Schedule::new(100.0, &stages, Arrivals::Constant, 0.0, 1)
            .last()
            .unwrap();
        assert!(last.at < Nanos::from_secs_f64(5.0) && last.at > Nanos::from_secs_f64(4.9));
    }

    #[test]
    fn the_seed_decides() {
        let first = |seed| {
            Schedule::new(10.0, &flat(10.0, 10.0), Arrivals::Poisson, 0.0, seed)
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
            seed in any::<u64>(), shards in 1_u64..6, rates in prop::collection::vec(0.0_f64..400.0, 1..4),
            kind in 0_u8..4, limit in 0_u64..400,
        ) {
            let stages: Vec<_> = rates.iter().map(|&rate| Stage { rate, duration_s: 0.5, jump: false }).collect();
            let schedule = match kind {
                0 => Schedule::new(5.0, &stages, Arrivals::Poisson, 0.0, seed),
                1 => Schedule::new(5.0, &stages, Arrivals::Constant, 0.0, seed),
                2 => Schedule::new(5.0, &stages, Arrivals::Gamma { burstiness: 0.3 }, 0.0, seed),
                _ => {
                    let times = rates.iter().scan(0.0, |at, gap| { *at += gap; Some(Nanos(*at as u64)) }).collect();
                    Schedule::replay(Arc::new(Trace { times, scenarios: Vec::new() }))
                }
            };
            let schedule = schedule.limit(limit);
            let whole: Vec<_> = schedule.clone().collect();
            let mut parts: Vec<_> = (0..shards).flat_map(|i| schedule.clone().shard(i, shards)).collect();
            parts.sort_by_key(|a| a.seq);
            prop_assert_eq!(&parts, &whole);
            prop_assert!(whole.windows(2).all(|w| w[0].at <= w[1].at && w[0].seq + 1 == w[1].seq));
        }
    }
}
