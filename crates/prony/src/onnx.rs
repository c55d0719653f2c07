//! `prony model`: an ONNX model, measured in fresh processes of our own. Each loads onnxruntime's library and the model anew, so that a
//! cold start is one, memory is the model's, and a crash ends nothing else.
//!
//! What follows from the numbers is concluded in `prony_experiments::onnx`. It shares no code with the reference backend.

mod ask;
mod bench;
mod children;
mod library;
mod probe;
mod record;
mod runtime;
mod shapes;

use std::path::PathBuf;

use prony_experiments::{Check, onnx::NAME};
use prony_model::{ExitCode, Gate};

use crate::cli::ModelArgs;
use crate::diagnostic::{Diagnostic, nearest};
use crate::session::Session;

/// Name of the phase that gates on a metric look at.
const STEADY: &str = "steady";

/// Measures the model, or is one of the processes that run it.
pub(crate) fn run(args: &ModelArgs, session: &Session) -> anyhow::Result<ExitCode> {
    if args.probe {
        session.print(&probe::serve()?)?;
        return Ok(ExitCode::Pass);
    }
    if !args.model.is_file() {
        return Err(
            Diagnostic::usage(format!("there is no file {}", args.model.display()))
                .next("name a model in the ONNX format: prony model FILE.onnx")
                .into(),
        );
    }
    let environment = std::env::var_os("VIRTUAL_ENV")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    // A variable that is set to nothing is not set.
    let told = args
        .onnxruntime
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty());
    let library = library::find(told, environment.as_deref())?;
    let gates = gates(&args.gates)?;
    bench::run(args, library, &gates, session)
}

/// The gates as a suite would state them.
fn gates(texts: &[String]) -> Result<Vec<Gate>, Diagnostic> {
    texts.iter().map(|text| gate(text)).collect()
}

fn gate(text: &str) -> Result<Gate, Diagnostic> {
    let phase = match Check::parse(text) {
        Ok(Check::Metric { .. }) => format!("{NAME}/{STEADY}"),
        Ok(Check::Figure { .. } | Check::Finding { .. }) => String::new(),
        Err(error) => {
            let name = text
                .split(|c: char| "<>=! ".contains(c))
                .next()
                .unwrap_or_default();
            let wrong = Diagnostic::usage(format!("--gate {text:?}: {error}"));
            return Err(match nearest(name, error.known()) {
                Some(meant) => wrong.next(format!("did you mean `{meant}`?")),
                None => wrong.next("write it as 'p99_ms <= 40' or 'finding.memory-growth = \"pass\"'"),
            });
        }
    };
    Ok(Gate {
        phase,
        scenario: None,
        check: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::gate;

    #[test]
    fn gates_are_on_the_steady_phase_or_on_findings() {
        assert_eq!(gate("p99_ms <= 40").unwrap().phase, "onnx/steady");
        assert_eq!(gate("finding.memory-growth = \"pass\"").unwrap().phase, "");
        let wrong = gate("p99 <= 40").unwrap_err().render(false);
        assert!(wrong.contains("p99_ms"), "{wrong}");
    }
}
