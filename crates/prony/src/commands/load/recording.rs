//! What is heard while load is sent: into the recording, when there is one, and onto the live line.

use std::path::Path;

use anyhow::Context;
use prony_engine::monitors::{self, Watched};
use prony_engine::{Engine, Sink};
use prony_model::{
    Captured, Event, GateResult, Nanos, Phase, PhaseResult, Progress, RunHeader, Sample, StreamRecord,
    Verdict,
};
use prony_store::{RunWriter, StoreError};

use super::live::LiveLine;
use super::plan::Plan;
use crate::runner::{Connection, TARGET_LOG, facts, run_id, wall_clock};
use crate::session::Session;

/// The live line, and the run's folder when `-o` names one. A disk that fails ends the recording, not the load.
pub(super) struct Recording {
    writer: Option<RunWriter>,
    live: LiveLine,
    watched: Watched,
    started: Nanos,
    error: Option<StoreError>,
}

impl Recording {
    /// Opens the folder, writes the header and the system's state before the load.
    pub(super) fn start(
        output: Option<&Path>,
        plan: &Plan,
        connection: &Connection,
        watched: Watched,
        session: &Session,
        live: LiveLine,
    ) -> anyhow::Result<Self> {
        let engine = &connection.engine;
        let writer = match output {
            Some(dir) => {
                let writer = RunWriter::create(dir, &header(plan, engine, session))
                    .with_context(|| format!("cannot record into {}", dir.display()))?;
                connection.keep_log(&dir.join(TARGET_LOG))?;
                Some(writer)
            }
            None => None,
        };
        let mut recording = Self {
            writer,
            live,
            watched,
            started: Nanos::ZERO,
            error: None,
        };
        if let Some(text) = connection.started_by_command("the target", TARGET_LOG) {
            recording.event(&Event::Noted { text });
        }
        recording.snapshot("before", engine.now());
        Ok(recording)
    }

    /// The load begins.
    pub(super) fn phase_started(&mut self, at: Nanos, phase: &Phase) {
        self.started = at;
        self.event(&Event::PhaseStarted {
            index: 0,
            at,
            phase: phase.clone(),
        });
    }

    /// Whether failures stayed within what was allowed.
    pub(super) fn judged(&mut self, result: &GateResult) {
        self.event(&Event::GateJudged(result.clone()));
    }

    /// The load is over: writes the last events. The error is that of the whole recording.
    pub(super) fn finish(
        mut self,
        result: &PhaseResult,
        verdict: Verdict,
        interrupted: bool,
        at: Nanos,
    ) -> Result<(), StoreError> {
        self.live.clear();
        self.event(&Event::PhaseFinished(result.summary.clone()));
        if interrupted {
            let text = "Interrupted by the user: the figures are of what was sent until then.".to_owned();
            self.event(&Event::Noted { text });
        }
        self.snapshot("after", at);
        self.event(&Event::RunFinished {
            verdict,
            interrupted,
            at,
        });
        let finished = self.writer.take().map_or(Ok(()), RunWriter::finish);
        match self.error {
            Some(error) => Err(error),
            None => finished,
        }
    }

    fn snapshot(&mut self, label: &str, at: Nanos) {
        if self.writer.is_some() {
            self.event(&Event::SystemSeen(monitors::snapshot(&self.watched, label, at)));
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.event(event)
        {
            self.error.get_or_insert(error);
        }
    }
}

impl Sink for Recording {
    fn wants_all(&self) -> bool {
        self.writer.is_some()
    }

    fn samples(&mut self, samples: &[Sample]) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.samples(samples)
        {
            self.error.get_or_insert(error);
        }
    }

    fn streams(&mut self, records: &[StreamRecord]) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.streams(records)
        {
            self.error.get_or_insert(error);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.live
            .show(progress, (progress.at - self.started).as_secs_f64());
        self.event(&Event::Progressed(*progress));
    }

    fn captured(&mut self, index: u16, response: &Captured) {
        self.event(&Event::ResponseCaptured {
            index,
            response: response.clone(),
        });
    }
}

fn header(plan: &Plan, engine: &Engine, session: &Session) -> RunHeader {
    let mut host = facts(&plan.suite.run);
    if let Some(dns) = engine.dns() {
        host.insert("dns".to_owned(), dns.to_string());
    }
    RunHeader {
        format: RunHeader::FORMAT,
        prony: env!("CARGO_PKG_VERSION").to_owned(),
        id: run_id(plan.suite.run.seed),
        command: session.command.clone(),
        started_at: wall_clock(),
        seed: plan.suite.run.seed,
        target: plan.url.clone(),
        host,
        shared_host: engine.shares_host(),
        suite: plan.suite.clone(),
    }
}
