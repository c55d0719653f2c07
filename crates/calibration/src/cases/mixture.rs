//! One kind of request or two? The rule of mixtures on logarithms of latencies.

use prony_stats::mixture::{Kinds, kinds};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Gamma, StandardNormal};

use crate::measure::{Bound, Case, Measure};

const RUNS: u64 = 400;

pub(super) const ONE_KIND: Case = Case {
    question: "mixture",
    criterion: "Of one kind of request two are seen in at most 4 % of samples of 100 (uniform 11 %) and 0.7 % of 400, and suspected in \
                at most 5 % of 30.",
    remark: "Deviates, for distributions that look like two kinds on a logarithmic scale: the method's own table has the figures \
             above, from 150 runs per cell, and we count more with the same rule. Held to 10 % are M/M/1 and the heavy tail of 30 (no \
             more than a suspicion there), to 8 % M/M/1 of 100, whose waits depend on one another, and to 3 % the gamma and the \
             exponential of 400. The rule stays as it is, because a stricter one would no longer see the kinds below.",
    run: |effort| {
        let mut measures = Vec::new();
        for n in [30, 100, 400] {
            for (name, draw) in ONE {
                let wrong = effort.each(RUNS, |seed| {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    seen(&draw(&mut rng, n)) != Kinds::One
                });
                let most = match (n, *name) {
                    (30, "M/M/1 at 80 % load" | "heavy tail") => 0.10,
                    (30, _) => 0.05,
                    (100, "uniform") => 0.11,
                    (100, "M/M/1 at 80 % load") => 0.08,
                    (100, _) => 0.04,
                    (_, "gamma of shape 3" | "exponential") => 0.03,
                    _ => 0.007,
                };
                measures.push(Measure::rate(
                    format!("{name}, {n}: two kinds"),
                    &wrong,
                    Bound::AtMost(most),
                ));
            }
        }
        measures
    },
};

pub(super) const TWO_KINDS: Case = Case {
    question: "mixture",
    criterion: "Of two kinds of request both are seen (in fewer than 100: suspected), where a share of them is slower by a factor; each \
                kind log-normal, log-sd 0.25.",
    remark: "The bounds are the figures of the method's table, from 150 runs per cell; that of 100, 20 % of them three times slower, is \
             95 % and not 97 %.",
    run: |effort| {
        TWO.iter()
            .map(|&(n, cold, factor, least)| {
                let expected = if n < 100 { Kinds::SuspectedTwo } else { Kinds::Two };
                let found = effort.each(RUNS, |seed| {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    let times: Vec<f64> = (0..n)
                        .map(|_| {
                            let slower = if rng.random::<f64>() < cold { factor } else { 1.0 };
                            slower * (0.25 * normal(&mut rng)).exp()
                        })
                        .collect();
                    seen(&times) == expected
                });
                let what = format!("{n}, {:.0} % of them {factor} times slower: seen", 100.0 * cold);
                Measure::rate(what, &found, Bound::AtLeast(least))
            })
            .collect()
    },
};

/// Size, share of the slow ones, factor, and how often both kinds must be seen at least.
const TWO: [(usize, f64, f64, f64); 8] = [
    (30, 0.2, 3.0, 0.26),
    (100, 0.2, 3.0, 0.95),
    (30, 0.2, 5.0, 0.88),
    (100, 0.2, 5.0, 1.0),
    (100, 0.05, 3.0, 0.51),
    (400, 0.05, 3.0, 0.91),
    (100, 0.05, 5.0, 0.79),
    (400, 0.05, 5.0, 0.99),
];

type Draw = fn(&mut ChaCha8Rng, usize) -> Vec<f64>;

/// Distributions of one kind.
const ONE: &[(&str, Draw)] = &[
    ("log-normal", |rng, n| {
        (0..n).map(|_| (0.5 * normal(rng)).exp()).collect()
    }),
    ("gamma of shape 3", |rng, n| {
        let gamma = Gamma::new(3.0, 1.0).expect("positive");
        (0..n).map(|_| gamma.sample(rng)).collect()
    }),
    ("exponential", |rng, n| (0..n).map(|_| exponential(rng)).collect()),
    ("shifted exponential", |rng, n| {
        (0..n).map(|_| 1.0 + exponential(rng)).collect()
    }),
    ("M/M/1 at 80 % load", |rng, n| {
        let mut response = exponential(rng) / 0.2;
        (0..n)
            .map(|_| {
                response = (response - exponential(rng) / 0.8).max(0.0) + exponential(rng);
                response
            })
            .collect()
    }),
    ("heavy tail", |rng, n| {
        (0..n)
            .map(|_| (1.0 - rng.random::<f64>()).powf(-1.0 / 2.5))
            .collect()
    }),
    ("uniform", |rng, n| {
        (0..n).map(|_| 1.0 + rng.random::<f64>()).collect()
    }),
];

fn seen(times: &[f64]) -> Kinds {
    let logs: Vec<f64> = times.iter().map(|time| time.ln()).collect();
    kinds(&logs).unwrap_or(Kinds::One)
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn exponential(rng: &mut ChaCha8Rng) -> f64 {
    Exp1.sample(rng)
}
