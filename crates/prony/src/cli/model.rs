//! `prony model`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::units::duration;

/// Measures an ONNX model by itself, without a server around it.
///
/// onnxruntime runs the model in processes of Prony's own: how long it takes from a fresh process to the first output, how long an
/// inference takes, what more callers, threads or a larger batch bring, how much memory it needs and whether that grows, and whether
/// the outputs are finite, repeatable, different for different inputs and of the declared shape. Inputs are made up from what the model
/// declares, so nothing is said of whether an output is right.
///
/// It takes the library of onnxruntime, which it loads when it runs: `pip install onnxruntime`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  prony model yolo.onnx                                   # about two minutes
  prony model yolo.onnx --quick                           # about half a minute
  prony model yolo.onnx --shape images=1x3x640x640        # sizes of dynamic axes
  prony model bert.onnx --shape input_ids=1x128 --range input_ids=0:30000
  prony model yolo.onnx --gate 'p99_ms <= 40' --gate 'finding.memory-growth = \"pass\"' -o out/yolo
  prony model yolo.onnx --onnxruntime .venv --json | jq .verdict")]
pub(crate) struct ModelArgs {
    /// The model's file.
    #[arg(value_name = "FILE.onnx")]
    pub model: PathBuf,
    /// The library of onnxruntime, or a folder that holds it: a virtual environment, for instance. By default that of the active
    /// virtual environment.
    #[arg(
        long,
        value_name = "PATH",
        env = "ORT_DYLIB_PATH",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "Model"
    )]
    pub onnxruntime: Option<PathBuf>,
    /// Shape of an input, for its dynamic axes: images=1x3x640x640. Repeat for more. By default one input, three channels of 224 x
    /// 224 for pictures, and 16 for any other dynamic axis.
    #[arg(long = "shape", value_name = "NAME=SHAPE", value_parser = shape, help_heading = "Model")]
    pub shapes: Vec<(String, Vec<i64>)>,
    /// Range of the values of an input: input_ids=0:30000. Repeat for more. By default 0:1, for whole numbers too.
    #[arg(long = "range", value_name = "NAME=LOW:HIGH", value_parser = range, help_heading = "Model")]
    pub ranges: Vec<(String, (f64, f64))>,
    /// Threads within an operator, where nothing else is measured. By default one for each core.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1024),
        help_heading = "Model"
    )]
    pub threads: Option<u32>,
    /// Take about half a minute: fewer inferences, wider intervals, growth of memory for quick models only.
    #[arg(long, help_heading = "Depth")]
    pub quick: bool,
    /// Look so long at most whether memory grows: 5m. By default 60s, or 10s with --quick. A conclusion takes 10,000 inferences; where
    /// they do not fit, it is not looked at.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Depth")]
    pub memory_time: Option<Duration>,
    /// Longest wait for one process to load the model and to answer, beside the time that it is to run. Default 5m.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub timeout: Option<Duration>,
    /// Seed of the inputs: the same seed makes the same inputs. Default 1.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64),
        help_heading = "Limits"
    )]
    pub seed: Option<u64>,
    /// Condition that decides the verdict too: of the inferences after the warm-up as 'p99_ms <= 40', of a finding as
    /// 'finding.ID = "pass"'. Repeat for more.
    #[arg(long = "gate", value_name = "CHECK", help_heading = "Objective")]
    pub gates: Vec<String>,
    /// Folder for the recording and the report. It must be new or empty.
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Print one JSON document on standard output instead of text.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Be one of the processes that run the model: read a job, answer it.
    #[arg(long, hide = true)]
    pub probe: bool,
}

/// `NAME=1x3x640x640`.
fn shape(text: &str) -> Result<(String, Vec<i64>), String> {
    let wrong = || format!("{text:?} is no shape; write NAME=1x3x640x640, with sizes from 1 on");
    let (name, sizes) = text.rsplit_once('=').ok_or_else(wrong)?;
    let sizes: Option<Vec<i64>> = sizes
        .split(['x', 'X', ','])
        .map(|size| size.trim().parse().ok().filter(|size| *size > 0))
        .collect();
    match sizes {
        Some(sizes) if !name.trim().is_empty() => Ok((name.trim().to_owned(), sizes)),
        _ => Err(wrong()),
    }
}

/// `NAME=LOW:HIGH`.
fn range(text: &str) -> Result<(String, (f64, f64)), String> {
    let wrong = || format!("{text:?} is no range; write NAME=0:30000, the lower end first");
    let (name, ends) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (low, high) = ends.split_once(':').ok_or_else(wrong)?;
    let number = |end: &str| end.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low < high && (high - low).is_finite() && !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), (low, high)))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::{range, shape};

    #[test]
    fn shapes_and_ranges_have_a_name() {
        assert_eq!(
            shape("images=1x3x640x640"),
            Ok(("images".into(), vec![1, 3, 640, 640]))
        );
        assert_eq!(shape("a=b = 2, 8"), Ok(("a=b".into(), vec![2, 8])));
        assert_eq!(range("ids=0:30000"), Ok(("ids".into(), (0.0, 30_000.0))));
        assert_eq!(range("x=-1.5:1"), Ok(("x".into(), (-1.5, 1.0))));
        for wrong in ["1x3", "=1x3", "x=", "x=0x3", "x=-1x3", "x=axb"] {
            assert!(shape(wrong).unwrap_err().contains("is no shape"), "{wrong}");
        }
        for wrong in ["x", "x=1", "x=2:1", "x=1:1", "x=a:b", "=0:1", "x=0:inf"] {
            assert!(range(wrong).unwrap_err().contains("is no range"), "{wrong}");
        }
    }
}
