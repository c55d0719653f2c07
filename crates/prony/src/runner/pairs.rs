//! Runs on two targets in turns, in one recording: what `prony compare` ends in. It sends and records; the conclusion is
//! `prony_experiments::compare`'s.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use prony_engine::Sink;
use prony_experiments::compare::{COMPARE, Comparison, Side, compare, turns};
use prony_model::{
    Captured, Event, ExitCode, Finding, Limits, Nanos, Outcome, Phase, PhaseResult, Progress, RunHeader,
    Sample, StreamRecord, Suite,
};

use super::connection::{Connection, unreachable};
use super::journal::Journal;
use super::place::Place;
use super::{REPEATS_MAX, TARGET_LOG, host, outcome};
use crate::session::Session;
use crate::text::clean;

/// Largest answer that is read to see whether a target is there.
const ANSWER_BYTES_MAX: u32 = 1 << 20;
/// Where what B prints is kept; A has the usual file.
const TARGET_LOG_B: &str = "target-b.log";

/// What to compare.
pub(crate) struct PairsRequest {
    /// The suite of A, for the recording's header.
    pub suite: Suite,
    /// The targets that were opened on one clock: A, B.
    pub sides: [Connection; 2],
    /// URLs as shown: A, B.
    pub urls: [String; 2],
    /// The load: of A, of B.
    pub phases: [Phase; 2],
    /// Pairs of runs.
    pub pairs: usize,
    /// Start of each run that does not count.
    pub warm_up: Duration,
    /// Change that matters, as a share.
    pub margin: Option<f64>,
    /// Both are the same target.
    pub same: bool,
    /// Folder of the recording; a new one under `prony-runs` by default.
    pub output: Option<PathBuf>,
    /// Print the JSON report on standard output.
    pub json: bool,
}

/// Makes the runs and says what they show.
pub(crate) fn perform_pairs(mut request: PairsRequest, session: &Session) -> Result<ExitCode> {
    reach(&mut request)?;
    let id = host::run_id(request.suite.run.seed);
    let Place { dir, style, live } = Place::new(request.output.take(), &id, session);
    let mut journal = Journal::create(&dir, &header(&request, session, id), live)?;
    for (side, what, file) in [(0, "A", TARGET_LOG), (1, "B", TARGET_LOG_B)] {
        let side = &request.sides[side];
        side.keep_log(&dir.join(file))?;
        if let Some(text) = side.started_by_command(what, file) {
            journal.event(&Event::Noted { text });
        }
    }
    let mut pairs = Pairs {
        request,
        journal,
        results: [Vec::new(), Vec::new()],
        started: 0,
        repeats_left: REPEATS_MAX,
        session,
    };
    pairs.measure()?;
    pairs.conclude();
    let lost = pairs.journal.close();
    let json = pairs.request.json;
    drop(pairs.request);
    outcome::publish(&dir, lost, session.stopped(), json, style, session)
}

/// Makes sure that both answer; an error when one of them does not.
fn reach(request: &mut PairsRequest) -> Result<()> {
    for (side, connection) in request.sides.iter_mut().enumerate() {
        let scenario = &request.phases[side].scenarios[0];
        if scenario.slots.is_some() {
            // There is no one request to ask for.
            connection.reach()?;
            continue;
        }
        let item = &scenario.items[0];
        let answer = connection
            .engine
            .fetch(&item.request, &Limits::default(), ANSWER_BYTES_MAX);
        let nobody = matches!(
            answer.outcome,
            Outcome::Dns
                | Outcome::Refused
                | Outcome::Unreachable
                | Outcome::ConnectTimeout
                | Outcome::Tls
                | Outcome::WrongProtocol
        );
        if nobody {
            return Err(unreachable(&request.urls[side], &answer).into());
        }
    }
    Ok(())
}

fn header(request: &PairsRequest, session: &Session, id: String) -> RunHeader {
    let [a, b] = &request.urls;
    RunHeader {
        format: RunHeader::FORMAT,
        prony: env!("CARGO_PKG_VERSION").to_owned(),
        id,
        command: session.command.clone(),
        started_at: host::wall_clock(),
        seed: request.suite.run.seed,
        target: if request.same {
            format!("{a} (A and B)")
        } else {
            format!("{a} (A), {b} (B)")
        },
        host: host::facts(&request.suite.run),
        shared_host: request.sides.iter().any(|side| side.is_local),
        suite: request.suite.clone(),
    }
}

