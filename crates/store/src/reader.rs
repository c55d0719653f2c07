//! Reads a run back, whole or damaged. Says in words what is missing; never guesses what it was.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use prony_model::{Event, RunHeader, Sample, StreamRecord};

use crate::segment::{self, ChunkAt, Kind, SAMPLES, Scan};
use crate::streams::{self, STREAMS};
use crate::{EVENTS_FILE, SAMPLES_FILE, STREAMS_FILE, StoreError};

/// Longest line that is read. Events are bounded by their makers far below this.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Damage is listed up to so many entries, then counted.
const DAMAGE_MAX: usize = 20;

/// A recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// Its folder.
    pub dir: PathBuf,
    /// Its events, in order. The first is [`Event::RunStarted`] unless its line is damaged.
    pub events: Vec<Event>,
    /// What is damaged or missing, one sentence each; empty for a sound run.
    pub damage: Vec<String>,
    chunks: Vec<ChunkAt>,
    streams: Vec<ChunkAt>,
}

impl StoredRun {
    /// Opens the run in a folder; `path` is the folder or a file in it.
    ///
    /// # Errors
    /// When there is no run, when a newer version wrote it, or when the disk refuses. Damage is no error.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let dir = folder_of(path)?;
        let mut damage = Damage::default();
        let events = read_events(path, &dir.join(EVENTS_FILE), &mut damage)?;
        let samples = dir.join(SAMPLES_FILE);
        let chunks = if let Some(file) = open_segment(&samples)? {
            read_index(&SAMPLES, &samples, file, SAMPLES_FILE, "samples", &mut damage)?
        } else {
            damage.add(format!(
                "{SAMPLES_FILE} is missing: summaries and findings remain, single requests do not"
            ));
            Vec::new()
        };
        // A run without streamed answers has no such file.
        let path = dir.join(STREAMS_FILE);
        let streams = match open_segment(&path)? {
            Some(file) => read_index(&STREAMS, &path, file, STREAMS_FILE, "streams", &mut damage)?,
            None => Vec::new(),
        };
        Ok(Self {
            dir,
            events,
            damage: damage.into_sentences(),
            chunks,
            streams,
        })
    }

    /// The samples of one phase: the first `limit` recorded, in order of intended start, and whether there are more.
    pub fn samples(&self, phase: u16, limit: usize) -> Result<(Vec<Sample>, bool), StoreError> {
        let mut out: Vec<Sample> = Vec::new();
        let path = self.dir.join(SAMPLES_FILE);
        let mut wanted = self
            .chunks
            .iter()
            .filter(|c| c.phase == phase && c.count > 0)
            .peekable();
        if wanted.peek().is_some() {
            let mut file = File::open(&path).map_err(StoreError::io("read", &path))?;
            while let Some(chunk) = wanted.next_if(|_| out.len() < limit) {
                let read = segment::read_samples(&mut file, *chunk).map_err(StoreError::io("read", &path))?;
                out.extend(read.unwrap_or_default());
            }
        }
        let cut = out.len() > limit || wanted.peek().is_some();
        out.truncate(limit);
        out.sort_by_key(|s| (s.intended, s.seq));
        Ok((out, cut))
    }

    /// The records of the streamed answers of one phase: the first `limit` recorded, in order of intended start, and
    /// whether there are more.
    pub fn streams(&self, phase: u16, limit: usize) -> Result<(Vec<StreamRecord>, bool), StoreError> {
        let mut out: Vec<StreamRecord> = Vec::new();
        let path = self.dir.join(STREAMS_FILE);
        let mut wanted = self.streams.iter().filter(|c| c.phase == phase).peekable();
        if wanted.peek().is_some() {
            let mut file = File::open(&path).map_err(StoreError::io("read", &path))?;
            while let Some(chunk) = wanted.next_if(|_| out.len() < limit) {
                let payload = segment::read_payload(&STREAMS, &mut file, *chunk)
                    .map_err(StoreError::io("read", &path))?
                    .unwrap_or_default();
                out.extend(streams::decode(&payload).flatten());
            }
        }
        let cut = out.len() > limit || wanted.peek().is_some();
        out.truncate(limit);
        out.sort_by_key(|r| (r.intended, r.seq));
        Ok((out, cut))
    }

    /// How many samples of a phase are readable.
    pub fn sample_count(&self, phase: u16) -> u64 {
        self.chunks
            .iter()
            .filter(|c| c.phase == phase)
            .map(|c| u64::from(c.count))
            .sum()
    }
}

