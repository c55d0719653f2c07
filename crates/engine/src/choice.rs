//! Which scenario and item arrival `seq` takes: a pure function of the seed and the number. Knows no time.
//!
//! Every prefix of the arrivals holds each scenario in proportion to its weight, to within one arrival: the
//! scenario that is furthest behind its share is next. So `n` requests over `n` scenarios of equal weight send each
//! exactly once. Ties are broken by the seed, or by position where the phase sends one request at a time.

use std::sync::Arc;

use prony_model::{Order, Scenario, Shape};

use crate::trace::Trace;

#[derive(Clone, Debug)]
struct Line {
    items: u64,
    random: bool,
    share: f64,
    taken: u64,
}

impl Line {
    /// The item that `k` falls on, after a turn was taken.
    fn pick(&self, index: usize, k: u64) -> Pick {
        Pick {
            scenario: index as u16,
            item: (k % self.items) as u32,
            turn: self.taken - 1,
        }
    }
}

/// What an arrival takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pick {
    pub(crate) scenario: u16,
    pub(crate) item: u32,
    /// Number among the arrivals of its scenario, from 0.
    pub(crate) turn: u64,
}

/// Who is next among scenarios that are equally far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    /// One drawn from the seed.
    Drawn,
    /// The first.
    InPosition,
    /// Nobody but the first that has items left, whatever the weights.
    OneAfterAnother,
}

/// Hands out scenarios and items for growing arrival numbers. Workers that skip numbers replay the skipped ones, so
/// that all agree without sharing anything.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    lines: Vec<Line>,
    seed: u64,
    turns: Turns,
    next: u64,
    /// Decides the scenarios where it names them.
    trace: Option<Arc<Trace>>,
}

impl Chooser {
    pub(crate) fn new(scenarios: &[Scenario], seed: u64, shape: &Shape) -> Self {
        let turns = match shape {
            Shape::Once { .. } => Turns::OneAfterAnother,
            Shape::Sequential { .. } => Turns::InPosition,
            _ => Turns::Drawn,
        };
        let total: f64 = scenarios.iter().map(weight).sum();
        let lines = scenarios
            .iter()
            .map(|s| Line {
                items: s.arrivals() as u64,
                random: s.order == Order::Random && turns != Turns::OneAfterAnother,
                share: if total > 0.0 {
                    weight(s) / total
                } else {
                    1.0 / scenarios.len() as f64
                },
                taken: 0,
            })
            .collect();
        Self {
            lines,
            seed,
            turns,
            next: 0,
            trace: None,
        }
    }

    /// The same with the scenarios that a trace names.
    #[must_use]
    pub(crate) fn following(mut self, trace: Option<Arc<Trace>>) -> Self {
        self.trace = trace.filter(|trace| !trace.scenarios.is_empty());
        self
    }

    /// Scenario and item of arrival `seq`; `seq` must not be below an earlier one.
    pub(crate) fn pick(&mut self, seq: u64) -> Pick {
        if let [line] = self.lines.as_slice() {
            let k = if line.random { mix(self.seed, seq) } else { seq };
            return Pick {
                scenario: 0,
                item: (k % line.items) as u32,
                turn: seq,
            };
        }
        self.skip_to(seq);
        self.step()
    }

    /// The first arrival that would find its scenario used up, where `lasts` gives the arrivals that each has.
    pub(crate) fn used_up(&self, lasts: &[Option<u64>]) -> u64 {
        let ends = |i: usize| lasts.get(i).copied().flatten();
        if let [_] = self.lines.as_slice() {
            return ends(0).unwrap_or(u64::MAX);
        }
        let taken = self.lines.iter().enumerate().filter(|(_, line)| line.share > 0.0);
        if !taken.clone().any(|(i, _)| ends(i).is_some()) {
            return u64::MAX;
        }
        let mut chooser = self.clone();
        // A trace need not name the scenario at all; then its own end comes first.
        let most = self.trace.as_ref().map_or(u64::MAX, |t| t.len() as u64);
        (0..most)
            .find(|_| {
                let pick = chooser.step();
                ends(pick.scenario.into()).is_some_and(|last| pick.turn >= last)
            })
            .unwrap_or(u64::MAX)
    }

    /// Replays the arrivals before `seq`.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        if self.lines.len() > 1 {
            while self.next < seq {
                self.step();
            }
        }
    }

    fn step(&mut self) -> Pick {
        let seq = self.next;
        self.next += 1;
        if self.turns == Turns::OneAfterAnother {
            let unfinished = self.lines.iter().position(|line| line.taken < line.items);
            let index = unfinished.unwrap_or_default();
            let line = &mut self.lines[index];
            line.taken += 1;
            return line.pick(index, line.taken - 1);
        }
        let index = match &self.trace {
            Some(trace) => usize::from(trace.scenarios[seq as usize % trace.scenarios.len()]),
            None => self.furthest_behind(seq),
        };
        let line = &mut self.lines[index];
        let k = if line.random {
            mix(self.seed.rotate_left(32) ^ index as u64, line.taken)
        } else {
            line.taken
        };
        line.taken += 1;
        line.pick(index, k)
    }

    fn furthest_behind(&self, seq: u64) -> usize {
        let mut best = (f64::NEG_INFINITY, 0_u64, 0_usize);
        for (i, line) in self.lines.iter().enumerate() {
            if line.share <= 0.0 {
                continue;
            }
            let behind = line.share * (seq + 1) as f64 - line.taken as f64;
            let tie = if self.turns == Turns::InPosition {
                u64::MAX - i as u64
            } else {
                mix(self.seed ^ i as u64, seq)
            };
            // Differences of rounding must not break ties.
            if behind > best.0 + 1e-9 || (behind > best.0 - 1e-9 && tie > best.1) {
                best = (behind, tie, i);
            }
        }
        best.2
    }
}

