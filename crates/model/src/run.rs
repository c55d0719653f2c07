//! A run: its header, its events, and what a phase leaves behind.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Advice, ClaimResult, Finding, GateResult, Header, Nanos, Phase, PhaseSummary, Sample, StreamRecord,
    Suite, Surface, Verdict,
};

/// Everything that happens in a run, in order. Live view, stored run and re-rendered report consume these and
/// nothing else. Stored one per line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "events are few: a handful per second at most"
)]
pub enum Event {
    /// First event of every run.
    RunStarted(RunHeader),
    /// What discovery found.
    SurfaceFound(Surface),
    /// State of the system around the target, taken before, between and after.
    SystemSeen(SystemSnapshot),
    /// A phase begins. Its samples carry this index.
    PhaseStarted {
        /// Index in the run.
        index: u16,
        /// When.
        at: Nanos,
        /// The phase, with its requests (bodies bounded), so that the run can be read without the suite.
        phase: Phase,
    },
    /// Once a second while a phase runs.
    Progressed(Progress),
    /// A response kept whole, within bounds.
    ResponseCaptured {
        /// Index of the phase.
        index: u16,
        /// The response.
        response: Captured,
    },
    /// A phase ended.
    PhaseFinished(PhaseSummary),
    /// A conclusion.
    FindingMade(Finding),
    /// A gate was evaluated.
    GateJudged(GateResult),
    /// A claim was held against the measurements.
    ClaimJudged(ClaimResult),
    /// What to configure, once all is concluded.
    Advised(Advice),
    /// A monitor's reading.
    ReadingTaken(Reading),
    /// Something the user should know that is not a finding.
    Noted {
        /// One sentence.
        text: String,
    },
    /// Last event of a run that was not killed.
    RunFinished {
        /// Overall verdict.
        verdict: Verdict,
        /// Whether the user stopped it.
        interrupted: bool,
        /// When.
        at: Nanos,
    },
}

/// Who ran what against what, and with which seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunHeader {
    /// Version of this format.
    pub format: u32,
    /// Version of Prony.
    pub prony: String,
    /// Random-looking identifier, sortable by time.
    pub id: String,
    /// Command that repeats the run; secrets are names of variables, never values.
    pub command: String,
    /// Wall-clock start, RFC 3339.
    pub started_at: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Target URL without user info.
    pub target: String,
    /// Host facts: kernel, cpu model, cores, memory.
    pub host: BTreeMap<String, String>,
    /// Whether the target runs on the same host as the generator.
    pub shared_host: bool,
    /// What was asked for.
    pub suite: Suite,
}

/// Version of the event format, see [`RunHeader::format`].
impl RunHeader {
    /// The current format.
    pub const FORMAT: u32 = 1;
}

/// A second of load, for live views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Index of the phase.
    pub index: u16,
    /// When.
    pub at: Nanos,
    /// Completions so far.
    pub done: u64,
    /// Failures so far.
    pub failed: u64,
    /// In flight now.
    pub in_flight: u32,
    /// Completions in the last second.
    pub per_s: f64,
    /// Median response of the last second's ok answers; zero when none.
    pub p50: Nanos,
    /// 99th percentile of the same.
    pub p99: Nanos,
}

/// The system around the target at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemSnapshot {
    /// `before`, `after`, or the name of a phase.
    pub label: String,
    /// When.
    pub at: Nanos,
    /// What was seen: `target.pss_bytes`, `target.cpu_share`, `target.threads`, `target.fds`, `host.memory_used_bytes`,
    /// `host.load1`. What could not be seen is absent.
    pub values: BTreeMap<String, f64>,
    /// What could not be seen, and why.
    pub missing: Vec<String>,
}

/// One reading of one monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// When.
    pub at: Nanos,
    /// Monitor name: `process`, `generator`.
    pub monitor: String,
    /// Values by name, units last: `pss_bytes`, `cpu_s`.
    pub values: BTreeMap<String, f64>,
}

/// Where a level of the target's memory can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySource {
    /// Name of the monitor.
    pub monitor: &'static str,
    /// Name of the value, in bytes.
    pub value: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
}

