//! What the scheduler measures of every request, in the buckets of Prometheus. It knows no names of metrics.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of times, in seconds.
pub(super) const TIMES_S: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0,
];
/// Upper bounds of the buckets of tokens.
pub(super) const TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0,
    50_000.0, 100_000.0,
];

/// Values in buckets.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    /// Upper bounds.
    pub(super) bounds: &'static [f64],
    /// Values up to each bound.
    pub(super) counts: Vec<u64>,
    /// All of them.
    pub(super) count: u64,
    /// Their sum.
    pub(super) sum: f64,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum: 0.0,
        }
    }

    fn add(&mut self, value: f64) {
        for (count, bound) in self.counts.iter_mut().zip(self.bounds) {
            *count += u64::from(value <= *bound);
        }
        self.count += 1;
        self.sum += value;
    }
}

/// All that is measured.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// From arrival to the first token.
    pub(super) ttft: Buckets,
    /// Between two tokens.
    pub(super) itl: Buckets,
    /// From arrival to the last token.
    pub(super) e2e: Buckets,
    /// From arrival to admission.
    pub(super) queue: Buckets,
    /// From admission to the first token.
    pub(super) prefill: Buckets,
    /// From the first token to the last.
    pub(super) decode: Buckets,
    /// From admission to the last token.
    pub(super) inference: Buckets,
    /// Mean between the tokens of one request.
    pub(super) tpot: Buckets,
    /// Tokens of a prompt.
    pub(super) prompt: Buckets,
    /// Tokens of an answer.
    pub(super) generated: Buckets,
    /// Tokens in a step.
    pub(super) step: Buckets,
    /// Tokens of prompts of all requests admitted, and those found in the cache.
    pub(super) queried: u64,
    /// See `queried`.
    pub(super) hit: u64,
    /// Answers that ended by themselves, by their length, or otherwise.
    pub(super) stopped: u64,
    /// See `stopped`.
    pub(super) aborted: u64,
    /// Steps that decoded, and the sequences in them.
    pub(super) decodes: u64,
    /// See `decodes`.
    pub(super) busy: u64,
}

/// Shared between the scheduler and whoever reads it.
#[derive(Debug)]
pub(super) struct Meters(Mutex<Measured>);

impl Default for Meters {
    fn default() -> Self {
        let times = || Buckets::new(TIMES_S);
        let tokens = || Buckets::new(TOKENS);
        Self(Mutex::new(Measured {
            ttft: times(),
            itl: times(),
            e2e: times(),
            queue: times(),
            prefill: times(),
            decode: times(),
            inference: times(),
            tpot: times(),
            prompt: tokens(),
            generated: tokens(),
            step: tokens(),
            queried: 0,
            hit: 0,
            stopped: 0,
            aborted: 0,
            decodes: 0,
            busy: 0,
        }))
    }
}

impl Meters {
    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub(super) fn read(&self) -> Measured {
        self.lock().clone()
    }

    /// A request was admitted for the first time.
    pub(super) fn admitted(&self, waited: Duration, prompt: usize, found: usize) {
        let mut measured = self.lock();
        measured.queue.add(waited.as_secs_f64());
        measured.prompt.add(prompt as f64);
        measured.queried += prompt as u64;
        measured.hit += found as u64;
    }

    /// A step holds so many tokens, of them so many sequences that decode.
    pub(super) fn step(&self, tokens: usize, decoding: u32) {
        let mut measured = self.lock();
        measured.step.add(tokens as f64);
        measured.decodes += u64::from(decoding > 0);
        measured.busy += u64::from(decoding);
    }

    /// The first token, so long after arrival and after admission.
    pub(super) fn first(&self, since_arrival: Duration, since_admission: Duration) {
        let mut measured = self.lock();
        measured.ttft.add(since_arrival.as_secs_f64());
        measured.prefill.add(since_admission.as_secs_f64());
    }

    /// Another token, so long after the one before it.
    pub(super) fn token(&self, gap: Duration) {
        self.lock().itl.add(gap.as_secs_f64());
    }

    /// An answer of so many tokens is whole, so long after arrival, after admission and after its first token.
    pub(super) fn whole(
        &self,
        tokens: usize,
        since_arrival: Duration,
        since_admission: Duration,
        since_first: Duration,
    ) {
        let mut measured = self.lock();
        measured.stopped += 1;
        measured.generated.add(tokens as f64);
        measured.e2e.add(since_arrival.as_secs_f64());
        measured.inference.add(since_admission.as_secs_f64());
        measured.decode.add(since_first.as_secs_f64());
        if tokens > 1 {
            measured.tpot.add(since_first.as_secs_f64() / (tokens - 1) as f64);
        }
    }

    /// An answer ended before it was whole.
    pub(super) fn aborted(&self) {
        self.lock().aborted += 1;
    }
}
