//! Claims are upheld only by what was measured.

use prony_model::{Claim, Evidence, Figure, Finding, Severity, Source, Upheld, Verdict};

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
        evidence: vec![Evidence::Figure(Figure {
            label: "n".into(),
            value: 1.0,
            unit: String::new(),
            ci: None,
            n: 1,
            source: Source::default(),
        })],
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
        assert!(result.measured.len() >= checks.len());
        assert!(result.upheld != Upheld::Yes || !result.measured.is_empty());
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
        result.says.contains("but at most 5 was required") && result.says.contains("slow was FAIL."),
        "{}",
        result.says
    );
}

#[test]
fn a_finding_of_another_endpoint_does_not_count_when_one_is_named() {
    let mut found = finding("slow", Verdict::Fail);
    found.endpoint = "GET /a".into();
    let judge = |unless: &str| judge_claim(&claim(&[], &[unless]), &[], std::slice::from_ref(&found)).upheld;
    assert_eq!(judge("slow"), Upheld::No);
    assert_eq!(judge("slow GET /a"), Upheld::No);
    assert_eq!(judge("slow GET /b"), Upheld::NotDecided);
}

#[test]
fn many_findings_are_counted_and_not_all_told() {
    let findings: Vec<Finding> = (0..9)
        .map(|i| Finding {
            title: format!("title {i}"),
            ..finding("slow", Verdict::Fail)
        })
        .collect();
    let result = judge_claim(&claim(&[], &["slow"]), &[], &findings);
    assert!(result.says.ends_with("And 6 more findings."), "{}", result.says);
    assert_eq!(result.measured.len(), 6);
}

#[test]
fn nothing_is_upheld_without_a_number() {
    let mut found = finding("slow", Verdict::Pass);
    found.evidence.clear();
    assert_eq!(
        judge_claim(&claim(&[], &["slow"]), &[], &[found]).upheld,
        Upheld::NotDecided
    );
}
