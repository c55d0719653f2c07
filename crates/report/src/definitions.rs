//! The same answers under other tools' definitions: what each would have printed of them, and why it differs.
//!
//! Pure functions over recorded streams. A definition says how its tool sees one answer ([`Seen`]); what follows from
//! many is the same for all ([`Restated`]). Knows nothing of phases or reports.

mod aiperf;
mod compare;
mod guidellm;
mod mlperf;
mod ours;
mod restated;
mod seen;
mod sglang;
#[cfg(test)]
mod tests;
mod vllm;
mod vllm_rs;

use prony_model::StreamProtocol;

pub(crate) use compare::compare;
pub use compare::{Compared, Group};
pub use ours::OURS;
pub(crate) use restated::worth;
pub use restated::{Percentile, Restated, TimeStats, restate};
pub use seen::{RecordedStream, Seen};

/// How a tool sees one answer.
pub struct Definition {
    /// Name, as in `--definitions NAME`.
    pub name: &'static str,
    /// What the tool is called.
    pub tool: &'static str,
    /// The version whose source this follows.
    pub version: &'static str,
    /// Its ways in a sentence.
    pub about: &'static str,
    /// Protocols that it speaks. Answers in others are recomputed as if it did.
    pub protocols: &'static [StreamProtocol],
    /// One answer through its eyes.
    pub see: fn(&RecordedStream) -> Seen,
    /// How it takes a percentile.
    pub percentile: Percentile,
    /// Why its numbers differ from ours, by the group of figures.
    pub reasons: &'static [(Group, &'static str)],
    /// What the recording does not hold, so that its number here is not exactly the one it would print.
    pub approximations: &'static str,
}

impl Definition {
    /// Why its figures of a group differ from ours; empty when they do not.
    pub fn reason(&self, group: Group) -> &'static str {
        let found = self.reasons.iter().find(|(of, _)| *of == group);
        found.map_or("", |(_, why)| why)
    }
}

/// Every tool whose definitions are known. Adding one is one file and one line here.
pub static DEFINITIONS: &[&Definition] = &[
    &vllm::DEFINITION,
    &vllm_rs::DEFINITION,
    &sglang::DEFINITION,
    &aiperf::DEFINITION,
    &guidellm::DEFINITION,
    &mlperf::DEFINITION,
];

/// The definitions of that name.
pub fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().copied().find(|def| def.name == name)
}