/// The best source first. PSS is read seldom where there is much memory.
pub const MEMORY_SOURCES: [MemorySource; 4] = [
    MemorySource {
        monitor: "cgroup",
        value: "working_set_bytes",
        what: "working set of its control group",
    },
    MemorySource {
        monitor: "memory",
        value: "pss_bytes",
        what: "memory of its process tree (PSS)",
    },
    MemorySource {
        monitor: "process",
        value: "anonymous_bytes",
        what: "memory of its process tree that no file is behind",
    },
    MemorySource {
        monitor: "metrics",
        value: "rss_bytes",
        what: "resident memory as its own metrics tell it",
    },
];

/// A response kept whole, within bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// Sequence number of its sample within the phase.
    pub seq: u64,
    /// Scenario index.
    pub scenario: u16,
    /// Item index.
    pub item: u32,
    /// Status; 0 when there was no response head.
    pub status: u16,
    /// How the request ended.
    pub outcome: crate::Outcome,
    /// Response headers, bounded; cookies and other secrets removed.
    pub headers: Vec<Header>,
    /// Start of the body, as text; invalid UTF-8 is replaced, see `binary`.
    pub body: String,
    /// Length of the whole body in bytes.
    pub body_bytes: u64,
    /// Whether `body` is not the whole body.
    pub cut: bool,
    /// Whether the body was not UTF-8.
    pub binary: bool,
    /// Of a body that is not UTF-8: its first bytes, up to [`Captured::HEAD_BYTES_MAX`], as lower-case hexadecimal
    /// digits (enough to read an image's format and size). Empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// Of a body that is not UTF-8: the bytes that were kept, up to [`Captured::BYTES_MAX`]. They live as long as the
    /// process: a recording does not have them.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// XXH3-64 of the whole body, hexadecimal; empty where it was not asked for.
    pub digest: String,
    /// What went wrong, in words; empty when nothing did.
    pub error: String,
}

impl Captured {
    /// What stands for the answer to a request that was never sent, and why it was not.
    pub fn unsent(error: impl Into<String>) -> Self {
        Self {
            seq: 0,
            scenario: 0,
            item: 0,
            status: 0,
            outcome: crate::Outcome::Interrupted,
            headers: Vec::new(),
            body: String::new(),
            body_bytes: 0,
            cut: false,
            binary: false,
            head: String::new(),
            bytes: Vec::new(),
            digest: String::new(),
            error: error.into(),
        }
    }

    /// Most bytes kept in `head`.
    pub const HEAD_BYTES_MAX: usize = 1024;
    /// Most bytes kept in `bytes`.
    pub const BYTES_MAX: usize = 64 << 10;

    /// The value of a header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name))
            .map(|h| h.value.as_str())
    }

    /// The body as JSON, when it is whole and JSON; of an answer of JSON-RPC, what it brought.
    pub fn json(&self) -> Option<serde_json::Value> {
        if self.cut || self.binary {
            None
        } else {
            crate::json_in(self.body.as_bytes()).map(crate::unwrapped)
        }
    }
}

/// What a finished phase leaves to the experiments.
#[derive(Clone, Debug)]
pub struct PhaseResult {
    /// Index in the run.
    pub index: u16,
    /// The phase as it was run.
    pub phase: Phase,
    /// Its figures.
    pub summary: PhaseSummary,
    /// Its samples in order of intended start, up to a bound (see `samples_cut`).
    pub samples: Vec<Sample>,
    /// Whether there were more samples than the bound: `samples` is then the first part of the phase.
    pub samples_cut: bool,
    /// Captured responses in order of completion.
    pub captures: Vec<Captured>,
    /// Records of streamed answers in order of completion, up to a bound.
    pub streams: Vec<StreamRecord>,
    /// Readings taken while it ran.
    pub readings: Vec<Reading>,
}

impl PhaseResult {
    /// The index of a scenario by name.
    pub fn scenario(&self, name: &str) -> Option<u16> {
        self.phase
            .scenarios
            .iter()
            .position(|s| s.name == name)
            .map(|i| i as u16)
    }
}
