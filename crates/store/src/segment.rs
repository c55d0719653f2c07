//! The bytes of `samples.seg` and `streams.seg`: a head, then chunks that each stand for themselves.
//!
//! ```text
//! head   8 bytes "PRONYSEG", version u32, crc32 of these 12 bytes
//! chunk  4 bytes "chk\xA7", phase u16, count u32, crc32 of phase, count and payload, payload = count x 80 bytes
//! ```
//!
//! In `streams.seg` the file starts with "PRONYSTM" and chunks with "stm\xA7"; the length of the payload in bytes (u32)
//! follows the count and is part of the checksum; what is in the payload is told in [`crate::streams`].
//!
//! All numbers are little endian. A chunk whose checksum does not match is skipped: the reader looks for the next
//! chunk mark that starts a chunk with a good checksum. Knows bytes only: no folders, no phases' meaning.

use std::io::{self, Read, Seek, SeekFrom};

use prony_model::{SAMPLE_BYTES, Sample};

/// First bytes of the file.
pub const FILE_MAGIC: [u8; 8] = *b"PRONYSEG";
/// Version of the format.
pub const VERSION: u32 = 2;
/// Length of the head of the file.
pub const HEAD_BYTES: usize = 16;
/// First bytes of a chunk. Not ASCII at the end, so that text copied over the file never looks like one.
pub const CHUNK_MAGIC: [u8; 4] = *b"chk\xA7";
/// Length of the head of a chunk.
pub const CHUNK_HEAD_BYTES: usize = 14;
/// Most samples in a chunk: a chunk never needs more than about 300 kB of memory.
pub const CHUNK_SAMPLES_MAX: usize = 4096;

const SCAN_BYTES: usize = 64 << 10;

/// What tells one kind of file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub(crate) file_magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) chunk_magic: [u8; 4],
    pub(crate) count_max: usize,
    pub(crate) size: Size,
}

/// How long the payload of a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// So many bytes for each of its items.
    Each(usize),
    /// As its head says, up to this.
    Told(usize),
}

/// `samples.seg`.
pub const SAMPLES: Kind = Kind {
    file_magic: FILE_MAGIC,
    version: VERSION,
    chunk_magic: CHUNK_MAGIC,
    count_max: CHUNK_SAMPLES_MAX,
    size: Size::Each(SAMPLE_BYTES),
};

impl Kind {
    /// Length of the head of a chunk.
    pub(crate) fn chunk_head_bytes(&self) -> usize {
        match self.size {
            Size::Each(_) => CHUNK_HEAD_BYTES,
            Size::Told(_) => CHUNK_HEAD_BYTES + 4,
        }
    }

