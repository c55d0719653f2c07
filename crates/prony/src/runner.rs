//! One run from start to verdict: `prony check` and `prony run` both end here, and `prony compare` in `runner/pairs.rs`.
//!
//! It wires: it asks experiments what to run, the engine to run it, the store to keep it, and the report to render it.
//! It decides nothing about the target.

mod behind;
mod connection;
mod demo;
mod files;
mod host;
mod journal;
mod lifecycle;
mod live;
mod outcome;
mod pairs;
mod patience;
mod place;
mod preparation;
mod process;
mod readiness;
mod refusals;
mod started;
mod stdio;
mod target_log;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prony_engine::monitors::{self, Watch, Watched};
use prony_experiments::{
    Basis, BuildContext, EXPERIMENTS, Experiment, ExperimentDef, RunView, Step, advise, judge_claim,
    judge_gates, written_files,
};
use prony_model::{
    Endpoint, Event, ExitCode, Finding, GateResult, Outcome, Phase, PhaseResult, Reading, Request, RunHeader,
    Sample, Severity, Shape, Suite, Surface, Verdict,
};

use crate::config;
use crate::diagnostic::{Diagnostic, nearest};
use crate::discovery::{Discovery, Preparation, Told};
use crate::sending::Secrets;
use crate::session::Session;
use crate::text::clean;
use crate::timetable::{Timetable, lasting};

pub(crate) use connection::{Connection, PROTOCOL_HINT, TLS_HINT, engine_options};
use files::FolderWatch;
pub(crate) use host::facts;
#[cfg(feature = "onnx")]
pub(crate) use host::{cores, memory_bytes};
pub(crate) use host::{run_id, wall_clock};
pub(crate) use journal::Journal;
#[cfg(feature = "onnx")]
pub(crate) use journal::Lost;
#[cfg(feature = "onnx")]
pub(crate) use live::Live;
#[cfg(feature = "onnx")]
pub(crate) use outcome::publish;
pub(crate) use outcome::{unwritten, write_reports};
pub(crate) use pairs::{PairsRequest, perform_pairs};
pub(crate) use place::Place;
pub(crate) use target_log::FILE as TARGET_LOG;

/// Shortest interval between two looks at the target's process: two hundred and forty of them in a minute, which is what a
/// conclusion about its memory rests on.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// The experiment that asks every endpoint first: it tells how slow the target is.
const FIRST_ANSWERS: &str = "coverage";

/// Most phases of a run that are measured once more because the generator did not keep its promise.
const REPEATS_MAX: u32 = 6;

/// What to run, beside the suite itself.
pub(crate) struct RunRequest {
    /// The suite.
    pub suite: Suite,
    /// What discovery found already; `None` takes the suite's endpoints, or discovers.
    pub surface: Option<Surface>,
    /// What must be sent before some of its endpoints can be asked.
    pub preparation: Option<Preparation>,
    /// What is sent and not kept.
    pub secrets: Secrets,
    /// Folder that relative paths in the suite start from.
    pub base_dir: PathBuf,
    /// Folder of the recording; a new one under `prony-runs` by default.
    pub output: Option<PathBuf>,
    /// Print the JSON report on standard output.
    pub json: bool,
    /// Start no further phase after so long.
    pub duration_max: Option<Duration>,
}

/// Runs a suite against its target.
pub(crate) fn run(request: RunRequest, session: &Session) -> Result<ExitCode> {
    let connection = Connection::open(&request.suite, &request.secrets, session)?;
    perform(connection, request, session)
}

/// Runs a suite over a connection that is already open.
pub(crate) fn perform(
    mut connection: Connection,
    mut request: RunRequest,
    session: &Session,
) -> Result<ExitCode> {
    let Discovery {
        mut surface,
        preparation,
    } = match request.surface.take() {
        Some(surface) => Discovery {
            surface,
            preparation: request.preparation.take(),
        },
        None => surface_for(&mut connection, &request.suite)?,
    };
    surface.chosen = chosen(&request.suite.run.endpoints, &surface)?;
    let phases = config::expand(
        &request.suite,
        &request.base_dir,
        &mut |request: &Request| connection.fetch(request),
        &mut |said: &str| session.note(said),
    )?;
    surface.scenarios = config::for_experiments(
        &request.suite,
        &request.base_dir,
        &mut |request: &Request| connection.fetch(request),
        &mut |said: &str| session.note(said),
    )?;
    let watched = connection.watched(&request.suite.target, &surface)?;
    let id = host::run_id(request.suite.run.seed);
    let Place { dir, style, live } = Place::new(request.output.take(), &id, session);
    let header = header(&connection, &request.suite, session, id);
    let journal = Journal::create(&dir, &header, live)?;
    connection.keep_log(&dir.join(TARGET_LOG))?;
    let mut run = Run {
        connection,
        journal,
        surface,
        preparation,
        results: Vec::new(),
        findings: Vec::new(),
        gates: Vec::new(),
        phases_started: 0,
        repeats_left: REPEATS_MAX,
        watched,
        watch: None,
        is_down: false,
        is_closed: false,
        waiting: Vec::new(),
        deadline: request.duration_max.map(|d| Instant::now() + d),
        session,
        seed: request.suite.run.seed,
        cut: None,
    };
    run.record(&request.suite, phases)?;
    let interrupted = session.stopped();
    let lost = run.journal.close();
    drop(run.connection);
    outcome::publish(&dir, lost, interrupted, request.json, style, session)
}

