//! Gates decide on intervals, and never pass without data.

use prony_model::{
    Capture, Distribution, Gate, Limits, Nanos, Outcome, Phase, PhaseResult, PhaseSummary, Request, Sample,
    SampleFlags, Scenario, Shape, SummaryRow, Validity, ValidityIssue, Verdict,
};
use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, proptest};

use super::{Check, CheckError, Op, judge_gate};

/// A sequential phase of the suite with these service times in milliseconds and outcomes.
pub(crate) fn phase(name: &str, requests: &[(f64, Outcome, u16)]) -> PhaseResult {
    let mut at = Nanos::ZERO;
    let samples: Vec<Sample> = requests
        .iter()
        .enumerate()
        .map(|(seq, &(ms, outcome, status))| {
            let start = at;
            at += Nanos::from_millis_f64(ms);
            Sample {
                seq: seq as u64,
                intended: start,
                sent: start,
                first_byte: at,
                done: at,
                digest: 0,
                bytes_in: 10,
                item: 0,
                connect_us: 0,
                tls_us: 0,
                attempt: 0,
                status,
                scenario: 0,
                step: 0,
                phase: 0,
                worker: 0,
                outcome,
                flags: SampleFlags::default(),
            }
        })
        .collect();
    let count = |wanted: Outcome| requests.iter().filter(|r| r.1 == wanted).count() as u64;
    let row = |outcome: Outcome| SummaryRow {
        scenario: "s".to_owned(),
        part: false,
        step: 0,
        connections: 1,
        outcome,
        n: count(outcome),
        per_s: 0.0,
        response: Distribution::default(),
        service: Distribution::default(),
        lag: Distribution::default(),
        ttfb: Distribution::default(),
        transfer: Distribution::default(),
        connect: Distribution::default(),
        tls: Distribution::default(),
    };
    let rows: Vec<SummaryRow> = Outcome::ALL.iter().map(|&o| row(o)).filter(|r| r.n > 0).collect();
    let (ok, offered) = (count(Outcome::Ok), requests.len() as u64);
    PhaseResult {
        index: 3,
        phase: Phase {
            name: name.to_owned(),
            experiment: "suite".to_owned(),
            scenarios: vec![Scenario::new(
                "s",
                vec![prony_model::Item {
                    request: Request::get("/"),
                    expect: prony_model::Expect::default(),
                }],
            )],
            shape: Shape::Sequential {
                requests: offered,
                duration_s: None,
            },
            limits: Limits::default(),
            capture: Capture::NONE,
        },
        summary: PhaseSummary {
            index: 3,
            name: name.to_owned(),
            experiment: "suite".to_owned(),
            shape: String::new(),
            open_loop: false,
            started: Nanos::ZERO,
            ended: at,
            offered,
            ok,
            failed: offered - ok,
            own: 0,
            attempts: 0,
            retried: 0,
            offered_per_s: offered as f64 / at.as_secs_f64(),
            achieved_per_s: offered as f64 / at.as_secs_f64(),
            ok_per_s: ok as f64 / at.as_secs_f64(),
            in_flight_mean: 1.0,
            in_flight_max: 1,
            bytes_in: 10 * offered,
            connections: 1,
            rows,
            validity: Validity::default(),
            partial: false,
        },
        samples,
        samples_cut: false,
        captures: Vec::new(),
        readings: Vec::new(),
    }
}

/// `n` good answers that take 10 to 19 ms in turn.
pub(crate) fn good(name: &str, n: usize) -> PhaseResult {
    let requests: Vec<_> = (0..n)
        .map(|i| (10.0 + ((i * 7) % 10) as f64, Outcome::Ok, 200))
        .collect();
    phase(name, &requests)
}

pub(crate) fn gate(phase: &str, check: &str) -> Gate {
    Gate {
        phase: phase.to_owned(),
        scenario: None,
        check: check.to_owned(),
    }
}

fn verdict(phases: &[PhaseResult], check: &str) -> Verdict {
    judge_gate(&gate("p", check), phases).verdict
}

#[test]
fn checks_parse_with_and_without_spaces() {
    for text in ["p99_ms <= 500", "p99_ms<=500", " p99_ms  <=  5e2 "] {
        let check = Check::parse(text).unwrap();
        assert_eq!((check.op, check.limit), (Op::AtMost, 500.0), "{text}");
    }
}

#[test]
fn wrong_checks_say_which_part() {
    assert_eq!(Check::parse("p99_ms 500"), Err(CheckError::Form));
    assert_eq!(Check::parse("<= 500"), Err(CheckError::Form));
    assert_eq!(Check::parse("p99_ms <="), Err(CheckError::Form));
    assert_eq!(
        Check::parse("p99 <= 5"),
        Err(CheckError::Metric { name: "p99".into() })
    );
    assert_eq!(
        Check::parse("count => 5"),
        Err(CheckError::Op { op: "=>".into() })
    );
    assert_eq!(Check::parse("count = 5"), Err(CheckError::Op { op: "=".into() }));
    assert_eq!(
        Check::parse("p99_ms <= 500ms"),
        Err(CheckError::Limit {
            limit: "500ms".into()
        })
    );
    assert_eq!(
        Check::parse("p99_ms <= nan"),
        Err(CheckError::Limit { limit: "nan".into() })
    );
}

