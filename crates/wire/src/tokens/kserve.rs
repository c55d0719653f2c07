//! The generate extension of KServe V2. Knows JSON, not bytes.

use prony_model::StreamEventKind;
use serde_json::Value;

use super::{Meaning, Said, words_of};

/// One event.
pub(super) fn read(event: &Value, said: &mut Said) -> Meaning {
    let mut meaning = Meaning::SILENT;
    if !event["error"].is_null() {
        said.fail(&words_of(&event["error"]));
    }
    match &event["text_output"] {
        Value::String(text) => meaning.add(StreamEventKind::Output, text),
        Value::Array(texts) => {
            for text in texts.iter().filter_map(Value::as_str) {
                meaning.add(StreamEventKind::Output, text);
            }
        }
        _ => {}
    }
    meaning
}
