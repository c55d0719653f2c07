//! What a rule is.

use prony_model::{Finding, Severity, Verdict};

use super::claim::Claim;
use crate::draft::Draft;

/// A rule: registry entry and help text.
pub struct RuleDef {
    /// Name in the output. Kebab-case.
    pub name: &'static str,
    /// The question that it asks of a claim.
    pub asks: &'static str,
    /// What it says of a claim among the others of its report; `None` when it does not apply or has nothing to say.
    pub(super) judge: fn(&Claim, &[Claim]) -> Option<Finding>,
}

/// A finding of a rule about a claim, in one plain sentence.
pub(super) fn remark(rule: &str, about: &str, verdict: Verdict, says: impl Into<String>) -> Draft {
    let severity = match verdict {
        Verdict::Pass => Severity::Info,
        Verdict::Warn => Severity::Low,
        Verdict::Inconclusive => Severity::Medium,
        Verdict::Fail | Verdict::Invalid => Severity::High,
    };
    Draft::new("imported", rule, about)
        .verdict(verdict, severity)
        .title(says)
}
