//! What measurements of one ONNX model, run in processes of our own, say about it: how it starts, how long an inference takes, what
//! more callers, threads or a larger batch bring, what memory it needs, and whether its outputs hold what needs no truth.
//!
//! Pure: it concludes from numbers and knows neither the runtime nor the model's file.

mod memory;
mod outputs;
mod speed;

use prony_model::{Finding, Severity, Source, Verdict};

use crate::draft::Draft;

pub use memory::{growth_needs, readings_min};

/// The experiment's name in findings and phases.
pub const NAME: &str = "onnx";

/// All that was measured. What could not be is absent, and nothing is said of it.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Name of the model, as findings call it.
    pub model: String,
    /// Fresh processes, each from its start to its first output.
    pub starts: Vec<Start>,
    /// Inferences one after another.
    pub steady: Option<Steady>,
    /// By number of callers, ascending. Each caller has a session of its own with one thread.
    pub callers: Vec<Setting>,
    /// By number of threads within an operator, ascending.
    pub threads: Vec<Setting>,
    /// By size of the batch, ascending.
    pub batches: Vec<Setting>,
    /// Memory over many inferences.
    pub memory: Option<Memory>,
    /// The outputs of several inputs.
    pub outputs: Option<Outputs>,
    /// What went wrong in an inference after the first had succeeded.
    pub failure: Option<Failure>,
}

/// One fresh process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Start {
    /// To load the runtime's shared library, in ms.
    pub library_ms: f64,
    /// To make a session of the file: read, optimise, allocate; in ms.
    pub load_ms: f64,
    /// The first inference, in ms.
    pub first_ms: f64,
    /// Resident memory before the library was loaded, in bytes.
    pub before_bytes: f64,
    /// With the library, in bytes.
    pub library_bytes: f64,
    /// With the session, in bytes.
    pub loaded_bytes: f64,
    /// Most until after the first inference, in bytes.
    pub peak_bytes: f64,
    /// Digest of the outputs of the first inference, whose input is the same in each process.
    pub digest: u64,
}

/// Inferences one after another in one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steady {
    /// What each took, in ms, in order.
    pub ms: Vec<f64>,
    /// Threads within an operator.
    pub threads: u32,
    /// Index of the phase that holds the part after the warm-up.
    pub phase: u16,
    /// Why the times cannot be trusted; empty when they can.
    pub distrust: String,
}

/// Inferences under one setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// Callers, threads, or size of the batch.
    pub value: u32,
    /// What each inference took, in ms.
    pub ms: Vec<f64>,
    /// Ends of the inferences in s since the first began, ascending.
    pub ends_s: Vec<f64>,
    /// Index of its phase.
    pub phase: u16,
}

/// Memory over many inferences in one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Inferences before each reading, ascending.
    pub inferences: Vec<f64>,
    /// Resident memory at each reading, in bytes.
    pub bytes: Vec<f64>,
    /// From the first reading to the last, in s.
    pub span_s: f64,
    /// Most that was ever resident, in bytes.
    pub peak_bytes: f64,
    /// Memory of the host or of the control group, in bytes; `None` when it is not known.
    pub limit_bytes: Option<f64>,
    /// Index of the phase.
    pub phase: u16,
}

/// The outputs of several inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Different inputs that were fed.
    pub inputs: u32,
    /// How often the first of them was fed again.
    pub repeats: u32,
    /// One for each declared output.
    pub outputs: Vec<Output>,
}

/// What was seen of one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Type and shape as declared: `float32 [batch, 3]`.
    pub declared: String,
    /// Type and shape of the first that contradicts the declaration; empty when none does.
    pub contradiction: String,
    /// Values looked at, over all inputs.
    pub values: u64,
    /// Those that are not a number.
    pub nan: u64,
    /// Those that are infinite.
    pub infinite: u64,
    /// Different outputs of the different inputs.
    pub distinct: u32,
    /// Repeats of the same input whose output differs in any bit.
    pub unequal: u32,
    /// Largest difference of such a repeat, relative to the largest value of the output.
    pub difference: f64,
}

/// An inference that failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failure {
    /// What was done.
    pub during: String,
    /// What the runtime said, or how the process ended.
    pub says: String,
    /// Whether the process itself ended.
    pub crashed: bool,
}

/// Everything that follows.
pub fn conclude(measured: &Measured) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(measured.failure.as_ref().map(|f| failed(&measured.model, f)));
    findings.extend(outputs::findings(measured));
    findings.extend(speed::findings(measured));
    findings.extend(memory::findings(measured));
    findings
}

fn failed(model: &str, failure: &Failure) -> Finding {
    let draft =
        Draft::new(NAME, "inference-failed", model).quote("what was said", &failure.says, &Source::default());
    if failure.crashed {
        draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!("The process gave no results during {}", failure.during))
            .detail(
                "The model ran in a process of its own, which ended, or whose time was up, before it had told its results. What was \
                 not measured is absent below.",
            )
            .advice(
                "Run it again with more memory or time (`--timeout`), or with another version of onnxruntime; the kernel's log (`dmesg`) \
                 tells a kill for want of memory.",
                "",
            )
            .done()
    } else {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("Inference failed during {}", failure.during))
            .detail("The first inference had succeeded. What was not measured is absent below.")
            .advice(
                "Check which shapes the model takes: an axis that is declared dynamic must take every size, or be declared fixed.",
                "",
            )
            .done()
    }
}

#[cfg(test)]
mod tests;
