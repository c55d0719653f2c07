//! What is measured of a model, in which order and for how long: one fresh process after another. It decides nothing about the model.

use std::iter;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prony_experiments::onnx::{self, Failure, Measured, Memory, Output, Outputs, Setting, Start, Steady};
use prony_model::{Budget, ExitCode, Gate, Nanos, RunHeader, RunSpec, Shape, Suite};

use super::STEADY;
use super::ask::{Ask, Job, Refused, Told};
use super::children::{Ended, ask};
use super::record::{Begun, Recording};
use super::shapes::{is_batched, joined};
use crate::cli::ModelArgs;
use crate::diagnostic::Diagnostic;
use crate::runner::{Place, cores, facts, memory_bytes, publish, run_id, wall_clock};
use crate::session::Session;
use crate::text::clean;

/// Longest wait for a process, beside the time that it runs.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Most inferences of one process: their times are kept.
const INFERENCES_MAX: u64 = 40_000;
/// Readings of memory over those.
const READINGS: u64 = 300;
/// More than the least of inferences, so that a slower stretch does not leave too few.
const MARGIN: f64 = 1.2;
/// Most callers and threads that are tried: twice the cores, and no more than this.
const AT_ONCE_MAX: u32 = 32;
/// Sizes of a batch that are tried.
const BATCHES: [u32; 5] = [1, 2, 4, 8, 16];

/// How much is measured.
struct Depth {
    budget: Budget,
    starts: u32,
    steady_s: f64,
    setting_s: f64,
    memory_s: f64,
    inputs: u32,
    repeats: u32,
}

const QUICK: Depth = Depth {
    budget: Budget::Quick,
    starts: 7,
    steady_s: 4.0,
    setting_s: 1.0,
    memory_s: 10.0,
    inputs: 8,
    repeats: 4,
};

const STANDARD: Depth = Depth {
    budget: Budget::Standard,
    starts: 15,
    steady_s: 20.0,
    setting_s: 4.0,
    memory_s: 60.0,
    inputs: 16,
    repeats: 8,
};

/// Measures the model and writes the report. The exit code is the verdict.
pub(super) fn run(
    args: &ModelArgs,
    library: PathBuf,
    gates: &[Gate],
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let epoch = Instant::now();
    let depth = if args.quick { QUICK } else { STANDARD };
    let job = Job {
        model: args.model.clone(),
        library,
        threads: args.threads.unwrap_or_else(cores),
        shapes: args.shapes.iter().cloned().collect(),
        ranges: args.ranges.iter().cloned().collect(),
        seed: args.seed.unwrap_or(1),
        batch: None,
        ask: Ask::Start,
    };
    let limit = args.timeout.unwrap_or(TIMEOUT);
    let (told, lost) = match ask(&job, limit, session)? {
        Ended::Told(told) => (*told, None),
        Ended::Refused(refused) => return Err(refusal(&refused, &job).into()),
        Ended::Lost(how) => (Told::default(), Some(how)),
        Ended::Stopped => return Ok(ExitCode::Interrupted),
    };
    let id = run_id(job.seed);
    let Place { dir, style, live } = Place::new(args.output.clone(), &id, session);
    let header = header(args, &job, &depth, &told, gates.to_vec(), id, session);
    let name = args.model.file_name().unwrap_or_default().to_string_lossy();
    let mut bench = Bench {
        measured: Measured {
            model: clean(&name, 100),
            failure: lost.map(|says| Failure {
                during: "its first start".to_owned(),
                says,
                crashed: true,
            }),
            ..Measured::default()
        },
        recording: Recording::create(&dir, &header, live, epoch)?,
        job,
        depth,
        limit,
        session,
    };
    if bench.measured.failure.is_none() {
        bench.all(&told, args.memory_time)?;
    }
    let findings = onnx::conclude(&bench.measured);
    for finding in &findings {
        bench.recording.found(finding);
    }
    let results = bench.recording.judge(gates, &findings);
    let interrupted = session.stopped();
    let verdict = prony_report::verdict(&findings, &results);
    let lost = bench.recording.finish(verdict, interrupted);
    publish(&dir, lost, interrupted, args.json, style, session)
}

