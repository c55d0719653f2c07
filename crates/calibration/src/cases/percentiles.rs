//! Percentiles with their intervals, as a summary prints them, against queues whose percentiles theory gives; and the test of an
//! objective that looks more than once.

use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{Arrivals, Outcome, PhaseResult};
use prony_stats::order;
use prony_stats::sequential::{Decision, Looks};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use crate::drive::perform;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};
use crate::slots::{open, phase};

/// Mean time of one request of the queue.
const SERVICE_MS: f64 = 10.0;

/// The short form leaves out longer runs: most of the time goes into them.
const SHORT_REQUESTS_MAX: f64 = 100_000.0;

/// M/M/1 at a load, a percentile, and so many requests that it may gate in nearly every run.
const CELLS: [(f64, f64, f64); 9] = [
    (0.5, 0.5, 4_000.0),
    (0.5, 0.95, 15_000.0),
    (0.5, 0.99, 40_000.0),
    (0.8, 0.5, 20_000.0),
    (0.8, 0.95, 80_000.0),
    (0.8, 0.99, 200_000.0),
    (0.9, 0.5, 100_000.0),
    (0.9, 0.95, 250_000.0),
    (0.9, 0.99, 500_000.0),
];

pub(super) const COVERAGE: Case = Case {
    question: "percentiles",
    criterion: "The 95 % interval of a percentile holds the truth in at least 92 % of runs in which the percentile is worth ten \
                independent requests on its thin side, and nearly every run of these lengths is. Truth: -ln(1 - p) / (service \
                rate - arrival rate).",
    remark: "",
    run: |effort| {
        CELLS
            .iter()
            .filter(|(_, _, requests)| effort.is_full() || *requests <= SHORT_REQUESTS_MAX)
            .flat_map(|&cell| coverage(effort, cell))
            .collect()
    },
};

fn coverage(effort: Effort, (load, p, requests): (f64, f64, f64)) -> [Measure; 2] {
    let truth_ms = quantile_ms(load, p);
    let runs: Vec<Option<bool>> = effort.each(200, |seed| {
        let result = queue(seed, load, requests);
        let printed = result.summary.rows.iter().find(|r| r.outcome == Outcome::Ok)?;
        let printed = *printed.response.at(p)?;
        let holds = printed.lo.as_millis_f64() <= truth_ms && truth_ms <= printed.hi.as_millis_f64();
        order::may_gate(p, estimate(&result, p)?.n_eff).then_some(holds)
    });
    let gated: Vec<bool> = runs.iter().map(Option::is_some).collect();
    let held: Vec<bool> = runs.into_iter().flatten().collect();
    let name = format!(
        "M/M/1 at {:.0} % load, p{:.0}, {requests} requests",
        100.0 * load,
        100.0 * p
    );
    [
        Measure::rate(
            format!("{name}: intervals that hold the truth"),
            &held,
            Bound::AtLeast(0.92),
        )
        .counts(Kind::Coverage),
        Measure::rate(
            format!("{name}: runs in which it may gate"),
            &gated,
            Bound::AtLeast(0.9),
        )
        .counts(Kind::Promise),
    ]
}

pub(super) const UNCORRECTED: Case = Case {
    question: "percentiles",
    criterion: "Without the correction for dependence the same intervals are seen to fail: were they not, the runs above would show \
                nothing.",
    remark: "",
    run: |effort| {
        let cells = [(0.5, 0.99, 40_000.0, 0.75), (0.8, 0.95, 80_000.0, 0.4)];
        let measure = |(load, p, requests, most): (f64, f64, f64, f64)| {
            let truth_ms = quantile_ms(load, p);
            let held = effort.each(200, |seed| {
                let mut responses = responses_ms(&queue(seed, load, requests));
                responses.sort_unstable_by(f64::total_cmp);
                let n = responses.len() as u64;
                order::interval_ranks(p, n, n as f64, 0.95).is_some_and(|(low, high)| {
                    responses[low as usize - 1] <= truth_ms && truth_ms <= responses[high as usize - 1]
                })
            });
            let what = format!(
                "M/M/1 at {:.0} % load, p{:.0}, taken as independent: intervals that hold the truth",
                100.0 * load,
                100.0 * p
            );
            Measure::rate(what, &held, Bound::AtMost(most)).counts(Kind::Control)
        };
        cells.into_iter().map(measure).collect()
    },
};

/// The objective names this percentile.
const OBJECTIVE_P: f64 = 0.99;
/// The end of its budget, in requests.
const OBJECTIVE_MAX: u64 = 40_000;

