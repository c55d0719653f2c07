//! A stored run, folded again into what a report needs. A run that was killed gets the figures of its unfinished phase
//! from the samples that reached the disk.

use std::collections::HashMap;

use anyhow::Result;
use prony_experiments::EXPERIMENTS;
use prony_model::Nanos;
use prony_report::definitions::RecordedStream;
use prony_report::{ExperimentTitle, PhaseStreams, RunRecord};
use prony_store::StoredRun;

use crate::objectives;

/// Samples of an unfinished phase that are read back: as many as the engine keeps of a finished one.
const SAMPLES_MAX: usize = 1_000_000;

/// Records of streamed answers of an unfinished phase, likewise.
const STREAMS_MAX: usize = 100_000;
/// Records of streamed answers that a report looks at one by one, of each phase. What else is known of streams stands in the summaries.
const RECORDS_MAX: usize = 20_000;

/// The record of a stored run.
pub(crate) fn record(stored: &StoredRun) -> Result<RunRecord> {
    let mut record = RunRecord::fold(&stored.events);
    record.damage.clone_from(&stored.damage);
    record.slos = objectives::of(&record.header.suite);
    // A model without a server has nothing that they could be asked of.
    let is_of_model = record
        .started
        .iter()
        .any(|s| s.phase.experiment == prony_experiments::onnx::NAME);
    record.experiments = EXPERIMENTS
        .iter()
        .filter(|_| !is_of_model)
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
    let streamed: Vec<u16> = record
        .phases
        .iter()
        .filter(|p| !p.streams.is_empty())
        .map(|p| p.index)
        .collect();
    for phase in streamed {
        record.streams.insert(phase, streams(stored, phase)?);
    }
    Ok(record)
}

/// The records of a phase, each with the time that its sample took to connect and for TLS.
fn streams(stored: &StoredRun, phase: u16) -> Result<PhaseStreams> {
    let (records, cut) = stored.streams(phase, RECORDS_MAX)?;
    let (samples, _) = stored.samples(phase, SAMPLES_MAX)?;
    // A flow's requests share their number: when they were sent tells them apart.
    let connects: HashMap<(u64, Nanos), (u32, u32)> = samples
        .iter()
        .filter(|s| s.connect_us > 0)
        .map(|s| ((s.seq, s.sent), (s.connect_us, s.tls_us)))
        .collect();
    let streams = records.into_iter().map(|record| {
        let (connect_us, tls_us) = connects
            .get(&(record.seq, record.sent))
            .copied()
            .unwrap_or_default();
        RecordedStream {
            connect: Nanos(u64::from(connect_us) * 1000),
            tls: Nanos(u64::from(tls_us) * 1000),
            record,
        }
    });
    Ok(PhaseStreams {
        streams: streams.collect(),
        cut,
    })
}
