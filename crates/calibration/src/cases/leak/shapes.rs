//! How memory grows: shapes in per cent of a baseline of 100, over a planned run of 10,000 requests, and the noise upon them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

/// Requests of the planned run; it may be extended to four times as many.
pub(super) const REQUESTS: f64 = 10_000.0;

/// Readings of the planned run.
pub(super) const READINGS: usize = 240;

/// The level without noise after so many requests, of a run with that seed.
pub(super) type Shape = fn(u64, f64) -> f64;

/// Shapes that do not leak, by name.
pub(super) const HARMLESS: [(&str, Shape); 6] = [
    ("flat", |_, _| 0.0),
    ("warm-up over a tenth of the run", |_, x| warm_up(0.1, x)),
    ("warm-up over half of the run", |_, x| warm_up(0.5, x)),
    ("garbage collector", |_, x| saw_tooth(x)),
    ("one late step", |_, x| if x > 0.6 * REQUESTS { 6.0 } else { 0.0 }),
    ("a step for each thread", arenas),
];

/// Growth with the logarithm of the work: no leak, and the hardest to tell from one.
pub(super) const LOGARITHM: (&str, Shape) = ("logarithm", |_, x| 2.0 * (1.0 + x / 200.0).ln());

/// Up by 8 as a share of the run is done.
pub(super) fn warm_up(share: f64, x: f64) -> f64 {
    8.0 * (1.0 - (-3.0 * x / (share * REQUESTS)).exp())
}

/// Up by 6 and back, every 500 requests.
pub(super) fn saw_tooth(x: f64) -> f64 {
    6.0 * (x % 500.0) / 500.0
}

/// Up by 1.5 for each of eight threads, at its first request: mean 1,500 requests after the start.
pub(super) fn arenas(seed: u64, x: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(1_000_000));
    let started = (0..8).filter(|_| {
        let first: f64 = Exp1.sample(&mut rng);
        1_500.0 * first < x
    });
    1.5 * started.count() as f64
}

/// First-order autoregression of that coefficient with standard deviation 1, from its steady state.
pub(super) fn noise(seed: u64, coefficient: f64, n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let fresh = (1.0 - coefficient * coefficient).sqrt();
    let mut now: f64 = rng.sample(StandardNormal);
    (0..n)
        .map(|_| {
            let next: f64 = rng.sample(StandardNormal);
            let next = coefficient * now + fresh * next;
            std::mem::replace(&mut now, next)
        })
        .collect()
}
