//! Lines of Ollama's `/api/generate` and `/api/chat`. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One line. The last one, `done`, brings the counts.
pub(super) fn read(line: &Value, said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    if !line["error"].is_null() {
        said.fail(&words_of(&line["error"]));
    }
    let message = &line["message"];
    meaning.add(StreamEventKind::Output, text(line, "response"));
    meaning.add(StreamEventKind::Output, text(message, "content"));
    for holder in [line, message] {
        meaning.add(StreamEventKind::Reasoning, text(holder, "thinking"));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        meaning.add(StreamEventKind::ToolCall, text(&call["function"], "name"));
    }
    if line["done"] == true {
        said.closed = true;
        said.finish = match text(line, "done_reason") {
            "" => FinishReason::None,
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            _ => FinishReason::Other,
        };
        said.usage.output = count(line, "eval_count");
        said.usage.input = count(line, "prompt_eval_count");
    }
    meaning
}
