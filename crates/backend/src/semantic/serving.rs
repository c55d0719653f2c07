//! What other engines serve beside conversations: completions, responses, embeddings and tokens. It reads requests and writes answers and
//! events; it knows no HTTP.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::asked::{Asked, Prompt};
use super::fields::Fields;
use super::openai::Head;
use super::tokens::{self, Mark, Stop, encode};
use super::usage::Usage;

/// Tokens of an answer whose request sets no bound.
const MAX_TOKENS_DEFAULT: u64 = 16;
const RESPONSE_TOKENS_DEFAULT: u64 = 4_096;
/// Numbers of a vector, and inputs of one request.
const DIMENSIONS: u64 = 256;
const DIMENSIONS_MAX: u64 = 4_096;
const INPUTS_MAX: usize = 2_048;
/// Events before the first token of a response.
const OPENING: usize = 4;

/// Reads a request to /v1/completions.
pub(super) fn read_completion(body: &Map<String, Value>) -> Result<Asked, Vec<Value>> {
    let mut problems = Vec::new();
    let mut fields = Fields::new(body, &mut problems);
    let model = fields.needed_text("model", 256).unwrap_or_default().to_owned();
    let prompts = fields.needed("prompt").map(texts);
    let prompt = match prompts {
        Some(Some(mut prompts)) if prompts.len() == 1 => prompts.remove(0),
        Some(_) => {
            fields.wrong(
                "prompt",
                "string_type",
                "Input should be one string or one list of tokens",
            );
            Vec::new()
        }
        None => Vec::new(),
    };
    let max_tokens = fields
        .integer("max_tokens", super::anthropic::MAX_TOKENS)
        .unwrap_or(MAX_TOKENS_DEFAULT);
    let stops = fields.texts("stop", 4, true);
    let stream = fields.flag("stream");
    let include_usage = fields
        .any("stream_options")
        .and_then(|options| options["include_usage"].as_bool())
        .unwrap_or_default();
    done(problems, || Asked {
        model,
        prompt,
        max_tokens: max_tokens as usize,
        stops,
        stream,
        include_usage,
        session: None,
    })
}

/// Reads a request to /v1/responses.
pub(super) fn read_response(body: &Map<String, Value>) -> Result<Asked, Vec<Value>> {
    let mut problems = Vec::new();
    let mut fields = Fields::new(body, &mut problems);
    let model = fields.needed_text("model", 256).unwrap_or_default().to_owned();
    let mut prompt = Prompt::new();
    if let Some(text) = fields.text("instructions", usize::MAX) {
        prompt.turn(Mark::System, text);
    }
    let understood = match fields.needed("input") {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => {
            prompt.turn(Mark::User, text);
            true
        }
        Some(Value::Array(items)) => !items.is_empty() && items.iter().all(|item| turn(item, &mut prompt)),
        Some(_) => false,
    };
    if !understood {
        fields.wrong(
            "input",
            "string_type",
            "Input should be a string or a list of messages",
        );
    }
    let max_tokens = fields
        .integer("max_output_tokens", super::anthropic::MAX_TOKENS)
        .unwrap_or(RESPONSE_TOKENS_DEFAULT);
    let stream = fields.flag("stream");
    done(problems, || Asked {
        model,
        prompt: prompt.finish(),
        max_tokens: max_tokens as usize,
        stops: Vec::new(),
        stream,
        include_usage: true,
        session: None,
    })
}

fn turn(item: &Value, prompt: &mut Prompt) -> bool {
    let mark = match item["role"].as_str() {
        Some("system" | "developer") => Mark::System,
        Some("assistant") => Mark::Model,
        Some("user") => Mark::User,
        _ => return false,
    };
    match &item["content"] {
        Value::String(text) => prompt.turn(mark, text),
        Value::Array(parts) => {
            prompt.open(mark);
            for part in parts {
                let Some(text) = part["text"].as_str() else {
                    return false;
                };
                prompt.text(text);
            }
            prompt.close();
        }
        _ => return false,
    }
    true
}

fn done<T>(problems: Vec<Value>, made: impl FnOnce() -> T) -> Result<T, Vec<Value>> {
    if problems.is_empty() {
        Ok(made())
    } else {
        Err(problems)
    }
}

