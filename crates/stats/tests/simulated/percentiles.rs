//! Section 2 of the method: quantiles of M/M/1 response times, whose truth is known.

use super::Source;
use prony_stats::order;

struct Measured {
    /// Runs in which the quantile may decide a gate.
    gated: u32,
    /// Of those, runs whose corrected 95 % interval covers.
    covered: u32,
    /// Of all runs, those whose interval for independent values covers.
    covered_plain: u32,
}

fn measure(runs: u32, load: f64, p: f64, n: usize) -> Measured {
    let truth = -(1.0 - p).ln() / (1.0 - load);
    let mut measured = Measured {
        gated: 0,
        covered: 0,
        covered_plain: 0,
    };
    for seed in 0..u64::from(runs) {
        let values = Source::new(seed).single_server(load, n);
        let estimate = order::estimate(&values, p, 0.95).expect("values");
        let holds = |(low, high): (f64, f64)| low <= truth && truth <= high;
        let gated = order::may_gate(p, estimate.n_eff);
        measured.gated += u32::from(gated);
        measured.covered += u32::from(gated && estimate.interval.is_some_and(holds));
        let mut sorted = values;
        sorted.sort_unstable_by(f64::total_cmp);
        let (low, high) = order::interval_ranks(p, n as u64, n as f64, 0.95).expect("enough");
        let plain = (sorted[low as usize - 1], sorted[high as usize - 1]);
        measured.covered_plain += u32::from(holds(plain));
    }
    println!(
        "M/M/1 load {load} p{p} n {n}: gated {}, of these covered {}, uncorrected covered {} of {runs}",
        measured.gated, measured.covered, measured.covered_plain
    );
    measured
}

#[track_caller]
fn covers_where_it_may_gate(runs: u32, load: f64, p: f64, n: usize) {
    let measured = measure(runs, load, p, n);
    assert!(
        f64::from(measured.covered) >= 0.92 * f64::from(measured.gated),
        "load {load} p{p}: {} of {}",
        measured.covered,
        measured.gated
    );
    assert!(
        measured.gated >= runs * 2 / 3,
        "load {load} p{p}: {} gated",
        measured.gated
    );
    assert!(
        measured.covered_plain <= runs * 4 / 5,
        "load {load} p{p}: the uncorrected interval covers {} times, so this shows nothing",
        measured.covered_plain
    );
}

#[test]
fn half_load() {
    covers_where_it_may_gate(200, 0.5, 0.5, 5_000);
    covers_where_it_may_gate(200, 0.5, 0.95, 10_000);
    covers_where_it_may_gate(200, 0.5, 0.99, 20_000);
}

#[test]
fn high_load() {
    covers_where_it_may_gate(100, 0.8, 0.5, 10_000);
    covers_where_it_may_gate(100, 0.8, 0.95, 25_000);
}

#[test]
fn high_load_far_out() {
    covers_where_it_may_gate(40, 0.8, 0.99, 120_000);
}

#[test]
fn very_high_load() {
    covers_where_it_may_gate(60, 0.9, 0.5, 20_000);
    covers_where_it_may_gate(24, 0.9, 0.95, 90_000);
}

#[test]
fn too_few_values_never_decide() {
    let measured = measure(200, 0.9, 0.95, 1_000);
    assert!(measured.gated <= 4, "{}", measured.gated);
}

#[test]
fn the_gate_counts_the_thin_side() {
    assert!(order::may_gate(0.99, 1000.0) && !order::may_gate(0.99, 999.0));
    assert!(order::may_gate(0.01, 1000.0) && !order::may_gate(0.01, 999.0));
    assert!(order::may_gate(0.5, 20.0) && !order::may_gate(0.5, 19.9));
}
