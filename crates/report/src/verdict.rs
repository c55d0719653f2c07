//! From the checks of a run to its verdict. Folds only: what taints a finding was decided by whoever made it.

use prony_model::{Finding, GateResult, Verdict};

use crate::record::Finished;

/// The verdict of a run: the worst of its findings as they count ([`Finding::counted`]) and of its gates.
///
/// Nothing checked is INCONCLUSIVE and not a pass. A phase that is INVALID taints only the findings that rest on it,
/// and those say so themselves.
pub fn verdict(findings: &[Finding], gates: &[GateResult]) -> Verdict {
    let checks = findings
        .iter()
        .map(Finding::counted)
        .chain(gates.iter().map(|g| g.verdict));
    checks.max().unwrap_or(Verdict::Inconclusive)
}

/// The verdict with the end of the run: a run that was cut short is INCONCLUSIVE at best.
pub(crate) fn final_verdict(
    findings: &[Finding],
    gates: &[GateResult],
    finished: Option<Finished>,
) -> Verdict {
    let checked = !findings.is_empty() || !gates.is_empty();
    let folded = verdict(findings, gates);
    match finished {
        Some(end) if end.interrupted => folded.max(end.verdict).max(Verdict::Inconclusive),
        Some(end) if checked => folded.max(end.verdict),
        Some(end) => end.verdict,
        None => folded.max(Verdict::Inconclusive),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Finding, Gate, GateResult, Nanos, Severity, Verdict};

    use super::{final_verdict, verdict};
    use crate::record::Finished;

    fn finding(verdict: Verdict, required: bool) -> Finding {
        Finding {
            id: "x".into(),
            experiment: "e".into(),
            endpoint: String::new(),
            verdict,
            severity: Severity::Low,
            required,
            title: String::new(),
            detail: String::new(),
            evidence: vec![],
            recommendation: None,
        }
    }

    fn gate(verdict: Verdict) -> GateResult {
        let gate = Gate {
            phase: "p".into(),
            scenario: None,
            check: "p99_ms <= 5".into(),
        };
        GateResult {
            gate,
            verdict,
            measured: None,
            says: String::new(),
        }
    }

    #[test]
    fn the_worst_counts_and_advice_only_warns() {
        use Verdict::{Fail, Inconclusive, Invalid, Pass, Warn};
        assert_eq!(verdict(&[finding(Pass, true)], &[]), Pass);
        assert_eq!(verdict(&[finding(Pass, true), finding(Fail, false)], &[]), Warn);
        assert_eq!(
            verdict(&[finding(Pass, true), finding(Fail, true)], &[gate(Inconclusive)]),
            Fail
        );
        assert_eq!(verdict(&[finding(Fail, true)], &[gate(Invalid)]), Invalid);
        assert_eq!(verdict(&[finding(Invalid, false)], &[]), Warn);
    }

    #[test]
    fn nothing_checked_is_no_pass() {
        assert_eq!(verdict(&[], &[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_run_cut_short_is_no_pass() {
        let passed = [finding(Verdict::Pass, true)];
        let end = |interrupted| {
            Some(Finished {
                verdict: Verdict::Pass,
                interrupted,
                at: Nanos(1),
            })
        };
        assert_eq!(final_verdict(&passed, &[], end(false)), Verdict::Pass);
        assert_eq!(final_verdict(&passed, &[], end(true)), Verdict::Inconclusive);
        assert_eq!(final_verdict(&passed, &[], None), Verdict::Inconclusive);
        assert_eq!(
            final_verdict(&[finding(Verdict::Fail, true)], &[], None),
            Verdict::Fail
        );
    }
}
