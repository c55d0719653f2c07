//! Every rule over every claim, and what is left when none has anything to say.

use prony_model::{Finding, Verdict};

use super::RULES;
use super::claim::{Claim, Measure};
use super::rule::remark;

/// A claim, or a group of requests, with everything that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its name.
    pub id: String,
    /// In the report's own words; may be empty.
    pub says: String,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// The worst first; never empty.
    pub findings: Vec<Finding>,
}

impl Judged {
    /// From findings in the order of the rules.
    pub(super) fn new(id: &str, says: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        Self {
            id: id.to_owned(),
            says: says.to_owned(),
            verdict: Verdict::worst(findings.iter().map(|finding| finding.verdict)),
            findings,
        }
    }
}

/// Judges claims of one report, each by its own numbers and by those of the others.
pub fn judge_claims(claims: &[Claim]) -> Vec<Judged> {
    claims.iter().map(|claim| judge_one(claim, claims)).collect()
}

fn judge_one(claim: &Claim, all: &[Claim]) -> Judged {
    let mut findings: Vec<Finding> = RULES.iter().filter_map(|rule| (rule.judge)(claim, all)).collect();
    if findings.is_empty() {
        findings.push(undecided(claim));
    }
    Judged::new(&claim.id, &claim.says, findings)
}

/// No rule applies: what would be needed.
fn undecided(claim: &Claim) -> Finding {
    let def = claim.measure.def();
    let says = if claim.measure == Measure::Opinion {
        "No number stands behind this, so nothing can be checked.".to_owned()
    } else {
        format!(
            "The numbers given do not decide it: a claim of this kind ({}) rests on {}.",
            def.about, def.needs
        )
    };
    remark("nothing-to-check", &claim.id, Verdict::Inconclusive, says).done()
}
