//! Bootstrap intervals: coverage of BCa on skewed samples and of blocks on dependent series.

use super::share;
use prony_stats::{bootstrap, mean, variance};

#[test]
fn bca_covers_a_skewed_statistic_better() {
    // The variance of exponential values is 1.
    let mut plain = 0;
    let corrected = share(400, |source| {
        let values: Vec<f64> = (0..60).map(|_| source.exponential()).collect();
        let holds = |(low, high): (f64, f64)| low <= 1.0 && 1.0 <= high;
        plain += u32::from(holds(
            bootstrap::interval(&values, variance, 500, 0.95, 1).expect("enough"),
        ));
        holds(bootstrap::bca(&values, variance, 500, 0.95, 1).expect("enough"))
    });
    let plain = f64::from(plain) / 400.0;
    println!("variance of 60 exponential values: percentile {plain}, BCa {corrected}");
    assert!(corrected >= 0.86, "{corrected}");
    assert!(corrected > plain, "{corrected} against {plain}");
}

#[test]
fn blocks_cover_the_mean_of_a_dependent_series() {
    let mut plain = 0;
    let blocks = share(200, |source| {
        let series = source.autoregression(0.7, 1_000);
        let holds = |(low, high): (f64, f64)| low <= 0.0 && 0.0 <= high;
        plain += u32::from(holds(bootstrap::of_mean(&series, 200, 0.95, 1).expect("enough")));
        let length = bootstrap::block_length(&series);
        holds(bootstrap::of_blocks(&series, mean, length, 200, 0.95, 1).expect("enough"))
    });
    let plain = f64::from(plain) / 200.0;
    println!("mean of an autoregression: plain {plain}, blocks {blocks}");
    assert!(
        plain <= 0.75,
        "{plain}: blocks are not needed here, so this shows nothing"
    );
    assert!(blocks >= 0.88, "{blocks}");
}

/// Politis and White for a known autoregression: (1.5 (2 rho / (1 - rho^2))^2 n)^(1/3).
#[test]
fn block_lengths() {
    let series = super::Source::new(5).autoregression(0.7, 100_000);
    let truth = (1.5 * (1.4_f64 / 0.51).powi(2) * 100_000.0).cbrt();
    let ours = bootstrap::block_length(&series) as f64;
    assert!((ours / truth - 1.0).abs() < 0.1, "{ours} against {truth}");
    assert_eq!(bootstrap::block_length(&[1.0; 50]), 1);
    assert_eq!(bootstrap::block_length(&[]), 1);
}
