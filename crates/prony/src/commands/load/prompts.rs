//! From the flags of a language model to the tables that a suite would have. Makes no prompt.

use std::collections::BTreeMap;

use prony_model::{AnthropicSpec, Length, ModelSpec, OpenaiSpec, OutputSpec, PromptSpec, ScenarioSpec};
use serde_json::Value;

use crate::cli::{LoadArgs, PromptArgs};
use crate::diagnostic::Diagnostic;

/// Different prompts when neither they nor the requests are counted.
const PROMPTS: u32 = 256;

/// Turns the one request of a scenario into prompts, where a model was named. A path that was given stands.
pub(super) fn apply(args: &LoadArgs, scenario: &mut ScenarioSpec) -> Result<(), Diagnostic> {
    let flags = &args.prompts;
    if flags.openai.is_none() && flags.anthropic.is_none() {
        return Ok(());
    }
    if scenario.kserve.is_some() {
        return Err(
            Diagnostic::usage("a KServe V2 server takes no prompts for --openai or --anthropic")
                .next("give the http:// URL of the server's OpenAI API, or leave the flag out"),
        );
    }
    let path = scenario
        .http
        .take()
        .map(|http| http.path)
        .filter(|path| path != "/");
    let prompts = flags.prompts.unwrap_or_else(|| {
        args.requests
            .map_or(PROMPTS, |n| n.min(u64::from(PROMPTS)) as u32)
    });
    let prompt = prompt(flags)?;
    let extra = extra(flags)?;
    if let Some(model) = &flags.openai {
        scenario.openai = Some(OpenaiSpec {
            api: flags.api.into(),
            stream: !flags.no_stream,
            path,
            prompts,
            prompt,
            output: OutputSpec {
                tokens: Length::Constant(flags.output_tokens),
                exact: flags.exact_output,
                field: None,
            },
            extra,
            ..OpenaiSpec::new(model.clone())
        });
    } else if let Some(model) = &flags.anthropic {
        scenario.anthropic = Some(AnthropicSpec {
            stream: !flags.no_stream,
            path,
            prompts,
            prompt,
            max_tokens: Length::Constant(flags.output_tokens),
            extra,
            ..AnthropicSpec::new(ModelSpec::One(model.clone()))
        });
    }
    Ok(())
}

fn prompt(flags: &PromptArgs) -> Result<PromptSpec, Diagnostic> {
    let tokenizer = match &flags.tokenizer {
        None => None,
        Some(file) => Some(
            file.to_str()
                .ok_or_else(|| Diagnostic::usage("the name of the tokenizer is not UTF-8"))?
                .to_owned(),
        ),
    };
    Ok(PromptSpec {
        tokens: Length::Constant(flags.prompt_tokens),
        tokenizer,
        shared: flags.shared_prefix,
        cache_bust: flags.cache_bust,
        ..PromptSpec::default()
    })
}

fn extra(flags: &PromptArgs) -> Result<BTreeMap<String, Value>, Diagnostic> {
    let Some(text) = &flags.extra else {
        return Ok(BTreeMap::new());
    };
    let wrong = |why: String| {
        Diagnostic::usage(format!("--extra {why}")).next("for instance --extra '{\"temperature\":0}'")
    };
    let extra: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|e| wrong(format!("is no JSON object: {e}")))?;
    // A recorded suite is TOML, which has no null.
    match extra.iter().find(|(_, value)| holds_null(value)) {
        Some((key, _)) => Err(wrong(format!("has a null in `{key}`: leave it out instead"))),
        None => Ok(extra),
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}
