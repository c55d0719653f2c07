//! A prefix cache of whole blocks: how many tokens of a prompt were seen before, from its beginning. Tokens are words. It keeps no
//! text and no times of requests.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::BackendError;
use crate::settings::Settings;

/// The cache.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    block: usize,
    blocks_max: usize,
    ttl: Duration,
    prefill: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Hash of the prompt up to the end of a block, and when it was last used.
    blocks: HashMap<u64, Instant>,
    counts: Counts,
    /// The counts when the account began.
    before: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    tokens: u64,
    tokens_saved: u64,
    prompts: u64,
    prompts_hit: u64,
}

/// What became of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefill {
    /// Tokens of the prompt.
    pub(crate) tokens: usize,
    /// Of them, found in the cache.
    pub(crate) cached: usize,
    /// Time that the others take.
    pub(crate) time: Duration,
}

impl PrefixCache {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        Ok(Self {
            block: settings.count("cache_block", 0, 100_000)? as usize,
            blocks_max: settings.count("cache_blocks", 1, 1_000_000)? as usize,
            ttl: Duration::from_secs_f64(settings.number("cache_ttl_ms", 0.0, 1e9)? / 1000.0),
            prefill: Duration::from_secs_f64(settings.number("prefill_us", 0.0, 1e6)? / 1e6),
            held: Mutex::default(),
        })
    }

    /// Reads a prompt: what is cached of it is counted, all its whole blocks are cached afterwards.
    pub(crate) fn read(&self, prompt: &str) -> Prefill {
        let now = Instant::now();
        let words: Vec<&str> = prompt.split_whitespace().collect();
        let mut held = self.lock();
        let mut cached = 0;
        if self.block > 0 {
            let mut so_far = DefaultHasher::new();
            let mut hitting = true;
            for block in words.chunks_exact(self.block) {
                block.hash(&mut so_far);
                let used = held.blocks.insert(so_far.finish(), now);
                hitting &= used.is_some_and(|used| now.duration_since(used) <= self.ttl);
                cached += if hitting { self.block } else { 0 };
            }
            self.evict(&mut held);
        }
        let counts = &mut held.counts;
        counts.tokens += words.len() as u64;
        counts.tokens_saved += cached as u64;
        counts.prompts += 1;
        counts.prompts_hit += u64::from(cached > 0);
        Prefill {
            tokens: words.len(),
            cached,
            time: self.prefill * u32::try_from(words.len() - cached).unwrap_or(u32::MAX),
        }
    }

    /// Drops the blocks unused for longest, a tenth at a time.
    fn evict(&self, held: &mut Held) {
        if held.blocks.len() <= self.blocks_max {
            return;
        }
        let mut times: Vec<Instant> = held.blocks.values().copied().collect();
        times.sort_unstable();
        let excess = held.blocks.len() - self.blocks_max + self.blocks_max / 10;
        let oldest_kept = times[excess.min(times.len() - 1)];
        held.blocks.retain(|_, used| *used >= oldest_kept);
    }

    /// Tokens of prompts, and those found in the cache, since the start.
    pub(crate) fn tokens(&self) -> (u64, u64) {
        let counts = self.lock().counts;
        (counts.tokens, counts.tokens_saved)
    }

    /// The account begins anew; what is cached stays.
    pub(crate) fn reset(&self) {
        let mut held = self.lock();
        held.before = held.counts;
    }

    /// What it saved since the account began.
    pub(crate) fn to_json(&self) -> Value {
        let held = self.lock();
        let (now, before) = (held.counts, held.before);
        json!({
            "prompts": now.prompts - before.prompts,
            "prompts_hit": now.prompts_hit - before.prompts_hit,
            "tokens": now.tokens - before.tokens,
            "tokens_saved": now.tokens_saved - before.tokens_saved,
            "blocks": held.blocks.len(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn cache(pairs: &[(&str, &str)]) -> PrefixCache {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        PrefixCache::new(&Settings::new(preset("truth").unwrap(), &pairs).unwrap()).unwrap()
    }

    fn prompt(words: std::ops::Range<u32>) -> String {
        let words: Vec<String> = words.map(|k| format!("w{k} ")).collect();
        words.concat()
    }

    #[test]
    fn whole_blocks_from_the_beginning_are_saved() {
        let cache = cache(&[("cache_block", "10"), ("prefill_us", "100")]);
        let first = cache.read(&prompt(0..35));
        assert_eq!(
            (first.tokens, first.cached, first.time),
            (35, 0, Duration::from_micros(3500))
        );
        let again = cache.read(&prompt(0..35));
        assert_eq!((again.cached, again.time), (30, Duration::from_micros(500)));
        assert_eq!(cache.read(&(prompt(0..20) + &prompt(90..110))).cached, 20);
        assert_eq!(cache.read(&prompt(1..35)).cached, 0);
        assert_eq!(cache.to_json()["tokens_saved"], json!(50));
    }

    #[test]
    fn it_forgets_by_age_and_by_number() {
        let short = cache(&[("cache_block", "1"), ("cache_ttl_ms", "0")]);
        short.read("a");
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(short.read("a").cached, 0);
        let small = cache(&[("cache_block", "1"), ("cache_blocks", "20")]);
        small.read("first");
        for k in 0..40 {
            small.read(&format!("other{k}"));
        }
        assert_eq!(small.read("first").cached, 0);
        assert!(small.to_json()["blocks"].as_u64().unwrap() <= 20);
        assert_eq!(cache(&[("cache_block", "0")]).read("a a").cached, 0);
    }
}