/// The suite's own endpoints, or those that discovery finds when an experiment needs some.
fn surface_for(connection: &mut Connection, suite: &Suite) -> Result<Discovery> {
    if !suite.endpoint.is_empty() {
        connection.reach()?;
        return Ok(without_preparation(Surface {
            endpoints: suite.endpoint.clone(),
            keeps: suite.run.not_loaded.clone(),
            ..Surface::default()
        }));
    }
    // Experiments that are told what to send need no endpoints.
    let all_told = suite
        .experiment
        .values()
        .all(|params| config::scenarios_of(params).next().is_some());
    if all_told {
        connection.reach()?;
        Ok(without_preparation(Surface::default()))
    } else {
        connection.discover("/", &Told::default())
    }
}

fn without_preparation(surface: Surface) -> Discovery {
    Discovery {
        surface,
        preparation: None,
    }
}

/// The full names of the endpoints that the person wants loaded.
fn chosen(wanted: &[String], surface: &Surface) -> Result<Vec<String>> {
    let known = || surface.endpoints.iter().map(|e| e.name.as_str());
    let mut names = Vec::new();
    for word in wanted {
        let before = names.len();
        let is_meant = |e: &&Endpoint| e.name.eq_ignore_ascii_case(word.trim()) || e.path == word.trim();
        names.extend(surface.endpoints.iter().filter(is_meant).map(|e| e.name.clone()));
        if names.len() == before {
            let wrong = Diagnostic::usage(format!("the target has no endpoint {:?}", clean(word, 100)));
            let next = match nearest(word, known()) {
                Some(name) => format!("did you mean '{}'?", clean(name, 100)),
                None => format!("it has: {}", clean(&known().collect::<Vec<_>>().join(", "), 1000)),
            };
            return Err(wrong.next(next).into());
        }
    }
    Ok(names)
}

fn header(connection: &Connection, suite: &Suite, session: &Session, id: String) -> RunHeader {
    let mut host = host::facts(&suite.run);
    if let Some(dns) = connection.engine.dns() {
        host.insert("dns".to_owned(), dns.to_string());
    }
    RunHeader {
        format: RunHeader::FORMAT,
        prony: env!("CARGO_PKG_VERSION").to_owned(),
        id,
        command: session.command.clone(),
        started_at: host::wall_clock(),
        seed: suite.run.seed,
        target: connection.url.clone(),
        host,
        shared_host: connection.is_local,
        suite: suite.clone(),
    }
}

/// A run in progress.
struct Run<'a> {
    connection: Connection,
    journal: Journal,
    surface: Surface,
    preparation: Option<Preparation>,
    results: Vec<PhaseResult>,
    findings: Vec<Finding>,
    gates: Vec<GateResult>,
    phases_started: u16,
    repeats_left: u32,
    watched: Watched,
    watch: Option<Watch>,
    /// The target was stopped for a question, and not started again yet.
    is_down: bool,
    /// The state after the load has been recorded.
    is_closed: bool,
    /// Readings that belong to the phase which comes next.
    waiting: Vec<Reading>,
    deadline: Option<Instant>,
    session: &'a Session,
    seed: u64,
    /// Why no further phase is started.
    cut: Option<String>,
}

