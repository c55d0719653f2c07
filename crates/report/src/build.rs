//! From a record to the view model. Sorts, groups, counts and words; measures nothing.

mod gaps;
mod sections;
mod summary;
mod system;

use std::cmp::Reverse;

use prony_model::{Finding, Nanos, Verdict};

use crate::escape::slug;
use crate::record::RunRecord;
use crate::report::{ClaimEntry, FindingEntry, RecommendationEntry, Report, RunEnd, RunFacts, TargetFacts};
use crate::verdict::final_verdict;
pub(crate) use sections::names_phase;

impl Report {
    /// Makes the report of a run, whole or not.
    pub fn build(run: &RunRecord) -> Self {
        let findings = ordered(&run.findings);
        let verdict = final_verdict(&run.findings, &run.gates, run.finished);
        let run_facts = run_facts(run);
        let sections = sections::build(run, &findings);
        let summary = summary::build(run, &run_facts);
        Self {
            format: Self::FORMAT,
            title: title(run),
            verdict,
            because: summary::because(verdict, &summary, run_facts.end),
            target: target_facts(run),
            system: system::build(&run.snapshots, run.memory.series()),
            streams: crate::streams::build(run),
            curves: crate::curves::build(run),
            claims: claims(run),
            gates: run.gates.clone(),
            recommendations: recommendations(&findings),
            advice: run.advice.clone(),
            gaps: gaps::build(run, &sections, &findings),
            notes: run.notes.clone(),
            damage: run.damage.clone(),
            run: run_facts,
            summary,
            findings,
            sections,
        }
    }
}

/// Anchor of a phase.
pub(crate) fn phase_anchor(index: u16) -> String {
    format!("phase-{index}")
}

/// The name of a phase; with that of its experiment before it when another phase has the same name.
pub(crate) fn phase_label(run: &RunRecord, experiment: &str, name: &str) -> String {
    let others = run.phases.iter().map(|p| (&p.name, &p.experiment));
    let begun = run.started.iter().map(|s| (&s.phase.name, &s.phase.experiment));
    if others.chain(begun).any(|(n, e)| n == name && e != experiment) {
        format!("{experiment}: {name}")
    } else {
        name.to_owned()
    }
}

/// What is not a PASS first, by severity and verdict; then what passed. Otherwise in the order of the run.
fn ordered(findings: &[Finding]) -> Vec<FindingEntry> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| {
        let counted = f.counted();
        (counted == Verdict::Pass, Reverse(f.severity), Reverse(counted))
    });
    sorted
        .into_iter()
        .enumerate()
        .map(|(i, f)| FindingEntry {
            anchor: format!("finding-{}", i + 1),
            counted: f.counted(),
            finding: f.clone(),
        })
        .collect()
}

fn title(run: &RunRecord) -> String {
    let named = run
        .surface
        .as_ref()
        .map(|s| s.name.as_str())
        .filter(|n| !n.is_empty());
    let suite = Some(run.header.suite.name.as_str()).filter(|n| !n.is_empty());
    let target = Some(run.header.target.as_str()).filter(|n| !n.is_empty());
    named.or(suite).or(target).unwrap_or("unknown target").to_owned()
}

fn run_facts(run: &RunRecord) -> RunFacts {
    let header = &run.header;
    let last_seen = [
        run.phases.iter().map(|p| p.ended).max(),
        run.started.iter().map(|s| s.at).max(),
        run.snapshots.iter().map(|s| s.at).max(),
        run.progress.values().map(|p| p.at).max(),
    ];
    RunFacts {
        id: header.id.clone(),
        end: match run.finished {
            None => RunEnd::Killed,
            Some(end) if end.interrupted => RunEnd::Interrupted,
            Some(_) => RunEnd::Finished,
        },
        prony: header.prony.clone(),
        command: header.command.clone(),
        started_at: header.started_at.clone(),
        duration: run.finished.map_or_else(
            || last_seen.into_iter().flatten().max().unwrap_or(Nanos::ZERO),
            |end| end.at,
        ),
        seed: header.seed,
        host: header.host.clone(),
        shared_host: header.shared_host,
        suite: header.suite.name.clone(),
        description: header.suite.description.clone(),
    }
}

fn target_facts(run: &RunRecord) -> TargetFacts {
    let surface = run.surface.as_ref();
    TargetFacts {
        url: run.header.target.clone(),
        name: surface.map(|s| s.name.clone()).unwrap_or_default(),
        version: surface.map(|s| s.version.clone()).unwrap_or_default(),
        found_by: surface.map(|s| s.found_by.clone()).unwrap_or_default(),
        endpoints: surface.map_or(0, |s| s.endpoints.len() as u64),
    }
}

fn claims(run: &RunRecord) -> Vec<ClaimEntry> {
    let mut anchors = Anchors::default();
    run.claims
        .iter()
        .map(|result| ClaimEntry {
            anchor: anchors.make("claim", &result.claim.id),
            result: result.clone(),
        })
        .collect()
}

/// Anchors made of names, each only once.
#[derive(Default)]
struct Anchors(Vec<String>);

impl Anchors {
    fn make(&mut self, kind: &str, name: &str) -> String {
        let slug = slug(name);
        let mut anchor = format!("{kind}-{slug}");
        if slug.is_empty() || self.0.contains(&anchor) {
            // No slug holds two hyphens in a row.
            anchor = format!("{kind}--{}", self.0.len() + 1);
        }
        self.0.push(anchor.clone());
        anchor
    }
}

/// The advice of the findings that did not pass, without repeating the same advice.
fn recommendations(findings: &[FindingEntry]) -> Vec<RecommendationEntry> {
    let mut out: Vec<RecommendationEntry> = Vec::new();
    for entry in findings.iter().filter(|e| e.counted != Verdict::Pass) {
        let Some(recommendation) = &entry.finding.recommendation else {
            continue;
        };
        if out
            .iter()
            .any(|r| r.advice == recommendation.advice && r.because == recommendation.because)
        {
            continue;
        }
        out.push(RecommendationEntry {
            finding: entry.anchor.clone(),
            severity: entry.finding.severity,
            advice: recommendation.advice.clone(),
            because: recommendation.because.clone(),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Anchors;

    #[test]
    fn an_anchor_stands_once() {
        let mut anchors = Anchors::default();
        let made = ["T1", "t 1", "<>", "T2"].map(|name| anchors.make("claim", name));
        assert_eq!(made, ["claim-t1", "claim-t-1", "claim--3", "claim-t2"]);
        assert_eq!(anchors.make("claim", "T1"), "claim--5");
    }
}
