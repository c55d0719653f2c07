//! Gates decide on intervals, and never pass without data.

use prony_model::{
    Capture, Distribution, Gate, Limits, Nanos, Outcome, Phase, PhaseResult, PhaseSummary, Request, Sample,
    SampleFlags, Scenario, Shape, SummaryRow, Validity, ValidityIssue, Verdict,
};
use prony_model::{Evidence, Figure, Finding, Severity, Source};
use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, proptest};

use crate::metric::Metric;

use super::{Check, CheckError, Op, Wanted, judge_gate, judge_gates};

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
            streams: Vec::new(),
            validity: Validity::default(),
            partial: false,
        },
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
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
    judge_gate(&gate("p", check), phases, &[]).verdict
}

#[test]
fn checks_parse_with_and_without_spaces() {
    for text in ["p99_ms <= 500", "p99_ms<=500", " p99_ms  <=  5e2 "] {
        let check = Check::parse(text).unwrap();
        let metric = Metric::parse("p99_ms").unwrap();
        let (op, limit) = (Op::AtMost, 500.0);
        assert_eq!(check, Check::Metric { metric, op, limit }, "{text}");
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
    assert_eq!(verdict(&phases, "p95_ms <= 25"), Verdict::Pass);
    assert_eq!(verdict(&phases, "p95_ms <= 12"), Verdict::Fail);
    assert_eq!(verdict(&[good("p", 2000)], "p99_ms <= 25"), Verdict::Pass);
}

#[test]
fn a_tail_needs_enough_answers() {
    let result = judge_gate(&gate("p", "p99_ms <= 25"), &[good("p", 500)], &[]);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.says.contains("needs 1000"), "{}", result.says);
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
fn in_time_means_answered_well_and_in_time() {
    let mut requests = vec![(10.0, Outcome::Ok, 200); 60];
    let all = [phase("p", &requests)];
    assert_eq!(verdict(&all, "met_50_ms_share >= 0.9"), Verdict::Pass);
    assert_eq!(verdict(&all, "missed_50_ms_count == 0"), Verdict::Pass);
    // A quick failure is not in time, and neither is a slow success.
    requests.push((0.1, Outcome::Status5xx, 500));
    requests.push((80.0, Outcome::Ok, 200));
    let some = [phase("p", &requests)];
    assert_eq!(verdict(&some, "missed_50_ms_count == 2"), Verdict::Pass);
    assert_eq!(verdict(&some, "missed_100_ms_count == 1"), Verdict::Pass);
    let none = [phase("p", &[(0.1, Outcome::Status5xx, 500); 60])];
    assert_eq!(verdict(&none, "met_50_ms_share >= 0.9"), Verdict::Fail);
    assert_eq!(verdict(&none, "missed_50_ms_count == 0"), Verdict::Fail);
}

#[test]
fn a_step_of_a_flow_is_measured_by_itself() {
    let mut result = phase(
        "p",
        &[
            (10.0, Outcome::Ok, 200),
            (90.0, Outcome::Ok, 200),
            (100.0, Outcome::Ok, 200),
        ],
    );
    result.phase.scenarios[0].flow = Some(prony_model::Flow {
        steps: ["a", "b"]
            .map(|name| prony_model::Step {
                name: name.to_owned(),
                ..prony_model::Step::default()
            })
            .to_vec(),
        ..prony_model::Flow::default()
    });
    for (sample, item) in result.samples.iter_mut().zip([0, 1]) {
        sample.flags.insert(SampleFlags::STEP);
        sample.item = item;
    }
    let mut rows = vec![result.summary.rows[0].clone(); 3];
    for (row, (name, part)) in rows.iter_mut().zip([("s", false), ("s/a", true), ("s/b", true)]) {
        (row.scenario, row.part, row.n) = (name.to_owned(), part, 1);
    }
    result.summary.rows = rows;
    let of = |scenario: &str, check: &str| {
        let gate = Gate {
            scenario: Some(scenario.to_owned()),
            ..gate("p", check)
        };
        judge_gate(&gate, std::slice::from_ref(&result), &[]).verdict
    };
    assert_eq!(of("s/a", "missed_50_ms_count == 0"), Verdict::Pass);
    assert_eq!(of("s/b", "missed_50_ms_count == 1"), Verdict::Pass);
    assert_eq!(of("s", "count == 1"), Verdict::Pass);
    assert_eq!(of("s/c", "count == 1"), Verdict::Inconclusive);
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
        let result = judge_gate(&gate("p", check), phases, &[]);
        assert_eq!(result.verdict, Verdict::Inconclusive, "{check}");
        assert!(result.says.starts_with("No data"), "{}", result.says);
    }
    let other = Gate {
        scenario: Some("other".into()),
        ..gate("p", "count >= 0")
    };
    assert_eq!(
        judge_gate(&other, &[good("p", 5)], &[]).verdict,
        Verdict::Inconclusive
    );
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
        judge_gate(&gate("burst/p", "count == 50"), &[phase.clone()], &[]).verdict,
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
        let value = low + at * width;
        match op.decide(limit, (low, low + width)) {
            Verdict::Pass => prop_assert!(op.holds(value, limit)),
            Verdict::Fail => prop_assert!(!op.holds(value, limit) || (value - limit).abs() < 1e-6),
            verdict => prop_assert!(verdict == Verdict::Inconclusive && width > 0.0),
        }
    }

    /// Every printed check parses back.
    #[test]
    fn operators_print_as_they_parse(op in ops(), limit in -1e6f64..1e6) {
        let Check::Metric { op: read, limit: at, .. } = Check::parse(&format!("p95_ms {op} {limit}")).unwrap() else {
            unreachable!("a metric stands there")
        };
        prop_assert!(read == op && (at - limit).abs() < 1e-6);
    }
}

