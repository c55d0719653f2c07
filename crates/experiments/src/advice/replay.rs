//! A platform's liveness probe replayed on recorded health calls: would it have restarted a target that was well?

use prony_model::{Outcome, Sample};

/// A liveness probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probe {
    pub period_s: f64,
    pub timeout_s: f64,
    /// Failures in a row that restart the target.
    pub failures: u32,
}

/// What a health call was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    /// When it was due, in s since the first.
    pub at_s: f64,
    /// What it took, in s.
    pub took_s: f64,
    /// Whether it was answered as expected.
    pub good: bool,
}

/// The calls of a series, in order.
pub(super) fn calls<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<Call> {
    let mut samples: Vec<&Sample> = samples.collect();
    samples.sort_by_key(|s| s.intended);
    let first = samples.first().map(|s| s.intended).unwrap_or_default();
    samples
        .iter()
        .map(|s| Call {
            at_s: (s.intended - first).as_secs_f64(),
            took_s: s.response().as_secs_f64(),
            good: s.outcome == Outcome::Ok,
        })
        .collect()
}

/// The longest time without a good answer: the slowest call, or from the first call of a row of failures to the next good
/// answer (to the end of the last failure where none came).
pub(super) fn longest_stall_s(calls: &[Call]) -> f64 {
    let mut longest = calls.iter().map(|c| c.took_s).fold(0.0, f64::max);
    let mut since: Option<f64> = None;
    for call in calls {
        let end = call.at_s + call.took_s;
        match (call.good, since) {
            (true, Some(start)) => {
                longest = longest.max(end - start);
                since = None;
            }
            (false, None) => {
                since = Some(call.at_s);
                longest = longest.max(call.took_s);
            }
            (false, Some(start)) => longest = longest.max(end - start),
            (true, None) => {}
        }
    }
    longest
}

/// Restarts over replays that begin at each of the recorded calls in turn, and how many replays were long enough to restart
/// anything. A probe meets what the next recorded call met.
pub(super) fn restarts(calls: &[Call], probe: Probe) -> (u64, u64) {
    let Some(end) = calls.last().map(|c| c.at_s) else {
        return (0, 0);
    };
    let (mut restarts, mut replays) = (0, 0);
    for (k, first) in calls.iter().enumerate() {
        if first.at_s + probe.period_s * f64::from(probe.failures - 1) > end {
            break;
        }
        replays += 1;
        let (mut failed, mut due, mut next) = (0, first.at_s, k);
        while let Some(found) = calls[next..].iter().position(|c| c.at_s >= due - 1e-9) {
            next += found;
            let call = calls[next];
            failed = if call.good && call.took_s <= probe.timeout_s {
                0
            } else {
                failed + 1
            };
            if failed >= probe.failures {
                restarts += 1;
                failed = 0;
            }
            due += probe.period_s;
        }
    }
    (restarts, replays)
}

#[cfg(test)]
mod tests {
    use super::{Call, Probe, longest_stall_s, restarts};

    const PROBE: Probe = Probe {
        period_s: 10.0,
        timeout_s: 2.0,
        failures: 3,
    };

    /// A call each second; those in the range are not answered within 5 s.
    fn series(bad: std::ops::Range<u32>) -> Vec<Call> {
        (0..120)
            .map(|i| Call {
                at_s: f64::from(i),
                took_s: if bad.contains(&i) { 5.0 } else { 0.01 },
                good: !bad.contains(&i),
            })
            .collect()
    }

    #[test]
    fn a_stall_lasts_until_the_next_good_answer() {
        assert!((longest_stall_s(&series(0..0)) - 0.01).abs() < 1e-9);
        assert!((longest_stall_s(&series(40..60)) - 24.0).abs() < 1e-9);
        assert!((longest_stall_s(&series(100..120)) - 24.0).abs() < 1e-9);
        assert!(longest_stall_s(&[]).abs() < 1e-9);
    }

    #[test]
    fn only_failures_in_a_row_restart() {
        assert_eq!(restarts(&series(0..0), PROBE), (0, 100));
        assert_eq!(restarts(&series(40..59), PROBE).0, 0);
        assert!(restarts(&series(40..70), PROBE).0 > 0);
        let patient = Probe { failures: 5, ..PROBE };
        assert_eq!(restarts(&series(40..70), patient).0, 0);
    }

    #[test]
    fn a_series_shorter_than_the_probe_shows_nothing() {
        assert_eq!(restarts(&series(0..0)[..10], PROBE), (0, 0));
        assert_eq!(restarts(&[], PROBE), (0, 0));
    }

    #[test]
    fn a_slow_answer_is_a_failure_for_the_probe() {
        let mut slow = series(0..0);
        for call in &mut slow[30..80] {
            call.took_s = 3.0;
        }
        assert!(restarts(&slow, PROBE).0 > 0);
        let patient = Probe {
            timeout_s: 4.0,
            ..PROBE
        };
        assert_eq!(restarts(&slow, patient).0, 0);
    }
}
