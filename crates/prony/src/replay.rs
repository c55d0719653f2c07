//! A stored run, folded again into what a report needs. A run that was killed gets the figures of its unfinished phase
//! from the samples that reached the disk.

use anyhow::Result;
use prony_experiments::EXPERIMENTS;
use prony_model::Nanos;
use prony_report::{ExperimentTitle, RunRecord};
use prony_store::StoredRun;

use crate::objectives;

/// Samples of an unfinished phase that are read back: as many as the engine keeps of a finished one.
const SAMPLES_MAX: usize = 1_000_000;

/// The record of a stored run.
pub(crate) fn record(stored: &StoredRun) -> Result<RunRecord> {
    let mut record = RunRecord::fold(&stored.events);
    record.damage.clone_from(&stored.damage);
    record.slos = objectives::of(&record.header.suite);
    record.experiments = EXPERIMENTS
        .iter()
        .map(|def| ExperimentTitle {
            name: def.name.to_owned(),
            title: def.title.to_owned(),
            question: def.question.to_owned(),
        })
        .collect();
    let unfinished: Vec<_> = record.unfinished().cloned().collect();
    for started in unfinished {
        let (samples, cut) = stored.samples(started.index, SAMPLES_MAX)?;
        if cut {
            record.damage.push(format!(
                "the unfinished phase '{}' has more than {SAMPLES_MAX} samples; its figures are those of the first",
                crate::text::clean(&started.phase.name, 80)
            ));
        }
        let ended = samples
            .iter()
            .map(|s| s.done)
            .max()
            .unwrap_or(started.at)
            .max(started.at + Nanos(1));
        let summary =
            prony_engine::summarise(started.index, &started.phase, &samples, started.at, ended, true);
        record.add_phase(summary);
    }
    Ok(record)
}
