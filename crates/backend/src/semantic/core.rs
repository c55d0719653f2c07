//! The scheduler without its clock: who waits, who runs, what the next step holds and how long it takes, what it gives. A step takes
//! one token of every sequence that decodes and fills what is left of its budget with pieces of prompts. It is a pure state machine
//! but for the slots it writes to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::adapters::{Adapters, Loads, Taken};
use super::config::{Config, Costs};
use super::meters::Meters;
use super::pool::{Exhausted, Found, Pool, Standing};
use super::progress::{End, Progress};
use super::sequence::{Job, Sequence, accepted};

/// The scheduler.
#[derive(Debug)]
pub(super) struct Core {
    costs: Costs,
    leak: bool,
    reuse: bool,
    layers: usize,
    block_tokens: usize,
    /// The blocks.
    pub(super) pool: Pool,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    barriers: Vec<(u64, oneshot::Sender<()>)>,
    counts: Steps,
    /// What is to be told, once everybody can see how the scheduler stands.
    notes: Vec<Note>,
    /// Tokens and ends of the last step, in the order in which they leave, with their dues.
    leaving: VecDeque<Leaving>,
    adapters: Adapters,
    /// What is measured of every request.
    pub(super) meters: Arc<Meters>,
    /// Nothing is done until it is woken.
    sleeping: bool,
    /// Time that the next step takes longer.
    owed: Duration,
    /// Which guesses are right.
    seed: u64,
}

/// When something leaves, for whom, and what: so many tokens made together, or the end.
type Leaving = (Instant, Arc<Progress>, Result<usize, End>);

/// News for one who waits.
#[derive(Debug)]
enum Note {
    Admitted(Arc<Progress>, Found),
    Ended(Arc<Progress>, End),
    Settled(oneshot::Sender<()>),
}

/// What the scheduler has done so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Steps {
    /// Steps laid out.
    pub(super) taken: u64,
    /// Prompt tokens computed, some of them twice.
    pub(super) prefilled: u64,
    /// Answer tokens made.
    pub(super) decoded: u64,
    /// Sequences that had to make room for older ones.
    pub(super) preempted: u64,
    /// Most sequences in a step.
    pub(super) batch_max: usize,
    /// Sequences in steps that guessed tokens ahead, the tokens guessed, and those that were right.
    pub(super) drafts: u64,
    /// See `drafts`.
    pub(super) drafted: u64,
    /// See `drafts`.
    pub(super) accepted: u64,
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
    /// Adapters loaded and given up so far.
    pub(super) adapters: Loads,
    /// Whether it sleeps.
    pub(super) sleeping: bool,
}

impl Core {
    /// Nothing to do yet.
    pub(super) fn new(config: &Config, pool: Pool) -> Self {
        let costs = Costs {
            max_batch: if config.serial { 1 } else { config.costs.max_batch },
            ..config.costs
        };
        Self {
            leak: config.leak,
            reuse: !config.cache_discarded,
            layers: config.layers,
            block_tokens: config.block_tokens,
            adapters: Adapters::new(config.adapters_max),
            seed: config.seed,
            ..Self::sound(costs, pool)
        }
    }

    /// Without defects, with one token to a block and one layer.
    fn sound(costs: Costs, pool: Pool) -> Self {
        Self {
            costs,
            leak: false,
            reuse: true,
            layers: 1,
            block_tokens: 1,
            pool,
            waiting: VecDeque::new(),
            running: Vec::new(),
            barriers: Vec::new(),
            counts: Steps::default(),
            notes: Vec::new(),
            leaving: VecDeque::new(),
            adapters: Adapters::new(1),
            meters: Arc::default(),
            sleeping: false,
            owed: Duration::ZERO,
            seed: 0,
        }
    }

    /// A job joins the queue.
    pub(super) fn submit(&mut self, job: Job) {
        self.waiting.push_back(Sequence::new(job));
    }

