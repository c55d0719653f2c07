//! A run on disk: a folder that holds everything a report needs, readable even when the run was killed.
//!
//! A run is self-contained: there is no database and no index beside it. Copy the folder and it can be rendered
//! again elsewhere. It holds
//!
//! - `events.ndjson`: one [`prony_model::Event`] per line, handed to the kernel event by event;
//! - `samples.seg`: every request's [`prony_model::Sample`] in chunks with a checksum each, see [`segment`];
//! - `streams.seg`: the record of every streamed answer with its events, likewise, where there are any, see [`streams`].
//!
//! This crate moves bytes. It knows nothing of statistics, verdicts or formats of a report.

mod error;
mod reader;
pub mod segment;
pub mod streams;
mod writer;

pub use error::StoreError;
pub use reader::StoredRun;
pub use writer::RunWriter;

/// Name of the file of events in a run's folder.
pub const EVENTS_FILE: &str = "events.ndjson";
/// Name of the file of samples in a run's folder.
pub const SAMPLES_FILE: &str = "samples.seg";
/// Name of the file of streamed answers in a run's folder.
pub const STREAMS_FILE: &str = "streams.seg";
