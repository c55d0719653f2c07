//! `prony model`. Wiring only: what it does is in `onnx`, which takes the feature of that name.

use prony_model::ExitCode;

use crate::cli::ModelArgs;
use crate::session::Session;

/// Measures a model.
#[cfg(feature = "onnx")]
pub(crate) fn run(args: &ModelArgs, session: &Session) -> anyhow::Result<ExitCode> {
    crate::onnx::run(args, session)
}

/// Says how to get a Prony that can.
#[cfg(not(feature = "onnx"))]
pub(crate) fn run(_: &ModelArgs, _: &Session) -> anyhow::Result<ExitCode> {
    use crate::diagnostic::Diagnostic;

    Err(
        Diagnostic::usage("this Prony was built without the feature `onnx`, which measures ONNX models")
            .next("build it as it comes: cargo install --path crates/prony, without --no-default-features")
            .next("and get the runtime, which is loaded when the command runs: pip install onnxruntime")
            .into(),
    )
}