    /// A job leaves, wherever it is; its blocks are free at once.
    pub(super) fn cancel(&mut self, id: u64) {
        let held = |queue: &VecDeque<Sequence>| queue.iter().position(|one| one.job.id == id);
        let gone = match self.running.iter().position(|one| one.job.id == id) {
            Some(at) => {
                let one = self.running.remove(at);
                self.give_adapter(&one);
                Some(one)
            }
            None => held(&self.waiting).and_then(|at| self.waiting.remove(at)),
        };
        if let Some(gone) = gone {
            if self.leak {
                self.pool.lose(gone.hold);
            } else {
                self.pool.release(gone.hold);
            }
            self.meters.aborted();
            self.notes.push(Note::Ended(gone.job.progress, End::Cancelled));
        }
        self.lift_barriers();
    }

    /// Tells `done` when every job up to `id` is over.
    pub(super) fn barrier(&mut self, id: u64, done: oneshot::Sender<()>) {
        self.barriers.push((id, done));
        self.lift_barriers();
    }

    /// Ends everything.
    pub(super) fn stop(&mut self) {
        for one in self.waiting.drain(..).chain(self.running.drain(..)) {
            self.notes.push(Note::Ended(one.job.progress, End::Stopped));
        }
        self.barriers.clear();
        while let Some(due) = self.leaving.back().map(|(due, _, _)| *due) {
            self.tell_due(due);
        }
    }

    /// Tells who was taken in and what is over. Whoever is told may look at once how the scheduler stands.
    pub(super) fn tell(&mut self) {
        for note in self.notes.drain(..) {
            match note {
                Note::Admitted(progress, found) => progress.admit(found),
                Note::Ended(progress, end) => progress.end(end),
                // Who no longer waits need not be told.
                Note::Settled(done) => drop(done.send(())),
            }
        }
    }

