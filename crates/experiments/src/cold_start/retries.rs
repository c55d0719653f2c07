//! Retry policies played through against a fleet: what share of a burst is answered in time, and how many attempts that takes.
//! Deterministic: jitter takes evenly spread values instead of random ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fleet::Fleet;

/// When to send again what was given up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Policy {
    /// Never.
    None,
    /// After the same pause.
    Fixed,
    /// After a pause that doubles.
    Exponential,
    /// After a random part of a pause that doubles (Brooker).
    FullJitter,
}

/// Every policy, with its name.
pub(super) const POLICIES: [(Policy, &str); 4] = [
    (Policy::None, "no retry"),
    (Policy::Fixed, "fixed pause"),
    (Policy::Exponential, "doubling pause"),
    (Policy::FullJitter, "doubling pause, full jitter"),
];

/// Attempts of a request at most.
const ATTEMPTS_MAX: u32 = 4;
/// First pause, as a part of the time after which a request is given up.
const PAUSE: f64 = 0.1;

/// What a policy comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Share of the requests answered by the deadline.
    pub answered: f64,
    /// Attempts for each request.
    pub amplification: f64,
}

/// Plays a burst through: an attempt that would have to wait for longer than `patience_s` is given up after it.
pub(super) fn play(fleet: &Fleet, burst: usize, patience_s: f64, deadline_s: f64, policy: Policy) -> Outcome {
    let mut free: Vec<f64> = (0..fleet.cap)
        .map(|w| if w < fleet.warm { 0.0 } else { fleet.start_s })
        .collect();
    // Attempts in the order of time, in microseconds so that they compare.
    let mut due: BinaryHeap<Reverse<(u64, usize, u32)>> =
        (0..burst).map(|request| Reverse((0, request, 1))).collect();
    let (mut attempts, mut answered, mut drawn) = (0_u64, 0_u64, 0.0_f64);
    while let Some(Reverse((at_us, request, attempt))) = due.pop() {
        let at_s = at_us as f64 / 1e6;
        attempts += 1;
        let next = free.iter_mut().min_by(|a, b| a.total_cmp(b));
        if let Some(next) = next.filter(|free_s| free_s.max(at_s) <= at_s + patience_s) {
            let end = next.max(at_s) + fleet.service_s;
            *next = end;
            answered += u64::from(end <= deadline_s);
            continue;
        }
        let doubled = PAUSE * patience_s * f64::from(1_u32 << (attempt - 1));
        let pause = match policy {
            Policy::None => continue,
            Policy::Fixed => PAUSE * patience_s,
            Policy::Exponential => doubled,
            Policy::FullJitter => {
                // Multiples of the golden section, less their whole parts, fill 0 to 1 evenly.
                drawn = (drawn + 0.618_033_988_749_895).fract();
                drawn * doubled
            }
        };
        let again_s = at_s + patience_s + pause;
        if attempt < ATTEMPTS_MAX && again_s < deadline_s {
            due.push(Reverse(((again_s * 1e6) as u64, request, attempt + 1)));
        }
    }
    Outcome {
        answered: answered as f64 / burst.max(1) as f64,
        amplification: attempts as f64 / burst.max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::{POLICIES, Policy, play};
    use crate::cold_start::fleet::Fleet;

    #[test]
    fn retries_help_when_workers_come_and_not_when_there_are_too_few() {
        let cold = Fleet {
            warm: 0,
            cap: 8,
            start_s: 15.0,
            service_s: 1.0,
        };
        let of = |fleet: &Fleet, policy| play(fleet, 16, 10.0, 40.0, policy);
        assert!(of(&cold, Policy::None).answered < 1e-9);
        for (policy, name) in &POLICIES[1..] {
            let outcome = of(&cold, *policy);
            assert!((outcome.answered - 1.0).abs() < 1e-9, "{name}: {outcome:?}");
            assert!((outcome.amplification - 2.0).abs() < 1e-9, "{name}: {outcome:?}");
        }
        let capped = Fleet {
            warm: 1,
            cap: 1,
            start_s: 0.0,
            service_s: 20.0,
        };
        let outcome = of(&capped, Policy::Fixed);
        assert!(
            outcome.answered <= 2.0 / 16.0 && outcome.amplification > 2.0,
            "{outcome:?}"
        );
    }
}
