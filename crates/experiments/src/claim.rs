//! Claims by others, held against the measurements.
//!
//! A claim is upheld when every condition holds and no finding contradicts it; it is rejected when one fails or a
//! finding contradicts it; else it is not decided. What nobody measured is never upheld.

use prony_model::{Claim, ClaimResult, Evidence, Figure, Finding, GateResult, PhaseResult, Upheld, Verdict};

use crate::gate::judge_gate;

/// Figures taken over from each finding that contradicts a claim.
const FIGURES_PER_FINDING: usize = 2;
/// Figures taken over from findings in all.
const FIGURES_MAX: usize = 6;
/// Findings named in the reason; the rest is counted.
const TITLES_MAX: usize = 3;

/// Holds a claim against what was recorded and concluded.
pub fn judge_claim(claim: &Claim, phases: &[PhaseResult], findings: &[Finding]) -> ClaimResult {
    let gates: Vec<GateResult> = claim
        .holds_if
        .iter()
        .map(|gate| judge_gate(gate, phases, findings))
        .collect();
    let named: Vec<&Finding> = findings.iter().filter(|f| names(claim, f)).collect();
    let against: Vec<&Finding> = named.iter().copied().filter(|f| contradicts(f)).collect();
    let open: Vec<&Finding> = named.iter().copied().filter(|f| is_open(f)).collect();
    let with = |verdict: Verdict| gates.iter().filter(move |g| g.verdict == verdict);

    let mut measured: Vec<Figure> = gates.iter().filter_map(|g| g.measured.clone()).collect();
    // Of a claim without conditions, the findings that do not contradict it are all there is to show.
    let shown = if gates.is_empty() { &named } else { &against };
    measured.extend(shown.iter().flat_map(|f| figures(f)).cloned());
    measured.truncate(gates.len() + FIGURES_MAX);

    let holds = gates.iter().all(|g| g.verdict == Verdict::Pass) && open.is_empty();
    let upheld = if with(Verdict::Fail).next().is_some() || !against.is_empty() {
        Upheld::No
    } else if holds && !measured.is_empty() {
        Upheld::Yes
    } else {
        Upheld::NotDecided
    };
    ClaimResult {
        claim: claim.clone(),
        upheld,
        measured,
        says: says(upheld, &gates, &against, &open),
    }
}

/// Whether a claim names a finding: `ID`, or `ID ENDPOINT` for that of one endpoint.
fn names(claim: &Claim, finding: &Finding) -> bool {
    claim.unless.iter().any(|entry| match entry.split_once(' ') {
        None => *entry == finding.id,
        Some((id, endpoint)) => id == finding.id && endpoint.trim() == finding.endpoint,
    })
}

fn contradicts(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Warn)
}

fn is_open(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Inconclusive | Verdict::Invalid)
}

fn figures(finding: &Finding) -> impl Iterator<Item = &Figure> {
    let figures = finding.evidence.iter().filter_map(|evidence| match evidence {
        Evidence::Figure(figure) => Some(figure),
        Evidence::Table(_) | Evidence::Quote { .. } => None,
    });
    figures.take(FIGURES_PER_FINDING)
}

/// Why, in sentences: what speaks against it first, then what is open, then what holds.
fn says(upheld: Upheld, gates: &[GateResult], against: &[&Finding], open: &[&Finding]) -> String {
    let mut sentences: Vec<String> = Vec::new();
    let mut gates_with = |verdicts: &[Verdict]| {
        sentences.extend(
            gates
                .iter()
                .filter(|g| verdicts.contains(&g.verdict))
                .map(|g| g.says.clone()),
        );
    };
    gates_with(&[Verdict::Fail]);
    if upheld != Upheld::No {
        gates_with(&[Verdict::Invalid, Verdict::Inconclusive]);
    }
    if upheld == Upheld::Yes {
        gates_with(&[Verdict::Pass]);
    }
    let mut titles: Vec<String> = against.iter().map(|f| sentence(&f.title)).collect();
    if upheld == Upheld::NotDecided {
        titles.extend(open.iter().map(|f| sentence(&f.title)));
    }
    titles.dedup();
    let more = titles.len().saturating_sub(TITLES_MAX);
    titles.truncate(TITLES_MAX);
    sentences.extend(titles);
    if more > 0 {
        sentences.push(format!("And {more} more findings."));
    }
    if sentences.is_empty() {
        sentences.push(match upheld {
            Upheld::Yes => "The checks that could contradict it found nothing against it.".to_owned(),
            _ => "Nothing was measured that decides it.".to_owned(),
        });
    }
    sentences.join(" ")
}

fn sentence(title: &str) -> String {
    if title.ends_with(['.', '!', '?']) {
        title.to_owned()
    } else {
        format!("{title}.")
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
