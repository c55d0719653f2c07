//! Claims are upheld only by what was measured.

use prony_model::{Claim, Finding, Severity, Upheld, Verdict};

use super::judge_claim;
use crate::gate::tests::{gate, good};

fn claim(checks: &[&str], unless: &[&str]) -> Claim {
    Claim {
        id: "C".into(),
        says: "it is fast".into(),
        holds_if: checks.iter().map(|check| gate("p", check)).collect(),
        unless: unless.iter().map(ToString::to_string).collect(),
        note: String::new(),
    }
}

fn finding(id: &str, verdict: Verdict) -> Finding {
    Finding {
        id: id.into(),
        experiment: "x".into(),
        endpoint: String::new(),
        verdict,
        severity: Severity::High,
        required: true,
        title: format!("{id} was {verdict}"),
        detail: String::new(),
        evidence: Vec::new(),
        recommendation: None,
    }
}

#[test]
fn conditions_and_findings_together_decide() {
    let phases = [good("p", 500)];
    let (holds, fails, open) = ("mean_ms <= 20", "mean_ms <= 5", "mean_ms <= 14.5");
    for (checks, found, expected) in [
        (&[holds][..], &[][..], Upheld::Yes),
        (&[holds, fails], &[], Upheld::No),
        (&[holds, open], &[], Upheld::NotDecided),
        (&[open, fails], &[], Upheld::No),
        (&[holds], &[Verdict::Pass], Upheld::Yes),
        (&[holds], &[Verdict::Warn], Upheld::No),
        (&[holds], &[Verdict::Inconclusive], Upheld::NotDecided),
        (&[open], &[Verdict::Fail], Upheld::No),
        (&[], &[Verdict::Pass], Upheld::Yes),
        (&[], &[], Upheld::NotDecided),
    ] {
        let findings: Vec<Finding> = found.iter().map(|&v| finding("slow", v)).collect();
        let result = judge_claim(&claim(checks, &["slow"]), &phases, &findings);
        assert_eq!(result.upheld, expected, "{checks:?} {found:?}");
        assert!(!result.says.is_empty());
        assert_eq!(result.measured.len(), checks.len());
    }
}

#[test]
fn findings_about_something_else_do_not_count() {
    let result = judge_claim(&claim(&[], &["slow"]), &[], &[finding("other", Verdict::Fail)]);
    assert_eq!(result.upheld, Upheld::NotDecided);
}

#[test]
fn the_reason_names_what_speaks_against_it() {
    let phases = [good("p", 500)];
    let result = judge_claim(
        &claim(&["mean_ms <= 5"], &["slow"]),
        &phases,
        &[finding("slow", Verdict::Fail)],
    );
    assert!(
        result.says.contains("does not hold") && result.says.contains("slow was FAIL."),
        "{}",
        result.says
    );
}
