//! Is B worse than A, and is that real? Runs of the same load on two targets, interleaved in pairs, the run being the unit.
//!
//! A pure conclusion from the recorded runs: what is sent is for whoever has two targets. It must not know which of the two is
//! thought to be the better one, and it never pools requests of several runs.

mod family;
mod lengths;
mod report;
mod run;

use prony_model::{Finding, PhaseResult};

use run::Run;

pub use family::PAIRS_MIN;

/// The experiment that the findings and the phases belong to.
pub const COMPARE: &str = "compare";

/// One of the two targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What it was.
    A,
    /// What it is to become.
    B,
}

/// Which target has its turn, run by run: ABBA BAAB, so that neither a drift nor a bend of it favours a side. Two in a row are a
/// pair.
pub fn turns(pairs: usize) -> Vec<Side> {
    (0..pairs)
        .flat_map(|pair| match pair % 4 {
            0 | 3 => [Side::A, Side::B],
            _ => [Side::B, Side::A],
        })
        .collect()
}

/// The runs of both targets, and what to hold them against.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The runs of A, in order.
    pub a: &'a [PhaseResult],
    /// The runs of B, in order: run `j` is paired with run `j` of A.
    pub b: &'a [PhaseResult],
    /// Seconds at the start of each run that do not count.
    pub warm_up_s: f64,
    /// Change that matters, as a share, for every metric; by default 0.05 for the median and the throughput and 0.10 for
    /// higher percentiles.
    pub margin: Option<f64>,
    /// Both are the same target: any effect is the environment's.
    pub same: bool,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// What the runs say.
pub fn compare(comparison: &Comparison<'_>) -> Vec<Finding> {
    let runs = |phases: &[PhaseResult]| -> Vec<Run> {
        phases
            .iter()
            .map(|phase| Run::of(phase, comparison.warm_up_s))
            .collect()
    };
    let (a, b) = (runs(comparison.a), runs(comparison.b));
    let pairs = a.len().min(b.len());
    let (a, b) = (&a[..pairs], &b[..pairs]);
    if let Some(refusal) = lengths::refusal(comparison, a, b) {
        return vec![refusal];
    }
    let mut findings: Vec<Finding> = report::failures(comparison, a, b).into_iter().collect();
    let family = family::judge(a, b, comparison);
    findings.extend(report::metrics(comparison, &family));
    findings
}

#[cfg(test)]
mod tests {
    use super::{Side, turns};

    #[test]
    fn drift_favours_no_side() {
        let turns = turns(4);
        let letters: String = turns
            .iter()
            .map(|s| if *s == Side::A { 'A' } else { 'B' })
            .collect();
        assert_eq!(letters, "ABBABAAB");
        // A line and a parabola over the positions weigh the same on both sides.
        for power in [1, 2] {
            let weight = |side: Side| -> i32 {
                turns
                    .iter()
                    .zip(0_i32..)
                    .filter(|(s, _)| **s == side)
                    .map(|(_, at)| at.pow(power))
                    .sum()
            };
            assert_eq!(weight(Side::A), weight(Side::B));
        }
    }
}
