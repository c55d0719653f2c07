//! The conclusion about two targets, from recorded runs whose truth is known.

use prony_experiments::compare::{Comparison, compare, turns};
use prony_model::{
    Capture, Expect, Finding, Item, Limits, Nanos, Outcome, Phase, PhaseResult, PhaseSummary, Request,
    Sample, Scenario, Shape, Validity, ValidityIssue, Verdict,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

/// One run: requests 10 ms apart.
#[derive(Clone, Copy)]
struct Truth {
    requests: u64,
    median_ms: f64,
    bytes: u32,
    fail_share: f64,
    invalid: bool,
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            requests: 800,
            median_ms: 20.0,
            bytes: 100,
            fail_share: 0.0,
            invalid: false,
        }
    }
}

fn run(rng: &mut ChaCha8Rng, truth: Truth) -> PhaseResult {
    let spread = LogNormal::new(truth.median_ms.ln(), 0.3).expect("sound");
    let samples: Vec<Sample> = (0..truth.requests)
        .map(|seq| {
            let intended = Nanos(seq * 10_000_000);
            Sample {
                seq,
                intended,
                sent: intended,
                done: intended + Nanos::from_millis_f64(spread.sample(rng)),
                bytes_in: truth.bytes,
                outcome: if rng.random::<f64>() < truth.fail_share {
                    Outcome::Status5xx
                } else {
                    Outcome::Ok
                },
                ..Sample::default()
            }
        })
        .collect();
    let ok = samples.iter().filter(|s| s.outcome == Outcome::Ok).count() as u64;
    let issue = ValidityIssue {
        name: "late-sends".into(),
        says: "12 % of the sends were late".into(),
    };
    PhaseResult {
        index: 0,
        phase: phase(),
        summary: summary(
            ok,
            truth.requests,
            Validity {
                invalid: if truth.invalid { vec![issue] } else { Vec::new() },
                ..Validity::default()
            },
        ),
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

fn phase() -> Phase {
    let item = Item {
        request: Request::get("/x"),
        expect: Expect::default(),
    };
    Phase {
        name: "run".into(),
        experiment: "compare".into(),
        scenarios: vec![Scenario::new("GET /x", vec![item])],
        shape: Shape::Closed {
            connections: 1,
            requests: None,
            duration_s: Some(8.0),
            think_ms: 0.0,
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

fn summary(ok: u64, offered: u64, validity: Validity) -> PhaseSummary {
    PhaseSummary {
        index: 0,
        name: "run".into(),
        experiment: "compare".into(),
        shape: String::new(),
        open_loop: false,
        started: Nanos::ZERO,
        ended: Nanos(8_000_000_000),
        offered,
        ok,
        failed: offered - ok,
        own: 0,
        attempts: offered,
        retried: 0,
        offered_per_s: 0.0,
        achieved_per_s: 0.0,
        ok_per_s: 0.0,
        in_flight_mean: 0.0,
        in_flight_max: 1,
        bytes_in: 0,
        connections: 1,
        rows: Vec::new(),
        streams: Vec::new(),
        validity,
        partial: false,
    }
}

/// What so many pairs of runs say.
fn compared(pairs: usize, a: Truth, b: Truth, same: bool) -> Vec<Finding> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut runs = |truth: Truth| -> Vec<PhaseResult> { (0..pairs).map(|_| run(&mut rng, truth)).collect() };
    let (a, b) = (runs(a), runs(b));
    compare(&Comparison {
        a: &a,
        b: &b,
        warm_up_s: 0.5,
        margin: None,
        same,
        seed: 1,
    })
}

fn of<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.id == id)
        .unwrap_or_else(|| panic!("no {id} in {findings:#?}"))
}

#[test]
fn a_slower_build_fails_and_an_equal_one_passes() {
    let slower = Truth {
        median_ms: 24.0,
        ..Truth::default()
    };
    let findings = compared(10, Truth::default(), slower, false);
    let p50 = of(&findings, "regression-p50");
    assert_eq!(p50.verdict, Verdict::Fail, "{p50:#?}");
    assert!(
        p50.title.starts_with("REGRESSION: B is ") && p50.title.contains("10 interleaved pairs"),
        "{}",
        p50.title
    );
    let findings = compared(10, Truth::default(), Truth::default(), false);
    let p50 = of(&findings, "regression-p50");
    assert_eq!(p50.verdict, Verdict::Pass, "{p50:#?}");
    assert!(p50.title.starts_with("NO REGRESSION"), "{}", p50.title);
}

#[test]
fn a_faster_build_is_no_regression() {
    let faster = Truth {
        median_ms: 15.0,
        ..Truth::default()
    };
    for finding in compared(10, Truth::default(), faster, false) {
        assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.title);
    }
}

#[test]
fn too_little_is_undecided_and_says_what_it_takes() {
    let findings = compared(5, Truth::default(), Truth::default(), false);
    let p50 = of(&findings, "regression-p50");
    assert_eq!(p50.verdict, Verdict::Inconclusive);
    assert!(p50.title.contains("it takes 6"), "{}", p50.title);
    // 150 answers a run carry p50 and p95, and no p99.
    let small = Truth {
        requests: 200,
        ..Truth::default()
    };
    let findings = compared(6, small, small, false);
    assert!(findings.iter().all(|f| f.id != "regression-p99"));
    assert!(of(&findings, "regression-p50").detail.contains("p99 needs 662"));
    let none = Truth {
        requests: 55,
        ..Truth::default()
    };
    let findings = compared(6, none, none, false);
    assert_eq!(
        (findings.len(), findings[0].verdict),
        (1, Verdict::Inconclusive),
        "{findings:#?}"
    );
}

#[test]
fn answers_of_another_length_are_not_compared() {
    let shorter = Truth {
        bytes: 80,
        median_ms: 15.0,
        ..Truth::default()
    };
    let findings = compared(10, Truth::default(), shorter, false);
    assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Invalid));
    assert!(
        findings[0].title.contains("differ in length by -20.0 %"),
        "{}",
        findings[0].title
    );
    let nearly = Truth {
        bytes: 103,
        ..Truth::default()
    };
    assert_ne!(
        compared(10, Truth::default(), nearly, false)[0].id,
        "output-length"
    );
}

