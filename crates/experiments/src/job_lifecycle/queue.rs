//! Whether jobs that never began are stuck, or may only have waited behind other jobs of this run.
//!
//! It knows only the jobs that this run started: what others have in the queue, it cannot see.

use super::Watched;
use super::story::Story;

/// How many times as long as it was at work the queue must have been idle before a job that still waits is called stuck, where others
/// that were started with it came to their end: less may be a pause between two jobs.
const IDLE_TIMES: f64 = 3.0;

/// What is known of the queue in which jobs waited that never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// No job of this run ever began.
    Still,
    /// Other jobs ended, and nothing of this run was worked on for long while these waited.
    Idle,
    /// It works on jobs of this run: these may have waited for their turn.
    Moves,
}

impl Queue {
    /// What the watched jobs tell of it.
    pub(super) fn of(watched: &Watched<'_>) -> Self {
        let began = watched.stories.iter().filter(|s| !s.never_began());
        let own = began.filter_map(Story::last_at_work).max();
        let others = watched.earlier.iter().filter_map(Story::last_at_work).max();
        let Some(last) = own.max(others) else {
            let was_not_seen = |s: &Story| s.has_moved() || !s.was_looked_at();
            return if watched.earlier.iter().any(was_not_seen) {
                Self::Moves
            } else {
                Self::Still
            };
        };
        let rounds = last.min(watched.rounds_s.len());
        let (busy, idle) = watched.rounds_s.split_at(rounds);
        let sum = |spans: &[f64]| spans.iter().sum::<f64>();
        if sum(idle) < IDLE_TIMES * sum(busy) {
            Self::Moves
        } else {
            Self::Idle
        }
    }
}
