//! `prony load --search` and `--sweep`: the load of one URL as the scenario of an experiment, run and reported like a suite. Wiring
//! only.

use std::path::PathBuf;

use prony_model::{ExitCode, Suite};
use serde_json::{Value, json};

use super::plan::Plan;
use crate::cli::LoadArgs;
use crate::diagnostic::Diagnostic;
use crate::runner::{self, RunRequest};
use crate::sending::Secrets;
use crate::session::Session;

/// Seconds of a search or a sweep when none are given.
const SEARCH_S: f64 = 300.0;
const SWEEP_S: f64 = 120.0;

/// Runs the experiment that was asked for.
pub(super) fn run(
    args: &LoadArgs,
    plan: Plan,
    secrets: Secrets,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let mut suite = plan.suite;
    let scenario = &suite.scenario[0];
    let (name, params) = experiment(args, &scenario.name);
    suite.phase.clear();
    suite.experiment.insert(name.to_owned(), params);
    runner::run(
        RunRequest {
            suite,
            surface: None,
            preparation: None,
            secrets,
            base_dir: PathBuf::new(),
            output: args.send.output.clone(),
            json: args.send.json,
            duration_max: None,
        },
        session,
    )
}

/// Limits, a search and a sweep are of streams only.
pub(super) fn check(args: &LoadArgs, suite: &Suite) -> Result<(), Diagnostic> {
    let asked = args.slo.is_some() || args.search || args.sweep;
    let scenario = &suite.scenario[0];
    let streams = match &scenario.http {
        Some(http) => http.expect.stream.is_some(),
        None => scenario.kserve.is_none() && !args.prompts.no_stream,
    };
    if !asked || streams {
        return Ok(());
    }
    Err(
        Diagnostic::usage("--slo, --search and --sweep are for streams of tokens")
            .next("add --stream openai-chat, or --openai MODEL without --no-stream"),
    )
}

/// Its name and its parameters.
fn experiment(args: &LoadArgs, scenario: &str) -> (&'static str, Value) {
    let seconds = |default: f64| args.send.duration.map_or(default, |d| d.as_secs_f64());
    if args.search {
        let params = json!({ "scenarios": [scenario], "slo": args.slo, "duration_s": seconds(SEARCH_S), "tier": "quick" });
        ("capacity", params)
    } else {
        let params = json!({ "scenarios": [scenario], "duration_s": seconds(SWEEP_S) });
        ("interactivity", params)
    }
}