/// A finding with one figure.
fn found(id: &str, endpoint: &str, verdict: Verdict, label: &str, ci: Option<(f64, f64)>) -> Finding {
    Finding {
        id: id.into(),
        experiment: id.into(),
        endpoint: endpoint.into(),
        verdict,
        severity: Severity::Info,
        required: false,
        title: format!("{id} says so"),
        detail: String::new(),
        evidence: vec![Evidence::Figure(Figure {
            label: label.into(),
            value: ci.map_or(0.0, |(low, high)| f64::midpoint(low, high)),
            unit: "1/s".into(),
            ci,
            n: 3000,
            source: Source::default(),
        })],
        recommendation: None,
    }
}

fn on_findings(findings: &[Finding], check: &str) -> Verdict {
    judge_gate(&gate("", check), &[], findings).verdict
}

#[test]
fn conditions_on_findings_parse_in_every_way_that_a_person_writes_them() {
    for text in [
        "leak = \"none\"",
        "leak == 'none'",
        "leak=none",
        "finding.memory-growth = pass",
        " finding.memory-growth == \"PASS\" ",
    ] {
        let wanted = Wanted::Exactly(Verdict::Pass);
        assert_eq!(
            Check::parse(text),
            Ok(Check::Finding {
                id: "memory-growth".into(),
                wanted
            }),
            "{text}"
        );
    }
    assert_eq!(
        Check::parse("finding.x <= \"warn\"").unwrap(),
        Check::Finding {
            id: "x".into(),
            wanted: Wanted::AtWorst(Verdict::Warn)
        }
    );
    for wrong in [
        "leak = \"some\"",
        "leak >= \"none\"",
        "finding.x = 3",
        "finding.x = \"invalid\"",
        "leak != none",
    ] {
        assert!(
            matches!(Check::parse(wrong), Err(CheckError::Word { .. })),
            "{wrong}"
        );
    }
    assert_eq!(Check::parse("finding. = pass"), Err(CheckError::Form));
}

#[test]
fn the_worst_of_the_findings_decides() {
    use Verdict::{Fail, Inconclusive, Invalid, Pass, Warn};
    for (verdicts, check, expected) in [
        (&[Pass][..], "leak = none", Pass),
        (&[Warn], "leak = none", Fail),
        (&[Warn], "finding.memory-growth <= warn", Pass),
        (&[Fail], "finding.memory-growth <= warn", Fail),
        (&[Fail], "finding.memory-growth = fail", Pass),
        (&[Pass, Fail], "leak = none", Fail),
        (&[Pass, Inconclusive], "leak = none", Inconclusive),
        (&[Fail, Invalid], "leak = none", Invalid),
        (&[], "leak = none", Inconclusive),
    ] {
        let findings: Vec<Finding> = verdicts
            .iter()
            .map(|&v| found("memory-growth", "", v, "x", None))
            .collect();
        assert_eq!(on_findings(&findings, check), expected, "{verdicts:?} {check}");
    }
}

