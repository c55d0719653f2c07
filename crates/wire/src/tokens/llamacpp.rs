//! Events of the `/completion` of llama.cpp's server. Knows JSON, not bytes.

use prony_model::{FinishReason, StreamEventKind};
use serde_json::Value;

use super::{Meaning, Said, count, text, words_of};

/// One event. The counts that come with every one are read from the last, which ends the stream.
pub(super) fn read(event: &Value, said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    if !event["error"].is_null() {
        said.fail(&words_of(&event["error"]));
    }
    meaning.add(StreamEventKind::Output, text(event, "content"));
    if event["stop"] == true {
        said.closed = true;
        // Older servers have a flag for each reason.
        said.finish = match text(event, "stop_type") {
            "limit" => FinishReason::Length,
            "eos" | "word" => FinishReason::Stop,
            _ if event["stopped_limit"] == true => FinishReason::Length,
            _ if event["stopped_eos"] == true || event["stopped_word"] == true => FinishReason::Stop,
            _ => FinishReason::Other,
        };
        said.usage.output = count(event, "tokens_predicted");
        said.usage.input = count(event, "tokens_evaluated");
    }
    meaning
}
