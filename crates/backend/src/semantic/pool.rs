//! The pool of memory blocks. A page is one block of every layer and holds the keys and values of some tokens; full pages are known by
//! the chained digest of everything up to their end, shared between sequences, kept when nobody uses them and given up
//! least recently used first. It knows neither requests nor times.

use std::collections::{BTreeMap, HashMap};

use super::disk::Disk;
use super::tokens::chain;

/// The pool.
#[derive(Debug)]
pub(super) struct Pool {
    layers: usize,
    block_tokens: usize,
    total: usize,
    free: usize,
    /// Blocks that nobody holds and nobody can take.
    lost: usize,
    /// Blocks taken one by one.
    loose: usize,
    /// Pages that hold a prefix not yet full.
    private: usize,
    /// Full pages, in use or kept, by the digest of their prefix.
    shared: HashMap<u64, Page>,
    /// Pages that nobody uses, least recently used first.
    idle: BTreeMap<u64, u64>,
    tick: u64,
    counts: Counts,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Page {
    users: usize,
    /// Its place in `idle` while nobody uses it.
    tick: u64,
}

/// What has happened to prefixes so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Pages found in memory.
    pub(super) hits: u64,
    /// Pages found on disk.
    pub(super) reloaded: u64,
    /// Full prompt pages that had to be computed.
    pub(super) misses: u64,
    /// Pages given up for others.
    pub(super) evicted: u64,
}

/// How the pool stands.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Standing {
    /// Blocks in all.
    pub(super) total: usize,
    /// Blocks nobody holds.
    pub(super) free: usize,
    /// Blocks that are gone for ever.
    pub(super) lost: usize,
    /// Blocks of pages that are kept and could be given up.
    pub(super) kept: usize,
    /// Pages known on disk.
    pub(super) on_disk: usize,
    /// What happened so far.
    pub(super) counts: Counts,
}

/// The pages of one sequence, in order: shared ones, then private ones.
#[derive(Debug, Default)]
pub(super) struct Hold {
    shared: Vec<u64>,
    private: usize,
    loose: usize,
}

/// What a prompt found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Tokens whose pages were there.
    pub(super) tokens: usize,
    /// Of these, tokens that came from disk.
    pub(super) reloaded: usize,
}

/// So many blocks could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted(pub(super) usize);

