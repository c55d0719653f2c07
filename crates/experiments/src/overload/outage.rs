//! Whether a target went down: a stretch without one good answer in which requests were turned away at once, where many
//! would have been answered. A target that is merely slow, or busy for nobody, lets its clients wait instead. One that answers
//! with 429 is up: a limit on the rate of its clients turns them away.

use prony_model::{Outcome, OutcomeClass, Sample};

use super::surge::{BEFORE, Surge};

/// Good answers that the stretch would have brought at the capacity, at least.
const MISSED_MIN: f64 = 30.0;
/// Requests that were turned away at once in it, at least.
const AWAY_MIN: usize = 20;
/// Their share of all that were sent in it, at least.
const AWAY_SHARE_MIN: f64 = 0.9;

/// A stretch in which nothing was served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outage {
    /// Its length, in seconds.
    pub seconds: f64,
    /// Requests that were turned away in it.
    pub turned_away: usize,
    /// Whether most of them were refused for their rate: by a limit, and by no target that is down.
    pub limited: bool,
    /// Whether good answers came again.
    pub ended: bool,
}

/// All such stretches after the surge began.
pub(super) fn outages(surge: &Surge<'_>) -> Vec<Outage> {
    let from = surge.begins_s(BEFORE + 1);
    let theirs: Vec<&Sample> = surge
        .phase
        .samples
        .iter()
        .filter(|s| s.is_request() && !s.outcome.is_own() && surge.seconds(s.done) >= from)
        .collect();
    let mut good: Vec<f64> = theirs
        .iter()
        .filter(|s| s.outcome.class() == OutcomeClass::Ok)
        .map(|s| surge.seconds(s.done))
        .collect();
    good.sort_unstable_by(f64::total_cmp);
    let last = theirs.iter().map(|s| surge.seconds(s.sent)).fold(from, f64::max);
    let goods = good.len();
    let mut marks = vec![from];
    marks.extend(good);
    marks.push(last);
    marks
        .windows(2)
        .enumerate()
        .filter(|(_, w)| (w[1] - w[0]) * surge.capacity >= MISSED_MIN)
        .filter_map(|(i, w)| {
            let within = || {
                theirs
                    .iter()
                    .filter(|s| (w[0]..w[1]).contains(&surge.seconds(s.sent)))
            };
            let turned_away = within().filter(|s| is_turned_away(s)).count();
            let limited = within().filter(|s| is_limited(s)).count();
            let mostly = turned_away as f64 >= AWAY_SHARE_MIN * within().count() as f64;
            (turned_away >= AWAY_MIN && mostly).then_some(Outage {
                seconds: w[1] - w[0],
                turned_away,
                limited: 2 * limited > turned_away,
                ended: i < goods,
            })
        })
        .collect()
}

/// Refused, reset or answered by an error: not by waiting in vain.
fn is_turned_away(sample: &Sample) -> bool {
    matches!(
        sample.outcome.class(),
        OutcomeClass::Transport | OutcomeClass::ServerError | OutcomeClass::Refusal
    )
}

/// Refused for its rate.
fn is_limited(sample: &Sample) -> bool {
    matches!(
        sample.outcome,
        Outcome::Status429 | Outcome::GrpcResourceExhausted
    )
}
