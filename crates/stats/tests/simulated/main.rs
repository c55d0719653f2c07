//! Intervals must cover and tests must err as often as they promise, on simulated data whose truth is known.
//!
//! Seeds are fixed. Every test prints what it measured: `cargo test -p prony-stats --test simulated -- --nocapture`.

mod changes;
mod growth;
mod intervals;
mod kinds;
mod looks;
mod pairs;
mod percentiles;
mod resampling;
mod scalability;
mod steady;

use prony_stats::special::normal_quantile;

/// Random numbers for simulations: xorshift64* (Vigna 2016), seeded through a mixer. Here because tests build the random
/// crates without optimisation, which would take most of the time.
struct Source(u64);

impl Source {
    fn new(seed: u64) -> Self {
        let mut z = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(0x1234_5678_9abc_def1);
        z = (z ^ (z >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self((z ^ (z >> 32)) | 1)
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal.
    fn normal(&mut self) -> f64 {
        normal_quantile(self.uniform())
    }

    /// Exponential with mean 1.
    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// First-order autoregression with marginal standard deviation 1, from its steady state.
    fn autoregression(&mut self, coefficient: f64, n: usize) -> Vec<f64> {
        let fresh = (1.0 - coefficient * coefficient).sqrt();
        let mut x = self.normal();
        (0..n)
            .map(|_| {
                let now = x;
                x = coefficient * x + fresh * self.normal();
                now
            })
            .collect()
    }

    /// Response times in arrival order of M/M/1 with mean service time 1, from its steady state (Lindley 1952).
    fn single_server(&mut self, load: f64, n: usize) -> Vec<f64> {
        let mut response = self.exponential() / (1.0 - load);
        (0..n)
            .map(|_| {
                let wait = (response - self.exponential() / load).max(0.0);
                response = wait + self.exponential();
                response
            })
            .collect()
    }
}

/// Share of the seeds `0..runs` for which something holds.
fn share(runs: u64, mut holds: impl FnMut(&mut Source) -> bool) -> f64 {
    let count = (0..runs).filter(|&seed| holds(&mut Source::new(seed))).count();
    count as f64 / runs as f64
}
