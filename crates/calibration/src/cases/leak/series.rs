//! The procedure alone, on series: false leaks, leaks found, error of the slope.

use prony_stats::growth::{self, Verdict};

use super::shapes::{HARMLESS, LOGARITHM, READINGS, REQUESTS, Shape, arenas, noise, saw_tooth, warm_up};
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};

/// Growth that matters, per request: 0.1 % of the baseline per 1,000.
const MATTERS: f64 = 1e-4;
/// Ten times as many as asked for: they cost nothing, and a rate near its bound needs them.
const RUNS: u64 = 2_000;
/// Standard deviation and coefficient of the noise, in per cent of the baseline.
const QUIET: (f64, f64) = (0.3, 0.8);
const LOUD: (f64, f64) = (1.0, 0.95);

pub(in crate::cases) const FALSE_LEAKS: Case = Case {
    question: "leak",
    criterion: "Of series that do not leak at most 5 % are called a leak, for each shape; of growth with the logarithm at most \
                10 %. 10,000 requests, 240 readings, noise of 0.3 % with autocorrelation 0.8; up to four times as long when \
                undecided.",
    remark: "",
    run: |effort| {
        let mut measures: Vec<Measure> = HARMLESS
            .iter()
            .map(|(name, shape)| {
                let judged = runs(effort, QUIET, *shape);
                leaks(format!("{name}: called a leak"), &judged, Bound::AtMost(0.05))
            })
            .collect();
        let (name, shape) = LOGARITHM;
        let judged = runs(effort, QUIET, shape);
        measures.push(leaks(
            format!("{name}: called a leak"),
            &judged,
            Bound::AtMost(0.10),
        ));
        measures
    },
};

/// Leaks of half a per cent per 1,000 requests, and of one.
const HALF: [(&str, Shape); 3] = [
    ("leak of 0.5 %", |_, x| 0.5 * x / 1_000.0),
    ("warm-up and leak of 0.5 %", |_, x| {
        warm_up(0.1, x) + 0.5 * x / 1_000.0
    }),
    ("garbage collector and leak of 0.5 %", |_, x| {
        saw_tooth(x) + 0.5 * x / 1_000.0
    }),
];
const WHOLE: [(&str, Shape); 3] = [
    ("leak of 1 %", |_, x| x / 1_000.0),
    ("warm-up and leak of 1 %", |_, x| warm_up(0.1, x) + x / 1_000.0),
    ("garbage collector and leak of 1 %", |_, x| {
        saw_tooth(x) + x / 1_000.0
    }),
];

pub(in crate::cases) const LEAKS: Case = Case {
    question: "leak",
    criterion: "A leak of 0.5 % of the memory per 1,000 requests is called a leak in at least 95 % of series, one of 1 % in 99 %, and \
                the slope is within 15 % of the truth from the 5th to the 95th percentile. A leak beside steps of the allocator is \
                never called none.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for (group, truth, least) in [(HALF, 0.5e-3, 0.95), (WHOLE, 1e-3, 0.99)] {
            for (name, shape) in group {
                let judged = runs(effort, QUIET, shape);
                measures.push(leaks(format!("{name}: found"), &judged, Bound::AtLeast(least)));
                measures.extend(slopes(name, truth, &judged));
            }
        }
        let judged = runs(effort, QUIET, |seed, x| arenas(seed, x) + x / 1_000.0);
        let none: Vec<bool> = judged.iter().map(|r| r.verdict == Verdict::NoLeak).collect();
        measures.push(
            Measure::rate(
                "a step for each thread and leak of 1 %: called none",
                &none,
                Bound::AtMost(0.0),
            )
            .counts(Kind::FalsePass),
        );
        measures
    },
};

pub(in crate::cases) const NOISE: Case = Case {
    question: "leak",
    criterion: "With noise of 1 % and autocorrelation 0.95, at most 5 % of flat series are called a leak, and a leak of 2 % per 1,000 \
                requests is found in at least 90 %.",
    remark: "",
    run: |effort| {
        vec![
            leaks(
                "flat: called a leak",
                &runs(effort, LOUD, |_, _| 0.0),
                Bound::AtMost(0.05),
            ),
            leaks(
                "leak of 2 %: found",
                &runs(effort, LOUD, |_, x| 2.0 * x / 1_000.0),
                Bound::AtLeast(0.90),
            ),
        ]
    },
};

/// The last word about a series.
struct Run {
    verdict: Verdict,
    slope: f64,
}

fn runs(effort: Effort, noise: (f64, f64), shape: Shape) -> Vec<Run> {
    effort.each(RUNS, |seed| run(seed, noise, shape))
}

/// Looked at after the planned run, after twice and after four times as much.
fn run(seed: u64, (deviation, coefficient): (f64, f64), shape: Shape) -> Run {
    let noise = noise(seed, coefficient, READINGS * 4);
    let x: Vec<f64> = (1..=READINGS * 4)
        .map(|i| i as f64 * REQUESTS / READINGS as f64)
        .collect();
    let y: Vec<f64> = x
        .iter()
        .zip(noise)
        .map(|(&x, noise)| 100.0 + shape(seed, x) + deviation * noise)
        .collect();
    let mut last = Run {
        verdict: Verdict::Inconclusive,
        slope: f64::NAN,
    };
    for times in [1, 2, 4] {
        let end = READINGS * times;
        let start = end * 3 / 10;
        if let Some(found) = growth::judge(&x[start..end], &y[start..end], MATTERS) {
            last = Run {
                verdict: found.verdict,
                slope: found.line.slope,
            };
            if matches!(
                found.verdict,
                Verdict::NoLeak | Verdict::Leak | Verdict::Decelerating
            ) {
                break;
            }
        }
    }
    last
}

fn leaks(what: impl Into<String>, judged: &[Run], bound: Bound) -> Measure {
    let called: Vec<bool> = judged.iter().map(|r| r.verdict == Verdict::Leak).collect();
    Measure::rate(what, &called, bound)
}

/// The 5th and the 95th percentile of the slope over the truth; of too few runs there are none.
fn slopes(name: &str, truth: f64, judged: &[Run]) -> Vec<Measure> {
    let mut over: Vec<f64> = judged.iter().map(|r| r.slope / truth).collect();
    over.sort_unstable_by(f64::total_cmp);
    let at = |p: f64| over[((p * over.len() as f64) as usize).min(over.len() - 1)];
    if over.len() < 100 {
        return Vec::new();
    }
    let bound = Bound::Between(0.85, 1.15);
    vec![
        Measure::value(
            format!("{name}: slope over truth, 5th percentile"),
            at(0.05),
            bound,
        ),
        Measure::value(
            format!("{name}: slope over truth, 95th percentile"),
            at(0.95),
            bound,
        ),
    ]
}
