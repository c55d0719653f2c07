//! The way in: from a scenario's table to items, a flow and feeds.

use std::path::Path;

use prony_model::{AnthropicSpec, Flow, Item, OpenaiApi, OpenaiSpec, Slots};

use crate::PromptError;
use crate::make::{Made, make};
use crate::render::{Api, items, salt_feeds, session};
use crate::wanted::Wanted;

/// What a scenario sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// The requests; with a flow its steps.
    pub items: Vec<Item>,
    /// The turns of a session.
    pub flow: Option<Flow>,
    /// What is filled in for every arrival.
    pub slots: Option<Slots>,
    /// How many prompts, how their tokens were counted, what was left out: for people.
    pub notes: Vec<String>,
}

/// The requests of `[scenario.openai]`; files are looked for from `folder` on.
pub fn openai(spec: &OpenaiSpec, folder: &Path, seed: u64) -> Result<Workload, PromptError> {
    if let Some(path) = &spec.path {
        check_path(path)?;
    }
    let joined = matches!(spec.api, OpenaiApi::Completions | OpenaiApi::Embeddings);
    if spec.api == OpenaiApi::Embeddings && spec.output.exact {
        return Err(PromptError::new(
            "output.exact",
            "embeddings have no output tokens",
            "remove `output`",
        ));
    }
    if joined && !spec.tools.is_empty() {
        return Err(PromptError::new(
            "tools",
            "this endpoint knows no tools",
            "use `api = \"chat\"` or `\"responses\"`",
        ));
    }
    crate::choose::check_length(&spec.output.tokens, "output.tokens")?;
    let wanted = Wanted {
        prompt: &spec.prompt,
        system: spec.system.as_deref(),
        output: &spec.output.tokens,
        model: &spec.model,
        prompts: spec.prompts,
        session: spec.session.as_ref(),
        images: spec.images,
        joined,
    };
    Ok(workload(spec, &make(&wanted, folder, seed)?, &wanted))
}

/// The requests of `[scenario.anthropic]`; files are looked for from `folder` on.
pub fn anthropic(spec: &AnthropicSpec, folder: &Path, seed: u64) -> Result<Workload, PromptError> {
    if let Some(path) = &spec.path {
        check_path(path)?;
    }
    if spec.version.is_empty()
        || spec
            .version
            .contains(|c: char| c.is_ascii_control() || !c.is_ascii())
    {
        return Err(PromptError::new(
            "version",
            "this cannot stand in a header",
            "write a date such as 2023-06-01",
        ));
    }
    crate::choose::check_length(&spec.max_tokens, "max_tokens")?;
    if let Some(budget) = spec.thinking_tokens
        && (budget == 0 || budget >= crate::choose::shortest(&spec.max_tokens))
    {
        return Err(PromptError::new(
            "thinking_tokens",
            "the model must be left tokens to answer with after it has thought",
            "write less than `max_tokens`, or remove it",
        ));
    }
    if spec.cache_control && spec.system.is_none() && spec.prompt.shared.is_none() {
        return Err(PromptError::new(
            "cache_control",
            "there is no beginning to mark",
            "add `prompt.shared = { tokens = 1024 }` or `system`",
        ));
    }
    let wanted = Wanted {
        prompt: &spec.prompt,
        system: spec.system.as_deref(),
        output: &spec.max_tokens,
        model: &spec.model,
        prompts: spec.prompts,
        session: spec.session.as_ref(),
        images: spec.images,
        joined: false,
    };
    Ok(workload(spec, &make(&wanted, folder, seed)?, &wanted))
}

fn workload(api: &impl Api, made: &Made, wanted: &Wanted<'_>) -> Workload {
    let mut found = match wanted.session {
        Some(spec) => {
            let (items, flow, slots) = session(api, made, spec);
            Workload {
                items,
                flow: Some(flow),
                slots: Some(slots),
                notes: Vec::new(),
            }
        }
        None => Workload {
            items: items(api, made),
            ..Workload::default()
        },
    };
    salt_feeds(made, &mut found.slots);
    found.notes.clone_from(&made.notes);
    found
}

fn check_path(path: &str) -> Result<(), PromptError> {
    if path.starts_with('/') && !path.contains(|c: char| c.is_ascii_control() || c == ' ' || !c.is_ascii()) {
        return Ok(());
    }
    Err(PromptError::new(
        "path",
        "a path starts with / and is percent-encoded",
        "host and scheme belong into `[target] url`",
    ))
}
