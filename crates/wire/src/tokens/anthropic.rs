//! Anthropic messages. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One event; `kind` is its name, for one whose data names no type.
pub(super) fn read(event: &Value, kind: &[u8], said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    let named = event["type"].as_str().map_or(kind, str::as_bytes);
    match named {
        b"message_start" => usage(&event["message"]["usage"], said),
        // A call of a tool without parameters says no more than its name.
        b"content_block_start" => {
            let block = &event["content_block"];
            if text(block, "type") == "tool_use" {
                meaning.add(StreamEventKind::ToolCall, text(block, "name"));
            }
        }
        b"content_block_delta" => {
            let delta = &event["delta"];
            match text(delta, "type") {
                "text_delta" => meaning.add(StreamEventKind::Output, text(delta, "text")),
                "thinking_delta" => meaning.add(StreamEventKind::Reasoning, text(delta, "thinking")),
                "input_json_delta" => meaning.add(StreamEventKind::ToolCall, text(delta, "partial_json")),
                _ => {}
            }
        }
        b"message_delta" => {
            let reason = match text(&event["delta"], "stop_reason") {
                "" => None,
                "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
                "max_tokens" => Some(FinishReason::Length),
                "tool_use" => Some(FinishReason::ToolUse),
                "refusal" => Some(FinishReason::Filter),
                _ => Some(FinishReason::Other),
            };
            said.finish = reason.unwrap_or(said.finish);
            usage(&event["usage"], said);
        }
        b"message_stop" => said.closed = true,
        b"error" => said.fail(&words_of(event.get("error").unwrap_or(event))),
        _ => {}
    }
    meaning
}

/// Usage is cumulative: a later one replaces an earlier one, member by member. What came from a cache, or went there,
/// is part of the prompt.
fn usage(usage: &Value, said: &mut Said) {
    let read = count(usage, "cache_read_input_tokens");
    if let Some(fresh) = count(usage, "input_tokens") {
        let written = count(usage, "cache_creation_input_tokens").unwrap_or(0);
        said.usage.input = Some(
            fresh
                .saturating_add(read.or(said.usage.cached).unwrap_or(0))
                .saturating_add(written),
        );
    }
    said.usage.cached = read.or(said.usage.cached);
    said.usage.output = count(usage, "output_tokens").or(said.usage.output);
}
