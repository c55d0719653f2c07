//! A stored run, folded again into what a report needs. A run that was killed gets the figures of its unfinished phase
//! from the samples that reached the disk.

use anyhow::Result;
use prony_experiments::EXPERIMENTS;
use prony_model::Nanos;
use prony_report::{ExperimentTitle, RunRecord};
use prony_store::StoredRun;

/// Samples of an unfinished phase that are read back: as many as the engine keeps of a finished one.
const SAMPLES_MAX: usize = 1_000_000;

/// Records of streamed answers likewise.
const STREAMS_MAX: usize = 100_000;

/// The record of a stored run.
pub(crate) fn record(stored: &StoredRun) -> Result<RunRecord> {
    let mut record = RunRecord::fold(&stored.events);
    record.damage.clone_from(&stored.damage);
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
        let (streams, more) = stored.streams(started.index, STREAMS_MAX)?;
        if more {
            record.damage.push(format!(
                "the unfinished phase '{}' has more than {STREAMS_MAX} streamed answers; their figures are those of the first",
                crate::text::clean(&started.phase.name, 80)
            ));
        }
        let mut summary =
            prony_engine::summarise(started.index, &started.phase, &samples, started.at, ended, true);
        summary.streams = prony_engine::summarise_streams(&started.phase, &streams);
        record.add_phase(summary);
    }
    Ok(record)
}
