//! What a run sends before its first question, and takes away after the last: uploads that requests need. Recorded like all
//! else. It must not know what is uploaded.

use anyhow::Result;
use prony_model::{Capture, Captured, Event, Item, Limits, Phase, Scenario, Shape};

use super::Run;

/// Name of these phases in place of an experiment's.
const PREPARATION: &str = "preparation";
/// Longest time for one kind of upload, in seconds.
const DURATION_S: f64 = 60.0;

impl Run<'_> {
    /// Uploads what endpoints wait for, and fills in their requests.
    pub(super) fn prepare(&mut self, limits: &Limits) -> Result<()> {
        let Some(mut preparation) = self.preparation.take() else {
            return Ok(());
        };
        for (name, items) in preparation.sendings() {
            if !self.may_go_on() {
                break;
            }
            let result = self.measure(phase(&name, items, limits))?;
            let answers: Vec<&Captured> = result.captures.iter().collect();
            preparation.take(&name, &answers, &mut self.surface);
            self.keep(result);
        }
        self.journal.event(&Event::SurfaceFound(self.surface.clone()));
        self.preparation = Some(preparation);
        Ok(())
    }

    /// Deletes what was uploaded, where the target offers it.
    pub(super) fn clean_up(&mut self, limits: &Limits) -> Result<()> {
        let Some(preparation) = self.preparation.take() else {
            return Ok(());
        };
        for (name, items) in preparation.clean_up() {
            if self.cut.is_none() && !items.is_empty() {
                let result = self.measure(phase(&name, items, limits))?;
                self.keep(result);
            }
        }
        Ok(())
    }
}

fn phase(name: &str, items: Vec<Item>, limits: &Limits) -> Phase {
    let requests = items.len() as u32;
    Phase {
        name: name.to_owned(),
        experiment: PREPARATION.to_owned(),
        scenarios: vec![Scenario::new(name, items)],
        shape: Shape::Once {
            duration_s: Some(DURATION_S),
        },
        limits: limits.clone(),
        capture: Capture::responses(requests),
    }
}