#[test]
fn far_from_the_limit_decides_and_near_it_does_not() {
    let phases = [good("p", 500)];
    assert_eq!(verdict(&phases, "mean_ms <= 20"), Verdict::Pass);
    assert_eq!(verdict(&phases, "mean_ms <= 5"), Verdict::Fail);
    assert_eq!(verdict(&phases, "mean_ms <= 14.5"), Verdict::Inconclusive);
    assert_eq!(verdict(&phases, "p50_ms <= 20"), Verdict::Pass);
    assert_eq!(verdict(&phases, "p99_ms <= 25"), Verdict::Pass);
    assert_eq!(verdict(&phases, "p99_ms <= 12"), Verdict::Fail);
}

#[test]
fn a_tail_needs_enough_answers() {
    let result = judge_gate(&gate("p", "p99_ms <= 25"), &[good("p", 50)]);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.says.contains("368"), "{}", result.says);
    assert!(result.measured.is_some());
}

#[test]
fn exact_counts_have_no_interval() {
    let mut requests = vec![(10.0, Outcome::Ok, 200); 46];
    requests.extend([(5.0, Outcome::Status4xx, 404); 34]);
    let phases = [phase("p", &requests)];
    for (check, expected) in [
        ("count == 80", Verdict::Pass),
        ("count == 81", Verdict::Fail),
        ("ok_count == 46", Verdict::Pass),
        ("ok_count != 46", Verdict::Fail),
        ("failed_count == 0", Verdict::Fail),
        ("status_404_count == 34", Verdict::Pass),
        ("bytes_in == 800", Verdict::Pass),
        ("max_ms <= 10", Verdict::Pass),
        ("total_s < 0.63", Verdict::Fail),
        ("total_s <= 0.63", Verdict::Pass),
        ("in_flight_max == 1", Verdict::Pass),
    ] {
        assert_eq!(verdict(&phases, check), expected, "{check}");
    }
}

#[test]
fn a_share_of_nothing_failed_is_an_upper_bound() {
    let few = [good("p", 50)];
    assert_eq!(verdict(&few, "error_share <= 0.01"), Verdict::Inconclusive);
    assert_eq!(verdict(&[good("p", 1000)], "error_share <= 0.01"), Verdict::Pass);
    assert_eq!(verdict(&few, "ok_share >= 0.9"), Verdict::Pass);
    let bad = [phase("p", &[(1.0, Outcome::Status5xx, 500); 50])];
    assert_eq!(verdict(&bad, "error_share <= 0.01"), Verdict::Fail);
}

#[test]
fn no_data_is_never_a_pass() {
    let all_failed = [phase("p", &[(1.0, Outcome::Status5xx, 500); 50])];
    for (phases, check) in [
        (&[][..], "count == 0"),
        (&[phase("p", &[])][..], "failed_count == 0"),
        (&all_failed[..], "mean_ms <= 1000"),
        (&all_failed[..], "max_ms <= 1000"),
        (&all_failed[..], "ok_per_s >= 0"),
    ] {
        let result = judge_gate(&gate("p", check), phases);
        assert_eq!(result.verdict, Verdict::Inconclusive, "{check}");
        assert!(result.says.starts_with("No data"), "{}", result.says);
    }
    let other = Gate {
        scenario: Some("other".into()),
        ..gate("p", "count >= 0")
    };
    assert_eq!(judge_gate(&other, &[good("p", 5)]).verdict, Verdict::Inconclusive);
}

#[test]
fn an_invalid_phase_is_neither_pass_nor_fail() {
    let mut phase = good("p", 500);
    phase.summary.validity.invalid.push(ValidityIssue {
        name: "shed".into(),
        says: "too many shed".into(),
    });
    assert_eq!(verdict(&[phase.clone()], "mean_ms <= 20"), Verdict::Invalid);
    assert_eq!(verdict(&[phase], "mean_ms <= 1"), Verdict::Invalid);
}

#[test]
fn a_phase_cut_short_does_not_pass() {
    let mut phase = good("p", 500);
    phase.summary.partial = true;
    assert_eq!(verdict(&[phase.clone()], "mean_ms <= 20"), Verdict::Inconclusive);
    assert_eq!(verdict(&[phase], "mean_ms <= 1"), Verdict::Fail);
}

#[test]
fn phases_of_experiments_go_by_their_path() {
    let mut phase = good("p", 50);
    phase.phase.experiment = "burst".into();
    assert_eq!(
        judge_gate(&gate("burst/p", "count == 50"), &[phase.clone()]).verdict,
        Verdict::Pass
    );
    assert_eq!(verdict(&[phase], "count == 50"), Verdict::Inconclusive);
}

fn ops() -> impl Strategy<Value = Op> {
    prop::sample::select(vec![
        Op::AtMost,
        Op::Below,
        Op::AtLeast,
        Op::Above,
        Op::Equal,
        Op::NotEqual,
    ])
}

proptest! {
    /// A verdict speaks for every value in the interval.
    #[test]
    fn verdicts_hold_on_the_whole_interval(
        op in ops(), low in -50.0f64..50.0, width in 0.0f64..20.0, limit in -60.0f64..60.0, at in 0.0f64..=1.0,
    ) {
        let metric = crate::metric::Metric::Count;
        let check = Check { metric, op, limit };
        let value = low + at * width;
        match check.decide((low, low + width)) {
            Verdict::Pass => prop_assert!(op.holds(value, limit)),
            Verdict::Fail => prop_assert!(!op.holds(value, limit) || (value - limit).abs() < 1e-6),
            verdict => prop_assert!(verdict == Verdict::Inconclusive && width > 0.0),
        }
    }

    /// Every printed check parses back.
    #[test]
    fn operators_print_as_they_parse(op in ops(), limit in -1e6f64..1e6) {
        let check = Check::parse(&format!("p95_ms {op} {limit}")).unwrap();
        prop_assert!(check.op == op && (check.limit - limit).abs() < 1e-6);
    }
}
