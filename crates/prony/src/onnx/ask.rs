//! What a fresh process is asked, and what it tells: one JSON document each, over its standard input and output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::shapes::{Declared, Fed};

/// One inference: the caller, its start and its end in ns since the first began.
pub(super) type Run = (u32, u64, u64);

/// Everything the process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The model's file.
    pub model: PathBuf,
    /// The runtime's shared library.
    pub library: PathBuf,
    /// Threads within an operator.
    pub threads: u32,
    /// Shapes that the person said, by name of the input.
    pub shapes: BTreeMap<String, Vec<i64>>,
    /// Ranges of the values that the person said, by name of the input.
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// Seed of the inputs.
    pub seed: u64,
    /// Inputs in one inference, where the first axis is dynamic.
    pub batch: Option<i64>,
    /// The question.
    pub ask: Ask,
}

/// The question. Every process loads the model and runs it once before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Nothing more.
    Start,
    /// Run it again and again.
    Run {
        /// At a time, each in a session of its own.
        callers: u32,
        /// For so long, in s.
        seconds: f64,
        /// Stop after so many.
        most: u64,
        /// Readings of memory meanwhile.
        readings: u64,
    },
    /// Look at the outputs of so many different inputs, and of the first again so many times.
    Outputs {
        /// Different inputs.
        inputs: u32,
        /// Repeats of the first.
        repeats: u32,
    },
}

/// What the process says at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It did what it was asked.
    Told(Box<Told>),
    /// It could not.
    Refused(Refused),
}

/// Why a process could not do what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Refused {
    /// The library is none that can be used.
    Library(String),
    /// The model cannot be loaded.
    Model(String),
    /// The inputs cannot be made: what the person said does not fit, or a type that cannot be made up.
    Inputs(String),
    /// The very first inference failed; the declared inputs, to tell them.
    First {
        /// What the runtime said.
        says: String,
        /// The shapes that were fed, in words.
        fed: String,
    },
}

/// What the process found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// The runtime, as its library calls itself.
    pub runtime: String,
    /// Declared inputs.
    pub inputs: Vec<Declared>,
    /// Declared outputs.
    pub outputs: Vec<Declared>,
    /// What was fed.
    pub fed: Fed,
    /// Time to load the library, in ns.
    pub library_ns: u64,
    /// Time to make the session, in ns.
    pub load_ns: u64,
    /// Time of the first inference, in ns.
    pub first_ns: u64,
    /// Resident memory before the library, with it, and with the session, in bytes.
    pub resident: [u64; 3],
    /// Most resident memory until after the first inference, in bytes.
    pub peak_first: u64,
    /// Most resident memory until the end, in bytes.
    pub peak: u64,
    /// Digest of the first output.
    pub digest: u64,
    /// Each inference.
    pub runs: Vec<Run>,
    /// Readings of resident memory: inferences before it, when in ns, bytes.
    pub readings: Vec<(u64, u64, u64)>,
    /// How long the thread that ran waited for a processor that others had, in ns; `None` where the kernel does not say.
    pub waited_ns: Option<u64>,
    /// What was seen of the outputs.
    pub seen: Vec<SeenOutput>,
    /// Different inputs that were fed for that.
    pub different: u32,
    /// What an inference failed with; what came before it is told.
    pub failed: Option<String>,
}

/// What was seen of one output, see `prony_experiments::onnx::Output`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SeenOutput {
    pub contradiction: String,
    pub values: u64,
    pub nan: u64,
    pub infinite: u64,
    pub distinct: u32,
    pub unequal: u32,
    pub difference: f64,
}
