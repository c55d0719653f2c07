//! A limit on a time, held over all requests: what a time-out ended has taken longer than was waited. The words for it, and which
//! gates it concerns.

use prony_model::{Figure, PhaseResult, Source, Verdict};

use super::condition::Op;
use super::number;
use crate::metric::{CONFIDENCE, Metric, Missed, WithTimeouts};
use crate::wording::{digits, ms};

/// The times of good answers and time-outs that a gate looks at; `None` where none ran into one, and for a gate that sets no upper
/// limit to a quantile or to the longest of them.
pub(super) fn times(
    metric: Metric,
    op: Op,
    phase: &PhaseResult,
    scenario: Option<&str>,
) -> Option<WithTimeouts> {
    if op.is_ceiling() {
        metric.with_timeouts(phase, scenario)
    } else {
        None
    }
}

/// Whether the limit is met even if those that ran into a time-out had taken for ever.
pub(super) fn meets(all: &WithTimeouts, op: Op, limit: f64) -> bool {
    all.interval(CONFIDENCE)
        .is_some_and(|interval| op.decide(limit, interval) == Verdict::Pass)
}

/// What a miss was decided by: no time, but the share of the requests beyond the limit.
pub(super) fn figure(missed: &Missed, source: Source) -> Figure {
    let label = if missed.by_timeouts {
        "share of requests that ran into a time-out beyond the limit"
    } else {
        "share of requests beyond the limit, time-outs among them"
    };
    Figure {
        label: label.to_owned(),
        value: missed.over as f64 / missed.n as f64,
        unit: "ratio".to_owned(),
        ci: missed.interval,
        n: missed.n as u64,
        source,
    }
}

/// So many requests, of which failures that are no time-outs are left out where there are such.
pub(super) fn requests(n: usize, others: bool) -> String {
    if others {
        format!("{n} requests, those that failed otherwise left out,")
    } else {
        format!("{n} requests")
    }
}

