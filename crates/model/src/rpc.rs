//! The JSON of an answer, wherever it stands: the body itself, or the last message of an event stream; and what a JSON-RPC
//! answer (MCP speaks it) says with it. Knows no method and no tool.

use serde_json::Value;

/// Longest text of a target that is repeated.
const SAID_CHARS_MAX: usize = 200;

/// The JSON of a body: the body itself or, in an event stream, its last answer to a JSON-RPC request.
pub fn json_in(body: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Some(value);
    }
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}');
    let is_stream = ["data:", "event:", "id:", "retry:", ":"]
        .iter()
        .any(|field| text.trim_start().starts_with(field));
    if !is_stream {
        return None;
    }
    let mut found = None;
    let mut data = String::new();
    for line in text.lines().chain([""]) {
        if let Some(more) = line.strip_prefix("data:") {
            if !data.is_empty() {
                data.push('\n');
            }
            data.push_str(more.strip_prefix(' ').unwrap_or(more));
        } else if line.is_empty() && !data.is_empty() {
            let event: Option<Value> = serde_json::from_str(&data).ok();
            found = event.filter(is_answer).or(found);
            data.clear();
        }
    }
    found
}

/// Whether this is an answer of JSON-RPC 2.0.
fn is_answer(message: &Value) -> bool {
    message.get("jsonrpc").is_some() && (message.get("result").is_some() || message.get("error").is_some())
}

/// Why an answer of JSON-RPC is no success: an error, a tool's own failure (`isError`), or no result at all. `None` for a
/// success.
pub fn rpc_failure(answer: Option<&Value>) -> Option<String> {
    let Some(answer) = answer.filter(|a| is_answer(a)) else {
        return Some("the body holds no answer of JSON-RPC".to_owned());
    };
    if let Some(error) = answer.get("error").filter(|e| !e.is_null()) {
        let code = error.get("code").map_or_else(|| "?".to_owned(), Value::to_string);
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Some(format!("JSON-RPC error {}: {}", short(&code), short(message)));
    }
    let result = answer.get("result")?;
    let failed = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
    let said = || {
        result
            .pointer("/content/0/text")
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    failed.then(|| format!("the tool reports a failure: {}", short(said())))
}

/// What an answer of JSON-RPC brought: a tool's structured content, else its first text as JSON, else the result or error
/// as it is. Anything else is returned unchanged.
pub fn unwrapped(mut answer: Value) -> Value {
    if !is_answer(&answer) {
        return answer;
    }
    let Some(result) = answer.get_mut("result").map(Value::take) else {
        return answer;
    };
    if let Some(structured) = result.get("structuredContent").filter(|s| !s.is_null()) {
        return structured.clone();
    }
    let text = result.pointer("/content/0/text").and_then(Value::as_str);
    let parsed: Option<Value> = text.and_then(|t| serde_json::from_str(t).ok());
    parsed.filter(|p| p.is_object() || p.is_array()).unwrap_or(result)
}

fn short(text: &str) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{json_in, rpc_failure, unwrapped};

    #[test]
    fn json_stands_alone_or_in_the_last_event() {
        assert_eq!(json_in(b" {\"a\": 1}"), Some(json!({"a": 1})));
        let stream = b"id: 1\ndata:\n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\r\n\r\n\
                       data: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\"result\":{}}\r\n\r\n";
        assert_eq!(
            json_in(stream),
            Some(json!({"jsonrpc": "2.0", "id": 1, "result": {}}))
        );
        assert_eq!(json_in(b"data: {\"choices\": []}\n\ndata: [DONE]\n\n"), None);
        assert_eq!(json_in(b"data of no stream"), None);
        assert_eq!(json_in(b"\xff\xfe"), None);
        assert_eq!(json_in(b""), None);
    }

    #[test]
    fn a_failure_inside_a_good_status_is_one() {
        let failure = |answer| rpc_failure(Some(&answer));
        assert_eq!(
            failure(json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [], "isError": false}})),
            None
        );
        let told = failure(
            json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "no key"}], "isError": true}}),
        );
        assert!(told.unwrap().contains("no key"));
        let told =
            failure(json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "Unknown tool"}}));
        assert_eq!(told.unwrap(), "JSON-RPC error -32602: Unknown tool");
        assert!(failure(json!({"ok": true})).is_some());
        assert!(rpc_failure(None).is_some());
    }

    #[test]
    fn what_the_tool_brought_is_taken_out() {
        let answer = |result| json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        assert_eq!(
            unwrapped(answer(json!({"structuredContent": {"a": 1}, "content": []}))),
            json!({"a": 1})
        );
        assert_eq!(unwrapped(answer(text("{\"b\": 2}"))), json!({"b": 2}));
        assert_eq!(unwrapped(answer(text("42"))), text("42"));
        assert_eq!(unwrapped(json!([1])), json!([1]));
    }
}