#[test]
fn failures_are_not_hidden_by_percentiles() {
    let failing = Truth {
        fail_share: 0.1,
        ..Truth::default()
    };
    let findings = compared(6, Truth::default(), failing, false);
    assert_eq!(of(&findings, "failures").verdict, Verdict::Fail);
    let findings = compared(6, failing, failing, false);
    assert_eq!(of(&findings, "failures").verdict, Verdict::Warn);
}

#[test]
fn a_target_that_differs_from_itself_spoils_its_environment() {
    let slower = Truth {
        median_ms: 22.0,
        ..Truth::default()
    };
    let findings = compared(6, Truth::default(), slower, true);
    assert_eq!(of(&findings, "environment-p50").verdict, Verdict::Invalid);
    let findings = compared(6, Truth::default(), Truth::default(), true);
    assert!(
        findings.iter().all(|f| f.verdict == Verdict::Pass),
        "{findings:#?}"
    );
    assert!(
        of(&findings, "environment-p50")
            .title
            .contains("would show a change of")
    );
}

#[test]
fn an_invalid_run_makes_the_comparison_invalid() {
    let invalid = Truth {
        invalid: true,
        ..Truth::default()
    };
    for finding in compared(6, Truth::default(), invalid, false) {
        assert_eq!(finding.verdict, Verdict::Invalid, "{}", finding.title);
    }
}

#[test]
fn nothing_at_all_is_inconclusive() {
    let nothing = Comparison {
        a: &[],
        b: &[],
        warm_up_s: 0.0,
        margin: None,
        same: false,
        seed: 1,
    };
    let findings = compare(&nothing);
    assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Inconclusive));
    assert_eq!(turns(0).len(), 0);
}
