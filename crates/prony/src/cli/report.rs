//! `prony report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use prony_report::Slo;

/// Renders a recorded run again, also one that was killed half-way.
///
/// A report is computed from the recording alone, so the numbers are those of the run, whenever it is rendered.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony report out/enso                                   on the terminal
  prony report out/enso --format markdown -o report.md
  prony report out/enso --format json | jq .verdict
  prony report out/enso --format alerts -o alerts.yaml    Prometheus rules from the measurements
  prony report out/chat --goodput ttft:300 tpot:50        how many streamed answers held both
  prony report out/chat --definitions vllm                the same answers as vllm bench serve would have counted them
  prony report out/chat --format vllm-json -o vllm.json   the result file of vllm bench serve, for its dashboards")]
pub(crate) struct ReportArgs {
    /// Folder of the run, as given to -o.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// How to write it.
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "terminal")]
    pub format: FormatArg,
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

/// Report formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For reading in a terminal.
    Terminal,
    /// One Markdown document with every table.
    Markdown,
    /// Every number, for programs; `prony schema report` describes it.
    Json,
    /// Probes, memory limit and autoscaler for Kubernetes, as YAML.
    Kubernetes,
    /// Prometheus alert rules, as YAML.
    Alerts,
    /// Charts of throughput against interactivity, as SVG.
    Svg,
    /// The result file of vllm bench serve, of one table of streams.
    VllmJson,
    /// The result file of AIPerf, of one table of streams.
    AiperfJson,
    /// The result file of GuideLLM, of one table of streams.
    GuidellmJson,
}

impl FormatArg {
    /// The name in the registry of formats, ours or other tools'.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Kubernetes => "kubernetes",
            Self::Alerts => "alerts",
            Self::Svg => "svg",
            Self::VllmJson => "vllm-json",
            Self::AiperfJson => "aiperf-json",
            Self::GuidellmJson => "guidellm-json",
        }
    }
}
