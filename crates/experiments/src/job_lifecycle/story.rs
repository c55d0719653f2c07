//! All that was seen of one job, in order.

use crate::answer::Answer;

use super::state::{JobState, Stage};

/// Why a job was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With good input.
    Good,
    /// With this input that names nothing among good ones.
    Bad(String),
    /// To be cancelled at once.
    Cancelled,
    /// By another experiment, before these.
    Earlier,
}

/// One job from its submission to the last look.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// Its id.
    pub id: String,
    /// Why it was started.
    pub kind: Kind,
    /// What each answer said, the submission's first.
    pub states: Vec<JobState>,
    /// The round of the watch in which each was said; 0 is before the first.
    rounds: Vec<usize>,
    /// The status of looks that were not answered well.
    pub lost: Vec<u16>,
    /// The last answer that had a status.
    pub quote: String,
}

impl Story {
    /// Nothing seen yet.
    pub(super) fn new(id: String, kind: Kind) -> Self {
        Self {
            id,
            kind,
            states: Vec::new(),
            rounds: Vec::new(),
            lost: Vec::new(),
            quote: String::new(),
        }
    }

    /// Takes in one answer of that round.
    pub(super) fn see(&mut self, answer: &Answer<'_>, round: usize) {
        if !(200..300).contains(&answer.sample.status) {
            self.lost.push(answer.sample.status);
            return;
        }
        if let Some(state) = answer.json().as_ref().and_then(JobState::read) {
            self.states.push(state);
            self.rounds.push(round);
            self.quote = answer.message();
        }
    }

    /// What it said last.
    pub(super) fn last(&self) -> Option<&JobState> {
        self.states.last()
    }

    /// Whether it may still change: what nobody understands may.
    pub(super) fn is_open(&self) -> bool {
        let ended = self.last().and_then(|s| s.stage).is_some_and(Stage::has_ended);
        !ended && self.lost.len() < 20
    }

    /// Whether it never was anything but waiting, whenever it was looked at.
    pub(super) fn never_began(&self) -> bool {
        self.states.len() > 1 && self.states.iter().all(|s| s.stage == Some(Stage::Waiting))
    }

    /// Whether it was asked for, and not only submitted.
    pub(super) fn was_looked_at(&self) -> bool {
        !self.lost.is_empty() || self.rounds.iter().any(|round| *round > 0)
    }

    /// Whether the target worked on it, or no longer knows it: it is not what a queue that never moves holds. A word that nobody
    /// knows may mean work.
    pub(super) fn has_moved(&self) -> bool {
        let is_idle = |s: &JobState| matches!(s.stage, Some(Stage::Waiting | Stage::Cancelled));
        !self.states.iter().all(is_idle) || self.lost.iter().any(|status| matches!(status, 404 | 410))
    }

    /// The last round in which it was being worked on, or was seen to have ended by itself.
    pub(super) fn last_at_work(&self) -> Option<usize> {
        let mut before = None;
        let mut last = None;
        for (state, round) in self.states.iter().zip(&self.rounds) {
            let at_work = match state.stage {
                Some(Stage::Waiting | Stage::Cancelled) => false,
                Some(Stage::Done | Stage::Failed) => before != state.stage,
                Some(Stage::Running) | None => true,
            };
            if at_work {
                last = Some(*round);
            }
            before = state.stage;
        }
        last
    }

    /// The words it went through, each once in a row.
    pub(super) fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = Vec::new();
        for state in &self.states {
            if words.last() != Some(&state.word.as_str()) {
                words.push(&state.word);
            }
        }
        words
    }

    /// The first step back: of the stage, or of the progress.
    pub(super) fn step_back(&self) -> Option<String> {
        self.states.windows(2).find_map(|pair| {
            let [before, after] = pair else { return None };
            if let (Some(a), Some(b)) = (before.stage, after.stage)
                && (b < a || (a.has_ended() && a != b))
            {
                return Some(format!("from `{}` to `{}`", before.word, after.word));
            }
            if let (Some(a), Some(b)) = (before.progress, after.progress)
                && b < a
            {
                return Some(format!("from a progress of {a} to {b}"));
            }
            match (before.processed, after.processed) {
                (Some(a), Some(b)) if b < a => Some(format!("from {a} items processed to {b}")),
                _ => None,
            }
        })
    }
}
