//! Which endpoints answer with streams of tokens, and the records of their answers. Judges nothing.
//!
//! A suite may say that an answer is a stream. Where nobody did, requests of the public APIs for language models are asked once
//! to stream; those that then do are streaming endpoints from there on.

use prony_model::{
    Body, Endpoint, Expect, Item, Outcome, PhaseResult, Scenario, StreamExpect, StreamProtocol, StreamRecord,
};
use serde_json::{Value, json};

use crate::RunView;
use crate::primary::{heaviest, requests};

/// Up to `max` of the endpoints that the load experiments load whose answers are expected to be streams, longest first.
pub(crate) fn streaming<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints = heaviest(run, usize::MAX);
    endpoints.retain(|endpoint| !items(run, endpoint).is_empty());
    endpoints.truncate(max);
    endpoints
}

/// The endpoint's streamed requests in turn, as one scenario of its name.
pub(crate) fn scenario(run: &RunView<'_>, endpoint: &Endpoint) -> Scenario {
    Scenario::new(endpoint.name.clone(), items(run, endpoint))
}

/// The experiment and the phase in which requests that nobody called streams are asked to be some.
pub(crate) const ASKED: (&str, &str) = ("streams", "asked to stream");

/// Longest answer that is asked for: enough for gaps between tokens, little enough to be cheap.
const TOKENS_MAX: u32 = 64;

/// What to ask once, to learn whether it is streamed: for each endpoint of a known API that nobody said it of, longest first.
pub(crate) fn questions(run: &RunView<'_>, max: usize) -> Vec<Scenario> {
    heaviest(run, usize::MAX)
        .into_iter()
        .filter(|endpoint| declared(run, endpoint).is_empty())
        .filter_map(|endpoint| {
            let item = derived(run, endpoint).into_iter().next()?;
            Some(Scenario::new(endpoint.name.clone(), vec![item]))
        })
        .take(max)
        .collect()
}

fn items(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let declared = declared(run, endpoint);
    if !declared.is_empty() {
        return declared;
    }
    let streams = run.phase(ASKED.0, ASKED.1).is_some_and(|asked| {
        let index = asked.scenario(&endpoint.name);
        let tokens = |r: &&StreamRecord| Some(r.scenario) == index && r.token_events > 0;
        asked.streams.iter().any(|record| tokens(&record))
    });
    if streams {
        derived(run, endpoint)
    } else {
        Vec::new()
    }
}

fn declared(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let mut items = requests(run, endpoint);
    items.retain(|item| item.expect.stream.is_some());
    items
}

/// The good requests of an endpoint of a known API, as requests for streams.
fn derived(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    requests(run, endpoint).iter().filter_map(as_stream).collect()
}

fn as_stream(item: &Item) -> Option<Item> {
    let Body::Text(text) = &item.request.body else {
        return None;
    };
    let mut body: Value = serde_json::from_str(text).ok()?;
    let (path, query) = item
        .request
        .path
        .split_once('?')
        .map_or((item.request.path.as_str(), None), |(path, query)| {
            (path, Some(query))
        });
    let protocol = protocol(path, &body)?;
    limit(protocol, &mut body, TOKENS_MAX)?;
    let mut asked = path.to_owned();
    match protocol {
        // It streams at a path of its own.
        StreamProtocol::TgiGenerate => {
            asked.push_str("_stream");
            body["parameters"]["details"] = json!(true);
        }
        StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions => {
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
        }
        _ => body["stream"] = json!(true),
    }
    let mut item = item.clone();
    item.request.path = query.map_or(asked.clone(), |query| format!("{asked}?{query}"));
    item.request.body = Body::text(body.to_string());
    item.expect = Expect {
        status: item.expect.status,
        stream: Some(StreamExpect {
            max_tokens: Some(TOKENS_MAX),
            ..StreamExpect::new(protocol)
        }),
        ..Expect::default()
    };
    Some(item)
}

/// The API of a request, by the end of its path and the fields that it must have.
fn protocol(path: &str, body: &Value) -> Option<StreamProtocol> {
    let has = |field: &str| body.get(field).is_some();
    if path.ends_with("/chat/completions") && has("messages") {
        Some(StreamProtocol::OpenaiChat)
    } else if path.ends_with("/completions") && has("prompt") {
        Some(StreamProtocol::OpenaiCompletions)
    } else if path.ends_with("/responses") && has("input") {
        Some(StreamProtocol::OpenaiResponses)
    } else if path.ends_with("/messages") && has("messages") && has("max_tokens") {
        Some(StreamProtocol::AnthropicMessages)
    } else if (path.ends_with("/api/generate") && has("model") && has("prompt"))
        || (path.ends_with("/api/chat") && has("model") && has("messages"))
    {
        Some(StreamProtocol::Ollama)
    } else if path.ends_with("/completion") && has("prompt") {
        Some(StreamProtocol::LlamacppCompletion)
    } else if path.ends_with("/generate") && has("inputs") {
        Some(StreamProtocol::TgiGenerate)
    } else {
        None
    }
}