impl Run<'_> {
    /// Everything from the first snapshot to the last event.
    fn record(&mut self, suite: &Suite, phases: Vec<Phase>) -> Result<()> {
        if !self.surface.endpoints.is_empty() {
            self.journal.event(&Event::SurfaceFound(self.surface.clone()));
        }
        for text in self
            .connection
            .planted
            .clone()
            .into_iter()
            .chain(self.connection.way())
        {
            self.journal.event(&Event::Noted { text });
        }
        for (name, url) in self.connection.others() {
            let text = format!(
                "Steps of flows, or redirects, go to the origin `{name}` at {}, too; it is not watched.",
                clean(&url, 200)
            );
            self.journal.event(&Event::Noted { text });
        }
        if let Some(text) = self.connection.started_by_command("the target", TARGET_LOG) {
            self.journal.event(&Event::Noted { text });
        }
        self.snapshot("before");
        self.watch = Some(Watch::start(
            self.watched.clone(),
            WATCH_EVERY,
            self.connection.epoch,
        ));
        self.waiting = self.connection.take_starts();
        if let Some(behind) = &mut self.connection.behind {
            self.waiting.extend(behind.references());
            self.waiting.extend(behind.counts());
        }
        for phase in phases {
            if self.may_go_on() {
                if suite
                    .phase
                    .iter()
                    .any(|spec| spec.fresh && spec.name == phase.name)
                {
                    self.restart(&phase.name)?;
                }
                if self.cut.is_none() {
                    self.phase(phase)?;
                    self.refusals(suite);
                }
            }
        }
        self.prepare(&suite.run.limits)?;
        self.experiments(suite)?;
        self.clean_up(&suite.run.limits)?;
        self.judge(suite);
        for reading in self.watch.take().map(Watch::stop).unwrap_or_default() {
            self.journal.event(&Event::ReadingTaken(reading));
        }
        self.snapshot_after();
        if let Some(why) = self.cut.take() {
            self.journal.event(&Event::Noted { text: why });
        }
        let verdict = prony_report::verdict(&self.findings, &self.gates);
        let at = self.connection.engine.now();
        self.journal.event(&Event::RunFinished {
            verdict,
            interrupted: self.session.stopped(),
            at,
        });
        Ok(())
    }

    /// What the last phase tells of origins that refuse what was signed for them, once for each.
    fn refusals(&mut self, suite: &Suite) {
        let Some(result) = self.results.last() else { return };
        let told = refusals::refusals(result, self.connection.engine.first_errors(), suite);
        for finding in told {
            let known = |f: &Finding| f.id == finding.id && f.endpoint == finding.endpoint;
            if !self.findings.iter().any(known) {
                self.finding(finding);
            }
        }
    }

    /// Starts the target anew, where it was started here.
    fn restart(&mut self, phase: &str) -> Result<()> {
        let phase = clean(phase, 80);
        let took = self.up_again()?;
        if self.cut.is_some() {
            return Ok(());
        }
        let text = match took {
            Some(took) => format!(
                "The target was stopped and started anew before '{phase}'; until it was ready again that took {} ms.",
                took.as_millis()
            ),
            None => format!(
                "'{phase}' wants a target that was just started. This one was not started by Prony, so it stays as the phases \
                 before left it."
            ),
        };
        self.journal.event(&Event::Noted { text });
        Ok(())
    }

    fn experiments(&mut self, suite: &Suite) -> Result<()> {
        let began = Instant::now();
        let wanted: Vec<&ExperimentDef> = EXPERIMENTS
            .iter()
            .copied()
            .filter(|def| suite.experiment.contains_key(def.name))
            .collect();
        if wanted.iter().any(|def| def.name == "client-floor") && self.may_go_on() {
            self.null_floor()?;
        }
        let asked = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(began));
        let mut timetable = Timetable::new(&wanted, suite, asked);
        for (index, def) in wanted.into_iter().enumerate() {
            let params = &suite.experiment[def.name];
            let surface = self.surface.clone();
            let context = BuildContext {
                surface: &surface,
                budget: suite.run.budget,
                time_s: timetable.give(index, began.elapsed().as_secs_f64()),
                seed: self.seed,
                limits: &suite.run.limits,
            };
            let mut experiment = (def.build)(&context, params)
                .with_context(|| format!("[experiment.{}] in the suite", def.name))?;
            self.experiment(experiment.as_mut())?;
            if def.name == FIRST_ANSWERS {
                self.plan_anew(&mut timetable, index + 1, began.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }

    /// Gives a slow target more time, and says so.
    fn plan_anew(&self, timetable: &mut Timetable, next: usize, gone_s: f64) {
        let Some(answer_s) = prony_experiments::answer_s(&self.view()) else {
            return;
        };
        if let Some(total_s) = timetable.for_slow_answers(next, gone_s, answer_s) {
            self.session.note(&format!(
                "plan   {} for the experiments, since an answer takes up to {answer_s:.1} s",
                lasting(total_s)
            ));
        }
    }

    /// Steps one experiment to its end, or to the end of the time there is.
    fn experiment(&mut self, experiment: &mut dyn Experiment) -> Result<()> {
        while self.may_go_on() {
            match experiment.next(&self.view()) {
                Step::Run(phase) => self.phase(phase)?,
                Step::Restarted(phase) if self.started_anew(&phase.experiment)? => self.phase(phase)?,
                Step::Stopped { phase, after_ms } if self.can_be_stopped(&phase.experiment) => {
                    self.stopped(phase, after_ms)?;
                }
                Step::Restarted(_) | Step::Stopped { .. } | Step::Done => break,
            }
        }
        for finding in experiment.conclude(&self.view()) {
            self.finding(finding);
        }
        Ok(())
    }

    fn view(&self) -> RunView<'_> {
        RunView {
            surface: &self.surface,
            phases: &self.results,
            cores: host::cores(),
            shared_host: self.connection.is_local,
        }
    }

    fn finding(&mut self, finding: Finding) {
        self.journal.event(&Event::FindingMade(finding.clone()));
        self.findings.push(finding);
    }

    /// Whether another phase may start.
    fn may_go_on(&mut self) -> bool {
        if self.cut.is_some() {
            return false;
        }
        if self.session.stop.load(Ordering::Relaxed) {
            self.cut = Some("Stopped by the user: what follows was not run.".to_owned());
        } else if self.deadline.is_some_and(|d| Instant::now() >= d) {
            self.cut = Some("The time given by --duration is over: what follows was not run.".to_owned());
        }
        self.cut.is_none()
    }

    /// Runs one phase on the target; once more if the generator could not keep the promise that conclusions rest on. What the target answered has
    /// no say in that, so repeating favours no conclusion; the first attempt stays in the recording.
    fn phase(&mut self, phase: Phase) -> Result<()> {
        let once = matches!(phase.shape, Shape::Once { .. });
        let mut result = self.measure(phase.clone())?;
        let basis = EXPERIMENTS
            .iter()
            .find(|def| def.name == phase.experiment)
            .map_or(Basis::Times, |def| def.basis);
        let mut issues = result.summary.validity.invalid.iter();
        if let Some(issue) = issues.find(|issue| basis.is_undermined_by(&issue.name))
            && !(once || result.summary.partial)
            && self.repeats_left > 0
            && !self.session.stopped()
        {
            self.repeats_left -= 1;
            let text = format!(
                "phase '{}' is measured once more: {}",
                clean(&phase.name, 80),
                issue.says
            );
            self.journal.event(&Event::Noted { text });
            result = self.measure(phase)?;
        }
        self.keep(result);
        Ok(())
    }

    /// Runs a phase under the next index.
    fn measure(&mut self, phase: Phase) -> Result<PhaseResult> {
        if self.is_down {
            self.up_again()?;
        }
        let index = self.next_index();
        let at = self.connection.engine.now();
        self.journal.event(&Event::PhaseStarted {
            index,
            at,
            phase: phase.clone(),
        });
        let folders = self.folders(&phase);
        let mut result = self.connection.engine.run(index, phase, &mut self.journal)?;
        result.readings = std::mem::take(&mut self.waiting);
        result
            .readings
            .extend(folders.map(FolderWatch::stop).unwrap_or_default());
        result
            .readings
            .extend(self.connection.behind.as_mut().and_then(behind::Behind::counts));
        if let Some(watch) = &mut self.watch {
            result.readings.extend(watch.drain());
        }
        for reading in &result.readings {
            self.journal.event(&Event::ReadingTaken(reading.clone()));
        }
        self.journal.event(&Event::PhaseFinished(result.summary.clone()));
        Ok(result)
    }

    /// A watch over the folders in which the target has said that it writes, for the experiment that asks about files.
    fn folders(&self, phase: &Phase) -> Option<FolderWatch> {
        if phase.experiment != "downloads" || !self.connection.is_local {
            return None;
        }
        let files: Vec<PathBuf> = self
            .results
            .iter()
            .flat_map(|r| written_files(&r.captures))
            .collect();
        FolderWatch::start(&files, self.connection.epoch)
    }

    fn next_index(&mut self) -> u16 {
        let index = self.phases_started;
        self.phases_started = self.phases_started.saturating_add(1);
        index
    }

    fn keep(&mut self, result: PhaseResult) {
        if let Some(finding) = gone(&result) {
            self.cut = Some("The target no longer accepts connections: what follows was not run.".to_owned());
            self.finding(finding);
        }
        self.results.push(result);
    }

    /// The generator alone, against a server in this process that does nothing: its own floor.
    fn null_floor(&mut self) -> Result<()> {
        let index = self.next_index();
        let (phase, mut engine) = self.connection.null_engine()?;
        let at = self.connection.engine.now();
        self.journal.event(&Event::PhaseStarted {
            index,
            at,
            phase: phase.clone(),
        });
        let result = engine.engine.run(index, phase, &mut self.journal)?;
        self.journal.event(&Event::PhaseFinished(result.summary.clone()));
        self.keep(result);
        Ok(())
    }

    /// Holds gates and claims against what was recorded.
    fn judge(&mut self, suite: &Suite) {
        self.gates = judge_gates(&suite.gate, &self.results, &self.findings);
        for result in &mut self.gates {
            let phase = &result.gate.phase;
            let is_advisory = suite
                .phase
                .iter()
                .any(|spec| spec.advisory && spec.name == *phase);
            if is_advisory && result.verdict > Verdict::Warn {
                result.verdict = Verdict::Warn;
                result
                    .says
                    .push_str(" (its phase is advisory: a warning at most)");
            }
        }
        for result in &self.gates {
            self.journal.event(&Event::GateJudged(result.clone()));
        }
        for claim in &suite.claim {
            let result = judge_claim(claim, &self.results, &self.findings);
            self.journal.event(&Event::ClaimJudged(result));
        }
        if !suite.experiment.is_empty() {
            let advice = advise(
                &self.view(),
                &self.findings,
                &suite.objective,
                &self.connection.url,
            );
            self.journal.event(&Event::Advised(advice));
        }
    }

    fn snapshot(&mut self, label: &str) {
        let at = self.connection.engine.now();
        let snapshot = monitors::snapshot(&self.watched, label, at);
        self.journal.event(&Event::SystemSeen(snapshot));
    }
}

