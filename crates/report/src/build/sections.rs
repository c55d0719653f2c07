//! The measurements grouped by experiment, in the order in which the run met them.

use prony_model::{Evidence, PhaseSummary, Verdict};

use super::{Anchors, phase_anchor, phase_label};
use crate::record::{ExperimentTitle, RunRecord, StartedPhase};
use crate::report::{FindingEntry, PhaseEntry, Section, TableEntry, UnfinishedPhase};

pub(super) fn build(run: &RunRecord, findings: &[FindingEntry]) -> Vec<Section> {
    let mut anchors = Anchors::default();
    names(run)
        .into_iter()
        .map(|name| section(run, findings, name, anchors.make("experiment", name)))
        .collect()
}

/// Every experiment with a phase or a finding: what was written by hand, then in the order of the registry.
fn names(run: &RunRecord) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let started = run.started.iter().map(|s| s.phase.experiment.as_str());
    let finished = run.phases.iter().map(|p| p.experiment.as_str());
    let concluded = run.findings.iter().map(|f| f.experiment.as_str());
    for name in started.chain(finished).chain(concluded) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| run.experiments.iter().position(|e| e.name == *name));
    names
}

fn section(run: &RunRecord, findings: &[FindingEntry], name: &str, anchor: String) -> Section {
    let own: Vec<&FindingEntry> = findings.iter().filter(|f| f.finding.experiment == name).collect();
    let (title, question) = heading(&run.experiments, name);
    Section {
        anchor,
        experiment: name.to_owned(),
        title,
        question,
        verdict: own.iter().map(|f| f.counted).max(),
        findings: own.iter().map(|f| f.anchor.clone()).collect(),
        tables: own.iter().flat_map(|f| tables(f)).collect(),
        phases: run
            .phases
            .iter()
            .filter(|p| p.experiment == name)
            .map(|p| phase(run, p))
            .collect(),
        unfinished: run
            .unfinished()
            .filter(|s| s.phase.experiment == name)
            .map(|s| unfinished(run, s))
            .collect(),
    }
}

fn heading(known: &[ExperimentTitle], name: &str) -> (String, String) {
    if let Some(known) = known.iter().find(|e| e.name == name) {
        return (known.title.clone(), known.question.clone());
    }
    let title = match name {
        "suite" => "Phases of the suite",
        "load" => "Load",
        "preparation" => "Preparation",
        "compare" => "Comparison of two targets",
        "onnx" => "The model by itself",
        name => name,
    };
    (title.to_owned(), String::new())
}

fn tables(entry: &FindingEntry) -> Vec<TableEntry> {
    let tables = entry.finding.evidence.iter().filter_map(|e| match e {
        Evidence::Table(table) => Some(table),
        Evidence::Figure(_) | Evidence::Quote { .. } => None,
    });
    tables
        .enumerate()
        .map(|(i, table)| TableEntry {
            anchor: format!("{}-table-{}", entry.anchor, i + 1),
            finding: entry.anchor.clone(),
            table: table.clone(),
        })
        .collect()
}

fn phase(run: &RunRecord, summary: &PhaseSummary) -> PhaseEntry {
    let gates = run
        .gates
        .iter()
        .filter(|g| names_phase(&g.gate.phase, summary))
        .map(|g| g.verdict);
    let invalid = (!summary.validity.is_valid()).then_some(Verdict::Invalid);
    let spec = run
        .header
        .suite
        .phase
        .iter()
        .find(|p| summary.experiment == "suite" && p.name == summary.name);
    PhaseEntry {
        anchor: phase_anchor(summary.index),
        label: phase_label(run, &summary.experiment, &summary.name),
        description: spec.map(|p| p.description.clone()).unwrap_or_default(),
        verdict: gates.chain(invalid).max(),
        summary: summary.clone(),
    }
}

/// Gates name a phase of the suite by its name, one of an experiment as `EXPERIMENT/NAME`.
pub(crate) fn names_phase(gate: &str, phase: &PhaseSummary) -> bool {
    (phase.experiment == "suite" && phase.name == gate)
        || gate.split_once('/') == Some((&phase.experiment, &phase.name))
}

fn unfinished(run: &RunRecord, started: &StartedPhase) -> UnfinishedPhase {
    let progress = run.progress.get(&started.index);
    UnfinishedPhase {
        anchor: phase_anchor(started.index),
        index: started.index,
        label: phase_label(run, &started.phase.experiment, &started.phase.name),
        shape: started.phase.shape.label(),
        started: started.at,
        done: progress.map_or(0, |p| p.done),
        failed: progress.map_or(0, |p| p.failed),
    }
}
