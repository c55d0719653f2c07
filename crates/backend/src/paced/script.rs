//! What a stream says: its events in the dialect of its request, from parts rendered once when the request came. It knows no time and no
//! connection.

use serde_json::{Value, json};

use super::asked::{Asked, Dialect};
use crate::law::mix;

/// When every answer was made, as its events say.
const CREATED: u64 = 1_767_225_600;
/// The tokens; a digest and a position decide which.
const WORDS: [&str; 32] = [
    " amber", " brook", " cedar", " dune", " ember", " fern", " grove", " heath", " iris", " juniper",
    " kelp", " linden", " moss", " nettle", " oak", " pine", " quartz", " reed", " sage", " thyme", " umber",
    " vale", " willow", " yarrow", " alder", " birch", " clover", " daisy", " elm", " flint", " granite",
    " hazel",
];

/// The events of one stream.
#[derive(Debug)]
pub(super) struct Script {
    dialect: Dialect,
    /// As the answer is known.
    pub(super) id: String,
    model: String,
    digest: u64,
    /// Before and after the text of an event with tokens.
    around: (String, &'static str),
    /// Tokens of the answer.
    pub(super) tokens: u64,
    prompt_tokens: u64,
    /// Whether an event tells the usage.
    usage: bool,
    /// Whether the answer stopped because it was as long as it was allowed to be.
    limited: bool,
}

impl Script {
    /// For a request with this number.
    pub(super) fn new(asked: &Asked, seq: u64, tokens: u64, usage: bool) -> Self {
        let prefix = match asked.dialect {
            Dialect::Chat => "chatcmpl",
            Dialect::Completions => "cmpl",
            Dialect::Messages => "msg",
        };
        let mut script = Self {
            dialect: asked.dialect,
            id: format!("{prefix}-{seq:016x}"),
            model: Value::from(asked.model.as_str()).to_string(),
            digest: asked.digest,
            around: (String::new(), ""),
            tokens,
            prompt_tokens: asked.prompt_tokens,
            usage,
            limited: asked.tokens.is_some(),
        };
        script.around = match asked.dialect {
            Dialect::Chat => (
                format!("{}{{\"index\":0,\"delta\":{{\"content\":\"", script.base()),
                "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
            ),
            Dialect::Completions => (
                format!("{}{{\"index\":0,\"text\":\"", script.base()),
                "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n",
            ),
            Dialect::Messages => (
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
                 \"delta\":{\"type\":\"text_delta\",\"text\":\""
                    .to_owned(),
                "\"}}\n\n",
            ),
        };
        script
    }

    /// The beginning of an OpenAI event, up to its choices.
    fn base(&self) -> String {
        let object = match self.dialect {
            Dialect::Chat => "chat.completion.chunk",
            _ => "text_completion",
        };
        format!(
            "data: {{\"id\":\"{}\",\"object\":\"{object}\",\"created\":{CREATED},\"model\":{},\"choices\":[",
            self.id, self.model
        )
    }

    /// The tokens from one on.
    fn words(&self, first: u64, count: u64) -> impl Iterator<Item = &'static str> {
        let digest = self.digest;
        (first..first + count).map(move |place| WORDS[(mix(digest, place) % WORDS.len() as u64) as usize])
    }

    /// The event with the tokens from one on.
    pub(super) fn tokens(&self, first: u64, count: u64, out: &mut String) {
        out.push_str(&self.around.0);
        self.words(first, count).for_each(|word| out.push_str(word));
        out.push_str(self.around.1);
    }

    /// The events before the first token.
    pub(super) fn opening(&self, without_role: bool) -> Vec<String> {
        match self.dialect {
            Dialect::Chat if without_role => Vec::new(),
            Dialect::Chat => vec![format!(
                "{}{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n",
                self.base()
            )],
            Dialect::Completions => Vec::new(),
            Dialect::Messages => {
                let model: Value = serde_json::from_str(&self.model).unwrap_or_default();
                vec![
                    event(
                        "message_start",
                        &json!({ "type": "message_start", "message": {
                        "id": self.id, "type": "message", "role": "assistant", "model": model, "content": [],
                        "stop_reason": null, "stop_sequence": null,
                        "usage": { "input_tokens": self.prompt_tokens, "output_tokens": 1 },
                    } }),
                    ),
                    event(
                        "content_block_start",
                        &json!({
                            "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" },
                        }),
                    ),
                ]
            }
        }
    }

    /// The events after the last token.
    pub(super) fn closing(&self) -> Vec<String> {
        if self.dialect == Dialect::Messages {
            return vec![
                event(
                    "content_block_stop",
                    &json!({ "type": "content_block_stop", "index": 0 }),
                ),
                event(
                    "message_delta",
                    &json!({
                        "type": "message_delta", "delta": { "stop_reason": self.reason(), "stop_sequence": null },
                        "usage": { "output_tokens": self.tokens },
                    }),
                ),
                event("message_stop", &json!({ "type": "message_stop" })),
            ];
        }
        let said = match self.dialect {
            Dialect::Chat => "\"delta\":{}",
            _ => "\"text\":\"\"",
        };
        let mut events = vec![format!(
            "{}{{\"index\":0,{said},\"logprobs\":null,\"finish_reason\":\"{}\"}}]}}\n\n",
            self.base(),
            self.reason()
        )];
        if self.usage {
            events.push(format!("{}],\"usage\":{}}}\n\n", self.base(), self.usage()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    /// The answer in one piece.
    pub(super) fn whole(&self) -> Value {
        let text: String = self.words(0, self.tokens).collect();
        let model: Value = serde_json::from_str(&self.model).unwrap_or_default();
        match self.dialect {
            Dialect::Messages => json!({
                "id": self.id, "type": "message", "role": "assistant", "model": model,
                "content": [{ "type": "text", "text": text }], "stop_reason": self.reason(), "stop_sequence": null,
                "usage": { "input_tokens": self.prompt_tokens, "output_tokens": self.tokens },
            }),
            Dialect::Chat => json!({
                "id": self.id, "object": "chat.completion", "created": CREATED, "model": model,
                "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "logprobs": null,
                    "finish_reason": self.reason() }],
                "usage": self.usage(),
            }),
            Dialect::Completions => json!({
                "id": self.id, "object": "text_completion", "created": CREATED, "model": model,
                "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": self.reason() }],
                "usage": self.usage(),
            }),
        }
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
        })
    }

    fn reason(&self) -> &'static str {
        match (self.dialect, self.limited) {
            (Dialect::Messages, true) => "max_tokens",
            (Dialect::Messages, false) => "end_turn",
            (_, true) => "length",
            (_, false) => "stop",
        }
    }
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
