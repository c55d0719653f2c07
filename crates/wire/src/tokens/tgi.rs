//! Events of Text Generation Inference's `/generate_stream`. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One event: a token, and with the last one the whole text, which ends the stream. Special tokens are none that a user reads.
pub(super) fn read(event: &Value, said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    if !event["error"].is_null() {
        said.fail(&words_of(&event["error"]));
    }
    let token = &event["token"];
    if token["special"] != true {
        meaning.add(StreamEventKind::Output, text(token, "text"));
    }
    if event["generated_text"].is_string() {
        said.closed = true;
        let details = &event["details"];
        said.finish = match text(details, "finish_reason") {
            "" => FinishReason::None,
            "length" => FinishReason::Length,
            "eos_token" | "stop_sequence" => FinishReason::Stop,
            _ => FinishReason::Other,
        };
        said.usage.output = count(details, "generated_tokens");
        said.usage.input = count(details, "input_length");
    }
    meaning
}
