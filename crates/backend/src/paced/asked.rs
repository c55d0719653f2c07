//! What a request asks for, from its body in one of the dialects. It knows no time and no connection.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;
use serde_json::Value;

use crate::stream_fault;

/// Most tokens of an answer.
pub(super) const TOKENS_MAX: u64 = 1_000_000;
/// Longest name of a model that is echoed.
const MODEL_MAX: usize = 256;
/// The model that a request without one gets.
pub(super) const MODEL: &str = "paced";

/// The shape of requests and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// Anthropic's Messages.
    Messages,
}

impl Dialect {
    /// The dialect of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/completions" => Some(Self::Completions),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// The same for whoever spoils streams.
    pub(super) fn of_faults(self) -> stream_fault::Dialect {
        match self {
            Self::Chat => stream_fault::Dialect::Chat,
            Self::Completions => stream_fault::Dialect::Completions,
            Self::Messages => stream_fault::Dialect::Messages,
        }
    }

    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Messages => "/v1/messages",
        }
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The shape.
    pub(super) dialect: Dialect,
    /// The model's name.
    pub(super) model: String,
    /// In events.
    pub(super) stream: bool,
    /// Whether the usage is to come in an event of its own.
    pub(super) usage: bool,
    /// Tokens of the answer, where it says.
    pub(super) tokens: Option<u64>,
    /// Words of the prompt.
    pub(super) prompt_tokens: u64,
    /// What the prompt is known by: the same prompt gets the same text.
    pub(super) digest: u64,
}

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stream_options: Option<StreamOptions>,
    messages: Option<Vec<Message>>,
    system: Option<Value>,
    prompt: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Asked {
    /// Reads a body; the error is for its sender.
    pub(super) fn read(dialect: Dialect, body: &[u8]) -> Result<Self, String> {
        let body: Body =
            serde_json::from_slice(body).map_err(|error| format!("the body does not do: {error}"))?;
        let tokens = body.max_completion_tokens.or(body.max_tokens);
        if tokens.is_some_and(|tokens| !(1..=TOKENS_MAX).contains(&tokens)) {
            return Err(format!("max_tokens must lie between 1 and {TOKENS_MAX}"));
        }
        let mut prompt = Prompt::default();
        if dialect == Dialect::Completions {
            prompt.add(body.prompt.as_ref().ok_or("prompt is needed")?);
        } else {
            let messages = body.messages.filter(|messages| !messages.is_empty());
            if let Some(system) = &body.system {
                prompt.add(system);
            }
            for message in messages.ok_or("messages must be a list of at least one")? {
                message.role.hash(&mut prompt.hasher);
                prompt.add(&message.content);
            }
        }
        if dialect == Dialect::Messages && tokens.is_none() {
            return Err("max_tokens is needed".to_owned());
        }
        let model = body.model.unwrap_or_else(|| MODEL.to_owned());
        if model.len() > MODEL_MAX {
            return Err(format!("model must have at most {MODEL_MAX} bytes"));
        }
        Ok(Self {
            dialect,
            model,
            stream: body.stream.unwrap_or_default(),
            usage: body
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or_default(),
            tokens,
            prompt_tokens: prompt.words.max(1),
            digest: prompt.hasher.finish(),
        })
    }
}

#[derive(Default)]
struct Prompt {
    words: u64,
    hasher: DefaultHasher,
}

impl Prompt {
    /// Every text in it, however deep; ids of tokens count as one each.
    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.words += text.split_ascii_whitespace().count() as u64;
                text.hash(&mut self.hasher);
            }
            Value::Number(number) => {
                self.words += 1;
                number.hash(&mut self.hasher);
            }
            Value::Array(values) => values.iter().for_each(|value| self.add(value)),
            Value::Object(fields) => {
                if let Some(text) = fields.get("text") {
                    self.add(text);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_is_read() {
        let chat = Asked::read(
            Dialect::Chat,
            br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,
                "messages":[{"role":"user","content":[{"type":"text","text":"two words"}]}],"unknown":1}"#,
        )
        .unwrap();
        assert_eq!(
            (
                chat.model.as_str(),
                chat.stream,
                chat.usage,
                chat.tokens,
                chat.prompt_tokens
            ),
            ("m", true, true, Some(7), 2)
        );
        let ids = Asked::read(Dialect::Completions, br#"{"prompt":[1,2,3]}"#).unwrap();
        assert_eq!((ids.stream, ids.tokens, ids.prompt_tokens), (false, None, 3));
        let messages = |text: &str| Asked::read(Dialect::Messages, text.as_bytes());
        let said = r#""messages":[{"role":"user","content":"Hello"}]"#;
        assert!(messages(&format!("{{{said}}}")).is_err());
        let asked = messages(&format!(r#"{{"max_tokens":3,"system":"be kind",{said}}}"#)).unwrap();
        assert_eq!(asked.prompt_tokens, 3);
    }

    #[test]
    fn the_prompt_decides_the_digest() {
        let digest = |text: &str| {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
            Asked::read(Dialect::Chat, body.as_bytes()).unwrap().digest
        };
        assert_eq!(digest("a"), digest("a"));
        assert_ne!(digest("a"), digest("b"));
        for bad in [
            "",
            "[]",
            r#"{"messages":[]}"#,
            r#"{"messages":[{"role":"user"}],"max_tokens":0}"#,
        ] {
            assert!(Asked::read(Dialect::Chat, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
