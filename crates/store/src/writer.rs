//! Writes a run while it happens. Loses at most the last quarter of a second when it is killed.
//!
//! It knows nothing of where events come from, and takes them as they are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prony_model::{Event, RunHeader, Sample, StreamRecord};

use crate::segment::{self, CHUNK_SAMPLES_MAX};
use crate::streams::{self, STREAMS};
use crate::{EVENTS_FILE, SAMPLES_FILE, STREAMS_FILE, StoreError};

/// How long a sample may wait in memory.
const HELD_MAX: Duration = Duration::from_millis(250);

/// A run being recorded.
///
/// Events reach the kernel one by one, so that they survive the death of the process. Samples are written in chunks:
/// when one is full, when the phase changes, and by any call that finds samples older than 250 ms.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    events: File,
    samples: File,
    held: Vec<Sample>,
    held_since: Instant,
    bytes: Vec<u8>,
    /// Made with the first streamed answer.
    streams: Option<File>,
    /// Encoded records of streams of one phase, and how many.
    held_streams: Vec<u8>,
    held_records: u32,
    held_phase: u16,
    /// The last line of events is torn: the disk took only a part of it.
    torn: bool,
}

impl RunWriter {
    /// Creates the folder, where needed, and writes the first event.
    ///
    /// # Errors
    /// Refuses a folder that holds a run or anything else.
    pub fn create(dir: &Path, header: &RunHeader) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        refuse_used(dir)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            events: create_new(dir, EVENTS_FILE)?,
            samples: create_new(dir, SAMPLES_FILE)?,
            held: Vec::with_capacity(CHUNK_SAMPLES_MAX),
            held_since: Instant::now(),
            bytes: Vec::new(),
            streams: None,
            held_streams: Vec::new(),
            held_records: 0,
            held_phase: 0,
            torn: false,
        };
        writer.line(&Event::RunStarted(header.clone()))?;
        let path = writer.dir.join(SAMPLES_FILE);
        writer
            .samples
            .write_all(&segment::head())
            .map_err(StoreError::io("write", &path))?;
        Ok(writer)
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes one event. [`Event::RunStarted`] is skipped: [`RunWriter::create`] wrote it.
    ///
    /// # Errors
    /// When the disk refuses, or when the event holds a number that is not finite and would not be readable
    /// ([`StoreError::Unstorable`]: nothing is written then, and the run may go on).
    pub fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        if !matches!(event, Event::RunStarted(_)) {
            self.line(event)?;
        }
        self.flush_if_older(HELD_MAX)
    }

    /// Takes samples of one or more phases, and writes full chunks.
    pub fn samples(&mut self, samples: &[Sample]) -> Result<(), StoreError> {
        for sample in samples {
            if self.held.first().is_some_and(|first| first.phase != sample.phase) {
                self.write_held()?;
            }
            if self.held.is_empty() {
                self.held_since = Instant::now();
            }
            self.held.push(*sample);
            if self.held.len() == CHUNK_SAMPLES_MAX {
                self.write_held()?;
            }
        }
        self.flush_if_older(HELD_MAX)
    }

    /// Takes records of streamed answers of one or more phases, and writes full chunks.
    pub fn streams(&mut self, records: &[StreamRecord]) -> Result<(), StoreError> {
        for record in records {
            if self.held_records > 0 && self.held_phase != record.phase {
                self.write_streams()?;
            }
            if self.held_records == 0 && self.held.is_empty() {
                self.held_since = Instant::now();
            }
            self.held_phase = record.phase;
            streams::encode(record, &mut self.held_streams);
            self.held_records += 1;
            let full = self.held_records as usize == streams::CHUNK_RECORDS_MAX
                || self.held_streams.len() >= streams::CHUNK_BYTES;
            if full {
                self.write_streams()?;
            }
        }
        self.flush_if_older(HELD_MAX)
    }

    /// Writes what is held, if the oldest of it has waited for at least `age`. For a caller's ticks.
    pub fn flush_if_older(&mut self, age: Duration) -> Result<(), StoreError> {
        let holds = !self.held.is_empty() || self.held_records > 0;
        if holds && self.held_since.elapsed() >= age {
            self.write_held()
        } else {
            Ok(())
        }
    }

    /// Writes all that is held. Call it at the end of every phase.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.write_held()
    }

    /// Writes all that is held and waits until the disk has it.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.write_held()?;
        self.events
            .sync_all()
            .map_err(StoreError::io("write", &self.dir.join(EVENTS_FILE)))?;
        self.samples
            .sync_all()
            .map_err(StoreError::io("write", &self.dir.join(SAMPLES_FILE)))?;
        match &self.streams {
            Some(file) => file
                .sync_all()
                .map_err(StoreError::io("write", &self.dir.join(STREAMS_FILE))),
            None => Ok(()),
        }
    }

    fn line(&mut self, event: &Event) -> Result<(), StoreError> {
        let unstorable = |e: serde_json::Error| StoreError::Unstorable { why: e.to_string() };
        self.bytes.clear();
        serde_json::to_writer(&mut self.bytes, event).map_err(unstorable)?;
        // JSON has no NaN: such a number would come back as null, and the whole line would be unreadable.
        // A captured response holds no such number, and there may be many of them while load runs.
        if !matches!(event, Event::ResponseCaptured { .. }) {
            serde_json::from_slice::<Event>(&self.bytes).map_err(unstorable)?;
        }
        self.bytes.push(b'\n');
        if self.torn {
            self.bytes.insert(0, b'\n');
        }
        let written = self.events.write_all(&self.bytes);
        self.torn = written.is_err();
        written.map_err(StoreError::io("write", &self.dir.join(EVENTS_FILE)))
    }

    fn write_streams(&mut self) -> Result<(), StoreError> {
        if self.held_records == 0 {
            return Ok(());
        }
        let path = self.dir.join(STREAMS_FILE);
        self.bytes.clear();
        let mut file = if let Some(file) = self.streams.take() {
            file
        } else {
            self.bytes.extend_from_slice(&segment::head_of(&STREAMS));
            create_new(&self.dir, STREAMS_FILE)?
        };
        STREAMS.encode(self.held_phase, self.held_records, &mut self.bytes, |out| {
            out.extend_from_slice(&self.held_streams);
        });
        self.held_streams.clear();
        self.held_records = 0;
        let written = file.write_all(&self.bytes);
        self.streams = Some(file);
        written.map_err(StoreError::io("write", &path))
    }

    fn write_held(&mut self) -> Result<(), StoreError> {
        self.write_streams()?;
        let Some(first) = self.held.first() else {
            return Ok(());
        };
        self.bytes.clear();
        segment::encode_chunk(first.phase, &self.held, &mut self.bytes);
        self.held.clear();
        self.samples
            .write_all(&self.bytes)
            .map_err(StoreError::io("write", &self.dir.join(SAMPLES_FILE)))
    }
}

/// A writer that is dropped on the way out of an error still hands over what it holds.
impl Drop for RunWriter {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.write_held();
    }
}

fn refuse_used(dir: &Path) -> Result<(), StoreError> {
    let dir_buf = || dir.to_owned();
    if dir.join(EVENTS_FILE).exists() || dir.join(SAMPLES_FILE).exists() {
        return Err(StoreError::AlreadyARun { dir: dir_buf() });
    }
    match fs::read_dir(dir).map_err(StoreError::io("read", dir))?.next() {
        None => Ok(()),
        Some(entry) => {
            let entry = entry.map_err(StoreError::io("read", dir))?;
            let found = entry.file_name().to_string_lossy().into_owned();
            Err(StoreError::NotEmpty {
                dir: dir_buf(),
                found,
            })
        }
    }
}

fn create_new(dir: &Path, name: &str) -> Result<File, StoreError> {
    let path = dir.join(name);
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(&path)
        .map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => StoreError::AlreadyARun { dir: dir.to_owned() },
            _ => StoreError::io("create", &path)(e),
        })
}