    /// Tells the tokens and ends that are due by `now`; gives when the next is.
    pub(super) fn tell_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some((due, _, _)) = self.leaving.front() {
            if *due > now {
                return Some(*due);
            }
            if let Some((due, progress, end)) = self.leaving.pop_front() {
                match end {
                    Ok(tokens) => progress.tokens(due, tokens),
                    Err(end) => progress.end(end),
                }
            }
        }
        None
    }

    /// How it stands.
    pub(super) fn load(&self) -> Load {
        Load {
            running: self.running.len(),
            waiting: self.waiting.len(),
            steps: self.counts,
            pool: self.pool.standing(),
            adapters: self.adapters.counts(),
            sleeping: self.sleeping,
        }
    }

    /// Adapters in use, then those only loaded.
    pub(super) fn adapter_names(&self) -> (Vec<String>, Vec<String>) {
        self.adapters.names()
    }

    /// Everything stands still, and what was cached is gone; who runs is computed again after waking.
    pub(super) fn sleep(&mut self) {
        self.sleeping = true;
        if self.leak {
            return;
        }
        while let Some(mut one) = self.running.pop() {
            self.pool.release(std::mem::take(&mut one.hold));
            self.give_adapter(&one);
            one.computed = 0;
            one.ready = None;
            self.waiting.push_front(one);
        }
        self.pool.clear();
    }

    /// It goes on, after the time that waking takes.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.sleeping) {
            self.owed += self.costs.wake;
        }
    }

    /// When the next sequence is here whose keys and values are on their way.
    pub(super) fn next_ready(&self, now: Instant) -> Option<Instant> {
        let ready = self.running.iter().filter_map(|one| one.ready);
        ready
            .filter(|ready| *ready > now)
            .min()
            .filter(|_| !self.sleeping)
    }

    fn give_adapter(&mut self, one: &Sequence) {
        if let Some(name) = &one.job.adapter {
            self.adapters.give(name);
        }
    }

    /// Takes in who fits and lays out the next step: how long it takes and from when on it could have begun, or that there is
    /// nothing to do.
    pub(super) fn plan(&mut self, now: Instant) -> Option<(Duration, Instant)> {
        if self.sleeping {
            return None;
        }
        self.make_room();
        self.take_in(now);
        let mut budget = self.costs.batch_tokens;
        let mut length = Duration::ZERO;
        // Where prompts are not computed in pieces, a step holds prompts or tokens of answers.
        let prompts_only =
            !self.costs.chunked && self.running.iter().any(|one| one.is_here(now) && !one.decodes());
        let mut decoding = 0_u32;
        let mut drafted = 0;
        for one in &mut self.running {
            one.now = 0;
            one.drafts = 0;
            if one.decodes() && one.is_here(now) && !prompts_only {
                one.now = (1 + one.guesses(&self.costs)).min(budget);
                one.drafts = one.now.saturating_sub(1);
                budget -= one.now;
                decoding += u32::from(one.now > 0);
                drafted += one.drafts;
            }
        }
        let mut prefilled = 0;
        for one in self.running.iter_mut().filter(|one| !one.decodes()) {
            let left = one.left();
            one.now = match (self.costs.chunked, self.costs.prefill_chunk) {
                (true, 0) => left.min(budget),
                (true, chunk) => left.min(budget).min(chunk),
                // Whole or not at all, and the first one whatever its length.
                (false, _) if prefilled == 0 || left <= budget => left,
                (false, _) => 0,
            };
            budget = budget.saturating_sub(one.now);
            prefilled += one.now;
            if one.now > 0 {
                length += self.costs.reload * std::mem::take(&mut one.reload) as u32;
            }
        }
        let since = self
            .running
            .iter()
            .filter(|one| one.now > 0)
            .map(Sequence::since)
            .min()?;
        length += self.costs.prefill * prefilled as u32 + self.costs.draft * drafted as u32;
        length += std::mem::take(&mut self.owed);
        if decoding > 0 {
            length += self.costs.decode_base + self.costs.decode_seq * decoding;
        }
        // What the last step made must have left before this one ends.
        length = length.max(self.costs.send * self.leaving.len() as u32);
        self.counts.taken += 1;
        self.counts.prefilled += prefilled as u64;
        self.counts.batch_max = self.counts.batch_max.max(self.running.len());
        self.meters
            .step(prefilled + drafted + decoding as usize, decoding);
        Some((length, since))
    }

    /// The step is over: its tokens were due at `due`. Tokens are told in the order in which sequences were taken in.
    pub(super) fn complete(&mut self, due: Instant) {
        let mut over = false;
        let mut leaves = due;
        for at in 0..self.running.len() {
            let one = &mut self.running[at];
            if one.now == 0 {
                continue;
            }
            let (now, drafts) = (std::mem::take(&mut one.now), std::mem::take(&mut one.drafts));
            one.computed += now - drafts;
            if one.left() == 0 {
                let right = accepted(self.seed, &one.job, one.made, drafts, self.costs.spec_acceptance);
                if drafts > 0 {
                    self.counts.drafts += 1;
                    self.counts.drafted += drafts as u64;
                    self.counts.accepted += right as u64;
                }
                let mut told = leaves;
                if one.made == 0 {
                    let length = one.job.prompt_len as u32;
                    told += self.costs.transfer + self.costs.transfer_token * length;
                    one.ready = (told > leaves).then_some(told);
                }
                one.made += 1 + right;
                one.computed += right;
                self.counts.decoded += 1 + right as u64;
                one.measure(told, 1 + right, &self.meters);
                over |= one.is_over();
                let progress = Arc::clone(&one.job.progress);
                leave(&mut self.leaving, (told, progress, Ok(1 + right)));
                leaves += self.costs.send;
            }
            if !self.leak {
                let one = &mut self.running[at];
                self.pool.seal(&mut one.hold, &one.job.tokens, one.computed);
            }
        }
        if over {
            let (ended, running) = std::mem::take(&mut self.running)
                .into_iter()
                .partition(Sequence::is_over);
            self.running = running;
            for one in ended {
                self.finish(one, leaves);
            }
            self.lift_barriers();
        }
    }

    /// An answer is whole. As observed, the blocks of the other layers are taken only now, and none is ever given back.
    fn finish(&mut self, mut one: Sequence, leaves: Instant) {
        let mut end = End::Done;
        self.give_adapter(&one);
        let leaves = one.last.map_or(leaves, |last| last.max(leaves));
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
        match (end, one.first, one.last) {
            (End::Done, Some(first), Some(last)) => {
                let after = |then: Instant| last.saturating_duration_since(then);
                let admitted = one.admitted.unwrap_or(one.job.since);
                self.meters
                    .whole(one.made, after(one.job.since), after(admitted), after(first));
            }
            _ => self.meters.aborted(),
        }
        leave(&mut self.leaving, (leaves, one.job.progress, Err(end)));
    }

    /// Pages for the next token of everybody; the youngest gives way.
    fn make_room(&mut self) {
        if self.leak {
            return;
        }
        let mut at = 0;
        while at < self.running.len() {
            let one = &mut self.running[at];
            let known = one.known()
                + if one.decodes() {
                    one.guesses(&self.costs)
                } else {
                    0
                };
            if self.pool.grow(&mut one.hold, known).is_ok() {
                at += 1;
                continue;
            }
            self.counts.preempted += 1;
            if let Some(mut youngest) = self.running.pop() {
                youngest.job.progress.preempt();
                self.pool.release(std::mem::take(&mut youngest.hold));
                self.give_adapter(&youngest);
                if self.running.is_empty() {
                    // Alone, and still too large.
                    self.notes
                        .push(Note::Ended(youngest.job.progress, End::Exhausted(self.layers)));
                    self.lift_barriers();
                } else {
                    youngest.computed = 0;
                    youngest.ready = None;
                    self.waiting.push_front(youngest);
                }
            }
        }
    }

    fn take_in(&mut self, now: Instant) {
        let mut at = 0;
        while self.running.len() < self.costs.max_batch {
            let Some(mut one) = self.waiting.remove(at) else {
                return;
            };
            if !self.take_adapter(&one) {
                // Every place is in use by others: who comes after may go first.
                self.waiting.insert(at, one);
                at += 1;
                continue;
            }
            match self.admit(&mut one) {
                Ok(found) => {
                    if one.admitted.is_none() {
                        one.admitted = Some(now);
                        let waited = now.saturating_duration_since(one.job.since);
                        self.meters.admitted(waited, one.job.prompt_len, found.tokens);
                    }
                    self.notes
                        .push(Note::Admitted(Arc::clone(&one.job.progress), found));
                    self.running.push(one);
                }
                Err(Exhausted(blocks)) if self.leak || self.running.is_empty() => {
                    self.give_adapter(&one);
                    self.meters.aborted();
                    self.notes
                        .push(Note::Ended(one.job.progress, End::Exhausted(blocks)));
                    self.lift_barriers();
                }
                Err(_) => {
                    self.give_adapter(&one);
                    self.waiting.insert(at, one);
                    return;
                }
            }
        }
    }

    /// Takes up the adapter it wants; loading one makes the next step longer.
    fn take_adapter(&mut self, one: &Sequence) -> bool {
        let Some(name) = &one.job.adapter else {
            return true;
        };
        match self.adapters.take(name) {
            None => return false,
            Some(Taken::There) => {}
            Some(Taken::Loaded { evicted }) => {
                self.owed += self.costs.adapter_load;
                if evicted {
                    self.owed += self.costs.adapter_evict;
                }
            }
        }
        true
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
        let lifted = self.barriers.extract_if(.., |(id, _)| *id < oldest);
        self.notes.extend(lifted.map(|(_, done)| Note::Settled(done)));
    }
}