fn weight(scenario: &Scenario) -> f64 {
    if scenario.weight.is_finite() {
        scenario.weight.max(0.0)
    } else {
        0.0
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014) over a seed and a number.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Chooser;
    use prony_model::{Expect, Item, Order, Request, Scenario, Shape};

    const SEQUENTIAL: Shape = Shape::Sequential {
        requests: 0,
        duration_s: None,
    };
    const BURST: Shape = Shape::Burst {
        size: 1,
        count: 1,
        interval_s: 0.0,
    };

    fn scenario(items: usize, weight: f64) -> Scenario {
        let item = Item {
            request: Request::get("/"),
            expect: Expect::default(),
        };
        Scenario {
            weight,
            ..Scenario::new("s", vec![item; items])
        }
    }

    fn pick(chooser: &mut Chooser, seq: u64) -> (u16, u32) {
        let pick = chooser.pick(seq);
        (pick.scenario, pick.item)
    }

    #[test]
    fn equal_weights_take_each_once_per_round() {
        let scenarios = vec![scenario(3, 1.0); 7];
        for shape in [SEQUENTIAL, BURST] {
            let mut chooser = Chooser::new(&scenarios, 5, &shape);
            for round in 0..9_u32 {
                let mut seen: Vec<_> = (0..7)
                    .map(|i| pick(&mut chooser, u64::from(round * 7 + i)))
                    .collect();
                if shape == SEQUENTIAL {
                    assert!(seen.is_sorted());
                }
                seen.sort_unstable();
                assert_eq!(seen, (0..7).map(|s| (s, round % 3)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn shares_follow_weights_in_every_prefix() {
        let weights = [5.0, 1.0, 0.0, 2.5];
        let scenarios: Vec<_> = weights.iter().map(|&w| scenario(1, w)).collect();
        let mut chooser = Chooser::new(&scenarios, 9, &BURST);
        let mut taken = [0.0_f64; 4];
        for seq in 0..2000 {
            taken[chooser.pick(seq).scenario as usize] += 1.0;
            for (t, w) in taken.iter().zip(weights) {
                assert!(
                    (t - w / 8.5 * (seq + 1) as f64).abs() <= 2.0,
                    "{taken:?} at {seq}"
                );
            }
        }
        assert!(taken[2] < 0.5, "weight 0 is never sent");
    }

    #[test]
    fn workers_that_skip_agree_with_one_that_does_not() {
        let scenarios = vec![
            scenario(2, 3.0),
            Scenario {
                order: Order::Random,
                ..scenario(5, 1.0)
            },
            scenario(1, 1.0),
        ];
        let mut one = Chooser::new(&scenarios, 3, &BURST);
        let all: Vec<_> = (0..300).map(|seq| one.pick(seq)).collect();
        for worker in 0..3 {
            let mut chooser = Chooser::new(&scenarios, 3, &BURST);
            for seq in (worker..300).step_by(3) {
                assert_eq!(chooser.pick(seq as u64), all[seq]);
            }
        }
    }

    #[test]
    fn once_means_each_item_once_in_order() {
        let scenarios = vec![scenario(2, 9.0), scenario(1, 0.0), scenario(3, 1.0)];
        let mut chooser = Chooser::new(&scenarios, 3, &Shape::Once { duration_s: None });
        let all: Vec<_> = (0..6).map(|seq| pick(&mut chooser, seq)).collect();
        assert_eq!(all, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn random_order_covers_the_items() {
        let scenarios = vec![Scenario {
            order: Order::Random,
            ..scenario(10, 1.0)
        }];
        let mut chooser = Chooser::new(&scenarios, 3, &BURST);
        let mut seen = [0; 10];
        for seq in 0..2000 {
            seen[chooser.pick(seq).item as usize] += 1;
        }
        // Expected 200 each, standard deviation 13.4.
        assert!(seen.iter().all(|n| (130..270).contains(n)), "{seen:?}");
    }

    #[test]
    fn a_used_up_scenario_ends_the_arrivals() {
        let one = Chooser::new(&[scenario(3, 1.0)], 3, &BURST);
        assert_eq!((one.used_up(&[None]), one.used_up(&[Some(7)])), (u64::MAX, 7));
        let two = Chooser::new(&[scenario(1, 3.0), scenario(1, 1.0)], 3, &BURST);
        assert_eq!(two.used_up(&[None, None]), u64::MAX);
        let end = two.used_up(&[None, Some(5)]);
        let mut chooser = two.clone();
        let taken = (0..end).filter(|seq| chooser.pick(*seq).scenario == 1).count();
        assert_eq!((taken, chooser.pick(end).scenario), (5, 1));
        let never = Chooser::new(&[scenario(1, 1.0), scenario(1, 0.0)], 3, &BURST);
        assert_eq!(never.used_up(&[None, Some(1)]), u64::MAX);
    }
}
