//! When a failed request is sent again, and how long after: a function of the policy, the failure and the seed. It
//! reads the wall clock only where a server names a date without its own.

use std::time::SystemTime;

use prony_model::{Nanos, Outcome, Retry};

use crate::choice::mix;

/// What is known of a failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure<'a> {
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    /// Number of the attempt, from 0.
    pub(super) attempt: u8,
    /// Whether doing it twice is as good as once: by its method, or because nothing of it ever left.
    pub(super) harmless: bool,
    /// Header lines of the answer.
    pub(super) headers: &'a [(String, Vec<u8>)],
}

/// The pause before the next attempt; `None` when the failure is final. `random` decides the jitter.
pub(super) fn pause(policy: &Retry, failure: &Failure<'_>, random: u64) -> Option<Nanos> {
    let again = u16::from(failure.attempt) + 1 < u16::from(policy.attempts)
        && (failure.harmless || policy.unsafe_methods)
        && policy
            .on
            .iter()
            .any(|on| on.matches(failure.outcome, failure.status));
    if !again {
        return None;
    }
    // Full jitter: uniform below the exponential bound (Brooker, "Exponential backoff and jitter", 2015).
    let doubled = u64::from(policy.base_ms) << failure.attempt.min(32);
    let bound = doubled.min(u64::from(policy.cap_ms)) * 1_000_000;
    let jitter =
        Nanos(((u128::from(mix(random, u64::from(failure.attempt))) * u128::from(bound)) >> 64) as u64);
    if policy.retry_after_max_s == 0 {
        return Some(jitter);
    }
    match retry_after_s(failure.headers) {
        Some(seconds) if seconds > u64::from(policy.retry_after_max_s) => None,
        Some(seconds) => Some(jitter.max(Nanos(seconds * 1_000_000_000))),
        None => Some(jitter),
    }
}

/// Seconds that `Retry-After` asks for: a number, or a date from which that of the answer is taken (RFC 9110, section
/// 10.2.3).
fn retry_after_s(headers: &[(String, Vec<u8>)]) -> Option<u64> {
    let find = |name: &str| {
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    let value = find("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u64::MAX));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let told = find("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let wait = until.duration_since(told.unwrap_or_else(SystemTime::now));
    Some(wait.map_or(0, |wait| wait.as_secs()))
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, Outcome, Retry};

    use super::{Failure, pause};

    fn failure(attempt: u8, headers: &[(String, Vec<u8>)]) -> Failure<'_> {
        Failure {
            outcome: Outcome::Status503,
            status: 503,
            attempt,
            harmless: true,
            headers,
        }
    }

    fn headers(lines: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        lines
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn full_jitter_is_uniform_below_a_bound_that_doubles() {
        let policy = Retry {
            attempts: 9,
            base_ms: 100,
            cap_ms: 300,
            ..Retry::default()
        };
        for (attempt, bound_ms) in [(0, 100.0), (1, 200.0), (2, 300.0), (7, 300.0)] {
            let pauses: Vec<f64> = (0..2000)
                .map(|k| pause(&policy, &failure(attempt, &[]), k).unwrap().as_millis_f64())
                .collect();
            let mean = pauses.iter().sum::<f64>() / 2000.0;
            assert!(pauses.iter().all(|p| (0.0..bound_ms).contains(p)));
            // Standard error of the mean of a uniform: bound / sqrt(12 * 2000); five of them.
            assert!(
                (mean - bound_ms / 2.0).abs() < bound_ms * 0.033,
                "{attempt}: {mean}"
            );
        }
        assert_eq!(
            pause(&policy, &failure(1, &[]), 7),
            pause(&policy, &failure(1, &[]), 7)
        );
    }

    #[test]
    fn only_what_the_policy_names_and_only_so_often() {
        let policy = Retry::default();
        assert!(pause(&policy, &failure(1, &[]), 1).is_some());
        assert!(
            pause(&policy, &failure(2, &[]), 1).is_none(),
            "three attempts in all"
        );
        let other = Failure {
            outcome: Outcome::Status4xx,
            status: 404,
            ..failure(0, &[])
        };
        assert!(pause(&policy, &other, 1).is_none());
        let harmful = Failure {
            harmless: false,
            ..failure(0, &[])
        };
        assert!(pause(&policy, &harmful, 1).is_none());
        let anyway = Retry {
            unsafe_methods: true,
            ..policy
        };
        assert!(pause(&anyway, &harmful, 1).is_some());
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_bound() {
        let policy = Retry {
            base_ms: 1,
            ..Retry::default()
        };
        let after = |lines: &[(&str, &str)]| pause(&policy, &failure(0, &headers(lines)), 1);
        assert_eq!(after(&[("Retry-After", "2")]), Some(Nanos(2_000_000_000)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:49:40 GMT";
        assert_eq!(
            after(&[("date", date), ("retry-after", later)]),
            Some(Nanos(3_000_000_000))
        );
        assert!(after(&[("date", later), ("retry-after", date)]).unwrap() < Nanos(1_000_000));
        assert!(after(&[("retry-after", "soon")]).unwrap() < Nanos(1_000_000));
        assert_eq!(after(&[("retry-after", "31")]), None);
        assert_eq!(after(&[("retry-after", "99999999999999999999999")]), None);
        let deaf = Retry {
            retry_after_max_s: 0,
            ..policy.clone()
        };
        assert!(pause(&deaf, &failure(0, &headers(&[("retry-after", "31")])), 1).is_some());
    }
}