/// In the order of time: what comes over from elsewhere is told later than what was made with it.
fn leave(leaving: &mut VecDeque<Leaving>, one: Leaving) {
    if leaving.back().is_none_or(|(due, _, _)| *due <= one.0) {
        leaving.push_back(one);
    } else {
        let at = leaving.partition_point(|(due, _, _)| *due <= one.0);
        leaving.insert(at, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn core(pages: usize, max_batch: usize, batch_tokens: usize) -> Core {
        let costs = Costs {
            max_batch,
            batch_tokens,
            prefill: MS,
            decode_base: 30 * MS,
            decode_seq: 2 * MS,
            reload: Duration::ZERO,
            send: Duration::ZERO,
            ..Costs::plain()
        };
        Core {
            block_tokens: 4,
            ..Core::sound(costs, Pool::new(pages, 1, 4, None))
        }
    }

    /// A job whose tokens are its own.
    fn job(core: &mut Core, id: u64, prompt_len: usize, answer: usize) -> Arc<Progress> {
        let progress = Arc::new(Progress::new(true, 1000, None));
        let tokens = (0..prompt_len + answer).map(|at| id as u32 * 10_000 + at as u32);
        core.submit(Job {
            id,
            tokens: tokens.collect(),
            prompt_len,
            since: Instant::now(),
            adapter: None,
            progress: Arc::clone(&progress),
        });
        progress
    }

    /// Runs to the end; gives the length of every step.
    fn run(core: &mut Core, start: Instant) -> Vec<Duration> {
        let mut clock = start;
        let mut lengths = Vec::new();
        while let Some((length, _)) = core.plan(clock) {
            clock += length;
            core.complete(clock);
            core.tell();
            assert_eq!(core.tell_due(clock + core.costs.send * 1000), None);
            lengths.push(length);
            assert!(lengths.len() < 10_000, "it must end");
        }
        core.tell();
        lengths
    }

    fn dues(progress: &Progress, start: Instant) -> Vec<Duration> {
        progress.look(|seen| seen.due.iter().map(|due| *due - start).collect())
    }

    #[test]
    fn a_long_prompt_is_computed_beside_the_others_in_pieces() {
        let mut core = core(100, 4, 10);
        let start = Instant::now();
        let short = job(&mut core, 1, 4, 4);
        let long = job(&mut core, 2, 20, 2);
        // 4 + 6 of 20, then a token of the short one beside 9, then beside 5, then both decode.
        assert_eq!(run(&mut core, start), [10 * MS, 41 * MS, 37 * MS, 34 * MS]);
        assert_eq!(dues(&short, start), [10 * MS, 51 * MS, 88 * MS, 122 * MS]);
        assert_eq!(dues(&long, start), [88 * MS, 122 * MS]);
        assert_eq!(long.look(|seen| seen.end), Some(End::Done));
    }

    #[test]
    fn tokens_of_one_step_are_due_at_one_instant_and_gaps_are_the_length_of_a_step() {
        let mut core = core(1000, 50, 500);
        let start = Instant::now();
        let all: Vec<_> = (1..=50).map(|id| job(&mut core, id, 3, 8)).collect();
        let lengths = run(&mut core, start);
        assert_eq!(lengths[0], 150 * MS);
        assert!(lengths[1..].iter().all(|length| *length == 130 * MS));
        let first = dues(&all[0], start);
        for one in &all {
            assert_eq!(dues(one, start), first);
        }
        assert!(first.windows(2).all(|pair| pair[1] == pair[0] + 130 * MS));
    }

    #[test]
    fn tokens_that_leave_one_after_the_other_keep_their_distance() {
        let mut core = core(1000, 50, 500);
        core.costs.send = MS;
        let start = Instant::now();
        let all: Vec<_> = (1..=50).map(|id| job(&mut core, id, 3, 8)).collect();
        run(&mut core, start);
        for (place, one) in all.iter().enumerate() {
            let dues = dues(one, start);
            assert_eq!(dues[0], 150 * MS + place as u32 * MS);
            assert!(dues.windows(2).all(|pair| pair[1] == pair[0] + 130 * MS));
        }
        core.submit(Job {
            id: 99,
            tokens: vec![20, 21],
            prompt_len: 1,
            since: start,
            adapter: None,
            progress: Arc::clone(&all[0]),
        });
        core.plan(Instant::now());
        core.complete(start);
        assert_eq!(core.tell_due(start.checked_sub(MS).unwrap()), Some(start));
    }

    #[test]
    fn what_comes_over_is_told_later_and_goes_on_only_then() {
        let mut core = core(100, 4, 100);
        core.costs.transfer = 50 * MS;
        core.costs.transfer_token = MS;
        let start = Instant::now();
        let one = job(&mut core, 1, 4, 2);
        let (length, _) = core.plan(start).unwrap();
        let due = start + length;
        core.complete(due);
        core.tell();
        let ready = due + 54 * MS;
        assert_eq!(
            (core.tell_due(due), core.next_ready(due)),
            (Some(ready), Some(ready))
        );
        assert!(core.plan(due).is_none());
        assert_eq!(core.tell_due(ready), None);
        assert_eq!(core.plan(ready), Some((32 * MS, ready)));
        core.complete(ready + 32 * MS);
        core.tell_due(ready + 32 * MS);
        assert_eq!(dues(&one, start), [58 * MS, 90 * MS]);
    }

    #[test]
    fn loading_an_adapter_makes_the_step_longer_and_who_must_wait_is_overtaken() {
        let mut core = core(100, 4, 100);
        core.costs.adapter_load = 7 * MS;
        let start = Instant::now();
        for (id, adapter) in [(1, Some("a")), (2, Some("b")), (3, None)] {
            core.submit(Job {
                id,
                tokens: (0..5).map(|at| id as u32 * 100 + at).collect(),
                prompt_len: 4,
                since: start,
                adapter: adapter.map(str::to_owned),
                progress: Arc::new(Progress::new(true, 10, None)),
            });
        }
        // One place: the first and the third are computed beside the loading, the second comes after them.
        assert_eq!(run(&mut core, start), [15 * MS, 11 * MS]);
        assert_eq!(
            core.load().adapters,
            Loads {
                loaded: 2,
                evicted: 1
            }
        );
    }

    #[test]
    fn who_comes_first_is_taken_in_first_and_a_place_is_free_at_once() {
        let mut core = core(100, 1, 10);
        let start = Instant::now();
        let all: Vec<_> = (1..=3).map(|id| job(&mut core, id, 4, 2)).collect();
        run(&mut core, start);
        let ends: Vec<_> = all.iter().map(|one| *dues(one, start).last().unwrap()).collect();
        assert_eq!(ends, [36 * MS, 72 * MS, 108 * MS]);
        assert_eq!(core.load().steps.batch_max, 1);
    }

    #[test]
    fn the_youngest_gives_way_when_blocks_run_out_and_everybody_ends() {
        let mut core = core(6, 4, 100);
        let all: Vec<_> = (1..=3).map(|id| job(&mut core, id, 6, 12)).collect();
        run(&mut core, Instant::now());
        assert!(core.load().steps.preempted > 0);
        for one in &all {
            assert_eq!(one.look(|seen| (seen.tokens, seen.end)), (12, Some(End::Done)));
        }
        let pool = core.load().pool;
        assert_eq!(pool.free + pool.kept, pool.total);
        let alone = job(&mut core, 9, 6, 60);
        run(&mut core, Instant::now());
        assert!(matches!(alone.look(|seen| seen.end), Some(End::Exhausted(_))));
    }

    #[test]
    fn who_leaves_frees_his_place_and_lifts_barriers() {
        let mut core = core(10, 1, 100);
        let first = job(&mut core, 1, 4, 100);
        let second = job(&mut core, 2, 4, 1);
        let (done, mut told) = oneshot::channel();
        core.barrier(1, done);
        core.plan(Instant::now());
        core.complete(Instant::now());
        core.tell_due(Instant::now());
        core.tell();
        assert!(told.try_recv().is_err());
        core.cancel(1);
        core.tell();
        assert!(told.try_recv().is_ok());
        assert_eq!(first.look(|seen| seen.end), Some(End::Cancelled));
        run(&mut core, Instant::now());
        assert_eq!(second.look(|seen| seen.end), Some(End::Done));
        let pool = core.load().pool;
        assert_eq!(pool.free + pool.kept, pool.total);
    }
}
