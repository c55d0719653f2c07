//! When a target is back to normal after a surge: the first moment from which three windows in a row are like before.
//! Arithmetic, no words.

use prony_model::{Outcome, Sample};
use prony_stats::{binomial, order};

use super::lingering::{self, Sign};
use super::surge::{AFTER, BASE, SCRIPT_S, Surge, WATCH_S};
use crate::objective::{LetDown, Objective};

/// A window, in seconds of the script.
const WINDOW_S: f64 = 10.0;
/// Requests that a window has at least, about.
const WINDOW_REQUESTS: f64 = 40.0;
/// So many in a row.
const IN_A_ROW: usize = 3;
/// How much slower than before the 95th percentile may be.
const SLOWER: f64 = 1.1;
/// The percentile that is compared.
const P: f64 = 0.95;
/// Share of the full watch that may be missing from it by rounding: the script is scaled in floating point.
const ROUNDING: f64 = 1e-9;

/// The end of a surge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recovery {
    /// Seconds from the end of the surge to the first of three good windows; `None` when there were none.
    pub after_s: Option<f64>,
    /// Seconds that were watched.
    pub watched_s: f64,
    /// Length of a window, in seconds.
    pub window_s: f64,
    /// Whether it was watched for as long as a target may take: only then one that is not back counts as one that stays away.
    pub is_full: bool,
    /// What shows of why it is not back; `None` when it is, or when nothing shows.
    pub sign: Option<Sign>,
    /// 95th percentile of the response before the surge, in ms.
    pub before_ms: f64,
    /// Requests behind that.
    pub n: usize,
}

impl Recovery {
    /// Seconds after the surge before which it was not back: the first of three good windows can be no earlier.
    pub(super) fn not_before_s(&self) -> f64 {
        self.after_s
            .unwrap_or(self.watched_s - (IN_A_ROW - 1) as f64 * self.window_s)
    }
}

/// When it was back to normal. `None` when before the surge there was too little to compare with, or after it less than
/// three windows.
pub(super) fn recovery(surge: &Surge<'_>) -> Option<Recovery> {
    let before = surge.before();
    let response: Vec<f64> = before.iter().map(|s| response_ms(s)).collect();
    let estimate = order::estimate(&response, P, 0.95)?;
    // As fast as before: within a tenth of the upper end of what it was.
    let normal_ms = SLOWER * estimate.interval?.1;
    if !normal_ms.is_finite() {
        return None;
    }
    let stage = &surge.stages[usize::from(AFTER)];
    let total_s: f64 = surge.stages.iter().map(|s| s.duration_s).sum();
    let window_s = (WINDOW_S * total_s / SCRIPT_S).max(WINDOW_REQUESTS / (BASE * surge.capacity));
    let begins = surge.begins_s(AFTER);
    let after = surge.arrivals(AFTER);
    // Of a phase that was cut short only what it had of the watch counts.
    let watch_s = if surge.phase.summary.partial {
        let last_s = after.iter().map(|s| surge.at_s(s) - begins).fold(0.0, f64::max);
        last_s.min(stage.duration_s)
    } else {
        stage.duration_s
    };
    let count = (watch_s / window_s).floor() as usize;
    if count < IN_A_ROW || after.is_empty() {
        return None;
    }
    let mut stretches: Vec<Vec<&Sample>> = vec![Vec::new(); count];
    for &sample in &after {
        let at = surge.at_s(sample) - begins;
        if let Some(window) = stretches.get_mut((at / window_s).max(0.0) as usize) {
            window.push(sample);
        }
    }
    let normal = Objective {
        quantile: P,
        limit_ms: normal_ms,
        is_derived: true,
    };
    let failed_before = failures(&before).1;
    let good = |row: &[Vec<&Sample>]| {
        let let_down: LetDown = normal.count(row);
        let all: Vec<&Sample> = row.iter().flatten().copied().collect();
        let_down.n > 0 && let_down.interval().0 <= normal.allowed() && failures(&all).0 <= failed_before
    };
    let first = stretches
        .windows(IN_A_ROW)
        .position(|row| row.iter().all(|w| good(std::slice::from_ref(w))) && good(row));
    Some(Recovery {
        after_s: first.map(|i| i as f64 * window_s),
        watched_s: count as f64 * window_s,
        window_s,
        is_full: watch_s >= WATCH_S * (1.0 - ROUNDING),
        sign: if first.is_none() {
            lingering::sign(&after, failed_before)
        } else {
            None
        },
        before_ms: estimate.value,
        n: response.len(),
    })
}

/// Interval of the share that failed.
pub(super) fn failures(samples: &[&Sample]) -> (f64, f64) {
    let failed = samples.iter().filter(|s| s.outcome.is_failure()).count();
    binomial::clopper_pearson(failed as u64, samples.len() as u64, 0.95)
}

fn response_ms(sample: &Sample) -> f64 {
    if sample.outcome == Outcome::Ok {
        sample.response().as_millis_f64()
    } else {
        f64::INFINITY
    }
}