/// Says in a request how many tokens its answer may have at most; `None` where the protocol has no word for it.
pub(crate) fn limit(protocol: StreamProtocol, body: &mut Value, tokens: u32) -> Option<()> {
    let (group, field) = match protocol {
        StreamProtocol::OpenaiResponses => (None, "max_output_tokens"),
        StreamProtocol::OpenaiChat if body.get("max_completion_tokens").is_some() => {
            (None, "max_completion_tokens")
        }
        StreamProtocol::OpenaiChat
        | StreamProtocol::OpenaiCompletions
        | StreamProtocol::AnthropicMessages => (None, "max_tokens"),
        StreamProtocol::LlamacppCompletion => (None, "n_predict"),
        StreamProtocol::TgiGenerate => (Some("parameters"), "max_new_tokens"),
        StreamProtocol::Ollama => (Some("options"), "num_predict"),
        StreamProtocol::KserveGenerate | StreamProtocol::Sse => return None,
    };
    let whole = body.as_object_mut()?;
    let place = match group {
        None => whole,
        Some(group) => whole.entry(group).or_insert_with(|| json!({})).as_object_mut()?,
    };
    place.insert(field.to_owned(), json!(tokens));
    Some(())
}

/// The records of the good answers of a scenario, in order of completion.
pub(crate) fn good<'a>(phase: &'a PhaseResult, scenario: &str) -> Vec<&'a StreamRecord> {
    let Some(index) = phase.scenario(scenario) else {
        return Vec::new();
    };
    phase
        .streams
        .iter()
        .filter(|r| r.scenario == index && r.outcome == Outcome::Ok && r.first_token.0 > 0)
        .collect()
}

/// Their times to first token in milliseconds.
pub(crate) fn ttft_ms(records: &[&StreamRecord]) -> Vec<f64> {
    let times = records.iter().filter_map(|r| r.ttft());
    times.map(prony_model::Nanos::as_millis_f64).collect()
}

/// From first to last token, in milliseconds.
pub(crate) fn streaming_ms(records: &[&StreamRecord]) -> Vec<f64> {
    records
        .iter()
        .map(|r| (r.last_token - r.first_token).as_millis_f64())
        .collect()
}

#[cfg(test)]
mod tests {
    use prony_model::{Body, Expect, Item, Request, StreamProtocol};
    use serde_json::{Value, json};

    use super::as_stream;

    fn asked(path: &str, body: &Value) -> Option<(StreamProtocol, Value)> {
        let item = Item {
            request: Request::json("POST", path, body),
            expect: Expect::status(200),
        };
        let streamed = as_stream(&item)?;
        let Body::Text(text) = &streamed.request.body else {
            panic!("a text body");
        };
        assert_eq!(streamed.expect.status, [200]);
        Some((
            streamed.expect.stream?.protocol,
            serde_json::from_str(text).unwrap(),
        ))
    }

    #[test]
    fn requests_of_known_apis_are_asked_to_stream() {
        let chat = json!({"model": "m", "messages": [], "max_tokens": 16});
        let (protocol, body) = asked("/v1/chat/completions", &chat).unwrap();
        assert_eq!(protocol, StreamProtocol::OpenaiChat);
        assert_eq!(
            body,
            json!({
                "model": "m", "messages": [], "max_tokens": 64, "stream": true,
                "stream_options": {"include_usage": true}
            })
        );
        let (protocol, body) = asked("/v1/messages?beta=true", &chat).unwrap();
        assert_eq!(protocol, StreamProtocol::AnthropicMessages);
        assert_eq!(body.get("stream_options"), None);
        let (protocol, body) = asked("/v1/responses", &json!({"model": "m", "input": "x"})).unwrap();
        assert_eq!(protocol, StreamProtocol::OpenaiResponses);
        assert_eq!(body["max_output_tokens"], 64);
        let ollama = json!({"model": "m", "prompt": "x", "stream": false, "options": {"temperature": 0}});
        let (protocol, body) = asked("/api/generate", &ollama).unwrap();
        assert_eq!(protocol, StreamProtocol::Ollama);
        assert_eq!(
            (&body["stream"], &body["options"]),
            (&json!(true), &json!({"temperature": 0, "num_predict": 64}))
        );
        let (protocol, body) = asked("/completion", &json!({"prompt": "x"})).unwrap();
        assert_eq!(protocol, StreamProtocol::LlamacppCompletion);
        assert_eq!(body, json!({"prompt": "x", "n_predict": 64, "stream": true}));
    }

    #[test]
    fn a_server_that_streams_at_another_path_is_asked_there() {
        let item = Item {
            request: Request::json("POST", "/generate?a=1", &json!({"inputs": "x"})),
            expect: Expect::default(),
        };
        let streamed = as_stream(&item).unwrap();
        assert_eq!(streamed.request.path, "/generate_stream?a=1");
        assert_eq!(
            streamed.request.body,
            Body::text(
                json!({"inputs": "x", "parameters": {"max_new_tokens": 64, "details": true}}).to_string()
            )
        );
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(
            asked("/v1/embeddings", &json!({"model": "m", "input": "x"})),
            None
        );
        assert_eq!(asked("/api/messages", &json!({"text": "x"})), None);
    }
}
