//! One fresh process: reads its job, loads the model, does what it is asked, tells what it found, ends. What it measures of itself is
//! here; what follows from it is not.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use procfs::process::Process;

use super::ask::{Answer, Ask, Job, Refused, Run, SeenOutput, Told};
use super::runtime::{Came, Inputs, Model, load_library};
use super::shapes::{Fed, feed, joined, unknown_input};
use crate::text::clean;

/// Different inputs that a run takes in turn.
const INPUTS_IN_TURN: u64 = 4;

/// Answers the job on standard input, on standard output.
pub(super) fn serve() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("cannot read the job on standard input")?;
    let job: Job = serde_json::from_str(&text).context("the job on standard input is none")?;
    let answer = match probe(&job) {
        Ok(told) => Answer::Told(Box::new(told)),
        Err(refused) => Answer::Refused(refused),
    };
    Ok(serde_json::to_string(&answer)?)
}

fn probe(job: &Job) -> Result<Told, Refused> {
    let mut told = Told::default();
    told.resident[0] = resident();
    let began = Instant::now();
    told.runtime = load_library(&job.library)?;
    told.library_ns = nanos(began.elapsed());
    told.resident[1] = resident();
    let began = Instant::now();
    let mut model = Model::open(job, job.threads)?;
    told.load_ns = nanos(began.elapsed());
    told.resident[2] = resident();
    told.inputs = model.inputs();
    told.outputs = model.outputs();
    if let Some(unknown) = job
        .ranges
        .keys()
        .find(|name| told.inputs.iter().all(|i| i.name != **name))
    {
        return Err(Refused::Inputs(unknown_input(&told.inputs, unknown)));
    }
    told.fed = feed(&told.inputs, &job.shapes, job.batch).map_err(Refused::Inputs)?;
    let first = model.make(job, &told.fed.shapes, 0)?;
    let (came, took) = model.look(&first).map_err(|says| Refused::First {
        says,
        fed: words(&told),
    })?;
    told.first_ns = nanos(took);
    told.digest = digest(&came);
    told.peak_first = peak();
    match job.ask {
        Ask::Start => {}
        Ask::Run {
            callers,
            seconds,
            most,
            readings,
        } => run(job, &mut told, model, (callers, seconds, most, readings))?,
        Ask::Outputs { inputs, repeats } => outputs(job, &mut told, &mut model, inputs, repeats)?,
    }
    told.peak = peak();
    Ok(told)
}

/// What was fed, for an error.
fn words(told: &Told) -> String {
    let inputs = told.inputs.iter().zip(&told.fed.shapes);
    let each: Vec<String> = inputs
        .map(|(input, shape)| {
            format!(
                "'{}', declared {}, was fed {}",
                clean(&input.name, 100),
                input.label(),
                joined(shape)
            )
        })
        .collect();
    each.join("; ")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Resident memory of this process, in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let read = || Some(Process::myself().ok()?.statm().ok()?.resident * procfs::page_size());
    read().unwrap_or(0)
}

/// Most memory that was ever resident, in bytes; 0 where the system does not tell.
fn peak() -> u64 {
    let read = || Process::myself().ok()?.status().ok()?.vmhwm;
    read().map_or(0, |kib| kib * 1024)
}

/// How long this thread has waited for a processor, in ns.
fn waited() -> Option<u64> {
    let task = Process::myself().ok()?.task_main_thread().ok()?;
    task.schedstat().ok().map(|s| s.run_delay)
}

fn digest(came: &[Came]) -> u64 {
    came.iter().fold(0, |all: u64, one| {
        all.rotate_left(7).wrapping_mul(31) ^ one.digest
    })
}

/// The inputs that a caller takes in turn.
fn in_turn(job: &Job, fed: &Fed, model: &Model) -> Result<Vec<Inputs>, Refused> {
    (0..INPUTS_IN_TURN)
        .map(|number| model.make(job, &fed.shapes, number))
        .collect()
}

