//! Runs made for the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use prony_model::{Event, Nanos, Outcome, Progress, RunHeader, Sample, SampleFlags, Suite, Verdict};
use prony_store::RunWriter;

/// A folder that goes away with the test.
pub(crate) struct Scratch {
    /// Not created yet.
    pub(crate) dir: PathBuf,
}

impl Scratch {
    /// A new name for each call.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "prony-store-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            dir: std::env::temp_dir().join(name),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A header with every field set.
pub(crate) fn header() -> RunHeader {
    RunHeader {
        format: RunHeader::FORMAT,
        prony: "0.1.0".into(),
        id: "20260131T120000-abc".into(),
        command: "prony check http://127.0.0.1:8003".into(),
        started_at: "2026-01-31T12:00:00Z".into(),
        seed: 7,
        target: "http://127.0.0.1:8003".into(),
        host: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
        shared_host: true,
        suite: Suite::default(),
    }
}

/// Sample `seq` of phase 0.
pub(crate) fn numbered(seq: u64) -> Sample {
    Sample {
        seq,
        intended: Nanos(seq * 1000),
        sent: Nanos(seq * 1000 + 10),
        first_byte: Nanos(seq * 1000 + 500),
        done: Nanos(seq * 1000 + 600),
        digest: seq.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        bytes_in: 10,
        item: 0,
        connect_us: 0,
        tls_us: 0,
        attempt: 0,
        status: 200,
        scenario: 0,
        step: 0,
        phase: 0,
        worker: 0,
        outcome: Outcome::Ok,
        flags: SampleFlags::default(),
    }
}

/// A run with some events and `chunks` chunks of `each` samples; gives the samples back.
pub(crate) fn run_of(dir: &Path, chunks: u64, each: u64) -> Vec<Sample> {
    let mut writer = RunWriter::create(dir, &header()).unwrap();
    writer
        .event(&Event::Noted {
            text: "a \"note\" with\na line end".into(),
        })
        .unwrap();
    writer
        .event(&Event::Progressed(Progress {
            done: 12,
            per_s: 0.1 + 0.2,
            ..Progress::default()
        }))
        .unwrap();
    let samples: Vec<Sample> = (0..chunks * each).map(numbered).collect();
    for part in samples.chunks(usize::try_from(each).unwrap()) {
        writer.samples(part).unwrap();
        writer.flush().unwrap();
    }
    writer
        .event(&Event::RunFinished {
            verdict: Verdict::Pass,
            interrupted: false,
            at: Nanos(5),
        })
        .unwrap();
    writer.finish().unwrap();
    samples
}