fn header(
    args: &ModelArgs,
    job: &Job,
    depth: &Depth,
    told: &Told,
    gate: Vec<Gate>,
    id: String,
    session: &Session,
) -> RunHeader {
    let run = RunSpec {
        seed: job.seed,
        budget: depth.budget,
        ..RunSpec::default()
    };
    let mut host = facts(&run);
    host.remove("priority of sending");
    host.insert("onnxruntime".to_owned(), told.runtime.clone());
    host.insert(
        "onnxruntime library".to_owned(),
        job.library.display().to_string(),
    );
    RunHeader {
        format: RunHeader::FORMAT,
        prony: env!("CARGO_PKG_VERSION").to_owned(),
        id,
        command: session.command.clone(),
        started_at: wall_clock(),
        seed: job.seed,
        target: args.model.display().to_string(),
        host,
        shared_host: false,
        suite: Suite {
            run,
            gate,
            ..Suite::default()
        },
    }
}

/// What is wrong, and what to do.
fn refusal(refused: &Refused, job: &Job) -> Diagnostic {
    match refused {
        Refused::Library(says) => Diagnostic::usage(format!(
            "{} cannot be loaded as onnxruntime: {says}",
            job.library.display()
        ))
        .next("version 1.17 or later is needed: pip install onnxruntime; --onnxruntime PATH names another library"),
        Refused::Model(says) => Diagnostic::usage(format!("onnxruntime cannot load {}: {says}", job.model.display()))
            .next("check that the file is whole, and that the files of its external data lie beside it")
            .next("a model that is newer than the runtime takes another one: pip install --upgrade onnxruntime"),
        Refused::Inputs(says) => Diagnostic::usage(says.clone())
            .next("give shapes as --shape NAME=1x3x640x640, and ranges of values as --range NAME=LOW:HIGH"),
        Refused::First { says, fed } => Diagnostic::usage(format!("the model refuses its inputs: {says}"))
            .next(format!("it was fed so: {fed}"))
            .next("give the sizes of dynamic axes with --shape NAME=1x3x640x640, and the range of values with --range NAME=LOW:HIGH"),
    }
}

/// A measurement in progress.
struct Bench<'a> {
    measured: Measured,
    recording: Recording,
    job: Job,
    depth: Depth,
    limit: Duration,
    session: &'a Session,
}

