//! OpenAI responses. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One event; `kind` is its name, for one whose data names no type.
pub(super) fn read(event: &Value, kind: &[u8], said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    let named = event["type"].as_str().map_or(kind, str::as_bytes);
    match named {
        b"response.output_text.delta"
        | b"response.refusal.delta"
        | b"response.audio.delta"
        | b"response.audio.transcript.delta" => {
            meaning.add(StreamEventKind::Output, text(event, "delta"));
        }
        b"response.reasoning_text.delta"
        | b"response.reasoning_summary_text.delta"
        | b"response.reasoning.delta" => {
            meaning.add(StreamEventKind::Reasoning, text(event, "delta"));
        }
        b"response.function_call_arguments.delta"
        | b"response.custom_tool_call_input.delta"
        | b"response.mcp_call_arguments.delta"
        | b"response.code_interpreter_call_code.delta" => {
            meaning.add(StreamEventKind::ToolCall, text(event, "delta"));
        }
        b"response.completed" => {
            said.closed = true;
            let output = event["response"]["output"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            said.finish = if output.iter().any(|item| text(item, "type").ends_with("_call")) {
                FinishReason::ToolUse
            } else {
                FinishReason::Stop
            };
            usage(&event["response"]["usage"], said);
        }
        b"response.incomplete" => {
            said.closed = true;
            said.finish = match text(&event["response"]["incomplete_details"], "reason") {
                "max_output_tokens" => FinishReason::Length,
                "content_filter" => FinishReason::Filter,
                _ => FinishReason::Other,
            };
            usage(&event["response"]["usage"], said);
        }
        b"response.failed" => {
            let error = &event["response"]["error"];
            said.fail(&words_of(if error.is_null() { event } else { error }));
            usage(&event["response"]["usage"], said);
        }
        b"error" => said.fail(&words_of(event.get("error").unwrap_or(event))),
        _ if !event["error"].is_null() => said.fail(&words_of(&event["error"])),
        _ => {}
    }
    meaning
}

fn usage(usage: &Value, said: &mut Said) {
    let kept = &mut said.usage;
    kept.input = count(usage, "input_tokens").or(kept.input);
    kept.output = count(usage, "output_tokens").or(kept.output);
    kept.cached = count(&usage["input_tokens_details"], "cached_tokens").or(kept.cached);
    kept.reasoning = count(&usage["output_tokens_details"], "reasoning_tokens").or(kept.reasoning);
}
