//! The Chat Completions API: requests into prompts, progress into completions and chunks. It knows no HTTP.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Prompt};
use super::config::Config;
use super::fields::{Fields, Type};
use super::tokens::{Mark, Stop};
use super::usage::Usage;

/// Fields that are accepted and change nothing here.
const KNOWN: &[(&str, Type)] = &[
    ("seed", Type::Whole),
    ("user", Type::Text),
    ("metadata", Type::Object),
    ("store", Type::Flag),
    ("service_tier", Type::Text),
    ("parallel_tool_calls", Type::Flag),
    ("safety_identifier", Type::Text),
    ("prompt_cache_key", Type::Text),
];
/// Tokens of an answer whose request sets no bound.
const MAX_TOKENS_DEFAULT: u64 = 4_096;

/// Reads a request to /v1/chat/completions.
pub(super) fn read(body: &Map<String, Value>, config: &Config) -> Result<Asked, Vec<Value>> {
    let mut problems = Vec::new();
    let mut fields = Fields::new(body, &mut problems);
    let model = fields.needed_text("model", 256).unwrap_or_default().to_owned();
    let mut prompt = Prompt::new();
    tools(&mut fields, &mut prompt, config);
    messages(&mut fields, &mut prompt);
    let bounds = super::anthropic::MAX_TOKENS;
    let older = fields.integer("max_tokens", bounds);
    let max_tokens = fields
        .integer("max_completion_tokens", bounds)
        .or(older)
        .unwrap_or(MAX_TOKENS_DEFAULT);
    fields.number("temperature", 0.0, 2.0);
    fields.number("top_p", 0.0, 1.0);
    fields.number("presence_penalty", -2.0, 2.0);
    fields.number("frequency_penalty", -2.0, 2.0);
    fields.integer("n", (1, 1));
    let stops = fields.texts("stop", 4, true);
    let stream = fields.flag("stream");
    let include_usage = match fields.any("stream_options") {
        None => false,
        Some(options) => match (options, options.get("include_usage")) {
            (Value::Object(_), None) => false,
            (Value::Object(_), Some(Value::Bool(on))) => *on,
            _ => {
                fields.wrong(
                    "stream_options",
                    "model_type",
                    "include_usage should be a boolean",
                );
                false
            }
        },
    };
    let session = fields.text("session_id", 256).map(str::to_owned);
    if let Some(format) = fields.any("response_format")
        && !config.lenient_input
        && format["type"].as_str() != Some("text")
    {
        fields.wrong(
            "response_format",
            "unsupported",
            "this model answers with text only",
        );
    }
    if !config.lenient_input {
        fields.typed(KNOWN);
        fields.no_others();
    }
    if problems.is_empty() {
        Ok(Asked {
            model,
            prompt: prompt.finish(),
            max_tokens: max_tokens as usize,
            stops,
            stream,
            include_usage,
            session,
        })
    } else {
        Err(problems)
    }
}

fn tools(fields: &mut Fields<'_>, prompt: &mut Prompt, config: &Config) {
    match fields.any("tools") {
        None => {}
        Some(Value::Array(tools)) if tools.iter().all(|tool| tool["function"]["name"].is_string()) => {
            for tool in tools {
                prompt.turn(Mark::Tool, &tool.to_string());
            }
        }
        Some(_) => fields.wrong(
            "tools",
            "list_type",
            "Input should be a list of functions with names",
        ),
    }
    if let Some(choice) = fields.any("tool_choice")
        && !config.lenient_input
        && !matches!(choice.as_str(), Some("auto" | "none"))
    {
        fields.wrong(
            "tool_choice",
            "unsupported",
            "this model supports 'auto' and 'none' only",
        );
    }
}

/// Reads the messages of a conversation.
pub(super) fn messages(fields: &mut Fields<'_>, prompt: &mut Prompt) {
    let list = fields.objects("messages");
    for (index, message) in list.iter().enumerate() {
        let at = vec![json!("body"), json!("messages"), json!(index)];
        let mut fields = Fields::at(message, at, fields.problems());
        let role = fields.choice("role", &["system", "developer", "user", "assistant", "tool"]);
        let mark = match role {
            Some("system" | "developer") => Mark::System,
            Some("assistant") => Mark::Model,
            Some("tool") => Mark::Tool,
            _ => Mark::User,
        };
        match (fields.any("content"), fields.any("tool_calls")) {
            (Some(Value::String(text)), _) => prompt.turn(mark, text),
            (Some(Value::Array(parts)), _) => {
                prompt.open(mark);
                for part in parts {
                    match (part["type"].as_str(), part["text"].as_str()) {
                        (Some("text"), Some(text)) => prompt.text(text),
                        (Some("image_url"), _) if part["image_url"]["url"].is_string() => prompt.picture(),
                        _ => {
                            fields.wrong(
                                "content",
                                "union_tag_invalid",
                                "a content part has no known type, or lacks its content",
                            );
                            break;
                        }
                    }
                }
                prompt.close();
            }
            (None, Some(calls)) if mark == Mark::Model => prompt.turn(mark, &calls.to_string()),
            (None, _) => fields.wrong("content", "missing", "Field required"),
            (Some(_), _) => fields.wrong(
                "content",
                "string_type",
                "Input should be a valid string or a list of content parts",
            ),
        }
    }
}

/// Why an answer ended.
pub(super) fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::MaxTokens => "length",
        Stop::EndTurn | Stop::Sequence(_) => "stop",
    }
}

/// The usage, as it is told.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read },
    })
}

/// The whole completion.
pub(super) fn completion(head: &Head, text: &str, why: &Stop, used: &Usage) -> Value {
    json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null, "finish_reason": reason(why),
        }],
        "usage": usage(used),
    })
}

/// What every chunk of an answer repeats.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The answer's id.
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// The model asked for.
    pub(super) model: String,
    /// A last chunk tells the usage.
    pub(super) include_usage: bool,
}

impl Head {
    /// The chunk before the first token.
    pub(super) fn opening(&self) -> String {
        self.choice(
            &json!({ "role": "assistant", "content": "", "refusal": null }),
            None,
        )
    }

    /// The chunk of some text. It is written once per token, so no tree is built for it.
    pub(super) fn delta(&self, text: &str) -> String {
        let (id, created, model, text) = (
            &self.id,
            self.created,
            Value::from(&*self.model),
            Value::from(text),
        );
        let usage = if self.include_usage { ",\"usage\":null" } else { "" };
        format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model},\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"logprobs\":null,\"finish_reason\":null}}]{usage}}}\n\n"
        )
    }

    /// The chunks after the last token.
    pub(super) fn closing(&self, why: &Stop, used: &Usage) -> String {
        let mut text = self.choice(&json!({}), Some(reason(why)));
        if self.include_usage {
            text.push_str(&self.chunk(&json!([]), &usage(used)));
        }
        text.push_str("data: [DONE]\n\n");
        text
    }

    fn choice(&self, delta: &Value, finish: Option<&str>) -> String {
        let choices = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
        self.chunk(&choices, &Value::Null)
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> String {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_text_is_the_chunk_it_would_be_as_a_tree() {
        for include_usage in [false, true] {
            let head = Head {
                id: "chatcmpl-1".to_owned(),
                created: 7,
                model: "a \"model\"".to_owned(),
                include_usage,
            };
            let text = " \"x\"\n\\";
            assert_eq!(head.delta(text), head.choice(&json!({ "content": text }), None));
        }
    }
}
