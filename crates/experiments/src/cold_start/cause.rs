//! Why requests of a burst waited in vain, or waited at all: workers that had to start, too few workers, workers that stood idle
//! beside a queue, or the work itself. A burst after idleness is held beside the same burst repeated at once: what is gone the
//! second time was the start.

use super::measure::Burst;

/// Why a burst went as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Workers were not started yet.
    Cold,
    /// No more workers came, though requests waited.
    Cap,
    /// Workers stood idle while requests waited for others.
    Imbalance,
    /// Nothing waited: the time is that of the work.
    Execution,
    /// Most of what failed was refused for its rate: that tells nothing of workers.
    Limited,
}

/// Share of what was lost that must be gone when the burst is repeated, for the start to be the cause.
const GONE_MIN: f64 = 0.5;
/// Share of the work places that stood empty beside a queue, on average, from which on requests are dealt out badly.
const IDLE_MAX: f64 = 0.10;
/// Part of the time of a request that is long enough to see how many are at work.
const REST_MIN: f64 = 0.3;
/// Mean wait, in times of a request, below which nothing waited.
const WAIT_MIN: f64 = 0.5;

/// Coefficient of variation of a request's time above which work places cannot be counted from the ends of answers.
const VARIATION_MAX: f64 = 0.25;

/// The cause of what a burst after idleness lost, beside the same burst at once again. A request takes `service_s`, with that
/// coefficient of variation.
pub(super) fn cause(
    idle: &Burst,
    again: &Burst,
    (service_s, variation): (f64, f64),
    timeout_s: f64,
) -> Cause {
    if 2 * (idle.limited + again.limited) > idle.failed() + again.failed() {
        return Cause::Limited;
    }
    let waits = idle.wait_s(service_s) > WAIT_MIN * service_s;
    if !waits && idle.refused_s.is_empty() {
        return Cause::Execution;
    }
    let empty = |burst: &Burst| empty_share(burst, service_s, timeout_s);
    if variation < VARIATION_MAX && empty(idle).max(empty(again)) > IDLE_MAX {
        return Cause::Imbalance;
    }
    let (lost, lost_again) = if idle.failed() > 0 {
        (idle.failed() as f64, again.failed() as f64)
    } else {
        (idle.wait_s(service_s), again.wait_s(service_s))
    };
    if lost_again <= (1.0 - GONE_MIN) * lost {
        Cause::Cold
    } else {
        Cause::Cap
    }
}

/// How many were at work at once, at most; averaged over the time of a request.
pub(super) fn at_work_max(burst: &Burst, service_s: f64) -> f64 {
    let until_s = burst.ends_s.last().copied().unwrap_or(0.0);
    stretches(burst, service_s, until_s)
        .into_iter()
        .map(|stretch| stretch.at_work)
        .fold(0.0, f64::max)
}

/// Share of the work places that stood empty while requests still waited, averaged over that time: after so many had been at
/// work at once, fewer are. Workers that come do not count, and neither does the end, when nobody waits.
fn empty_share(burst: &Burst, service_s: f64, timeout_s: f64) -> f64 {
    let waited_until = burst
        .patience_s(service_s, timeout_s)
        .unwrap_or_else(|| burst.ends_s.last().map_or(0.0, |end| end - service_s));
    let stretches = stretches(burst, service_s, waited_until);
    let most = stretches
        .iter()
        .map(|stretch| stretch.at_work)
        .fold(0.0, f64::max);
    let length_s: f64 = stretches.iter().map(|stretch| stretch.length_s).sum();
    if stretches.len() < 2 || most <= 0.0 {
        return 0.0;
    }
    let mut before: f64 = 0.0;
    let empty: f64 = stretches
        .iter()
        .map(|stretch| {
            before = before.max(stretch.at_work);
            (before - stretch.at_work) * stretch.length_s
        })
        .sum();
    empty / most / length_s
}

/// A part of a burst's time.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    length_s: f64,
    /// Mean number at work.
    at_work: f64,
}

/// Stretches as long as a request, from the start of the burst to `until_s`; the last is the rest, unless it is too short to
/// tell. Each answer was at work for the time of a request before it ended.
fn stretches(burst: &Burst, service_s: f64, until_s: f64) -> Vec<Stretch> {
    let count = (until_s / service_s).ceil().clamp(0.0, 10_000.0) as usize;
    (0..count)
        .map(|k| (k as f64 * service_s, ((k as f64 + 1.0) * service_s).min(until_s)))
        .filter(|(from, to)| to - from >= REST_MIN * service_s)
        .map(|(from, to)| {
            let busy = burst
                .ends_s
                .iter()
                .map(|end| (end.min(to) - (end - service_s).max(from)).max(0.0));
            Stretch {
                length_s: to - from,
                at_work: busy.sum::<f64>() / (to - from),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Cause, at_work_max, cause};
    use crate::cold_start::measure::Burst;

    /// A burst of 12 whose answers ended then; the rest was refused after ten seconds.
    fn burst(ends_s: &[f64]) -> Burst {
        let mut ends_s = ends_s.to_vec();
        ends_s.sort_unstable_by(f64::total_cmp);
        Burst {
            size: 12,
            refused_s: vec![10.0; 12 - ends_s.len()],
            ends_s,
            ..Burst::default()
        }
    }

    fn lanes(workers: usize, ready_s: f64) -> Vec<f64> {
        let each = (0..)
            .map(move |k| ready_s + 2.0 * f64::from(k))
            .take_while(|start| *start <= 10.0);
        let mut ends: Vec<f64> = each.flat_map(|start| vec![start + 2.0; workers]).collect();
        ends.sort_unstable_by(f64::total_cmp);
        ends.truncate(12);
        ends
    }

    #[test]
    fn each_cause_is_told() {
        let capped = burst(&lanes(1, 0.0));
        assert_eq!(cause(&capped, &capped, (2.0, 0.05), 30.0), Cause::Cap);
        let (late, warm) = (burst(&lanes(3, 8.0)), burst(&lanes(3, 0.0)));
        assert_eq!((late.failed(), warm.failed()), (6, 0));
        assert_eq!(cause(&late, &warm, (2.0, 0.05), 30.0), Cause::Cold);
        let uneven = burst(&[2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 2.0, 2.0, 4.0]);
        assert_eq!(cause(&uneven, &uneven, (2.0, 0.05), 30.0), Cause::Imbalance);
        let together = burst(&[2.0; 12]);
        assert_eq!(cause(&together, &together, (2.0, 0.05), 30.0), Cause::Execution);
        assert!((at_work_max(&capped, 2.0) - 1.0).abs() < 1e-9);
    }
}