/// A comparison in progress.
struct Pairs<'a> {
    request: PairsRequest,
    journal: Journal,
    /// Finished runs of A and of B.
    results: [Vec<PhaseResult>; 2],
    started: u16,
    repeats_left: u32,
    session: &'a Session,
}

impl Pairs<'_> {
    /// All runs, or those until the person stops it.
    fn measure(&mut self) -> Result<()> {
        for (position, side) in turns(self.request.pairs).into_iter().enumerate() {
            let result = self.run(side, position / 2)?;
            if result.summary.partial || self.session.stopped() {
                let why = if self.session.stopped() {
                    "Stopped by the user".to_owned()
                } else {
                    format!("{side:?} no longer accepts connections")
                };
                let text = format!("{why}: only the pairs that were finished are compared.");
                self.journal.event(&Event::Noted { text });
                break;
            }
            self.results[side as usize].push(result);
        }
        Ok(())
    }

    /// One run; once more if the generator could not keep its promise. What the target answered has no say in that.
    fn run(&mut self, side: Side, pair: usize) -> Result<PhaseResult> {
        let result = self.attempt(side, pair)?;
        let Some(issue) = result.summary.validity.invalid.first() else {
            return Ok(result);
        };
        if result.summary.partial || self.repeats_left == 0 || self.session.stopped() {
            return Ok(result);
        }
        self.repeats_left -= 1;
        let text = format!(
            "run '{}' is measured once more: {}",
            clean(&result.phase.name, 80),
            issue.says
        );
        self.journal.event(&Event::Noted { text });
        self.attempt(side, pair)
    }

    /// One run under the next index of the recording. Both of a pair have the same schedule: the engine draws it from the number
    /// of the pair.
    fn attempt(&mut self, side: Side, pair: usize) -> Result<PhaseResult> {
        let index = self.started;
        self.started = self.started.saturating_add(1);
        let mut phase = self.request.phases[side as usize].clone();
        phase.name = format!("{side:?} {}", pair + 1);
        COMPARE.clone_into(&mut phase.experiment);
        phase.scenarios[0].name = phase.scenarios[0].items[0].request.label();
        let engine = &mut self.request.sides[side as usize].engine;
        self.journal.event(&Event::PhaseStarted {
            index,
            at: engine.now(),
            phase: phase.clone(),
        });
        let mut sink = Renumbered {
            index,
            journal: &mut self.journal,
            samples: Vec::new(),
        };
        let mut result = engine.run(pair as u16, phase, &mut sink)?;
        result.index = index;
        result.summary.index = index;
        self.journal.event(&Event::PhaseFinished(result.summary.clone()));
        Ok(result)
    }

    fn conclude(&mut self) {
        let [a, b] = &self.results;
        let findings: Vec<Finding> = compare(&Comparison {
            a,
            b,
            warm_up_s: self.request.warm_up.as_secs_f64(),
            margin: self.request.margin,
            same: self.request.same,
            seed: self.request.suite.run.seed,
        });
        for finding in &findings {
            self.journal.event(&Event::FindingMade(finding.clone()));
        }
        let ends = self.request.sides.iter().map(|side| side.engine.now());
        let at = ends.max().unwrap_or(Nanos::ZERO);
        self.journal.event(&Event::RunFinished {
            verdict: prony_report::verdict(&findings, &[]),
            interrupted: self.session.stopped(),
            at,
        });
    }
}

/// The recording, with the number of the run in it in place of the engine's own.
struct Renumbered<'a> {
    index: u16,
    journal: &'a mut Journal,
    samples: Vec<Sample>,
}

impl Sink for Renumbered<'_> {
    fn wants_all(&self) -> bool {
        self.journal.wants_all()
    }

    fn samples(&mut self, samples: &[Sample]) {
        self.samples.clear();
        self.samples.extend(samples.iter().map(|sample| Sample {
            phase: self.index,
            ..*sample
        }));
        self.journal.samples(&self.samples);
    }

    fn streams(&mut self, records: &[StreamRecord]) {
        let renumbered: Vec<StreamRecord> = records
            .iter()
            .map(|record| StreamRecord {
                phase: self.index,
                ..record.clone()
            })
            .collect();
        self.journal.streams(&renumbered);
    }

    fn progress(&mut self, progress: &Progress) {
        self.journal.progress(&Progress {
            index: self.index,
            ..*progress
        });
    }

    fn captured(&mut self, _: u16, response: &Captured) {
        self.journal.captured(self.index, response);
    }
}
