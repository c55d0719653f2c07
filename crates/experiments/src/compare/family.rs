//! The tests: one per metric on the differences of logarithms within pairs, and all of them together so that many metrics do not
//! make a false alarm more likely. It writes no words.

use prony_stats::paired::{self, Difference};
use prony_stats::{multiple, student};

use super::Comparison;
use super::run::{Metric, Run};

/// Fewest pairs that may decide: with fewer, no pattern of signs is rarer than 5 %.
pub const PAIRS_MIN: usize = 6;
/// Error probability: of any FAIL at all, and the share of false WARNs.
const ALPHA: f64 = 0.05;
/// Two-sided p of the sign-flip test that must bear a one-sided t test out.
const FLIP_MAX: f64 = 2.0 * ALPHA;
/// Differences below this are of the arithmetic, not of the targets.
const ROUNDING: f64 = 1e-9;
/// Probability with which a change of the size named as visible is found.
const POWER: f64 = 0.9;

/// What is concluded about one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Worse by more than the margin.
    Fail,
    /// Worse, by half of the margin or more.
    Warn,
    /// Not worse by the margin.
    Pass,
    /// Neither can be said; so many pairs would be needed.
    Undecided(Option<usize>),
    /// Too few pairs for any test.
    TooFewPairs,
    /// The same target differs from itself.
    Noise,
}

/// One metric over all pairs. Differences are ln B - ln A, of the throughput ln A - ln B: above 0 is worse.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub metric: Metric,
    /// Values of each pair, A and B.
    pub values: Vec<(f64, f64)>,
    /// Mean difference with its 95 % interval.
    pub effect: Difference,
    /// Smallest difference that would be found nine times in ten.
    pub visible: f64,
    /// Change that matters, as a share.
    pub margin: f64,
    /// Two-sided p of the sign-flip test of no difference.
    pub flip: f64,
    pub decision: Decision,
}

/// What came out of all metrics.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// The metrics that every run has.
    pub judged: Vec<Judged>,
    /// Metrics that some run has too few good answers for.
    pub missing: Vec<Metric>,
    /// Good answers of the smallest run.
    pub good_min: usize,
}

/// Judges every metric.
pub(super) fn judge(a: &[Run], b: &[Run], comparison: &Comparison<'_>) -> Family {
    let mut family = Family {
        judged: Vec::new(),
        missing: Vec::new(),
        good_min: a.iter().chain(b).map(Run::good).min().unwrap_or(0),
    };
    for metric in Metric::ALL {
        match measured(metric, a, b, comparison) {
            Some(found) => family.judged.push(found),
            None => family.missing.push(metric),
        }
    }
    decide(&mut family.judged, comparison);
    family
}

fn measured(metric: Metric, a: &[Run], b: &[Run], comparison: &Comparison<'_>) -> Option<Judged> {
    let values: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .map(|(a, b)| Some((a.value(metric)?, b.value(metric)?)))
        .collect::<Option<_>>()?;
    let differences = worse_by(metric, &values);
    let effect = paired::interval(&differences, 0.95)?;
    Some(Judged {
        metric,
        visible: paired::detectable(values.len(), ALPHA, POWER)? * effect.deviation,
        margin: comparison.margin.unwrap_or(metric.margin()),
        flip: paired::sign_flip(&differences, comparison.seed)?,
        values,
        effect,
        decision: Decision::TooFewPairs,
    })
}

fn worse_by(metric: Metric, values: &[(f64, f64)]) -> Vec<f64> {
    let sign = if metric == Metric::Goodput { -1.0 } else { 1.0 };
    let exact = |difference: f64| {
        if difference.abs() < ROUNDING {
            0.0
        } else {
            difference
        }
    };
    values.iter().map(|(a, b)| exact(sign * (b / a).ln())).collect()
}

fn decide(judged: &mut [Judged], comparison: &Comparison<'_>) {
    let enough = judged.first().is_some_and(|j| j.values.len() >= PAIRS_MIN);
    if !enough {
        return;
    }
    if comparison.same {
        let p: Vec<f64> = judged
            .iter()
            .map(|j| differs(&j.effect, j.values.len()))
            .collect();
        for (found, p) in judged.iter_mut().zip(multiple::holm(&p)) {
            found.decision = if p <= ALPHA && found.flip <= ALPHA {
                Decision::Noise
            } else {
                Decision::Pass
            };
        }
        return;
    }
    let over = |limit: fn(&Judged) -> f64| -> Vec<f64> {
        judged
            .iter()
            .map(|j| exceeds(&j.effect, j.values.len(), limit(j)))
            .collect()
    };
    let fails = multiple::holm(&over(|j| j.margin.ln_1p()));
    let warns = multiple::benjamini_hochberg(&over(|_| 0.0));
    for ((found, fail), warn) in judged.iter_mut().zip(fails).zip(warns) {
        found.decision = decision(found, fail, warn, comparison.seed);
    }
}

fn decision(found: &Judged, fail: f64, warn: f64, seed: u64) -> Decision {
    let margin = found.margin.ln_1p();
    let differences = worse_by(found.metric, &found.values);
    let beyond: Vec<f64> = differences.iter().map(|d| d - margin).collect();
    let borne_out = |p: Option<f64>| p.is_some_and(|p| p <= FLIP_MAX);
    // The upper end of the 90 % interval is a one-sided bound of 95 %.
    let upper = paired::interval(&differences, 1.0 - 2.0 * ALPHA).map_or(f64::INFINITY, |d| d.high);
    if fail <= ALPHA && borne_out(paired::sign_flip(&beyond, seed)) {
        Decision::Fail
    } else if warn <= ALPHA && found.effect.mean >= margin / 2.0 && borne_out(Some(found.flip)) {
        Decision::Warn
    } else if upper < margin {
        Decision::Pass
    } else {
        let away = (margin - found.effect.mean).abs() / found.effect.deviation;
        Decision::Undecided(paired::needed(away, 2.0 * ALPHA, POWER))
    }
}

/// One-sided p of "the mean difference is at most `limit`".
fn exceeds(effect: &Difference, pairs: usize, limit: f64) -> f64 {
    let error = effect.deviation / (pairs as f64).sqrt();
    if error > 0.0 {
        student::cdf(-(effect.mean - limit) / error, pairs as f64 - 1.0)
    } else {
        f64::from(u8::from(effect.mean <= limit))
    }
}

/// Two-sided p of "the mean difference is zero".
fn differs(effect: &Difference, pairs: usize) -> f64 {
    let error = effect.deviation / (pairs as f64).sqrt();
    if error > 0.0 {
        student::two_sided(effect.mean / error, pairs as f64 - 1.0)
    } else {
        f64::from(u8::from(effect.mean.abs() <= 0.0))
    }
}