impl Pool {
    /// All free.
    pub(super) fn new(total: usize, layers: usize, block_tokens: usize, disk: Option<Disk>) -> Self {
        Self {
            layers,
            block_tokens,
            total,
            free: total,
            lost: 0,
            loose: 0,
            private: 0,
            shared: HashMap::new(),
            idle: BTreeMap::new(),
            tick: 0,
            counts: Counts::default(),
            disk,
        }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            total: self.total,
            free: self.free,
            lost: self.lost,
            kept: self.idle.len() * self.layers,
            on_disk: self.disk.as_ref().map_or(0, Disk::len),
            counts: self.counts,
        }
    }

    /// Pages for a prompt, those of its prefix that are known first. At least one token is left to compute.
    pub(super) fn admit(&mut self, prompt: &[u32], reuse: bool) -> Result<(Hold, Found), Exhausted> {
        let mut hold = Hold::default();
        let mut found = Found::default();
        let reusable = if reuse {
            prompt.len().saturating_sub(1) / self.block_tokens
        } else {
            0
        };
        let mut digest = 0;
        for block in prompt.chunks(self.block_tokens).take(reusable) {
            digest = chain(digest, block);
            if self.join(digest) {
                self.counts.hits += 1;
            } else if self.disk.as_ref().is_some_and(|disk| disk.has(digest)) {
                if let Err(exhausted) = self.take_page() {
                    self.release(hold);
                    return Err(exhausted);
                }
                self.shared.insert(digest, Page { users: 1, tick: 0 });
                self.counts.reloaded += 1;
                found.reloaded += self.block_tokens;
            } else {
                break;
            }
            hold.shared.push(digest);
            found.tokens += self.block_tokens;
        }
        if let Err(exhausted) = self.grow(&mut hold, prompt.len()) {
            self.release(hold);
            return Err(exhausted);
        }
        self.counts.misses += (prompt.len() / self.block_tokens).saturating_sub(hold.shared.len()) as u64;
        Ok((hold, found))
    }

    /// Makes room for `tokens` tokens in all; what it got before it failed stays held.
    pub(super) fn grow(&mut self, hold: &mut Hold, tokens: usize) -> Result<(), Exhausted> {
        let wanted = tokens.div_ceil(self.block_tokens);
        while hold.shared.len() + hold.private < wanted {
            self.take_page()?;
            self.private += 1;
            hold.private += 1;
        }
        Ok(())
    }

    /// Shares the pages of the first `computed` of `tokens` that are full.
    pub(super) fn seal(&mut self, hold: &mut Hold, tokens: &[u32], computed: usize) {
        while hold.private > 0 && (hold.shared.len() + 1) * self.block_tokens <= computed {
            let from = hold.shared.len() * self.block_tokens;
            let block = &tokens[from..from + self.block_tokens];
            let before = hold.shared.last().copied().unwrap_or(0);
            let digest = chain(before, block);
            hold.private -= 1;
            self.private -= 1;
            if self.join(digest) {
                // Somebody computed the same in the meantime; one copy is enough.
                self.free += self.layers;
            } else {
                self.shared.insert(digest, Page { users: 1, tick: 0 });
                if let Some(disk) = &mut self.disk {
                    disk.write(digest, before, block);
                }
            }
            hold.shared.push(digest);
        }
    }

    /// Gives everything back: full pages are kept for others, the end of a prefix is given up before its beginning.
    pub(super) fn release(&mut self, hold: Hold) {
        self.private -= hold.private;
        self.loose -= hold.loose;
        self.free += hold.private * self.layers + hold.loose;
        for digest in hold.shared.into_iter().rev() {
            let Some(page) = self.shared.get_mut(&digest) else {
                continue;
            };
            page.users -= 1;
            if page.users == 0 {
                self.tick += 1;
                page.tick = self.tick;
                self.idle.insert(self.tick, digest);
            }
        }
    }

    /// Takes single blocks, of whatever layer.
    pub(super) fn take_loose(&mut self, hold: &mut Hold, blocks: usize) -> Result<(), Exhausted> {
        while self.free < blocks {
            if !self.evict() {
                return Err(Exhausted(blocks));
            }
        }
        self.free -= blocks;
        self.loose += blocks;
        hold.loose += blocks;
        Ok(())
    }

    /// Forgets who holds these blocks without giving them back.
    pub(super) fn lose(&mut self, hold: Hold) {
        self.loose -= hold.loose;
        self.lost += hold.loose;
        let rest = Hold { loose: 0, ..hold };
        self.release(rest);
    }

    /// Whether that page is in memory, and whether it is on disk.
    pub(super) fn place(&self, digest: u64) -> (bool, bool) {
        let on_disk = self.disk.as_ref().is_some_and(|disk| disk.has(digest));
        (self.shared.contains_key(&digest), on_disk)
    }

    /// Gives up every page that nobody uses; tells how many.
    pub(super) fn clear(&mut self) -> usize {
        let mut pages = 0;
        while self.evict() {
            pages += 1;
        }
        if let Some(disk) = &mut self.disk {
            disk.clear();
        }
        pages
    }

    fn join(&mut self, digest: u64) -> bool {
        let Some(page) = self.shared.get_mut(&digest) else {
            return false;
        };
        if page.users == 0 {
            self.idle.remove(&page.tick);
        }
        page.users += 1;
        true
    }

    fn take_page(&mut self) -> Result<(), Exhausted> {
        while self.free < self.layers {
            if !self.evict() {
                return Err(Exhausted(self.layers));
            }
        }
        self.free -= self.layers;
        Ok(())
    }

    fn evict(&mut self) -> bool {
        let Some((_, digest)) = self.idle.pop_first() else {
            return false;
        };
        self.shared.remove(&digest);
        self.free += self.layers;
        self.counts.evicted += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAYERS: usize = 3;
    const TOKENS: usize = 4;

    fn pool(pages: usize) -> Pool {
        Pool::new(pages * LAYERS, LAYERS, TOKENS, None)
    }

    /// Every block is somewhere, once.
    fn whole(pool: &Pool) {
        let pages = pool.shared.len() + pool.private;
        assert_eq!(pool.free + pool.lost + pool.loose + pages * LAYERS, pool.total);
        let idle = pool.shared.values().filter(|page| page.users == 0).count();
        assert_eq!(idle, pool.idle.len());
    }

    fn prompt(seed: u32, length: usize) -> Vec<u32> {
        (0..length as u32).map(|index| 16 + seed * 1000 + index).collect()
    }

    #[test]
    fn a_prefix_is_found_again_and_the_last_token_is_always_computed() {
        let mut pool = pool(8);
        let tokens = prompt(1, 8);
        let (mut hold, found) = pool.admit(&tokens, true).unwrap();
        assert_eq!(found.tokens, 0);
        pool.seal(&mut hold, &tokens, 8);
        pool.release(hold);
        let (hold, found) = pool.admit(&tokens, true).unwrap();
        assert_eq!(found.tokens, 4, "the second page holds the last token");
        pool.release(hold);
        let longer = [tokens.clone(), prompt(2, 3)].concat();
        let (hold, found) = pool.admit(&longer, true).unwrap();
        assert_eq!(found.tokens, 8);
        pool.release(hold);
        let (hold, found) = pool.admit(&longer, false).unwrap();
        assert_eq!(found.tokens, 0);
        pool.release(hold);
        let (_, found) = pool.admit(&[prompt(3, 4), tokens].concat(), true).unwrap();
        assert_eq!(found.tokens, 0, "the same tokens after others are another prefix");
        whole(&pool);
    }

    #[test]
    fn the_least_recently_used_is_given_up_first_and_its_end_before_its_beginning() {
        let mut pool = pool(4);
        for seed in [1, 2] {
            let tokens = prompt(seed, 8);
            let (mut hold, _) = pool.admit(&tokens, true).unwrap();
            pool.seal(&mut hold, &tokens, 8);
            pool.release(hold);
        }
        let (hold, _) = pool.admit(&prompt(3, 4), true).unwrap();
        assert_eq!(pool.counts.evicted, 1);
        let longer = |seed| [prompt(seed, 8), prompt(9, 1)].concat();
        let digests = |seed| chain(0, &longer(seed)[..4]);
        assert!(pool.shared.contains_key(&digests(1)) && pool.shared.contains_key(&digests(2)));
        assert!(!pool.shared.contains_key(&chain(digests(1), &longer(1)[4..8])));
        assert!(pool.shared.contains_key(&chain(digests(2), &longer(2)[4..8])));
        pool.release(hold);
        whole(&pool);
    }

    #[test]
    fn lost_blocks_never_come_back() {
        let mut pool = pool(2);
        let mut hold = Hold::default();
        pool.take_loose(&mut hold, 5).unwrap();
        assert_eq!(pool.take_loose(&mut hold, 2), Err(Exhausted(2)));
        pool.lose(hold);
        assert_eq!(
            (pool.clear(), pool.standing().free, pool.standing().lost),
            (0, 1, 5)
        );
        assert_eq!(pool.admit(&[20], true).unwrap_err(), Exhausted(LAYERS));
        whole(&pool);
    }

    proptest! {
        #[test]
        fn no_block_is_lost_or_made(actions in prop::collection::vec((0..6_u8, 0..6_u32, 1..30_usize), 1..200)) {
            let mut pool = pool(12);
            let mut held: Vec<(Vec<u32>, Hold)> = Vec::new();
            for (action, seed, length) in actions {
                match action {
                    0 | 1 => {
                        let tokens = prompt(seed, length);
                        if let Ok((hold, found)) = pool.admit(&tokens, action == 0) {
                            prop_assert!(found.tokens < length);
                            held.push((tokens, hold));
                        }
                    }
                    2 => if let Some((tokens, hold)) = held.last_mut() {
                        pool.seal(hold, tokens, length.min(tokens.len()));
                    },
                    3 => if !held.is_empty() {
                        let (_, hold) = held.remove(seed as usize % held.len());
                        pool.release(hold);
                    },
                    4 => if let Some((tokens, hold)) = held.last_mut()
                        && pool.grow(hold, tokens.len() + length).is_ok()
                    {
                        let more = prompt(seed, length);
                        tokens.extend(more);
                    },
                    _ => { pool.clear(); }
                }
                whole(&pool);
            }
            for (_, hold) in held {
                pool.release(hold);
            }
            pool.clear();
            prop_assert_eq!(pool.free, pool.total);
        }
    }
}