/// Texts or lists of tokens, one or many; none where it is neither, or something is empty.
fn texts(value: &Value) -> Option<Vec<Vec<u32>>> {
    let text = |text: &str| {
        let mut tokens = Vec::new();
        encode(text, &mut tokens);
        tokens
    };
    let ids = |list: &[Value]| -> Option<Vec<u32>> {
        list.iter()
            .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
            .collect()
    };
    let all = match value {
        Value::String(one) => vec![text(one)],
        Value::Array(list) if list.iter().all(Value::is_number) => vec![ids(list)?],
        Value::Array(list) => list
            .iter()
            .map(|one| match one {
                Value::String(one) => Some(text(one)),
                Value::Array(list) => ids(list),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    (!all.is_empty() && all.len() <= INPUTS_MAX && all.iter().all(|one| !one.is_empty())).then_some(all)
}

/// A request for vectors.
#[derive(Debug)]
pub(super) struct Embed {
    /// The model asked for.
    pub(super) model: String,
    /// Each input in tokens.
    pub(super) inputs: Vec<Vec<u32>>,
    dimensions: usize,
    packed: bool,
}

impl Embed {
    /// Reads a request to /v1/embeddings.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Vec<Value>> {
        let mut problems = Vec::new();
        let mut fields = Fields::new(body, &mut problems);
        let model = fields.needed_text("model", 256).unwrap_or_default().to_owned();
        let inputs = fields.needed("input").map(texts);
        if inputs == Some(None) {
            fields.wrong(
                "input",
                "string_type",
                "Input should be strings or lists of tokens, none of them empty",
            );
        }
        let dimensions = fields
            .integer("dimensions", (1, DIMENSIONS_MAX))
            .unwrap_or(DIMENSIONS);
        let packed = fields.choice_or("encoding_format", &["float", "base64"], "float") == "base64";
        done(problems, || Self {
            model,
            inputs: inputs.flatten().unwrap_or_default(),
            dimensions: dimensions as usize,
            packed,
        })
    }

    /// The answer under the model's name.
    pub(super) fn answer(&self, model: &str) -> Value {
        use base64::Engine as _;
        let told = |(index, tokens): (usize, &Vec<u32>)| {
            let vector = vector(tokens, self.dimensions);
            let embedding = if self.packed {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(base64::engine::general_purpose::STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        };
        let data: Vec<Value> = self.inputs.iter().enumerate().map(told).collect();
        let tokens: usize = self.inputs.iter().map(Vec::len).sum();
        json!({
            "object": "list", "data": data, "model": model,
            "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
        })
    }
}

/// The sum of a direction for each token, of length 1: texts with many tokens in common lie close together.
fn vector(tokens: &[u32], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    for token in tokens {
        for (place, number) in sum.iter_mut().enumerate() {
            let drawn = tokens::mixed(u64::from(*token) << 32 | place as u64);
            *number += drawn as f64 / u64::MAX as f64 - 0.5;
        }
    }
    let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
    sum.iter()
        .map(|number| (number / length.max(f64::MIN_POSITIVE)) as f32)
        .collect()
}

/// The whole completion.
pub(super) fn completion(head: &Head, text: &str, why: &Stop, used: &Usage) -> Value {
    json!({
        "id": head.id, "object": "text_completion", "created": head.created, "model": head.model,
        "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": super::openai::reason(why) }],
        "usage": super::openai::usage(used),
    })
}

/// A chunk of a completion.
pub(super) fn completion_delta(head: &Head, text: &str, why: Option<&Stop>) -> String {
    let reason = why.map(super::openai::reason);
    let mut chunk = json!({
        "id": head.id, "object": "text_completion", "created": head.created, "model": head.model,
        "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": reason }],
    });
    if head.include_usage {
        chunk["usage"] = Value::Null;
    }
    format!("data: {chunk}\n\n")
}

/// The chunks after the last token of a completion.
pub(super) fn completion_closing(head: &Head, why: &Stop, used: &Usage) -> String {
    let mut text = completion_delta(head, "", Some(why));
    if head.include_usage {
        let chunk = json!({
            "id": head.id, "object": "text_completion", "created": head.created, "model": head.model,
            "choices": [], "usage": super::openai::usage(used),
        });
        // Writing to a String cannot fail.
        let _ = write!(text, "data: {chunk}\n\n");
    }
    text.push_str("data: [DONE]\n\n");
    text
}

/// The whole response, in whatever state.
pub(super) fn response(head: &Head, state: Option<(&str, &Stop, &Usage)>) -> Value {
    let (status, details, output, usage) = match state {
        None => ("in_progress", Value::Null, json!([]), Value::Null),
        Some((text, why, used)) => {
            let limited = *why == Stop::MaxTokens;
            let status = if limited { "incomplete" } else { "completed" };
            let details = if limited {
                json!({ "reason": "max_output_tokens" })
            } else {
                Value::Null
            };
            let usage = json!({
                "input_tokens": used.prompt, "input_tokens_details": { "cached_tokens": used.cache_read },
                "output_tokens": used.output, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": used.prompt + used.output,
            });
            (status, details, json!([message(head, status, Some(text))]), usage)
        }
    };
    json!({
        "id": head.id, "object": "response", "created_at": head.created, "status": status, "error": null,
        "incomplete_details": details, "instructions": null, "max_output_tokens": null, "model": head.model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null }, "store": false, "temperature": 1.0,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage, "user": null, "metadata": {},
    })
}

