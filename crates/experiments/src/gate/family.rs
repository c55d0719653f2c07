//! Several gates at once: a FAIL is called only where chance does not explain it over all of them together (Holm 1979).
//!
//! Exact counts, and conditions on findings, are no tests of this kind: they are left as they are and do not count.

use prony_model::{Gate, GateResult, PhaseResult, Verdict};
use prony_stats::multiple;

use super::condition::Check;
use super::{find, over_all};
use crate::metric::CONFIDENCE;

/// Chance of any false FAIL among all gates, at most.
const FAMILY_ALPHA: f64 = 0.05;
/// Smallest chance that is looked for: below it nothing changes.
const P_MIN: f64 = 1e-9;

/// Takes back what one gate alone would call a FAIL and all of them together do not carry, and says how many tests there were.
pub(super) fn correct(results: &mut [GateResult], phases: &[PhaseResult]) {
    let tests: Vec<usize> = (0..results.len())
        .filter(|&i| results[i].measured.as_ref().is_some_and(|f| f.ci.is_some()))
        .filter(|&i| Check::parse(&results[i].gate.check).is_ok_and(|c| c.is_on_phase()))
        .collect();
    if tests.len() < 2 {
        return;
    }
    let p_values: Vec<f64> = tests.iter().map(|&i| p_value(&results[i], phases)).collect();
    for (&i, p) in tests.iter().zip(multiple::holm(&p_values)) {
        let result = &mut results[i];
        if result.verdict != Verdict::Fail {
            continue;
        }
        if p <= FAMILY_ALPHA {
            result.says = format!(
                "{} Over all {} tests of this run (Holm) chance explains it with p {}.",
                result.says,
                tests.len(),
                shown(p)
            );
        } else {
            result.verdict = Verdict::Inconclusive;
            result.says = format!(
                "{} Alone that would fail; among {} tests chance explains it too often (Holm, p {}), so it is not decided.",
                result.says,
                tests.len(),
                shown(p)
            );
        }
    }
}

/// The one-sided chance of missing the limit that far when it is just met: half of the share that the widest interval leaves
/// out which still misses it. 1 for what does not fail.
fn p_value(result: &GateResult, phases: &[PhaseResult]) -> f64 {
    if result.verdict != Verdict::Fail {
        return 1.0;
    }
    let fails = |p: f64| fails_at(&result.gate, phases, 1.0 - 2.0 * p);
    let (mut low, mut high) = (P_MIN.ln(), ((1.0 - CONFIDENCE) / 2.0).ln());
    if fails(P_MIN) {
        return P_MIN;
    }
    for _ in 0..16 {
        let middle = f64::midpoint(low, high);
        if fails(middle.exp()) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high.exp()
}

/// Whether a gate fails by the interval of that confidence.
fn fails_at(gate: &Gate, phases: &[PhaseResult], confidence: f64) -> bool {
    let Ok(Check::Metric { metric, op, limit }) = Check::parse(&gate.check) else {
        return false;
    };
    let Some(phase) = find(phases, &gate.phase) else {
        return false;
    };
    let scenario = gate.scenario.as_deref();
    let good_alone = || {
        let measured = metric.measure_at(phase, scenario, confidence);
        let interval = measured.and_then(|measured| measured.interval);
        interval.is_some_and(|interval| op.decide(limit, interval) == Verdict::Fail)
    };
    let with_timeouts = || {
        let all = over_all::times(metric, op, phase, scenario);
        all.is_some_and(|all| all.missed(limit, confidence).is_some())
    };
    good_alone() || with_timeouts()
}

fn shown(p: f64) -> String {
    if p < 0.0001 {
        "below 0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}
