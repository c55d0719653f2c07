//! The tables of a run.

use std::collections::BTreeMap;

use prony_model::{Body, Outcome, PhaseSummary, StreamRecord, StreamSummary};

use super::counts::{self, Source};
use super::{OtherTool, PhaseStreams, StreamTable, goodput, lines, split, strata, warnings};
use crate::build::{phase_anchor, phase_label};
use crate::definitions::{
    Compared, DEFINITIONS, Definition, Group, OURS, RecordedStream, Restated, compare, restate,
};
use crate::number::with_unit;
use crate::record::RunRecord;

/// From which share on a difference to another tool is told under the table.
const TOLD_FROM: f64 = 0.05;

/// One for each scenario and step whose answers are streams.
pub(crate) fn build(run: &RunRecord) -> Vec<StreamTable> {
    let all = run
        .phases
        .iter()
        .flat_map(|phase| phase.streams.iter().map(move |summary| (phase, summary)));
    all.enumerate()
        .map(|(i, (phase, summary))| table(run, phase, summary, i as u32 + 1))
        .collect()
}

fn table(run: &RunRecord, phase: &PhaseSummary, summary: &StreamSummary, number: u32) -> StreamTable {
    let nothing = PhaseStreams::default();
    let recorded = run.streams.get(&phase.index).unwrap_or(&nothing);
    let index = scenario_index(run, phase.index, &summary.scenario);
    let mine: Vec<&RecordedStream> = recorded
        .streams
        .iter()
        .filter(|s| s.record.step == summary.step && Some(s.record.scenario) == index)
        .filter(|s| !s.record.outcome.is_own())
        .collect();
    let good: Vec<&StreamRecord> = mine
        .iter()
        .map(|s| &s.record)
        .filter(|r| r.outcome == Outcome::Ok)
        .collect();
    let source = Source {
        phase,
        summary,
        good: &good,
        whole: !recorded.cut && good.len() as u64 == summary.ok,
    };
    let mut groups = vec![counts::totals(&source)];
    groups.extend(lines::times(summary, phase.open_loop));
    let good_streams = mine.iter().copied().filter(|s| s.record.outcome == Outcome::Ok);
    groups.extend(split::group(&good_streams.collect::<Vec<_>>()));
    groups.extend(counts::details(&source));
    let (others, restated) = others(run, phase, summary, &mine);
    StreamTable {
        anchor: format!("streams-{number}"),
        number,
        phase: phase_anchor(phase.index),
        label: phase_label(run, &phase.experiment, &phase.name),
        scenario: summary.scenario.clone(),
        step: summary.step,
        connections: summary.connections,
        open_loop: phase.open_loop,
        model: model(run, phase.index, index).unwrap_or_default(),
        protocol: protocol(run, phase.index, index).unwrap_or_default(),
        offered_per_s: if phase.open_loop { phase.offered_per_s } else { 0.0 },
        groups,
        goodput: goodput::build(&source, &run.slos, &mine),
        strata: strata::build(&good),
        warnings: warnings::build(&source),
        others,
        records: mine.len() as u64,
        records_cut: recorded.cut,
        restated,
    }
}

/// What the other tools would print. Without records nothing can be said.
fn others(
    run: &RunRecord,
    phase: &PhaseSummary,
    summary: &StreamSummary,
    mine: &[&RecordedStream],
) -> (Vec<OtherTool>, BTreeMap<String, Restated>) {
    if mine.is_empty() {
        return (Vec::new(), BTreeMap::new());
    }
    let index = scenario_index(run, phase.index, &summary.scenario);
    let protocol = protocol(run, phase.index, index).unwrap_or_default();
    let streams: Vec<RecordedStream> = mine.iter().map(|s| (*s).clone()).collect();
    let ours = restate(&OURS, &streams);
    let mut restated = BTreeMap::new();
    let mut tools = Vec::new();
    for definition in DEFINITIONS {
        let theirs = restate(definition, &streams);
        let compared = compare(definition, &ours, &theirs);
        tools.push(OtherTool {
            name: definition.name.to_owned(),
            tool: definition.tool.to_owned(),
            version: definition.version.to_owned(),
            about: definition.about.to_owned(),
            speaks: definition.protocols.iter().any(|p| p.name() == protocol),
            approximations: definition.approximations.to_owned(),
            says: says(definition, &compared),
            compared,
        });
        restated.insert(definition.name.to_owned(), theirs);
    }
    (tools, restated)
}

/// How many it takes for good, where that differs, and the time or rate that differs most, where one differs enough.
fn says(definition: &Definition, compared: &[Compared]) -> String {
    let told = |c: &&Compared| c.ours.is_some() && c.theirs.is_some() && c.distance() >= TOLD_FROM;
    let success = compared.iter().filter(|c| c.group == Group::Success).find(told);
    let others = compared.iter().filter(|c| c.group != Group::Success).filter(told);
    let most = others.max_by(|a, b| a.distance().total_cmp(&b.distance()));
    let parts: Vec<String> = [success, most]
        .into_iter()
        .flatten()
        .map(|c| {
            let value = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| with_unit(v, &c.unit));
            format!(
                "{} {}, not {}: {}",
                c.label,
                value(c.theirs),
                value(c.ours),
                c.why
            )
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(
        "{} {} would print {}.",
        definition.tool,
        definition.version,
        parts.join("; and ")
    )
}

/// The index of the scenario whose row it is; the row of a step of a flow is called `SCENARIO/STEP`.
fn scenario_index(run: &RunRecord, phase: u16, row: &str) -> Option<u16> {
    let started = run.started.iter().find(|s| s.index == phase)?;
    let named = |name: &str| started.phase.scenarios.iter().position(|s| s.name == name);
    let index = named(row).or_else(|| named(row.rsplit_once('/')?.0))?;
    u16::try_from(index).ok()
}

/// The model that the first request of the scenario names.
fn model(run: &RunRecord, phase: u16, scenario: Option<u16>) -> Option<String> {
    let started = run.started.iter().find(|s| s.index == phase)?;
    let item = started
        .phase
        .scenarios
        .get(usize::from(scenario?))?
        .items
        .first()?;
    let Body::Text(text) = &item.request.body else {
        return None;
    };
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(body.get("model")?.as_str()?.to_owned())
}

fn protocol(run: &RunRecord, phase: u16, scenario: Option<u16>) -> Option<String> {
    let started = run.started.iter().find(|s| s.index == phase)?;
    let items = &started.phase.scenarios.get(usize::from(scenario?))?.items;
    let stream = items.iter().find_map(|i| i.expect.stream)?;
    Some(stream.protocol.name().to_owned())
}