fn message(head: &Head, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.into_iter().map(part).collect();
    json!({
        "id": format!("msg_{}", head.id.trim_start_matches("resp_")), "type": "message", "status": status,
        "role": "assistant", "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

/// The events before the first token of a response.
pub(super) fn response_opening(head: &Head) -> String {
    let item = message(head, "in_progress", None);
    let events = [
        json!({ "type": "response.created", "response": response(head, None) }),
        json!({ "type": "response.in_progress", "response": response(head, None) }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
        json!({ "type": "response.content_part.added", "item_id": item["id"], "output_index": 0,
            "content_index": 0, "part": part("") }),
    ];
    numbered(0, events)
}

/// The event of some tokens of a response, the first of which has this number.
pub(super) fn response_delta(head: &Head, number: usize, text: &str) -> String {
    let item = message(head, "in_progress", None)["id"].take();
    let event = json!({ "type": "response.output_text.delta", "item_id": item, "output_index": 0,
        "content_index": 0, "delta": text, "logprobs": [] });
    numbered(OPENING + number, [event])
}

/// The events after the last token of a response of so many tokens.
pub(super) fn response_closing(head: &Head, tokens: usize, text: &str, why: &Stop, used: &Usage) -> String {
    let whole = response(head, Some((text, why, used)));
    let item = whole["output"][0].clone();
    let last = format!("response.{}", whole["status"].as_str().unwrap_or("completed"));
    let events = [
        json!({ "type": "response.output_text.done", "item_id": item["id"], "output_index": 0,
            "content_index": 0, "text": text, "logprobs": [] }),
        json!({ "type": "response.content_part.done", "item_id": item["id"], "output_index": 0,
            "content_index": 0, "part": part(text) }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": last, "response": whole }),
    ];
    numbered(OPENING + tokens, events)
}

fn numbered<const N: usize>(first: usize, events: [Value; N]) -> String {
    let named = |(place, mut event): (usize, Value)| {
        event["sequence_number"] = json!(first + place);
        super::anthropic::event(&event)
    };
    events.into_iter().enumerate().map(named).collect()
}

/// Reads a request to /tokenize: its text, or the messages as tokens.
pub(super) enum Tokenise {
    /// A text.
    Text(String),
    /// Messages, in tokens.
    Tokens(Vec<u32>),
}

impl Tokenise {
    /// In vLLM's shape: `prompt` or `messages`.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Vec<Value>> {
        let mut problems = Vec::new();
        let mut fields = Fields::new(body, &mut problems);
        if body.contains_key("messages") {
            let mut prompt = Prompt::new();
            super::openai::messages(&mut fields, &mut prompt);
            return done(problems, || Self::Tokens(prompt.finish()));
        }
        let text = fields
            .needed_text("prompt", usize::MAX)
            .unwrap_or_default()
            .to_owned();
        done(problems, || Self::Text(text))
    }
}

/// The tokens of a request to /detokenize.
pub(super) fn read_tokens(body: &Map<String, Value>) -> Result<Vec<u32>, Vec<Value>> {
    let mut problems = Vec::new();
    let mut fields = Fields::new(body, &mut problems);
    let tokens = match fields.needed("tokens") {
        Some(Value::Array(list)) => {
            let ids = list
                .iter()
                .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
            ids.collect::<Option<Vec<_>>>()
        }
        Some(_) => None,
        None => Some(Vec::new()),
    };
    if tokens.is_none() {
        fields.wrong("tokens", "list_type", "Input should be a list of token ids");
    }
    done(problems, || tokens.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_words_in_common_lie_close_together() {
        let of = |text: &str| {
            let mut tokens = Vec::new();
            encode(text, &mut tokens);
            vector(&tokens, 256)
        };
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (one, near, far) = (
            of("the river runs north under the stone"),
            of("the river runs south under the stone"),
            of("queues grow faster than patience"),
        );
        assert!((cosine(&one, &one) - 1.0).abs() < 1e-4);
        assert!(cosine(&one, &near) > 0.7 && cosine(&one, &far) < 0.3);
    }

    #[test]
    fn inputs_are_texts_or_tokens_one_or_many() {
        let count = |value: Value| texts(&value).map(|list| list.len());
        assert_eq!(count(json!("a")), Some(1));
        assert_eq!(count(json!(["a", "b"])), Some(2));
        assert_eq!(count(json!([1, 2])), Some(1));
        assert_eq!(count(json!([[1], [2], [3]])), Some(3));
        for bad in [
            json!(""),
            json!([]),
            json!([[]]),
            json!({}),
            json!([1, "a"]),
            json!([-1]),
        ] {
            assert_eq!(count(bad.clone()), None, "{bad}");
        }
    }
}
