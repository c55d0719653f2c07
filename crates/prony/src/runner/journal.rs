//! Everything that happens goes through here once: into the recording, and onto the screen.

use std::path::Path;

use prony_engine::Sink;
use prony_model::{Captured, Event, Progress, RunHeader, Sample, StreamRecord};
use prony_store::{RunWriter, StoreError};

use super::live::Live;

/// The recording and the live view. A store that fails (a full disk) ends the recording, not the run: the first error
/// is kept and told at the end.
pub(crate) struct Journal {
    writer: RunWriter,
    live: Live,
    error: Option<StoreError>,
}

impl Journal {
    /// Opens the recording in `dir`.
    pub(crate) fn create(dir: &Path, header: &RunHeader, live: Live) -> Result<Self, StoreError> {
        Ok(Self {
            writer: RunWriter::create(dir, header)?,
            live,
            error: None,
        })
    }

    /// Records and shows one event.
    pub(crate) fn event(&mut self, event: &Event) {
        self.live.show(event);
        let result = self.writer.event(event);
        self.keep(result);
    }

    /// Writes out what is still buffered; returns the first error of the whole recording.
    pub(crate) fn close(mut self) -> Option<StoreError> {
        let result = self.writer.flush();
        self.keep(result);
        self.live.close();
        self.error
    }

    fn keep(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl Sink for Journal {
    fn samples(&mut self, samples: &[Sample]) {
        let result = self.writer.samples(samples);
        self.keep(result);
    }

    fn streams(&mut self, records: &[StreamRecord]) {
        let result = self.writer.streams(records);
        self.keep(result);
    }

    fn progress(&mut self, progress: &Progress) {
        self.event(&Event::Progressed(*progress));
    }

    fn captured(&mut self, index: u16, response: &Captured) {
        self.event(&Event::ResponseCaptured {
            index,
            response: response.clone(),
        });
    }
}
