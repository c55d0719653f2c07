//! Is B slower than A? Pairs of runs on two servers in simulated time, whose level differs from run to run and drifts.

use prony_engine::{Engine, EngineOptions, Inner, ScriptedServer, Target};
use prony_experiments::compare::{Comparison, Side, compare, turns};
use prony_model::{Arrivals, Evidence, Finding, PhaseResult, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::drive::perform;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Measure};
use crate::slots::{Slots, log_normal, open, phase};

const RUNS: u64 = 200;
/// Requests of each run, about.
const REQUESTS: f64 = 500.0;
/// Growth of the level from one run to the next, as a logarithm.
const DRIFT: f64 = 0.004;
/// Spread of the requests of a run, as a logarithm.
const LOG_SD: f64 = 0.5;
const WORK_MS: f64 = 10.0;

pub(super) const EQUAL: Case = Case {
    question: "regression",
    criterion: "Two equal builds, run-to-run spread 2 or 5 %, drift 0.4 % per run, 10 pairs: FAIL in at most 2 %, any alarm in at most \
                7 % of comparisons.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for between in [0.02, 0.05] {
            let runs = comparisons(effort, RUNS, between, 0.0);
            let any = |wanted: &[Verdict]| -> Vec<bool> {
                runs.iter()
                    .map(|findings| findings.iter().any(|f| wanted.contains(&f.verdict)))
                    .collect()
            };
            let name = format!("equal builds, run-to-run spread {:.0} %", 100.0 * between);
            measures.push(Measure::rate(
                format!("{name}: FAIL"),
                &any(&[Verdict::Fail]),
                Bound::AtMost(0.02),
            ));
            measures.push(Measure::rate(
                format!("{name}: FAIL or WARN"),
                &any(&[Verdict::Fail, Verdict::Warn]),
                Bound::AtMost(0.07),
            ));
        }
        measures
    },
};

pub(super) const SLOWER: Case = Case {
    question: "regression",
    criterion: "A build that is 10 % slower, run-to-run spread 5 %, 10 pairs: a regression of p50 is found in at least 90 % of \
                comparisons.",
    remark: "",
    run: |effort| {
        let runs = comparisons(effort, RUNS, 0.05, 1.1_f64.ln());
        let found: Vec<bool> = runs.iter().map(|findings| is_found(findings)).collect();
        vec![Measure::rate(
            "10 % slower: regression of p50 found",
            &found,
            Bound::AtLeast(0.9),
        )]
    },
};

pub(super) const VISIBLE: Case = Case {
    question: "regression",
    criterion: "The smallest visible change that is printed is within 20 % of the one that is really found nine times in ten.",
    remark: "",
    run: |effort| {
        let between = 0.05;
        let printed: Vec<f64> = comparisons(effort, RUNS, between, 0.0)
            .iter()
            .filter_map(|findings| figure(p50(findings)?, "smallest visible change"))
            .map(|percent| (percent / 100.0).ln_1p())
            .collect();
        // Share found at effects around the one that is printed; the nine in ten lies between two of them.
        let stated = prony_stats::mean(&printed);
        let grid: Vec<(f64, f64)> = [0.6, 0.8, 1.0, 1.2, 1.4]
            .into_iter()
            .map(|times| {
                let effect = times * stated;
                let runs = comparisons(effort, 2 * RUNS, between, effect);
                let found = runs.iter().filter(|findings| is_found(findings)).count();
                (effect, found as f64 / runs.len() as f64)
            })
            .collect();
        let real = crossing(&grid, 0.9).unwrap_or(f64::NAN);
        vec![Measure::value(
            "smallest visible change of p50, printed over real",
            stated / real,
            Bound::Between(0.8, 1.2),
        )]
    },
};

/// Where the share crosses a level, on straight lines between the points.
fn crossing(points: &[(f64, f64)], level: f64) -> Option<f64> {
    let between = points.windows(2).find(|w| w[0].1 < level && w[1].1 >= level)?;
    let (low, high) = (between[0], between[1]);
    Some(low.0 + (level - low.1) / (high.1 - low.1) * (high.0 - low.0))
}

fn is_found(findings: &[Finding]) -> bool {
    p50(findings).is_some_and(|f| matches!(f.verdict, Verdict::Fail | Verdict::Warn))
}

fn p50(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().find(|f| f.id == "regression-p50")
}

fn figure(finding: &Finding, label: &str) -> Option<f64> {
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(f) if f.label == label => Some(f.value),
        _ => None,
    })
}

/// What so many comparisons said; B is slower by `effect`, a logarithm.
fn comparisons(effort: Effort, runs: u64, between: f64, effect: f64) -> Vec<Vec<Finding>> {
    effort.each(runs, |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (position, side) in turns(10).into_iter().enumerate() {
            let z: f64 = StandardNormal.sample(&mut rng);
            let slower = if side == Side::B { effect } else { 0.0 };
            let level = DRIFT * position as f64 + between * z + slower;
            let seed = seed * 100 + position as u64;
            let result = run(seed, position / 2, level);
            match side {
                Side::A => a.push(result),
                Side::B => b.push(result),
            }
        }
        compare(&Comparison {
            a: &a,
            b: &b,
            warm_up_s: 0.0,
            margin: None,
            same: false,
            seed,
        })
    })
}

/// One run on a server whose level is a logarithm; both of a pair are asked at the same moments.
fn run(seed: u64, pair: usize, level: f64) -> PhaseResult {
    let server = Slots::new(1_000, 0.0, seed, move |_, rng| {
        WORK_MS * level.exp() * log_normal(rng, LOG_SD)
    });
    let target =
        Target::within(Inner::Scripted(ScriptedServer::new(server))).expect("an inner target is sound");
    let options = EngineOptions {
        seed: seed / 100,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&target, options).expect("nothing to connect to");
    perform(
        &mut engine,
        pair as u16,
        phase(open(100.0, Arrivals::Poisson, REQUESTS / 100.0)),
    )
}
