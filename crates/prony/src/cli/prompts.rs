//! The flags of prompts for a language model: what `prony load` asks, in place of one request. It must not know how the
//! prompts are made.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use prony_model::{OpenaiApi, SharedSpec};

/// Flags of `load` for language models.
#[derive(Args, Clone, Debug, Default)]
#[command(group(ArgGroup::new("llm").args(["openai", "anthropic"]).conflicts_with_all([
    "method", "body", "body_file", "content_type", "expect_body", "expect_status", "stream",
])))]
pub(crate) struct PromptArgs {
    /// Ask this model of an OpenAI-compatible API, as `vllm bench serve` does: prompts from a built-in text, answers as
    /// streams. Without a path in the URL it is the usual one.
    #[arg(
        long,
        value_name = "MODEL",
        conflicts_with = "anthropic",
        help_heading = "Language models"
    )]
    pub openai: Option<String>,
    /// Ask this model of Anthropic's Messages API.
    #[arg(long, value_name = "MODEL", help_heading = "Language models")]
    pub anthropic: Option<String>,
    /// Endpoint of the OpenAI-compatible API.
    #[arg(
        long,
        value_name = "API",
        default_value = "chat",
        requires = "openai",
        conflicts_with = "anthropic",
        help_heading = "Language models"
    )]
    pub api: ApiArg,
    /// Length of a prompt in tokens, exact with --tokenizer and estimated without.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=2_000_000),
        requires = "llm",
        help_heading = "Language models"
    )]
    pub prompt_tokens: u32,
    /// Most output tokens of an answer.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 128,
        value_parser = clap::value_parser!(u32).range(1..=2_000_000),
        requires = "llm",
        help_heading = "Language models"
    )]
    pub output_tokens: u32,
    /// Force that length with min_tokens and ignore_eos, where the server has them: an answer with fewer tokens is then a
    /// failure.
    #[arg(
        long,
        requires = "openai",
        conflicts_with = "anthropic",
        help_heading = "Language models"
    )]
    pub exact_output: bool,
    /// File tokenizer.json of the model.
    #[arg(long, value_name = "FILE", requires = "llm", help_heading = "Language models")]
    pub tokenizer: Option<PathBuf>,
    /// Let prompts share their first tokens, to try a prefix cache: so many, in how many groups, and how unequally the
    /// groups are used. 1024:8:1.0 is 1,024 tokens, 8 groups, Zipf exponent 1.
    #[arg(
        long,
        value_name = "TOKENS[:GROUPS[:ZIPF]]",
        value_parser = shared,
        requires = "llm",
        help_heading = "Language models"
    )]
    pub shared_prefix: Option<SharedSpec>,
    /// Begin every prompt with a few words of its own, so that no cache holds any of it.
    #[arg(long, requires = "llm", help_heading = "Language models")]
    pub cache_bust: bool,
    /// Different prompts, sent again and again. Default: as many as requests with -n, at most 256 without.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        requires = "llm",
        help_heading = "Language models"
    )]
    pub prompts: Option<u32>,
    /// Ask for whole answers instead of streams.
    #[arg(long, requires = "llm", help_heading = "Language models")]
    pub no_stream: bool,
    /// Further keys of every request, as a JSON object: '{"temperature":0}'.
    #[arg(long, value_name = "JSON", requires = "llm", help_heading = "Language models")]
    pub extra: Option<String>,
}

/// The endpoints of OpenAI's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ApiArg {
    /// /v1/chat/completions.
    #[default]
    Chat,
    /// /v1/completions.
    Completions,
    /// /v1/responses.
    Responses,
    /// /v1/embeddings.
    Embeddings,
}

impl From<ApiArg> for OpenaiApi {
    fn from(api: ApiArg) -> Self {
        match api {
            ApiArg::Chat => Self::Chat,
            ApiArg::Completions => Self::Completions,
            ApiArg::Responses => Self::Responses,
            ApiArg::Embeddings => Self::Embeddings,
        }
    }
}

/// `1024`, `1024:8` or `1024:8:1.0`.
fn shared(text: &str) -> Result<SharedSpec, String> {
    let wrong = || {
        format!("{text:?} is no shared beginning; write tokens, groups and a Zipf exponent, as in 1024:8:1.0")
    };
    let mut parts = text.split(':');
    let whole = |part: Option<&str>| match part {
        None => Some(1),
        Some(part) => part.parse().ok().filter(|n| *n > 0),
    };
    let tokens = whole(parts.next()).ok_or_else(wrong)?;
    let groups = whole(parts.next()).ok_or_else(wrong)?;
    let zipf = parts.next().map_or(Some(0.0), |part| part.parse().ok());
    match (zipf, parts.next()) {
        (Some(zipf), None) if zipf >= 0.0 && f64::is_finite(zipf) => Ok(SharedSpec { tokens, groups, zipf }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn shared_beginnings() {
        let read = |text: &str| shared(text).map(|s| (s.tokens, s.groups, s.zipf));
        assert_eq!(read("1024"), Ok((1024, 1, 0.0)));
        assert_eq!(read("1024:8"), Ok((1024, 8, 0.0)));
        assert_eq!(read("10:8:0.5"), Ok((10, 8, 0.5)));
        for wrong in ["", "0", "a", "1:0", "1:2:-1", "1:2:3:4", "1:2:inf"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
