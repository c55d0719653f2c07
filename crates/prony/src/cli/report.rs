//! `prony report`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};
use prony_report::peers::PEER_FORMATS;
use prony_report::{FORMATS, Slo};

/// Renders a recorded run again, also one that was killed half-way.
///
/// A report is computed from the recording alone, so the numbers are those of the run, whenever it is rendered.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony report out/enso                                   # on the terminal
  prony report out/enso --format html -o report.html      # one page for a browser
  prony report out/enso --format json | jq .verdict
  prony report out/enso --format alerts -o alerts.yaml    # Prometheus rules from the measurements
  prony report out/chat --goodput ttft:300 tpot:50        # how many streamed answers held both
  prony report out/chat --definitions vllm                # as vllm bench serve would count them
  prony report out/chat --format vllm-json -o vllm.json   # the result file of vllm bench serve")]
pub(crate) struct ReportArgs {
    /// Folder of the run, as given to -o.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// How to write it.
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "terminal", value_parser = formats())]
    pub format: String,
    /// File to write instead of standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Objectives for each streamed answer, in milliseconds; otherwise those of the gates.
    #[arg(long, value_name = "METRIC:MS", num_args = 1..)]
    pub goodput: Vec<Slo>,
    /// Shows our numbers of streamed answers beside those that another tool would have printed, with the reasons.
    #[arg(long, value_name = "TOOL", conflicts_with = "format")]
    pub definitions: Option<DefinitionsArg>,
    /// Which table of streams a file in another tool's format is made of, by its number in the report.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub streams: Option<u32>,
}

/// Tools whose definitions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DefinitionsArg {
    /// vllm bench serve, in Python.
    Vllm,
    /// vllm-rs bench serve, in Rust.
    VllmRs,
    /// sglang.bench_serving.
    Sglang,
    /// NVIDIA's AIPerf.
    Aiperf,
    /// GuideLLM.
    Guidellm,
    /// MLPerf LoadGen.
    Mlperf,
}

impl DefinitionsArg {
    /// The name in the registry of definitions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::VllmRs => "vllm-rs",
            Self::Sglang => "sglang",
            Self::Aiperf => "aiperf",
            Self::Guidellm => "guidellm",
            Self::Mlperf => "mlperf",
        }
    }
}

/// The formats there are, ours and other tools', each with what it is for.
fn formats() -> PossibleValuesParser {
    let ours = FORMATS.iter().map(|def| (def.name, def.description.to_owned()));
    let others = PEER_FORMATS.iter().map(|def| {
        let says = format!("the result file of {}, of one table of streams", def.tool);
        (def.name, says)
    });
    ours.chain(others)
        .map(|(name, says)| PossibleValue::new(name).help(says))
        .into()
}