fn run(
    job: &Job,
    told: &mut Told,
    mut model: Model,
    (callers, seconds, most, readings): (u32, f64, u64, u64),
) -> Result<(), Refused> {
    if callers > 1 {
        return together(job, told, model, (callers, seconds, most));
    }
    let inputs = in_turn(job, &told.fed, &model)?;
    // Written before the first inference (memory of zeros would not be), so that keeping times does not look like memory that the
    // model takes.
    let mut runs = vec![(u32::MAX, u64::MAX, u64::MAX); most as usize];
    let mut seen = vec![(u64::MAX, u64::MAX, u64::MAX); readings as usize + 1];
    let (mut done, mut read) = (0, 0);
    let waited_before = waited();
    let epoch = Instant::now();
    let length = Duration::from_secs_f64(seconds);
    while done < runs.len() && epoch.elapsed() < length {
        let start = epoch.elapsed();
        if let Err(says) = model.run(&inputs[done % inputs.len()]) {
            told.failed = Some(says);
            break;
        }
        let end = epoch.elapsed();
        runs[done] = (0, nanos(start), nanos(end));
        done += 1;
        let part = (end.as_secs_f64() / seconds).max(done as f64 / most as f64);
        if readings > 0 && part * readings as f64 >= read as f64 && read < seen.len() {
            seen[read] = (done as u64, nanos(end), resident());
            read += 1;
        }
    }
    told.waited_ns = waited().zip(waited_before).map(|(after, before)| after - before);
    runs.truncate(done);
    seen.truncate(read);
    told.runs = runs;
    told.readings = seen;
    Ok(())
}

/// Several callers at a time, each with a session of its own.
fn together(
    job: &Job,
    told: &mut Told,
    model: Model,
    (callers, seconds, most): (u32, f64, u64),
) -> Result<(), Refused> {
    let mut models = vec![(model, Vec::new())];
    for _ in 1..callers {
        models.push((Model::open(job, job.threads)?, Vec::new()));
    }
    for (model, inputs) in &mut models {
        *inputs = in_turn(job, &told.fed, model)?;
        // The first inference of a session is none of a warm one.
        if let Err(says) = model.run(&inputs[0]) {
            told.failed = Some(says);
            return Ok(());
        }
    }
    let barrier = Barrier::new(models.len());
    let epoch = Instant::now();
    let length = Duration::from_secs_f64(seconds);
    let most = (most / u64::from(callers)).max(1) as usize;
    let results: Vec<(Vec<Run>, Option<String>)> = thread::scope(|scope| {
        let running: Vec<_> = models
            .iter_mut()
            .zip(0_u32..)
            .map(|((model, inputs), caller)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut runs = Vec::with_capacity(most);
                    barrier.wait();
                    let until = epoch.elapsed() + length;
                    while runs.len() < most && epoch.elapsed() < until {
                        let start = epoch.elapsed();
                        if let Err(says) = model.run(&inputs[runs.len() % inputs.len()]) {
                            return (runs, Some(says));
                        }
                        runs.push((caller, nanos(start), nanos(epoch.elapsed())));
                    }
                    (runs, None)
                })
            })
            .collect();
        let ends = running.into_iter().map(thread::ScopedJoinHandle::join);
        ends.map(|result| result.unwrap_or_else(|_| (Vec::new(), Some("a caller panicked".to_owned()))))
            .collect()
    });
    for (runs, failed) in results {
        told.runs.extend(runs);
        if told.failed.is_none() {
            told.failed = failed;
        }
    }
    told.runs.sort_unstable_by_key(|run| run.1);
    let first = told.runs.first().map_or(0, |run| run.1);
    for run in &mut told.runs {
        run.1 -= first;
        run.2 -= first;
    }
    Ok(())
}