pub(super) const OBJECTIVE: Case = Case {
    question: "percentiles",
    criterion: "A target whose p99 is exactly the limit passes in at most 1.5 times the stated share of runs, looked at when the number \
                of requests has doubled, up to 40,000.",
    remark: "",
    run: |effort| {
        let measure = |alpha: f64| {
            let looks = Looks::of_quantile(OBJECTIVE_P, alpha);
            let passed = effort.each(20_000, |seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut over = 0;
                let mut seen = 0;
                decide(&looks, OBJECTIVE_P, OBJECTIVE_MAX, |n| {
                    over += (seen..n).filter(|_| rng.random::<f64>() > OBJECTIVE_P).count() as u64;
                    seen = n;
                    (over, n as f64)
                }) == Decision::Pass
            });
            let what = format!(
                "independent requests exactly at the limit, stated {} %: passes",
                100.0 * alpha
            );
            Measure::rate(what, &passed, Bound::AtMost(1.5 * alpha)).counts(Kind::FalsePass)
        };
        [0.01, 0.05].into_iter().map(measure).collect()
    },
};

pub(super) const DEPENDENT_OBJECTIVE: Case = Case {
    question: "percentiles",
    criterion: "The same holds of the response times of a queue, which depend on one another.",
    remark: "",
    run: |effort| {
        let (p, load, alpha) = (0.95, 0.8, 0.05);
        let looks = Looks::of_quantile(p, alpha);
        let limit = quantile_ms(load, p);
        let passed = effort.each(1_000, |seed| {
            let times = lindley_ms(seed, load, looks.size(7) as usize);
            decide(&looks, p, looks.size(7), |n| {
                let seen = &times[..n as usize];
                let over = seen.iter().filter(|t| **t > limit).count() as u64;
                (over, order::estimate(seen, p, 0.95).map_or(0.0, |e| e.n_eff))
            }) == Decision::Pass
        });
        vec![
            Measure::rate(
                "M/M/1 at 80 % load whose p95 is exactly the limit, stated 5 %: passes",
                &passed,
                Bound::AtMost(1.5 * alpha),
            )
            .counts(Kind::FalsePass),
        ]
    },
};

/// The first decision of the looks up to `most` requests; `seen` tells of the first n how many are over the limit, and how many
/// independent ones they are worth.
fn decide(looks: &Looks, p: f64, most: u64, mut seen: impl FnMut(u64) -> (u64, f64)) -> Decision {
    (1..=u32::BITS)
        .map(|k| (k, looks.size(k)))
        .take_while(|(_, n)| *n <= most)
        .map(|(k, n)| {
            let (over, worth) = seen(n);
            looks.decide(k, over, n, worth, p)
        })
        .find(|decision| *decision != Decision::Undecided)
        .unwrap_or(Decision::Undecided)
}

/// The quantile of the response of the queue at a load: the sojourn time of M/M/1 is exponential.
fn quantile_ms(load: f64, p: f64) -> f64 {
    -(1.0 - p).ln() * SERVICE_MS / (1.0 - load)
}

fn responses_ms(result: &PhaseResult) -> Vec<f64> {
    result
        .samples
        .iter()
        .map(|s| s.response().as_millis_f64())
        .collect()
}

fn estimate(result: &PhaseResult, p: f64) -> Option<order::Estimate> {
    order::estimate(&responses_ms(result), p, 0.95)
}

/// Response times of M/M/1 from its steady state (Lindley 1952).
fn lindley_ms(seed: u64, load: f64, n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |mean: f64| -> f64 {
        let unit: f64 = Exp1.sample(&mut rng);
        mean * unit
    };
    let mut response = draw(SERVICE_MS / (1.0 - load));
    (0..n)
        .map(|_| {
            response = (response - draw(SERVICE_MS / load)).max(0.0) + draw(SERVICE_MS);
            response
        })
        .collect()
}

/// So many requests at a load to a queue with one worker and exponential times.
fn queue(seed: u64, load: f64, requests: f64) -> PhaseResult {
    let target = Target::new(&format!(
        "sim:service={SERVICE_MS}ms,spread=exponential,seed={seed}"
    ))
    .expect("a simulated target is sound");
    let options = EngineOptions {
        seed,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&target, options).expect("nothing to connect to");
    let per_s = load * 1000.0 / SERVICE_MS;
    perform(
        &mut engine,
        0,
        phase(open(per_s, Arrivals::Poisson, requests / per_s)),
    )
}