fn folder_of(path: &Path) -> Result<PathBuf, StoreError> {
    let not_a_run = |why: &str| StoreError::NotARun {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let dir = if path.is_dir() {
        path
    } else if path.is_file() {
        match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    } else {
        return Err(not_a_run("it does not exist"));
    };
    if dir.join(EVENTS_FILE).is_file() {
        Ok(dir.to_owned())
    } else {
        Err(not_a_run(&format!("there is no {EVENTS_FILE}")))
    }
}

fn read_events(given: &Path, path: &Path, damage: &mut Damage) -> Result<Vec<Event>, StoreError> {
    let mut file = BufReader::new(File::open(path).map_err(StoreError::io("read", path))?);
    let mut events = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = (&mut file)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)
            .map_err(StoreError::io("read", path))?;
        if read == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n');
        // What stands after a line that the disk took only a part of.
        if line == b"\n" {
            continue;
        }
        refuse_newer(path, &line)?;
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) if whole => events.push(event),
            // Without its newline a line may still be whole: the newline was what the kill took.
            Ok(event) => {
                events.push(event);
                damage.add(format!(
                    "{EVENTS_FILE}: the last line has no end; it was whole and is used"
                ));
            }
            Err(_) if !whole => damage.add(format!(
                "{EVENTS_FILE}: the last line ({} bytes) is torn: the run was killed while writing it",
                line.len()
            )),
            Err(e) => damage.add(format!(
                "{EVENTS_FILE}: line {number} is not an event and was skipped ({e})"
            )),
        }
    }
    if events.is_empty() {
        let why = format!("{EVENTS_FILE} holds no event that this version can read");
        return Err(StoreError::NotARun {
            path: given.to_owned(),
            why,
        });
    }
    if !matches!(events.first(), Some(Event::RunStarted(_))) {
        damage.add(format!(
            "{EVENTS_FILE}: the header of the run is missing: target, seed and host are unknown"
        ));
    }
    Ok(events)
}

/// A newer header may hold what this version cannot read, so its version is looked at first.
fn refuse_newer(path: &Path, line: &[u8]) -> Result<(), StoreError> {
    if !line.starts_with(b"{\"run-started\"") {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else {
        return Ok(());
    };
    let header = &value["run-started"];
    match header["format"].as_u64() {
        Some(found) if found > u64::from(RunHeader::FORMAT) => Err(StoreError::Newer {
            path: path.to_owned(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
            known: RunHeader::FORMAT,
            written_by: header["prony"]
                .as_str()
                .map(|v| format!("Prony {}", v.chars().take(40).collect::<String>())),
        }),
        _ => Ok(()),
    }
}

fn open_segment(path: &Path) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read", path)(e)),
    }
}

/// The sound chunks of a file; `what` they hold is named where some are lost.
fn read_index(
    kind: &Kind,
    path: &Path,
    mut file: File,
    name: &str,
    what: &str,
    damage: &mut Damage,
) -> Result<Vec<ChunkAt>, StoreError> {
    let scan = if kind == &SAMPLES {
        segment::scan(&mut file)
    } else {
        let unknown = |payload: &[u8]| streams::decode(payload).filter(Option::is_none).count() as u64;
        segment::scan_as(kind, &mut file, unknown)
    };
    let scan = scan.map_err(StoreError::io("read", path))?;
    if let Some(found) = scan.version.filter(|&v| v != kind.version) {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: kind.version,
            written_by: None,
        });
    }
    describe(&scan, name, what, damage);
    Ok(scan.chunks)
}

fn describe(scan: &Scan, name: &str, what: &str, damage: &mut Damage) {
    if scan.version.is_none() {
        damage.add(format!(
            "{name}: the head of the file is damaged; its chunks were looked for"
        ));
    }
    for &(at, len) in &scan.gaps {
        damage.add(if at + len == scan.len {
            format!("{name}: the last {len} bytes are torn or damaged: the {what} in them are lost")
        } else {
            format!("{name}: {len} bytes at offset {at} are damaged: the {what} in them are lost")
        });
    }
    if scan.unknown_outcomes > 0 {
        damage.add(format!(
            "{name}: {} {what} end in a way that this version does not know; they are left out",
            scan.unknown_outcomes
        ));
    }
}

/// A bounded list of sentences.
#[derive(Default)]
struct Damage {
    sentences: Vec<String>,
    more: u64,
}

impl Damage {
    fn add(&mut self, sentence: String) {
        if self.sentences.len() < DAMAGE_MAX {
            self.sentences.push(sentence);
        } else {
            self.more += 1;
        }
    }

    fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            self.sentences.push(format!("and {} more places", self.more));
        }
        self.sentences
    }
}
