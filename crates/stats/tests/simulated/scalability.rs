//! Section 4 of the method: the scalability law and queues.

use super::Source;
use prony_stats::erlang::{self, Queue};
use prony_stats::usl::{self, Usl};

const TRUTH: Usl = Usl {
    gamma: 100.0,
    alpha: 0.03,
    beta: 0.0008,
};

fn measured(source: &mut Source, levels: &[f64]) -> Vec<f64> {
    levels
        .iter()
        .map(|&n| TRUTH.throughput(n) * (0.03 * source.normal()).exp())
        .collect()
}

/// A grid beyond the peak finds it within some per cent; one that ends before it does not.
#[test]
fn the_peak_is_found_when_it_was_passed() {
    let truth = TRUTH.peak().expect("a peak");
    for (levels, narrow) in [
        (&[1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0][..], true),
        (&[1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0][..], false),
    ] {
        let mut ratios: Vec<f64> = (0..300)
            .map(|seed| {
                let fit = usl::fit(levels, &measured(&mut Source::new(seed), levels)).expect("enough levels");
                fit.peak().map_or(f64::INFINITY, |peak| peak / truth)
            })
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (low, high) = (ratios[15], ratios[284]);
        println!(
            "levels to {:?}: peak over truth {low:.3} to {high:.3} (p5 to p95)",
            levels.last()
        );
        assert_eq!(narrow, low >= 0.9 && high <= 1.1, "{low} to {high}");
    }
}

#[test]
fn intervals_hold_the_truth() {
    let levels = [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0];
    let mut covered = [0; 4];
    for seed in 0..100 {
        let throughput = measured(&mut Source::new(seed), &levels);
        let found = usl::intervals(&levels, &throughput, 200, 0.95, seed).expect("enough levels");
        let truths = [
            TRUTH.gamma,
            TRUTH.alpha,
            TRUTH.beta,
            TRUTH.peak().expect("a peak"),
        ];
        let ends = [found.gamma, found.alpha, found.beta, found.peak];
        for ((covered, truth), (low, high)) in covered.iter_mut().zip(truths).zip(ends) {
            *covered += u32::from(low <= truth && truth <= high);
        }
    }
    println!("95 % intervals of gamma, alpha, beta and the peak hold the truth in {covered:?} of 100");
    assert!(covered.iter().all(|&covered| covered >= 85), "{covered:?}");
}

/// The numbers of the method: 30 slots of 1.5 s.
#[test]
fn a_pool_of_thirty() {
    assert!((erlang::offered_at(30, 0.01) / 1.5 - 13.6).abs() < 0.05);
    assert!((erlang::offered_at(30, 0.05) / 1.5 - 16.5).abs() < 0.05);
    let queue = Queue::new(30, 0.9 * 20.0, 1.5).expect("it keeps up");
    assert!(
        (queue.wait_quantile(0.99) - 1.9).abs() < 0.05,
        "{}",
        queue.wait_quantile(0.99)
    );
    assert!((queue.wait_tail(queue.wait_quantile(0.99)) - 0.01).abs() < 1e-12);
    assert!(Queue::new(30, 20.0, 1.5).is_none(), "no steady state");
    let light = Queue::new(30, 2.0, 1.5).expect("it keeps up");
    assert!(light.wait_quantile(0.5) <= 0.0, "most do not wait");
}

#[test]
fn workers_for_steady_traffic() {
    assert_eq!(erlang::servers_needed(0.5, 30.0, 120.0, 0.01), Some(17));
    assert_eq!(erlang::servers_needed(0.5, 10.0, 120.0, 0.01), Some(6));
    assert_eq!(erlang::servers_needed(0.5, 30.0, 10.0, 0.01), Some(22));
    assert_eq!(erlang::servers_needed(0.5, 30.0, 10.0, 0.0), None);
}

/// M/G/1, where the approximation is exact (Pollaczek and Khinchine), and M/M/1.
#[test]
fn mean_waits() {
    let queue = Queue::new(1, 0.8, 1.0).expect("it keeps up");
    assert!((queue.wait_mean() - 4.0).abs() < 1e-12);
    assert!((queue.wait_mean_general(1.0, 1.0) - 4.0).abs() < 1e-12);
    assert!((queue.wait_mean_general(1.0, 0.0) - 2.0).abs() < 1e-12);
}
