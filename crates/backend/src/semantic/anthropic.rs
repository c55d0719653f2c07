//! The Messages API: requests into prompts, progress into messages and events. It knows no HTTP.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Prompt};
use super::config::Config;
use super::fields::{Fields, Type};
use super::tokens::{Mark, Stop};
use super::usage::Usage;

/// Fields that are accepted and change nothing here.
const KNOWN: &[(&str, Type)] = &[
    ("metadata", Type::Object),
    ("service_tier", Type::Text),
    ("cache_control", Type::Object),
];
/// Content that is read as the text of its JSON.
const OPAQUE: &[&str] = &[
    "tool_use",
    "tool_result",
    "document",
    "thinking",
    "redacted_thinking",
];
/// Most tokens of an answer, and longest stop sequences.
pub(super) const MAX_TOKENS: (u64, u64) = (1, 65_536);
const STOPS_MAX: usize = 64;

/// Reads a request to /v1/messages, or to count its tokens.
pub(super) fn read(
    body: &Map<String, Value>,
    config: &Config,
    count_only: bool,
) -> Result<Asked, Vec<Value>> {
    let mut problems = Vec::new();
    let mut fields = Fields::new(body, &mut problems).null_refused(!config.lenient_input);
    let model = fields.needed_text("model", 256).unwrap_or_default().to_owned();
    let mut prompt = Prompt::new();
    system(&mut fields, &mut prompt);
    tools(&mut fields, &mut prompt, config);
    messages(&mut fields, &mut prompt);
    let max_tokens = if count_only {
        1
    } else {
        fields.needed_integer("max_tokens", MAX_TOKENS).unwrap_or(1)
    };
    fields.number("temperature", 0.0, 2.0);
    fields.number("top_p", 0.0, 1.0);
    fields.integer("top_k", (0, 1_000_000));
    let stream = fields.flag("stream");
    let stops = fields.texts("stop_sequences", STOPS_MAX, false);
    thinking(&mut fields, config);
    let session = fields.text("session_id", 256).map(str::to_owned);
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
            include_usage: true,
            session,
        })
    } else {
        Err(problems)
    }
}

fn system(fields: &mut Fields<'_>, prompt: &mut Prompt) {
    let Some(value) = fields.any("system") else {
        return;
    };
    match value {
        Value::String(text) => prompt.turn(Mark::System, text),
        Value::Array(blocks) if blocks.iter().all(|block| block["text"].is_string()) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            prompt.turn(Mark::System, &texts.join("\n"));
        }
        _ => fields.wrong(
            "system",
            "string_type",
            "Input should be a valid string or a list of text blocks",
        ),
    }
}

fn tools(fields: &mut Fields<'_>, prompt: &mut Prompt, config: &Config) {
    match fields.any("tools") {
        None => {}
        Some(Value::Array(tools)) if tools.iter().all(|tool| tool["name"].is_string()) => {
            for tool in tools {
                prompt.turn(Mark::Tool, &tool.to_string());
            }
        }
        Some(_) => fields.wrong("tools", "list_type", "Input should be a list of tools with names"),
    }
    // This model never calls a tool: it may decline, but it must not be told that it has to.
    if let Some(choice) = fields.any("tool_choice")
        && !config.lenient_input
        && !matches!(choice["type"].as_str(), Some("auto" | "none"))
    {
        fields.wrong(
            "tool_choice",
            "unsupported",
            "this model supports 'auto' and 'none' only",
        );
    }
}

fn thinking(fields: &mut Fields<'_>, config: &Config) {
    let Some(value) = fields.any("thinking") else {
        return;
    };
    let Some(object) = value.as_object() else {
        fields.wrong("thinking", "model_type", "Input should be an object");
        return;
    };
    let mut inner = Fields::at(object, vec![json!("body"), json!("thinking")], fields.problems());
    let kind = inner.choice("type", &["enabled", "disabled"]);
    inner.integer("budget_tokens", (0, 32_000));
    if kind == Some("enabled") && !config.lenient_input {
        inner.wrong("type", "unsupported", "this model does not support thinking");
    }
}

fn messages(fields: &mut Fields<'_>, prompt: &mut Prompt) {
    let list = fields.objects("messages");
    let mut roles = Vec::new();
    for (index, message) in list.iter().enumerate() {
        let at = vec![json!("body"), json!("messages"), json!(index)];
        let mut fields = Fields::at(message, at, fields.problems());
        let role = fields.choice("role", &["user", "assistant"]);
        let mark = if role == Some("assistant") {
            Mark::Model
        } else {
            Mark::User
        };
        match fields.needed("content") {
            None => {}
            Some(Value::String(text)) => prompt.turn(mark, text),
            Some(Value::Array(blocks)) => {
                prompt.open(mark);
                for block in blocks {
                    if !content(block, prompt) {
                        fields.wrong(
                            "content",
                            "union_tag_invalid",
                            "a content block has no known type, or lacks its content",
                        );
                        break;
                    }
                }
                prompt.close();
            }
            Some(_) => fields.wrong(
                "content",
                "string_type",
                "Input should be a valid string or a list of content blocks",
            ),
        }
        roles.push(role);
    }
    if roles.first().is_some_and(|role| *role == Some("assistant")) {
        fields.whole_wrong("First message must be from user");
    } else if roles
        .windows(2)
        .any(|pair| pair[0].is_some() && pair[0] == pair[1])
    {
        fields.whole_wrong("Messages must alternate between user and assistant");
    }
}

fn content(block: &Value, prompt: &mut Prompt) -> bool {
    match (block["type"].as_str(), block["text"].as_str()) {
        (Some("text"), Some(text)) => prompt.text(text),
        (Some("image"), _) if block["source"].is_object() => prompt.picture(),
        (Some(kind), _) if OPAQUE.contains(&kind) => prompt.text(&block.to_string()),
        _ => return false,
    }
    true
}

fn stop(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::EndTurn => ("end_turn", None),
        Stop::MaxTokens => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", Some(sequence)),
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_creation,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    })
}

/// The whole message.
pub(super) fn message(id: &str, model: &str, text: &str, why: &Stop, used: &Usage) -> Value {
    let (reason, sequence) = stop(why);
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model,
        "content": [{ "type": "text", "text": text }],
        "stop_reason": reason, "stop_sequence": sequence, "usage": usage(used),
    })
}

/// The events before the first token.
pub(super) fn opening(id: &str, model: &str, used: &Usage) -> String {
    let start = json!({ "type": "message_start", "message": {
        "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(&Usage { output: 1, ..*used }),
    } });
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    [event(&start), event(&block), event(&json!({ "type": "ping" }))].concat()
}

/// The event of some text. It is written once per token, so no tree is built for it.
pub(super) fn delta(text: &str) -> String {
    let text = Value::from(text);
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n"
    )
}

/// The events after the last token.
pub(super) fn closing(why: &Stop, used: &Usage) -> String {
    let (reason, sequence) = stop(why);
    [
        event(&json!({ "type": "content_block_stop", "index": 0 })),
        event(&json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": sequence },
            "usage": usage(used),
        })),
        event(&json!({ "type": "message_stop" })),
    ]
    .concat()
}

/// One server-sent event, named by its type.
pub(super) fn event(data: &Value) -> String {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_some_text_is_the_event_it_would_be_as_a_tree() {
        let text = " \"x\"\n\\";
        let tree = json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
        assert_eq!(delta(text), event(&tree));
    }
}
