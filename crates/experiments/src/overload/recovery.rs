//! When a target is back to normal after a surge: the first moment from which three windows in a row are like before.
//! Arithmetic, no words.

use prony_model::{Outcome, Sample};
use prony_stats::{binomial, order};

use super::surge::{AFTER, BASE, SCRIPT_S, Surge};
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

/// The end of a surge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recovery {
    /// Seconds from the end of the surge to the first of three good windows; `None` when there were none.
    pub after_s: Option<f64>,
    /// Seconds that were watched.
    pub watched_s: f64,
    /// Length of a window, in seconds.
    pub window_s: f64,
    /// 95th percentile of the response before the surge, in ms.
    pub before_ms: f64,
    /// Requests behind that.
    pub n: usize,
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
    let count = (stage.duration_s / window_s).floor() as usize;
    let after = surge.arrivals(AFTER);
    if count < IN_A_ROW || after.is_empty() {
        return None;
    }
    let begins = surge.begins_s(AFTER);
    let mut stretches: Vec<Vec<&Sample>> = vec![Vec::new(); count];
    for sample in after {
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
        before_ms: estimate.value,
        n: response.len(),
    })
}

/// Interval of the share that failed.
fn failures(samples: &[&Sample]) -> (f64, f64) {
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
