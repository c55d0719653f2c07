//! A run as its events tell it: the input of a report, from a live run and from a stored one alike.

use std::collections::BTreeMap;

use prony_model::{
    Advice, ClaimResult, Event, Finding, GateResult, Nanos, Phase, PhaseSummary, Progress, RunHeader, Suite,
    Surface, SystemSnapshot, Verdict,
};

use crate::memory::MemoryReadings;
use crate::streams::{PhaseStreams, Slo};

/// Everything a report is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Who ran what against what.
    pub header: RunHeader,
    /// What discovery found, when it ran.
    pub surface: Option<Surface>,
    /// The system around the target, in order of time.
    pub snapshots: Vec<SystemSnapshot>,
    /// What the monitors read of the target's memory, thinned out.
    pub memory: MemoryReadings,
    /// Every phase that began, in order.
    pub started: Vec<StartedPhase>,
    /// Every phase with figures, in order of their index.
    pub phases: Vec<PhaseSummary>,
    /// The conclusions, in order.
    pub findings: Vec<Finding>,
    /// Claims of others held against the measurements.
    pub claims: Vec<ClaimResult>,
    /// Gates.
    pub gates: Vec<GateResult>,
    /// What to configure; empty when the run did not come to it.
    pub advice: Advice,
    /// What the user should know that is not a finding.
    pub notes: Vec<String>,
    /// What is damaged or missing in the recording, one sentence each.
    pub damage: Vec<String>,
    /// The last sign of life of a phase without figures, by index of the phase.
    pub progress: BTreeMap<u16, Progress>,
    /// How the run ended; `None` when it was killed.
    pub finished: Option<Finished>,
    /// The records of streamed answers, by index of the phase, as far as they were read. They do not come with the events.
    pub streams: BTreeMap<u16, PhaseStreams>,
    /// Objectives for each streamed answer, for its goodput.
    pub slos: Vec<Slo>,
    /// Titles and questions of every experiment there is, for headings and for naming those that did not run.
    pub experiments: Vec<ExperimentTitle>,
}

/// A phase that began.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedPhase {
    /// Index in the run.
    pub index: u16,
    /// When, since the run's epoch.
    pub at: Nanos,
    /// The phase as it was run.
    pub phase: Phase,
}

/// The end of a run that was not killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The verdict it ended with.
    pub verdict: Verdict,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// When, since the run's epoch.
    pub at: Nanos,
}

/// How an experiment is called in a report.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ExperimentTitle {
    /// Name, as in a suite.
    pub name: String,
    /// Title of its section.
    pub title: String,
    /// The question it answers.
    pub question: String,
}

impl RunRecord {
    /// A run of which nothing is known yet but its header.
    pub fn new(header: RunHeader) -> Self {
        Self {
            header,
            surface: None,
            snapshots: Vec::new(),
            memory: MemoryReadings::default(),
            started: Vec::new(),
            phases: Vec::new(),
            findings: Vec::new(),
            claims: Vec::new(),
            gates: Vec::new(),
            advice: Advice::default(),
            notes: Vec::new(),
            damage: Vec::new(),
            progress: BTreeMap::new(),
            finished: None,
            streams: BTreeMap::new(),
            slos: Vec::new(),
            experiments: Vec::new(),
        }
    }

    /// A run from its events. Without a header the record says so under `damage`, and the rest is still used.
    pub fn fold(events: &[Event]) -> Self {
        let header = events.iter().find_map(|e| {
            if let Event::RunStarted(h) = e {
                Some(h.clone())
            } else {
                None
            }
        });
        let lost = header.is_none();
        let mut record = Self::new(header.unwrap_or_else(unknown_header));
        if lost {
            record
                .damage
                .push("The header of the run is lost: target, command, seed and host are unknown.".into());
        }
        for event in events {
            record.apply(event);
        }
        record
    }

    /// Takes in one more event, for a view that follows a run.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted(_) | Event::ResponseCaptured { .. } => {}
            Event::ReadingTaken(reading) => self.memory.take(reading),
            Event::SurfaceFound(surface) => self.surface = Some(surface.clone()),
            Event::SystemSeen(snapshot) => self.snapshots.push(snapshot.clone()),
            Event::PhaseStarted { index, at, phase } => {
                self.started.push(StartedPhase {
                    index: *index,
                    at: *at,
                    phase: phase.clone(),
                });
            }
            Event::Progressed(progress) => {
                self.progress.insert(progress.index, *progress);
            }
            Event::PhaseFinished(summary) => self.add_phase(summary.clone()),
            Event::FindingMade(finding) => self.findings.push(finding.clone()),
            Event::GateJudged(gate) => self.gates.push(gate.clone()),
            Event::ClaimJudged(claim) => self.claims.push(claim.clone()),
            Event::Advised(advice) => self.advice = advice.clone(),
            Event::Noted { text } => self.notes.push(text.clone()),
            Event::RunFinished {
                verdict,
                interrupted,
                at,
            } => {
                self.finished = Some(Finished {
                    verdict: *verdict,
                    interrupted: *interrupted,
                    at: *at,
                });
            }
        }
    }

    /// Adds the figures of a phase, in place of those it had. For a killed run: figures made from its samples.
    pub fn add_phase(&mut self, summary: PhaseSummary) {
        self.progress.remove(&summary.index);
        match self.phases.binary_search_by_key(&summary.index, |p| p.index) {
            Ok(at) => self.phases[at] = summary,
            Err(at) => self.phases.insert(at, summary),
        }
    }

    /// The phases that began and have no figures: in a killed run, the one it was killed in.
    pub fn unfinished(&self) -> impl Iterator<Item = &StartedPhase> {
        self.started
            .iter()
            .filter(|s| self.phases.iter().all(|p| p.index != s.index))
    }
}

fn unknown_header() -> RunHeader {
    RunHeader {
        format: RunHeader::FORMAT,
        prony: String::new(),
        id: String::new(),
        command: String::new(),
        started_at: String::new(),
        seed: 0,
        target: String::new(),
        host: BTreeMap::new(),
        shared_host: false,
        suite: Suite::default(),
    }
}
