//! Everything that happens goes through here once: into the recording, and onto the screen.

use std::path::Path;

use prony_engine::Sink;
use prony_model::{Captured, Event, Progress, RunHeader, Sample, StreamRecord};
use prony_store::{RunWriter, StoreError};

use super::live::Live;

/// The recording and the live view. A store that fails (a full disk) ends the recording, not the run: the first error is kept and
/// told at the end, and what a report cannot do without is kept for it.
pub(crate) struct Journal {
    writer: RunWriter,
    live: Live,
    lost: Lost,
}

/// What a recording could not hold.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// The first error; `None` where all was written.
    pub error: Option<StoreError>,
    /// The events that did not reach the disk, but for those of which there are many.
    pub events: Vec<Event>,
}

impl Journal {
    /// Opens the recording in `dir`.
    pub(crate) fn create(dir: &Path, header: &RunHeader, live: Live) -> Result<Self, StoreError> {
        Ok(Self {
            writer: RunWriter::create(dir, header)?,
            live,
            lost: Lost::default(),
        })
    }

    /// Records and shows one event.
    pub(crate) fn event(&mut self, event: &Event) {
        self.live.show(event);
        let result = self.writer.event(event);
        let is_one_of_many = matches!(
            event,
            Event::Progressed(_) | Event::ReadingTaken(_) | Event::ResponseCaptured { .. }
        );
        if result.is_err() && !is_one_of_many {
            self.lost.events.push(event.clone());
        }
        self.keep(result);
    }

    /// Writes out what is still buffered; returns what of the whole recording did not reach the disk.
    pub(crate) fn close(mut self) -> Lost {
        let result = self.writer.flush();
        self.keep(result);
        self.live.close();
        self.lost
    }

    fn keep(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.lost.error.get_or_insert(error);
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
