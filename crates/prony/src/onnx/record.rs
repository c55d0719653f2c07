//! The recording of a run: phases and samples out of what processes told, so that a model's report is made as any other.

use std::path::Path;
use std::time::Instant;

use prony_engine::Sink;
use prony_model::{
    Capture, Event, Finding, Gate, GateResult, Item, Limits, Nanos, Phase, PhaseResult, Request, RunHeader,
    Sample, Scenario, Shape, Surface,
};

use prony_experiments::onnx::NAME;

use super::ask::Run;
use crate::runner::{Journal, Live, Lost};

/// What stands for the name of a request.
const SCENARIO: &str = "inference";

/// A recording in progress.
pub(super) struct Recording {
    journal: Journal,
    epoch: Instant,
    phases: u16,
    /// Every phase so far, for the gates.
    pub results: Vec<PhaseResult>,
}

/// A phase that has begun.
pub(super) struct Begun {
    pub index: u16,
    phase: Phase,
}

impl Recording {
    /// Opens it in a folder; the run began at `epoch`.
    pub(super) fn create(dir: &Path, header: &RunHeader, live: Live, epoch: Instant) -> anyhow::Result<Self> {
        Ok(Self {
            journal: Journal::create(dir, header, live)?,
            epoch,
            phases: 0,
            results: Vec::new(),
        })
    }

    /// The name of what is measured.
    pub(super) fn surface(&mut self, name: String) {
        self.journal.event(&Event::SurfaceFound(Surface {
            name,
            ..Surface::default()
        }));
    }

    /// Something to know that is no finding.
    pub(super) fn note(&mut self, text: String) {
        self.journal.event(&Event::Noted { text });
    }

    /// A phase begins.
    pub(super) fn begin(&mut self, name: &str, model: &str, shape: Shape) -> Begun {
        let index = self.phases;
        self.phases += 1;
        let request = Request {
            method: "RUN".to_owned(),
            ..Request::get(model)
        };
        let item = Item {
            request,
            expect: prony_model::Expect::default(),
        };
        let phase = Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new(SCENARIO, vec![item])],
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        };
        self.journal.event(&Event::PhaseStarted {
            index,
            at: self.now(),
            phase: phase.clone(),
        });
        Begun { index, phase }
    }

    /// The phase ended: each inference as caller, start and end in ns since the first of the process. `ended` is when the last of
    /// them did, `waited` the share of the time in which other programs had the processor, where that is known. Returns why its times
    /// cannot be trusted, or nothing.
    pub(super) fn end(&mut self, begun: Begun, runs: &[Run], ended: Nanos, waited: Option<f64>) -> String {
        let last = runs.iter().map(|run| run.2).max().unwrap_or(0);
        let first = runs.first().map_or(0, |run| run.1);
        let at = |ns: u64| Nanos(ended.0.saturating_sub(last - ns));
        let samples: Vec<Sample> = runs
            .iter()
            .zip(0_u64..)
            .map(|((caller, start, end), seq)| Sample {
                seq,
                intended: at(*start),
                sent: at(*start),
                done: at(*end),
                status: 0,
                phase: begun.index,
                worker: *caller as u16,
                ..Sample::default()
            })
            .collect();
        let mut summary =
            prony_engine::summarise(begun.index, &begun.phase, &samples, at(first), at(last), false);
        let mut distrust = String::new();
        if let Some(share) = waited {
            distrust = steal(&mut summary.validity, share);
        }
        self.journal.samples(&samples);
        self.journal.event(&Event::PhaseFinished(summary.clone()));
        self.results.push(PhaseResult {
            index: begun.index,
            phase: begun.phase,
            summary,
            samples,
            samples_cut: false,
            captures: Vec::new(),
            streams: Vec::new(),
            readings: Vec::new(),
        });
        distrust
    }

    /// Records a conclusion.
    pub(super) fn found(&mut self, finding: &Finding) {
        self.journal.event(&Event::FindingMade(finding.clone()));
    }

    /// Holds the gates and records what came of them.
    pub(super) fn judge(&mut self, gates: &[Gate], findings: &[Finding]) -> Vec<GateResult> {
        let results = prony_experiments::judge_gates(gates, &self.results, findings);
        for result in &results {
            self.journal.event(&Event::GateJudged(result.clone()));
        }
        results
    }

    /// The last event; returns what did not reach the disk.
    pub(super) fn finish(mut self, verdict: prony_model::Verdict, interrupted: bool) -> Lost {
        let at = self.now();
        self.journal.event(&Event::RunFinished {
            verdict,
            interrupted,
            at,
        });
        self.journal.close()
    }

    /// Since the run began.
    pub(super) fn now(&self) -> Nanos {
        Nanos::from(self.epoch.elapsed())
    }
}

/// Share of the time that the thread waited for a processor, beyond which the times are warned of, and beyond which they cannot be
/// trusted: the bounds of stolen time (see `prony_engine`).
const WAITED_WARN: f64 = 0.02;
const WAITED_MAX: f64 = 0.1;

/// Notes the share of the time in which other programs had the processor. Returns why the phase cannot be trusted, or nothing.
fn steal(validity: &mut prony_model::Validity, share: f64) -> String {
    validity.steal_share = share;
    if share <= WAITED_WARN {
        return String::new();
    }
    let says = format!(
        "the model waited for a processor that other programs had in {:.1} % of the time (warning above {} %, bound {} %)",
        share * 100.0,
        WAITED_WARN * 100.0,
        WAITED_MAX * 100.0
    );
    validity.tell(share > WAITED_MAX, "steal", says.clone());
    if share > WAITED_MAX { says } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::steal;
    use prony_model::Validity;

    #[test]
    fn time_that_others_took_warns_and_then_condemns() {
        let judged = |share| {
            let mut validity = Validity::default();
            let says = steal(&mut validity, share);
            (says.is_empty(), validity.is_valid(), validity.warnings.len())
        };
        assert_eq!(judged(0.01), (true, true, 0));
        assert_eq!(judged(0.05), (true, true, 1));
        assert_eq!(judged(0.2), (false, false, 0));
    }
}