#[test]
fn a_figure_of_a_finding_is_held_by_its_interval() {
    use Verdict::{Fail, Inconclusive, Invalid, Pass};
    let capacity = |verdict, ci| [found("capacity", "GET /a", verdict, "sustained rate", ci)];
    for (verdict, ci, expected) in [
        (Pass, Some((41.0, 44.0)), Pass),
        (Pass, Some((39.0, 44.0)), Inconclusive),
        (Pass, Some((30.0, 39.0)), Fail),
        (Pass, Some((41.0, f64::INFINITY)), Pass),
        (Inconclusive, Some((41.0, 44.0)), Inconclusive),
        (Invalid, Some((41.0, 44.0)), Invalid),
    ] {
        let judged = on_findings(&capacity(verdict, ci), "capacity_rps >= 40");
        assert_eq!(judged, expected, "{verdict} {ci:?}");
    }
    // A rate that was confirmed, and nothing that failed above it: enough for less, not decided for more.
    let mut confirmed = capacity(Pass, None);
    for finding in &mut confirmed {
        let Evidence::Figure(figure) = &mut finding.evidence[0] else {
            unreachable!("made above")
        };
        figure.value = 50.0;
    }
    assert_eq!(on_findings(&confirmed, "capacity_rps >= 40"), Pass);
    assert_eq!(on_findings(&confirmed, "capacity_rps >= 60"), Inconclusive);
    let two = [
        found("capacity", "GET /a", Pass, "sustained rate", Some((41.0, 44.0))),
        found("capacity", "GET /b", Pass, "sustained rate", Some((10.0, 12.0))),
    ];
    assert_eq!(on_findings(&two, "capacity_rps >= 40"), Fail);
    let of_a = Gate {
        scenario: Some("GET /a".into()),
        ..gate("", "capacity_rps >= 40")
    };
    assert_eq!(judge_gate(&of_a, &[], &two).verdict, Pass);
}

/// Fast failures are in no percentile of good answers, so it must not pass for all of the requests.
#[test]
fn a_percentile_does_not_pass_where_more_failed_than_it_leaves_out() {
    let with_failures = |failed: usize| {
        let mut requests = vec![(10.0, Outcome::Ok, 200); 1000 - failed];
        requests.extend(vec![(1.0, Outcome::Status5xx, 500); failed]);
        [phase("p", &requests)]
    };
    assert_eq!(verdict(&with_failures(40), "p95_ms <= 20"), Verdict::Pass);
    assert_eq!(verdict(&with_failures(60), "p95_ms <= 20"), Verdict::Inconclusive);
    assert_eq!(verdict(&with_failures(60), "p95_ms <= 5"), Verdict::Fail);
}

#[test]
fn a_rate_of_few_answers_is_not_decided() {
    assert_eq!(
        verdict(&[good("p", 50)], "goodput_rps >= 1"),
        Verdict::Inconclusive
    );
    assert_eq!(verdict(&[good("p", 500)], "goodput_rps >= 1"), Verdict::Pass);
    assert_eq!(verdict(&[good("p", 500)], "error_rate <= 0.01"), Verdict::Pass);
}

/// Of 10 tests the one that misses by a hair alone is not called a FAIL, and one that misses by far is, with the number of tests.
#[test]
fn over_several_gates_a_hair_is_no_fail() {
    let mut requests = vec![(10.0, Outcome::Ok, 200); 193];
    requests.extend([(10.0, Outcome::Status5xx, 500); 7]);
    let phases = [phase("p", &requests)];
    let hair = "error_rate <= 0.0138";
    assert_eq!(verdict(&phases, hair), Verdict::Fail);
    let family = |first: &str| {
        let mut gates = vec![gate("p", first)];
        gates.extend((0..9).map(|i| gate("p", &format!("error_rate <= 0.{}", i + 1))));
        judge_gates(&gates, &phases, &[])
    };
    let judged = family(hair);
    assert_eq!(judged[0].verdict, Verdict::Inconclusive, "{}", judged[0].says);
    assert!(judged[0].says.contains("among 10 tests"), "{}", judged[0].says);
    let judged = family("error_rate <= 0.001");
    assert_eq!(judged[0].verdict, Verdict::Fail, "{}", judged[0].says);
    assert!(judged[0].says.contains("all 10 tests"), "{}", judged[0].says);
    assert!(judged[1..].iter().all(|g| g.verdict == Verdict::Pass));
    let counts: Vec<Gate> = (0..9)
        .map(|_| gate("p", "failed_count == 7"))
        .chain([gate("p", hair)])
        .collect();
    assert_eq!(
        judge_gates(&counts, &phases, &[])[9].verdict,
        Verdict::Fail,
        "counts are no tests"
    );
}
