//! The scheduler without its clock: who waits, who runs, what the next step holds and how long it takes, what it gives. A step takes
//! one token of every sequence that decodes and fills what is left of its budget with pieces of prompts. It is a pure state machine
//! but for the slots it writes to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Config, Costs};
use super::pool::{Exhausted, Found, Hold, Pool, Standing};
use super::progress::{End, Progress};

/// A request for tokens.
#[derive(Debug)]
pub(super) struct Job {
    /// Its number, in order of arrival.
    pub(super) id: u64,
    /// The prompt, then every token of the answer to come.
    pub(super) tokens: Vec<u32>,
    /// Where the answer begins.
    pub(super) prompt_len: usize,
    /// Who waits.
    pub(super) progress: Arc<Progress>,
}

/// A job that runs or waits.
#[derive(Debug)]
struct Sequence {
    job: Job,
    hold: Hold,
    /// Tokens whose keys and values are in its pages.
    computed: usize,
    /// Tokens of the answer made so far.
    made: usize,
    /// Tokens of this step.
    now: usize,
    /// Tokens to reload from disk in its first step.
    reload: usize,
}

/// The scheduler.
#[derive(Debug)]
pub(super) struct Core {
    costs: Costs,
    leak: bool,
    reuse: bool,
    layers: usize,
    block_tokens: usize,
    max_batch: usize,
    /// The blocks.
    pub(super) pool: Pool,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    barriers: Vec<(u64, tokio::sync::oneshot::Sender<()>)>,
    counts: Steps,
}

/// What the scheduler has done so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Steps {
    /// Steps.
    pub(super) steps: u64,
    /// Prompt tokens computed, some of them twice.
    pub(super) prefilled: u64,
    /// Answer tokens made.
    pub(super) decoded: u64,
    /// Sequences that had to make room for older ones.
    pub(super) preempted: u64,
    /// Most sequences in a step.
    pub(super) batch_max: usize,
}

/// How the scheduler stands.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Load {
    /// Sequences that run.
    pub(super) running: usize,
    /// Sequences that wait.
    pub(super) waiting: usize,
    /// What was done so far.
    pub(super) steps: Steps,
    /// The pool.
    pub(super) pool: Standing,
}

impl Core {
    /// Nothing to do yet.
    pub(super) fn new(config: &Config, pool: Pool) -> Self {
        Self {
            costs: config.costs,
            leak: config.leak,
            reuse: !config.cache_discarded,
            layers: config.layers,
            block_tokens: config.block_tokens,
            max_batch: if config.serial { 1 } else { config.costs.max_batch },
            pool,
            waiting: VecDeque::new(),
            running: Vec::new(),
            barriers: Vec::new(),
            counts: Steps::default(),
        }
    }

    /// A job joins the queue.
    pub(super) fn submit(&mut self, job: Job) {
        self.waiting.push_back(Sequence {
            job,
            hold: Hold::default(),
            computed: 0,
            made: 0,
            now: 0,
            reload: 0,
        });
    }

    /// A job leaves, wherever it is; its blocks are free at once.
    pub(super) fn cancel(&mut self, id: u64) {
        let held = |queue: &VecDeque<Sequence>| queue.iter().position(|one| one.job.id == id);
        let gone = match self.running.iter().position(|one| one.job.id == id) {
            Some(at) => Some(self.running.remove(at)),
            None => held(&self.waiting).and_then(|at| self.waiting.remove(at)),
        };
        if let Some(gone) = gone {
            if self.leak {
                self.pool.lose(gone.hold);
            } else {
                self.pool.release(gone.hold);
            }
            gone.job.progress.end(End::Cancelled);
        }
        self.lift_barriers();
    }

    /// Tells `done` when every job up to `id` is over.
    pub(super) fn barrier(&mut self, id: u64, done: tokio::sync::oneshot::Sender<()>) {
        self.barriers.push((id, done));
        self.lift_barriers();
    }

    /// Ends everything.
    pub(super) fn stop(&mut self) {
        for one in self.waiting.drain(..).chain(self.running.drain(..)) {
            one.job.progress.end(End::Stopped);
        }
        self.barriers.clear();
    }

    /// How it stands.
    pub(super) fn load(&self) -> Load {
        Load {
            running: self.running.len(),
            waiting: self.waiting.len(),
            steps: self.counts,
            pool: self.pool.standing(),
        }
    }

