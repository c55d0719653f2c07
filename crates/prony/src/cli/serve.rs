//! `prony serve`.

use std::path::PathBuf;

use clap::Args;

use super::units::{key_value, ratio};

/// Starts the reference backend: a real HTTP service whose faults are known, to try Prony on.
///
/// It shares no code with the measuring side. The service port behaves as the preset says; the admin port tells
/// the truth (true service times, counts, faults in force) and is for tests.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony serve --list                        # the presets and their knobs
  prony serve enso --port 8003              # the pathology API with its faults
  prony serve enso-fixed --port 8003        # the same without them
  prony serve enso --seed 7 --slides ./images
  prony serve enso-fixed --set fault_delay=lognormal --set fault_delay_ms=20
                                            # a fault that any preset can be given
  prony serve all --admin-port 8004         # every preset, with an index of them
  prony serve vision-fixed --model yolo11n.onnx
                                            # your own ONNX model behind the detection API
  prony serve media --stdio                 # an MCP server, to be started by an MCP client
  prony serve truth --list                  # every property of the truth server that is a knob
  prony serve truth --admin-port 8004 --set servers=4 --set service=exp --set queue_max=8")]
pub(crate) struct ServeArgs {
    /// Preset to serve; `all` serves every one, each on a port of its own.
    #[arg(value_name = "PRESET", required_unless_present = "list")]
    pub preset: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// Port of the service; 0 takes a free one and prints it.
    #[arg(long, value_name = "PORT", default_value_t = 8003)]
    pub port: u16,
    /// Port that tells the truth to tests; 0 takes a free one. Without it there is none.
    #[arg(long, value_name = "PORT")]
    pub admin_port: Option<u16>,
    /// Set a knob of the preset, or a common one; with `all`, a common one or PRESET.KNOB. Repeat for more.
    #[arg(long = "set", value_name = "KNOB=VALUE", value_parser = key_value)]
    pub knobs: Vec<(String, String)>,
    /// Folder with images to serve as slides; generated ones by default.
    #[arg(long, value_name = "DIR")]
    pub slides: Option<PathBuf>,
    /// An ONNX model of your own that answers in the place of the preset's: a detector (YOLO 8 to 12, RT-DETR) or a classifier, for
    /// `vision-fixed`, or for `vision` without its placeholders. It takes the library of onnxruntime: `pip install onnxruntime`.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The library of onnxruntime for --model, or a folder that holds it. By default the one that ORT_DYLIB_PATH names, else that of
    /// the active virtual environment.
    #[arg(long, value_name = "PATH", requires = "model")]
    pub onnxruntime: Option<PathBuf>,
    /// Seed of everything random in the backend.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// How long the imitated platform's own times take, over what they are called: 1/60 makes two minutes two
    /// seconds.
    #[arg(long, value_name = "RATIO", default_value = "1", value_parser = ratio)]
    pub time_scale: f64,
    /// Write a line of JSON per request to standard error.
    #[arg(long)]
    pub log: bool,
    /// Speak over standard input and output instead of a port: for presets of protocols that do (media). Where the rest
    /// listens is told on standard error; it ends when standard input closes.
    #[arg(long, conflicts_with_all = ["port", "until_stdin_closes"])]
    pub stdio: bool,
    /// Stop when standard input closes: for whoever starts this as a part of something else.
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// List presets and knobs, then exit.
    #[arg(long)]
    pub list: bool,
}