    /// Appends one chunk to `out`: `write` appends its payload.
    pub(crate) fn encode(&self, phase: u16, count: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let (start, head) = (out.len(), self.chunk_head_bytes());
        out.extend_from_slice(&self.chunk_magic);
        out.extend_from_slice(&phase.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.resize(start + head, 0);
        write(out);
        if matches!(self.size, Size::Told(_)) {
            let bytes = (out.len() - start - head) as u32;
            out[start + 10..start + 14].copy_from_slice(&bytes.to_le_bytes());
        }
        let crc = chunk_crc(&out[start + 4..start + head - 4], &out[start + head..]);
        out[start + head - 4..start + head].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The head of a file of samples of the current version.
pub fn head() -> [u8; HEAD_BYTES] {
    head_of(&SAMPLES)
}

/// The head of a file of a kind.
pub(crate) fn head_of(kind: &Kind) -> [u8; HEAD_BYTES] {
    let mut out = [0; HEAD_BYTES];
    out[..8].copy_from_slice(&kind.file_magic);
    out[8..12].copy_from_slice(&kind.version.to_le_bytes());
    let crc = crc32fast::hash(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Appends one chunk to `out`. At most [`CHUNK_SAMPLES_MAX`] samples, all of the same phase.
pub fn encode_chunk(phase: u16, samples: &[Sample], out: &mut Vec<u8>) {
    debug_assert!(samples.len() <= CHUNK_SAMPLES_MAX, "the caller splits");
    SAMPLES.encode(phase, samples.len() as u32, out, |out| {
        for sample in samples {
            out.extend_from_slice(&sample.encode());
        }
    });
}

fn chunk_crc(phase_and_count: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(phase_and_count);
    hasher.update(payload);
    hasher.finalize()
}

/// Where a sound chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkAt {
    /// Offset of its head in the file.
    pub offset: u64,
    /// Phase of its samples.
    pub phase: u16,
    /// Number of its samples.
    pub count: u32,
    /// Length of the chunk with its head.
    pub bytes: u64,
}

/// What a pass over the file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The version in a sound head; `None` when the head is damaged.
    pub version: Option<u32>,
    /// The sound chunks, in file order.
    pub chunks: Vec<ChunkAt>,
    /// Stretches that hold no sound chunk: offset and length. The last one may be a torn tail.
    pub gaps: Vec<(u64, u64)>,
    /// Samples whose outcome this version does not know.
    pub unknown_outcomes: u64,
    /// Length of the file.
    pub len: u64,
}

/// Reads the whole file once. Memory is bounded by one chunk; damage never stops it.
///
/// A sound head with another version ends the scan at once, with no chunks.
pub fn scan<R: Read + Seek>(file: &mut R) -> io::Result<Scan> {
    scan_as(&SAMPLES, file, unknown_outcomes)
}

/// The same for a file of a kind; `unknown` counts the items of a payload that this version cannot read.
pub(crate) fn scan_as<R: Read + Seek>(
    kind: &Kind,
    file: &mut R,
    unknown: impl Fn(&[u8]) -> u64,
) -> io::Result<Scan> {
    let mut scan = Scan {
        len: file.seek(SeekFrom::End(0))?,
        ..Scan::default()
    };
    scan.version = read_head(kind, file)?;
    if scan.version.is_some_and(|v| v != kind.version) {
        return Ok(scan);
    }
    // A damaged head may be no head at all: then chunks may start anywhere.
    let mut at = if scan.version.is_some() {
        HEAD_BYTES as u64
    } else {
        0
    };
    let mut payload = Vec::new();
    while at < scan.len {
        if let Some(chunk) = read_chunk(kind, file, at, &mut payload)? {
            scan.unknown_outcomes += unknown(&payload);
            scan.chunks.push(chunk);
            at += chunk.bytes;
            continue;
        }
        let next = next_chunk(kind, file, at + 1, scan.len, &mut payload)?;
        scan.gaps.push((at, next - at));
        at = next;
    }
    Ok(scan)
}

/// The samples of a chunk that a scan found; `None` when the file changed since. Unknown outcomes are left out.
pub fn read_samples<R: Read + Seek>(file: &mut R, chunk: ChunkAt) -> io::Result<Option<Vec<Sample>>> {
    let payload = read_payload(&SAMPLES, file, chunk)?;
    Ok(payload.map(|payload| encoded(&payload).filter_map(Sample::decode).collect()))
}

/// The payload of a chunk that a scan found; `None` when the file changed since.
pub(crate) fn read_payload<R: Read + Seek>(
    kind: &Kind,
    file: &mut R,
    chunk: ChunkAt,
) -> io::Result<Option<Vec<u8>>> {
    let mut payload = Vec::new();
    let found = read_chunk(kind, file, chunk.offset, &mut payload)?;
    Ok((found == Some(chunk)).then_some(payload))
}

fn read_head<R: Read + Seek>(kind: &Kind, file: &mut R) -> io::Result<Option<u32>> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    let sound = bytes.len() == HEAD_BYTES
        && bytes[..8] == kind.file_magic
        && crc32fast::hash(&bytes[..12]) == u32_at(&bytes, 12);
    Ok(sound.then(|| u32_at(&bytes, 8)))
}

/// The chunk at an offset, when one with a good checksum starts there. Leaves its payload in `payload`.
fn read_chunk<R: Read + Seek>(
    kind: &Kind,
    file: &mut R,
    at: u64,
    payload: &mut Vec<u8>,
) -> io::Result<Option<ChunkAt>> {
    let head_bytes = kind.chunk_head_bytes();
    payload.clear();
    file.seek(SeekFrom::Start(at))?;
    file.take(head_bytes as u64).read_to_end(payload)?;
    if payload.len() < head_bytes || payload[..4] != kind.chunk_magic {
        return Ok(None);
    }
    let head = std::mem::take(payload);
    let count = u32_at(&head, 6);
    let (want, most) = match kind.size {
        Size::Each(each) => (count as usize * each, usize::MAX),
        Size::Told(most) => (u32_at(&head, 10) as usize, most),
    };
    if count as usize > kind.count_max || want > most {
        return Ok(None);
    }
    file.take(want as u64).read_to_end(payload)?;
    let sound = payload.len() == want
        && chunk_crc(&head[4..head_bytes - 4], payload) == u32_at(&head, head_bytes - 4);
    Ok(sound.then_some(ChunkAt {
        offset: at,
        phase: u16::from_le_bytes([head[4], head[5]]),
        count,
        bytes: (head_bytes + want) as u64,
    }))
}

/// Offset of the next sound chunk from `from` on; `len` when there is none.
fn next_chunk<R: Read + Seek>(
    kind: &Kind,
    file: &mut R,
    from: u64,
    len: u64,
    payload: &mut Vec<u8>,
) -> io::Result<u64> {
    let mut window = Vec::with_capacity(SCAN_BYTES);
    let mut at = from;
    while at < len {
        window.clear();
        file.seek(SeekFrom::Start(at))?;
        file.take(SCAN_BYTES as u64).read_to_end(&mut window)?;
        for (i, mark) in window.windows(CHUNK_MAGIC.len()).enumerate() {
            if *mark == kind.chunk_magic && read_chunk(kind, file, at + i as u64, payload)?.is_some() {
                return Ok(at + i as u64);
            }
        }
        // Keep the last bytes for the next window: a mark may lie across its edge.
        match window.len().saturating_sub(CHUNK_MAGIC.len() - 1) {
            0 => break,
            step => at += step as u64,
        }
    }
    Ok(len)
}

fn unknown_outcomes(payload: &[u8]) -> u64 {
    encoded(payload)
        .filter(|bytes| Sample::decode(bytes).is_none())
        .count() as u64
}

fn encoded(payload: &[u8]) -> impl Iterator<Item = &[u8; SAMPLE_BYTES]> {
    payload
        .chunks_exact(SAMPLE_BYTES)
        .map(|bytes| bytes.try_into().expect("chunks of that size"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