/// Why the limit is missed, in a sentence. `others` tells whether requests failed in another way.
pub(super) fn says(missed: &Missed, label: &str, limit: f64, required: &str, others: bool) -> String {
    let waited = ms(missed.waited_ms);
    let requests = requests(missed.n, others);
    let share = match missed.interval {
        Some((low, high)) => format!(
            "{} % (95 % interval {} % to {} %) of {requests}",
            digits(100.0 * missed.over as f64 / missed.n as f64),
            digits(100.0 * low),
            digits(100.0 * high)
        ),
        None => format!("{} of {requests}", missed.over),
    };
    if missed.by_timeouts {
        format!(
            "{share} ran into a time-out after {waited} or more: over all requests the {label} is above that, but {required} was \
             required."
        )
    } else {
        format!(
            "{share} took more than {}, or ran into a time-out after {waited} or more: over all requests the {label} is above the \
             limit, but {required} was required.",
            number(limit)
        )
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{GateResult, Outcome, PhaseResult, ValidityIssue, Verdict};

    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    use rand_chacha::ChaCha8Rng;

    use crate::gate::tests::{gate, phase};
    use crate::gate::{judge_gate, judge_gates};

    type Request = (f64, Outcome, u16);

    const GOOD: Request = (10.0, Outcome::Ok, 200);
    const SLOW: Request = (600.0, Outcome::Ok, 200);
    const TIMED_OUT: Request = (10_000.0, Outcome::HeadersTimeout, 0);
    const REFUSED: Request = (1.0, Outcome::Status503, 503);

    /// So many requests, of which those numbers end otherwise, at places drawn from a fixed seed.
    fn mixed(n: usize, others: &[(usize, Request)]) -> PhaseResult {
        let mut requests = vec![GOOD; n];
        let bad = others
            .iter()
            .flat_map(|&(count, request)| std::iter::repeat_n(request, count));
        for (place, request) in requests.iter_mut().zip(bad) {
            *place = request;
        }
        requests.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        phase("p", &requests)
    }

    fn judged(phase: &PhaseResult, check: &str) -> GateResult {
        judge_gate(&gate("p", check), std::slice::from_ref(phase), &[])
    }

    #[test]
    fn more_time_outs_than_the_percentile_leaves_out_fail_it() {
        let result = judged(&mixed(1000, &[(100, TIMED_OUT)]), "p99_ms <= 500");
        assert_eq!(result.verdict, Verdict::Fail, "{}", result.says);
        assert!(result.says.contains("10.0 % (95 % interval "), "{}", result.says);
        assert!(
            result
                .says
                .contains("of 1000 requests ran into a time-out after 10.0 s or more"),
            "{}",
            result.says
        );
        assert!(
            result.says.contains("but at most 500 was required"),
            "{}",
            result.says
        );
        let figure = result.measured.unwrap();
        assert!(
            (figure.value - 0.1).abs() < 1e-9 && figure.unit == "ratio",
            "{figure:?}"
        );
        // The same where there is no good answer at all, and where too few for a percentile.
        assert_eq!(
            judged(&mixed(60, &[(60, TIMED_OUT)]), "p99_ms <= 500").verdict,
            Verdict::Fail
        );
        assert_eq!(
            judged(&mixed(100, &[(10, TIMED_OUT)]), "service_p99_ms < 500").verdict,
            Verdict::Fail
        );
        // A median leaves out half of them.
        assert_eq!(
            judged(&mixed(1000, &[(100, TIMED_OUT)]), "p50_ms <= 500").verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn what_failed_at_once_is_not_slow() {
        let result = judged(&mixed(2000, &[(200, REFUSED)]), "p99_ms <= 500");
        assert_eq!(result.verdict, Verdict::Inconclusive, "{}", result.says);
        assert!(result.says.contains("did not finish"), "{}", result.says);
        let both = judged(&mixed(1000, &[(100, TIMED_OUT), (100, REFUSED)]), "p99_ms <= 500");
        assert_eq!(both.verdict, Verdict::Fail, "{}", both.says);
        let of = "of 900 requests, those that failed otherwise left out,";
        assert!(both.says.contains(of), "{}", both.says);
    }

    #[test]
    fn a_wait_below_the_limit_tells_nothing_and_does_not_pass() {
        let short = (200.0, Outcome::HeadersTimeout, 0);
        let result = judged(&mixed(2000, &[(200, short)]), "p99_ms <= 500");
        assert_eq!(result.verdict, Verdict::Inconclusive, "{}", result.says);
        assert_eq!(
            judged(&mixed(2000, &[(200, short)]), "p99_ms <= 150").verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn late_answers_and_time_outs_fail_it_together() {
        // 4 % of each: neither alone is surely more than 5 %.
        for others in [&[(40, SLOW)][..], &[(40, TIMED_OUT)]] {
            let result = judged(&mixed(1000, others), "p95_ms <= 500");
            assert_eq!(result.verdict, Verdict::Inconclusive, "{}", result.says);
        }
        let result = judged(&mixed(1000, &[(40, SLOW), (40, TIMED_OUT)]), "p95_ms <= 500");
        assert_eq!(result.verdict, Verdict::Fail, "{}", result.says);
        assert!(result.says.contains("8.00 % (95 % interval "), "{}", result.says);
        assert!(result.says.contains("took more than 500"), "{}", result.says);
    }

    #[test]
    fn what_time_outs_leave_open_does_not_pass() {
        let open = judged(&mixed(1000, &[(45, TIMED_OUT)]), "p95_ms <= 500");
        assert_eq!(open.verdict, Verdict::Inconclusive, "{}", open.says);
        assert!(
            open.says.contains("45 of 1000 requests ran into a time-out"),
            "{}",
            open.says
        );
        let few = judged(&mixed(1000, &[(10, TIMED_OUT)]), "p95_ms <= 500");
        assert_eq!(few.verdict, Verdict::Pass, "{}", few.says);
        assert!(
            few.says.contains("of the good answers, at most 500 as required"),
            "{}",
            few.says
        );
    }

    #[test]
    fn one_time_out_is_longer_than_the_longest_may_be() {
        let result = judged(&mixed(100, &[(1, TIMED_OUT)]), "max_ms <= 500");
        assert_eq!(result.verdict, Verdict::Fail, "{}", result.says);
        assert!(
            result.says.contains("1 of 100 requests ran into a time-out"),
            "{}",
            result.says
        );
        assert_eq!(
            judged(&mixed(100, &[(1, TIMED_OUT)]), "max_ms <= 20000").verdict,
            Verdict::Inconclusive
        );
        assert_eq!(
            judged(&mixed(100, &[(1, REFUSED)]), "max_ms <= 500").verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn an_invalid_phase_stays_invalid() {
        let mut phase = mixed(1000, &[(100, TIMED_OUT)]);
        phase.summary.validity.invalid.push(ValidityIssue {
            name: "shed".into(),
            says: "too many shed".into(),
        });
        assert_eq!(judged(&phase, "p99_ms <= 500").verdict, Verdict::Invalid);
    }

    #[test]
    fn it_is_a_test_among_the_others() {
        let phases = [mixed(1000, &[(100, TIMED_OUT)])];
        let gates = [gate("p", "p99_ms <= 500"), gate("p", "error_rate <= 0.2")];
        let judged = judge_gates(&gates, &phases, &[]);
        assert_eq!(judged[0].verdict, Verdict::Fail, "{}", judged[0].says);
        assert!(judged[0].says.contains("all 2 tests"), "{}", judged[0].says);
    }
}
