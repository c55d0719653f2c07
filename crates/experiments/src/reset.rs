//! Emptying a server's cache before a part of a measurement, where the suite asks for it: never otherwise, since others may be
//! using it. It knows how two engines name the call, and judges only whether it was answered.

use prony_model::{
    Capture, Expect, Finding, Item, Limits, Outcome, Phase, PhaseResult, Request, Scenario, Severity, Shape,
    Verdict,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::{ParamError, RunView};

/// What a phase of it is called, with its number.
const PHASE: &str = "cache reset";
/// The scenario.
const SCENARIO: &str = "reset";

/// The request that empties the cache of the server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Reset {
    /// `vllm` (POST /reset_prefix_cache, in its development mode) or `sglang` (POST /flush_cache).
    Named(Engine),
    /// Any other.
    Call(Call),
}

/// Engines whose call is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// `POST /reset_prefix_cache`.
    Vllm,
    /// `POST /flush_cache`.
    Sglang,
}

/// A request without a body.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// By default POST.
    #[serde(default = "post")]
    pub method: String,
    /// Path with query, from the root of the target.
    pub path: String,
}

fn post() -> String {
    "POST".to_owned()
}

impl Reset {
    /// Whether it can be sent.
    pub(crate) fn check(&self) -> Result<(), ParamError> {
        let (method, path) = self.call();
        let is_word = !method.is_empty() && method.chars().all(|c| c.is_ascii_alphabetic());
        if !is_word || !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ParamError {
                message: "`reset` is \"vllm\", \"sglang\" or { method = \"POST\", path = \"/...\" }"
                    .to_owned(),
            });
        }
        Ok(())
    }

    fn call(&self) -> (String, String) {
        match self {
            Self::Named(Engine::Vllm) => (post(), "/reset_prefix_cache".to_owned()),
            Self::Named(Engine::Sglang) => (post(), "/flush_cache".to_owned()),
            Self::Call(call) => (call.method.to_ascii_uppercase(), call.path.clone()),
        }
    }

    /// The phase that sends it once.
    pub(crate) fn phase(&self, run: &RunView<'_>, experiment: &str, limits: &Limits) -> Phase {
        let (method, path) = self.call();
        let item = Item {
            request: Request {
                method,
                ..Request::get(path)
            },
            expect: Expect::default(),
        };
        Phase {
            name: format!("{PHASE} {}", made(run, experiment).count() + 1),
            experiment: experiment.to_owned(),
            scenarios: vec![Scenario::new(SCENARIO, vec![item])],
            shape: Shape::Once { duration_s: None },
            limits: limits.clone(),
            capture: Capture::NONE,
        }
    }
}

fn made<'a>(run: &RunView<'a>, experiment: &str) -> impl Iterator<Item = &'a PhaseResult> {
    let all: Vec<&PhaseResult> = run
        .of(experiment)
        .filter(|p| p.phase.name.starts_with(PHASE))
        .collect();
    all.into_iter()
}

/// Whether the cache was emptied as often as it was asked to; nothing where it was not asked to.
pub(crate) fn finding(run: &RunView<'_>, experiment: &str) -> Option<Finding> {
    let phases: Vec<&PhaseResult> = made(run, experiment).collect();
    let last = *phases.last()?;
    let answers = || phases.iter().flat_map(|p| &p.samples);
    let refused = answers().find(|s| s.outcome != Outcome::Ok);
    let n = answers().count();
    let good = answers().filter(|s| s.outcome == Outcome::Ok).count();
    let evidence = source(last, SCENARIO);
    let label = last.phase.scenarios[0].items[0].request.label();
    let draft = Draft::new(experiment, "cache-reset", "").advisory().figure(
        "resets that were answered well",
        good as f64,
        "requests",
        n,
        &evidence,
    );
    Some(match refused {
        None => draft
            .title(format!("The cache was emptied {good} times, by {label}"))
            .done(),
        Some(sample) => draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "The cache was not emptied: {} of {n} times {label} {}",
                n - good,
                sample.outcome.says()
            ))
            .detail(
                "What was cached before may have been found again. vLLM has the call only in its development mode (VLLM_SERVER_DEV_MODE=1).",
            )
            .done(),
    })
}