impl Bench<'_> {
    /// Everything. It ends early, with what there is, when the person stops it.
    fn all(&mut self, told: &Told, memory_time: Option<Duration>) -> anyhow::Result<()> {
        self.declare(told);
        self.starts(told)?;
        self.outputs(told)?;
        self.steady()?;
        let at_once = AT_ONCE_MAX.min(2 * cores());
        self.measured.callers = self.settings(powers(at_once), |job, callers| {
            job.threads = 1;
            ("caller", callers)
        })?;
        self.measured.threads = self.settings(powers(cores().min(AT_ONCE_MAX)), |job, threads| {
            job.threads = threads;
            ("thread", 1)
        })?;
        if is_batched(&told.inputs) {
            self.measured.batches = self.settings(BATCHES.to_vec(), |job, batch| {
                job.batch = Some(i64::from(batch));
                ("in a batch", 1)
            })?;
        }
        let memory_s = memory_time.map_or(self.depth.memory_s, |time| time.as_secs_f64());
        self.memory(memory_s)
    }

    /// Says what the model declares and what it is fed.
    fn declare(&mut self, told: &Told) {
        self.recording.surface(self.measured.model.clone());
        for ((input, shape), assumed) in told.inputs.iter().zip(&told.fed.shapes).zip(&told.fed.assumed) {
            let said = if assumed.is_empty() {
                String::new()
            } else {
                format!("; by default {assumed}, --shape sets others")
            };
            let (low, high) = self.job.ranges.get(&input.name).copied().unwrap_or((0.0, 1.0));
            self.recording.note(format!(
                "Input {}: {}, fed {} with random values from {low} to {high}{said}.",
                clean(&input.name, 100),
                input.label(),
                joined(shape)
            ));
        }
        for output in &told.outputs {
            self.recording.note(format!(
                "Output {}: {}.",
                clean(&output.name, 100),
                output.label()
            ));
        }
        let (library, load, first) = (ms(told.library_ns), ms(told.load_ns), ms(told.first_ns));
        self.recording.note(format!(
            "The first process of the run gave its first output after {:.1} ms (library {library:.1} ms, model {load:.1} ms, first \
             inference {first:.1} ms). It is left out of the starts, because it may have read the files from the disk.",
            library + load + first
        ));
    }

    /// Lets a process answer; what it could not do becomes the failure of the run. `None` when there is nothing to go on with.
    fn ask(&mut self, job: &Job, during: &str, seconds: f64) -> anyhow::Result<Option<Told>> {
        if self.session.stopped() {
            return Ok(None);
        }
        let limit = self.limit + Duration::from_secs_f64(seconds);
        let (says, crashed) = match ask(job, limit, self.session)? {
            Ended::Told(mut told) => {
                if let Some(says) = told.failed.take() {
                    self.fail(during, says, false);
                    return Ok(None);
                }
                return Ok(Some(*told));
            }
            Ended::Stopped => return Ok(None),
            Ended::Lost(how) => (how, true),
            Ended::Refused(Refused::First { says, fed }) => (format!("{says} ({fed})"), false),
            Ended::Refused(Refused::Library(says) | Refused::Model(says) | Refused::Inputs(says)) => {
                (says, false)
            }
        };
        self.fail(during, says, crashed);
        Ok(None)
    }

    /// Keeps the first failure.
    fn fail(&mut self, during: &str, says: String, crashed: bool) {
        self.measured.failure.get_or_insert(Failure {
            during: during.to_owned(),
            says,
            crashed,
        });
    }

    fn starts(&mut self, first: &Told) -> anyhow::Result<()> {
        let job = self.job.clone();
        for _ in 0..self.depth.starts {
            let Some(told) = self.ask(&job, "the start of a fresh process", 0.0)? else {
                return Ok(());
            };
            self.measured.starts.push(start(&told));
        }
        // Its times do not count, its output does.
        if self.measured.starts.iter().any(|s| s.digest != first.digest) {
            let note =
                "The first process of the run gave another output than a later one for the same input.";
            self.recording.note(note.to_owned());
        }
        Ok(())
    }

    fn outputs(&mut self, told: &Told) -> anyhow::Result<()> {
        let job = Job {
            ask: Ask::Outputs {
                inputs: self.depth.inputs,
                repeats: self.depth.repeats,
            },
            ..self.job.clone()
        };
        let Some(seen) = self.ask(&job, "the look at the outputs", 0.0)? else {
            return Ok(());
        };
        let outputs = told.outputs.iter().zip(seen.seen);
        self.measured.outputs = Some(Outputs {
            inputs: seen.different,
            repeats: self.depth.repeats,
            outputs: outputs
                .map(|(declared, seen)| Output {
                    name: clean(&declared.name, 100),
                    declared: declared.label(),
                    contradiction: seen.contradiction,
                    values: seen.values,
                    nan: seen.nan,
                    infinite: seen.infinite,
                    distinct: seen.distinct,
                    unequal: seen.unequal,
                    difference: seen.difference,
                })
                .collect(),
        });
        Ok(())
    }

    /// One inference after another. The warm-up becomes a phase of its own.
    fn steady(&mut self) -> anyhow::Result<()> {
        let seconds = self.depth.steady_s;
        let job = running(&self.job, 1, seconds, 0);
        let begun = self.begin(STEADY, 1, seconds);
        let Some(told) = self.ask(&job, "inferences one after another", seconds)? else {
            return Ok(());
        };
        let ended = self.recording.now();
        let mut steady = Steady {
            ms: told.runs.iter().map(|run| ms(run.2 - run.1)).collect(),
            threads: job.threads,
            phase: begun.index,
            distrust: String::new(),
        };
        let length_ns = told.runs.last().map_or(0, |run| run.2).max(1);
        let waited = told.waited_ns.map(|ns| ns as f64 / length_ns as f64);
        let (warm_up, kept) = told.runs.split_at(steady.warm_up());
        steady.distrust = self.recording.end(begun, kept, ended, waited);
        if let (Some(last), Some(end)) = (warm_up.last(), told.runs.last()) {
            let begun = self.begin("warm-up", 1, seconds);
            let ended = Nanos(ended.0.saturating_sub(end.2 - last.2));
            self.recording.end(begun, warm_up, ended, None);
        }
        self.measured.steady = Some(steady);
        Ok(())
    }

    fn begin(&mut self, name: &str, callers: u32, seconds: f64) -> Begun {
        let shape = if callers == 1 {
            Shape::Sequential {
                requests: INFERENCES_MAX,
                duration_s: Some(seconds),
            }
        } else {
            Shape::Closed {
                connections: callers,
                requests: None,
                duration_s: Some(seconds),
                think_ms: 0.0,
            }
        };
        self.recording.begin(name, &self.measured.model, shape)
    }

    /// The same work under one setting after another, the smallest first. `set` puts a value into the job and says what it is, and how
    /// many call at a time. A setting of which one inference takes longer than the time for all is the last.
    fn settings(
        &mut self,
        values: Vec<u32>,
        set: impl Fn(&mut Job, u32) -> (&'static str, u32),
    ) -> anyhow::Result<Vec<Setting>> {
        let seconds = self.depth.setting_s;
        let mut settings = Vec::new();
        for value in values {
            if self.session.stopped() {
                break;
            }
            let mut job = self.job.clone();
            let (what, callers) = set(&mut job, value);
            let plural = if value == 1 || what.contains(' ') { "" } else { "s" };
            let name = format!("{value} {what}{plural}");
            let begun = self.begin(&name, callers, seconds);
            let Some(told) = self.ask(&running(&job, callers, seconds, 0), &name, seconds)? else {
                break;
            };
            let mut ends_s: Vec<f64> = told.runs.iter().map(|run| run.2 as f64 / 1e9).collect();
            ends_s.sort_unstable_by(f64::total_cmp);
            let setting = Setting {
                value,
                ms: told.runs.iter().map(|run| ms(run.2 - run.1)).collect(),
                ends_s,
                phase: begun.index,
            };
            let ended = self.recording.now();
            self.recording.end(begun, &told.runs, ended, None);
            let is_slow = setting.ms.iter().any(|ms| *ms > 1000.0 * seconds);
            settings.push(setting);
            if is_slow {
                break;
            }
        }
        Ok(settings)
    }

    /// Memory over as many inferences as a conclusion takes, where they fit.
    fn memory(&mut self, seconds: f64) -> anyhow::Result<()> {
        let Some(steady) = &self.measured.steady else {
            return Ok(());
        };
        let mut times = steady.ms[steady.warm_up()..].to_vec();
        let needed_s = MARGIN * onnx::growth_needs() * prony_stats::median(&mut times) / 1000.0;
        if needed_s > seconds {
            self.recording.note(format!(
                "Whether memory grows was not looked at: it takes {:.0} inferences, and these about {needed_s:.0} s. --memory-time \
                 {:.0}s gives them the time.",
                onnx::growth_needs(),
                needed_s.ceil()
            ));
            return Ok(());
        }
        let job = running(&self.job, 1, seconds, READINGS);
        let begun = self.begin("memory", 1, seconds);
        let Some(told) = self.ask(&job, "many inferences", seconds)? else {
            return Ok(());
        };
        let span_ns = match (told.readings.first(), told.readings.last()) {
            (Some(first), Some(last)) => last.1 - first.1,
            _ => 0,
        };
        self.measured.memory = Some(Memory {
            inferences: told.readings.iter().map(|r| r.0 as f64).collect(),
            bytes: told.readings.iter().map(|r| r.2 as f64).collect(),
            span_s: span_ns as f64 / 1e9,
            peak_bytes: told.peak as f64,
            limit_bytes: memory_bytes(),
            phase: begun.index,
        });
        let ended = self.recording.now();
        self.recording.end(begun, &told.runs, ended, None);
        Ok(())
    }
}

fn start(told: &Told) -> Start {
    Start {
        library_ms: ms(told.library_ns),
        load_ms: ms(told.load_ns),
        first_ms: ms(told.first_ns),
        before_bytes: told.resident[0] as f64,
        library_bytes: told.resident[1] as f64,
        loaded_bytes: told.resident[2] as f64,
        peak_bytes: told.peak_first as f64,
        digest: told.digest,
    }
}

fn running(job: &Job, callers: u32, seconds: f64, readings: u64) -> Job {
    Job {
        ask: Ask::Run {
            callers,
            seconds,
            most: INFERENCES_MAX,
            readings,
        },
        ..job.clone()
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// 1, 2, 4 ... and the largest itself.
fn powers(largest: u32) -> Vec<u32> {
    let mut values: Vec<u32> = iter::successors(Some(1_u32), |value| value.checked_mul(2))
        .take_while(|value| *value < largest)
        .collect();
    values.push(largest.max(1));
    values
}

#[cfg(test)]
mod tests {
    use super::powers;

    #[test]
    fn settings_double_up_to_the_largest() {
        assert_eq!(powers(1), [1]);
        assert_eq!(powers(6), [1, 2, 4, 6]);
        assert_eq!(powers(8), [1, 2, 4, 8]);
    }
}
