//! How many runs of a case there are, and how they are spread over threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Effort {
    /// Share of a case's runs that is made.
    share: f64,
}

impl Effort {
    /// Every run of every case.
    pub(crate) const FULL: Self = Self { share: 1.0 };
    /// A tenth of them.
    pub(crate) const SHORT: Self = Self { share: 0.1 };

    /// Whether all runs are made.
    pub(crate) fn is_full(self) -> bool {
        self.share >= 1.0
    }

    /// Of `runs` in full, how many are made: at least 10, or all when there are fewer.
    pub(crate) fn runs(self, runs: u64) -> u64 {
        ((runs as f64 * self.share).ceil() as u64).max(runs.min(10))
    }

    /// What `run` gives for each seed from 0, in the order of seeds, on all cores. `runs` is the number in full.
    pub(crate) fn each<T: Send>(self, runs: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
        let runs = self.runs(runs);
        let next = AtomicU64::new(0);
        let results = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= runs {
                            break;
                        }
                        let result = run(seed);
                        results
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((seed, result));
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(seed, _)| *seed);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
