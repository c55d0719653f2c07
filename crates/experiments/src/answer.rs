//! Answers read back from a recording: a sample joined with its request and, where it was kept, its response.
//!
//! Knows nothing of what an answer should say; the experiments judge.

use prony_model::{Captured, Endpoint, PhaseResult, Request, Sample, SampleRequest};
use serde_json::Value;

use crate::RunView;

/// Longest text of a target that is put into evidence, in characters.
pub(crate) const QUOTE_CHARS_MAX: usize = 200;

/// One request with what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Index of the request in its scenario.
    pub item: u32,
    /// What was sent.
    pub request: &'a Request,
    /// How it went.
    pub sample: &'a Sample,
    /// The response, when it was kept.
    pub captured: Option<&'a Captured>,
}

impl Answer<'_> {
    /// Whether it was answered as expected.
    pub(crate) fn is_ok(&self) -> bool {
        self.sample.outcome == prony_model::Outcome::Ok
    }

    /// The response as JSON, when it was kept whole and is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        self.captured.and_then(Captured::json)
    }

    /// What the target said, bounded: the message of a JSON error when there is one, else the start of the body.
    pub(crate) fn message(&self) -> String {
        let Some(captured) = self.captured else {
            return self.sample.outcome.says().to_owned();
        };
        if captured.status == 0 {
            let said = if captured.error.is_empty() {
                self.sample.outcome.says()
            } else {
                &captured.error
            };
            return bounded(said);
        }
        if captured.binary {
            return format!("{} bytes of {}", captured.body_bytes, content_type(captured));
        }
        match captured.json().as_ref().and_then(error_message) {
            Some(message) => bounded(&message),
            None => bounded(&captured.body),
        }
    }
}

/// The answers of one scenario in the order of their schedule, without those that are our own doing.
pub(crate) fn answers<'a>(phase: &'a PhaseResult, scenario: &str) -> Vec<Answer<'a>> {
    let Some(index) = phase.scenario(scenario) else {
        return Vec::new();
    };
    let items = &phase.phase.scenarios[usize::from(index)].items;
    let mut found: Vec<Answer<'a>> = phase
        .samples
        .iter()
        .filter(|s| s.scenario == index && !s.outcome.is_own())
        .filter_map(|sample| {
            let request = &items.get(sample.item as usize)?.request;
            let captured = phase
                .captures
                .iter()
                .find(|c| c.seq == sample.seq && c.scenario == index && c.item == sample.item);
            Some(Answer {
                item: sample.item,
                request,
                sample,
                captured,
            })
        })
        .collect();
    found.sort_by_key(|a| a.sample.seq);
    found
}

/// The first sample of an endpoint that was answered well in the preflight; the first of all without a preflight.
pub(crate) fn good_sample<'a>(endpoint: &'a Endpoint, run: &RunView<'_>) -> Option<&'a SampleRequest> {
    let asked: Vec<&PhaseResult> = run.of("coverage").collect();
    let mut good = asked
        .iter()
        .flat_map(|phase| answers(phase, &endpoint.name))
        .filter(Answer::is_ok);
    let item = if asked.is_empty() { 0 } else { good.next()?.item };
    endpoint.samples.get(item as usize)
}

/// The content type in lower case without parameters; `no content type` when there is none.
pub(crate) fn content_type(captured: &Captured) -> String {
    captured.header("content-type").map_or_else(
        || "no content type".to_owned(),
        |value| bounded(value.split(';').next().unwrap_or_default().trim()).to_ascii_lowercase(),
    )
}

/// Text of a target made fit for evidence: one line, no control characters, at most [`QUOTE_CHARS_MAX`] characters.
pub(crate) fn bounded(text: &str) -> String {
    bounded_to(text, QUOTE_CHARS_MAX)
}

/// As [`bounded`], with another bound.
pub(crate) fn bounded_to(text: &str, chars_max: usize) -> String {
    let mut clean = String::new();
    let mut taken = 0;
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
    {
        if taken > 0 {
            clean.push(' ');
            taken += 1;
        }
        for c in word.chars() {
            if taken >= chars_max {
                clean.push('…');
                return clean;
            }
            clean.push(c);
            taken += 1;
        }
    }
    clean
}

/// Whether an answer tells of an error and of nothing else: `{"error": ...}`, with what usually stands beside it.
pub(crate) fn is_only_error(body: &Value) -> bool {
    const BESIDE: [&str; 12] = [
        "error",
        "error_code",
        "code",
        "status",
        "message",
        "detail",
        "details",
        "success",
        "ok",
        "type",
        "timestamp",
        "request_id",
    ];
    let Some(object) = body.as_object() else {
        return false;
    };
    let says = match object.get("error") {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Object(inner)) => !inner.is_empty(),
        _ => false,
    };
    says && object.keys().all(|key| BESIDE.contains(&key.as_str()))
}

/// The human part of the usual JSON error envelopes (`detail`, `message`, `error`, `title`, `msg`).
fn error_message(body: &Value) -> Option<String> {
    match body {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().take(3).filter_map(error_message).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        Value::Object(map) => ["detail", "message", "msg", "error", "errors", "title"]
            .iter()
            .find_map(|key| map.get(*key).and_then(error_message)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{bounded_to, error_message};

    #[test]
    fn hostile_text_is_one_bounded_line() {
        assert_eq!(bounded_to("a\r\nb\u{1b}[31m\tc", 50), "a b [31m c");
        assert_eq!(bounded_to("abcdef", 3), "abc…");
        assert_eq!(bounded_to("ééé", 3), "ééé");
    }

    #[test]
    fn messages_of_common_envelopes() {
        let say = |v| error_message(&v);
        assert_eq!(say(serde_json::json!({"detail": "no"})).as_deref(), Some("no"));
        assert_eq!(
            say(serde_json::json!({"detail": [{"loc": ["body"], "msg": "Field required"}]})).as_deref(),
            Some("Field required")
        );
        assert_eq!(
            say(serde_json::json!({"error": {"message": "bad"}})).as_deref(),
            Some("bad")
        );
        assert_eq!(say(serde_json::json!({"ok": 1})), None);
    }
}
