//! OpenAI chat completions and completions, as their many servers write them. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One event of a chat completion.
pub(super) fn chat(event: &Value, said: &mut Said) -> Meaning {
    read(event, said, |choice, meaning| {
        let delta = &choice["delta"];
        content(&delta["content"], meaning);
        meaning.add(StreamEventKind::Output, text(delta, "refusal"));
        for key in ["data", "transcript"] {
            meaning.add(StreamEventKind::Output, text(&delta["audio"], key));
        }
        for key in ["reasoning_content", "reasoning"] {
            meaning.add(StreamEventKind::Reasoning, text(delta, key));
        }
        let called = delta["tool_calls"].as_array().into_iter().flatten();
        for call in called
            .map(|call| &call["function"])
            .chain([&delta["function_call"]])
        {
            meaning.add(StreamEventKind::ToolCall, text(call, "name"));
            meaning.add(StreamEventKind::ToolCall, text(call, "arguments"));
        }
    })
}

/// One event of a completion.
pub(super) fn completions(event: &Value, said: &mut Said) -> Meaning {
    read(event, said, |choice, meaning| {
        meaning.add(StreamEventKind::Output, text(choice, "text"));
    })
}

/// Content is text, or parts of which each has a text; one that is called thinking may have parts of its own.
fn content(content: &Value, meaning: &mut Meaning) {
    match content {
        Value::String(text) => meaning.add(StreamEventKind::Output, text),
        Value::Array(parts) => {
            for part in parts {
                let kind = match text(part, "type") {
                    "thinking" | "reasoning" => StreamEventKind::Reasoning,
                    _ => StreamEventKind::Output,
                };
                meaning.add(kind, text(part, "text"));
                meaning.add(StreamEventKind::Reasoning, text(part, "thinking"));
                for thought in part["thinking"].as_array().into_iter().flatten() {
                    meaning.add(StreamEventKind::Reasoning, text(thought, "text"));
                }
            }
        }
        _ => {}
    }
}

fn read(event: &Value, said: &mut Said, one: impl Fn(&Value, &mut Meaning)) -> Meaning {
    match &event["error"] {
        Value::Null if event["object"] == "error" => said.fail(&words_of(event)),
        Value::Null => {}
        error => said.fail(&words_of(error)),
    }
    let mut meaning = Meaning::SILENT;
    let choices = event["choices"].as_array().map_or(&[][..], Vec::as_slice);
    let mut speaking = 0;
    for choice in choices {
        let before = meaning.text_bytes;
        one(choice, &mut meaning);
        speaking += u32::from(meaning.text_bytes > before);
        match finish(text(choice, "finish_reason")) {
            Finish::Not => {}
            Finish::With(reason) => said.finish = reason,
            Finish::Failed => said.fail("finish_reason \"error\""),
        }
    }
    // Several choices in one event carry a token each.
    meaning.tokens = meaning.tokens.max(speaking);
    let usage = &event["usage"];
    if usage.is_object() {
        let grown = counted(usage, !choices.is_empty(), said);
        if let Some(tokens) = grown {
            if meaning.kind.is_token() {
                meaning.tokens = tokens.max(1);
            } else if tokens > 0 {
                // An empty text whose usage grew brought a token all the same.
                meaning.kind = StreamEventKind::Output;
                meaning.tokens = tokens;
            }
        }
    }
    meaning
}

/// Keeps a usage; by how many tokens it grew, where it comes with every chunk.
fn counted(usage: &Value, with_chunk: bool, said: &mut Said) -> Option<u32> {
    let kept = &mut said.usage;
    kept.input = count(usage, "prompt_tokens").or(kept.input);
    kept.output = count(usage, "completion_tokens").or(kept.output);
    kept.cached = count(&usage["prompt_tokens_details"], "cached_tokens")
        .or_else(|| count(usage, "prompt_cache_hit_tokens"))
        .or(kept.cached);
    kept.reasoning = count(&usage["completion_tokens_details"], "reasoning_tokens").or(kept.reasoning);
    if !with_chunk {
        return None;
    }
    let now = count(usage, "completion_tokens")?;
    let before = said.counted.replace(now);
    match before {
        Some(before) => now.checked_sub(before),
        // The first chunk of all carries what it counts; a later one tells nothing of the chunks before it.
        None => (!said.begun).then_some(now),
    }
}

enum Finish {
    Not,
    With(FinishReason),
    Failed,
}

fn finish(reason: &str) -> Finish {
    Finish::With(match reason {
        "" => return Finish::Not,
        "error" => return Finish::Failed,
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolUse,
        "content_filter" | "refusal" => FinishReason::Filter,
        _ => FinishReason::Other,
    })
}
