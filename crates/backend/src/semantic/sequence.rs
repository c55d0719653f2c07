//! One request in the scheduler: what it has, what it still needs, and what is measured of it. It knows neither the others nor the pool's
//! state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Costs;
use super::meters::Meters;
use super::pool::Hold;
use super::progress::Progress;
use super::tokens::mixed;

/// A request for tokens.
#[derive(Debug)]
pub(super) struct Job {
    /// Its number, in order of arrival.
    pub(super) id: u64,
    /// The prompt, then every token of the answer to come.
    pub(super) tokens: Vec<u32>,
    /// Where the answer begins.
    pub(super) prompt_len: usize,
    /// From when on it could have been worked on.
    pub(super) since: Instant,
    /// The adapter it wants.
    pub(super) adapter: Option<String>,
    /// Who waits.
    pub(super) progress: Arc<Progress>,
}

/// A job that runs or waits.
#[derive(Debug)]
pub(super) struct Sequence {
    /// What is to be done.
    pub(super) job: Job,
    /// Its pages.
    pub(super) hold: Hold,
    /// Tokens whose keys and values are in its pages.
    pub(super) computed: usize,
    /// Tokens of the answer made so far.
    pub(super) made: usize,
    /// Tokens of this step.
    pub(super) now: usize,
    /// Of these, tokens that were only guessed.
    pub(super) drafts: usize,
    /// Tokens to reload from disk in its first step.
    pub(super) reload: usize,
    /// When its keys and values have come over, where they are computed elsewhere.
    pub(super) ready: Option<Instant>,
    /// When it was taken in first.
    pub(super) admitted: Option<Instant>,
    /// When its first and last tokens were due.
    pub(super) first: Option<Instant>,
    /// See `first`.
    pub(super) last: Option<Instant>,
}

impl Sequence {
    /// In the queue.
    pub(super) fn new(job: Job) -> Self {
        Self {
            job,
            hold: Hold::default(),
            computed: 0,
            made: 0,
            now: 0,
            drafts: 0,
            reload: 0,
            ready: None,
            admitted: None,
            first: None,
            last: None,
        }
    }

    /// Tokens it has: the prompt and what was made.
    pub(super) fn known(&self) -> usize {
        self.job.prompt_len + self.made
    }

    /// Tokens to compute before the next can be made.
    pub(super) fn left(&self) -> usize {
        self.known() - self.computed
    }

    /// Whether its prompt is computed and its next token can be made.
    pub(super) fn decodes(&self) -> bool {
        self.made > 0 && self.left() == 1
    }

    /// Whether its answer is whole.
    pub(super) fn is_over(&self) -> bool {
        self.known() >= self.job.tokens.len()
    }

    /// Whether its keys and values are here.
    pub(super) fn is_here(&self, now: Instant) -> bool {
        self.ready.is_none_or(|ready| ready <= now)
    }

    /// From when on it can be worked on.
    pub(super) fn since(&self) -> Instant {
        self.ready
            .map_or(self.job.since, |ready| ready.max(self.job.since))
    }

    /// Tokens that are guessed ahead in its next step.
    pub(super) fn guesses(&self, costs: &Costs) -> usize {
        let to_make = self.job.tokens.len() - self.known();
        costs.spec_tokens.min(to_make.saturating_sub(1))
    }

    /// So many tokens are told at once.
    pub(super) fn measure(&mut self, told: Instant, tokens: usize, meters: &Meters) {
        match self.last {
            None => {
                let admitted = self.admitted.unwrap_or(self.job.since);
                let since_admission = told.saturating_duration_since(admitted);
                meters.first(told.saturating_duration_since(self.job.since), since_admission);
                self.first = Some(told);
            }
            Some(last) => meters.token(told.saturating_duration_since(last)),
        }
        for _ in 1..tokens {
            meters.token(Duration::ZERO);
        }
        self.last = Some(told);
    }
}

/// How many of the tokens guessed are right: those before the first wrong one. The job and the place decide.
pub(super) fn accepted(seed: u64, job: &Job, made: usize, drafts: usize, acceptance: f64) -> usize {
    let place = |draft: usize| mixed(seed ^ job.id.rotate_left(32) ^ (made + draft) as u64);
    let right = |draft: &usize| (place(*draft) as f64 / u64::MAX as f64) < acceptance;
    (0..drafts).take_while(right).count()
}