/// A finding when a whole phase met nobody listening: the target has gone.
fn gone(result: &PhaseResult) -> Option<Finding> {
    let dead = |o: Outcome| matches!(o, Outcome::Refused | Outcome::Unreachable | Outcome::Dns);
    let refused: u64 = result
        .summary
        .rows
        .iter()
        .filter(|r| dead(r.outcome))
        .map(|r| r.n)
        .sum();
    if refused == 0 || result.summary.ok > 0 || refused < result.summary.failed {
        return None;
    }
    // Where steps go elsewhere, it may be that place which is gone.
    let elsewhere = |s: &Sample| refusals::origin(&result.phase, s).is_some();
    if result.samples.iter().any(elsewhere)
        && !result
            .samples
            .iter()
            .any(|s| s.is_request() && dead(s.outcome) && !elsewhere(s))
    {
        return None;
    }
    let phase = clean(&result.phase.name, 80);
    Some(Finding {
        id: "target-gone".to_owned(),
        experiment: result.phase.experiment.clone(),
        endpoint: String::new(),
        verdict: Verdict::Fail,
        severity: Severity::Critical,
        required: true,
        title: "The target stopped accepting connections during the run.".to_owned(),
        detail: format!(
            "All {refused} requests of the phase '{phase}' found nobody listening, though the target answered before. \
             It may have crashed, been restarted or been stopped; its own log will tell."
        ),
        evidence: Vec::new(),
        recommendation: None,
    })
}

/// An engine against the null target, which lives as long as this.
pub(crate) struct NullEngine {
    /// The engine.
    pub engine: prony_engine::Engine,
    /// Kept until the phase is over.
    _target: prony_engine::null_target::NullTarget,
}

impl NullEngine {
    fn new(engine: prony_engine::Engine, target: prony_engine::null_target::NullTarget) -> Self {
        Self {
            engine,
            _target: target,
        }
    }
}

/// The phase that measures the generator's own floor.
fn null_phase(seconds: f64) -> Phase {
    use prony_model::{Capture, Item, Limits, Request, Scenario};
    let item = Item {
        request: Request::get("/"),
        expect: prony_model::Expect::default(),
    };
    Phase {
        name: "null".to_owned(),
        experiment: "client-floor".to_owned(),
        scenarios: vec![Scenario::new("null", vec![item])],
        shape: Shape::Sequential {
            requests: 2_000,
            duration_s: Some(seconds),
        },
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}
