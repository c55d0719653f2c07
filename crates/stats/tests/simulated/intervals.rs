//! Intervals of quantiles, shares and ratios: coverage and sizes, and the bounds of the interval functions.

use prony_stats::special::normal_quantile;
use prony_stats::{autocorrelation, binomial, bootstrap, order};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    normal_quantile(rng.random_range(f64::MIN_POSITIVE..1.0))
}

/// How often the 95 % interval of quantile `p` holds `truth`, over seeded series. A series that is too short to be
/// estimated counts as a miss: that must be rare here.
fn coverage(
    runs: u64,
    p: f64,
    truth: f64,
    corrected: bool,
    series: impl Fn(&mut ChaCha8Rng) -> Vec<f64>,
) -> f64 {
    let mut covered = 0;
    for seed in 0..runs {
        let values = series(&mut ChaCha8Rng::seed_from_u64(seed));
        let interval = if corrected {
            order::estimate(&values, p, 0.95).expect("values").interval
        } else {
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            order::interval_ranks(p, values.len() as u64, values.len() as f64, 0.95)
                .map(|(low, high)| (sorted[low as usize - 1], sorted[high as usize - 1]))
        };
        covered += u64::from(interval.is_some_and(|(low, high)| low <= truth && truth <= high));
    }
    covered as f64 / runs as f64
}

/// Response times in arrival order of M/M/1 with unit service rate, started in its steady state (Lindley 1952).
fn single_server(rng: &mut ChaCha8Rng, load: f64, n: usize) -> Vec<f64> {
    let exponential =
        |rng: &mut ChaCha8Rng, rate: f64| -rng.random_range(f64::MIN_POSITIVE..1.0_f64).ln() / rate;
    let mut response = exponential(rng, 1.0 - load);
    (0..n)
        .map(|_| {
            let wait = (response - exponential(rng, load)).max(0.0);
            response = wait + exponential(rng, 1.0);
            response
        })
        .collect()
}

fn exact_single_server(load: f64, p: f64) -> f64 {
    -(1.0 - p).ln() / (1.0 - load)
}

#[test]
fn independent_lognormal() {
    let sigma = 0.5;
    let series = |rng: &mut ChaCha8Rng| (0..2000).map(|_| (sigma * normal(rng)).exp()).collect::<Vec<_>>();
    for p in [0.5, 0.95, 0.99] {
        let truth = (sigma * normal_quantile(p)).exp();
        let share = coverage(300, p, truth, true, series);
        assert!(share >= 0.92, "p{p}: {share}");
    }
}

#[test]
fn queueing_needs_the_correction() {
    for (load, p, n) in [(0.5, 0.95, 5_000), (0.8, 0.5, 10_000), (0.8, 0.95, 12_000)] {
        let truth = exact_single_server(load, p);
        let series = |rng: &mut ChaCha8Rng| single_server(rng, load, n);
        let naive = coverage(40, p, truth, false, series);
        let corrected = coverage(40, p, truth, true, series);
        assert!(
            naive < 0.8,
            "load {load} p{p}: the plain interval covers {naive}, so this test shows nothing"
        );
        assert!(corrected >= 0.9, "load {load} p{p}: {corrected}");
    }
}

#[test]
fn autocorrelation_time_of_known_series() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for coefficient in [0.0, 0.5, 0.9, 0.98] {
        let mut x = 0.0;
        let series: Vec<f64> = (0..100_000)
            .map(|_| {
                x = coefficient * x + normal(&mut rng);
                x
            })
            .collect();
        let truth = (1.0 + coefficient) / (1.0 - coefficient);
        let ours = autocorrelation::integrated_time(&series);
        assert!(
            (ours / truth - 1.0).abs() < 0.15,
            "AR(1) {coefficient}: {ours} against {truth}"
        );
    }
    assert!((autocorrelation::integrated_time(&[3.25; 500]) - 1.0).abs() < f64::EPSILON);
    assert!((autocorrelation::integrated_time(&[]) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn bootstrap_covers() {
    let mut covered = 0;
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let a: Vec<f64> = (0..40).map(|_| 10.0 + normal(&mut rng)).collect();
        let b: Vec<f64> = (0..60).map(|_| 5.0 + normal(&mut rng)).collect();
        let (low, high) = bootstrap::of_ratio(&a, &b, 400, 0.95, seed).expect("enough");
        covered += u32::from(low <= 2.0 && 2.0 <= high);
    }
    assert!((180..=199).contains(&covered), "{covered} of 200");
    assert_eq!(bootstrap::of_mean(&[1.0], 100, 0.95, 1), None);
    let values = [1.0, 4.0, 2.0, 8.0];
    assert_eq!(
        bootstrap::of_mean(&values, 500, 0.95, 9),
        bootstrap::of_mean(&values, 500, 0.95, 9)
    );
}

#[test]
fn sample_sizes_of_the_handbook() {
    let table = [
        (0.5, 5, 6),
        (0.9, 29, 36),
        (0.95, 59, 72),
        (0.99, 299, 368),
        (0.999, 2995, 3688),
    ];
    for (p, one_sided, two_sided) in table {
        assert_eq!(order::needed_one_sided(p, 0.95), one_sided, "p{p}");
        assert_eq!(order::needed(p, 0.95), two_sided, "p{p}");
    }
    assert_eq!(order::nearest_rank(0.95, 20), 19);
    assert_eq!(order::nearest_rank(0.5, 1), 1);
    assert_eq!(order::nearest_rank(0.99, 0), 0);
    assert_eq!(order::nearest_rank(0.07, 100), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_interval_exists_exactly_from_the_needed_size(p in 0.01_f64..0.999, confidence in 0.8_f64..0.99) {
        let needed = order::needed(p, confidence);
        prop_assert!(order::interval_ranks(p, needed, needed as f64, confidence).is_some());
        if needed > 1 {
            let fewer = needed - 1;
            prop_assert!(order::interval_ranks(p, fewer, fewer as f64, confidence).is_none());
        }
    }

    #[test]
    fn ranks_enclose_the_estimate(p in 0.01_f64..0.999, n in 1_u64..100_000, worth in 0.01_f64..1.0) {
        if let Some((low, high)) = order::interval_ranks(p, n, n as f64 * worth, 0.95) {
            let rank = order::nearest_rank(p, n);
            prop_assert!(1 <= low && low <= rank && rank <= high && high <= n, "{low} {rank} {high} of {n}");
        }
    }

    #[test]
    fn exact_intervals_hold_their_share(n in 1_u64..5000, part in 0.0_f64..=1.0) {
        let k = (part * n as f64) as u64;
        let (low, high) = binomial::clopper_pearson(k, n, 0.95);
        let share = k as f64 / n as f64;
        prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
        prop_assert!(low <= 0.0 || (1.0 - binomial::cdf(k - 1, n, low) - 0.025).abs() < 1e-9);
        prop_assert!(high >= 1.0 || (binomial::cdf(k, n, high) - 0.025).abs() < 1e-9);
    }
}
