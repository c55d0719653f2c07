//! What to configure: from findings and phases of a run to settings, each with its formula and the figures that it takes.
//!
//! Pure, and it measures nothing: what no phase measured is listed with what to run first, and no value is given for it. It
//! knows findings by id and label only, and how a platform is configured, but no particular target.

mod alerts;
mod exposition;
mod facts;
mod load;
mod memory;
mod probes;
mod replay;
mod scaling;

use prony_model::{Advice, Figure, Finding, Objective, Setting, Unmeasured};

use crate::RunView;
use facts::Facts;

/// Everything that the run allows to recommend.
pub fn advise(run: &RunView<'_>, findings: &[Finding], objective: &Objective, target_url: &str) -> Advice {
    let facts = Facts::gather(run, findings, objective);
    let mut page = Page(Advice {
        probe: probes::address(run, target_url),
        metrics: exposition::names(run),
        ..Advice::default()
    });
    load::advise(&facts, &mut page);
    scaling::advise(&facts, &mut page);
    probes::advise(&facts, &mut page);
    memory::advise(&facts, &mut page);
    alerts::advise(&facts, &mut page);
    page.0
}

/// The advice while it is written.
struct Page(Advice);

/// One setting while it is written.
struct Line<'a> {
    key: &'a str,
    value: f64,
    unit: &'a str,
    says: String,
    formula: String,
    evidence: Vec<Figure>,
    caveat: String,
}

impl Page {
    /// Recommends a value.
    fn set(&mut self, line: Line<'_>) {
        self.0.settings.push(Setting {
            key: line.key.to_owned(),
            value: line.value,
            unit: line.unit.to_owned(),
            says: line.says,
            formula: line.formula,
            evidence: line.evidence,
            caveat: line.caveat,
        });
    }

    /// Recommends nothing, and says what would allow it.
    fn lacks(&mut self, what: &str, missing: impl Into<String>, first: &str) {
        self.0.unmeasured.push(Unmeasured {
            what: what.to_owned(),
            missing: missing.into(),
            first: first.to_owned(),
        });
    }
}

/// What the capacity of one instance does not say.
const ONE_INSTANCE: &str = "Measured on the target as it ran: per instance, unverified for more than one.";

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