fn outputs(job: &Job, told: &mut Told, model: &mut Model, inputs: u32, repeats: u32) -> Result<(), Refused> {
    let mut seen: Vec<SeenOutput> = vec![SeenOutput::default(); told.outputs.len()];
    let mut digests: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); seen.len()];
    let mut first: Option<(Inputs, Vec<Came>)> = None;
    let mut fed: BTreeSet<Vec<u64>> = BTreeSet::new();
    for number in 0..u64::from(inputs) {
        let made = model.make(job, &told.fed.shapes, number)?;
        fed.insert(Model::digests(&made));
        let came = match model.look(&made) {
            Ok((came, _)) => came,
            Err(says) => {
                told.failed = Some(says);
                break;
            }
        };
        for (at, one) in came.iter().enumerate() {
            let output = &mut seen[at];
            output.values += one.values;
            output.nan += one.nan;
            output.infinite += one.infinite;
            digests[at].insert(one.digest);
            if output.contradiction.is_empty() {
                output.contradiction =
                    told.outputs[at].contradiction(&one.kind, &one.shape, &told.fed.symbols);
            }
        }
        first.get_or_insert((made, came));
    }
    if let Some((made, before)) = first {
        for _ in 0..repeats {
            match model.look(&made) {
                Ok((again, _)) => compare(&mut seen, &before, &again),
                Err(says) => told.failed = Some(says),
            }
        }
    }
    for (output, digests) in seen.iter_mut().zip(&digests) {
        output.distinct = digests.len() as u32;
    }
    told.different = fed.len() as u32;
    told.seen = seen;
    Ok(())
}

/// How an output of the same input differs from the first.
fn compare(seen: &mut [SeenOutput], before: &[Came], again: &[Came]) {
    for ((output, before), again) in seen.iter_mut().zip(before).zip(again) {
        if before.digest == again.digest && before.shape == again.shape {
            continue;
        }
        output.unequal += 1;
        let largest = before.floats.iter().map(|v| v.abs()).fold(0.0, f64::max);
        let apart = |(a, b): (&f64, &f64)| {
            if a.to_bits() == b.to_bits() {
                0.0
            } else {
                (a - b).abs()
            }
        };
        let difference = before
            .floats
            .iter()
            .zip(&again.floats)
            .map(apart)
            .fold(0.0, f64::max);
        // Another length, values that are whole, not finite or not kept, or texts: nothing that rounding explains.
        let comparable =
            before.shape == again.shape && before.is_all_floats() && again.is_all_floats() && largest > 0.0;
        let relative = if comparable { difference / largest } else { 1.0 };
        output.difference = output.difference.max(relative);
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::onnx::ask::SeenOutput;
    use crate::onnx::runtime::Came;

    fn came(floats: &[f64], digest: u64) -> Vec<Came> {
        vec![Came {
            kind: "float32".to_owned(),
            shape: vec![2],
            values: floats.len() as u64,
            infinite: floats.iter().filter(|v| v.is_infinite()).count() as u64,
            nan: floats.iter().filter(|v| v.is_nan()).count() as u64,
            floats: floats.to_vec(),
            digest,
        }]
    }

    #[test]
    fn differences_are_relative_to_the_largest_value() {
        let mut seen = vec![SeenOutput::default()];
        compare(&mut seen, &came(&[1.0, 4.0], 1), &came(&[1.0, 4.0], 1));
        assert_eq!((seen[0].unequal, seen[0].difference), (0, 0.0));
        compare(&mut seen, &came(&[1.0, 4.0], 1), &came(&[1.5, 4.0], 2));
        assert_eq!((seen[0].unequal, seen[0].difference), (1, 0.125));
        compare(&mut seen, &came(&[1.0, 4.0], 1), &came(&[f64::NAN, 4.0], 3));
        assert_eq!((seen[0].unequal, seen[0].difference), (2, 1.0));
    }

    #[test]
    fn what_rounding_cannot_explain_is_another_output() {
        let whole = |value: f64, digest| {
            let mut one = came(&[value, 1.0], digest);
            one[0].kind = "int64".to_owned();
            one
        };
        let long = |digest| {
            let mut one = came(&[1.0, 4.0], digest);
            one[0].values = 1 << 21;
            one
        };
        let infinite = |value: f64, digest| came(&[f64::NEG_INFINITY, value], digest);
        for (before, again) in [
            (infinite(4.0, 1), infinite(5.0, 2)),
            (came(&[1.0, 4.0], 1), came(&[f64::INFINITY, 4.0], 2)),
            (whole(50_000.0, 1), whole(50_001.0, 2)),
            (long(1), long(2)),
        ] {
            let mut seen = vec![SeenOutput::default()];
            compare(&mut seen, &before, &again);
            assert_eq!((seen[0].unequal, seen[0].difference), (1, 1.0), "{before:?}");
        }
    }
}