    /// Takes in who fits and lays out the next step: how long it takes, or that there is nothing to do.
    pub(super) fn plan(&mut self) -> Option<Duration> {
        self.make_room();
        self.take_in();
        let mut budget = self.costs.batch_tokens;
        let mut length = Duration::ZERO;
        let mut decoding = 0_u32;
        for one in &mut self.running {
            one.now = usize::from(one.decodes()).min(budget);
            budget -= one.now;
            decoding += one.now as u32;
        }
        let mut prefilled = 0;
        for one in self.running.iter_mut().filter(|one| !one.decodes()) {
            one.now = one.left().min(budget);
            budget -= one.now;
            prefilled += one.now;
            length += self.costs.reload * std::mem::take(&mut one.reload) as u32;
        }
        if self.running.is_empty() {
            return None;
        }
        length += self.costs.prefill * prefilled as u32;
        if decoding > 0 {
            length += self.costs.decode_base + self.costs.decode_seq * decoding;
        }
        self.counts.steps += 1;
        self.counts.prefilled += prefilled as u64;
        self.counts.batch_max = self.counts.batch_max.max(self.running.len());
        Some(length)
    }

    /// The step is over: its tokens were due at `due`. Tokens are told in the order in which sequences were taken in.
    pub(super) fn complete(&mut self, due: Instant) {
        let mut over = false;
        for one in &mut self.running {
            one.computed += one.now;
            let moved = std::mem::take(&mut one.now) > 0;
            if !self.leak {
                self.pool.seal(&mut one.hold, &one.job.tokens, one.computed);
            }
            if moved && one.left() == 0 {
                one.made += 1;
                self.counts.decoded += 1;
                // The last token and the end are told together.
                one.job.progress.token(due);
                over |= one.is_over();
            }
        }
        if over {
            let (ended, running) = std::mem::take(&mut self.running)
                .into_iter()
                .partition(Sequence::is_over);
            self.running = running;
            for one in ended {
                self.finish(one);
            }
            self.lift_barriers();
        }
    }

    /// An answer is whole. As observed, the blocks of the other layers are taken only now, and none is ever given back.
    fn finish(&mut self, mut one: Sequence) {
        let mut end = End::Done;
        if self.leak {
            let pages = one.job.tokens.len().div_ceil(self.block_tokens);
            let taken = one.job.prompt_len.div_ceil(self.block_tokens);
            let more = (pages * self.layers).saturating_sub(taken);
            if self.pool.take_loose(&mut one.hold, more).is_err() {
                end = End::Exhausted(pages * self.layers);
            }
            self.pool.lose(one.hold);
        } else {
            self.pool.release(one.hold);
        }
        one.job.progress.end(end);
    }

    /// Pages for the next token of everybody; the youngest gives way.
    fn make_room(&mut self) {
        if self.leak {
            return;
        }
        let mut at = 0;
        while at < self.running.len() {
            let one = &mut self.running[at];
            let known = one.known();
            if self.pool.grow(&mut one.hold, known).is_ok() {
                at += 1;
                continue;
            }
            self.counts.preempted += 1;
            if let Some(mut youngest) = self.running.pop() {
                self.pool.release(std::mem::take(&mut youngest.hold));
                if self.running.is_empty() {
                    // Alone, and still too large.
                    youngest.job.progress.end(End::Exhausted(self.layers));
                    self.lift_barriers();
                } else {
                    youngest.computed = 0;
                    self.waiting.push_front(youngest);
                }
            }
        }
    }

    fn take_in(&mut self) {
        while self.running.len() < self.max_batch {
            let Some(mut one) = self.waiting.pop_front() else {
                return;
            };
            match self.admit(&mut one) {
                Ok(found) => {
                    one.job.progress.admit(found);
                    self.running.push(one);
                }
                Err(Exhausted(blocks)) if self.leak || self.running.is_empty() => {
                    one.job.progress.end(End::Exhausted(blocks));
                    self.lift_barriers();
                }
                Err(_) => {
                    self.waiting.push_front(one);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, one: &mut Sequence) -> Result<Found, Exhausted> {
        if self.leak {
            let pages = one.job.prompt_len.div_ceil(self.block_tokens);
            self.pool.take_loose(&mut one.hold, pages)?;
            return Ok(Found::default());
        }
        let known = one.known();
        let (hold, found) = self.pool.admit(&one.job.tokens[..known], self.reuse)?;
        one.hold = hold;
        one.computed = found.tokens;
        one.reload = found.reloaded;
        Ok(found)
    }

    fn lift_barriers(&mut self) {
        let oldest = self
            .running
            .iter()
            .chain(&self.waiting)
            .map(|one| one.job.id)
            .min()
            .unwrap_or(u64::MAX);
        for (_, done) in self.barriers.extract_if(.., |(id, _)| *id < oldest) {
            // Who no longer waits need not be told.
            let _ = done.send(());
        }
    }
}

impl Sequence {
    /// Tokens it has: the prompt and what was made.
    fn known(&self) -> usize {
        self.job.prompt_len + self.made
    }

    /// Tokens to compute before the next can be made.
    fn left(&self) -> usize {
        self.known() - self.computed
    }

    fn decodes(&self) -> bool {
        self.made > 0 && self.left() == 1
    }

    fn is_over(&self) -> bool {
        self.known() >= self.job.tokens.len()
    }
}
